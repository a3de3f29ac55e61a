/* SPDX-License-Identifier: ISC */
/* dns/publish.h with a ledger that outlives the engine, and what a probe would see. */
#include "base/mem.h"
#include "base/str.h"
#include "digest/x509.h"
#include "dns/publish.h"
#include "io/probe.h"
#include "world.h"

#include <stdio.h>
#include <stdlib.h>

struct publication {
    struct world *world;
    struct site *site;
    char order[64];
    struct publish_handler h;
    void *arg;
    struct call *call;
    struct err err;
};

static void add(struct call *c)
{
    struct world *w = c->world;
    w->records = xrealloc_array(w->records, w->n_records + 1, sizeof(*w->records));
    struct record *r = &w->records[w->n_records++];
    str_copy(r->order, sizeof(r->order), c->text);
    str_copy(r->cert, sizeof(r->cert), c->site->name);
    str_copy(r->value, sizeof(r->value), c->more ? c->more : "");
    if (world_fails(c->site, FAULT_PUBLISH, NULL))
        c->err = c->site->err;
}

static void told_ready(struct call *c)
{
    struct publication *p = c->arg;
    p->call = NULL;
    p->h.ready(p->arg, &c->err, "");
}

static void told_added(struct call *c)
{
    struct publication *p = c->arg;
    const struct publish_progress progress = {"waiting for name servers", "ns2 lacks 1 of 1"};
    p->call = NULL;
    p->err = c->err;
    if (c->err.cls != ERR_NONE) {
        p->h.ready(p->arg, &c->err, "");
        return;
    }
    if (p->h.progress)
        p->h.progress(p->arg, &progress);
    p->call = world_call(p->world, p->world->publish_ms, NULL, told_ready, NULL, p);
}

struct publication *publish_start(struct publisher *pub, const struct conf_cert *cert,
                                  const char *order, const struct publish_value *values, size_t n,
                                  const struct publish_handler *h, void *arg)
{
    struct publication *p = xnew(struct publication);
    p->world = pub->world;
    p->site = world_site(p->world, cert->name);
    p->h = *h;
    p->arg = arg;
    str_copy(p->order, sizeof(p->order), order);
    if (world_fails(p->site, FAULT_HANG, NULL))
        return p;
    p->call = world_call(p->world, 3, add, told_added, NULL, p);
    p->call->site = p->site;
    str_copy(p->call->text, sizeof(p->call->text), order);
    p->call->more = n ? xstrdup(values[0].value) : NULL;
    return p;
}

static void drop_records(struct world *w, const char *order)
{
    size_t kept = 0;
    for (size_t i = 0; i < w->n_records; i++) {
        if (!str_eq(w->records[i].order, order))
            w->records[kept++] = w->records[i];
    }
    w->n_records = kept;
}

static void removal(struct call *c)
{
    drop_records(c->world, c->text);
}

static void told_removed(struct call *c)
{
    if (c->fn)
        ((void (*)(void *, const struct err *))c->fn)(c->arg, &c->err);
}

void publisher_records(const struct publisher *pub,
                       void (*fn)(void *arg, const struct publish_record *), void *arg)
{
    for (size_t i = 0; i < pub->world->n_records; i++) {
        const struct record *r = &pub->world->records[i];
        fn(arg, &(struct publish_record){.cert = r->cert,
                                         .value = r->value,
                                         .order = r->order,
                                         .state = str_eq(r->order, "kept") ? "kept" : "removing"});
    }
}

void publication_clean(struct publication *p, void (*done)(void *arg, const struct err *err),
                       void *arg)
{
    struct call *c = world_call(p->world, 3, removal, told_removed, (void (*)(void))done, arg);
    str_copy(c->text, sizeof(c->text), p->order);
    publication_free(p);
}

void publication_free(struct publication *p)
{
    if (!p)
        return;
    world_call_cancel(p->call);
    free(p);
}

const struct err *publication_error(const struct publication *p, size_t i)
{
    (void)i;
    return p->err.cls != ERR_NONE ? &p->err : NULL;
}

void publication_keep(struct publication *p)
{
    struct world *w = p->world;
    for (size_t i = 0; i < w->n_records; i++)
        if (str_eq(w->records[i].order, p->order))
            str_copy(w->records[i].order, sizeof(w->records[i].order), "kept");
    publication_free(p);
}

void publisher_order_ended(struct publisher *pub, const char *order)
{
    struct call *c = world_call(pub->world, 3, removal, NULL, NULL, NULL);
    str_copy(c->text, sizeof(c->text), order);
}

void publisher_recover(struct publisher *pub, const char *const *keep, size_t n)
{
    struct world *w = pub->world;
    size_t kept = 0;
    for (size_t i = 0; i < w->n_records; i++) {
        bool stays = false;
        for (size_t k = 0; k < n; k++)
            stays |= str_eq(w->records[i].order, keep[k]);
        stays |= str_eq(w->records[i].order, "kept");
        if (stays)
            w->records[kept++] = w->records[i];
    }
    w->n_records = kept;
}

/* ---- probes: a leaf is its fingerprint ---- */

static void told_probe(struct call *c)
{
    struct world *w = c->world;
    const char *now = w->served ? w->served : w->sites[0].fingerprint;
    bool former = w->served_after || ++w->probes == w->blip;
    struct probe_result r[2] = {{.leaf = former ? "former" : now}};
    w->served_after -= w->served_after > 0;
    err_set(&r[1].err, ERR_TRANSIENT, "connection refused");
    ((probe_done_fn *)c->fn)(c->arg, r, 2, &c->err);
}

struct probe *probe_start(struct http *h, const struct probe_spec *s, probe_done_fn *done,
                          void *arg)
{
    (void)h;
    (void)s;
    return (struct probe *)world_call(world_now, 10, NULL, told_probe, (void (*)(void))done, arg);
}

void probe_cancel(struct probe *p)
{
    world_call_cancel((struct call *)p);
}

int cert_pem_fingerprint(const char *pem, size_t n, char out[SHA256_HEX], struct err *e)
{
    (void)n;
    (void)e;
    str_copy(out, SHA256_HEX, pem);
    return 0;
}

struct cert_chain *cert_chain_read(const char *pem, size_t n, struct cert_cache *cache,
                                   struct err *e)
{
    static char serial[] = "0bad";
    static const struct cert_info info = {.serial = serial, .not_after_ms = WORLD_T0};
    struct cert_chain *c = xnew(struct cert_chain);
    (void)pem;
    (void)n;
    (void)cache;
    (void)e;
    c->n = 1;
    c->certs[0] = &info;
    return c;
}

void cert_chain_free(struct cert_chain *c)
{
    free(c);
}
