/* SPDX-License-Identifier: ISC */
/* What a CA allows, and whether it is there. */
#include "base/str.h"
#include "io/http.h"
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static int teardown(void **state)
{
    (void)state;
    if (world_now)
        world_free(world_now);
    return 0;
}

static struct conf_ca *ca(struct world *w, size_t i)
{
    return &w->conf->cas[i];
}

static size_t installed(const struct world *w)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n_sites; i++)
        n += w->sites[i].present;
    return n;
}

static struct world *world_of_ten_an_hour(size_t n)
{
    struct world *w = world_new(n);
    ca(w, 0)->orders_limit = (struct conf_limit){10, POLICY_HOUR};
    return w;
}

static void orders_wait_for_their_turn(void **state)
{
    (void)state;
    struct world *w = world_of_ten_an_hour(25);
    world_boot(w);
    world_run(w, POLICY_MINUTE);
    assert_int_equal(installed(w), 10);
    world_run(w, 59 * POLICY_MINUTE);
    assert_in_range(installed(w), 19, 20);
    struct renew_status s = world_status(w, "c24");
    for (size_t i = 10; i < 25 && s.state != RENEW_DUE; i++)
        s = world_status(w, w->sites[i].name);
    assert_int_equal(s.state, RENEW_DUE);
    assert_non_null(strstr(s.why, "10 new orders in 1 h"));
    assert_true(s.next_ms > w->loop->wall);
    assert_true(world_until(w, world_all_ok, POLICY_HOUR));
}

/* Killed and started over and over, it has no more than what there was. */
static void a_restart_is_no_new_start(void **state)
{
    (void)state;
    struct world *w = world_of_ten_an_hour(40);
    for (int i = 0; i < 4; i++) {
        world_boot(w);
        world_run(w, POLICY_MINUTE);
        world_crash(w);
    }
    assert_int_equal(installed(w), 10);
    assert_int_equal(w->n_orders, 10);
    world_boot(w);
    world_run(w, POLICY_MINUTE);
    assert_int_equal(installed(w), 10);
}

/* A renewal of the same names is no new order, and what expires first comes first. */
static void renewals_do_not_wait(void **state)
{
    (void)state;
    struct world *w = world_of_ten_an_hour(40);
    for (size_t i = 20; i < 40; i++) {
        world_install(w, i, 80 * POLICY_DAY);
        str_copy(w->sites[i].directory, sizeof(w->sites[i].directory), ca(w, 0)->directory);
    }
    world_boot(w);
    world_run(w, POLICY_MINUTE);
    assert_int_equal(installed(w), 30);
    for (size_t i = 20; i < 40; i++)
        assert_int_equal(w->sites[i].installs, 1);
}

/* Five of the same names in a week; a failure costs none of them. */
static void same_names(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    struct err e = ERR_INIT;
    ca(w, 0)->same_names_limit = (struct conf_limit){5, 7 * POLICY_DAY};
    w->sites[0].no_ari = true;
    w->sites[0].fault = FAULT_VALIDATE;
    w->sites[0].times = 3;
    world_boot(w);
    world_run(w, 3 * POLICY_HOUR);
    assert_int_equal(w->sites[0].installs, 1);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(renew_start(w->renew, "c0", RENEW_FORCE, &e), 0);
        world_run(w, POLICY_MINUTE);
    }
    assert_int_equal(w->sites[0].installs, 5);
    world_run(w, POLICY_DAY);
    w->sites[0].not_after = w->loop->wall + POLICY_DAY; /* is due */
    world_crash(w);
    world_boot(w);
    world_run(w, POLICY_MINUTE);
    assert_int_equal(w->sites[0].installs, 5);
    struct renew_status s = world_status(w, "c0");
    assert_non_null(strstr(s.why, "5 certificates for the same names in 7 d"));
    world_run(w, 10 * POLICY_HOUR);
    assert_int_equal(w->sites[0].installs, 6);
}

static void away(struct world *w, const char *only_ca)
{
    for (size_t i = 0; i < w->n_sites; i++) {
        w->sites[i].fault = FAULT_NEW_ORDER;
        w->sites[i].only_ca = only_ca;
        err_set(&w->sites[i].err, ERR_TRANSIENT, "cannot connect");
        str_copy(w->sites[i].err.type, sizeof(w->sites[i].err.type), HTTP_UNREACHABLE);
    }
}

static unsigned attempts(const struct world *w)
{
    unsigned n = 0;
    for (size_t i = 0; i < w->n_sites; i++)
        n += w->sites[i].attempts;
    return n;
}

/* A thousand certificates, one CA, and that is away for a day: not a thousand attempts an hour. */
static void an_outage_is_waited_out(void **state)
{
    (void)state;
    struct world *w = world_new(1000);
    away(w, NULL);
    world_boot(w);
    world_run(w, POLICY_DAY);
    assert_int_equal(installed(w), 0);
    assert_in_range(attempts(w), 5, 300);
    for (size_t i = 0; i < w->n_sites; i++)
        w->sites[i].fault = FAULT_NONE;
    assert_true(world_until(w, world_all_ok, POLICY_DAY));
}

/* Nobody waits for three failures of its own. */
static void the_next_ca_steps_in(void **state)
{
    (void)state;
    struct world *w = world_new(200);
    for (size_t i = 0; i < w->n_sites; i++)
        world_add_ca(w->conf, i, "two");
    away(w, "one");
    world_boot(w);
    assert_true(world_until(w, world_all_ok, 10 * POLICY_MINUTE));
    assert_in_range(attempts(w), 200, 420);
}

#define T(f) cmocka_unit_test_teardown(f, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(orders_wait_for_their_turn), T(a_restart_is_no_new_start),
        T(renewals_do_not_wait),       T(same_names),
        T(an_outage_is_waited_out),    T(the_next_ca_steps_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
