/* SPDX-License-Identifier: ISC */
/*
 * Is a zone's DNSSEC broken ("bogus")? Every CA refuses to issue then (Baseline Requirements
 * 3.2.2.4, since 2026-03-15). Told by the configured resolvers, one query where all is well:
 * SERVFAIL with checking and an answer without (CD, RFC 4035 3.2.2), twice, or with the resolver's
 * own words for it (RFC 8914), is bogus. Resolvers that do not validate see nothing.
 *
 * The zone's apex is asked for, which is always there: a resolver that is asked for a name which
 * does not exist yet remembers that, and with it that nothing is below (RFC 8020).
 */
#ifndef RENEWD_DNS_DNSSEC_H
#define RENEWD_DNS_DNSSEC_H

#include "dns/servers.h"

struct dnssec_cache;
struct exchange_pool;

enum dnssec_state {
    DNSSEC_SOUND, /* or not signed, or not validated by the resolvers */
    DNSSEC_BOGUS,
    DNSSEC_UNKNOWN, /* no resolver answers usefully: text says what they say */
};
struct dnssec_verdict {
    enum dnssec_state state;
    bool failing; /* resolvers answer that they cannot find the zone, with checking and without */
    char *text;   /* "" when sound */
};

/* pool NULL: nothing is ever bogus. */
struct dnssec_cache *dnssec_cache_new(struct loop *l, struct dns *d, struct exchange_pool *pool);
void dnssec_cache_free(struct dnssec_cache *c); /* calls must have ended */
void dnssec_cache_clear(struct dnssec_cache *c);

struct dnssec_call;
/* v lives for the call. */
typedef void dnssec_done_fn(void *arg, const struct dnssec_verdict *v);
struct dnssec_call *dnssec_find(struct dnssec_cache *c, struct conf *conf, const char *zone,
                                bool fresh, dnssec_done_fn *done, void *arg);
void dnssec_cancel(struct dnssec_call *c);

#endif
