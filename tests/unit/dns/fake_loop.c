/* SPDX-License-Identifier: ISC */
/* loop/loop.h on virtual time: timers fire as soon as nothing else is left to do. */
#include "base/mem.h"
#include "fake.h"

#include <stdlib.h>

#define START_WALL_MS INT64_C(1800000000000)

struct loop {
    struct clock clock;
    int64_t now;
    struct heap timers;
    struct list defers;
    bool stopped;
};

static int64_t fake_mono(const struct clock *c)
{
    return CONTAINER_OF(c, struct loop, clock)->now;
}

static int64_t fake_wall(const struct clock *c)
{
    return START_WALL_MS + CONTAINER_OF(c, struct loop, clock)->now;
}

struct loop *loop_new(void)
{
    struct loop *l = xnew(struct loop);
    l->clock = (struct clock){.wall_ms = fake_wall, .mono_ms = fake_mono};
    l->now = 1000;
    heap_init(&l->timers);
    list_init(&l->defers);
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

void loop_stop(struct loop *l)
{
    l->stopped = true;
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
    heap_insert(&l->timers, &t->node, l->now + (delay_ms > 0 ? delay_ms : 0));
}

void timer_at_wall(struct loop *l, struct timer *t, int64_t wall_ms, void (*fn)(void *), void *arg)
{
    timer_after(l, t, wall_ms - START_WALL_MS - l->now, fn, arg);
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

static bool run_defer(struct loop *l)
{
    if (list_empty(&l->defers))
        return false;
    struct defer *d = list_item(l->defers.next, struct defer, node);
    list_remove(&d->node);
    d->pending = false;
    d->fn(d->arg);
    return true;
}

static bool run_timer(struct loop *l, int64_t until)
{
    struct heap_node *n = heap_min(&l->timers);
    if (!n || n->key > until)
        return false;
    struct timer *t = CONTAINER_OF(n, struct timer, node);
    if (n->key > l->now)
        l->now = n->key;
    heap_remove(&l->timers, n);
    t->fn(t->arg);
    return true;
}

int loop_run(struct loop *l)
{
    l->stopped = false;
    while (!l->stopped && (run_defer(l) || run_timer(l, INT64_MAX)))
        ;
    return 0;
}

void fake_run_for(struct loop *l, int64_t ms)
{
    int64_t until = l->now + ms;
    l->stopped = false;
    while (!l->stopped && (run_defer(l) || run_timer(l, until)))
        ;
    if (!l->stopped)
        l->now = until;
}

size_t fake_timers(const struct loop *l)
{
    return l->timers.len;
}
