/* SPDX-License-Identifier: ISC */
/*
 * One round of the loop: deferred calls, then the two kernel timers are set to the nearest
 * deadlines (only when those have changed), then one wait of libevent and the callbacks of what it
 * brought. libevent itself has no time-outs, so a loop with nothing due sleeps in epoll_wait(-1).
 */
#include "loop/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#ifndef TFD_TIMER_CANCEL_ON_SET
#define TFD_TIMER_CANCEL_ON_SET (1 << 1)
#endif

/* Rounds of deferred calls that may follow one another before I/O gets its turn. */
#define DEFER_ROUNDS 8
#define NOT_ARMED INT64_MIN

struct deadlines {
    struct loop *loop;
    struct heap heap;
    int fd;
    int64_t armed; /* what the kernel's timer stands at, ms; NOT_ARMED */
    bool wall;
    struct event event;
};

struct loop {
    struct event_base *base;
    struct list deferred;
    struct deadlines wall, mono;
    bool stop;
};

struct watch {
    struct event read, write;
    int what;
    void (*fn)(void *arg, int what);
    void *arg;
};

struct watch_signal {
    struct event event;
    int sig;
    void (*fn)(void *arg, int sig);
    void *arg;
};

struct wake {
    int fd;
    struct watch *watch;
    void (*fn)(void *);
    void *arg;
};

/* --- timers --- */

static struct deadlines *deadlines_of(const struct timer *t)
{
    return t->wall ? &t->loop->wall : &t->loop->mono;
}

static int64_t deadlines_now(const struct deadlines *d)
{
    return d->wall ? loop_wall_ms(d->loop) : loop_mono_ms(d->loop);
}

static void deadlines_fire(struct deadlines *d)
{
    int64_t now = deadlines_now(d);

    /* Counted, so that a timer that arms itself for "now" waits for its next turn. */
    for (size_t left = d->heap.len; left > 0; left--) {
        struct heap_node *n = heap_min(&d->heap);

        if (!n || n->key > now)
            return;
        heap_remove(&d->heap, n);

        struct timer *t = CONTAINER_OF(n, struct timer, node);
        t->fn(t->arg);
    }
}

static void deadlines_ready(evutil_socket_t fd, short what, void *arg)
{
    struct deadlines *d = arg;
    uint64_t expirations;

    (void)what;
    if (read(fd, &expirations, sizeof expirations) < 0 && errno == EAGAIN)
        return;
    /* Expired, or ECANCELED: the wall clock was stepped. Both ways look again. */
    d->armed = NOT_ARMED;
    deadlines_fire(d);
}

static void deadlines_arm(struct deadlines *d, int64_t key)
{
    struct itimerspec at = {0};
    int flags = TFD_TIMER_ABSTIME | (d->wall ? TFD_TIMER_CANCEL_ON_SET : 0);

    if (key != NOT_ARMED) {
        int64_t ms = key > 0 ? key : 1; /* all zero would disarm */

        at.it_value.tv_sec = (time_t)(ms / 1000);
        at.it_value.tv_nsec = (long)(ms % 1000) * 1000000;
    }
    /* ECANCELED says that the clock was stepped meanwhile; the timer is set all the same. */
    if (timerfd_settime(d->fd, flags, &at, NULL) < 0 && errno != ECANCELED)
        abort();
    d->armed = key;
}

static void deadlines_settle(struct deadlines *d)
{
    const struct heap_node *n = heap_min(&d->heap);
    int64_t key = n ? n->key : NOT_ARMED;

    if (key != d->armed)
        deadlines_arm(d, key);
}

static void deadlines_init(struct deadlines *d, struct loop *l, bool wall)
{
    d->loop = l;
    d->wall = wall;
    d->armed = NOT_ARMED;
    heap_init(&d->heap);
    d->fd = timerfd_create(wall ? CLOCK_REALTIME : CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (d->fd < 0 ||
        event_assign(&d->event, l->base, d->fd, EV_READ | EV_PERSIST, deadlines_ready, d) < 0 ||
        event_add(&d->event, NULL) < 0)
        abort();
}

static void deadlines_done(struct deadlines *d)
{
    struct heap_node *n;

    while ((n = heap_min(&d->heap)))
        heap_remove(&d->heap, n);
    heap_free(&d->heap);
    event_del(&d->event);
    close(d->fd);
}

static void timer_arm(struct loop *l, struct timer *t, bool wall, int64_t key)
{
    timer_cancel(t);
    t->loop = l;
    t->wall = wall;
    heap_insert(&deadlines_of(t)->heap, &t->node, key);
}

void timer_after(struct loop *l, struct timer *t, int64_t delay_ms, void (*fn)(void *), void *arg)
{
    int64_t now = loop_mono_ms(l);
    /* The clock's millisecond has begun already: one more, so as never to be early. */
    int64_t delay = delay_ms > 0 ? delay_ms + (delay_ms < INT64_MAX) : 0;

    timer_arm(l, t, false, delay < INT64_MAX - now ? now + delay : INT64_MAX);
    t->fn = fn;
    t->arg = arg;
}

void timer_at_wall(struct loop *l, struct timer *t, int64_t wall_ms, void (*fn)(void *), void *arg)
{
    timer_arm(l, t, true, wall_ms > 0 ? wall_ms : 0);
    t->fn = fn;
    t->arg = arg;
}

void timer_cancel(struct timer *t)
{
    if (timer_armed(t))
        heap_remove(&deadlines_of(t)->heap, &t->node);
}

bool timer_armed(const struct timer *t)
{
    return t->node.at != 0;
}

/* --- deferred calls --- */

void loop_defer(struct loop *l, struct defer *d, void (*fn)(void *), void *arg)
{
    d->fn = fn;
    d->arg = arg;
    if (d->pending)
        return;
    d->pending = true;
    list_append(&l->deferred, &d->node);
}

void defer_cancel(struct defer *d)
{
    if (!d->pending)
        return;
    d->pending = false;
    list_remove(&d->node);
}

/* What is deferred meanwhile stands behind the mark and waits for the next round. */
static void defer_round(struct loop *l)
{
    struct list mark;

    list_append(&l->deferred, &mark);
    while (l->deferred.next != &mark) {
        struct defer *d = list_item(l->deferred.next, struct defer, node);

        defer_cancel(d);
        d->fn(d->arg);
    }
    list_remove(&mark);
}

/* --- the loop --- */

struct loop *loop_new(void)
{
    struct loop *l = xnew(struct loop);
    struct event_config *c = event_config_new();

    if (!c)
        abort();
    event_config_set_flag(c, EVENT_BASE_FLAG_IGNORE_ENV | EVENT_BASE_FLAG_NO_CACHE_TIME |
                                 EVENT_BASE_FLAG_NOLOCK);
    l->base = event_base_new_with_config(c);
    event_config_free(c);
    if (!l->base)
        abort();
    list_init(&l->deferred);
    deadlines_init(&l->wall, l, true);
    deadlines_init(&l->mono, l, false);
    return l;
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    while (!list_empty(&l->deferred))
        defer_cancel(list_item(l->deferred.next, struct defer, node));
    deadlines_done(&l->wall);
    deadlines_done(&l->mono);
    event_base_free(l->base);
    free(l);
}

int loop_run(struct loop *l)
{
    int r = 0;

    for (;;) {
        for (int i = 0; i < DEFER_ROUNDS && !l->stop && !list_empty(&l->deferred); i++)
            defer_round(l);
        if (l->stop)
            break;
        deadlines_settle(&l->wall);
        deadlines_settle(&l->mono);
        if (event_base_loop(l->base, list_empty(&l->deferred) ? EVLOOP_ONCE : EVLOOP_NONBLOCK) <
            0) {
            r = -1;
            break;
        }
    }
    l->stop = false;
    return r;
}

void loop_stop(struct loop *l)
{
    l->stop = true;
    event_base_loopbreak(l->base);
}

const struct clock *loop_clock(const struct loop *l)
{
    (void)l;
    return &clock_system;
}

/* --- descriptors --- */

static void watch_ready(evutil_socket_t fd, short what, void *arg)
{
    struct watch *w = arg;

    (void)fd;
    w->fn(w->arg, what & EV_READ ? LOOP_READ : LOOP_WRITE);
}

struct watch *watch_new(struct loop *l, int fd, int what, void (*fn)(void *arg, int what),
                        void *arg)
{
    struct watch *w = xnew(struct watch);

    w->fn = fn;
    w->arg = arg;
    if (event_assign(&w->read, l->base, fd, EV_READ | EV_PERSIST, watch_ready, w) < 0 ||
        event_assign(&w->write, l->base, fd, EV_WRITE | EV_PERSIST, watch_ready, w) < 0)
        abort();
    watch_set(w, what);
    return w;
}

static void watch_switch(struct event *ev, bool was, bool is)
{
    if (is && !was)
        event_add(ev, NULL);
    else if (was && !is)
        event_del(ev);
}

void watch_set(struct watch *w, int what)
{
    watch_switch(&w->read, w->what & LOOP_READ, what & LOOP_READ);
    watch_switch(&w->write, w->what & LOOP_WRITE, what & LOOP_WRITE);
    w->what = what;
}

void watch_free(struct watch *w)
{
    if (!w)
        return;
    watch_set(w, 0);
    free(w);
}

/* --- signals --- */

static void signal_ready(evutil_socket_t fd, short what, void *arg)
{
    struct watch_signal *w = arg;

    (void)fd;
    (void)what;
    w->fn(w->arg, w->sig);
}

struct watch_signal *watch_signal_new(struct loop *l, int sig, void (*fn)(void *arg, int sig),
                                      void *arg)
{
    struct watch_signal *w = xnew(struct watch_signal);

    w->sig = sig;
    w->fn = fn;
    w->arg = arg;
    if (event_assign(&w->event, l->base, sig, EV_SIGNAL | EV_PERSIST, signal_ready, w) < 0 ||
        event_add(&w->event, NULL) < 0)
        abort();
    return w;
}

void watch_signal_free(struct watch_signal *w)
{
    if (!w)
        return;
    event_del(&w->event);
    free(w);
}

/* --- wake-ups from other threads --- */

static void wake_ready(void *arg, int what)
{
    struct wake *w = arg;
    uint64_t n;

    (void)what;
    if (read(w->fd, &n, sizeof n) == (ssize_t)sizeof n)
        w->fn(w->arg);
}

struct wake *wake_new(struct loop *l, void (*fn)(void *), void *arg)
{
    struct wake *w = xnew(struct wake);

    w->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->fd < 0)
        abort();
    w->fn = fn;
    w->arg = arg;
    w->watch = watch_new(l, w->fd, LOOP_READ, wake_ready, w);
    return w;
}

void wake_send(struct wake *w)
{
    const uint64_t one = 1;

    /* EAGAIN: the counter is at its maximum, so a wake-up is on its way. */
    while (write(w->fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

void wake_free(struct wake *w)
{
    if (!w)
        return;
    watch_free(w->watch);
    close(w->fd);
    free(w);
}
