/* SPDX-License-Identifier: ISC */
/*
 * The TXT record at _validation-persist.NAME of dns-persist-01 (draft-ietf-acme-dns-persist):
 *
 *     ISSUER; accounturi=URI[; policy=wildcard][; persistUntil=SECONDS]
 *
 * Up to draft -01 the URI is the account's URL; from draft -02 on it is a hash of that and of the
 * account's key, below a prefix of the CA's directory.
 */
#ifndef RENEWD_DIGEST_PERSIST_H
#define RENEWD_DIGEST_PERSIST_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PERSIST_ISSUERS_MAX 10
#define PERSIST_REASON 256

/* The names that a challenge offers: 1 to 10, lower-case A-labels, no dot at the end; else ERR_PEER
 * and the challenge must not be used. */
int persist_issuers_check(const char *const *issuers, size_t n, struct err *e);

/* Draft -02. domain: the name without "*."; "*" for a record that any name may share. ERR_PEER when
 * it is over 255 octets. Appended to out. */
int persist_account_uri(const char *prefix, const char *domain, const char *thumbprint,
                        const char *account_url, struct buf *out, struct err *e);

/* The record. until_ms: 0 for none, else cut to seconds. ERR_PEER when issuer or URI cannot stand
 * in one. */
int persist_put(const char *issuer, const char *account_uri, bool wildcard, int64_t until_ms,
                struct buf *out, struct err *e);

struct persist_want {
    const char *const *issuers; /* any of them */
    size_t n_issuers;
    const char *const *account_uris; /* any of them, octet for octet */
    size_t n_account_uris;
    bool wildcard; /* for *.NAME and what lies below NAME */
    int64_t now_ms;
};
/* Whether a TXT's text (its strings joined) satisfies a CA. If so, *ret_until_ms is its
 * persistUntil, 0 without. If not, reason says in a clause why, escaped: "it is for the issuer
 * ...".
 */
bool persist_matches(const char *text, size_t n, const struct persist_want *w,
                     int64_t *ret_until_ms, char reason[PERSIST_REASON]);

#endif
