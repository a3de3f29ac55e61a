/* SPDX-License-Identifier: ISC */
#include "keeper/users.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#define ENTRY_MAX 65536
#define ID_MAX 4294967294 /* (uid_t)-1 means none */

static void take(struct user *u, const struct passwd *p)
{
    *u = (struct user){.uid = p->pw_uid, .gid = p->pw_gid};
    str_copy(u->name, sizeof(u->name), p->pw_name);
    str_copy(u->home, sizeof(u->home), p->pw_dir && p->pw_dir[0] ? p->pw_dir : "/");
}

static bool lookup(const char *name, uid_t uid, struct user *ret)
{
    CLEANUP_FREE char *space = xcalloc(1, ENTRY_MAX);
    struct passwd p, *found = NULL;
    if (name)
        getpwnam_r(name, &p, space, ENTRY_MAX, &found);
    else
        getpwuid_r(uid, &p, space, ENTRY_MAX, &found);
    if (found)
        take(ret, found);
    return found != NULL;
}

int users_find(const char *name, struct user *ret, struct err *e)
{
    int64_t id;
    if (lookup(name, 0, ret))
        return 0;
    if (!str_to_i64(name, 0, ID_MAX, &id))
        return err_set(e, ERR_CONFIG, "no user %s on this machine: create it or name another",
                       name);
    if (!lookup(NULL, (uid_t)id, ret))
        *ret = (struct user){.uid = (uid_t)id, .gid = (gid_t)id, .home = "/"};
    return 0;
}

void users_self(struct user *ret)
{
    if (!lookup(NULL, geteuid(), ret))
        *ret = (struct user){.home = "/"};
    ret->uid = geteuid();
    ret->gid = getegid();
}

int users_group(const char *name, gid_t *ret, struct err *e)
{
    CLEANUP_FREE char *space = xcalloc(1, ENTRY_MAX);
    struct group g, *found = NULL;
    int64_t id;
    getgrnam_r(name, &g, space, ENTRY_MAX, &found);
    if (found)
        *ret = found->gr_gid;
    else if (str_to_i64(name, 0, ID_MAX, &id))
        *ret = (gid_t)id;
    else
        return err_set(e, ERR_CONFIG, "no group %s on this machine: create it or name another",
                       name);
    return 0;
}

int users_choose(const char *name, bool named, struct user *ret, const char **ret_warning,
                 struct err *e)
{
    *ret_warning = "";
    if (geteuid() != 0) {
        users_self(ret);
        *ret_warning = "not started by root: all processes run as one user";
        return 0;
    }
    if (users_find(name, ret, e) == 0) {
        if (!named && str_eq(name, "nobody")) /* as the reader of the configuration has put it */
            *ret_warning =
                "there is no user renewd: the engine runs as nobody (useradd --system renewd)";
        return 0;
    }
    if (named)
        return -1;
    if (users_find("nobody", ret, NULL))
        *ret = (struct user){.name = "nobody", .uid = 65534, .gid = 65534, .home = "/"};
    *ret_warning = "there is no user renewd: the engine runs as nobody (useradd --system renewd)";
    return 0;
}
