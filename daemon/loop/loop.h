/* SPDX-License-Identifier: ISC */
/*
 * The event loop: libevent behind a thin face. One loop per process, one thread; nothing here may
 * be called from another thread except loop_wake().
 *
 * Every callback runs from loop_run(), never from the function that asked for it. Nothing due means
 * no wake-up: deadlines of all timers share two kernel timers (wall clock: timerfd with
 * cancel-on-set, so they survive suspend and steps; boot time for delays).
 */
#ifndef RENEWD_LOOP_LOOP_H
#define RENEWD_LOOP_LOOP_H

#include "base/clock.h"
#include "base/heap.h"
#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;

struct loop *loop_new(void);
void loop_free(struct loop *l);
int loop_run(struct loop *l); /* until loop_stop */
void loop_stop(struct loop *l);
const struct clock *loop_clock(const struct loop *l);
static inline int64_t loop_wall_ms(const struct loop *l)
{
    return clock_wall_ms(loop_clock(l));
}
static inline int64_t loop_mono_ms(const struct loop *l)
{
    return clock_mono_ms(loop_clock(l));
}

/* Run once, after the present callback has returned. Embedded in its owner; zeroed is valid (idle).
 */
struct defer {
    struct list node;
    void (*fn)(void *arg);
    void *arg;
    bool pending;
};
void loop_defer(struct loop *l, struct defer *d, void (*fn)(void *), void *arg);
void defer_cancel(struct defer *d); /* no-op when idle */

/* One-shot timers, embedded; zeroed is valid (idle). Arming again moves it. */
struct timer {
    struct heap_node node;
    struct loop *loop;
    void (*fn)(void *arg);
    void *arg;
    bool wall;
};
void timer_after(struct loop *l, struct timer *t, int64_t delay_ms, void (*fn)(void *), void *arg);
void timer_at_wall(struct loop *l, struct timer *t, int64_t wall_ms, void (*fn)(void *), void *arg);
void timer_cancel(struct timer *t);
bool timer_armed(const struct timer *t);

/* Readiness of a descriptor. */
enum { LOOP_READ = 1, LOOP_WRITE = 2 };
struct watch;
struct watch *watch_new(struct loop *l, int fd, int what, void (*fn)(void *arg, int what),
                        void *arg);
void watch_set(struct watch *w, int what); /* 0: none */
void watch_free(struct watch *w);

/* Signals, by signalfd or libevent's; SIGCHLD belongs to child.h. */
struct watch_signal;
struct watch_signal *watch_signal_new(struct loop *l, int sig, void (*fn)(void *arg, int sig),
                                      void *arg);
void watch_signal_free(struct watch_signal *w);

/* From any thread: makes the loop call fn soon; several wakes may be one call. */
struct wake;
struct wake *wake_new(struct loop *l, void (*fn)(void *), void *arg);
void wake_send(struct wake *w);
void wake_free(struct wake *w);

#endif
