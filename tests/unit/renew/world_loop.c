/* SPDX-License-Identifier: ISC */
/* loop/loop.h on virtual time. */
#include "base/mem.h"
#include "world.h"

#include <stdlib.h>

static int64_t get_wall(const struct clock *c)
{
    return CONTAINER_OF(c, struct loop, clock)->wall;
}

static int64_t get_mono(const struct clock *c)
{
    return CONTAINER_OF(c, struct loop, clock)->mono;
}

struct loop *world_loop_new(int64_t wall_ms)
{
    struct loop *l = xnew(struct loop);
    l->clock = (struct clock){get_wall, get_mono};
    l->wall = wall_ms;
    l->mono = 5000;
    heap_init(&l->timers_wall);
    heap_init(&l->timers_mono);
    list_init(&l->deferred);
    return l;
}

void world_loop_free(struct loop *l)
{
    heap_free(&l->timers_wall);
    heap_free(&l->timers_mono);
    free(l);
}

const struct clock *loop_clock(const struct loop *l)
{
    return &l->clock;
}

void loop_defer(struct loop *l, struct defer *d, void (*fn)(void *), void *arg)
{
    if (d->pending)
        return;
    d->pending = true;
    d->fn = fn;
    d->arg = arg;
    list_append(&l->deferred, &d->node);
}

void defer_cancel(struct defer *d)
{
    if (d->pending)
        list_remove(&d->node);
    d->pending = false;
}

static void arm(struct loop *l, struct timer *t, int64_t key, bool wall, void (*fn)(void *),
                void *arg)
{
    timer_cancel(t);
    t->loop = l;
    t->wall = wall;
    t->fn = fn;
    t->arg = arg;
    heap_insert(wall ? &l->timers_wall : &l->timers_mono, &t->node, key);
}

void timer_after(struct loop *l, struct timer *t, int64_t delay_ms, void (*fn)(void *), void *arg)
{
    arm(l, t, l->mono + (delay_ms > 0 ? delay_ms : 0), false, fn, arg);
}

void timer_at_wall(struct loop *l, struct timer *t, int64_t wall_ms, void (*fn)(void *), void *arg)
{
    arm(l, t, wall_ms, true, fn, arg);
}

void timer_cancel(struct timer *t)
{
    if (t->node.at)
        heap_remove(t->wall ? &t->loop->timers_wall : &t->loop->timers_mono, &t->node);
}

bool timer_armed(const struct timer *t)
{
    return t->node.at != 0;
}

static bool run_deferred(struct loop *l)
{
    if (list_empty(&l->deferred))
        return false;
    struct defer *d = list_item(l->deferred.next, struct defer, node);
    defer_cancel(d);
    d->fn(d->arg);
    return true;
}

static void pass(struct loop *l, int64_t span)
{
    if (span > 0) {
        l->wall += span;
        l->mono += span;
    }
}

bool world_loop_step(struct loop *l, int64_t until)
{
    if (run_deferred(l))
        return true;
    struct heap_node *w = heap_min(&l->timers_wall), *m = heap_min(&l->timers_mono);
    int64_t in_w = w ? w->key - l->wall : INT64_MAX, in_m = m ? m->key - l->mono : INT64_MAX;
    struct heap_node *first = in_w <= in_m ? w : m;
    int64_t in = in_w <= in_m ? in_w : in_m;
    if (!first || in > until - l->wall) {
        pass(l, until - l->wall);
        return false;
    }
    pass(l, in);
    struct timer *t = CONTAINER_OF(first, struct timer, node);
    timer_cancel(t);
    l->fired++;
    t->fn(t->arg);
    return true;
}
