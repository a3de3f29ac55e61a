/* SPDX-License-Identifier: ISC */
/*
 * A server's directory (RFC 8555 7.1.1): fetched when first needed, by one request for all who
 * wait; again on use when a day old, or after directory_expire(). When that fails, the old one goes
 * on being used.
 */
#ifndef RENEWD_ACME_DIRECTORY_H
#define RENEWD_ACME_DIRECTORY_H

#include "acme/doc.h"
#include "acme/gate.h"
#include "acme/retry.h"
#include "base/list.h"
#include "io/http.h"
#include "loop/loop.h"

struct server;

struct directory {
    struct directory_doc doc;
    bool have;
    int64_t stale_at; /* mono */
    int64_t ahead_ms; /* the CA's clock by ours when it was fetched; 0: it does not say */
    struct list waiters;
    struct gate_pass pass;
    struct http_call *call;
    struct timer timer;
    struct retry retry;
    struct err refusal; /* who asks before refused_until (mono) gets it from here: the CA has
                           said that it wants to be left alone */
    int64_t refused_until;
};
void directory_init(struct directory *d);
void directory_done(struct directory *d); /* no waiter is called any more */

/* Exactly one of doc and err; doc lives for the call. */
typedef void directory_fn(void *arg, const struct directory_doc *doc, const struct err *err);
/* Embedded in its owner; zeroed is idle. */
struct directory_wait {
    struct list node;
    directory_fn *fn;
    void *arg;
    bool waiting;
};
/* The directory if it is there and fresh, else NULL. */
const struct directory_doc *directory_now(const struct server *s);
/* fn is called later, from the loop. */
void directory_get(struct server *s, struct directory_wait *w, directory_fn *fn, void *arg);
void directory_wait_cancel(struct directory_wait *w);
void directory_expire(struct server *s); /* one of its URLs was answered with 404 or 405 */

#endif
