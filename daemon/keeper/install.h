/* SPDX-License-Identifier: ISC */
/*
 * New sets in archive/ and the switch of live/ to them (the folders: keeper/live.h). Killed between
 * any two system calls, what live/NAME shows is a whole set, old or new; a run again completes it.
 *
 *     archive/NAME/SET    closed to others (0700) while it is written; opened (0755) once every
 * file |                is durable, then durable itself | .current is renamed over; or
 * live/.swap-NAME takes the place of a folder that is not ours, | in one exchange live/NAME
 * durable; the other tool's folder goes to archive/NAME/adopted-TIME
 *
 * What an installation costs is how often the disk is waited for, so whatever may go together goes
 * together: the journal is written twice.
 */
#ifndef RENEWD_KEEPER_INSTALL_H
#define RENEWD_KEEPER_INSTALL_H

#include "base/err.h"
#include "base/file.h"
#include "base/secret.h"
#include "keeper/live.h"
#include "keeper/statedir.h"

struct install_files {
    const struct buf *key; /* PEM, secret */
    const struct buf *cert, *chain, *fullchain;
    const char *meta;
};

/* Once after a start: finishes moves that a crash interrupted. */
int install_recover(const struct statedir *s, int64_t now_ms, struct err *e);
/* Name of the set for this certificate, "until-TIME-FINGERPRINT": the same certificate has always
 * the same, and later ones sort later. */
void install_set_name(const struct cert_info *leaf, char out[64]);
/* Idempotent. key: mode and owner of privkey.pem. */
int install_set(const struct statedir *s, const char *name, const char *set,
                const struct install_files *f, const struct file_attr *key, int64_t now_ms,
                struct err *e);
/* Removes expired sets but the `keep` newest of them. Returns how many, -1 on error. */
int install_prune(const struct statedir *s, const char *name, uint32_t keep, int64_t now_ms,
                  struct err *e);

#endif
