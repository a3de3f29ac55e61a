/* SPDX-License-Identifier: ISC */
/*
 *            referral              its addresses              hint: servers
 *   START ------------> ADDRESSES ---------------> OWN_NS <------------------ START
 *     |                                              |  ask the zone's servers themselves, in turn
 *     | no hint                                      v  (none answers: the referral's set stands)
 *     +------> RESOLVER_NS ---------------------> ADDRESSES -> known, waiters told
 *                     |
 *                     +-- no NS set: error, waiters told, nothing cached
 */
#include "dns/ns_find.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>

#define TTL_MAX_S 600u
#define TTL_MIN_S 5u
#define CACHE_MAX 8192u
#define HOSTS_MAX 64u
#define ADDRS_MAX 16u /* of one host */
#define DNS_PORT 53

struct host {
    struct ns_entry *entry;
    char name[NAME_MAX_TEXT];
    struct dns_addr addrs[ADDRS_MAX];
    size_t n;
    struct dns_call *call;
    bool asked;
};

struct ns_entry {
    struct ns_cache *cache;
    char zone[NAME_MAX_TEXT];
    struct server_set *set; /* the result, once known */
    bool known;
    int64_t expires;
    uint32_t ttl;
    struct host *hosts[HOSTS_MAX];
    size_t n_hosts, resolving;
    struct server_set *asked; /* whom NS is asked: resolvers, or the zone's servers */
    size_t server;
    bool own_ns_done;
    struct dns_call *call;
    struct list waiters;
    struct err last;
};

struct ns_cache {
    struct loop *loop;
    struct dns *dns;
    struct reach *reach;
    struct map *entries;
};

struct ns_cache *ns_cache_new(struct loop *l, struct dns *d, struct reach *r)
{
    struct ns_cache *c = xnew(struct ns_cache);
    c->loop = l;
    c->dns = d;
    c->reach = r;
    c->entries = map_new();
    return c;
}

static void entry_free(struct ns_entry *e)
{
    if (e->call)
        dns_cancel(e->call);
    for (size_t i = 0; i < e->n_hosts; i++) {
        if (e->hosts[i]->call)
            dns_cancel(e->hosts[i]->call);
        free(e->hosts[i]);
    }
    list_each(it, &e->waiters)
    {
        list_item(it, struct ns_wait, node)->waiting = false;
        list_remove(it);
    }
    server_set_unref(e->asked);
    server_set_unref(e->set);
    free(e);
}

static void cache_sweep(struct ns_cache *c, bool all)
{
    struct map *kept = map_new();
    const char *key;
    void *value;
    for (size_t i = 0; map_next(c->entries, &i, &key, &value);) {
        struct ns_entry *e = value;
        if (!e->known || (!all && e->expires > loop_mono_ms(c->loop)))
            map_put(kept, key, e);
        else
            entry_free(e);
    }
    map_free(c->entries);
    c->entries = kept;
}

void ns_cache_clear(struct ns_cache *c)
{
    cache_sweep(c, true);
}

void ns_cache_drop(struct ns_cache *c, const char *zone)
{
    struct ns_entry *e = map_get(c->entries, zone);
    if (!e || !e->known)
        return;
    map_remove(c->entries, zone);
    entry_free(e);
}

void ns_cache_free(struct ns_cache *c)
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

static void tell(struct ns_entry *e, struct server_set *set, const struct err *err)
{
    struct list now;
    list_init(&now);
    list_each(it, &e->waiters)
    {
        list_remove(it);
        list_append(&now, it);
    }
    while (!list_empty(&now)) {
        struct ns_wait *w = list_item(now.next, struct ns_wait, node);
        list_remove(&w->node);
        w->waiting = false;
        w->fn(w->arg, set, err);
    }
}

static void failed(struct ns_entry *e, const struct err *why)
{
    struct err err = *why;
    if (err.cls == ERR_NONE)
        err.cls = ERR_TRANSIENT;
    err_activity(&err, "finding the name servers of %s", e->zone);
    map_remove(e->cache->entries, e->zone);
    tell(e, NULL, &err);
    entry_free(e);
}

static void succeeded(struct ns_entry *e, struct server_set *set)
{
    struct err ok = ERR_INIT;
    uint32_t ttl = e->ttl > TTL_MAX_S ? TTL_MAX_S : e->ttl;
    if (ttl < TTL_MIN_S)
        ttl = TTL_MIN_S;
    e->set = set;
    e->known = true;
    e->expires = loop_mono_ms(e->cache->loop) + (int64_t)ttl * 1000;
    struct server_set *held = server_set_ref(set); /* a waiter may drop the entry */
    tell(e, held, &ok);
    server_set_unref(held);
}

static struct server_set *gather(const struct ns_entry *e)
{
    struct server_set *s = server_set_new(e->zone);
    for (size_t i = 0; i < e->n_hosts; i++)
        for (size_t k = 0; k < e->hosts[i]->n; k++)
            server_set_add(s, e->hosts[i]->name, &e->hosts[i]->addrs[k]);
    return s;
}

static void no_addresses(struct ns_entry *e)
{
    struct err err = ERR_INIT;
    err_set(&err, ERR_TRANSIENT, "none of the %zu name servers of %s has an address (%s%s)%s%.200s",
            e->n_hosts, e->zone, e->n_hosts ? e->hosts[0]->name : "no NS record",
            e->n_hosts > 1 ? ", ..." : "", e->last.detail[0] ? ": " : "", e->last.detail);
    failed(e, &err);
}

static void ask_own_ns(struct ns_entry *e);

static void addresses_done(struct ns_entry *e)
{
    struct server_set *set = gather(e);
    if (set->n == 0) {
        server_set_unref(set);
        no_addresses(e);
    } else if (!e->own_ns_done) {
        e->own_ns_done = true;
        e->asked = set;
        e->server = 0;
        ask_own_ns(e);
    } else {
        succeeded(e, set);
    }
}

static void host_add(struct host *h, const struct dns_addr *a)
{
    struct dns_addr with_port = *a;
    if (with_port.sa.ss_family == AF_INET)
        ((struct sockaddr_in *)&with_port.sa)->sin_port = htons(DNS_PORT);
    else
        ((struct sockaddr_in6 *)&with_port.sa)->sin6_port = htons(DNS_PORT);
    for (size_t i = 0; i < h->n; i++)
        if (dns_addr_eq(&h->addrs[i], &with_port))
            return;
    if (h->n < ADDRS_MAX)
        h->addrs[h->n++] = with_port;
}

static void on_resolved(void *arg, const struct dns_addr *addrs, size_t n, const struct err *err)
{
    struct host *h = arg;
    struct ns_entry *e = h->entry;
    h->call = NULL;
    if (err->cls != ERR_NONE)
        e->last = *err;
    for (size_t i = 0; i < n; i++)
        host_add(h, &addrs[i]);
    if (--e->resolving == 0)
        addresses_done(e);
}

/* Addresses of the hosts that came without glue. */
static void ask_addresses(struct ns_entry *e)
{
    for (size_t i = 0; i < e->n_hosts; i++) {
        struct host *h = e->hosts[i];
        if (h->n || h->asked)
            continue;
        h->asked = true;
        e->resolving++;
        h->call = dns_resolve(e->cache->dns, h->name, DNS_PORT, SERVERS_RESOLVE_MS, on_resolved, h);
    }
    if (e->resolving == 0)
        addresses_done(e);
}

static struct host *host_get(struct ns_entry *e, const char *name)
{
    for (size_t i = 0; i < e->n_hosts; i++)
        if (str_eq(e->hosts[i]->name, name))
            return e->hosts[i];
    if (e->n_hosts == HOSTS_MAX)
        return NULL;
    struct host *h = xnew(struct host);
    h->entry = e;
    str_copy(h->name, sizeof(h->name), name);
    e->hosts[e->n_hosts++] = h;
    return h;
}

/* Takes the NS records that belong to the zone; returns how many. Glue is believed below `trust`.
 */
static size_t take_ns(struct ns_entry *e, const struct dns_reply *r, const char *trust)
{
    size_t found = 0;
    for (size_t i = 0; i < r->n; i++) {
        const struct dns_record *rec = &r->records[i];
        if (rec->type != DNS_NS || rec->section == DNS_ADDITIONAL || !str_eq(rec->owner, e->zone))
            continue;
        char host[NAME_MAX_TEXT];
        if (name_owner(rec->name, host) != NAME_OK)
            continue;
        e->ttl = found == 0 || rec->ttl < e->ttl ? rec->ttl : e->ttl;
        host_get(e, host);
        found++;
    }
    for (size_t i = 0; found && trust && i < r->n; i++) {
        const struct dns_record *rec = &r->records[i];
        if ((rec->type != DNS_A && rec->type != DNS_AAAA) || !name_under(rec->owner, trust))
            continue;
        for (size_t k = 0; k < e->n_hosts; k++)
            if (str_eq(e->hosts[k]->name, rec->owner))
                host_add(e->hosts[k], &rec->addr);
    }
    return found;
}

static void next_own_ns(struct ns_entry *e)
{
    if (++e->server < e->asked->n)
        ask_own_ns(e);
    else if (e->n_hosts)
        addresses_done(e); /* the referral's servers, for want of better */
    else
        succeeded(e, server_set_for_zone(e->asked, e->zone));
}

static void on_own_ns(void *arg, const struct dns_reply *reply, const struct err *err)
{
    struct ns_entry *e = arg;
    const struct server *s = &e->asked->v[e->server];
    e->call = NULL;
    if (!reply) {
        reach_failed(e->cache->reach, s);
        e->last = *err;
    } else {
        reach_answered(e->cache->reach, s);
    }
    if (!reply || !reply->aa || reply->rcode || !take_ns(e, reply, e->zone))
        next_own_ns(e);
    else
        ask_addresses(e);
}

static void ask_own_ns(struct ns_entry *e)
{
    while (e->server + 1 < e->asked->n && reach_is_down(e->cache->reach, &e->asked->v[e->server]))
        e->server++;
    e->call = server_ask(e->cache->dns, e->asked, e->server, e->zone, DNS_NS, on_own_ns, e);
}

static void ask_resolver_ns(struct ns_entry *e);

static void on_resolver_ns(void *arg, const struct dns_reply *reply, const struct err *err)
{
    struct ns_entry *e = arg;
    struct err why = ERR_INIT;
    e->call = NULL;
    if (reply && reply->rcode == 0 && take_ns(e, reply, NULL)) {
        ask_addresses(e);
        return;
    }
    if (e->server + 1 < e->asked->n) {
        e->server++;
        ask_resolver_ns(e);
        return;
    }
    if (reply)
        err_set(&why, ERR_TRANSIENT,
                "the resolvers know no name servers of %s (%s, no NS record); write them under "
                "dns.zones if resolvers cannot",
                e->zone, dns_rcode_name(reply->rcode));
    else
        why = *err;
    failed(e, &why);
}

static void ask_resolver_ns(struct ns_entry *e)
{
    e->call = server_ask(e->cache->dns, e->asked, e->server, e->zone, DNS_NS, on_resolver_ns, e);
}

static void start(struct ns_entry *e, const struct conf *conf, const struct ns_hint *hint)
{
    if (hint && hint->referral && take_ns(e, hint->referral, hint->referrer)) {
        ask_addresses(e);
        return;
    }
    e->own_ns_done = true;
    if (hint && hint->servers) {
        e->asked = server_set_for_zone(hint->servers, e->zone);
        ask_own_ns(e);
    } else {
        e->asked = server_set_resolvers(conf, conf_dns_for(conf, e->zone));
        ask_resolver_ns(e);
    }
}

static void deliver_known(void *arg)
{
    struct ns_wait *w = arg;
    struct err ok = ERR_INIT;
    struct server_set *set = w->set;
    w->set = NULL;
    w->waiting = false;
    w->fn(w->arg, set, &ok);
    server_set_unref(set);
}

static struct ns_entry *entry_new(struct ns_cache *c, const char *zone)
{
    struct ns_entry *e = xnew(struct ns_entry);
    e->cache = c;
    list_init(&e->waiters);
    str_copy(e->zone, sizeof(e->zone), zone);
    map_put(c->entries, zone, e);
    return e;
}

void ns_find(struct ns_cache *c, const struct conf *conf, const char *zone,
             const struct ns_hint *hint, struct ns_wait *w, ns_done_fn *fn, void *arg)
{
    struct ns_entry *e = map_get(c->entries, zone);
    w->fn = fn;
    w->arg = arg;
    w->waiting = true;
    list_init(&w->node);
    if (e && e->known && e->expires > loop_mono_ms(c->loop)) {
        w->set = server_set_ref(e->set);
        loop_defer(c->loop, &w->defer, deliver_known, w);
        return;
    }
    if (e && e->known)
        ns_cache_drop(c, zone), e = NULL;
    if (!e) {
        if (map_len(c->entries) >= CACHE_MAX)
            cache_sweep(c, false);
        e = entry_new(c, zone);
        list_append(&e->waiters, &w->node);
        start(e, conf, hint);
        return;
    }
    list_append(&e->waiters, &w->node);
}

void ns_wait_cancel(struct ns_wait *w)
{
    if (!w->waiting)
        return;
    w->waiting = false;
    defer_cancel(&w->defer);
    list_remove(&w->node);
    server_set_unref(w->set);
    w->set = NULL;
}
