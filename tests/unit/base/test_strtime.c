/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static void durations_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {{"0s", 0},         {"90s", 90000},     {"10m", 600000}, {"24h", 86400000},
                {"7d", 604800000}, {"2w", 1209600000}, {"007s", 7000}};
    static const char *const bad[] = {"",   "s",    "10",    "-1s", "1.5h", "1 d",
                                      "1D", "10ms", "1h30m", "+1s", "d1",   "99999999999999s",
                                      "1y", " 1s"};
    int64_t ms;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_true(str_to_duration(good[i].text, &ms));
        assert_true(ms == good[i].ms);
    }
    ms = 42;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (str_to_duration(bad[i], &ms))
            fail_msg("accepted: %s", bad[i]);
    }
    assert_int_equal(ms, 42);
    assert_true(str_to_duration("9999999999w", &ms));
    assert_true(ms > 0);
}

static void durations_are_shown(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {{0, "0 s"},
                 {1, "1 ms"},
                 {999, "999 ms"},
                 {1000, "1 s"},
                 {59999, "59 s"},
                 {60000, "1 m"},
                 {61000, "1 m 1 s"},
                 {3600000, "1 h"},
                 {3659000, "1 h"},
                 {86399999, "23 h 59 m"},
                 {273600000, "3 d 4 h"},
                 {INT64_C(86400000) * 90, "90 d"},
                 {-61000, "-1 m 1 s"}};
    char text[32];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(str_from_duration(cases[i].ms, text, sizeof(text)), cases[i].text);
    str_from_duration(INT64_MIN, text, sizeof(text));
    str_from_duration(INT64_MAX, text, sizeof(text));
    assert_string_equal(str_from_duration(61000, text, 4), "1 m");
}

static void times_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {{"1970-01-01T00:00:00Z", 0},
                {"2026-11-21T20:44:00Z", INT64_C(1795293840000)},
                {"2026-11-21t20:44:00z", INT64_C(1795293840000)},
                {"2026-11-21 20:44:00Z", INT64_C(1795293840000)},
                {"2026-11-21T20:44:00.5Z", INT64_C(1795293840500)},
                {"2026-11-21T20:44:00.123456789Z", INT64_C(1795293840123)},
                {"2026-11-21T21:44:00+01:00", INT64_C(1795293840000)},
                {"2026-11-21T15:14:00.25-05:30", INT64_C(1795293840250)},
                {"2026-11-22T00:44:00-00:00", INT64_C(1795308240000)},
                {"2024-02-29T23:59:60Z", INT64_C(1709251200000)},
                {"1969-12-31T23:59:59.999Z", -1},
                {"0001-01-01T00:00:00Z", INT64_C(-62135596800000)},
                {"9999-12-31T23:59:59Z", INT64_C(253402300799000)}};
    int64_t ms;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        if (!str_to_time(good[i].text, &ms) || ms != good[i].ms)
            fail_msg("%s", good[i].text);
    }
}

static void bad_times_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "2026-11-21",
        "2026-11-21T20:44:00",
        "2026-11-21T20:44Z",
        "2026-11-21T20:44:00.Z",
        "2026-11-21T20:44:00+0100",
        "2026-11-21T20:44:00+01:00Z",
        "2026-11-21T20:44:00Z ",
        "2026-11-21T24:00:00Z",
        "2026-11-21T20:60:00Z",
        "2026-11-21T20:44:61Z",
        "2026-11-21T20:44:00+24:00",
        "2026-11-31T20:44:00Z",
        "2026-02-29T20:44:00Z",
        "1900-02-29T20:44:00Z",
        "2026-13-01T20:44:00Z",
        "2026-00-01T20:44:00Z",
        "2026-01-00T20:44:00Z",
        "0000-01-01T00:00:00Z",
        "26-11-21T20:44:00Z",
        "+2026-11-21T20:44:00Z",
        "2026/11/21T20:44:00Z",
        "Sat, 21 Nov 2026 20:44:00 GMT",
    };
    int64_t ms = 42;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (str_to_time(bad[i], &ms))
            fail_msg("accepted: %s", bad[i]);
    }
    assert_int_equal(ms, 42);
    /* Every text that is cut short is refused too. */
    static const char whole[] = "2026-11-21T20:44:00.123+01:00";
    for (size_t n = 0; n < sizeof(whole) - 1; n++) {
        CLEANUP_FREE char *cut = xstrndup(whole, n);
        assert_false(str_to_time(cut, &ms));
    }
    assert_true(str_to_time(whole, &ms));
}

static void there_and_back_agrees_with_libc(void **state)
{
    (void)state;
    uint64_t seed = 12345;
    for (int i = 0; i < 20000; i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        int64_t s = (int64_t)(seed >> 8) % INT64_C(253402300799);
        if (i % 5 == 0)
            s = -(s % INT64_C(62135596800));
        char text[32], expect[64];
        struct tm tm;
        time_t t = (time_t)s;
        gmtime_r(&t, &tm);
        snprintf(expect, sizeof(expect), "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900,
                 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
        assert_string_equal(str_from_time(s * 1000 + i % 1000, text, sizeof(text)), expect);
        int64_t back;
        assert_true(str_to_time(text, &back));
        assert_true(back == s * 1000);
    }
}

static void times_outside_are_clamped(void **state)
{
    (void)state;
    char text[32];
    assert_string_equal(str_from_time(INT64_MAX, text, sizeof(text)), "9999-12-31T23:59:59Z");
    assert_string_equal(str_from_time(INT64_MIN, text, sizeof(text)), "0001-01-01T00:00:00Z");
    assert_string_equal(str_from_time(-1, text, sizeof(text)), "1969-12-31T23:59:59Z");
    assert_string_equal(str_from_time(INT64_C(253402300799999), text, sizeof(text)),
                        "9999-12-31T23:59:59Z");
    assert_string_equal(str_from_time(INT64_C(253402300800000), text, sizeof(text)),
                        "9999-12-31T23:59:59Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_read),
        cmocka_unit_test(durations_are_shown),
        cmocka_unit_test(times_are_read),
        cmocka_unit_test(bad_times_are_refused),
        cmocka_unit_test(there_and_back_agrees_with_libc),
        cmocka_unit_test(times_outside_are_clamped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
