/* SPDX-License-Identifier: ISC */
#include "renew/scheduler.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "renew/policy.h"

#include <stdlib.h>

/* So many due items are served before the loop sees to other things. */
#define SERVED_AT_ONCE 256

struct lane {
    struct list node; /* in scheduler.lanes, served in turn */
    struct heap ready, ready_weak;
    unsigned max, running, running_weak;
    int64_t hold_until_ms;
};

struct scheduler {
    struct loop *loop;
    struct scheduler_handler handler;
    void *arg;
    struct heap due;
    struct timer timer, held;
    struct defer turn;
    struct map *lane_names;
    struct list lanes;
    unsigned max_running, running, running_weak, queued;
    int64_t hold_until_ms, armed_ms;
    bool stopped;
};

static void serve_due(void *arg);
static void serve_ready(void *arg);

struct scheduler *scheduler_new(struct loop *l, unsigned max_running,
                                const struct scheduler_handler *h, void *arg)
{
    struct scheduler *s = xnew(struct scheduler);
    s->loop = l;
    s->handler = *h;
    s->arg = arg;
    s->max_running = max_running;
    s->lane_names = map_new();
    heap_init(&s->due);
    list_init(&s->lanes);
    return s;
}

void scheduler_free(struct scheduler *s)
{
    if (!s)
        return;
    scheduler_stop(s);
    heap_free(&s->due);
    list_each(it, &s->lanes)
    {
        struct lane *lane = list_item(it, struct lane, node);
        heap_free(&lane->ready);
        heap_free(&lane->ready_weak);
        free(lane);
    }
    map_free(s->lane_names);
    free(s);
}

/* At least daily: the clock may have been set back, and then a time that seemed far is not. */
static void arm(struct scheduler *s)
{
    struct heap_node *first = heap_min(&s->due);
    if (!first || s->stopped) {
        timer_cancel(&s->timer);
        return;
    }
    int64_t at = first->key, now = loop_wall_ms(s->loop);
    if (at < s->hold_until_ms)
        at = s->hold_until_ms;
    else if (at > now + POLICY_DAY)
        at = timer_armed(&s->timer) && s->armed_ms > now ? s->armed_ms : now + POLICY_DAY;
    if (timer_armed(&s->timer) && s->armed_ms == at)
        return;
    s->armed_ms = at;
    timer_at_wall(s->loop, &s->timer, at, serve_due, s);
}

void scheduler_hold_until(struct scheduler *s, int64_t wall_ms)
{
    s->hold_until_ms = wall_ms;
    arm(s);
}

void scheduler_at(struct scheduler *s, struct sched_item *it, int64_t wall_ms)
{
    heap_insert(&s->due, &it->due, wall_ms);
    arm(s);
}

int64_t scheduler_due(const struct sched_item *it)
{
    return it->due.at ? it->due.key : 0;
}

static struct heap_node *first_due(const struct scheduler *s)
{
    struct heap_node *first = heap_min(&s->due);
    int64_t now = loop_wall_ms(s->loop);
    return first && !s->stopped && first->key <= now && now >= s->hold_until_ms ? first : NULL;
}

static void serve_due(void *arg)
{
    struct scheduler *s = arg;
    struct heap_node *first;
    for (unsigned n = 0; n < SERVED_AT_ONCE && (first = first_due(s)); n++) {
        heap_remove(&s->due, first);
        s->handler.due(s->arg, CONTAINER_OF(first, struct sched_item, due));
    }
    arm(s);
    if (s->queued && !s->stopped)
        loop_defer(s->loop, &s->turn, serve_ready, s);
}

static struct lane *lane_named(struct scheduler *s, const char *name)
{
    struct lane *lane = map_get(s->lane_names, name);
    if (lane)
        return lane;
    lane = xnew(struct lane);
    heap_init(&lane->ready);
    heap_init(&lane->ready_weak);
    list_append(&s->lanes, &lane->node);
    map_put(s->lane_names, name, lane);
    return lane;
}

void scheduler_queue(struct scheduler *s, struct sched_item *it, const char *lane,
                     unsigned lane_max, int64_t priority, bool weak)
{
    if (it->lane)
        return;
    it->lane = lane_named(s, lane);
    it->lane->max = lane_max;
    it->weak = weak;
    it->running = false;
    heap_insert(weak ? &it->lane->ready_weak : &it->lane->ready, &it->ready, priority);
    s->queued++;
    loop_defer(s->loop, &s->turn, serve_ready, s);
}

static unsigned half(unsigned n)
{
    return n > 1 ? n / 2 : n;
}

static bool weak_fits(const struct scheduler *s, const struct lane *lane)
{
    return s->running_weak < half(s->max_running) &&
           (!lane->max || lane->running_weak < half(lane->max));
}

static struct sched_item *next_of(const struct scheduler *s, const struct lane *lane)
{
    if ((lane->max && lane->running >= lane->max) || lane->hold_until_ms > loop_wall_ms(s->loop))
        return NULL;
    struct heap_node *n = heap_min(&lane->ready);
    if (!n && weak_fits(s, lane))
        n = heap_min(&lane->ready_weak);
    return n ? CONTAINER_OF(n, struct sched_item, ready) : NULL;
}

static void arm_held(struct scheduler *s);

static void unqueue(struct scheduler *s, struct sched_item *it)
{
    heap_remove(it->weak ? &it->lane->ready_weak : &it->lane->ready, &it->ready);
    s->queued--;
}

static void run(struct scheduler *s, struct sched_item *it)
{
    unqueue(s, it);
    it->running = true;
    s->running++;
    it->lane->running++;
    if (it->weak) {
        s->running_weak++;
        it->lane->running_weak++;
    }
    s->handler.start(s->arg, it);
}

/* One of each lane in turn, until nothing more may run. Who comes first is known only when all that
 * is due has been queued. */
static void serve_ready(void *arg)
{
    struct scheduler *s = arg;
    bool some = !first_due(s);
    while (some && !s->stopped) {
        some = false;
        list_each(it, &s->lanes)
        {
            struct lane *lane = list_item(it, struct lane, node);
            struct sched_item *item = s->running < s->max_running ? next_of(s, lane) : NULL;
            if (!item || s->stopped)
                continue;
            run(s, item);
            some = true;
        }
    }
    arm_held(s);
}

static void hold_over(void *arg);

/* One timer for all lanes that are held while somebody waits in them. */
static void arm_held(struct scheduler *s)
{
    int64_t first = 0, now = loop_wall_ms(s->loop);
    list_each(it, &s->lanes)
    {
        const struct lane *lane = list_item(it, struct lane, node);
        bool waits = heap_min(&lane->ready) || heap_min(&lane->ready_weak);
        if (waits && lane->hold_until_ms > now && (!first || lane->hold_until_ms < first))
            first = lane->hold_until_ms;
    }
    if (first && !s->stopped)
        timer_at_wall(s->loop, &s->held, first, hold_over, s);
    else
        timer_cancel(&s->held);
}

static void hold_over(void *arg)
{
    struct scheduler *s = arg;
    loop_defer(s->loop, &s->turn, serve_ready, s);
}

void scheduler_hold_lane(struct scheduler *s, const char *lane, int64_t wall_ms)
{
    struct lane *l = lane_named(s, lane);
    l->hold_until_ms = wall_ms;
    if (s->queued && !s->stopped)
        loop_defer(s->loop, &s->turn, serve_ready, s);
}

int64_t scheduler_held_until(const struct scheduler *s, const struct sched_item *it)
{
    bool held = it->lane && !it->running && it->lane->hold_until_ms > loop_wall_ms(s->loop);
    return held ? it->lane->hold_until_ms : 0;
}

void scheduler_done(struct scheduler *s, struct sched_item *it)
{
    if (!it->lane)
        return;
    if (it->running) {
        s->running--;
        it->lane->running--;
        if (it->weak) {
            s->running_weak--;
            it->lane->running_weak--;
        }
    } else {
        unqueue(s, it);
    }
    it->running = false;
    it->lane = NULL;
    if (s->queued && !s->stopped)
        loop_defer(s->loop, &s->turn, serve_ready, s);
}

void scheduler_forget(struct scheduler *s, struct sched_item *it)
{
    scheduler_done(s, it);
    heap_remove(&s->due, &it->due);
    arm(s);
}

void scheduler_stop(struct scheduler *s)
{
    s->stopped = true;
    timer_cancel(&s->timer);
    timer_cancel(&s->held);
    defer_cancel(&s->turn);
}

unsigned scheduler_running(const struct scheduler *s)
{
    return s->running;
}

unsigned scheduler_queued(const struct scheduler *s)
{
    return s->queued;
}

bool scheduler_alive(const struct scheduler *s)
{
    const struct heap_node *first = heap_min(&s->due);
    int64_t now = loop_wall_ms(s->loop);
    return !first || s->stopped || now < s->hold_until_ms || first->key > now - POLICY_MINUTE;
}
