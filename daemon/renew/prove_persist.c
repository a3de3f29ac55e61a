/* SPDX-License-Identifier: ISC */
/*
 *   LOOK: there ---------------------------------------> ready
 *         absent, persist.write: WRITE, kept for good -> ready
 *         absent ---------------------------------------> broken (ERR_BLOCKED: what to create)
 */
#include "base/mem.h"
#include "renew/persist.h"
#include "renew/prove_parts.h"

#include <stdlib.h>

#define RECORD_MAX 8192u

struct solving_persist {
    struct solving solving; /* first */
    struct item *item;
    struct prover *prover;
    struct persist_fact fact;
    int64_t until_ms; /* of what is written */
    struct persist_find *find;
    struct publication *publication;
};

static const struct conf_persist *policy(const struct solving_persist *s)
{
    return &s->item->proof->cert->persist;
}

/* For looks and watches; nothing depends on it. */
static void store_fact(struct solving_persist *s)
{
    CLEANUP_FREE char *key = persist_fact_key(s->item->proof->cert->name, s->item->name->name);
    s->fact.used_ms = loop_wall_ms(s->prover->env.loop);
    CLEANUP_FREE char *text = persist_fact_text(&s->fact);
    store_put(s->prover->env.store, key, text, NULL, NULL);
}

static void on_progress(void *arg, const struct publish_progress *p)
{
    struct solving_persist *s = arg;
    item_says(s->item, p->phase, p->text ? p->text : "");
}

static void on_written(void *arg, const struct err *err, const char *warning)
{
    struct solving_persist *s = arg;
    if (err_is(err)) {
        item_broken(s->item, err);
        return;
    }
    publication_keep(s->publication);
    s->publication = NULL;
    s->fact.until_ms = s->until_ms;
    store_fact(s);
    item_ready(s->item, warning);
}

static void write_record(struct solving_persist *s)
{
    static const struct publish_handler handler = {on_progress, on_written};
    struct proof *p = s->item->proof;
    struct err e = ERR_INIT;
    CLEANUP_BUF struct buf b;
    buf_init(&b, RECORD_MAX);
    if (policy(s)->days_ms)
        s->until_ms = loop_wall_ms(s->prover->env.loop) + policy(s)->days_ms;
    if (persist_fact_record(&s->fact, s->until_ms, &b, &e) < 0) {
        item_broken(s->item, &e);
        return;
    }
    const struct publish_value value = {
        .name = s->item->name, .owner = s->fact.owner, .value = buf_str(&b)};
    s->publication =
        publish_start(s->prover->env.publisher, p->cert, p->order, &value, 1, &handler, s);
}

static void on_found(void *arg, int64_t until_ms, const struct err *err, const char *warning)
{
    struct solving_persist *s = arg;
    s->find = NULL;
    s->fact.until_ms = until_ms;
    store_fact(s);
    if (!err_is(err))
        item_ready(s->item, warning);
    else if (err->cls == ERR_BLOCKED && policy(s)->write)
        write_record(s);
    else
        item_broken(s->item, err);
}

/* What we write ourselves is written anew when a third of its time is left. */
static struct solving *start(struct item **items, size_t n)
{
    static const struct persist_find_handler handler = {on_progress, on_found};
    struct item *i = items[0];
    struct solving_persist *s = xnew(struct solving_persist);
    (void)n;
    s->item = i;
    s->prover = i->proof->prover;
    persist_fact_set(&s->fact, i->name->name, i->proof->ca, i->owner,
                     i->wildcard || policy(s)->wildcard, i->issuers, i->n_issuers, i->account_uris,
                     i->n_account_uris);
    s->find = persist_find_start(s->prover->env.publisher, s->prover->env.loop, &s->fact,
                                 policy(s)->write ? policy(s)->days_ms / 3 : 0, 0, &handler, s);
    return &s->solving;
}

static void release(struct solving_persist *s)
{
    persist_find_cancel(s->find);
    persist_fact_done(&s->fact);
    free(s);
}

static void drop(struct solving *solving)
{
    struct solving_persist *s = CONTAINER_OF(solving, struct solving_persist, solving);
    publication_free(s->publication);
    release(s);
}

static void clean(struct solving *solving, prove_done_fn *done, void *arg)
{
    struct solving_persist *s = CONTAINER_OF(solving, struct solving_persist, solving);
    if (s->publication)
        publication_clean(s->publication, done, arg);
    else
        prover_done_later(s->prover, done, arg);
    release(s);
}

const struct solver solver_persist = {.start = start, .drop = drop, .clean = clean};
