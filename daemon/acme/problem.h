/* SPDX-License-Identifier: ISC */
/*
 * What a CA says when it refuses (RFC 8555 section 6.7, RFC 7807), made into a struct err. A table
 * over (where it happened, HTTP status, problem type) gives the class and what to do; what the
 * table does not know is worth another try later. Malformed, empty, foreign answers are taken too;
 * their text is escaped and cut.
 */
#ifndef RENEWD_ACME_PROBLEM_H
#define RENEWD_ACME_PROBLEM_H

#include "base/err.h"
#include "base/json.h"

struct http_reply;

enum acme_where {
    ACME_AT_DIRECTORY,
    ACME_AT_NONCE,
    ACME_AT_ACCOUNT,
    ACME_AT_NEW_ORDER,
    ACME_AT_ORDER,
    ACME_AT_AUTHZ,
    ACME_AT_CHALLENGE,
    ACME_AT_FINALIZE,
    ACME_AT_CERTIFICATE,
    ACME_AT_RENEWAL_INFO,
    ACME_AT_VALIDATION, /* a challenge's or an order's error member: no HTTP status of its own */
};

/* A reply that is no success. e->retry_at is set from Retry-After, wall ms, at most 30 days away.
 */
void problem_from_reply(struct err *e, enum acme_where where, const struct http_reply *r,
                        int64_t now_wall_ms);
/* An error member; j may be anything. */
void problem_from_json(struct err *e, enum acme_where where, const struct json *j);
/* As problem_from_reply, of the parts; location: target of a redirect or NULL (for tests and
 * fuzzers, too). */
void problem_fill(struct err *e, enum acme_where where, int status, const char *body, size_t n,
                  const char *location);

#endif
