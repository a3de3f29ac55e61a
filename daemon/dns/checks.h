/* SPDX-License-Identifier: ISC */
/*
 * All that DNS must have right before a CA is asked to issue for one name: CAA records, DNSSEC, the
 * delegation, and for records under _acme-challenge where they would go and who makes them there.
 *
 * What it costs: one query for a name's CAA records to a server of its zone, which shows as well
 * that the delegation is alive; one for its alias; and for a zone one query to the resolvers
 * (DNSSEC) and the CAA records of the apex and above. All but the name's own are shared for
 * minutes. Delegations are looked at when a zone gives no answer, or if `full`.
 */
#ifndef RENEWD_DNS_CHECKS_H
#define RENEWD_DNS_CHECKS_H

#include "dns/caa.h"
#include "dns/finding.h"
#include "dns/publish.h"

struct checks; /* caches, shared by all */
struct checks_call;
struct exchange_pool;

/* The publisher's configuration is used. pool NULL: DNSSEC is not looked at closely. */
struct checks *checks_new(struct loop *l, struct dns *d, struct publisher *p,
                          struct exchange_pool *pool);
void checks_free(struct checks *c); /* calls must have ended */
void checks_clear(struct checks *c);

struct checks_spec {
    const struct conf_cert *cert;
    const struct conf_name *name;
    bool full;       /* each thing that is as it should be is told, too */
    bool fresh;      /* what was found earlier does not count */
    bool no_records; /* another name's check tells where its record goes */
    int64_t timeout_ms;
};
struct checks_handler {
    /* Who wants to issue, as soon as CAA records make that matter; NULL: not known yet, and
     * checks_asker() will be called. account: its URL matters. */
    const struct caa_asker *(*asker)(void *arg, bool account);
    /* Takes what it likes out of the findings. Frees the call. */
    void (*done)(void *arg, struct findings *f);
};
/* Copies what it needs. */
struct checks_call *checks_start(struct checks *c, const struct checks_spec *s,
                                 const struct checks_handler *h, void *arg);
void checks_asker(struct checks_call *c);
void checks_cancel(struct checks_call *c);

/* The provider for the record of that name, if its last check found one; else "". */
struct checks_place {
    char provider[128], fqdn[NAME_MAX_TEXT], zone[NAME_MAX_TEXT];
};
const struct checks_place *checks_place(const struct checks_call *c); /* inside done() */

#endif
