/* SPDX-License-Identifier: ISC */
#include "loop/loop.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct world {
    struct loop *loop;
    char trace[256];
    struct timer t[8];
    struct defer d[8];
    int count;
    struct watch *watch[2];
    int fd[2];
};

static struct world w;

static int setup(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
    w.loop = loop_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    loop_free(w.loop);
    return 0;
}

static void note(const char *s)
{
    size_t n = strlen(w.trace);

    snprintf(w.trace + n, sizeof w.trace - n, "%s", s);
}

static void note_arg(void *arg)
{
    note(arg);
}

static void stop(void *arg)
{
    (void)arg;
    loop_stop(w.loop);
}

static void deferred_calls_run_later_and_in_order(void **state)
{
    (void)state;
    loop_defer(w.loop, &w.d[0], note_arg, "a");
    loop_defer(w.loop, &w.d[1], note_arg, "b");
    loop_defer(w.loop, &w.d[2], note_arg, "c");
    loop_defer(w.loop, &w.d[0], note_arg, "a"); /* pending: once */
    loop_defer(w.loop, &w.d[3], stop, NULL);
    defer_cancel(&w.d[1]);
    defer_cancel(&w.d[7]); /* zeroed is idle */
    assert_string_equal(w.trace, "");
    loop_run(w.loop);
    assert_string_equal(w.trace, "ac");
    assert_false(w.d[0].pending);
}

static void cancel_next(void *arg)
{
    note(arg);
    defer_cancel(&w.d[1]);
    loop_defer(w.loop, &w.d[0], note_arg, "again");
}

static void deferred_call_cancels_its_successor(void **state)
{
    (void)state;
    loop_defer(w.loop, &w.d[0], cancel_next, "x");
    loop_defer(w.loop, &w.d[1], note_arg, "never");
    timer_after(w.loop, &w.t[0], 5, stop, NULL);
    loop_run(w.loop);
    assert_string_equal(w.trace, "xagain");
}

static void defer_for_ever(void *arg)
{
    (void)arg;
    w.count++;
    loop_defer(w.loop, &w.d[0], defer_for_ever, NULL);
}

static void deferred_calls_do_not_starve_the_rest(void **state)
{
    (void)state;
    loop_defer(w.loop, &w.d[0], defer_for_ever, NULL);
    timer_after(w.loop, &w.t[0], 20, stop, NULL);
    loop_run(w.loop);
    assert_true(w.count > 8);
    defer_cancel(&w.d[0]);
}

static void timers_fire_in_order_of_deadlines(void **state)
{
    (void)state;
    int64_t wall = loop_wall_ms(w.loop);

    timer_after(w.loop, &w.t[0], 30, note_arg, "3");
    timer_after(w.loop, &w.t[1], 10, note_arg, "1");
    timer_at_wall(w.loop, &w.t[2], wall + 20, note_arg, "2");
    timer_at_wall(w.loop, &w.t[3], wall + 40, note_arg, "4");
    timer_after(w.loop, &w.t[4], 50, stop, NULL);
    timer_after(w.loop, &w.t[5], 15, note_arg, "cancelled");
    assert_true(timer_armed(&w.t[5]));
    timer_cancel(&w.t[5]);
    assert_false(timer_armed(&w.t[5]));
    timer_cancel(&w.t[6]); /* zeroed is idle */
    loop_run(w.loop);
    assert_string_equal(w.trace, "1234");
    assert_true(loop_wall_ms(w.loop) - wall >= 40);
}

static void past_and_moved_deadlines(void **state)
{
    (void)state;
    timer_at_wall(w.loop, &w.t[0], -5, note_arg, "a");
    timer_at_wall(w.loop, &w.t[1], INT64_MAX, note_arg, "never");
    timer_after(w.loop, &w.t[2], INT64_MAX, note_arg, "never");
    timer_after(w.loop, &w.t[3], -1, note_arg, "b");
    timer_after(w.loop, &w.t[4], 100000, stop, NULL);
    timer_after(w.loop, &w.t[4], 10, stop, NULL);     /* earlier, */
    timer_at_wall(w.loop, &w.t[3], 0, note_arg, "b"); /* and on the other clock */
    loop_run(w.loop);
    assert_string_equal(w.trace, "ab");
    assert_true(timer_armed(&w.t[1]));
    timer_cancel(&w.t[1]);
    timer_cancel(&w.t[2]);
}

static void cancel_other(void *arg)
{
    (void)arg;
    note("x");
    timer_cancel(&w.t[1]);
    timer_after(w.loop, &w.t[2], 0, stop, NULL);
}

static void timer_cancels_another_that_is_due(void **state)
{
    (void)state;
    timer_at_wall(w.loop, &w.t[0], 1, cancel_other, NULL);
    timer_at_wall(w.loop, &w.t[1], 2, note_arg, "never");
    loop_run(w.loop);
    assert_string_equal(w.trace, "x");
}

static void rearm_for_ever(void *arg)
{
    (void)arg;
    w.count++;
    timer_after(w.loop, &w.t[0], 0, rearm_for_ever, NULL);
}

static void readable(void *arg, int what)
{
    (void)arg;
    assert_int_equal(what, LOOP_READ);
    note("r");
    loop_stop(w.loop);
}

static void a_timer_of_zero_does_not_starve_descriptors(void **state)
{
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, w.fd), 0);
    w.watch[0] = watch_new(w.loop, w.fd[0], LOOP_READ, readable, NULL);
    timer_after(w.loop, &w.t[0], 0, rearm_for_ever, NULL);
    assert_int_equal(write(w.fd[1], "x", 1), 1);
    loop_run(w.loop);
    assert_string_equal(w.trace, "r");
    timer_cancel(&w.t[0]);
    watch_free(w.watch[0]);
    close(w.fd[0]);
    close(w.fd[1]);
}

static void both_ways(void *arg, int what)
{
    (void)arg;
    note(what == LOOP_READ ? "r" : "w");
    if (what == LOOP_WRITE)
        watch_set(w.watch[0], LOOP_READ);
    else
        loop_stop(w.loop);
}

static void watches_change_what_they_wait_for(void **state)
{
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, w.fd), 0);
    w.watch[0] = watch_new(w.loop, w.fd[0], 0, both_ways, NULL);
    assert_int_equal(write(w.fd[1], "x", 1), 1);
    timer_after(w.loop, &w.t[0], 10, stop, NULL);
    loop_run(w.loop);
    assert_string_equal(w.trace, ""); /* nothing was asked for */
    watch_set(w.watch[0], LOOP_WRITE);
    loop_run(w.loop);
    assert_string_equal(w.trace, "wr");
    watch_free(w.watch[0]);
    close(w.fd[0]);
    close(w.fd[1]);
}

static void free_other(void *arg, int what)
{
    int i = *(int *)arg;

    (void)what;
    note("1");
    watch_free(w.watch[!i]);
    w.watch[!i] = NULL;
    timer_after(w.loop, &w.t[0], 5, stop, NULL);
    watch_set(w.watch[i], 0);
}

static void a_watch_that_was_freed_is_silent(void **state)
{
    static int no[2] = {0, 1};

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, w.fd), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(write(w.fd[i], "x", 1), 1);
        w.watch[i] = watch_new(w.loop, w.fd[i], LOOP_READ, free_other, &no[i]);
    }
    loop_run(w.loop);
    assert_string_equal(w.trace, "1");
    for (int i = 0; i < 2; i++) {
        watch_free(w.watch[i]);
        close(w.fd[i]);
    }
}

static void signalled(void *arg, int sig)
{
    (void)arg;
    assert_int_equal(sig, SIGUSR1);
    loop_stop(w.loop);
}

static void signals_are_delivered_on_the_loop(void **state)
{
    (void)state;
    struct watch_signal *s = watch_signal_new(w.loop, SIGUSR1, signalled, NULL);

    raise(SIGUSR1);
    loop_run(w.loop);
    watch_signal_free(s);
}

static void *send_later(void *arg)
{
    struct timespec t = {.tv_nsec = 400000000};

    nanosleep(&t, NULL);
    wake_send(arg);
    return NULL;
}

/* With deadlines far off, nothing wakes the loop but the other thread. */
static void idle_is_without_wake_ups(void **state)
{
    (void)state;
    struct wake *k = wake_new(w.loop, stop, NULL);
    struct rusage before, after;
    pthread_t thread;

    timer_after(w.loop, &w.t[0], 60000, note_arg, "never");
    timer_at_wall(w.loop, &w.t[1], loop_wall_ms(w.loop) + 60000, note_arg, "never");
    timer_after(w.loop, &w.t[2], 100, note_arg, "never");
    timer_cancel(&w.t[2]);
    assert_int_equal(pthread_create(&thread, NULL, send_later, k), 0);
    getrusage(RUSAGE_THREAD, &before);
    loop_run(w.loop);
    getrusage(RUSAGE_THREAD, &after);
    pthread_join(thread, NULL);
    assert_true(after.ru_nvcsw - before.ru_nvcsw <= 2);
    assert_string_equal(w.trace, "");
    wake_free(k);
    timer_cancel(&w.t[0]);
    timer_cancel(&w.t[1]);
}

static void stop_before_run_holds(void **state)
{
    (void)state;
    loop_stop(w.loop);
    loop_defer(w.loop, &w.d[0], note_arg, "x");
    loop_run(w.loop);
    assert_string_equal(w.trace, "");
    loop_defer(w.loop, &w.d[1], stop, NULL);
    loop_run(w.loop);
    assert_string_equal(w.trace, "x");
}

static void freeing_the_loop_disarms_all(void **state)
{
    (void)state;
    struct loop *l = loop_new();
    struct timer t[2] = {0};
    struct defer d = {0};

    timer_after(l, &t[0], 1, note_arg, "x");
    timer_at_wall(l, &t[1], 1, note_arg, "x");
    loop_defer(l, &d, note_arg, "x");
    loop_free(l);
    assert_false(timer_armed(&t[0]));
    assert_false(timer_armed(&t[1]));
    assert_false(d.pending);
    timer_cancel(&t[0]);
    defer_cancel(&d);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(deferred_calls_run_later_and_in_order),
        TEST(deferred_call_cancels_its_successor),
        TEST(deferred_calls_do_not_starve_the_rest),
        TEST(timers_fire_in_order_of_deadlines),
        TEST(past_and_moved_deadlines),
        TEST(timer_cancels_another_that_is_due),
        TEST(a_timer_of_zero_does_not_starve_descriptors),
        TEST(watches_change_what_they_wait_for),
        TEST(a_watch_that_was_freed_is_silent),
        TEST(signals_are_delivered_on_the_loop),
        TEST(idle_is_without_wake_ups),
        TEST(stop_before_run_holds),
        TEST(freeing_the_loop_disarms_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
