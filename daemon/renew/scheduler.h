/* SPDX-License-Identifier: ISC */
/*
 * In what order: a heap of due times behind one wall timer, and turns for what may not run all at
 * once. A lane is a CA; at most its max_orders run in it, at most max_running over all lanes, and
 * those that failed last time never take more than half of either, so that they delay no others.
 *
 *   idle --scheduler_at--> waiting --(its time)--> due() --scheduler_queue--> queued
 *   queued --(its turn)--> start() --scheduler_done--> idle
 *
 * An item may wait for a time and be queued or run at once: both are independent.
 */
#ifndef RENEWD_RENEW_SCHEDULER_H
#define RENEWD_RENEW_SCHEDULER_H

#include "base/heap.h"
#include "loop/loop.h"

#include <stdbool.h>
#include <stdint.h>

struct scheduler;
struct lane;

struct sched_item { /* embedded; zeroed is valid */
    struct heap_node due;
    struct heap_node ready;
    struct lane *lane; /* NULL: neither queued nor running */
    bool running;
    bool weak; /* failed last time */
};
struct scheduler_handler {
    void (*due)(void *arg, struct sched_item *it);   /* its time has come; it waits for none now */
    void (*start)(void *arg, struct sched_item *it); /* its turn has come */
};

struct scheduler *scheduler_new(struct loop *l, unsigned max_running,
                                const struct scheduler_handler *h, void *arg);
void scheduler_free(struct scheduler *s); /* items are the caller's */

/* Nothing is due before this wall time: due() is called for what was due by then. */
void scheduler_hold_until(struct scheduler *s, int64_t wall_ms);
void scheduler_at(struct scheduler *s, struct sched_item *it, int64_t wall_ms); /* moves it */
int64_t scheduler_due(const struct sched_item *it); /* 0: it waits for no time */
/* lane_max 0: no bound of the lane's own. The lowest priority goes first. Already there: no-op. */
void scheduler_queue(struct scheduler *s, struct sched_item *it, const char *lane,
                     unsigned lane_max, int64_t priority, bool weak);
/* Nothing of that lane starts before this wall time; 0: no longer held. */
void scheduler_hold_lane(struct scheduler *s, const char *lane, int64_t wall_ms);
/* Of the lane where it waits: until when is that held? 0: it is not, or it waits in none. */
int64_t scheduler_held_until(const struct scheduler *s, const struct sched_item *it);
void scheduler_done(struct scheduler *s, struct sched_item *it);   /* no longer queued or running */
void scheduler_forget(struct scheduler *s, struct sched_item *it); /* nor waiting */
void scheduler_stop(struct scheduler *s);                          /* no more due() and start() */
unsigned scheduler_running(const struct scheduler *s);
unsigned scheduler_queued(const struct scheduler *s);
bool scheduler_alive(
    const struct scheduler *s); /* false: what was due a minute ago has not been served */

#endif
