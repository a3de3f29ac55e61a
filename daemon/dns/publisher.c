/* SPDX-License-Identifier: ISC */
#include "dns/publisher.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>

#define ZONES_TOLD 4u

struct publisher *publisher_new(const struct publisher_env *env)
{
    struct publisher *p = xnew(struct publisher);
    struct ledger_env ledger = {
        .loop = env->loop, .store = env->store, .providers = env->providers, .rng = env->rng};
    p->env = *env;
    p->reach = reach_new(env->loop);
    p->cuts = cuts_new(env->loop, env->dns, p->reach);
    p->ledger = ledger_new(&ledger);
    list_init(&p->waiting);
    return p;
}

void publisher_free(struct publisher *p)
{
    if (!p)
        return;
    ledger_free(p->ledger);
    cuts_free(p->cuts);
    reach_free(p->reach);
    conf_unref(p->conf);
    free(p);
}

void publisher_configure(struct publisher *p, struct conf *c)
{
    struct conf *old = p->conf;
    p->conf = conf_ref(c);
    conf_unref(old);
    cuts_clear(p->cuts);
    ledger_retry(p->ledger);
}

void publisher_recover(struct publisher *p, const char *const *keep_orders, size_t n)
{
    ledger_recover(p->ledger, keep_orders, n);
}

void publisher_order_ended(struct publisher *p, const char *order)
{
    ledger_order_ended(p->ledger, order);
}

void publisher_clean_now(struct publisher *p,
                         void (*done)(void *arg, unsigned removed, unsigned failed,
                                      const struct err *first),
                         void *arg)
{
    ledger_clean_now(p->ledger, done, arg);
}

void publisher_records(const struct publisher *p,
                       void (*fn)(void *arg, const struct publish_record *), void *arg)
{
    ledger_records(p->ledger, fn, arg);
}

/* "acme.example.net, example.org, ..." */
static void served_zones(const struct conf *conf, struct buf *out)
{
    unsigned n = 0;
    for (size_t i = 0; i < conf->n_providers; i++)
        for (size_t k = 0; k < conf->providers[i].zones.n; k++, n++)
            if (n < ZONES_TOLD)
                buf_putf(out, "%s%s", n ? ", " : "", conf->providers[i].zones.v[k]);
    if (n > ZONES_TOLD)
        buf_puts(out, ", ...");
}

const struct conf_provider *publisher_choose(const struct conf *conf, const struct conf_cert *cert,
                                             const struct conf_name *name,
                                             const struct alias_chain *chain, struct err *e)
{
    const char *final = chain->names[chain->n - 1];
    const char *zone = chain->zones[chain->n - 1];
    const struct conf_provider *p = conf_provider_for(conf, cert, name, final, e);
    if (p || name->provider[0] || cert->provider[0] || conf->n_providers == 0)
        return p;
    CLEANUP_BUF struct buf zones;
    buf_init(&zones, 65536);
    served_zones(conf, &zones);
    err_set(e, ERR_BLOCKED,
            "no provider serves %.100s%s%.100s%s: add %.100s to the zones of one of the providers, "
            "or make %.100s a CNAME of a name in a zone that one serves (%.100s)",
            final, chain->n > 1 ? " (where the alias " : "", chain->n > 1 ? chain->names[0] : "",
            chain->n > 1 ? " leads)" : "", zone[0] ? zone : "its zone", chain->names[0],
            zones.len ? buf_str(&zones) : "none has zones");
    err_activity(e, "choosing the provider for %s", chain->names[0]);
    return NULL;
}
