/* SPDX-License-Identifier: ISC */
/*
 * The authorizations of an order (RFC 8555 7.5): read together, answered together, read again to
 * learn what holds the order up. Belongs to its order. One of read, answer and look at a time;
 * freeing cancels.
 */
#ifndef RENEWD_ACME_AUTHZ_H
#define RENEWD_ACME_AUTHZ_H

#include "acme/acme.h"
#include "acme/ca.h"
#include "acme/choose.h"
#include "acme/doc.h"

struct authz_set;
struct authz {
    struct authz_set *set;
    char *url;
    struct authz_doc doc;
    bool have;           /* doc was read */
    bool answered;       /* {} was sent at least once */
    unsigned answers;    /* how often */
    bool complaint;      /* the reply to the answer was a refusal, or showed a failure */
    struct err *refusal; /* of the last answer; NULL: none */
    /* from choose.h */
    const struct conf_name *name; /* NULL: a name of the CA's own making */
    bool chosen;                  /* which challenge is met: */
    enum conf_challenge type;
    unsigned tried; /* bits of the types that have failed in this order */
    char *owner, *value,
        *key_authorization; /* as in struct acme_challenge, NULL where not needed */
    const char *const *issuers;
    size_t n_issuers;
    char *account_uris[2];
    size_t n_account_uris;
    struct request *request;
};

/* e NULL: all is well. */
typedef void authz_set_fn(void *arg, const struct err *e);
struct authz_set {
    struct ca *ca;
    struct authz *v;
    size_t n;
    size_t busy;
    struct err *err; /* the first that failed; NULL */
    authz_set_fn *done;
    void *arg;
};

struct authz_set *authz_set_new(struct ca *ca, char *const *urls, size_t n);
void authz_set_free(struct authz_set *s); /* NULL is fine */

/* All functions below that take `done` call it later, once. n must not be 0. */
/* Reads all that are not known to be valid. The first failure ends it. */
void authz_set_read(struct authz_set *s, authz_set_fn *done, void *arg);
/* Sends {} to the challenges of all that are pending (`again`: only those that show an error while
 * pending; false when there are none). Refusals are kept in authz.refusal and are no failure: the
 * authorization's own status tells. */
bool authz_set_answer(struct authz_set *s, bool again, authz_set_fn *done, void *arg);

/* Chooses the challenge of each that is pending, whose name must be set; ERR_PEER or ERR_CONFIG
 * when one cannot be answered. c outlives the set. */
int authz_set_prepare(struct authz_set *s, const struct choice *c, struct err *e);
/* Gives the chosen challenge of a up, for the next one; false: there is none, nothing has changed.
 */
bool authz_switch(struct authz *a, const struct choice *c);
/* Those that complain, likewise; returns how many have been switched. */
size_t authz_set_switch(struct authz_set *s, const struct choice *c);
/* It waits for its challenge to be met and answered. */
bool authz_is_open(const struct authz *a);
/* The type that the CA has found to be wrong, of one that is invalid; -1: none. */
int authz_refused_type(const struct authz *a);
/* After an answer: what the CA did with it. MIXED: worth reading at once; WAIT: under way; DONE:
 * all valid. */
enum authz_outcome { AUTHZ_ANSWERS_WAIT, AUTHZ_ANSWERS_DONE, AUTHZ_ANSWERS_MIXED };
enum authz_outcome authz_set_outcome(const struct authz_set *s);
/* One shows an error though it is pending, or its answer was refused: {} may be sent again. */
bool authz_set_complains(const struct authz_set *s);
size_t authz_set_pending(const struct authz_set *s); /* how many */
/* The first that can never become valid, as an error with its name and the CA's reason; false:
 * none. */
bool authz_set_failure(const struct authz_set *s, struct err *e);
/* "validation of www.example.org: processing (...)", and how many others; "" when none is pending.
 */
void authz_set_text(const struct authz_set *s, char *out, size_t size);

#endif
