/* SPDX-License-Identifier: ISC */
/*
 * The orders that an account has at its CA (RFC 8555 7.1.2.1), to find one whose URL never reached
 * us. One reading for all who look: a walk over the list, then over its orders from the newest end,
 * only as far as somebody still looks. What it saw stays, and serves who comes later, until a
 * newOrder's answer is lost (orders_lost) or the account is another one.
 *
 *   IDLE -> ACCOUNT -> LIST (pages) -> LISTED: reads orders while there are lookers
 *
 * A CA without such a list, or one that refuses it, has no orders to find. Only an order that waits
 * for us is found, pending or ready: none is finalized before its URL is durable, so what is
 * further on is not the one that is looked for.
 */
#ifndef RENEWD_ACME_ORDERS_H
#define RENEWD_ACME_ORDERS_H

#include "acme/doc.h"
#include "base/list.h"
#include "loop/loop.h"

struct ca;
struct request;

#define ORDERS_PAGES_MAX 50
#define ORDERS_MAX 2000 /* URLs of the list */
#define ORDERS_READS_MAX 200

struct orders_seen { /* an order that waits */
    char *url, *profile;
    char *names; /* sorted, with commas between */
};
struct orders {
    struct ca *ca;
    enum { ORDERS_IDLE = 0, ORDERS_ACCOUNT, ORDERS_LIST, ORDERS_LISTED } state;
    struct list lookers;
    struct request *request;
    struct defer kick;
    unsigned lost, lost_then;      /* answers: until now, when the walk began */
    unsigned account_then;         /* account.changes, likewise */
    char *pages[ORDERS_PAGES_MAX]; /* read, against loops */
    unsigned n_pages;
    char **urls; /* not read yet, the newest last */
    size_t n_urls;
    unsigned reads;
    struct orders_seen *seen;
    size_t n_seen;
};
void orders_init(struct orders *o, struct ca *ca);
void orders_done(struct orders *o);

/* url: NULL when there is none; lives for the call. */
typedef void orders_fn(void *arg, const char *url, const struct err *err);
struct orders_look { /* embedded; zeroed is idle */
    struct list node;
    char *names;
    const char *profile; /* "": any */
    orders_fn *fn;
    void *arg;
    bool waiting;
};
/* names: as in orders_seen, taken over; profile outlives the look. fn is called later, from the
 * loop. No two looks get the same order. */
void orders_find(struct orders *o, struct orders_look *w, char *names, const char *profile,
                 orders_fn *fn, void *arg);
void orders_look_cancel(struct orders_look *w);
/* The CA may have made an order, but whoever asked has not heard of it: what was seen is old. */
void orders_lost(struct orders *o);

char *orders_names(char *const *names, size_t n); /* sorted ones; the caller frees */

#endif
