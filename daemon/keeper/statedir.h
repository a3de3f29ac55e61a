/* SPDX-License-Identifier: ISC */
/*
 * state_dir and its folders (renewd(8), FILES), open for as long as the keeper runs. Work under way
 * lies under names that begin with ".new-" in accounts/, live/, archive/ and pending/; whatever of
 * that a crash has left is removed when the folder is opened.
 */
#ifndef RENEWD_KEEPER_STATEDIR_H
#define RENEWD_KEEPER_STATEDIR_H

#include "base/err.h"

#include <stdbool.h>
#include <sys/types.h>

#define STATEDIR_NEW ".new-"
/* err.type when another daemon holds the lock. */
#define STATEDIR_LOCKED "locked"

struct statedir {
    char *path;
    int root, lock;
    int accounts, live, archive, pending;
    char *engine; /* path of the engine's folder */
};

/* Makes what is absent, takes the lock. engine/ belongs to uid, gid from then on. */
int statedir_open(struct statedir *s, const char *path, uid_t uid, gid_t gid, struct err *e);
void statedir_close(struct statedir *s); /* also of one that failed to open, or zeroed */

/* A certificate's name may be used as that of a folder. */
bool statedir_name_ok(const char *name);

#endif
