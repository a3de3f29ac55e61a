/* SPDX-License-Identifier: ISC */
/*
 * The publication's machine; each state works on all values at once and is left when every one of
 * them has come to an end there:
 *
 *   ALIAS ----> LEDGER -----> ADD --------> PROPAGATE ----> READY      (handler.ready, no error)
 *     |           |            |                |             |
 *     +-----------+------------+----------------+--> FAILED   |        (handler.ready, error)
 *                                                      |      |
 *              publication_clean: records removed <----+------+---- (any state)
 *              publication_free: records left in the ledger
 *
 * A place (one owner name, one or two values):   LOOKING -> FOUND | error
 * A value:    WAITING -> INTENDED (durable) -> ADDING -> ADDED (handle kept) | error
 * A group (one final name, all its values):      WATCHED -> VISIBLE | error
 *
 * The handles are written while the servers are already being asked; READY waits for both.
 */
#include "dns/publish.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "dns/propagation.h"
#include "dns/publisher.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIAS_TIMEOUT_MS (2 * INT64_C(60000))
#define TEXT_MAX 4096u
#define GROUPS_TOLD 3u

enum step { STEP_ALIAS, STEP_LEDGER, STEP_ADD, STEP_PROPAGATE, STEP_READY, STEP_FAILED };

struct place {
    struct publication *p;
    struct conf_name name;             /* texts are ours */
    char *owner, *final, *zone, *note; /* but owner NULL before the alias was followed */
    bool resolved;
    struct server_set *servers;
    const struct conf_provider *provider; /* in p->conf */
    struct alias_call *looking;
    struct err *err;
};

struct value {
    struct publication *p;
    struct place *place;
    char *text;
    struct ledger_entry *entry;
    struct provider_call *adding;
    struct err *err;
    bool added;
};

struct group {
    struct publication *p;
    const struct place *place; /* the first that leads here */
    struct propagation *watched;
    bool visible;
    struct err *err;
    char *text, *warning;
};

struct publication {
    struct publisher *publisher;
    struct conf *conf;
    struct conf_cert cert; /* name and provider only; texts are ours */
    char *order;
    struct publish_handler handler;
    void *arg;
    enum step step;
    struct place *places;
    size_t n_places;
    struct value *values;
    size_t n_values;
    struct group *groups;
    size_t n_groups;
    size_t pending;
    struct ledger_call *intending;
    struct store_call *saving;
    struct timer timeout;
    struct defer start, progress;
    char *text; /* what progress says */
};

static void go(struct publication *p, enum step step);
static void fail(struct publication *p, const struct err *err);

/* ---- progress ---- */

static const char *phase_name(const struct publication *p);

static void tell_progress(void *arg)
{
    struct publication *p = arg;
    struct publish_progress progress = {.phase = phase_name(p), .text = p->text};
    if (p->handler.progress)
        p->handler.progress(p->arg, &progress);
}

/* Takes text. Told from the loop, so that the receiver may do as it likes. */
static void set_progress(struct publication *p, char *text)
{
    free(p->text);
    p->text = text;
    loop_defer(p->publisher->env.loop, &p->progress, tell_progress, p);
}

/* ---- ALIAS ---- */

struct worst {
    struct err err;
    unsigned n;
};

static void worst_add(struct worst *w, const struct err *e)
{
    if (!err_is(e))
        return;
    if (w->n++ == 0 || err_gravity(e) < err_gravity(&w->err))
        w->err = *e;
}

static bool worst_fail(struct publication *p, struct worst *w)
{
    if (w->n == 0)
        return false;
    size_t len = strlen(w->err.detail);
    if (w->n > 1)
        snprintf(w->err.detail + len, sizeof(w->err.detail) - len, "; %u more failed", w->n - 1);
    fail(p, &w->err);
    return true;
}

static void choose_providers(struct publication *p)
{
    struct worst worst = {0};
    for (size_t i = 0; i < p->n_places; i++)
        worst_add(&worst, p->places[i].err);
    if (!worst_fail(p, &worst))
        go(p, STEP_LEDGER);
}

static void on_alias(void *arg, const struct alias_chain *chain, const struct err *err)
{
    struct place *place = arg;
    struct publication *p = place->p;
    struct err e = *err;
    place->looking = NULL;
    if (chain) {
        place->final = xstrdup(chain->names[chain->n - 1]);
        place->zone = xstrdup(chain->zones[chain->n - 1]);
        place->note = xstrdup(chain->note);
        place->resolved = chain->resolved;
        place->servers = server_set_ref(chain->servers);
        place->provider = publisher_choose(p->conf, &p->cert, &place->name, chain, &e);
    }
    err_keep(&place->err, &e);
    if (--p->pending == 0)
        choose_providers(p);
}

static void enter_alias(struct publication *p)
{
    p->pending = p->n_places;
    set_progress(p, xasprintf("%zu name%s", p->n_places, p->n_places == 1 ? "" : "s"));
    for (size_t i = 0; i < p->n_places; i++)
        p->places[i].looking =
            alias_follow(p->publisher->cuts, p->conf, p->places[i].owner, on_alias, &p->places[i]);
    if (p->n_places == 0)
        go(p, STEP_LEDGER);
}

/* ---- LEDGER ---- */

static void on_intended(void *arg, struct ledger_entry *const *entries, const struct err *err)
{
    struct publication *p = arg;
    p->intending = NULL;
    if (!entries) {
        fail(p, err);
        return;
    }
    for (size_t i = 0; i < p->n_values; i++)
        p->values[i].entry = entries[i];
    go(p, STEP_ADD);
}

static void enter_ledger(struct publication *p)
{
    struct ledger_intent *intents = xcalloc(p->n_values ? p->n_values : 1, sizeof(*intents));
    for (size_t i = 0; i < p->n_values; i++) {
        const struct value *v = &p->values[i];
        intents[i] = (struct ledger_intent){.fqdn = v->place->final,
                                            .value = v->text,
                                            .provider = v->place->provider->name,
                                            .zone = v->place->zone,
                                            .cert = p->cert.name,
                                            .order = p->order};
    }
    p->intending = ledger_intend(p->publisher->ledger, intents, p->n_values, on_intended, p);
    free(intents);
}

/* ---- ADD ---- */

static int64_t time_limit(const struct publication *p, const struct place *place)
{
    const struct conf_dns_zone *policy = conf_dns_for(p->conf, place->final);
    int64_t typical = provider_propagation_ms(p->publisher->env.providers, place->provider->name);
    if (place->provider->timeout_ms)
        return place->provider->timeout_ms;
    return typical * 4 > policy->timeout_ms ? typical * 4 : policy->timeout_ms;
}

static void add_progress(struct publication *p)
{
    CLEANUP_BUF struct buf b;
    size_t left = 0;
    buf_init(&b, TEXT_MAX);
    for (size_t i = 0; i < p->n_values; i++) {
        const struct value *v = &p->values[i];
        if (v->adding && left++ == 0)
            buf_putf(&b, "%s through %s", v->place->final, v->place->provider->name);
    }
    if (left > 1)
        buf_putf(&b, " and %zu more", left - 1);
    if (left)
        set_progress(p, buf_steal(&b));
}

static void on_saved(void *arg, const struct err *err);

static void added_all(struct publication *p)
{
    struct worst worst = {0};
    struct ledger_entry **entries =
        xcalloc(p->n_values ? p->n_values : 1, sizeof(struct ledger_entry *));
    size_t n = 0;
    for (size_t i = 0; i < p->n_values; i++) {
        worst_add(&worst, p->values[i].err);
        if (p->values[i].added)
            entries[n++] = p->values[i].entry;
    }
    if (worst.n)
        ledger_save(p->publisher->ledger, entries, n, NULL, NULL);
    else
        p->saving = ledger_save(p->publisher->ledger, entries, n, on_saved, p);
    free(entries);
    if (!worst_fail(p, &worst))
        go(p, STEP_PROPAGATE);
}

static void on_added(void *arg, const char *handle, const struct err *err)
{
    struct value *v = arg;
    struct publication *p = v->p;
    v->adding = NULL;
    err_keep(&v->err, err);
    if (!v->err) {
        v->added = true;
        ledger_present(v->entry, handle ? handle : "");
    } else {
        err_activity(v->err, "adding the record %s through %s", v->place->final,
                     v->place->provider->name);
    }
    if (--p->pending == 0)
        added_all(p);
    else
        add_progress(p);
}

static void enter_add(struct publication *p)
{
    p->pending = p->n_values;
    for (size_t i = 0; i < p->n_values; i++) {
        struct value *v = &p->values[i];
        struct provider_txt txt = {
            .fqdn = v->place->final, .value = v->text, .zone = v->place->zone, .handle = ""};
        ledger_touch(v->entry);
        v->adding = provider_add(p->publisher->env.providers, v->place->provider->name, &txt,
                                 time_limit(p, v->place), on_added, v);
    }
    add_progress(p);
    if (p->n_values == 0)
        added_all(p);
}

/* ---- PROPAGATE ---- */

static void ready_if_all(struct publication *p)
{
    if (p->pending == 0 && !p->saving)
        go(p, STEP_READY);
}

static void on_saved(void *arg, const struct err *err)
{
    struct publication *p = arg;
    p->saving = NULL;
    if (err->cls == ERR_NONE) {
        ready_if_all(p);
        return;
    }
    struct err e = *err;
    err_activity(&e, "writing the ledger of records");
    fail(p, &e);
}

static void watch_progress(struct publication *p)
{
    CLEANUP_BUF struct buf b;
    unsigned told = 0, more = 0;
    buf_init(&b, 4 * TEXT_MAX);
    for (size_t i = 0; i < p->n_groups; i++) {
        const struct group *g = &p->groups[i];
        if (g->visible || !g->text)
            continue;
        if (told == GROUPS_TOLD) {
            more++;
            continue;
        }
        if (p->n_groups > 1)
            buf_putf(&b, "%s%s: %s", told ? "; " : "", g->place->final, g->text);
        else
            buf_puts(&b, g->text);
        told++;
    }
    if (more)
        buf_putf(&b, "; and %u more names", more);
    if (told)
        set_progress(p, buf_steal(&b));
}

static void on_changed(void *arg, const char *text)
{
    struct group *g = arg;
    free(g->text);
    g->text = xstrdup(text);
    watch_progress(g->p);
}

static void on_visible(void *arg, const struct err *err, const char *warning)
{
    struct group *g = arg;
    struct publication *p = g->p;
    g->watched = NULL;
    if (err->cls != ERR_NONE) {
        err_keep(&g->err, err);
        cuts_drop(p->publisher->cuts, g->place->zone);
        fail(p, err);
        return;
    }
    g->visible = true;
    free(g->warning);
    g->warning = xstrdup(warning);
    p->pending--;
    if (p->pending)
        watch_progress(p);
    ready_if_all(p);
}

static void watch(struct group *g)
{
    static const struct propagation_handler handler = {.changed = on_changed, .done = on_visible};
    struct publication *p = g->p;
    struct publisher *pub = p->publisher;
    const struct place *place = g->place;
    const struct conf_dns_zone *policy = conf_dns_for(p->conf, place->final);
    struct propagation_env env = {
        .loop = pub->env.loop, .dns = pub->env.dns, .reach = pub->reach, .waiting = &pub->waiting};
    struct propagation_spec spec = {
        .name = place->final,
        .servers = place->servers,
        .timeout_ms = time_limit(p, place),
        .typical_ms = provider_propagation_ms(pub->env.providers, place->provider->name),
        .require = policy->check == CONF_CHECK_REQUIRE};
    const char **texts = xcalloc(p->n_values, sizeof(*texts));
    for (size_t i = 0; i < p->n_values; i++)
        if (str_eq(p->values[i].place->final, place->final))
            texts[spec.n++] = p->values[i].text;
    spec.values = texts;
    if (policy->ask == CONF_ASK_AUTO && !place->servers->resolvers)
        spec.fallback = server_set_resolvers(p->conf, policy);
    p->pending++;
    g->watched = propagation_start(&env, &spec, &handler, g);
    server_set_unref(spec.fallback);
    free(texts);
}

static struct group *group_of(struct publication *p, const struct place *place)
{
    for (size_t i = 0; i < p->n_groups; i++)
        if (str_eq(p->groups[i].place->final, place->final))
            return &p->groups[i];
    return NULL;
}

static void enter_propagate(struct publication *p)
{
    p->groups = xcalloc(p->n_places ? p->n_places : 1, sizeof(*p->groups));
    for (size_t i = 0; i < p->n_places; i++)
        if (!group_of(p, &p->places[i]))
            p->groups[p->n_groups++] = (struct group){.p = p, .place = &p->places[i]};
    p->pending = 0;
    for (size_t i = 0; i < p->n_groups; i++) {
        struct group *g = &p->groups[i];
        const struct conf_dns_zone *policy = conf_dns_for(p->conf, g->place->final);
        if (policy->check == CONF_CHECK_NONE)
            g->visible = true;
        else
            watch(g);
    }
    if (p->pending)
        set_progress(
            p, xasprintf("asking for %zu record%s", p->n_values, p->n_values == 1 ? "" : "s"));
    /* Nothing to look at: ready when the handles are stored. */
}

/* ---- READY, FAILED ---- */

/* Ends all work in hand; what it would have said is not said any more. */
static void stop(struct publication *p, bool clean)
{
    timer_cancel(&p->timeout);
    defer_cancel(&p->start);
    defer_cancel(&p->progress);
    for (size_t i = 0; i < p->n_places; i++) {
        alias_cancel(p->places[i].looking);
        p->places[i].looking = NULL;
    }
    for (size_t i = 0; i < p->n_values; i++) {
        if (p->values[i].adding)
            provider_cancel(p->values[i].adding);
        p->values[i].adding = NULL;
    }
    for (size_t i = 0; i < p->n_groups; i++) {
        propagation_free(p->groups[i].watched);
        p->groups[i].watched = NULL;
    }
    ledger_abandon(p->intending, clean);
    p->intending = NULL;
    store_cancel(p->publisher->env.store, p->saving);
    p->saving = NULL;
}

static void enter_ready(struct publication *p)
{
    struct err ok = ERR_INIT;
    CLEANUP_BUF struct buf b;
    buf_init(&b, 16 * TEXT_MAX);
    for (size_t i = 0; i < p->n_groups; i++) {
        const struct group *g = &p->groups[i];
        if (g->place->note[0] && g->place->resolved)
            buf_putf(&b, "%sthe resolvers were asked for %s, because %s", b.len ? "; " : "",
                     g->place->final, g->place->note);
        if (g->warning && g->warning[0])
            buf_putf(&b, "%s%s", b.len ? "; " : "", g->warning);
    }
    stop(p, false);
    p->handler.ready(p->arg, &ok, buf_str(&b));
}

static void fail(struct publication *p, const struct err *err)
{
    struct err e = *err;
    p->step = STEP_FAILED;
    stop(p, false);
    p->handler.ready(p->arg, &e, "");
}

static void on_timeout(void *arg)
{
    struct publication *p = arg;
    struct worst worst = {0};
    struct err e = ERR_INIT;
    for (size_t i = 0; i < p->n_places; i++)
        worst_add(&worst, p->places[i].err);
    if (worst_fail(p, &worst))
        return;
    err_set(&e, ERR_TRANSIENT, "DNS servers answer too slowly to find where the records go");
    err_activity(&e, "following the aliases of %s", p->cert.name);
    fail(p, &e);
}

static const struct {
    const char *phase;
    void (*enter)(struct publication *p);
    int64_t timeout_ms; /* 0: the parts have their own */
} steps[] = {
    [STEP_ALIAS] = {"following aliases", enter_alias, ALIAS_TIMEOUT_MS},
    [STEP_LEDGER] = {"adding records", enter_ledger, 0},
    [STEP_ADD] = {"adding records", enter_add, 0},
    [STEP_PROPAGATE] = {"waiting for name servers", enter_propagate, 0},
    [STEP_READY] = {"", enter_ready, 0},
    [STEP_FAILED] = {"", NULL, 0},
};

static const char *phase_name(const struct publication *p)
{
    return steps[p->step].phase;
}

static void go(struct publication *p, enum step step)
{
    p->step = step;
    timer_cancel(&p->timeout);
    if (steps[step].timeout_ms)
        timer_after(p->publisher->env.loop, &p->timeout, steps[step].timeout_ms, on_timeout, p);
    steps[step].enter(p);
}

/* ---- life ---- */

static void on_start(void *arg)
{
    go(arg, STEP_ALIAS);
}

static struct place *place_for(struct publication *p, const struct publish_value *v)
{
    for (size_t i = 0; i < p->n_places; i++)
        if (str_eq(p->places[i].owner, v->owner) &&
            str_eq(p->places[i].name.provider, v->name->provider))
            return &p->places[i];
    struct place *place = &p->places[p->n_places++];
    place->p = p;
    place->name.name = xstrdup(v->name->name);
    place->name.provider = xstrdup(v->name->provider);
    place->owner = xstrdup(v->owner);
    return place;
}

struct publication *publish_start(struct publisher *pub, const struct conf_cert *cert,
                                  const char *order, const struct publish_value *values, size_t n,
                                  const struct publish_handler *h, void *arg)
{
    struct publication *p = xnew(struct publication);
    p->publisher = pub;
    p->conf = conf_ref(pub->conf);
    p->cert.name = xstrdup(cert->name);
    p->cert.provider = xstrdup(cert->provider);
    p->order = xstrdup(order);
    p->handler = *h;
    p->arg = arg;
    p->places = xcalloc(n ? n : 1, sizeof(*p->places));
    p->values = xcalloc(n ? n : 1, sizeof(*p->values));
    p->n_values = n;
    for (size_t i = 0; i < n; i++)
        p->values[i] = (struct value){
            .p = p, .place = place_for(p, &values[i]), .text = xstrdup(values[i].value)};
    loop_defer(pub->env.loop, &p->start, on_start, p);
    return p;
}

static void release(struct publication *p)
{
    for (size_t i = 0; i < p->n_places; i++) {
        free(p->places[i].name.name);
        free(p->places[i].name.provider);
        server_set_unref(p->places[i].servers);
        free(p->places[i].owner);
        free(p->places[i].final);
        free(p->places[i].zone);
        free(p->places[i].note);
        free(p->places[i].err);
    }
    for (size_t i = 0; i < p->n_values; i++) {
        free(p->values[i].text);
        free(p->values[i].err);
    }
    for (size_t i = 0; i < p->n_groups; i++) {
        free(p->groups[i].err);
        free(p->groups[i].text);
        free(p->groups[i].warning);
    }
    free(p->places);
    free(p->values);
    free(p->groups);
    free(p->cert.name);
    free(p->cert.provider);
    free(p->order);
    free(p->text);
    conf_unref(p->conf);
    free(p);
}

void publication_clean(struct publication *p, void (*done)(void *arg, const struct err *err),
                       void *arg)
{
    struct ledger_entry **entries =
        xcalloc(p->n_values ? p->n_values : 1, sizeof(struct ledger_entry *));
    size_t n = 0;
    stop(p, true);
    for (size_t i = 0; i < p->n_values; i++)
        if (p->values[i].entry)
            entries[n++] = p->values[i].entry;
    ledger_clean(p->publisher->ledger, entries, n, done, arg);
    free(entries);
    release(p);
}

void publication_keep(struct publication *p)
{
    struct ledger_entry **entries =
        xcalloc(p->n_values ? p->n_values : 1, sizeof(struct ledger_entry *));
    stop(p, false);
    for (size_t i = 0; i < p->n_values; i++)
        entries[i] = p->values[i].entry;
    ledger_keep(p->publisher->ledger, entries, p->n_values, NULL, NULL);
    free(entries);
    release(p);
}

const struct err *publication_error(const struct publication *p, size_t i)
{
    const struct value *v = &p->values[i];
    for (size_t k = 0; k < p->n_groups; k++)
        if (str_eq(p->groups[k].place->final, v->place->final) && p->groups[k].err)
            return p->groups[k].err;
    return v->err ? v->err : v->place->err;
}

void publication_free(struct publication *p)
{
    if (!p)
        return;
    stop(p, false);
    for (size_t i = 0; i < p->n_values; i++)
        if (p->values[i].entry)
            ledger_release(p->values[i].entry);
    release(p);
}
