/* SPDX-License-Identifier: ISC */
#include "base/mem.h"
#include "base/str.h"
#include "renew/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define T0 (POLICY_EPOCH + 300 * POLICY_DAY)
#define MAX_FAILURES 10000u

/* xorshift64: the same numbers in each run */
static uint64_t rng_state;
static void fill(const struct rng *r, void *p, size_t n)
{
    (void)r;
    for (unsigned char *c = p; n--; c++) {
        rng_state ^= rng_state << 13;
        rng_state ^= rng_state >> 7;
        rng_state ^= rng_state << 17;
        *c = (unsigned char)(rng_state >> 24);
    }
}
static const struct rng rng = {fill};

static int setup(void **state)
{
    (void)state;
    rng_state = 0x9e3779b97f4a7c15u;
    return 0;
}

static struct policy_life life(int64_t ms)
{
    return (struct policy_life){T0, T0 + ms};
}

static const struct policy_rule none = {0, 0};

static void default_rule_is_a_fraction(void **state)
{
    (void)state;
    static const struct {
        int64_t lifetime, due;
        enum policy_reason reason;
    } rows[] = {
        {90 * POLICY_DAY, 60 * POLICY_DAY, POLICY_TWO_THIRDS},
        {45 * POLICY_DAY, 30 * POLICY_DAY, POLICY_TWO_THIRDS},
        {398 * POLICY_DAY, 398 * POLICY_DAY / 3 * 2, POLICY_TWO_THIRDS},
        {10 * POLICY_DAY, 10 * POLICY_DAY - 10 * POLICY_DAY / 3, POLICY_TWO_THIRDS},
        {160 * POLICY_HOUR, 80 * POLICY_HOUR, POLICY_HALF},
        {10 * POLICY_MINUTE, 5 * POLICY_MINUTE, POLICY_HALF},
        {1, 1, POLICY_HALF},
        {0, 0, POLICY_HALF},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct policy_life l = life(rows[i].lifetime);
        struct policy_due d = policy_due(&l, &none, NULL, 0);
        assert_int_equal(d.at_ms - T0, rows[i].due);
        assert_int_equal(d.reason, rows[i].reason);
        struct policy_due j = policy_due(&l, &none, NULL, POLICY_JITTER_PPM);
        assert_true(j.at_ms <= d.at_ms);
        assert_true(j.at_ms >= d.at_ms - rows[i].lifetime / 50);
        assert_true(j.at_ms >= T0);
    }
}

static void inverted_dates_are_due_and_not_negative(void **state)
{
    (void)state;
    struct policy_life l = {T0, T0 - POLICY_DAY};
    assert_int_equal(policy_lifetime(&l), 0);
    struct policy_due d = policy_due(&l, &none, NULL, POLICY_JITTER_PPM);
    assert_true(d.at_ms <= T0);
}

static void renew_before_as_written(void **state)
{
    (void)state;
    struct policy_life l = life(90 * POLICY_DAY);
    struct policy_rule abs = {20 * POLICY_DAY, 0}, rel = {0, 25};
    struct policy_due d = policy_due(&l, &abs, NULL, 0);
    assert_int_equal(d.at_ms - T0, 70 * POLICY_DAY);
    assert_int_equal(d.reason, POLICY_RENEW_BEFORE);
    d = policy_due(&l, &rel, NULL, 0);
    assert_int_equal(d.at_ms - T0, 90 * POLICY_DAY - 90 * POLICY_DAY / 4);
    l = life(160 * POLICY_HOUR); /* 20 days before the end of 160 hours: not followed */
    d = policy_due(&l, &abs, NULL, 0);
    assert_int_equal(d.at_ms - T0, 80 * POLICY_HOUR);
    assert_int_equal(d.reason, POLICY_UNFIT);
    struct policy_rule all = {0, 100};
    assert_int_equal(policy_due(&l, &all, NULL, 0).reason, POLICY_UNFIT);
}

static void ari_comes_first(void **state)
{
    (void)state;
    struct policy_life l = life(90 * POLICY_DAY);
    struct policy_window w = {T0 + 70 * POLICY_DAY, T0 + 72 * POLICY_DAY, T0 + 71 * POLICY_DAY};
    struct policy_due d = policy_due(&l, &none, &w, POLICY_JITTER_PPM);
    assert_int_equal(d.at_ms, w.at_ms); /* later than 2/3, without jitter */
    assert_int_equal(d.reason, POLICY_ARI);
    struct policy_window past = {T0 - 2, T0 - 1, T0 - 2};
    d = policy_due(&l, &none, &past, 0);
    assert_int_equal(d.at_ms, T0 - 2);
    assert_int_equal(d.reason, POLICY_ARI);
}

static void written_rule_bounds_ari(void **state)
{
    (void)state;
    struct policy_life l = life(90 * POLICY_DAY);
    struct policy_rule r = {40 * POLICY_DAY, 0};
    struct policy_window later = {T0 + 60 * POLICY_DAY, T0 + 61 * POLICY_DAY, T0 + 60 * POLICY_DAY};
    struct policy_due d = policy_due(&l, &r, &later, 0);
    assert_int_equal(d.at_ms, T0 + 50 * POLICY_DAY);
    assert_int_equal(d.reason, POLICY_RENEW_BEFORE);
    struct policy_window sooner = {T0 + 5 * POLICY_DAY, T0 + 6 * POLICY_DAY, T0 + 5 * POLICY_DAY};
    d = policy_due(&l, &r, &sooner, 0);
    assert_int_equal(d.at_ms, sooner.at_ms);
    assert_int_equal(d.reason, POLICY_ARI);
    struct policy_rule unfit = {400 * POLICY_DAY, 0};
    d = policy_due(&l, &unfit, &later, 0);
    assert_int_equal(d.at_ms, later.at_ms);
}

static void floor_stands_against_ari(void **state)
{
    (void)state;
    struct policy_life l = life(90 * POLICY_DAY);
    struct policy_window w = {T0 + 100 * POLICY_DAY, T0 + 900 * POLICY_DAY, T0 + 500 * POLICY_DAY};
    struct policy_due d = policy_due(&l, &none, &w, 0);
    assert_int_equal(d.at_ms, T0 + 81 * POLICY_DAY);
    assert_int_equal(d.reason, POLICY_FLOOR);
    struct policy_rule late = {POLICY_DAY, 0}; /* the user's own wish, without ARI */
    assert_int_equal(policy_due(&l, &late, NULL, 0).at_ms, T0 + 89 * POLICY_DAY);
    assert_int_equal(policy_due(&l, &late, &w, 0).at_ms, T0 + 81 * POLICY_DAY);
}

static void window_is_drawn_once(void **state)
{
    (void)state;
    struct policy_window w = {0, 0, 0};
    assert_false(policy_window_set(&w, T0, T0, &rng));
    assert_false(policy_window_set(&w, T0 + 1, T0, &rng));
    assert_false(policy_window_set(&w, 0, 0, &rng));
    assert_int_equal(w.end_ms, 0);
    assert_true(policy_window_set(&w, T0, T0 + POLICY_DAY, &rng));
    int64_t at = w.at_ms;
    assert_true(at >= T0 && at <= T0 + POLICY_DAY);
    for (int i = 0; i < 1000; i++)
        assert_false(policy_window_set(&w, T0, T0 + POLICY_DAY, &rng));
    assert_int_equal(w.at_ms, at);
    assert_false(policy_window_set(&w, T0 + 9, T0 + 3, &rng)); /* invalid: the old one stands */
    assert_int_equal(w.at_ms, at);
    assert_true(policy_window_set(&w, T0 - POLICY_DAY, T0, &rng));
    assert_true(w.at_ms <= T0);
}

static void window_is_drawn_uniformly(void **state)
{
    (void)state;
    unsigned buckets[10] = {0};
    for (int i = 0; i < 10000; i++) {
        struct policy_window w = {0, 0, 0};
        policy_window_set(&w, T0, T0 + 9999, &rng);
        buckets[(w.at_ms - T0) / 1000]++;
    }
    for (size_t i = 0; i < ARRAY_LEN(buckets); i++)
        assert_in_range(buckets[i], 800, 1200);
}

static void jitter_is_bounded_and_spread(void **state)
{
    (void)state;
    uint32_t low = UINT32_MAX, high = 0;
    for (unsigned i = 0; i < 1000; i++) {
        CLEANUP_FREE char *fp = xasprintf("%064x", i * 2654435761u);
        uint32_t j = policy_jitter(fp);
        assert_int_equal(j, policy_jitter(fp));
        assert_true(j <= POLICY_JITTER_PPM);
        low = j < low ? j : low;
        high = j > high ? j : high;
    }
    assert_true(low < POLICY_JITTER_PPM / 20);
    assert_true(high > POLICY_JITTER_PPM - POLICY_JITTER_PPM / 20);
    assert_true(policy_jitter("") <= POLICY_JITTER_PPM);
}

static void backoff_climbs_and_stays(void **state)
{
    (void)state;
    static const int64_t steps[] = {POLICY_MINUTE, POLICY_MINUTE, 10 * POLICY_MINUTE,
                                    100 * POLICY_MINUTE, POLICY_DAY};
    for (unsigned n = 0; n <= MAX_FAILURES; n++) {
        int64_t want = steps[n < ARRAY_LEN(steps) ? n : ARRAY_LEN(steps) - 1];
        int64_t d = policy_backoff(n, 0, &rng);
        assert_in_range(d, want - want / 5, want);
        d = policy_backoff(n, 90 * POLICY_DAY, &rng);
        assert_in_range(d, want - want / 5, want);
    }
    assert_true(policy_backoff(UINT32_MAX, 0, &rng) > 0);
}

static void backoff_fits_short_lives(void **state)
{
    (void)state;
    static const int64_t lives[] = {160 * POLICY_HOUR, 10 * POLICY_MINUTE, POLICY_MINUTE, 5, 1};
    for (size_t i = 0; i < ARRAY_LEN(lives); i++) {
        for (unsigned n = 0; n <= MAX_FAILURES; n += 7) {
            int64_t d = policy_backoff(n, lives[i], &rng);
            assert_true(d >= POLICY_SECOND);
            assert_true(d <= lives[i] / 10 || d == POLICY_SECOND);
        }
    }
}

static void ten_thousand_failures_are_no_storm(void **state)
{
    (void)state;
    int64_t now = T0, day = T0;
    unsigned on_day = 0;
    struct err err = {.cls = ERR_TRANSIENT};
    for (unsigned n = 1; n <= MAX_FAILURES; n++) {
        int64_t at = policy_retry_at(now, &err, n, 90 * POLICY_DAY, &rng);
        assert_true(at > now && at <= now + POLICY_DAY);
        now = at;
        if (now >= day + POLICY_DAY) {
            day = now;
            on_day = 0;
        }
        assert_true(++on_day <= 10);
    }
    assert_true(now - T0 > 7000 * POLICY_DAY);
}

static void retry_after_is_obeyed(void **state)
{
    (void)state;
    struct err err = {.cls = ERR_RATE_LIMITED, .retry_at = T0 + 3 * POLICY_HOUR};
    assert_int_equal(policy_retry_at(T0, &err, 1, 0, &rng), err.retry_at);
    assert_int_equal(policy_retry_at(T0, &err, 1, 10 * POLICY_MINUTE, &rng), err.retry_at);
    err.retry_at = T0 + 1; /* sooner than the back-off: the back-off */
    assert_true(policy_retry_at(T0, &err, 1, 0, &rng) >= T0 + 48 * POLICY_SECOND);
    err.retry_at = T0 - POLICY_DAY;
    assert_true(policy_retry_at(T0, &err, 1, 0, &rng) > T0);
    err.retry_at = INT64_MAX;
    assert_int_equal(policy_retry_at(T0, &err, 1, 0, &rng), T0 + 7 * POLICY_DAY);
}

static void permanent_errors_are_looked_at_daily(void **state)
{
    (void)state;
    static const enum err_class classes[] = {ERR_DENIED, ERR_CONFIG};
    for (size_t i = 0; i < ARRAY_LEN(classes); i++) {
        struct err err = {.cls = classes[i]};
        for (unsigned n = 1; n < 100; n++) {
            int64_t d = policy_retry_at(T0, &err, n, 90 * POLICY_DAY, &rng) - T0;
            assert_in_range(d, POLICY_DAY / 5 * 4, POLICY_DAY);
        }
        assert_true(policy_retry_at(T0, &err, 1, 160 * POLICY_HOUR, &rng) <= T0 + 16 * POLICY_HOUR);
    }
}

static void looks_become_rare(void **state)
{
    (void)state;
    assert_true(policy_look_after(1, &rng) <= POLICY_MINUTE);
    assert_true(policy_look_after(2, &rng) <= 10 * POLICY_MINUTE);
    assert_true(policy_look_after(2, &rng) > POLICY_MINUTE);
    assert_true(policy_look_after(20, &rng) <= POLICY_HOUR);
    assert_true(policy_look_after(27, &rng) > 12 * POLICY_HOUR);
    assert_true(policy_look_after(MAX_FAILURES, &rng) <= POLICY_DAY);
}

static void deployments_are_tried_hourly(void **state)
{
    (void)state;
    assert_true(policy_deploy_after(1, 0, &rng) <= POLICY_MINUTE);
    assert_true(policy_deploy_after(2, 0, &rng) <= 10 * POLICY_MINUTE);
    for (unsigned n = 3; n < MAX_FAILURES; n += 13) {
        assert_in_range(policy_deploy_after(n, 0, &rng), POLICY_HOUR / 5 * 4, POLICY_HOUR);
        assert_true(policy_deploy_after(n, 10 * POLICY_MINUTE, &rng) <= POLICY_MINUTE);
    }
}

static void fresh_and_due_waits_longer_each_time(void **state)
{
    (void)state;
    int64_t lifetime = 90 * POLICY_DAY, last = 0;
    for (unsigned churn = 0; churn < 100; churn++) {
        int64_t at = policy_fresh(T0 - 1, T0, churn, lifetime);
        assert_true(at >= T0 + POLICY_MINUTE && at >= last);
        last = at;
    }
    assert_int_equal(last, T0 + POLICY_DAY);
    assert_int_equal(policy_fresh(T0 + 60 * POLICY_DAY, T0, 9, lifetime), T0 + 60 * POLICY_DAY);
    assert_int_equal(policy_fresh(T0 - 1, 0, 9, lifetime), T0 - 1); /* adopted: age not known */
    assert_true(policy_is_fresh(T0, T0, lifetime));
    assert_false(policy_is_fresh(T0 + 9 * POLICY_DAY, T0, lifetime));
    assert_int_equal(policy_fresh(T0 - 1, T0, 9, 10 * POLICY_MINUTE), T0 + POLICY_MINUTE);
    assert_int_equal(policy_fresh(T0 - 1, T0, 9, 0), T0 + POLICY_SECOND);
}

static void stored_times_of_another_clock_are_dropped(void **state)
{
    (void)state;
    assert_int_equal(policy_sane_at(T0 + POLICY_DAY, T0), T0 + POLICY_DAY);
    assert_int_equal(policy_sane_at(T0 - POLICY_DAY, T0), T0 - POLICY_DAY);
    assert_int_equal(policy_sane_at(T0 + 3650 * POLICY_DAY, T0), T0);
}

static void epoch_is_what_it_says(void **state)
{
    (void)state;
    char text[32];
    assert_string_equal(str_from_time(POLICY_EPOCH, text, sizeof(text)), "2026-01-01T00:00:00Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(default_rule_is_a_fraction, setup),
        cmocka_unit_test_setup(inverted_dates_are_due_and_not_negative, setup),
        cmocka_unit_test_setup(renew_before_as_written, setup),
        cmocka_unit_test_setup(ari_comes_first, setup),
        cmocka_unit_test_setup(written_rule_bounds_ari, setup),
        cmocka_unit_test_setup(floor_stands_against_ari, setup),
        cmocka_unit_test_setup(window_is_drawn_once, setup),
        cmocka_unit_test_setup(window_is_drawn_uniformly, setup),
        cmocka_unit_test_setup(jitter_is_bounded_and_spread, setup),
        cmocka_unit_test_setup(backoff_climbs_and_stays, setup),
        cmocka_unit_test_setup(backoff_fits_short_lives, setup),
        cmocka_unit_test_setup(ten_thousand_failures_are_no_storm, setup),
        cmocka_unit_test_setup(retry_after_is_obeyed, setup),
        cmocka_unit_test_setup(permanent_errors_are_looked_at_daily, setup),
        cmocka_unit_test_setup(looks_become_rare, setup),
        cmocka_unit_test_setup(deployments_are_tried_hourly, setup),
        cmocka_unit_test_setup(fresh_and_due_waits_longer_each_time, setup),
        cmocka_unit_test_setup(stored_times_of_another_clock_are_dropped, setup),
        cmocka_unit_test_setup(epoch_is_what_it_says, setup),
    };
    return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
