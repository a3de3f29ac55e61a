/* SPDX-License-Identifier: ISC */
/*
 * Does the delegation of the zone that a name lies in lead to servers that serve it? The parent's
 * servers are asked for it, then each address of each name server for the zone's SOA: one without
 * an address, one that does not answer, that refuses or has no authority (lame) is named with what
 * it said. Dead is only what a resolver cannot find, either: we may be the ones who are cut off.
 */
#ifndef RENEWD_DNS_DELEGATION_H
#define RENEWD_DNS_DELEGATION_H

#include "dns/finding.h"
#include "dns/zone_cut.h"

struct delegation_cache;
struct delegation_call;

struct delegation_verdict {
    enum finding_level level; /* FAIL: no server is of use; WARN: some are not, or not known */
    char *zone;               /* "" if not known */
    char *text;
};

struct delegation_cache *delegation_cache_new(struct loop *l, struct dns *d, struct reach *r,
                                              struct cuts *cuts);
void delegation_cache_free(struct delegation_cache *c); /* calls must have ended */
void delegation_cache_clear(struct delegation_cache *c);

typedef void delegation_done_fn(void *arg, const struct delegation_verdict *v);
/* v lives for the call. */
struct delegation_call *delegation_find(struct delegation_cache *c, struct conf *conf,
                                        const char *name, bool fresh, delegation_done_fn *done,
                                        void *arg);
void delegation_cancel(struct delegation_call *c);

#endif
