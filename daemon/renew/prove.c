/* SPDX-License-Identifier: ISC */
/*
 * A round of a proof (proof_start, proof_more):
 *
 *   judge: BROKEN items get another challenge or end the round
 *          IDLE items are started             ^
 *          all READY: the round has ended     |
 *     ^                                       |
 *     `--- item_ready(), item_broken(), something that broke has been removed
 *
 * Judging is deferred, so that no solver is ended from inside one of its own calls.
 */
#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "renew/prove_marks.h"
#include "renew/prove_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WARNINGS_MAX 8192u
#define CHECK_CONNECTIONS 64

/* Something that broke and is being removed; its other items begin again after that. */
struct retiring {
    struct list node;    /* prover.retirings */
    struct proof *proof; /* NULL: has ended */
};

/* The removal of a proof; outlives it. */
struct sweep {
    struct list node; /* prover.sweeps */
    size_t pending;
    struct err first;
    void (*done)(void *arg, const struct err *err);
    void *arg;
};

static void judge(void *arg);

static const struct solver *solver_of(enum conf_challenge type)
{
    static const struct solver *const solvers[CONF_CHALLENGE_TYPES] = {
        [CONF_DNS_01] = &solver_dns,
        [CONF_DNS_ACCOUNT_01] = &solver_dns,
        [CONF_HTTP_01] = &solver_http,
        [CONF_TLS_ALPN_01] = &solver_alpn,
        [CONF_DNS_PERSIST_01] = &solver_persist,
    };
    return solvers[type];
}

static void judge_later(struct proof *p)
{
    loop_defer(p->prover->env.loop, &p->judge, judge, p);
}

/* ---- items ---- */

static char *copy(const char *text)
{
    return xstrdup(text ? text : "");
}

static char **copy_list(const char *const *v, size_t n)
{
    char **out = xcalloc(n ? n : 1, sizeof(*out));
    for (size_t i = 0; i < n; i++)
        out[i] = xstrdup(v[i]);
    return out;
}

static void free_list(char **v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(v[i]);
    free(v);
}

static void item_empty(struct item *i)
{
    free(i->identifier);
    free(i->owner);
    free(i->value);
    free(i->token);
    free(i->key_authorization);
    free(i->text);
    free(i->err);
    free_list(i->issuers, i->n_issuers);
    free_list(i->account_uris, i->n_account_uris);
}

static void item_fill(struct item *i, const struct acme_challenge *c)
{
    struct proof *p = i->proof;
    *i = (struct item){
        .proof = p,
        .at = i->at,
        .name = c->name ? c->name : &p->cert->names[0],
        .type = c->type,
        .wildcard = c->wildcard,
        .identifier = copy(c->identifier),
        .owner = copy(c->owner),
        .value = copy(c->value),
        .token = copy(c->token),
        .key_authorization = copy(c->key_authorization),
        .issuers = copy_list(c->issuers, c->n_issuers),
        .n_issuers = c->n_issuers,
        .account_uris = copy_list(c->account_uris, c->n_account_uris),
        .n_account_uris = c->n_account_uris,
    };
}

void item_ready(struct item *i, const char *warning)
{
    struct buf *b = &i->proof->warnings;
    i->state = ITEM_READY;
    if (warning && *warning)
        buf_putf(b, "%s%s", b->len ? "; " : "", warning);
    judge_later(i->proof);
}

void item_broken(struct item *i, const struct err *err)
{
    i->state = ITEM_BROKEN;
    err_keep(&i->err, err);
    i->solving->broken = true;
    judge_later(i->proof);
}

static void tell_progress(void *arg)
{
    struct proof *p = arg;
    p->handler.progress(p->arg, p->phase, p->text);
}

void item_says(struct item *i, const char *phase, const char *text)
{
    struct proof *p = i->proof;
    free(p->text);
    p->text = xstrdup(text);
    p->phase = phase;
    loop_defer(p->prover->env.loop, &p->progress, tell_progress, p);
}

/* ---- judging ---- */

static void end_round(struct proof *p, const struct err *err)
{
    struct err e = *err;
    CLEANUP_FREE char *warning = xstrdup(buf_str(&p->warnings));
    buf_reset(&p->warnings);
    p->settled = true;
    defer_cancel(&p->judge);
    p->handler.ready(p->arg, &e, err_is(&e) ? "" : warning);
}

/* Another challenge in the place of each that is broken; false and *ret: one has none. */
static bool replace_broken(struct proof *p, struct err *ret)
{
    bool all = true;
    for (size_t k = p->from; k < p->n_items; k++) {
        struct item *i = p->items[k];
        char text[700];
        if (i->state != ITEM_BROKEN)
            continue;
        struct err why = i->err ? *i->err : (struct err)ERR_INIT;
        enum conf_challenge former = i->type;
        const struct acme_challenge *c = p->handler.instead(p->arg, i->at, &why);
        if (!c) {
            if (all || err_gravity(&why) < err_gravity(ret))
                *ret = why;
            all = false;
            continue;
        }
        item_empty(i);
        item_fill(i, c);
        snprintf(text, sizeof(text), "%.200s is proved by %s instead of %s: %.400s", i->identifier,
                 conf_challenge_name(i->type), conf_challenge_name(former), why.detail);
        p->handler.note(p->arg, text);
    }
    return all;
}

static void on_retired(void *arg, const struct err *err)
{
    struct retiring *r = arg;
    struct proof *p = r->proof;
    (void)err;
    for (size_t k = 0; p && k < p->n_items; k++) {
        if (p->items[k]->retiring == r) {
            p->items[k]->retiring = NULL;
            p->items[k]->state = ITEM_IDLE;
        }
    }
    if (p)
        judge_later(p);
    list_remove(&r->node);
    free(r);
}

/* What has broken goes at once; what else was part of it begins again when it has gone. */
static void retire_broken(struct proof *p)
{
    list_each(it, &p->solvings)
    {
        struct solving *s = list_item(it, struct solving, node);
        if (!s->broken)
            continue;
        struct retiring *r = xnew(struct retiring);
        r->proof = p;
        list_append(&p->prover->retirings, &r->node);
        for (size_t k = 0; k < p->n_items; k++) {
            struct item *i = p->items[k];
            if (i->solving != s)
                continue;
            i->solving = NULL;
            i->state = ITEM_WAITING;
            i->retiring = r;
        }
        list_remove(&s->node);
        s->solver->clean(s, on_retired, r);
    }
}

static void start_items(struct proof *p, struct item **items, size_t n)
{
    const struct solver *solver = solver_of(items[0]->type);
    for (size_t k = 0; k < n; k++)
        items[k]->state = ITEM_RUNNING;
    struct solving *s = solver->start(items, n);
    s->solver = solver;
    list_append(&p->solvings, &s->node);
    for (size_t k = 0; k < n; k++)
        items[k]->solving = s;
}

static void start_idle(struct proof *p)
{
    struct item **batch = xcalloc(p->n_items ? p->n_items : 1, sizeof(struct item *));
    size_t n = 0;
    for (size_t k = p->from; k < p->n_items; k++) {
        struct item *i = p->items[k];
        if (i->state != ITEM_IDLE)
            continue;
        if (solver_of(i->type)->all)
            batch[n++] = i;
        else
            start_items(p, &i, 1);
    }
    if (n)
        start_items(p, batch, n);
    free(batch);
}

static void judge(void *arg)
{
    static const struct err none = ERR_INIT;
    struct proof *p = arg;
    struct err e = ERR_INIT;
    if (p->settled)
        return;
    if (!replace_broken(p, &e)) {
        end_round(p, &e);
        return;
    }
    retire_broken(p);
    start_idle(p);
    for (size_t k = p->from; k < p->n_items; k++)
        if (p->items[k]->state != ITEM_READY)
            return;
    end_round(p, &none);
}

/* ---- life ---- */

static void add_items(struct proof *p, const struct acme_challenge *c, size_t n)
{
    p->from = p->n_items;
    p->settled = false;
    p->items = xrealloc_array(p->items, p->n_items + n + 1, sizeof(struct item *));
    for (size_t k = 0; k < n; k++) {
        struct item *i = xnew(struct item);
        i->proof = p;
        i->at = k;
        item_fill(i, &c[k]);
        p->items[p->n_items++] = i;
    }
    judge_later(p);
}

struct proof *proof_start(struct prover *prover, const struct proof_spec *s,
                          const struct acme_challenge *c, size_t n, const struct proof_handler *h,
                          void *arg)
{
    struct proof *p = xnew(struct proof);
    p->prover = prover;
    p->conf = conf_ref(s->conf);
    p->cert = s->cert;
    p->ca = xstrdup(s->ca);
    p->order = xstrdup(s->order);
    p->handler = *h;
    p->arg = arg;
    list_init(&p->solvings);
    buf_init(&p->warnings, WARNINGS_MAX);
    add_items(p, c, n);
    return p;
}

void proof_more(struct proof *p, const struct acme_challenge *c, size_t n)
{
    add_items(p, c, n);
}

static void release(struct proof *p)
{
    defer_cancel(&p->judge);
    defer_cancel(&p->progress);
    list_each(it, &p->prover->retirings)
    {
        struct retiring *r = list_item(it, struct retiring, node);
        if (r->proof == p)
            r->proof = NULL;
    }
    for (size_t k = 0; k < p->n_items; k++) {
        item_empty(p->items[k]);
        free(p->items[k]);
    }
    free(p->items);
    free(p->ca);
    free(p->order);
    free(p->text);
    buf_free(&p->warnings);
    conf_unref(p->conf);
    free(p);
}

struct later {        /* nothing to wait for, yet done comes later */
    struct list node; /* prover.laters */
    struct defer defer;
    prove_done_fn *done;
    void *arg;
};

static void on_later(void *arg)
{
    static const struct err none = ERR_INIT;
    struct later *l = arg;
    struct later copied = *l;
    list_remove(&l->node);
    free(l);
    copied.done(copied.arg, &none);
}

void prover_done_later(struct prover *p, prove_done_fn *done, void *arg)
{
    struct later *l = xnew(struct later);
    l->done = done;
    l->arg = arg;
    list_append(&p->laters, &l->node);
    loop_defer(p->env.loop, &l->defer, on_later, l);
}

static void sweep_one(void *arg, const struct err *err)
{
    struct sweep *s = arg, last;
    if (err_is(err) && !err_is(&s->first))
        s->first = *err;
    if (--s->pending)
        return;
    last = *s;
    list_remove(&s->node);
    free(s);
    last.done(last.arg, &last.first);
}

void proof_clean(struct proof *p, void (*done)(void *arg, const struct err *err), void *arg)
{
    struct prover *prover = p->prover;
    struct sweep *s = xnew(struct sweep);
    s->done = done;
    s->arg = arg;
    list_append(&prover->sweeps, &s->node);
    list_each(it, &p->solvings)
    {
        struct solving *one = list_item(it, struct solving, node);
        list_remove(it);
        s->pending++;
        one->solver->clean(one, sweep_one, s);
    }
    if (s->pending == 0) {
        s->pending = 1;
        prover_done_later(prover, sweep_one, s);
    }
    release(p);
}

void proof_free(struct proof *p)
{
    if (!p)
        return;
    list_each(it, &p->solvings)
    {
        struct solving *s = list_item(it, struct solving, node);
        list_remove(it);
        s->solver->drop(s);
    }
    release(p);
}

struct prover *prover_new(const struct prove_env *env)
{
    static const struct http_site_spec site = {
        .allow_http = true, .no_verify = true, .max_connections = CHECK_CONNECTIONS};
    struct prover *p = xnew(struct prover);
    p->env = *env;
    p->marks = marks_new(&p->env);
    p->site = http_site_new(env->http, &site);
    list_init(&p->sweeps);
    list_init(&p->retirings);
    list_init(&p->laters);
    return p;
}

void prover_free(struct prover *p)
{
    if (!p)
        return;
    marks_free(p->marks);
    http_site_free(p->site);
    list_each(s, &p->sweeps) free(list_item(s, struct sweep, node));
    list_each(r, &p->retirings) free(list_item(r, struct retiring, node));
    list_each(l, &p->laters)
    {
        struct later *later = list_item(l, struct later, node);
        defer_cancel(&later->defer);
        free(later);
    }
    free(p);
}

void prover_recover(struct prover *p, const char *const *keep_orders, size_t n)
{
    publisher_recover(p->env.publisher, keep_orders, n);
    marks_recover(p->marks, keep_orders, n);
}

void prover_order_ended(struct prover *p, const char *order)
{
    publisher_order_ended(p->env.publisher, order);
    marks_order_ended(p->marks, order);
}
