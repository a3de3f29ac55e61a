/* SPDX-License-Identifier: ISC */
/* What the operator has paused or revoked is let be, over restarts, until the operator says so. */
#include "base/mem.h"
#include "base/str.h"
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

static void count(void *arg, const struct err *err)
{
    unsigned *n = arg;
    assert_int_equal(err->cls, ERR_NONE);
    (*n)++;
}

/* 1: it was paused; 0: it was not; -1: there is no such thing. */
static int set(struct world *w, const char *what, bool pause)
{
    struct err e = ERR_INIT;
    unsigned stored = 0;
    bool was = false;
    if (renew_pause(w->renew, what, pause, &was, count, &stored, &e)) {
        assert_int_equal(e.cls, ERR_CONFIG);
        return -1;
    }
    world_run(w, POLICY_MINUTE / 60);
    assert_int_equal(stored, 1);
    return was;
}

static enum renew_state state_of(struct world *w)
{
    return world_status(w, "c0").state;
}

static void nothing_is_ordered_while_paused(void **state)
{
    (void)state;
    static const char *const what[] = {"c0", "ca:one"};
    struct world *w = world_new(1);
    world_install(w, 0, POLICY_DAY);
    world_boot(w);
    for (size_t i = 0; i < ARRAY_LEN(what); i++) {
        assert_int_equal(set(w, what[i], true), 0);
        assert_int_equal(set(w, what[i], true), 1);
        assert_int_equal(state_of(w), RENEW_PAUSED);
        assert_int_equal(world_status(w, "c0").next_ms, 0);
    }
    world_run(w, 70 * POLICY_DAY); /* long due */
    world_crash(w);
    world_boot(w);
    world_run(w, POLICY_DAY);
    assert_int_equal(w->sites[0].orders, 0);
    assert_int_equal(state_of(w), RENEW_PAUSED);
    assert_int_equal(set(w, "c0", false), 1);
    assert_int_equal(set(w, "c0", false), 0);
    assert_int_equal(state_of(w), RENEW_PAUSED); /* the CA still is */
    world_run(w, POLICY_DAY);
    assert_int_equal(w->sites[0].orders, 0);
    assert_int_equal(set(w, "ca:one", false), 1);
    assert_true(world_until(w, world_all_ok, POLICY_HOUR));
    assert_int_equal(w->sites[0].orders, 1);
}

static void expiry_is_not_hidden(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    world_install(w, 0, POLICY_DAY);
    world_boot(w);
    assert_int_equal(set(w, "c0", true), 0);
    world_run(w, 95 * POLICY_DAY);
    assert_int_equal(state_of(w), RENEW_EXPIRED);
}

static void only_force_overrules_a_pause(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    struct err e = ERR_INIT;
    world_boot(w);
    assert_int_equal(set(w, "c0", true), 0);
    assert_int_equal(set(w, "nobody", true), -1);
    assert_int_equal(set(w, "ca:nobody", true), -1);
    assert_int_equal(set(w, "provider:nobody", true), -1);
    world_run(w, POLICY_HOUR);
    unsigned before = w->sites[0].orders;
    assert_int_equal(renew_start(w->renew, "c0", 0, &e), -1);
    assert_string_equal(e.type, "not-due");
    assert_int_equal(renew_start(w->renew, "c0", RENEW_FORCE, &e), 0);
    world_run(w, POLICY_HOUR);
    assert_int_equal(w->sites[0].orders, before + 1);
    assert_int_equal(state_of(w), RENEW_PAUSED);
}

static void what_is_revoked_waits_to_be_asked_for(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    struct err e = ERR_INIT;
    world_install(w, 0, POLICY_DAY);
    world_boot(w);
    renew_revoked(w->renew, "nobody");
    renew_revoked(w->renew, "c0");
    world_run(w, POLICY_MINUTE);
    world_crash(w);
    world_boot(w);
    assert_int_equal(state_of(w), RENEW_REVOKED);
    world_run(w, 70 * POLICY_DAY);
    assert_int_equal(w->sites[0].orders, 0);
    assert_int_equal(renew_start(w->renew, "c0", 0, &e), 0);
    assert_true(world_until(w, world_all_ok, POLICY_HOUR));
    assert_int_equal(w->sites[0].orders, 1);
    world_crash(w);
    world_boot(w);
    assert_int_equal(state_of(w), RENEW_OK);
}

int main(void)
{
#define T(name) cmocka_unit_test_teardown(name, teardown)
    const struct CMUnitTest tests[] = {
        T(nothing_is_ordered_while_paused),
        T(expiry_is_not_hidden),
        T(only_force_overrules_a_pause),
        T(what_is_revoked_waits_to_be_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
