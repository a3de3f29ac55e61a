/* SPDX-License-Identifier: ISC */
/*
 * Where a name lives: the zone cut above it, the zone's servers, and whether the name is an alias,
 * found without asking a recursive resolver for the name itself (it will soon exist, and resolvers
 * remember that something did not). The resolvers are asked for the zone of the name's parent; that
 * zone's own servers then say by their answer to one CNAME query whether the name is an alias, lies
 * in their zone, or below a deeper cut.
 */
#ifndef RENEWD_DNS_ZONE_CUT_H
#define RENEWD_DNS_ZONE_CUT_H

#include "dns/servers.h"

struct cuts; /* caches, shared by all */
struct soa_cache;
struct ns_cache;
struct cut_call;

struct cut {
    struct server_set *servers; /* of the zone, or resolvers (resolved) */
    const char *zone;           /* "" only when resolved and resolvers give no SOA record */
    const char *alias;          /* target of the CNAME at the name; "" = none */
    bool resolved;    /* the resolvers were asked for want of authoritative servers, or as told */
    const char *note; /* why they had to be; "" */
    const struct dns_reply *reply; /* of cut_ask(): what was said of the name; never NULL there */
};
/* cut NULL: *err. All of it lives for the call. */
typedef void cut_done_fn(void *arg, const struct cut *cut, const struct err *err);

struct cuts *cuts_new(struct loop *l, struct dns *d, struct reach *r);
void cuts_free(struct cuts *c);
/* Forgets what was cached (settings of dns may have changed). */
void cuts_clear(struct cuts *c);
struct soa_cache *cuts_soa(struct cuts *c);
struct ns_cache *cuts_ns(struct cuts *c);
/* The zone's servers were of no use: ask anew next time. */
void cuts_drop(struct cuts *c, const char *zone);
/* conf must live until the call ends. */
struct cut_call *cut_find(struct cuts *c, const struct conf *conf, const char *name,
                          cut_done_fn *done, void *arg);
/* The same for a name that is asked about in itself, not for one that will be made below it: the
 * zone that it lies in, whether it is an alias, and its records of that type. */
struct cut_call *cut_ask(struct cuts *c, const struct conf *conf, const char *name,
                         enum dns_type type, cut_done_fn *done, void *arg);
void cut_cancel(struct cut_call *call);

#endif
