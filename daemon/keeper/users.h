/* SPDX-License-Identifier: ISC */
/* Users and groups of this machine by name. */
#ifndef RENEWD_KEEPER_USERS_H
#define RENEWD_KEEPER_USERS_H

#include "base/err.h"

#include <stdbool.h>
#include <sys/types.h>

struct user {
    char name[64]; /* "" when the uid has none */
    uid_t uid;
    gid_t gid;
    char home[256]; /* "/" when not said */
};

/* name may be a number. -1 and ERR_CONFIG when there is none. */
int users_find(const char *name, struct user *ret, struct err *e);
void users_self(struct user *ret); /* who runs this process */
int users_group(const char *name, gid_t *ret, struct err *e);

/*
 * As whom a child runs. Not root: always ourselves. `named` (the configuration says it): absent is
 * an error; else nobody, and *ret_warning says so (static or "").
 */
int users_choose(const char *name, bool named, struct user *ret, const char **ret_warning,
                 struct err *e);

#endif
