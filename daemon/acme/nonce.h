/* SPDX-License-Identifier: ISC */
/*
 * A server's nonces (RFC 8555 6.5, 7.2). At most ten are kept, the newest is used first, none older
 * than five minutes: CAs forget them. Who finds none waits; a nonce that any reply brings goes to
 * who waits longest, and meanwhile up to ten HEAD requests are under way, so that a hundred orders
 * that begin together neither stand in line for one nonce nor ask for a hundred. HEADs come in
 * bursts of ten, then ten a second: Let's Encrypt's door allows twice that.
 */
#ifndef RENEWD_ACME_NONCE_H
#define RENEWD_ACME_NONCE_H

#include "acme/directory.h"
#include "base/err.h"
#include "base/list.h"
#include "io/http.h"

#include <stdbool.h>

#define NONCE_SIZE 256 /* with the NUL; longer ones are ignored */
#define NONCE_POOL 64
#define NONCE_FETCHES 10

struct server;

struct nonces {
    struct server *server;
    struct {
        char text[NONCE_SIZE];
        int64_t born; /* mono */
    } pool[NONCE_POOL];
    unsigned first, n; /* a ring: pool[first] is the oldest */
    struct list waiters;
    unsigned n_waiters;
    struct nonce_fetch {
        struct nonces *nonces;
        struct http_call *call;
    } fetches[NONCE_FETCHES];
    unsigned n_fetches;
    struct gate_pass pass; /* of the next HEAD */
    unsigned tokens;       /* HEADs that may be sent now ... */
    int64_t tokens_at;     /* ... counted at this mono time */
    struct timer timer;
    bool moved; /* newNonce was answered with 404 or 405: the directory is read again, once */
    struct directory_wait directory;
};
void nonces_init(struct nonces *p, struct server *s);
void nonces_done(struct nonces *p);

bool nonce_ok(const char *text); /* RFC 8555 6.5.1; NULL is not */
/* Keeps it or hands it to who waits; ignores NULL and what is no nonce. */
void nonce_put(struct nonces *p, const char *text);
bool nonce_here(struct nonces *p);
bool nonce_take(struct nonces *p, char out[NONCE_SIZE]); /* false: none here, wait for one */

/* Exactly one of nonce and err. */
typedef void nonce_fn(void *arg, const char *nonce, const struct err *err);
struct nonce_wait { /* embedded; zeroed is idle */
    struct list node;
    nonce_fn *fn;
    void *arg;
    struct nonces *nonces; /* NULL while idle */
};
void nonce_wait(struct nonces *p, struct nonce_wait *w, nonce_fn *fn, void *arg);
void nonce_wait_cancel(struct nonce_wait *w);

#endif
