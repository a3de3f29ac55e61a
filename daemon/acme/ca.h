/* SPDX-License-Identifier: ISC */
/* A CA entry of the configuration at work: its server, its account, its places for running orders.
 * Counted: the table of acme.c and every order and call have a reference. */
#ifndef RENEWD_ACME_CA_H
#define RENEWD_ACME_CA_H

#include "acme/account.h"
#include "acme/orders.h"
#include "acme/server.h"

struct ca {
    unsigned refs;
    const struct acme_env *env;
    struct server *server;
    struct conf *conf; /* what cf belongs to */
    const struct conf_ca *cf;
    struct account account;
    struct orders orders;
    unsigned running;  /* orders that have a place; at most cf->max_orders */
    struct list queue; /* of struct ca_place */
    struct list holds; /* of struct ca_hold: nobody gets a place */
    struct defer admit;
    struct err last_error;
};

struct ca *ca_new(struct list *servers, const struct acme_env *env, struct conf *conf,
                  const struct conf_ca *cf);
struct ca *ca_ref(struct ca *c);
void ca_unref(struct ca *c); /* NULL is fine */
/* cf of the new generation means the same server and account under the same limits. */
bool ca_same(const struct ca *c, const struct conf_ca *cf);
void ca_update(struct ca *c, struct conf *conf, const struct conf_ca *cf); /* only when same */

/* A place among max_orders, first come first served. Embedded; zeroed is idle. */
struct ca_place {
    struct list node;
    struct ca *ca;
    void (*fn)(void *arg); /* called from the loop when there is one; before anything that was
                              deferred after ca_place_get() if one is free */
    void *arg;
    enum { CA_PLACE_NONE = 0, CA_PLACE_WAITING, CA_PLACE_HELD } state;
};
void ca_place_get(struct ca *c, struct ca_place *p, void (*fn)(void *arg), void *arg);
void ca_place_put(struct ca_place *p); /* gives it back, or leaves the line */

/* While one is there no order gets a place; fn is called from the loop as those end that run.
 * Embedded; zeroed is idle. */
struct ca_hold {
    struct list node;
    struct ca *ca; /* has a reference; NULL: idle */
    void (*fn)(void *arg);
    void *arg;
};
void ca_hold(struct ca *c, struct ca_hold *h, void (*fn)(void *arg), void *arg);
void ca_release(struct ca_hold *h);

#endif
