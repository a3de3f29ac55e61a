/* SPDX-License-Identifier: ISC */
/* loop/loop.h on virtual time: time passes only when nothing else is to be done. */
#include "fake.h"

#include <stdlib.h>

struct loop {
    struct clock clock;
    int64_t wall, mono;
    struct list defers;
    struct heap timers;
};

static struct loop *the_loop(const struct clock *c)
{
    return CONTAINER_OF(c, struct loop, clock);
}

static int64_t wall_ms(const struct clock *c)
{
    return the_loop(c)->wall;
}

static int64_t mono_ms(const struct clock *c)
{
    return the_loop(c)->mono;
}

struct loop *loop_new(void)
{
    struct loop *l = xnew(struct loop);

    l->clock = (struct clock){wall_ms, mono_ms};
    l->wall = 1795000000000; /* November 2026 */
    l->mono = 5000;
    list_init(&l->defers);
    heap_init(&l->timers);
    return l;
}

void loop_free(struct loop *l)
{
    heap_free(&l->timers);
    free(l);
}

const struct clock *loop_clock(const struct loop *l)
{
    return &l->clock;
}

void loop_defer(struct loop *l, struct defer *d, void (*fn)(void *), void *arg)
{
    d->fn = fn;
    d->arg = arg;
    if (d->pending)
        return;
    d->pending = true;
    list_append(&l->defers, &d->node);
}

void defer_cancel(struct defer *d)
{
    if (d->pending)
        list_remove(&d->node);
    d->pending = false;
}

void timer_after(struct loop *l, struct timer *t, int64_t delay_ms, void (*fn)(void *), void *arg)
{
    t->loop = l;
    t->fn = fn;
    t->arg = arg;
    heap_insert(&l->timers, &t->node, l->mono + delay_ms);
}

void timer_at_wall(struct loop *l, struct timer *t, int64_t at, void (*fn)(void *), void *arg)
{
    timer_after(l, t, at - l->wall, fn, arg);
}

void timer_cancel(struct timer *t)
{
    if (t->loop)
        heap_remove(&t->loop->timers, &t->node);
}

bool timer_armed(const struct timer *t)
{
    return t->node.at != 0;
}

int loop_fake_step(struct loop *l)
{
    if (!list_empty(&l->defers)) {
        struct defer *d = list_item(l->defers.next, struct defer, node);
        defer_cancel(d);
        d->fn(d->arg);
        return 1;
    }
    struct heap_node *n = heap_min(&l->timers);
    if (!n)
        return 0;
    struct timer *t = CONTAINER_OF(n, struct timer, node);
    if (n->key > l->mono) {
        l->wall += n->key - l->mono;
        l->mono = n->key;
    }
    heap_remove(&l->timers, n);
    t->fn(t->arg);
    return 1;
}

int loop_fake_pending(const struct loop *l)
{
    return (int)l->timers.len + !list_empty(&l->defers);
}
