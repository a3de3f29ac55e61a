/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"

#include <string.h>

struct fixed_rng {
    struct rng rng;
    const uint64_t *values;
};

static void fixed_fill(const struct rng *r, void *p, size_t n)
{
    struct fixed_rng *f = (struct fixed_rng *)r;
    assert_int_equal(n, sizeof(uint64_t));
    memcpy(p, f->values++, n);
}

static void clocks_tell_sensible_times(void **state)
{
    (void)state;
    assert_true(clock_wall_ms(&clock_system) > INT64_C(1700000000000));
    int64_t first = clock_mono_ms(&clock_system);
    assert_true(first > 0);
    assert_true(clock_mono_ms(&clock_system) >= first);
}

static void range_is_reached_at_both_ends(void **state)
{
    (void)state;
    unsigned seen[7] = {0};
    for (int i = 0; i < 7000; i++) {
        int64_t v = rng_range(&rng_system, -3, 3);
        assert_in_range(v + 3, 0, 6);
        seen[v + 3]++;
    }
    for (int i = 0; i < 7; i++)
        assert_in_range(seen[i], 700, 1300);
    assert_int_equal(rng_range(&rng_system, 5, 5), 5);
}

static void range_rejects_what_would_bias_it(void **state)
{
    (void)state;
    /* 2^64 mod 3 is 1: the very last value is thrown away. */
    const uint64_t values[] = {UINT64_MAX, 4};
    struct fixed_rng f = {.rng = {.fill = fixed_fill}, .values = values};
    assert_int_equal(rng_range(&f.rng, 10, 12), 11);
    const uint64_t kept[] = {UINT64_MAX};
    f.values = kept;
    assert_int_equal(rng_range(&f.rng, 0, 3), 3); /* 4 divides 2^64: nothing to reject */
}

static void whole_range_is_allowed(void **state)
{
    (void)state;
    const uint64_t values[] = {UINT64_C(0x8000000000000000)};
    struct fixed_rng f = {.rng = {.fill = fixed_fill}, .values = values};
    assert_true(rng_range(&f.rng, INT64_MIN, INT64_MAX) == INT64_MIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clocks_tell_sensible_times),
        cmocka_unit_test(range_is_reached_at_both_ends),
        cmocka_unit_test(range_rejects_what_would_bias_it),
        cmocka_unit_test(whole_range_is_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
