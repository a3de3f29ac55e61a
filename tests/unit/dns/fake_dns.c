/* SPDX-License-Identifier: ISC */
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "fake.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DNAME 39
#define LATENCY_MS 1
#define REPLY_MAX 300
#define RESOLVER "resolver"

struct rr {
    struct list node;
    char owner[NAME_MAX_TEXT];
    int type;
    char data[512];
    int64_t from; /* visible from then on */
};
struct zone {
    struct list node;
    char apex[NAME_MAX_TEXT];
    struct list rrs;
};
struct server_state {
    struct list node;
    char addr[64];
    enum fake_mode mode;
    int64_t lag;
    struct list zones;
};
struct dns {
    struct loop *loop;
    struct list servers;
    struct list calls;
    enum fake_mode resolver_mode;
    uint32_t ttl, minimum;
    struct fake_query *log;
    size_t n_log;
    const char *broken; /* the resolver answers SERVFAIL for it and below; NULL: for nothing */
    struct map *absent; /* the resolver's memory: "name" -> until + 1 */
};

struct dns_call {
    struct list node;
    struct dns *dns;
    struct timer timer;
    struct dns_query q;
    char name[NAME_MAX_TEXT];
    char server[64];
    uint16_t port;
    dns_done_fn *done;
    dns_resolved_fn *resolved;
    void *arg;
};

struct answer {
    struct dns_reply reply;
    struct dns_record records[REPLY_MAX];
    char caa[8][512]; /* RDATA */
    size_t n_caa;
};

struct dns *fake_dns_new(struct loop *l)
{
    struct dns *d = xnew(struct dns);
    d->loop = l;
    list_init(&d->servers);
    list_init(&d->calls);
    d->ttl = 300;
    d->minimum = 60;
    d->absent = map_new();
    return d;
}

static void forget_absent(struct dns *d)
{
    const char *key;
    void *value;
    for (size_t i = 0; map_next(d->absent, &i, &key, &value);)
        free(value);
    map_free(d->absent);
    d->absent = map_new();
}

void fake_dns_free(struct dns *d)
{
    list_each(s, &d->servers)
    {
        struct server_state *server = list_item(s, struct server_state, node);
        list_each(z, &server->zones)
        {
            struct zone *zone = list_item(z, struct zone, node);
            list_each(r, &zone->rrs) free(list_item(r, struct rr, node));
            free(zone);
        }
        free(server);
    }
    list_each(c, &d->calls) dns_cancel(list_item(c, struct dns_call, node));
    forget_absent(d);
    map_free(d->absent);
    free(d->log);
    free(d);
}

static struct server_state *server_get(struct dns *d, const char *addr)
{
    list_each(it, &d->servers)
    {
        struct server_state *s = list_item(it, struct server_state, node);
        if (str_eq(s->addr, addr))
            return s;
    }
    struct server_state *s = xnew(struct server_state);
    str_copy(s->addr, sizeof(s->addr), addr);
    list_init(&s->zones);
    list_append(&d->servers, &s->node);
    return s;
}

static struct zone *zone_get(struct server_state *s, const char *apex)
{
    list_each(it, &s->zones)
    {
        struct zone *z = list_item(it, struct zone, node);
        if (str_eq(z->apex, apex))
            return z;
    }
    return NULL;
}

static struct zone *zone_for(const struct server_state *s, const char *name)
{
    struct zone *best = NULL;
    list_each(it, &s->zones)
    {
        struct zone *z = list_item(it, struct zone, node);
        if (name_under(name, z->apex) && (!best || name_under(z->apex, best->apex)))
            best = z;
    }
    return best;
}

static int type_number(const char *type)
{
    static const struct {
        const char *name;
        int type;
    } types[] = {{"A", DNS_A},     {"NS", DNS_NS},     {"CNAME", DNS_CNAME}, {"SOA", DNS_SOA},
                 {"TXT", DNS_TXT}, {"AAAA", DNS_AAAA}, {"DNAME", DNAME},     {"CAA", DNS_CAA}};
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (str_eq(types[i].name, type))
            return types[i].type;
    abort();
}

static void zone_add(struct zone *z, const char *owner, int type, const char *data, int64_t from)
{
    struct rr *r = xnew(struct rr);
    str_copy(r->owner, sizeof(r->owner), owner);
    str_copy(r->data, sizeof(r->data), data);
    r->type = type;
    r->from = from;
    list_append(&z->rrs, &r->node);
}

void fake_zone(struct dns *d, const char *server, const char *apex)
{
    struct server_state *s = server_get(d, server);
    struct zone *z = xnew(struct zone);
    str_copy(z->apex, sizeof(z->apex), apex);
    list_init(&z->rrs);
    list_append(&s->zones, &z->node);
    zone_add(z, apex, DNS_SOA, "ns.invalid", 0);
}

void fake_rr(struct dns *d, const char *server, const char *apex, const char *owner,
             const char *type, const char *data)
{
    zone_add(zone_get(server_get(d, server), apex), owner, type_number(type), data, 0);
}

void fake_rr_remove(struct dns *d, const char *owner, const char *data)
{
    list_each(s, &d->servers)
    {
        list_each(z, &list_item(s, struct server_state, node)->zones)
        {
            list_each(it, &list_item(z, struct zone, node)->rrs)
            {
                struct rr *r = list_item(it, struct rr, node);
                if (str_eq(r->owner, owner) && str_eq(r->data, data)) {
                    list_remove(it);
                    free(r);
                }
            }
        }
    }
}

bool fake_has(const struct dns *d, const char *server, const char *owner, const char *data)
{
    list_each(s, &d->servers)
    {
        const struct server_state *server_it = list_item(s, struct server_state, node);
        if (server && !str_eq(server_it->addr, server))
            continue;
        list_each(z, &server_it->zones)
        {
            list_each(it, &list_item(z, struct zone, node)->rrs)
            {
                const struct rr *r = list_item(it, struct rr, node);
                if (str_eq(r->owner, owner) && str_eq(r->data, data))
                    return true;
            }
        }
    }
    return false;
}

void fake_mode(struct dns *d, const char *server, enum fake_mode m)
{
    if (str_eq(server, RESOLVER))
        d->resolver_mode = m;
    else
        server_get(d, server)->mode = m;
}

void fake_broken(struct dns *d, const char *zone)
{
    d->broken = zone;
}

void fake_lag(struct dns *d, const char *server, int64_t ms)
{
    server_get(d, server)->lag = ms;
}

void fake_ttl(struct dns *d, uint32_t ttl, uint32_t soa_minimum)
{
    d->ttl = ttl;
    d->minimum = soa_minimum;
}

void fake_publish(struct dns *d, const char *fqdn, const char *value)
{
    list_each(it, &d->servers)
    {
        struct server_state *s = list_item(it, struct server_state, node);
        struct zone *z = zone_for(s, fqdn);
        if (z && !fake_has(d, s->addr, fqdn, value))
            zone_add(z, fqdn, DNS_TXT, value, loop_mono_ms(d->loop) + s->lag);
    }
}

size_t fake_queries(const struct dns *d)
{
    return d->n_log;
}

const struct fake_query *fake_query(const struct dns *d, size_t i)
{
    return &d->log[i];
}

size_t fake_count(const struct dns *d, const char *server, const char *name, int type)
{
    size_t n = 0;
    for (size_t i = 0; i < d->n_log; i++)
        n += (!server || str_eq(d->log[i].server, server)) &&
             (!name || str_eq(d->log[i].name, name)) && (!type || (int)d->log[i].type == type);
    return n;
}

void fake_forget_queries(struct dns *d)
{
    d->n_log = 0;
}

/* ---- answering ---- */

/* "128 issue ca.example" */
static void put_caa(struct answer *a, struct dns_record *r, const char *data)
{
    char tag[64];
    int flags, at = 0;
    if (a->n_caa == ARRAY_LEN(a->caa) || sscanf(data, "%d %63s %n", &flags, tag, &at) != 2 || !at)
        abort();
    char *to = a->caa[a->n_caa++];
    to[0] = (char)flags;
    to[1] = (char)strlen(tag);
    snprintf(to + 2, sizeof(a->caa[0]) - 2, "%s%s", tag, data + at);
    r->text = to;
    r->text_len = 2 + strlen(to + 2);
}

static void put(struct dns *d, struct answer *a, enum dns_section section, const char *owner,
                int type, const char *data)
{
    if (a->reply.n == REPLY_MAX)
        return;
    struct dns_record *r = &a->records[a->reply.n++];
    *r = (struct dns_record){.section = section, .type = (uint16_t)type, .ttl = d->ttl};
    str_copy(r->owner, sizeof(r->owner), owner);
    if (type == DNS_TXT) {
        r->text = (char *)data;
        r->text_len = strlen(data);
    } else if (type == DNS_CAA) {
        put_caa(a, r, data);
    } else if (type == DNS_A || type == DNS_AAAA) {
        if (!dns_addr_parse(data, 0, &r->addr))
            abort();
    } else if (type != DNAME) {
        str_copy(r->name, sizeof(r->name), data);
    }
    if (type == DNS_SOA)
        r->soa_minimum = d->minimum;
}

static bool visible(const struct dns *d, const struct rr *r)
{
    return r->from <= loop_mono_ms(d->loop);
}

static size_t put_all(struct dns *d, struct answer *a, enum dns_section section,
                      const struct zone *z, const char *owner, int type, const char *as)
{
    size_t n = 0;
    list_each(it, &z->rrs)
    {
        const struct rr *r = list_item(it, struct rr, node);
        if (r->type == type && str_eq(r->owner, owner) && visible(d, r)) {
            put(d, a, section, as ? as : owner, type, r->data);
            n++;
        }
    }
    return n;
}

static bool name_exists(const struct dns *d, const struct zone *z, const char *name)
{
    list_each(it, &z->rrs)
    {
        const struct rr *r = list_item(it, struct rr, node);
        if (visible(d, r) && name_under(r->owner, name))
            return true;
    }
    return false;
}

static const struct rr *delegation(const struct zone *z, const char *name)
{
    list_each(it, &z->rrs)
    {
        const struct rr *r = list_item(it, struct rr, node);
        if (r->type == DNS_NS && !str_eq(r->owner, z->apex) && name_under(name, r->owner))
            return r;
    }
    return NULL;
}

static void put_glue(struct dns *d, struct answer *a, const struct zone *z)
{
    for (size_t i = 0; i < a->reply.n; i++) {
        if (a->records[i].type != DNS_NS)
            continue;
        put_all(d, a, DNS_ADDITIONAL, z, a->records[i].name, DNS_A, NULL);
        put_all(d, a, DNS_ADDITIONAL, z, a->records[i].name, DNS_AAAA, NULL);
    }
}

static bool put_dname(struct dns *d, struct answer *a, const struct zone *z, const char *name)
{
    list_each(it, &z->rrs)
    {
        const struct rr *r = list_item(it, struct rr, node);
        if (r->type != DNAME || !name_under(name, r->owner) || str_eq(name, r->owner))
            continue;
        CLEANUP_FREE char *head = xstrndup(name, strlen(name) - strlen(r->owner));
        CLEANUP_FREE char *to = xasprintf("%s%s", head, r->data);
        put(d, a, DNS_ANSWER, r->owner, DNAME, "");
        put(d, a, DNS_ANSWER, name, DNS_CNAME, to);
        return true;
    }
    return false;
}

static bool put_wildcard(struct dns *d, struct answer *a, const struct zone *z, const char *name,
                         int type)
{
    for (const char *up = name_parent(name); up[0] && name_under(up, z->apex);
         up = name_parent(up)) {
        CLEANUP_FREE char *star = xasprintf("*.%s", up);
        if (put_all(d, a, DNS_ANSWER, z, star, DNS_CNAME, name) ||
            put_all(d, a, DNS_ANSWER, z, star, type, name))
            return true;
        if (name_exists(d, z, up))
            return false;
    }
    return false;
}

static void answer_from_zone(struct dns *d, struct answer *a, const struct zone *z,
                             const char *name, int type)
{
    const struct rr *cut = delegation(z, name);
    if (cut) {
        put_all(d, a, DNS_AUTHORITY, z, cut->owner, DNS_NS, NULL);
        put_glue(d, a, z);
        return;
    }
    a->reply.aa = true;
    if (put_all(d, a, DNS_ANSWER, z, name, type, NULL)) {
        if (type == DNS_NS)
            put_glue(d, a, z);
        return;
    }
    if (put_all(d, a, DNS_ANSWER, z, name, DNS_CNAME, NULL) || put_dname(d, a, z, name))
        return;
    if (name_exists(d, z, name)) {
        put_all(d, a, DNS_AUTHORITY, z, z->apex, DNS_SOA, NULL);
        return;
    }
    if (put_wildcard(d, a, z, name, type))
        return;
    a->reply.rcode = 3;
    put_all(d, a, DNS_AUTHORITY, z, z->apex, DNS_SOA, NULL);
}

static void answer_challtest(struct dns *d, struct answer *a, const char *name, int type)
{
    if (type == DNS_SOA || type == DNS_NS) {
        a->reply.rcode = 4;
        return;
    }
    (void)name;
    put(d, a, DNS_AUTHORITY, "challtestsrv.invalid", DNS_SOA, "ns.invalid");
}

static void answer_as(struct dns *d, struct answer *a, enum fake_mode mode, const struct zone *z,
                      const char *name, int type)
{
    if (mode == FAKE_CHALLTEST) {
        answer_challtest(d, a, name, type);
    } else if (mode == FAKE_SERVFAIL) {
        a->reply.rcode = 2;
    } else if (mode == FAKE_REFUSED || !z) {
        a->reply.rcode = 5;
    } else {
        answer_from_zone(d, a, z, name, type);
        if (mode == FAKE_LAME)
            a->reply.aa = false;
    }
}

static struct zone *deepest_zone(struct dns *d, const char *name)
{
    struct zone *best = NULL;
    list_each(it, &d->servers)
    {
        struct zone *z = zone_for(list_item(it, struct server_state, node), name);
        if (z && (!best || (name_under(z->apex, best->apex) && !str_eq(z->apex, best->apex))))
            best = z;
    }
    return best;
}

/* Remembers what did not exist, for all types of the name, as long as the SOA says. */
static void resolver_answer(struct dns *d, struct answer *a, const char *name, int type)
{
    char at[NAME_MAX_TEXT];
    str_copy(at, sizeof(at), name);
    if (d->broken && name_under(name, d->broken)) {
        a->reply.rcode = 2;
        return;
    }
    CLEANUP_FREE char *key = xasprintf("%s/%d", name, type);
    const int64_t *until = map_get(d->absent, name);
    if (!until)
        until = map_get(d->absent, key);
    const struct zone *z = deepest_zone(d, name);
    if (until && *until > loop_mono_ms(d->loop)) {
        a->reply.rcode = 3;
        if (z)
            put_all(d, a, DNS_AUTHORITY, z, z->apex, DNS_SOA, NULL);
        return;
    }
    for (int hops = 0; hops < 8; hops++) {
        size_t before = a->reply.n;
        z = deepest_zone(d, at);
        if (!z) {
            a->reply.rcode = 3;
            put(d, a, DNS_AUTHORITY, "", DNS_SOA, "ns.invalid");
            break;
        }
        answer_from_zone(d, a, z, at, type);
        const struct dns_record *r = a->reply.n > before ? &a->records[a->reply.n - 1] : NULL;
        if (!r || r->section != DNS_ANSWER || r->type != DNS_CNAME || type == DNS_CNAME)
            break;
        str_copy(at, sizeof(at), r->name);
    }
    a->reply.aa = false;
    bool negative = a->reply.n == 0 || a->records[a->reply.n - 1].section == DNS_AUTHORITY;
    if (negative) {
        int64_t end = loop_mono_ms(d->loop) + (int64_t)d->minimum * 1000;
        free(map_put(d->absent, a->reply.rcode == 3 ? name : key, xmemdup(&end, sizeof(end))));
    }
}

static void on_due(void *arg)
{
    struct dns_call *c = arg;
    struct dns *d = c->dns;
    struct answer *a = xnew(struct answer);
    struct err e = ERR_INIT;
    struct err silent = ERR_INIT;
    bool resolver = str_eq(c->server, RESOLVER);
    struct server_state *s = resolver ? NULL : server_get(d, c->server);
    enum fake_mode mode = resolver ? d->resolver_mode : s->mode;
    a->reply.records = a->records;
    err_set(&silent, ERR_TRANSIENT, "timed out");
    list_remove(&c->node);
    if (mode == FAKE_SILENT) {
        c->done(c->arg, NULL, &silent);
    } else {
        if (resolver && mode == FAKE_UP)
            resolver_answer(d, a, c->name, (int)c->q.type);
        else
            answer_as(d, a, mode, s ? zone_for(s, c->name) : NULL, c->name, (int)c->q.type);
        c->done(c->arg, &a->reply, &e);
    }
    free(a);
    free(c);
}

struct dns_call *dns_ask(struct dns *d, const struct dns_query *q, dns_done_fn *done, void *arg)
{
    struct dns_call *c = xnew(struct dns_call);
    c->dns = d;
    c->q = *q;
    c->done = done;
    c->arg = arg;
    str_copy(c->name, sizeof(c->name), q->name);
    str_copy(c->server, sizeof(c->server), RESOLVER);
    if (q->server)
        dns_addr_text(q->server, c->server, sizeof(c->server));
    if (str_eq(c->server, "9.9.9.9")) /* written out */
        str_copy(c->server, sizeof(c->server), RESOLVER);
    d->log = xrealloc_array(d->log, d->n_log + 1, sizeof(*d->log));
    struct fake_query *log = &d->log[d->n_log++];
    *log = (struct fake_query){.type = q->type, .recurse = q->recurse, .at = loop_mono_ms(d->loop)};
    str_copy(log->server, sizeof(log->server), c->server);
    str_copy(log->name, sizeof(log->name), q->name);
    bool resolver = str_eq(c->server, RESOLVER);
    enum fake_mode mode = resolver ? d->resolver_mode : server_get(d, c->server)->mode;
    timer_after(d->loop, &c->timer, mode == FAKE_SILENT ? q->timeout_ms : LATENCY_MS, on_due, c);
    list_append(&d->calls, &c->node);
    return c;
}

void dns_cancel(struct dns_call *c)
{
    if (!c)
        return;
    timer_cancel(&c->timer);
    list_remove(&c->node);
    free(c);
}

static void on_resolve_due(void *arg)
{
    struct dns_call *c = arg;
    struct dns *d = c->dns;
    struct answer *a = xnew(struct answer);
    struct dns_addr addrs[64];
    size_t n = 0;
    struct err e = ERR_INIT;
    const struct zone *z = d->resolver_mode == FAKE_UP ? deepest_zone(d, c->name) : NULL;
    list_remove(&c->node);
    if (z) {
        put_all(d, a, DNS_ANSWER, z, c->name, DNS_A, NULL);
        put_all(d, a, DNS_ANSWER, z, c->name, DNS_AAAA, NULL);
    }
    for (; n < a->reply.n && n < ARRAY_LEN(addrs); n++)
        addrs[n] = a->records[n].addr;
    if (n == 0)
        err_set(&e, ERR_TRANSIENT, "%s has no address", c->name);
    c->resolved(c->arg, addrs, n, &e);
    free(a);
    free(c);
}

struct dns_call *dns_resolve(struct dns *d, const char *host, uint16_t port, int64_t timeout_ms,
                             dns_resolved_fn *done, void *arg)
{
    struct dns_call *c = xnew(struct dns_call);
    c->dns = d;
    c->resolved = done;
    c->arg = arg;
    c->port = port;
    str_copy(c->name, sizeof(c->name), host);
    timer_after(d->loop, &c->timer, d->resolver_mode == FAKE_SILENT ? timeout_ms : LATENCY_MS,
                on_resolve_due, c);
    list_append(&d->calls, &c->node);
    return c;
}
