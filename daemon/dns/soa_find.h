/* SPDX-License-Identifier: ISC */
/*
 * The zone that holds a name, as resolvers see it: by one SOA query, whose owner is taken from the
 * answer or from the authority section (RFC 2308) if it is the name itself or above it; labels are
 * walked only where servers are broken. Cached for the SOA's TTL (at most ten minutes); equal
 * questions that are on their way share one query.
 *
 * Never ask this for a name that is about to be made: an NXDOMAIN would be cached by the resolvers.
 */
#ifndef RENEWD_DNS_SOA_FIND_H
#define RENEWD_DNS_SOA_FIND_H

#include "base/err.h"
#include "base/list.h"
#include "base/name.h"
#include "conf/conf.h"
#include "io/dns.h"

struct soa_cache;
struct soa_entry;

/* zone NULL: *err says why. Never the root: that nothing exists there is ERR_BLOCKED. */
typedef void soa_done_fn(void *arg, const char *zone, const struct err *err);
/* Embedded in who waits; zeroed is valid (idle). */
struct soa_wait {
    struct list node;
    struct defer defer;
    soa_done_fn *fn;
    void *arg;
    char zone[NAME_MAX_TEXT];
    bool waiting;
};

struct soa_cache *soa_cache_new(struct loop *l, struct dns *d);
void soa_cache_free(struct soa_cache *c);
void soa_cache_clear(struct soa_cache *c); /* forgets results; running questions go on */
void soa_find(struct soa_cache *c, const struct conf *conf, const char *name, struct soa_wait *w,
              soa_done_fn *fn, void *arg);
void soa_wait_cancel(struct soa_wait *w);

/* The owner of a SOA record of the reply that is name or above it, the longest; NULL if none. "" is
 * the root's. */
const struct dns_record *soa_in_reply(const struct dns_reply *r, const char *name);

#endif
