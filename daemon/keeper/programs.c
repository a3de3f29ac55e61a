/* SPDX-License-Identifier: ISC */
#include "keeper/programs.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/plugin_path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *program(const char *dir, const char *name)
{
    char *path = xasprintf("%s/%s", dir, name);
    if (dir[0] && access(path, F_OK) == 0)
        return path;
    free(path);
    return xasprintf("%s/%s", RENEWD_LIBEXECDIR, name);
}

/* BUILD/bin has BUILD/plugins beside it. */
static char *plugin_folder(const char *dir, const char *said)
{
    char *real = said ? realpath(said, NULL) : NULL;
    if (said)
        return real ? real : xstrdup(said);
    CLEANUP_FREE char *near = xasprintf("%s/../plugins", dir);
    if (str_ends(dir, "/bin"))
        real = realpath(near, NULL);
    return real ? real : xstrdup(RENEWD_PLUGINDIR);
}

void programs_find(struct programs *p, const char *plugin_dir)
{
    char self[PATH_MAX] = "";
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    self[n > 0 ? n : 0] = '\0';
    p->self = xstrdup(self);
    char *slash = strrchr(self, '/');
    if (slash)
        *slash = '\0';
    p->engine = program(self, "renewd-engine");
    p->worker = program(self, "renewd-worker");
    p->plugins = plugin_folder(self, plugin_dir);
}

int programs_open_plugin(const char *path, struct err *e)
{
    if (conf_plugin_check(path, geteuid(), e))
        return -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    return fd < 0 ? err_sys(e, errno, "cannot open the plugin %s", path) : fd;
}

void programs_done(struct programs *p)
{
    free(p->self);
    free(p->engine);
    free(p->worker);
    free(p->plugins);
    *p = (struct programs){0};
}
