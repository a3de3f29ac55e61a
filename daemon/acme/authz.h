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
#include "acme/doc.h"

#define AUTHZ_VALUE_SIZE 44 /* base64url of a SHA-256, with the NUL */

struct authz_set;
struct authz {
    struct authz_set *set;
    char *url;
    struct authz_doc doc;
    bool have;          /* doc was read */
    bool answered;      /* {} was sent at least once */
    unsigned answers;   /* how often */
    bool complaint;     /* the reply to the answer was a refusal, or showed a failure */
    struct err refusal; /* of the last answer; ERR_NONE */
    char *owner;        /* "_acme-challenge.example.org" */
    char value[AUTHZ_VALUE_SIZE];
    struct request *request;
};

/* e NULL: all is well. */
typedef void authz_set_fn(void *arg, const struct err *e);
struct authz_set {
    struct ca *ca;
    struct authz *v;
    size_t n;
    size_t busy;
    struct err err; /* the first that failed */
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

/* Computes owner and value of all that are pending; ERR_PEER or ERR_CONFIG when one cannot be
 * answered. */
int authz_set_prepare(struct authz_set *s, const char *thumbprint, struct err *e);
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
