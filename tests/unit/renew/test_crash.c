/* SPDX-License-Identifier: ISC */
/* A kill -9 after each event of a run with three certificates, then a restart. */
#include "base/mem.h"
#include "base/str.h"
#include "renew/cert.h"
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CERTS 3

static int teardown(void **state)
{
    (void)state;
    if (world_now)
        world_free(world_now);
    return 0;
}

static void deployments(struct conf *c)
{
    for (size_t i = 0; i < CERTS; i++) {
        world_step(c, i, "a", CONF_STEP_RUN, "/copy");
        world_step(c, i, "a", CONF_STEP_RELOAD, "nginx");
        world_step(c, i, "b", CONF_STEP_RUN, "/other");
    }
}

static struct world *make(bool lost)
{
    struct world *w = world_new(CERTS);
    w->lost_effects = lost;
    deployments(w->conf);
    return w;
}

struct look {
    bool found, told;
};

static void on_get(void *arg, const struct store_item *items, size_t n, const struct err *err)
{
    struct look *l = arg;
    (void)items;
    (void)err;
    l->told = true;
    l->found = n > 0;
}

static bool order_is_stored(struct world *w, const char *name)
{
    struct look look = {false, false};
    CLEANUP_FREE char *key = cert_key(name, "order");
    store_get(w->store, key, on_get, &look);
    while (!look.told)
        assert_true(world_loop_step(w->loop, w->loop->wall + 10));
    return look.found;
}

/* The engine dies after `events`; false when the run was over before. */
static bool dies_after(struct world *w, unsigned events, int64_t span)
{
    int64_t until = w->loop->wall + span;
    unsigned end = w->events + events;
    while (w->events < end) {
        if (!world_loop_step(w->loop, until))
            return false;
    }
    world_crash(w);
    world_run(w, 100); /* what it had sent is done, or lost, before there is another engine */
    return true;
}

static void check(struct world *w, unsigned orders, unsigned installs, unsigned events)
{
    unsigned made = 0, installed = 0;
    world_run(w, 10 * POLICY_MINUTE);
    if (!world_all_ok(w))
        fail_msg("after %u events: not all is well: %s", events, world_status(w, "c0").why);
    for (size_t i = 0; i < w->n_sites; i++) {
        made += w->sites[i].orders;
        installed += w->sites[i].installs;
        assert_int_equal(w->sites[i].pending, 0);
    }
    if (made != orders || installed != installs || w->n_records || w->finished_badly)
        fail_msg("after %u events: %u orders of %u, %u installed of %u, %zu records, %u failed",
                 events, made, orders, installed, installs, w->n_records, w->finished_badly);
    for (size_t i = 0; i < w->n_sites; i++)
        assert_false(order_is_stored(w, w->sites[i].name));
}

/* Every step of every deployment was run for every certificate, however often. */
static void check_steps(struct world *w, unsigned events)
{
    static const char *const steps[] = {"a/0", "a/1", "b/0"};
    for (size_t s = 0; s < ARRAY_LEN(steps); s++) {
        for (size_t i = 0; i < w->n_sites; i++) {
            bool found = false;
            for (size_t k = 0; k < w->n_steps && k < ARRAY_LEN(w->steps); k++)
                found |=
                    str_starts(w->steps[k], steps[s]) && strstr(w->steps[k] + 3, w->sites[i].name);
            if (!found)
                fail_msg("after %u events: step %s was never run for %s", events, steps[s],
                         w->sites[i].name);
        }
    }
}

static unsigned sweep_first(bool lost)
{
    for (unsigned events = 1;; events++) {
        struct world *w = make(lost);
        world_boot(w);
        bool died = dies_after(w, events, POLICY_MINUTE);
        if (died)
            world_boot(w);
        check(w, CERTS, CERTS, events);
        check_steps(w, events);
        world_free(w);
        if (!died)
            return events - 1;
    }
}

static void first_issue_survives_any_crash(void **state)
{
    (void)state;
    unsigned points = sweep_first(false);
    assert_true(points > 50);
    print_message("%u points\n", points);
}

static void first_issue_survives_when_messages_are_lost(void **state)
{
    (void)state;
    assert_true(sweep_first(true) > 50);
}

static void renewal_survives_any_crash(void **state)
{
    (void)state;
    for (unsigned events = 1;; events++) {
        struct world *w = make(events % 2);
        for (size_t i = 0; i < CERTS; i++)
            world_install(w, i, 61 * POLICY_DAY);
        world_boot(w);
        bool died = dies_after(w, events, POLICY_MINUTE);
        if (died)
            world_boot(w);
        check(w, CERTS, CERTS, events);
        check_steps(w, events);
        world_free(w);
        if (!died)
            break;
    }
}

static void dies_again_and_again(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed < 60; seed++) {
        struct world *w = make(seed % 3 == 0);
        unsigned deaths = 0;
        for (unsigned n = 0; n < 12; n++) {
            world_boot(w);
            if (!dies_after(w, 3 + (seed * 7 + n * 11) % 23, POLICY_MINUTE))
                break;
            deaths++;
        }
        if (!w->renew)
            world_boot(w);
        assert_true(deaths > 0);
        check(w, CERTS, CERTS, seed);
        world_free(w);
    }
}

static void set(void *arg)
{
    *(bool *)arg = true;
}

static void stopped_in_order_goes_on_later(void **state)
{
    (void)state;
    for (unsigned events = 1;; events += 2) {
        struct world *w = make(false);
        world_boot(w);
        int64_t until = w->loop->wall + POLICY_MINUTE;
        unsigned end = w->events + events;
        bool running = true;
        while (running && w->events < end)
            running = world_loop_step(w->loop, until);
        bool stopped = false;
        renew_stop(w->renew, 5000, set, &stopped);
        int64_t limit = w->loop->wall + 5001;
        while (!stopped && world_loop_step(w->loop, limit))
            ;
        assert_true(stopped);
        world_crash(w);
        world_run(w, 100);
        world_boot(w);
        check(w, CERTS, CERTS, events);
        check_steps(w, events);
        world_free(w);
        if (!running)
            break;
    }
}

static void order_that_the_ca_forgot_is_made_anew(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    w->publish_ms = POLICY_MINUTE;
    world_boot(w);
    world_run(w, 1000);
    assert_int_equal(w->sites[0].orders, 1);
    world_crash(w);
    w->orders[0].gone = true;
    world_boot(w);
    assert_true(world_until(w, world_all_ok, 3 * POLICY_MINUTE));
    assert_int_equal(w->sites[0].orders, 2);
    assert_int_equal(w->finished_badly, 0); /* nobody failed */
    world_run(w, POLICY_MINUTE);
    assert_int_equal(w->n_records, 0);
}

/* As when the CA's answer is lost: nobody knows, so it is looked for at the next attempt. */
static void unanswered_order_is_looked_for(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    struct site *s = &w->sites[0];
    s->fault = FAULT_UNANSWERED;
    s->times = 1;
    world_boot(w);
    world_run(w, 1000);
    assert_int_equal(w->finished_badly, 1);
    assert_int_equal(s->orders, 1);
    assert_true(order_is_stored(w, "c0"));
    assert_true(world_until(w, world_all_ok, 3 * POLICY_MINUTE));
    assert_int_equal(s->orders, 1);
}

/* Nor does it get lost when the next attempt does not even get so far. */
static void intent_survives_a_failure_before_the_order(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    struct site *s = &w->sites[0];
    s->fault = FAULT_UNANSWERED;
    s->times = 1;
    world_boot(w);
    world_run(w, 1000);
    s->fault = FAULT_PREPARE;
    s->times = 2;
    assert_true(world_until(w, world_all_ok, POLICY_DAY));
    assert_int_equal(w->finished_badly, 3);
    assert_int_equal(s->orders, 1);
}

/* A failure that comes before the intent is stored. */
static void no_intent_without_an_attempt(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    struct site *s = &w->sites[0];
    s->fault = FAULT_PREPARE;
    s->times = 1;
    world_boot(w);
    world_run(w, 1000);
    assert_int_equal(w->finished_badly, 1);
    assert_int_equal(s->orders, 0);
    assert_false(order_is_stored(w, "c0"));
    assert_true(world_until(w, world_all_ok, 3 * POLICY_MINUTE));
    assert_int_equal(s->orders, 1);
}

static void order_for_other_names_is_made_anew(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    w->publish_ms = POLICY_MINUTE;
    world_boot(w);
    world_run(w, 1000);
    world_crash(w);
    w->orders[0].other = true;
    world_boot(w);
    assert_true(world_until(w, world_all_ok, 3 * POLICY_MINUTE));
    assert_int_equal(w->sites[0].orders, 2);
    assert_int_equal(w->finished_badly, 0);
}

static void invalid_order_counts_as_a_failure(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    w->publish_ms = POLICY_MINUTE;
    world_boot(w);
    world_run(w, 1000);
    world_crash(w);
    w->orders[0].invalid = true;
    world_boot(w);
    world_run(w, 1000);
    assert_int_equal(w->finished_badly, 1);
    assert_int_equal(world_status(w, "c0").state, RENEW_FAILED);
    assert_true(world_until(w, world_all_ok, 3 * POLICY_MINUTE));
    assert_int_equal(w->sites[0].orders, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(first_issue_survives_any_crash, teardown),
        cmocka_unit_test_teardown(first_issue_survives_when_messages_are_lost, teardown),
        cmocka_unit_test_teardown(renewal_survives_any_crash, teardown),
        cmocka_unit_test_teardown(dies_again_and_again, teardown),
        cmocka_unit_test_teardown(stopped_in_order_goes_on_later, teardown),
        cmocka_unit_test_teardown(order_that_the_ca_forgot_is_made_anew, teardown),
        cmocka_unit_test_teardown(order_for_other_names_is_made_anew, teardown),
        cmocka_unit_test_teardown(unanswered_order_is_looked_for, teardown),
        cmocka_unit_test_teardown(intent_survives_a_failure_before_the_order, teardown),
        cmocka_unit_test_teardown(no_intent_without_an_attempt, teardown),
        cmocka_unit_test_teardown(invalid_order_counts_as_a_failure, teardown),
    };
    return cmocka_run_group_tests_name("crash", tests, NULL, NULL);
}
