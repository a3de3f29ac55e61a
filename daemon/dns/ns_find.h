/* SPDX-License-Identifier: ISC */
/*
 * The name servers of a zone with every address of each. Cached for the NS set's TTL (at most ten
 * minutes) and forgotten on failure; equal questions on their way share the work.
 *
 * The NS set comes from the zone's own servers where some are known (a referral's, or the parent's
 * servers when they hold the child too), else from the resolvers.
 */
#ifndef RENEWD_DNS_NS_FIND_H
#define RENEWD_DNS_NS_FIND_H

#include "dns/servers.h"

struct ns_cache;
struct ns_entry;

/* set NULL: *err says why; else the caller takes its own reference to keep it. */
typedef void ns_done_fn(void *arg, struct server_set *set, const struct err *err);
struct ns_wait { /* embedded in who waits; zeroed is valid (idle) */
    struct list node;
    struct defer defer;
    ns_done_fn *fn;
    void *arg;
    struct server_set *set;
    bool waiting;
};

struct ns_cache *ns_cache_new(struct loop *l, struct dns *d, struct reach *r);
void ns_cache_free(struct ns_cache *c);
void ns_cache_clear(struct ns_cache *c);
void ns_cache_drop(struct ns_cache *c, const char *zone);

struct ns_hint {
    const struct dns_reply *referral; /* its NS and glue are used; NULL: none */
    const char *referrer; /* zone of the server that gave it: glue below it is believed */
    const struct server_set *servers; /* known to serve the zone; NULL: none */
};
/* hint may be NULL, and is not kept. */
void ns_find(struct ns_cache *c, const struct conf *conf, const char *zone,
             const struct ns_hint *hint, struct ns_wait *w, ns_done_fn *fn, void *arg);
void ns_wait_cancel(struct ns_wait *w);

#endif
