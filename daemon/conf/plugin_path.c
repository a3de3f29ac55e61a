/* SPDX-License-Identifier: ISC */
#include "conf/plugin_path.h"

#include "base/mem.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Owner and mode of a file or folder. */
static int check_owner(const char *path, const struct stat *st, uid_t uid, struct err *e)
{
    if (st->st_uid != 0 && st->st_uid != uid)
        return err_set(e, ERR_CONFIG,
                       "%s belongs to uid %u, neither root nor the daemon's user: chown root %s",
                       path, (unsigned)st->st_uid, path);
    if (st->st_mode & (S_IWGRP | S_IWOTH))
        return err_set(e, ERR_CONFIG, "%s can be written by others (mode %04o): chmod go-w %s",
                       path, (unsigned)(st->st_mode & 07777), path);
    return 0;
}

static int check_folder_of(const char *path, uid_t uid, struct err *e)
{
    CLEANUP_FREE char *dir = xstrdup(path);
    char *slash = strrchr(dir, '/');
    struct stat st;

    slash[slash == dir] = '\0';
    if (stat(dir, &st))
        return err_set(e, ERR_CONFIG, "%s: %s", dir, strerror(errno));
    return check_owner(dir, &st, uid, e);
}

int conf_plugin_check(const char *path, uid_t uid, struct err *e)
{
    char real[PATH_MAX];
    struct stat st;

    if (path[0] != '/')
        return err_set(e, ERR_CONFIG, "%s is not an absolute path", path);
    if (!realpath(path, real) || stat(real, &st))
        return err_set(e, ERR_CONFIG, "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_CONFIG, "%s is not a regular file", path);
    if (check_owner(real, &st, uid, e) || check_folder_of(real, uid, e))
        return -1;
    return strcmp(real, path) ? check_folder_of(path, uid, e) : 0;
}
