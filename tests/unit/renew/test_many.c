/* SPDX-License-Identifier: ISC */
/* Many certificates: nobody is held up, nothing is dear. */
#include "base/mem.h"
#include "base/str.h"
#include "world.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static int teardown(void **state)
{
    (void)state;
    if (world_now)
        world_free(world_now);
    return 0;
}

static size_t installed(const struct world *w)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n_sites; i++)
        n += w->sites[i].present;
    return n;
}

static bool all_but_three(struct world *w)
{
    size_t ok = 0;
    for (size_t i = 3; i < w->n_sites; i++)
        ok += world_status(w, w->sites[i].name).state == RENEW_OK;
    return ok == w->n_sites - 3;
}

static void bad_ones_delay_none_of_200(void **state)
{
    (void)state;
    struct world *w = world_new(203);
    for (size_t i = 0; i < w->n_sites; i++)
        world_step(w->conf, i, i == 2 ? "slow" : "a", CONF_STEP_RUN, "/hook");
    w->rules[w->n_rules++] = (struct step_rule){"slow", 0, true};
    w->sites[0].fault = FAULT_HANG;
    w->sites[1].fault = FAULT_NEW_ORDER;
    err_set(&w->sites[1].err, ERR_DENIED, "rejectedIdentifier");
    world_boot(w);
    /* two rounds of at most 100, 2 s of propagation each */
    assert_true(world_until(w, all_but_three, 8 * POLICY_SECOND));
    assert_in_range(w->jobs_most, 90, 100); /* max_orders */
    assert_int_equal(world_status(w, "c0").state, RENEW_RENEWING);
    assert_int_equal(world_status(w, "c1").state, RENEW_FAILED);
    assert_int_equal(world_status(w, "c2").state, RENEW_DEPLOYING);
}

/* 150 of 250 hang for a day; what is healthy still gets its turn. */
static void hanging_ones_take_half_at_most(void **state)
{
    (void)state;
    struct world *w = world_new(250);
    for (size_t i = 0; i < 150; i++) {
        w->sites[i].fault = FAULT_NEW_ORDER;
        err_set(&w->sites[i].err, ERR_TRANSIENT, "no");
    }
    world_boot(w);
    assert_true(world_until(w, world_all_ok, 20 * POLICY_SECOND) || installed(w) == 100);
    for (size_t i = 0; i < 150; i++)
        w->sites[i].fault = FAULT_HANG; /* from now on each holds its place for a day */
    world_run(w, 3 * POLICY_MINUTE);
    assert_int_equal(w->jobs_now, 50);
    struct err e = ERR_INIT;
    for (size_t i = 150; i < 250; i++)
        assert_int_equal(renew_start(w->renew, w->sites[i].name, RENEW_FORCE, &e), 0);
    world_run(w, 10 * POLICY_SECOND);
    for (size_t i = 150; i < 250; i++)
        assert_int_equal(w->sites[i].installs, 2);
}

static void most_urgent_first(void **state)
{
    (void)state;
    struct world *w = world_new(300);
    for (size_t i = 0; i < 300; i++) /* c299 expires first */
        world_install(w, i, 80 * POLICY_DAY + (int64_t)i * POLICY_MINUTE);
    world_boot(w);
    world_run(w, 3 * POLICY_SECOND);
    assert_in_range(w->n_orders, 100, 200);
    for (size_t i = 0; i < 100; i++)
        assert_true(world_site(w, w->orders[i].cert) - w->sites >= 200);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void ten_thousand_adopted_are_cheap(void **state)
{
    (void)state;
    struct world *w = world_new(10000);
    for (size_t i = 0; i < w->n_sites; i++) {
        w->conf->certs[i].ari = false;
        world_install(w, i, (int64_t)(i % 50) * POLICY_DAY);
    }
    struct mallinfo2 before = mallinfo2();
    double began = seconds();
    world_boot(w);
    assert_true(w->ready);
    double took = seconds() - began;
    struct mallinfo2 after = mallinfo2();
    unsigned long fired = w->loop->fired;
    world_run(w, POLICY_MINUTE);
    assert_int_equal(w->loop->fired, fired); /* not one wake-up */
    print_message("start: %.0f ms, %zu bytes a certificate\n", took * 1000,
                  (after.uordblks - before.uordblks) / w->n_sites);
#ifndef RENEWD_SANITIZE
    assert_true(took < 1.0);
    assert_true(after.uordblks - before.uordblks < w->n_sites * 1024);
#endif
}

static void polls_are_spread(void **state)
{
    (void)state;
    struct world *w = world_new(2000);
    for (size_t i = 0; i < w->n_sites; i++)
        world_install(w, i, POLICY_DAY);
    world_boot(w);
    unsigned polls = 0, most = 0;
    for (unsigned s = 0; s < 200; s++) {
        unsigned now = 0;
        world_run(w, POLICY_SECOND);
        for (size_t i = 0; i < w->n_sites; i++)
            now += w->sites[i].polls;
        most = now - polls > most ? now - polls : most;
        polls = now;
    }
    assert_int_equal(polls, 2000);
    assert_true(most < 60); /* of 20 a second on the average */
}

static void ten_years_of_a_thousand(void **state)
{
    (void)state;
    size_t n = 1000;
#ifdef RENEWD_SANITIZE
    n = 100;
#endif
    struct world *w = world_new(n);
    for (size_t i = 0; i < n; i++) {
        w->sites[i].no_ari = i % 2; /* and the rest only now and then, for the test's sake */
        w->conf->certs[i].ari = i % 10 == 0;
        world_install(w, i, (int64_t)(i % 60) * POLICY_DAY);
    }
    world_boot(w);
    unsigned expired = 0;
    for (unsigned day = 0; day < 3650; day++) {
        if (day % 100 == 50) /* an outage of two days */
            for (size_t i = 0; i < n; i += 3) {
                w->sites[i].fault = FAULT_NEW_ORDER;
                err_set(&w->sites[i].err, ERR_TRANSIENT, "outage");
            }
        if (day % 100 == 52)
            for (size_t i = 0; i < n; i++)
                w->sites[i].fault = FAULT_NONE;
        world_run(w, POLICY_DAY);
        for (size_t i = 0; i < n; i++)
            expired += w->sites[i].not_after <= w->loop->wall;
    }
    assert_int_equal(expired, 0);
    unsigned orders = 0;
    for (size_t i = 0; i < n; i++)
        orders += w->sites[i].orders;
    assert_in_range(orders, n * 3650 / 62, n * 3650 / 56); /* each 90 days live 60 or a bit less */
    assert_int_equal(w->n_records, 0);
    assert_int_equal(w->jobs_now, 0);
}

static void restart_with_many_orders_makes_none_twice(void **state)
{
    (void)state;
    struct world *w = world_new(90);
    world_boot(w);
    for (unsigned n = 0; n < 10; n++) {
        world_run(w, 300);
        world_crash(w);
        world_run(w, 20); /* what the keeper and the CA still do */
        world_boot(w);
    }
    world_run(w, POLICY_MINUTE);
    assert_int_equal(installed(w), 90);
    assert_int_equal(w->n_orders, 90);
    assert_int_equal(w->n_records, 0);
}

#define T(f) cmocka_unit_test_teardown(f, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(bad_ones_delay_none_of_200),
        T(hanging_ones_take_half_at_most),
        T(most_urgent_first),
        T(ten_thousand_adopted_are_cheap),
        T(polls_are_spread),
        T(ten_years_of_a_thousand),
        T(restart_with_many_orders_makes_none_twice),
    };
    return cmocka_run_group_tests_name("many", tests, NULL, NULL);
}
