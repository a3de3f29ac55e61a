/* SPDX-License-Identifier: ISC */
#include "base/str.h"
#include "io/http.h"
#include "renew/health.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define T0 1800000000000
#define DIR "https://ca.example/directory"

static const struct err well = ERR_INIT;

static struct err unreachable(void)
{
    struct err e = {.cls = ERR_TRANSIENT};
    str_copy(e.type, sizeof(e.type), HTTP_UNREACHABLE);
    return e;
}

static void fail_times(struct healths *h, unsigned n, int64_t at)
{
    struct err e = unreachable();
    for (unsigned i = 0; i < n; i++)
        health_note(h, DIR, &e, at - 10, at);
}

static void left_alone_after_some_failures(void **state)
{
    struct healths *h = healths_new();
    (void)state;
    fail_times(h, HEALTH_FAILURES - 1, T0);
    assert_int_equal(health_away_until(h, DIR), 0);
    health_note(h, DIR, &well, T0, T0);
    fail_times(h, HEALTH_FAILURES - 1, T0);
    assert_int_equal(health_away_until(h, DIR), 0);
    fail_times(h, 1, T0);
    assert_int_equal(health_away_until(h, DIR), T0 + HEALTH_FIRST_MS);
    assert_int_equal(health_away_until(h, "https://other.example/"), 0);
    healths_free(h);
}

/* One finds out for all; the pauses grow up to a bound. */
static void one_attempt_finds_out(void **state)
{
    struct healths *h = healths_new();
    int64_t now = T0, pause = 0;
    (void)state;
    fail_times(h, HEALTH_FAILURES, now);
    for (int i = 0; i < 10; i++) {
        int64_t until = health_away_until(h, DIR);
        assert_true(until - now >= pause && until - now <= HEALTH_LONGEST_MS);
        pause = until - now;
        assert_false(health_probe(h, DIR, until - 1));
        assert_true(health_probe(h, DIR, until));
        assert_false(health_probe(h, DIR, until));
        assert_int_equal(health_away_until(h, DIR), until + HEALTH_PROBE_MS);
        now = until + 1011;
        fail_times(h, 1, now);
    }
    assert_int_equal(pause, HEALTH_LONGEST_MS);
    now = health_away_until(h, DIR);
    assert_true(health_probe(h, DIR, now));
    health_note(h, DIR, &well, now, now + 1);
    assert_int_equal(health_away_until(h, DIR), 0);
    healths_free(h);
}

/* A hundred that were under way when it went count once. */
static void those_under_way_say_nothing_new(void **state)
{
    struct healths *h = healths_new();
    struct err e = unreachable();
    (void)state;
    fail_times(h, HEALTH_FAILURES, T0);
    for (int i = 0; i < 100; i++)
        health_note(h, DIR, &e, T0 - 1000, T0 + i);
    assert_int_equal(health_away_until(h, DIR), T0 + HEALTH_FIRST_MS);
    healths_free(h);
}

/* Names that are not valid, limits, refusals: there is somebody who says so. */
static void an_answer_is_an_answer(void **state)
{
    static const struct err answers[] = {
        {.cls = ERR_TRANSIENT, .type = "dns"},
        {.cls = ERR_DENIED, .http = 403, .type = "unauthorized"},
        {.cls = ERR_RATE_LIMITED, .http = 429, .type = "rateLimited"},
        {.cls = ERR_PEER, .http = 200},
    };
    struct healths *h = healths_new();
    struct err e = {.cls = ERR_TRANSIENT, .http = 503};
    (void)state;
    for (int i = 0; i < 100; i++)
        health_note(h, DIR, &answers[i % 4], T0, T0);
    assert_int_equal(health_away_until(h, DIR), 0);
    for (unsigned i = 0; i < HEALTH_FAILURES; i++)
        health_note(h, DIR, &e, T0, T0);
    assert_int_not_equal(health_away_until(h, DIR), 0);
    health_note(h, DIR, &answers[2], T0, T0);
    assert_int_equal(health_away_until(h, DIR), 0);
    healths_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(left_alone_after_some_failures),
        cmocka_unit_test(one_attempt_finds_out),
        cmocka_unit_test(those_under_way_say_nothing_new),
        cmocka_unit_test(an_answer_is_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
