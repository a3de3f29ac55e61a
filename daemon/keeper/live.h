/* SPDX-License-Identifier: ISC */
/*
 * What is installed, read from live/NAME:
 *
 *     live/NAME/             a real folder, 0755
 *         .current           -> ../../archive/NAME/SET     the one link that is switched
 *         privkey.pem        -> .current/privkey.pem       likewise cert, chain, fullchain
 *         README
 *     archive/NAME/SET/      privkey.pem cert.pem chain.pem fullchain.pem meta.json
 *
 * Files that another tool put there, plain or linked, are read as well ("adopted"): their dates and
 * names come from the certificate itself.
 */
#ifndef RENEWD_KEEPER_LIVE_H
#define RENEWD_KEEPER_LIVE_H

#include "base/err.h"
#include "digest/hash.h"
#include "digest/x509.h"
#include "keeper/statedir.h"

#include <stdbool.h>
#include <stdint.h>

/* Strings are never NULL after live_read(). */
struct live {
    bool present;
    int64_t not_before_ms, not_after_ms;
    char *serial, *cert_id, *directory, *account, *issuer;
    char fingerprint[SHA256_HEX];
    char spki[SHA256_HEX];
    char **names;
    size_t n_names;
    bool staging;
    bool ours; /* a set of ours, not adopted */
    char *leaf_pem;
};

/* Absent: 0 with present false. Unreadable or no certificate: -1. */
int live_read(const struct statedir *s, const char *name, struct live *ret, struct err *e);
void live_done(struct live *l); /* also of a zeroed one */
/* The folder that holds the files of one set; they match one another however often the link is
 * switched meanwhile. -1 on error. */
int live_open_set(const struct statedir *s, const char *name, struct err *e);

/* meta.json of a new set. */
struct live_origin {
    const char *name, *ca, *directory, *account;
    bool staging;
    int64_t now_ms;
};
char *live_meta(const struct live_origin *o, const struct cert_info *leaf);
/* What live_read() would say of such a set. */
void live_make(const struct live_origin *o, const struct cert_info *leaf, const char *leaf_pem,
               struct live *ret);
bool live_has_names(const struct live *l, const char *const *names, size_t n);
/* As live_read() of one folder of archive/NAME; for dates. */
int live_read_set(int dirfd, struct live *ret, struct err *e);

#endif
