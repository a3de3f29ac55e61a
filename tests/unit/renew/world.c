/* SPDX-License-Identifier: ISC */
#include "world.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/arena.h"
#include "conf/build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct world *world_now;
static uint64_t rng_state;

static void fill(const struct rng *r, void *p, size_t n)
{
    (void)r;
    for (unsigned char *c = p; n--; c++) {
        rng_state ^= rng_state << 13;
        rng_state ^= rng_state >> 7;
        rng_state ^= rng_state << 17;
        *c = (unsigned char)(rng_state >> 24);
    }
}

/* ---- configuration ---- */

static char *text(struct conf *c, const char *s)
{
    return arena_strdup(c->arena, s);
}

static void fill_ca(struct conf *c, struct conf_ca *ca, const char *name)
{
    *ca = (struct conf_ca){
        .name = text(c, name),
        .directory = arena_printf(c->arena, "https://%s/directory", name),
        .max_orders = 100,
        .timeout_ms = 30000,
    };
    ca->ca_file = ca->ca_pem = ca->email = ca->profile = ca->preferred_chain = ca->staging =
        ca->account = ca->eab_kid = text(c, "");
}

static void fill_cert(struct conf *c, struct conf_cert *cert, size_t i)
{
    cert->name = arena_printf(c->arena, "c%zu", i);
    cert->names = arena_alloc(c->arena, 2, sizeof(*cert->names));
    cert->n_names = 1;
    cert->names[0].name = arena_printf(c->arena, "c%zu.example", i);
    cert->names[0].provider = cert->provider = cert->csr = cert->profile = cert->owner =
        cert->group = text(c, "");
    cert->enabled = cert->ari = true;
    cert->fallback_after = 3;
    cert->cas.v = arena_alloc(c->arena, 4, sizeof(char *));
    world_add_ca(c, i, "one");
}

struct conf *world_conf(size_t n)
{
    struct conf *c = conf_new();
    c->cas = arena_alloc(c->arena, 3, sizeof(*c->cas));
    c->n_cas = 3;
    fill_ca(c, &c->cas[0], "one");
    fill_ca(c, &c->cas[1], "two");
    fill_ca(c, &c->cas[2], "staging");
    c->state_dir = text(c, "/tmp");
    c->dns_zones = arena_alloc(c->arena, 1, sizeof(*c->dns_zones));
    c->dns_zones[0].suffix = text(c, "");
    c->n_dns_zones = 1;
    c->certs = arena_alloc(c->arena, n, sizeof(*c->certs));
    c->n_certs = n;
    for (size_t i = 0; i < n; i++)
        fill_cert(c, &c->certs[i], i);
    conf_seal(c);
    return c;
}

void world_add_ca(struct conf *c, size_t cert, const char *ca)
{
    struct conf_strs *cas = &c->certs[cert].cas;
    cas->v[cas->n++] = text(c, ca);
}

static struct conf_deployment *deployment(struct conf *c, struct conf_cert *cert, const char *name)
{
    for (size_t i = 0; i < cert->n_deployments; i++) {
        if (str_eq(cert->deployments[i].name, name))
            return &cert->deployments[i];
    }
    if (!cert->deployments)
        cert->deployments = arena_alloc(c->arena, 4, sizeof(*cert->deployments));
    struct conf_deployment *d = &cert->deployments[cert->n_deployments++];
    d->name = text(c, name);
    d->steps = arena_alloc(c->arena, 4, sizeof(*d->steps));
    return d;
}

struct conf_step *world_step(struct conf *c, size_t cert, const char *name, enum conf_step_kind k,
                             const char *what)
{
    struct conf_deployment *d = deployment(c, &c->certs[cert], name);
    struct conf_step *s = &d->steps[d->n_steps++];
    char **argv = arena_alloc(c->arena, 1, sizeof(char *));
    argv[0] = text(c, what);
    *s = (struct conf_step){.kind = k, .timeout_ms = 60000};
    s->argv = (struct conf_strs){argv, 1};
    s->connect = s->argv;
    s->unit = s->path = argv[0];
    s->user = s->sni = s->starttls = text(c, "");
    return s;
}

/* ---- calls ---- */

static void free_call(struct call *c)
{
    timer_cancel(&c->timer);
    list_remove(&c->node);
    free(c->more);
    free(c);
}

static void call_back(void *arg)
{
    struct call *c = arg;
    c->world->events++;
    list_remove(&c->node);
    if (c->callback)
        c->callback(c);
    free_call(c);
}

static void take_effect(void *arg)
{
    struct call *c = arg;
    c->world->events++;
    if (c->effect)
        c->effect(c);
    c->done = true;
    if (c->callback)
        timer_after(c->world->loop, &c->timer, 1, call_back, c);
    else
        free_call(c);
}

struct call *world_call(struct world *w, int64_t delay_ms, void (*effect)(struct call *),
                        void (*callback)(struct call *), void (*fn)(void), void *arg)
{
    struct call *c = xnew(struct call);
    c->world = w;
    c->effect = effect;
    c->callback = callback;
    c->fn = fn;
    c->arg = arg;
    list_append(&w->calls, &c->node);
    timer_after(w->loop, &c->timer, delay_ms, take_effect, c);
    return c;
}

/* What has been sent is done all the same, unless it is lost with the sender. */
void world_call_cancel(struct call *c)
{
    if (!c)
        return;
    c->callback = NULL;
    if (c->done || !c->effect || c->world->lost_effects)
        free_call(c);
}

/* ---- the world ---- */

struct world *world_new(size_t n)
{
    struct world *w = xnew(struct world);
    rng_state = 0x9e3779b97f4a7c15u;
    world_now = w;
    w->loop = world_loop_new(WORLD_T0);
    w->rng = (struct rng){fill};
    w->log = (struct log){.level = LOG_LEVEL_DEBUG, .fd = -1, .clock = &w->loop->clock};
    if (getenv("RENEW_TEST_LOG"))
        w->log.fd = 2;
    w->conf = world_conf(n);
    w->store = world_store_new(w->loop, 5);
    world_keeper_init(&w->keeper);
    w->acme.world = w->publisher.world = w;
    w->lifetime = 90 * POLICY_DAY;
    w->publish_ms = 2000;
    w->addresses[0] = "192.0.2.1";
    list_init(&w->calls);
    w->n_sites = n;
    w->sites = xcalloc(n, sizeof(*w->sites));
    for (size_t i = 0; i < n; i++)
        w->sites[i].name = xasprintf("c%zu", i);
    return w;
}

void world_free(struct world *w)
{
    world_crash(w);
    list_each(it, &w->calls) free_call(list_item(it, struct call, node));
    store_close(w->store);
    conf_unref(w->conf);
    for (size_t i = 0; i < w->n_sites; i++)
        free((char *)w->sites[i].name);
    free(w->sites);
    free(w->orders);
    free(w->records);
    world_loop_free(w->loop);
    free(w);
    world_now = NULL;
}

static void on_event(void *arg, const struct renew_event *ev)
{
    struct world *w = arg;
    if (!ev->finished)
        return;
    w->finished++;
    snprintf(w->last_event, sizeof(w->last_event), "%s: %s", ev->name, ev->text);
    w->last_error = *ev->err;
    w->finished_badly += ev->err->cls != ERR_NONE;
}

static void on_ready(void *arg, const struct err *err)
{
    struct world *w = arg;
    w->ready = err->cls == ERR_NONE;
}

void world_boot(struct world *w)
{
    const struct renew_env env = {
        .loop = w->loop,
        .rng = &w->rng,
        .log = &w->log,
        .store = w->store,
        .keeper = &w->keeper,
        .acme = &w->acme,
        .publisher = &w->publisher,
    };
    w->ready = false;
    w->renew = renew_new(&env);
    renew_watch_start(w->renew, on_event, w);
    renew_configure(w->renew, w->conf, on_ready, w);
    while (!w->ready && world_loop_step(w->loop, w->loop->wall + 1000))
        ;
}

void world_crash(struct world *w)
{
    renew_free(w->renew);
    w->renew = NULL;
    world_store_crash(w->store, w->lost_effects);
    /* removals that had been asked for but of which nothing has been heard */
    list_each(it, &w->calls)
    {
        struct call *c = list_item(it, struct call, node);
        world_call_cancel(c);
    }
}

void world_run(struct world *w, int64_t span_ms)
{
    int64_t until = w->loop->wall + span_ms;
    while (world_loop_step(w->loop, until))
        ;
}

bool world_until(struct world *w, bool (*so)(struct world *w), int64_t span_ms)
{
    int64_t until = w->loop->wall + span_ms;
    while (!so(w)) {
        if (!world_loop_step(w->loop, until))
            return so(w);
    }
    return true;
}

struct site *world_site(struct world *w, const char *name)
{
    return &w->sites[strtoul(name + 1, NULL, 10)];
}

void world_install(struct world *w, size_t i, int64_t age_ms)
{
    struct site *s = &w->sites[i];
    s->present = s->names_match = true;
    s->live_key = ++w->keys;
    s->not_before = w->loop->wall - age_ms;
    s->not_after = s->not_before + w->lifetime;
    snprintf(s->fingerprint, sizeof(s->fingerprint), "f%u", s->live_key);
    snprintf(s->serial, sizeof(s->serial), "%02x", s->live_key);
    str_copy(s->directory, sizeof(s->directory), "https://one/directory");
}

bool world_fails(struct site *s, enum fault f, const char *ca)
{
    if (s->fault != f || (s->only_ca && ca && !str_eq(s->only_ca, ca)))
        return false;
    if (s->times && --s->times == 0)
        s->fault = FAULT_NONE;
    return true;
}

static void keep_status(void *arg, const struct renew_status *s)
{
    static char why[800], waiting[800], ca[64];
    struct renew_status *to = arg;
    *to = *s;
    str_copy(why, sizeof(why), s->why);
    str_copy(waiting, sizeof(waiting), s->waiting);
    str_copy(ca, sizeof(ca), s->ca);
    to->why = why;
    to->waiting = waiting;
    to->ca = ca;
}

struct renew_status world_status(struct world *w, const char *name)
{
    struct renew_status s = {.name = NULL};
    renew_status(w->renew, name, keep_status, &s);
    return s;
}

static void count_ok(void *arg, const struct renew_status *s)
{
    *(size_t *)arg += s->state == RENEW_OK;
}

bool world_all_ok(struct world *w)
{
    size_t ok = 0;
    renew_status(w->renew, NULL, count_ok, &ok);
    return ok == w->n_sites;
}
