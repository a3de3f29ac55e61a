/* SPDX-License-Identifier: ISC */
#include "worker/load.h"
#include "base/str.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int check_file(int fd, const char *path, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_sys(e, errno, "%s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_CONFIG, "%s: not a regular file", path);
    if (st.st_uid != 0 && st.st_uid != getuid())
        return err_set(e, ERR_CONFIG,
                       "%s: belongs to user %u; a plugin must belong to root (chown root %s)", path,
                       (unsigned)st.st_uid, path);
    if (st.st_mode & (S_IWGRP | S_IWOTH))
        return err_set(e, ERR_CONFIG, "%s: others may write to it (chmod go-w %s)", path, path);
    return 0;
}

int load_open(const char *path, int fd, char folder[PATH_MAX], struct err *e)
{
    if (path[0] != '/')
        return err_set(e, ERR_CONFIG, "%s: a plugin's path must be absolute", path);
    if (fd < 0)
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return err_set(e, ERR_CONFIG, "plugin %s: %s", path, strerror(errno));
    if (check_file(fd, path, e) != 0) {
        close(fd);
        return -1;
    }
    if (!realpath(path, folder)) /* not to be reached by us: then nothing else there is needed */
        str_copy(folder, PATH_MAX, path);
    char *slash = strrchr(folder, '/');
    slash[slash == folder ? 1 : 0] = '\0';
    return fd;
}

static bool word(const char *s)
{
    if (!s || *s < 'a' || *s > 'z')
        return false;
    return s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_-")] == '\0' && strlen(s) <= 63;
}

static int check_option(const struct renewd_plugin *p, const struct renewd_option *o, struct err *e)
{
    if (!word(o->name))
        return err_set(e, ERR_CONFIG, "plugin %s: an option's name is not [a-z][a-z0-9_]*", p->id);
    if (o->type < RENEWD_OPT_TEXT || o->type > RENEWD_OPT_ENUM)
        return err_set(e, ERR_CONFIG, "plugin %s: option %s has a type that is not known here",
                       p->id, o->name);
    return 0;
}

static int check_table(const struct renewd_plugin *p, struct err *e)
{
    if (!word(p->id) || !p->name)
        return err_set(e, ERR_CONFIG, "plugin: its table lacks a valid id or a name");
    if (!p->add || !p->remove)
        return err_set(e, ERR_CONFIG, "plugin %s: its table lacks add or remove", p->id);
    if (p->model < RENEWD_MODEL_RECORD || p->model > RENEWD_MODEL_SLOT)
        return err_set(e, ERR_CONFIG, "plugin %s: its update model is not known here", p->id);
    if (p->model == RENEWD_MODEL_SLOT && p->slots == 0)
        return err_set(e, ERR_CONFIG, "plugin %s: model SLOT needs `slots`", p->id);
    if (p->n_options > 64 || (p->n_options && (!p->options || p->option_size < 24)))
        return err_set(e, ERR_CONFIG, "plugin %s: its table of options is broken", p->id);
    for (uint32_t i = 0; i < p->n_options; i++) {
        const char *at = (const char *)p->options + (size_t)i * p->option_size;
        struct renewd_option o = {0};
        memcpy(&o, at, p->option_size < sizeof(o) ? p->option_size : sizeof(o));
        if (check_option(p, &o, e) != 0)
            return -1;
    }
    return 0;
}

/* What is common to all sizes that a table ever had. */
#define TABLE_LEAST offsetof(struct renewd_plugin, create)

int load_plugin(int fd, const char *path, struct renewd_plugin *ret, struct err *e)
{
    char link[64];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    void *so = dlopen(path ? path : link, RTLD_NOW | RTLD_LOCAL);
    if (!so) {
        const char *why = dlerror();
        if (!path && str_starts(why, link))
            why += strlen(link);
        return err_set(e, ERR_CONFIG, "the plugin cannot be loaded%s%s", why[0] == ':' ? "" : ": ",
                       why);
    }
    const struct renewd_plugin *(*entry)(void);
    *(void **)&entry = dlsym(so, RENEWD_PLUGIN_ENTRY);
    if (!entry)
        return err_set(e, ERR_CONFIG,
                       "no plugin of renewd: it does not export " RENEWD_PLUGIN_ENTRY);
    const struct renewd_plugin *table = entry();
    if (!table || table->abi != RENEWD_PLUGIN_ABI || table->size < TABLE_LEAST ||
        table->size > (64u << 10))
        return err_set(
            e, ERR_CONFIG,
            "the plugin was built for another renewd: its table has ABI %u and %u bytes, "
            "ours ABI %u and %u bytes",
            table ? table->abi : 0, table ? table->size : 0, RENEWD_PLUGIN_ABI,
            (unsigned)sizeof(*ret));
    struct renewd_plugin p = {0};
    memcpy(&p, table, table->size < sizeof(p) ? table->size : sizeof(p));
    if (check_table(&p, e) != 0)
        return -1;
    *ret = p;
    return 0;
}
