/* SPDX-License-Identifier: ISC */
/*
 * What a CA's JSON says, read strictly and copied: directory (RFC 8555 7.1.1), order (7.1.3),
 * authorization (7.1.4), account
 * (7.1.2), renewalInfo (RFC 9773 4.2). Readers take any bytes; on -1 (ERR_PEER) the
 * document is empty. Unknown members are ignored. All URLs are https, printable ASCII, at most
 * ACME_URL_MAX long, and otherwise opaque. Texts are never NULL in a document that was read.
 * `_done` takes zeroed documents.
 */
#ifndef RENEWD_ACME_DOC_H
#define RENEWD_ACME_DOC_H

#include "base/err.h"
#include "base/name.h"
#include "conf/conf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ACME_URL_MAX 2048
#define ACME_TOKEN_MAX 128

bool acme_url_ok(const char *url); /* NULL is not */

struct directory_doc {
    char *new_nonce, *new_account, *new_order;
    char *revoke_cert, *key_change; /* "" if the CA has none */
    char *renewal_info;             /* "" if the CA has none; no slash at the end */
    char *terms;                    /* of service; "" if there are none */
    char **profiles;
    size_t n_profiles;
    bool eab_required;
    /* dns-persist-01 from draft -02 on: the prefix of accounts' hashes, "" before; and the issuers
     * of challenges that name none */
    char *account_hash_prefix;
    char **issuers;
    size_t n_issuers;
    char **caa_identities; /* that name the CA in CAA records; none: it does not say */
    size_t n_caa_identities;
};
int directory_doc_read(struct directory_doc *d, const char *text, size_t n, struct err *e);
void directory_doc_done(struct directory_doc *d);
bool directory_doc_has_profile(const struct directory_doc *d, const char *name);

enum order_status { ORDER_PENDING = 0, ORDER_READY, ORDER_PROCESSING, ORDER_VALID, ORDER_INVALID };
struct order_doc {
    enum order_status status;
    char **names; /* lower case, sorted; may begin with "*."; addresses as RFC 5952 has them */
    size_t n_names;
    char **authzs; /* URLs */
    size_t n_authzs;
    char *finalize;
    char *certificate; /* "" until there is one */
    char *profile;     /* "" if the CA does not say */
    struct err *error; /* NULL: none */
};
/* ERR_TRANSIENT: that is no JSON object. ERR_PEER: it is none that we can work with. */
int order_doc_read(struct order_doc *d, const char *text, size_t n, struct err *e);
void order_doc_done(struct order_doc *d);

/* The orders URL of an account object (7.1.2); the caller frees; NULL: it has none. */
char *account_doc_orders(const char *text, size_t n, struct err *e);
/* A page of an account's orders (7.1.2.1): appends its URLs to *urls, which may be NULL, up to
 * `max` of them. What is no usable URL is left out; a bare array will do, too (step-ca). */
int orders_doc_read(char ***urls, size_t *n_urls, size_t max, const char *text, size_t n,
                    struct err *e);

enum authz_status {
    AUTHZ_PENDING = 0,
    AUTHZ_VALID,
    AUTHZ_INVALID,
    AUTHZ_DEACTIVATED,
    AUTHZ_EXPIRED,
    AUTHZ_REVOKED
};
enum challenge_status {
    CHALLENGE_PENDING = 0,
    CHALLENGE_PROCESSING,
    CHALLENGE_VALID,
    CHALLENGE_INVALID
};
/* A challenge of a type that we know, with all that an answer to it needs. */
struct challenge_doc {
    enum conf_challenge type;
    char *url;
    char *token; /* "" with dns-persist-01 */
    enum challenge_status status;
    struct err *error; /* NULL: none */
    /* dns-persist-01: who the record may be for; none: those of the directory. */
    char **issuers;
    size_t n_issuers;
    char *account_uri; /* "": the account's URL */
    bool hashed;       /* drafts from -02 on */
};
struct authz_doc {
    enum authz_status status;
    char identifier[NAME_MAX_TEXT]; /* without "*.", or an address; "" only when valid */
    bool ip, wildcard;
    struct challenge_doc *challenges; /* at most one of a type */
    size_t n_challenges;
    char offered[160]; /* all types, for people: "http-01, tls-alpn-01" */
    unsigned unusable; /* bit of each type that is offered without what its answer needs */
    struct err *error; /* of the first challenge that has one, known or not; NULL: none */
};
/* Errors as order_doc_read(). */
int authz_doc_read(struct authz_doc *d, const char *text, size_t n, struct err *e);
void authz_doc_done(struct authz_doc *d);
/* NULL: it is not offered, or not in a usable manner. */
struct challenge_doc *authz_doc_challenge(const struct authz_doc *d, enum conf_challenge type);
const char *authz_status_name(enum authz_status s);
const char *challenge_status_name(enum challenge_status s);
/* A challenge object alone (the answer to its POST): its status, and whether it shows an error. */
int challenge_doc_read(enum challenge_status *ret, bool *ret_error, const char *text, size_t n,
                       struct err *e);

#define ACME_EXPLANATION_MAX 512
struct window_doc {
    int64_t start_ms, end_ms;                   /* wall; start < end */
    char explanation[ACME_EXPLANATION_MAX + 1]; /* an http(s) URL or "" */
};
int window_doc_read(struct window_doc *d, const char *text, size_t n, struct err *e);

#endif
