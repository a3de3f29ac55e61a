/* SPDX-License-Identifier: ISC */
/*
 * One signed request to a CA, to its end. Inside: directory, account, nonce, the keeper's
 * signature, the server's door, the POST, badNonce (not counted as a failure), short Retry-After,
 * network faults, an account that the CA has lost.
 *
 *   begin -> directory? -> account? -> nonce -> door -> sign -> post -> done
 *     ^------------- wait ----------------------------------------'
 */
#ifndef RENEWD_ACME_REQUEST_H
#define RENEWD_ACME_REQUEST_H

#include "acme/problem.h"
#include "io/http.h"
#include "link/keeper.h"

struct ca;
struct request;

enum request_target { REQUEST_URL = 0, REQUEST_NEW_ACCOUNT, REQUEST_NEW_ORDER };

struct request_spec {
    enum acme_where where;
    enum keeper_sign what;
    unsigned flags;             /* KEEPER_F_ */
    enum request_target target; /* of the directory, or ... */
    const char *url;            /* ... REQUEST_URL: this; copied */
    const char *cert;           /* NULL: none; outlives the request */
    uint64_t task;    /* of the keeper's that it belongs to: the account is as it is, and is neither
                         looked up nor made; 0: none */
    bool pem;         /* a certificate chain is wanted, not JSON */
    bool once;        /* an answer that may have been lost is the owner's affair */
    bool slow;        /* some CAs work inside this request (finalize): four times the time limit */
    bool *unanswered; /* NULL, or told whether the server has the request and has not said that
                         nothing came of it; outlives the request */
    /* NULL, or told that the request will be repeated, and why; may cancel it. */
    void (*waits)(void *arg, const struct err *why, int64_t delay_ms);
    size_t max_body;
    /* For errors: "reading the order" "example.org"; both outlive the request. */
    const char *doing, *about;
};
/* reply: 2xx without err; with err whatever there is, or NULL. Both live for the call; the request
 * is gone already. */
typedef void request_done_fn(void *arg, const struct http_reply *reply, const struct err *err);

struct request *request_start(struct ca *ca, const struct request_spec *s, request_done_fn *done,
                              void *arg);
void request_cancel(struct request *r); /* NULL is fine */

#endif
