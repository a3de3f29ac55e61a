/* SPDX-License-Identifier: ISC */
/*
 *   ASK(name) --usable SOA--> known, waiters told
 *      |  ^
 *      |  +-- parent name: no SOA above it (alias, REFUSED, SERVFAIL, NOTIMP, a liar's SOA)
 *      +-- next resolver: no answer, SERVFAIL, REFUSED
 *      +-- root reached, or no resolver answers: error, waiters told, nothing cached
 */
#include "dns/soa_find.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "dns/servers.h"

#include <stdlib.h>

#define TTL_MAX_S 600u
#define TTL_MIN_S 5u
#define CACHE_MAX 8192u
#define RCODE_SERVFAIL 2
#define RCODE_NXDOMAIN 3
#define RCODE_REFUSED 5

struct soa_entry {
    struct soa_cache *cache;
    char name[NAME_MAX_TEXT];
    char at[NAME_MAX_TEXT]; /* the ancestor that is being asked about */
    char zone[NAME_MAX_TEXT];
    bool known;
    int64_t expires; /* boot clock, ms */
    struct server_set *servers;
    size_t server;
    struct dns_call *call;
    struct list waiters;
    bool root_denies; /* the root itself said NXDOMAIN */
    int last_rcode;
    bool last_had_soa;
};

struct soa_cache {
    struct loop *loop;
    struct dns *dns;
    struct map *entries;
};

struct soa_cache *soa_cache_new(struct loop *l, struct dns *d)
{
    struct soa_cache *c = xnew(struct soa_cache);
    c->loop = l;
    c->dns = d;
    c->entries = map_new();
    return c;
}

static void entry_free(struct soa_entry *e)
{
    if (e->call)
        dns_cancel(e->call);
    server_set_unref(e->servers);
    list_each(it, &e->waiters)
    {
        struct soa_wait *w = list_item(it, struct soa_wait, node);
        list_remove(it);
        w->waiting = false;
    }
    free(e);
}

/* Throws out results; all of them, or the expired ones. */
static void cache_sweep(struct soa_cache *c, bool all)
{
    struct map *kept = map_new();
    const char *key;
    void *value;
    for (size_t i = 0; map_next(c->entries, &i, &key, &value);) {
        struct soa_entry *e = value;
        if (!e->known || (!all && e->expires > loop_mono_ms(c->loop)))
            map_put(kept, key, e);
        else
            entry_free(e);
    }
    map_free(c->entries);
    c->entries = kept;
}

void soa_cache_clear(struct soa_cache *c)
{
    cache_sweep(c, true);
}

void soa_cache_free(struct soa_cache *c)
{
    const char *key;
    void *value;
    if (!c)
        return;
    for (size_t i = 0; map_next(c->entries, &i, &key, &value);)
        entry_free(value);
    map_free(c->entries);
    free(c);
}

const struct dns_record *soa_in_reply(const struct dns_reply *r, const char *name)
{
    const struct dns_record *best = NULL;
    for (size_t i = 0; i < r->n; i++) {
        const struct dns_record *rec = &r->records[i];
        if (rec->type != DNS_SOA || rec->section == DNS_ADDITIONAL || !name_under(name, rec->owner))
            continue;
        if (!best || name_under(rec->owner, best->owner))
            best = rec;
    }
    return best;
}

static void tell(struct soa_entry *e, const char *zone, const struct err *err)
{
    struct list now;
    list_init(&now);
    list_each(it, &e->waiters)
    {
        list_remove(it);
        list_append(&now, it);
    }
    /* Callbacks may cancel others in the list, so it is taken from the front. */
    while (!list_empty(&now)) {
        struct soa_wait *w = list_item(now.next, struct soa_wait, node);
        list_remove(&w->node);
        w->waiting = false;
        w->fn(w->arg, zone, err);
    }
}

static void found(struct soa_entry *e, const struct dns_record *soa)
{
    struct err ok = ERR_INIT;
    uint32_t ttl = soa->ttl > TTL_MAX_S ? TTL_MAX_S : soa->ttl;
    if (ttl < TTL_MIN_S)
        ttl = TTL_MIN_S;
    char zone[NAME_MAX_TEXT];
    str_copy(zone, sizeof(zone), soa->owner);
    str_copy(e->zone, sizeof(e->zone), zone);
    e->known = true;
    server_set_unref(e->servers);
    e->servers = NULL;
    e->expires = loop_mono_ms(e->cache->loop) + (int64_t)ttl * 1000;
    tell(e, zone, &ok);
}

static void failed(struct soa_entry *e, const struct err *why)
{
    struct err err = *why;
    map_remove(e->cache->entries, e->name);
    err_activity(&err, "finding the zone of %s", e->name);
    struct soa_entry *mine = e; /* the waiters may ask again, which makes a new entry */
    tell(mine, NULL, &err);
    entry_free(mine);
}

static void no_zone(struct soa_entry *e)
{
    struct err err = ERR_INIT;
    if (e->root_denies)
        err_set(
            &err, ERR_BLOCKED,
            "the domain of %s does not exist: the root servers know nothing of %s (register it, "
            "or correct the name or the alias that leads to it; for a private domain write its "
            "servers under dns.zones)",
            e->name, e->name);
    else
        err_set(
            &err, ERR_TRANSIENT,
            "the resolvers give no usable SOA record for %s or the names above it (last answer: "
            "%s%s); where resolvers cannot, write the zone's servers under dns.zones",
            e->name, dns_rcode_name(e->last_rcode),
            e->last_had_soa ? " with the SOA of an unrelated zone" : "");
    failed(e, &err);
}

static void ask(struct soa_entry *e);

static void next_name(struct soa_entry *e)
{
    char up[NAME_MAX_TEXT];
    str_copy(up, sizeof(up), name_parent(e->at));
    str_copy(e->at, sizeof(e->at), up);
    e->server = 0;
    if (e->at[0])
        ask(e);
    else
        no_zone(e);
}

static bool has_any_soa(const struct dns_reply *r)
{
    for (size_t i = 0; i < r->n; i++)
        if (r->records[i].type == DNS_SOA)
            return true;
    return false;
}

static void on_reply(void *arg, const struct dns_reply *reply, const struct err *err)
{
    struct soa_entry *e = arg;
    e->call = NULL;
    bool broken = reply && (reply->rcode == RCODE_SERVFAIL || reply->rcode == RCODE_REFUSED);
    if ((!reply || broken) && e->server + 1 < e->servers->n) {
        e->server++;
        ask(e);
        return;
    }
    if (!reply) {
        struct err why = *err;
        err_prefix(&why, "asking %s for the SOA record of %s", e->servers->v[e->server].label,
                   e->at);
        if (why.cls == ERR_NONE)
            why.cls = ERR_TRANSIENT;
        failed(e, &why);
        return;
    }
    const struct dns_record *soa = soa_in_reply(reply, e->at);
    e->last_rcode = reply->rcode;
    e->last_had_soa = !soa && has_any_soa(reply);
    if (soa && soa->owner[0]) {
        found(e, soa);
        return;
    }
    if (soa && reply->rcode == RCODE_NXDOMAIN)
        e->root_denies = true;
    next_name(e);
}

static void ask(struct soa_entry *e)
{
    e->call = server_ask(e->cache->dns, e->servers, e->server, e->at, DNS_SOA, on_reply, e);
}

static void deliver_known(void *arg)
{
    struct soa_wait *w = arg;
    struct err ok = ERR_INIT;
    w->waiting = false;
    w->fn(w->arg, w->zone, &ok);
}

static struct soa_entry *entry_new(struct soa_cache *c, const struct conf *conf, const char *name)
{
    struct soa_entry *e = xnew(struct soa_entry);
    e->cache = c;
    list_init(&e->waiters);
    str_copy(e->name, sizeof(e->name), name);
    str_copy(e->at, sizeof(e->at), name);
    e->servers = server_set_resolvers(conf, conf_dns_for(conf, name));
    map_put(c->entries, name, e);
    return e;
}

void soa_find(struct soa_cache *c, const struct conf *conf, const char *name, struct soa_wait *w,
              soa_done_fn *fn, void *arg)
{
    struct soa_entry *e = map_get(c->entries, name);
    w->fn = fn;
    w->arg = arg;
    w->waiting = true;
    list_init(&w->node);
    if (e && e->known && e->expires > loop_mono_ms(c->loop)) {
        str_copy(w->zone, sizeof(w->zone), e->zone);
        loop_defer(c->loop, &w->defer, deliver_known, w);
        return;
    }
    if (e && e->known) {
        map_remove(c->entries, name);
        entry_free(e);
        e = NULL;
    }
    if (!e) {
        if (map_len(c->entries) >= CACHE_MAX)
            cache_sweep(c, false);
        e = entry_new(c, conf, name);
        ask(e);
    }
    list_append(&e->waiters, &w->node);
}

void soa_wait_cancel(struct soa_wait *w)
{
    if (!w->waiting)
        return;
    w->waiting = false;
    defer_cancel(&w->defer);
    list_remove(&w->node);
}
