/* SPDX-License-Identifier: ISC */
/*
 * A mark:   SAVING (durable) -> PUTTING (the keeper) -> UP -> REMOVING -> DELETING -> gone
 *                                    ^ a restart begins here   ^   | failed
 *                                                              `- WAITING
 */
#include "renew/prove_marks.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "renew/policy.h"

#include <stdlib.h>

#define PREFIX "http01/"

enum mark_state { SAVING, PUTTING, UP, REMOVING, DELETING, WAITING };

struct mark {
    struct marks *marks;
    char *key, *cert, *ca, *name, *token, *order;
    enum mark_state state;
    bool held; /* by a proof */
    bool kept; /* its order will be taken up */
    unsigned fails;
    keeper_done_fn *done; /* of what goes on; NULL */
    void *arg;
    struct keeper_call *call;
    struct store_call *storing;
    struct timer timer;
};

struct later { /* asked before the store was read */
    struct list node;
    bool recover;
    char **orders;
    size_t n;
};

struct marks {
    const struct prove_env *env;
    struct map *map; /* key -> struct mark */
    bool loaded;
    struct store_call *loading;
    struct timer load_again;
    struct list laters;
};

static void take_away(struct mark *k);

static void mark_free(struct mark *k)
{
    timer_cancel(&k->timer);
    keeper_cancel(k->marks->env->keeper, k->call);
    store_cancel(k->marks->env->store, k->storing);
    free(k->key);
    free(k->cert);
    free(k->ca);
    free(k->name);
    free(k->token);
    free(k->order);
    free(k);
}

static void tell(struct mark *k, const struct err *err)
{
    keeper_done_fn *done = k->done;
    k->done = NULL;
    if (done)
        done(k->arg, err);
}

static struct mark *mark_new(struct marks *m, const struct mark_spec *s)
{
    struct mark *k = xnew(struct mark);
    k->marks = m;
    k->key = xasprintf(PREFIX "%s/%s", s->cert, s->token);
    k->cert = xstrdup(s->cert);
    k->ca = xstrdup(s->ca);
    k->name = xstrdup(s->name);
    k->token = xstrdup(s->token);
    k->order = xstrdup(s->order);
    return k;
}

/* ---- putting up ---- */

static struct keeper_call *ask_keeper(struct mark *k, bool add, keeper_done_fn *done)
{
    struct keeper *keeper = k->marks->env->keeper;
    const struct keeper_http01_request r = {
        .cert = k->cert, .ca = k->ca, .name = k->name, .token = k->token, .add = add};
    return keeper->ops->http01(keeper, &r, done, k);
}

static void on_put(void *arg, const struct err *err)
{
    struct mark *k = arg;
    k->call = NULL;
    k->state = UP;
    tell(k, err);
}

static void on_saved(void *arg, const struct err *err)
{
    struct mark *k = arg;
    k->storing = NULL;
    if (err_is(err)) {
        k->state = UP;
        tell(k, err);
        return;
    }
    k->state = PUTTING;
    k->call = ask_keeper(k, true, on_put);
}

static void save(struct mark *k)
{
    CLEANUP_JSON struct json *j = json_object();
    json_add_text(j, "cert", k->cert);
    json_add_text(j, "ca", k->ca);
    json_add_text(j, "name", k->name);
    json_add_text(j, "token", k->token);
    json_add_text(j, "order", k->order);
    CLEANUP_FREE char *text = json_print(j, false);
    k->storing = store_put(k->marks->env->store, k->key, text, on_saved, k);
}

/* One of the same token that is there already, of an order that is taken up, is taken over. */
struct mark *mark_add(struct marks *m, const struct mark_spec *s, keeper_done_fn *done, void *arg)
{
    struct mark *k = mark_new(m, s), *former = map_get(m->map, k->key);
    if (former && !former->held) {
        map_remove(m->map, former->key);
        mark_free(former);
    } else if (former) { /* the same name twice in an order: each is removed for itself */
        free(k->key);
        k->key = xasprintf(PREFIX "%s/%s/%s", s->cert, s->token, s->name);
    }
    map_put(m->map, k->key, k);
    k->held = true;
    k->done = done;
    k->arg = arg;
    k->state = SAVING;
    save(k);
    return k;
}

/* ---- taking away ---- */

static void on_timer(void *arg)
{
    take_away(arg);
}

static void wait_and_retry(struct mark *k, const struct err *err)
{
    static const int64_t steps[] = {POLICY_MINUTE, 10 * POLICY_MINUTE, 100 * POLICY_MINUTE,
                                    POLICY_DAY};
    struct marks *m = k->marks;
    struct err e = *err;
    size_t step = k->fails < ARRAY_LEN(steps) ? k->fails : ARRAY_LEN(steps) - 1;
    k->fails++;
    k->state = WAITING;
    timer_after(m->env->loop, &k->timer, steps[step] + rng_range(m->env->rng, 0, steps[step] / 10),
                on_timer, k);
    err_prefix(&e, "the http-01 answer for %s was not removed and will be tried again", k->name);
    tell(k, &e);
}

static void on_deleted(void *arg, const struct err *err)
{
    struct mark *k = arg;
    k->storing = NULL;
    if (err_is(err)) {
        wait_and_retry(k, err);
        return;
    }
    map_remove(k->marks->map, k->key);
    tell(k, err);
    mark_free(k);
}

static void on_taken(void *arg, const struct err *err)
{
    struct mark *k = arg;
    k->call = NULL;
    if (err_is(err) && err->cls != ERR_CONFIG) { /* ERR_CONFIG: no such certificate any more */
        wait_and_retry(k, err);
        return;
    }
    k->state = DELETING;
    k->storing = store_delete(k->marks->env->store, k->key, on_deleted, k);
}

static void take_away(struct mark *k)
{
    if (k->state == REMOVING || k->state == DELETING)
        return;
    timer_cancel(&k->timer);
    keeper_cancel(k->marks->env->keeper, k->call);
    store_cancel(k->marks->env->store, k->storing);
    k->storing = NULL;
    k->state = REMOVING;
    k->call = ask_keeper(k, false, on_taken);
}

void mark_remove(struct mark *k, keeper_done_fn *done, void *arg)
{
    k->held = k->kept = false;
    k->done = done;
    k->arg = arg;
    take_away(k);
}

void mark_drop(struct mark *k)
{
    k->held = false;
    k->kept = true;
    k->done = NULL;
}

/* ---- what was left behind ---- */

static bool among(const char *order, char *const *orders, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(order, orders[i]))
            return true;
    return false;
}

static void run_later(struct marks *m, const struct later *l)
{
    const char *key;
    void *value;
    for (size_t i = 0; map_next(m->map, &i, &key, &value);) {
        struct mark *k = value;
        bool named = among(k->order, l->orders, l->n);
        if (k->held)
            continue;
        if (l->recover)
            k->kept = named;
        if (l->recover ? !named : named)
            take_away(k);
    }
}

static void later_free(struct later *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->orders[i]);
    free(l->orders);
    list_remove(&l->node);
    free(l);
}

static void run_or_keep(struct marks *m, bool recover, const char *const *orders, size_t n)
{
    struct later *l = xnew(struct later);
    l->recover = recover;
    l->n = n;
    l->orders = xcalloc(n ? n : 1, sizeof(*l->orders));
    for (size_t i = 0; i < n; i++)
        l->orders[i] = xstrdup(orders[i]);
    list_init(&l->node);
    if (!m->loaded) {
        list_append(&m->laters, &l->node);
        return;
    }
    run_later(m, l);
    later_free(l);
}

void marks_recover(struct marks *m, const char *const *keep_orders, size_t n)
{
    run_or_keep(m, true, keep_orders, n);
}

void marks_order_ended(struct marks *m, const char *order)
{
    run_or_keep(m, false, &order, 1);
}

/* ---- the store ---- */

static void load(void *arg);

static void load_one(struct marks *m, const struct store_item *item)
{
    CLEANUP_JSON struct json *j = json_parse(item->value, item->len, NULL);
    struct mark_spec s = {json_text(j, "cert"), json_text(j, "ca"), json_text(j, "name"),
                          json_text(j, "token"), json_text(j, "order")};
    if (map_get(m->map, item->key) || !s.cert || !s.ca || !s.name || !s.token || !s.order)
        return;
    struct mark *k = mark_new(m, &s);
    free(k->key);
    k->key = xstrdup(item->key);
    k->state = UP;
    map_put(m->map, k->key, k);
}

static void on_loaded(void *arg, const struct store_item *items, size_t n, const struct err *err)
{
    struct marks *m = arg;
    m->loading = NULL;
    if (err_is(err)) {
        timer_after(m->env->loop, &m->load_again, POLICY_MINUTE, load, m);
        return;
    }
    for (size_t i = 0; i < n; i++)
        load_one(m, &items[i]);
    m->loaded = true;
    list_each(it, &m->laters)
    {
        struct later *l = list_item(it, struct later, node);
        run_later(m, l);
        later_free(l);
    }
}

static void load(void *arg)
{
    struct marks *m = arg;
    m->loading = store_list(m->env->store, PREFIX, on_loaded, m);
}

struct marks *marks_new(const struct prove_env *env)
{
    struct marks *m = xnew(struct marks);
    m->env = env;
    m->map = map_new();
    list_init(&m->laters);
    load(m);
    return m;
}

void marks_free(struct marks *m)
{
    void *k;
    if (!m)
        return;
    store_cancel(m->env->store, m->loading);
    timer_cancel(&m->load_again);
    for (size_t i = 0; map_next(m->map, &i, NULL, &k);)
        mark_free(k);
    map_free(m->map);
    list_each(it, &m->laters) later_free(list_item(it, struct later, node));
    free(m);
}
