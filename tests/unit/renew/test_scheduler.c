/* SPDX-License-Identifier: ISC */
#include "base/mem.h"
#include "renew/policy.h"
#include "renew/scheduler.h"
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

struct fixture {
    struct loop *loop;
    struct scheduler *s;
    struct sched_item items[400];
    size_t due[400], n_due;
    size_t started[400], n_started;
};

static void on_due(void *arg, struct sched_item *it)
{
    struct fixture *f = arg;
    f->due[f->n_due++] = (size_t)(it - f->items);
}

static void on_start(void *arg, struct sched_item *it)
{
    struct fixture *f = arg;
    f->started[f->n_started++] = (size_t)(it - f->items);
}

static int setup(void **state)
{
    static const struct scheduler_handler handler = {on_due, on_start};
    struct fixture *f = xnew(struct fixture);
    f->loop = world_loop_new(WORLD_T0);
    f->s = scheduler_new(f->loop, 10, &handler, f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    scheduler_free(f->s);
    world_loop_free(f->loop);
    free(f);
    return 0;
}

static void run(struct fixture *f, int64_t span)
{
    int64_t until = f->loop->wall + span;
    while (world_loop_step(f->loop, until))
        ;
}

/* A lane that is held keeps its order, and is no hindrance to others. */
static void a_lane_is_held(void **state)
{
    struct fixture *f = *state;
    int64_t until = f->loop->wall + 5000;
    scheduler_hold_lane(f->s, "held", until);
    scheduler_queue(f->s, &f->items[0], "held", 0, 2, false);
    scheduler_queue(f->s, &f->items[1], "held", 0, 1, false);
    scheduler_queue(f->s, &f->items[2], "free", 0, 9, false);
    run(f, 1000);
    assert_int_equal(f->n_started, 1);
    assert_int_equal(f->started[0], 2);
    assert_int_equal(scheduler_held_until(f->s, &f->items[0]), until);
    assert_int_equal(scheduler_held_until(f->s, &f->items[2]), 0);
    run(f, 3999);
    assert_int_equal(f->n_started, 1);
    run(f, 1);
    assert_int_equal(f->n_started, 3);
    assert_int_equal(f->started[1], 1);
    assert_int_equal(f->started[2], 0);
}

/* Held for longer while somebody waits, then let go before the time. */
static void a_hold_is_moved(void **state)
{
    struct fixture *f = *state;
    scheduler_hold_lane(f->s, "held", f->loop->wall + 1000);
    scheduler_queue(f->s, &f->items[0], "held", 0, 1, false);
    run(f, 500);
    scheduler_hold_lane(f->s, "held", f->loop->wall + 100000);
    run(f, 5000);
    assert_int_equal(f->n_started, 0);
    scheduler_hold_lane(f->s, "held", 0);
    run(f, 0);
    assert_int_equal(f->n_started, 1);
}

static void calls_in_time_and_in_order(void **state)
{
    struct fixture *f = *state;
    scheduler_at(f->s, &f->items[2], WORLD_T0 + 300);
    scheduler_at(f->s, &f->items[0], WORLD_T0 + 100);
    scheduler_at(f->s, &f->items[1], WORLD_T0 + 900);
    scheduler_at(f->s, &f->items[1], WORLD_T0 + 200); /* moved */
    scheduler_at(f->s, &f->items[3], WORLD_T0 + 250);
    scheduler_forget(f->s, &f->items[3]);
    run(f, 99);
    assert_int_equal(f->n_due, 0);
    run(f, 1000);
    assert_int_equal(f->n_due, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(f->due[i], i);
    assert_int_equal(f->loop->fired, 3);
    assert_int_equal(scheduler_due(&f->items[0]), 0);
}

static void nothing_due_wakes_once_a_day(void **state)
{
    struct fixture *f = *state;
    scheduler_at(f->s, &f->items[0], WORLD_T0 + 100 * POLICY_DAY);
    run(f, 10 * POLICY_DAY + 1);
    assert_int_equal(f->loop->fired, 10);
    f->loop->wall += 200 * POLICY_DAY; /* the clock was set */
    run(f, POLICY_DAY + 1);
    assert_int_equal(f->n_due, 1);
}

static void holds_until_the_clock_is_set(void **state)
{
    struct fixture *f = *state;
    f->loop->wall = 0;
    scheduler_hold_until(f->s, POLICY_EPOCH);
    scheduler_at(f->s, &f->items[0], 1);
    run(f, POLICY_DAY);
    assert_int_equal(f->n_due, 0);
    assert_true(scheduler_alive(f->s));
    f->loop->wall = WORLD_T0;
    run(f, 1);
    assert_int_equal(f->n_due, 1);
}

static void bounds_are_kept(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < 20; i++)
        scheduler_queue(f->s, &f->items[i], "narrow", 3, (int64_t)(20 - i), false);
    for (size_t i = 20; i < 40; i++)
        scheduler_queue(f->s, &f->items[i], "wide", 0, (int64_t)i, false);
    run(f, 1);
    assert_int_equal(f->n_started, 10);
    size_t narrow = 0;
    for (size_t i = 0; i < 10; i++)
        narrow += f->started[i] < 20;
    assert_int_equal(narrow, 3);
    assert_int_equal(f->started[0], 19); /* the lowest priority of its lane */
    assert_int_equal(scheduler_running(f->s), 10);
    scheduler_done(f->s, &f->items[f->started[0]]);
    run(f, 1);
    assert_int_equal(f->n_started, 11);
    while (scheduler_running(f->s)) {
        for (size_t i = 0; i < f->n_started; i++)
            scheduler_done(f->s, &f->items[f->started[i]]);
        run(f, 1);
    }
    assert_int_equal(f->n_started, 40);
    assert_int_equal(scheduler_queued(f->s), 0);
}

static void weak_ones_take_half(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < 50; i++)
        scheduler_queue(f->s, &f->items[i], "one", 8, (int64_t)i, true);
    run(f, 1);
    assert_int_equal(f->n_started, 4); /* half of the lane */
    for (size_t i = 50; i < 80; i++)
        scheduler_queue(f->s, &f->items[i], "two", 0, (int64_t)i, true);
    run(f, 1);
    assert_int_equal(f->n_started, 5); /* half of all */
    for (size_t i = 100; i < 120; i++)
        scheduler_queue(f->s, &f->items[i], "one", 8, (int64_t)i, false);
    run(f, 1);
    assert_int_equal(f->n_started, 9);
}

static void forgotten_ones_give_up_their_place(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < 15; i++)
        scheduler_queue(f->s, &f->items[i], "one", 0, (int64_t)i, false);
    run(f, 1);
    scheduler_forget(f->s, &f->items[12]); /* queued */
    scheduler_forget(f->s, &f->items[0]);  /* running */
    run(f, 1);
    assert_int_equal(f->n_started, 11);
    assert_int_equal(scheduler_queued(f->s), 3);
}

static void stopped_it_is_silent(void **state)
{
    struct fixture *f = *state;
    scheduler_at(f->s, &f->items[0], WORLD_T0 + 10);
    scheduler_queue(f->s, &f->items[1], "one", 0, 0, false);
    scheduler_stop(f->s);
    run(f, POLICY_DAY);
    assert_int_equal(f->n_due + f->n_started, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(calls_in_time_and_in_order),
        T(nothing_due_wakes_once_a_day),
        T(a_lane_is_held),
        T(a_hold_is_moved),
        T(holds_until_the_clock_is_set),
        T(bounds_are_kept),
        T(weak_ones_take_half),
        T(forgotten_ones_give_up_their_place),
        T(stopped_it_is_silent),
    };
    return cmocka_run_group_tests_name("scheduler", tests, NULL, NULL);
}
