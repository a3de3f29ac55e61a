/* SPDX-License-Identifier: ISC */
/*
 * An entry (state as stored / work in hand):
 *
 *   ledger_intend           ledger_touch, provider_add      ledger_present, ledger_save
 *   -----> intended/QUIET ------------------------> intended/QUIET ------> present/QUIET
 *              |  never touched: forgotten               |  ledger_clean, ledger_recover ...
 *              v                                         v
 *            (gone) <--- removing/DELETING <--ok--- removing/ASKING <-------------+
 *                            store failed: -------+   |  provider failed          | timer,
 * ledger_retry, v   v                           | ledger_clean_now removing/WAITING
 * -----------------+
 *                                                 |
 *                                                 +-- ledger_intend of the same record:
 * intended/QUIET
 *
 * An intent for a record that is ASKING or DELETING waits until that has ended.
 */
#include "dns/ledger.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "dns/ledger_entry.h"

#include <stdlib.h>
#include <string.h>

#define MINUTE_MS INT64_C(60000)
#define REMOVE_DEADLINE_MS (5 * MINUTE_MS)
#define LOAD_RETRY_MS MINUTE_MS

/* Someone who waits for n removals to end. */
struct sweep {
    struct list node; /* ledger.sweeps */
    size_t pending;
    unsigned removed, failed;
    struct err first;
    struct defer defer;
    void (*on_clean)(void *arg, const struct err *err);
    void (*on_now)(void *arg, unsigned removed, unsigned failed, const struct err *first);
    void *arg;
};

struct ticket {
    struct list node; /* ledger_entry.waiters */
    struct sweep *sweep;
};

struct ledger_call {
    struct list node; /* ledger.calls while it waits, ledger.saving after */
    struct ledger *ledger;
    struct ledger_intent *intents; /* texts are ours */
    struct ledger_entry **entries; /* once held */
    size_t n;
    bool held;
    struct store_call *saving;
    ledger_intended_fn *done;
    void *arg;
};

struct later { /* a request that came before the ledger was loaded */
    struct list node;
    enum { LATER_RECOVER, LATER_ORDER, LATER_NOW } what;
    char **orders;
    size_t n;
    struct sweep *sweep;
};

struct ledger {
    struct ledger_env env;
    struct map *entries; /* key -> struct ledger_entry */
    bool loaded;
    struct store_call *loading;
    struct timer load_again;
    struct list calls;  /* ledger_call: wait for the load or for a removal */
    struct list saving; /* ledger_call: their batch is on its way */
    struct list later;  /* struct later */
    struct list sweeps; /* struct sweep */
    struct defer retry_calls;
};

static void remove_record(struct ledger_entry *e);
static void on_retry_calls(void *arg);

/* ---- sweeps ---- */

static void sweep_end(void *arg)
{
    struct sweep *s = arg;
    struct sweep copy = *s;
    list_remove(&s->node);
    free(s);
    if (copy.on_clean)
        copy.on_clean(copy.arg, &copy.first);
    if (copy.on_now)
        copy.on_now(copy.arg, copy.removed, copy.failed, &copy.first);
}

static struct sweep *sweep_new(struct ledger *l, void *arg)
{
    struct sweep *s = xnew(struct sweep);
    s->arg = arg;
    s->pending = 1; /* until all tickets are out */
    list_append(&l->sweeps, &s->node);
    return s;
}

static void sweep_step(struct ledger *l, struct sweep *s, const struct err *err)
{
    if (err && err->cls != ERR_NONE) {
        if (s->failed++ == 0)
            s->first = *err;
    } else if (err) {
        s->removed++;
    }
    if (--s->pending == 0)
        loop_defer(l->env.loop, &s->defer, sweep_end, s);
}

static void sweep_wait(struct sweep *s, struct ledger_entry *e)
{
    struct ticket *t = xnew(struct ticket);
    t->sweep = s;
    s->pending++;
    list_append(&e->waiters, &t->node);
}

static void tell_waiters(struct ledger_entry *e, const struct err *err)
{
    list_each(it, &e->waiters)
    {
        struct ticket *t = list_item(it, struct ticket, node);
        list_remove(it);
        sweep_step(e->ledger, t->sweep, err);
        free(t);
    }
    if (!list_empty(&e->ledger->calls))
        loop_defer(e->ledger->env.loop, &e->ledger->retry_calls, on_retry_calls, e->ledger);
}

/* ---- the entries' machine ---- */

static void drop(struct ledger_entry *e)
{
    struct ledger *l = e->ledger;
    timer_cancel(&e->timer);
    if (e->asking)
        provider_cancel(e->asking);
    store_cancel(l->env.store, e->deleting);
    list_each(it, &e->waiters) free(list_item(it, struct ticket, node));
    map_remove(l->entries, e->key);
    ledger_entry_free(e);
}

static void add_op(struct store_op *op, const struct ledger_entry *e, char **ret_text)
{
    *ret_text = ledger_entry_print(e);
    *op = (struct store_op){
        .key = e->key, .value = *ret_text, .len = strlen(*ret_text), .expected = STORE_ANY};
}

struct store_call *ledger_save(struct ledger *l, struct ledger_entry *const *entries, size_t n,
                               store_write_fn *done, void *arg)
{
    struct store_op *ops = xcalloc(n ? n : 1, sizeof(*ops));
    char **texts = xcalloc(n ? n : 1, sizeof(*texts));
    for (size_t i = 0; i < n; i++)
        add_op(&ops[i], entries[i], &texts[i]);
    struct store_call *c = store_batch(l->env.store, ops, n, done, arg);
    for (size_t i = 0; i < n; i++)
        free(texts[i]);
    free(texts);
    free(ops);
    return c;
}

static void on_timer(void *arg)
{
    remove_record(arg);
}

static void wait_and_retry(struct ledger_entry *e, const struct err *why)
{
    static const int64_t steps[] = {MINUTE_MS, 10 * MINUTE_MS, 100 * MINUTE_MS, 1440 * MINUTE_MS};
    struct ledger *l = e->ledger;
    struct err err = *why;
    char text[sizeof(err.detail) + sizeof(err.activity) + 4], in[32];
    size_t step = e->fails < ARRAY_LEN(steps) ? e->fails : ARRAY_LEN(steps) - 1;
    int64_t wait = steps[step] + rng_range(l->env.rng, 0, steps[step] / 10);
    if (err.retry_at - loop_wall_ms(l->env.loop) > wait)
        wait = err.retry_at - loop_wall_ms(l->env.loop);
    e->fails++;
    e->work = LEDGER_WAITING;
    free(e->error);
    e->error = xstrdup(err_text(&err, text, sizeof(text)));
    ledger_save(l, &e, 1, NULL, NULL);
    timer_after(l->env.loop, &e->timer, wait, on_timer, e);
    err_prefix(&err, "the record %s was not removed and will be tried again in %s", e->fqdn,
               str_from_duration(wait, in, sizeof(in)));
    tell_waiters(e, &err);
}

static void on_deleted(void *arg, const struct err *err)
{
    struct ledger_entry *e = arg;
    e->deleting = NULL;
    if (err->cls != ERR_NONE) {
        wait_and_retry(e, err);
        return;
    }
    tell_waiters(e, err);
    drop(e);
}

static void on_removed(void *arg, const char *handle, const struct err *err)
{
    struct ledger_entry *e = arg;
    (void)handle;
    e->asking = NULL;
    if (err->cls != ERR_NONE) {
        wait_and_retry(e, err);
        return;
    }
    e->work = LEDGER_DELETING;
    e->deleting = store_delete(e->ledger->env.store, e->key, on_deleted, e);
}

static void remove_record(struct ledger_entry *e)
{
    struct ledger *l = e->ledger;
    struct provider_txt txt = {
        .fqdn = e->fqdn, .value = e->value, .zone = e->zone, .handle = e->handle};
    if (e->work == LEDGER_ASKING || e->work == LEDGER_DELETING)
        return;
    timer_cancel(&e->timer);
    e->work = LEDGER_ASKING;
    e->state = LEDGER_REMOVING;
    e->kept = false;
    e->asking =
        provider_remove(l->env.providers, e->provider, &txt, REMOVE_DEADLINE_MS, on_removed, e);
}

/* True when a removal has begun or goes on. */
static bool unhold(struct ledger_entry *e, bool clean)
{
    struct ledger *l = e->ledger;
    if (--e->holds)
        return false;
    if (!e->touched) {
        store_delete(l->env.store, e->key, NULL, NULL);
        drop(e);
        return false;
    }
    if (clean)
        remove_record(e);
    return clean;
}

void ledger_release(struct ledger_entry *e)
{
    unhold(e, false);
}

void ledger_touch(struct ledger_entry *e)
{
    e->touched = true;
}

void ledger_present(struct ledger_entry *e, const char *handle)
{
    e->state = LEDGER_PRESENT;
    free(e->handle);
    e->handle = xstrdup(handle);
}

void ledger_clean(struct ledger *l, struct ledger_entry *const *entries, size_t n,
                  void (*done)(void *arg, const struct err *err), void *arg)
{
    struct sweep *s = sweep_new(l, arg);
    struct ledger_entry **removing = xcalloc(n ? n : 1, sizeof(struct ledger_entry *));
    size_t count = 0;
    s->on_clean = done;
    for (size_t i = 0; i < n; i++) {
        struct ledger_entry *e = entries[i];
        if (!unhold(e, true))
            continue;
        sweep_wait(s, e);
        removing[count++] = e;
    }
    if (count)
        ledger_save(l, removing, count, NULL, NULL);
    free(removing);
    sweep_step(l, s, NULL);
}

static bool is_of(const struct ledger_entry *e, struct ledger_entry *const *entries, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (entries[i] == e)
            return true;
    return false;
}

/* What new records for good stand in the place of. */
static void remove_former(struct ledger *l, const struct ledger_entry *now,
                          struct ledger_entry *const *entries, size_t n)
{
    const char *key;
    void *value;
    for (size_t i = 0; map_next(l->entries, &i, &key, &value);) {
        struct ledger_entry *e = value;
        if (e->holds == 0 && ledger_entry_for_good(e) && str_eq(e->fqdn, now->fqdn) &&
            str_eq(e->cert, now->cert) && !is_of(e, entries, n)) {
            remove_record(e);
            ledger_save(l, &e, 1, NULL, NULL);
        }
    }
}

struct store_call *ledger_keep(struct ledger *l, struct ledger_entry *const *entries, size_t n,
                               store_write_fn *done, void *arg)
{
    for (size_t i = 0; i < n; i++) {
        free(entries[i]->order);
        entries[i]->order = xstrdup(LEDGER_FOR_GOOD);
        unhold(entries[i], false);
    }
    struct store_call *c = ledger_save(l, entries, n, done, arg);
    for (size_t i = 0; i < n; i++)
        remove_former(l, entries[i], entries, n);
    return c;
}

/* ---- intents ---- */

static void call_free(struct ledger_call *c)
{
    for (size_t i = 0; i < c->n; i++) {
        char *texts[] = {(char *)c->intents[i].fqdn,     (char *)c->intents[i].value,
                         (char *)c->intents[i].provider, (char *)c->intents[i].zone,
                         (char *)c->intents[i].cert,     (char *)c->intents[i].order};
        for (size_t k = 0; k < ARRAY_LEN(texts); k++)
            free(texts[k]);
    }
    list_remove(&c->node);
    if (c->saving)
        store_cancel(c->ledger->env.store, c->saving);
    free(c->intents);
    free(c->entries);
    free(c);
}

void ledger_abandon(struct ledger_call *c, bool clean)
{
    if (!c)
        return;
    for (size_t i = 0; c->held && i < c->n; i++)
        unhold(c->entries[i], clean);
    call_free(c);
}

static void on_intended(void *arg, const struct err *err)
{
    struct ledger_call *c = arg;
    struct err why = *err;
    c->saving = NULL;
    list_remove(&c->node);
    if (why.cls != ERR_NONE) {
        for (size_t i = 0; i < c->n; i++)
            unhold(c->entries[i], false);
        err_activity(&why, "writing the ledger of records");
    }
    c->done(c->arg, why.cls == ERR_NONE ? c->entries : NULL, &why);
    call_free(c);
}

static bool in_removal(const struct ledger *l, const struct ledger_call *c)
{
    for (size_t i = 0; i < c->n; i++) {
        CLEANUP_FREE char *key = ledger_key(c->intents[i].fqdn, c->intents[i].value);
        const struct ledger_entry *e = map_get(l->entries, key);
        if (e && (e->work == LEDGER_ASKING || e->work == LEDGER_DELETING))
            return true;
    }
    return false;
}

static struct ledger_entry *hold(struct ledger *l, const struct ledger_intent *i)
{
    CLEANUP_FREE char *key = ledger_key(i->fqdn, i->value);
    struct ledger_entry *e = map_get(l->entries, key);
    if (!e) {
        e = ledger_entry_new(l, i);
        e->since = loop_wall_ms(l->env.loop);
        map_put(l->entries, key, e);
    } else if (e->holds == 0) {
        ledger_entry_assign(e, i); /* a resumed order's */
        timer_cancel(&e->timer);
        e->work = LEDGER_QUIET;
        e->state = LEDGER_INTENDED;
        e->fails = 0;
        e->error[0] = '\0';
        e->kept = false;
    }
    e->holds++;
    return e;
}

static void try_call(struct ledger *l, struct ledger_call *c)
{
    if (in_removal(l, c))
        return;
    list_remove(&c->node);
    list_append(&l->saving, &c->node);
    c->entries = xcalloc(c->n ? c->n : 1, sizeof(struct ledger_entry *));
    for (size_t i = 0; i < c->n; i++)
        c->entries[i] = hold(l, &c->intents[i]);
    c->held = true;
    c->saving = ledger_save(l, c->entries, c->n, on_intended, c);
}

static void on_retry_calls(void *arg)
{
    struct ledger *l = arg;
    if (!l->loaded)
        return;
    list_each(it, &l->calls) try_call(l, list_item(it, struct ledger_call, node));
}

struct ledger_call *ledger_intend(struct ledger *l, const struct ledger_intent *intents, size_t n,
                                  ledger_intended_fn *done, void *arg)
{
    struct ledger_call *c = xnew(struct ledger_call);
    c->ledger = l;
    c->done = done;
    c->arg = arg;
    c->n = n;
    c->intents = xcalloc(n ? n : 1, sizeof(*c->intents));
    for (size_t i = 0; i < n; i++)
        c->intents[i] = (struct ledger_intent){.fqdn = xstrdup(intents[i].fqdn),
                                               .value = xstrdup(intents[i].value),
                                               .provider = xstrdup(intents[i].provider),
                                               .zone = xstrdup(intents[i].zone),
                                               .cert = xstrdup(intents[i].cert),
                                               .order = xstrdup(intents[i].order)};
    list_init(&c->node);
    list_append(&l->calls, &c->node);
    if (l->loaded)
        try_call(l, c);
    return c;
}

/* ---- loading, and what waits for it ---- */

static bool among(const char *order, char *const *orders, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(order, orders[i]))
            return true;
    return false;
}

static void run_later(struct ledger *l, const struct later *r)
{
    const char *key;
    void *value;
    for (size_t i = 0; map_next(l->entries, &i, &key, &value);) {
        struct ledger_entry *e = value;
        if (e->holds || ledger_entry_for_good(e))
            continue;
        bool named = among(e->order, r->orders, r->n);
        if (r->what == LATER_RECOVER)
            e->kept = named;
        if (r->what == LATER_ORDER ? !named : e->kept)
            continue;
        if (r->what == LATER_RECOVER && e->work == LEDGER_WAITING)
            continue;
        remove_record(e);
        if (r->sweep)
            sweep_wait(r->sweep, e);
    }
    if (r->sweep)
        sweep_step(l, r->sweep, NULL);
}

static void later_free(struct later *r)
{
    for (size_t i = 0; i < r->n; i++)
        free(r->orders[i]);
    free(r->orders);
    list_remove(&r->node);
    free(r);
}

static void run_or_keep(struct ledger *l, int what, const char *const *orders, size_t n,
                        struct sweep *s)
{
    struct later *r = xnew(struct later);
    list_init(&r->node);
    r->what = what;
    r->n = n;
    r->orders = xcalloc(n ? n : 1, sizeof(*r->orders));
    for (size_t i = 0; i < n; i++)
        r->orders[i] = xstrdup(orders[i]);
    r->sweep = s;
    if (!l->loaded) {
        list_append(&l->later, &r->node);
        return;
    }
    run_later(l, r);
    later_free(r);
}

static void load(void *arg);

static void on_loaded(void *arg, const struct store_item *items, size_t n, const struct err *err)
{
    struct ledger *l = arg;
    l->loading = NULL;
    if (err->cls != ERR_NONE) {
        timer_after(l->env.loop, &l->load_again, LOAD_RETRY_MS, load, l);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        struct ledger_entry *e = ledger_entry_parse(l, &items[i]);
        map_put(l->entries, e->key, e);
    }
    l->loaded = true;
    list_each(it, &l->later)
    {
        struct later *r = list_item(it, struct later, node);
        run_later(l, r);
        later_free(r);
    }
    on_retry_calls(l);
}

static void load(void *arg)
{
    struct ledger *l = arg;
    l->loading = store_list(l->env.store, LEDGER_PREFIX, on_loaded, l);
}

struct ledger *ledger_new(const struct ledger_env *env)
{
    struct ledger *l = xnew(struct ledger);
    l->env = *env;
    l->entries = map_new();
    list_init(&l->calls);
    list_init(&l->saving);
    list_init(&l->later);
    list_init(&l->sweeps);
    load(l);
    return l;
}

void ledger_free(struct ledger *l)
{
    const char *key;
    void *value;
    if (!l)
        return;
    store_cancel(l->env.store, l->loading);
    timer_cancel(&l->load_again);
    defer_cancel(&l->retry_calls);
    list_each(c, &l->calls) call_free(list_item(c, struct ledger_call, node));
    list_each(b, &l->saving) call_free(list_item(b, struct ledger_call, node));
    list_each(r, &l->later) later_free(list_item(r, struct later, node));
    list_each(s, &l->sweeps)
    {
        struct sweep *sweep = list_item(s, struct sweep, node);
        defer_cancel(&sweep->defer);
        list_remove(s);
        free(sweep);
    }
    for (size_t i = 0; map_next(l->entries, &i, &key, &value);) {
        struct ledger_entry *e = value;
        timer_cancel(&e->timer);
        if (e->asking)
            provider_cancel(e->asking);
        store_cancel(l->env.store, e->deleting);
        list_each(t, &e->waiters) free(list_item(t, struct ticket, node));
        ledger_entry_free(e);
    }
    map_free(l->entries);
    free(l);
}

void ledger_recover(struct ledger *l, const char *const *keep_orders, size_t n)
{
    run_or_keep(l, LATER_RECOVER, keep_orders, n, NULL);
}

void ledger_order_ended(struct ledger *l, const char *order)
{
    run_or_keep(l, LATER_ORDER, &order, 1, NULL);
}

void ledger_clean_now(struct ledger *l,
                      void (*done)(void *arg, unsigned removed, unsigned failed,
                                   const struct err *first),
                      void *arg)
{
    struct sweep *s = sweep_new(l, arg);
    s->on_now = done;
    run_or_keep(l, LATER_NOW, NULL, 0, s);
}

void ledger_retry(struct ledger *l)
{
    const char *key;
    void *value;
    for (size_t i = 0; map_next(l->entries, &i, &key, &value);) {
        struct ledger_entry *e = value;
        if (e->work == LEDGER_WAITING)
            remove_record(e);
    }
}

void ledger_records(const struct ledger *l,
                    void (*fn)(void *arg, const struct publish_record *record), void *arg)
{
    const char *key;
    void *value;
    for (size_t i = 0; map_next(l->entries, &i, &key, &value);) {
        const struct ledger_entry *e = value;
        struct publish_record r = {.fqdn = e->fqdn,
                                   .value = e->value,
                                   .provider = e->provider,
                                   .cert = e->cert,
                                   .order = e->order,
                                   .since_ms = e->since,
                                   .state = ledger_entry_for_good(e) ? "kept"
                                                                     : ledger_state_name(e->state),
                                   .last_error = e->error};
        fn(arg, &r);
    }
}
