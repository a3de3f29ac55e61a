/* SPDX-License-Identifier: ISC */
/* dns-01 and dns-account-01: all values of an order are one publication. */
#include "base/mem.h"
#include "renew/prove_parts.h"

#include <stdlib.h>

struct solving_dns {
    struct solving solving; /* first */
    struct publication *publication;
    struct item **items;
    size_t n;
};

static void on_progress(void *arg, const struct publish_progress *p)
{
    struct solving_dns *s = arg;
    item_says(s->items[0], p->phase, p->text ? p->text : "");
}

/* Some may be broken and others not; those begin again when what is there has been removed. */
static void on_failed(struct solving_dns *s, const struct err *err)
{
    size_t broken = 0;
    for (size_t i = 0; i < s->n; i++) {
        const struct err *e = publication_error(s->publication, i);
        if (e) {
            item_broken(s->items[i], e);
            broken++;
        }
    }
    for (size_t i = 0; !broken && i < s->n; i++)
        item_broken(s->items[i], err);
}

static void on_ready(void *arg, const struct err *err, const char *warning)
{
    struct solving_dns *s = arg;
    if (err_is(err)) {
        on_failed(s, err);
        return;
    }
    for (size_t i = 0; i < s->n; i++)
        item_ready(s->items[i], i ? "" : warning);
}

static struct solving *start(struct item **items, size_t n)
{
    static const struct publish_handler handler = {on_progress, on_ready};
    struct proof *p = items[0]->proof;
    struct solving_dns *s = xnew(struct solving_dns);
    struct publish_value *values = xcalloc(n, sizeof(*values));
    s->n = n;
    s->items = xcalloc(n, sizeof(struct item *));
    for (size_t i = 0; i < n; i++) {
        s->items[i] = items[i];
        values[i] = (struct publish_value){
            .name = items[i]->name, .owner = items[i]->owner, .value = items[i]->value};
    }
    s->publication =
        publish_start(p->prover->env.publisher, p->cert, p->order, values, n, &handler, s);
    free(values);
    return &s->solving;
}

static void release(struct solving_dns *s)
{
    free(s->items);
    free(s);
}

static void drop(struct solving *solving)
{
    struct solving_dns *s = CONTAINER_OF(solving, struct solving_dns, solving);
    publication_free(s->publication);
    release(s);
}

static void clean(struct solving *solving, prove_done_fn *done, void *arg)
{
    struct solving_dns *s = CONTAINER_OF(solving, struct solving_dns, solving);
    publication_clean(s->publication, done, arg);
    release(s);
}

const struct solver solver_dns = {.start = start, .drop = drop, .clean = clean, .all = true};
