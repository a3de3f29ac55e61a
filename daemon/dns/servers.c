/* SPDX-License-Identifier: ISC */
#include "dns/servers.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>

#define DNS_PORT 53
#define REACH_SWEEP 1024 /* addresses remembered before the expired are thrown out */

struct server_set *server_set_new(const char *zone)
{
    struct server_set *s = xnew(struct server_set);
    s->refs = 1;
    str_copy(s->zone, sizeof(s->zone), zone);
    return s;
}

struct server_set *server_set_ref(struct server_set *s)
{
    if (s)
        s->refs++;
    return s;
}

void server_set_unref(struct server_set *s)
{
    if (!s || --s->refs)
        return;
    for (size_t i = 0; i < s->n; i++)
        free(s->v[i].label);
    free(s->v);
    free(s);
}

static struct server *add_slot(struct server_set *s)
{
    s->v = xrealloc_array(s->v, s->n + 1, sizeof(*s->v));
    s->v[s->n] = (struct server){.label = NULL};
    return &s->v[s->n++];
}

void server_set_add(struct server_set *s, const char *host, const struct dns_addr *addr)
{
    for (size_t i = 0; i < s->n; i++)
        if (dns_addr_eq(&s->v[i].addr, addr))
            return;
    if (s->n == SERVERS_MAX) {
        s->left_out++;
        return;
    }
    struct server *v = add_slot(s);
    v->addr = *addr;
    dns_addr_text(addr, v->text, sizeof(v->text));
    v->label = host[0] ? xasprintf("%s (%s)", host, v->text) : xstrdup(v->text);
}

struct server_set *server_set_for_zone(const struct server_set *s, const char *zone)
{
    struct server_set *to = server_set_new(zone);
    to->resolvers = s->resolvers;
    to->configured = s->configured;
    to->left_out = s->left_out;
    for (size_t i = 0; i < s->n; i++) {
        struct server *v = add_slot(to);
        *v = s->v[i];
        v->label = xstrdup(s->v[i].label);
    }
    return to;
}

static void add_texts(struct server_set *s, const struct conf_strs *texts)
{
    struct dns_addr a;
    for (size_t i = 0; i < texts->n; i++)
        if (dns_addr_parse(texts->v[i], DNS_PORT, &a))
            server_set_add(s, "", &a);
}

struct server_set *server_set_configured(const struct conf_dns_zone *z)
{
    if (!z || z->servers.n == 0)
        return NULL;
    struct server_set *s = server_set_new(z->suffix);
    s->configured = true;
    add_texts(s, &z->servers);
    return s;
}

struct server_set *server_set_resolvers(const struct conf *c, const struct conf_dns_zone *z)
{
    struct server_set *s = server_set_new("");
    s->resolvers = true;
    if (z)
        add_texts(s, &z->resolvers);
    if (s->n == 0 && c->n_dns_zones)
        add_texts(s, &c->dns_zones[0].resolvers);
    if (s->n == 0) {
        struct server *v = add_slot(s);
        v->system = true;
        v->label = xstrdup("the system's resolvers");
    }
    return s;
}

struct dns_call *server_ask(struct dns *d, const struct server_set *s, size_t i, const char *name,
                            enum dns_type type, dns_done_fn *done, void *arg)
{
    struct dns_query q = {
        .name = name,
        .type = type,
        .server = s->v[i].system ? NULL : &s->v[i].addr,
        .recurse = s->resolvers,
        .timeout_ms = s->resolvers ? SERVERS_RESOLVE_MS : SERVERS_QUERY_MS,
    };
    return dns_ask(d, &q, done, arg);
}

/* Values are until when (ms of the boot clock), as allocated numbers. */
struct reach {
    struct loop *loop;
    struct map *down;
};

struct reach *reach_new(struct loop *l)
{
    struct reach *r = xnew(struct reach);
    r->loop = l;
    r->down = map_new();
    return r;
}

void reach_free(struct reach *r)
{
    const char *key;
    void *until;
    if (!r)
        return;
    for (size_t i = 0; map_next(r->down, &i, &key, &until);)
        free(until);
    map_free(r->down);
    free(r);
}

static void sweep(struct reach *r)
{
    struct map *kept = map_new();
    const char *key;
    void *until;
    for (size_t i = 0; map_next(r->down, &i, &key, &until);) {
        if (*(int64_t *)until > loop_mono_ms(r->loop))
            map_put(kept, key, until);
        else
            free(until);
    }
    map_free(r->down);
    r->down = kept;
}

void reach_failed(struct reach *r, const struct server *s)
{
    int64_t until = loop_mono_ms(r->loop) + SERVERS_DOWN_MS;
    if (s->system)
        return;
    if (map_len(r->down) >= REACH_SWEEP)
        sweep(r);
    free(map_put(r->down, s->text, xmemdup(&until, sizeof(until))));
}

void reach_answered(struct reach *r, const struct server *s)
{
    if (map_len(r->down))
        free(map_remove(r->down, s->text));
}

bool reach_is_down(const struct reach *r, const struct server *s)
{
    const int64_t *until = map_len(r->down) ? map_get(r->down, s->text) : NULL;
    return until && *until > loop_mono_ms(r->loop);
}
