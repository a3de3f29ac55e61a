/* SPDX-License-Identifier: ISC */
/* Whole renewals in virtual time. */
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

static void first_certificate(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    world_boot(w);
    assert_true(w->ready);
    assert_int_equal(world_status(w, "c0").state, RENEW_MISSING);
    assert_true(world_until(w, world_all_ok, POLICY_MINUTE));
    struct renew_status s = world_status(w, "c0");
    assert_int_equal(w->sites[0].orders, 1);
    assert_int_equal(w->sites[0].installs, 1);
    assert_int_equal(w->finished, 1);
    assert_int_equal(w->finished_badly, 0);
    assert_int_equal(s.not_after_ms, w->sites[0].not_after);
    assert_string_equal(s.ca, "one");
    world_run(w, POLICY_MINUTE);
    assert_int_equal(w->n_records, 0);
    assert_int_equal(w->sites[0].polls, 1);
    s = world_status(w, "c0");
    assert_true(s.ari);
    assert_in_range(s.next_ms, s.not_after_ms - 31 * POLICY_DAY, s.not_after_ms - 29 * POLICY_DAY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(first_certificate, teardown),
    };
    return cmocka_run_group_tests_name("renew", tests, NULL, NULL);
}
