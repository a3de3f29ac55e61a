/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/str.h"

#include <errno.h>
#include <string.h>

static void set_keeps_the_activity_and_clears_the_rest(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    err_activity(&e, "polling %s", "x");
    e.http = 500;
    e.retry_at = 7;
    str_copy(e.type, sizeof(e.type), "malformed");
    assert_int_equal(err_set(&e, ERR_PEER, "no %d", 3), -1);
    assert_int_equal(e.cls, ERR_PEER);
    assert_int_equal(e.http, 0);
    assert_int_equal(e.retry_at, 0);
    assert_string_equal(e.type, "");
    assert_string_equal(e.activity, "polling x");
    assert_string_equal(e.detail, "no 3");
    err_activity(&e, "something else");
    assert_string_equal(e.activity, "polling x");
    char text[64];
    assert_string_equal(err_text(&e, text, sizeof(text)), "polling x: no 3");
    assert_string_equal(err_text(&e, text, 6), "polli");
    err_clear(&e);
    assert_string_equal(err_text(&e, text, sizeof(text)), "");
}

static void null_is_taken(void **state)
{
    (void)state;
    assert_int_equal(err_set(NULL, ERR_BUG, "x"), -1);
    assert_int_equal(err_sys(NULL, ENOENT, "x"), -1);
    assert_int_equal(err_prefix(NULL, "x"), -1);
    assert_int_equal(err_activity(NULL, "x"), -1);
    err_clear(NULL);
}

static void sys_tells_the_reason(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    err_sys(&e, ENOENT, "cannot read %s", "/x");
    assert_int_equal(e.cls, ERR_LOCAL);
    assert_int_equal(e.sys, ENOENT);
    assert_string_equal(e.detail, "cannot read /x: No such file or directory");
}

static void arguments_may_point_into_the_error(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    err_set(&e, ERR_PEER, "inner");
    err_set(&e, ERR_DENIED, "outer of %s", e.detail);
    assert_string_equal(e.detail, "outer of inner");
    err_prefix(&e, "<%s>", e.detail);
    assert_string_equal(e.detail, "<outer of inner>: outer of inner");
    assert_int_equal(e.cls, ERR_DENIED);
}

static void long_details_are_cut_between_characters(void **state)
{
    (void)state;
    char text[1200];
    for (size_t shift = 0; shift < 3; shift++) {
        struct err e = ERR_INIT;
        memset(text, 'a', shift);
        for (size_t i = shift; i + 3 < sizeof(text); i += 3)
            memcpy(text + i, "\xe2\x82\xac", 4); /* a euro sign */
        err_set(&e, ERR_PEER, "%s", text);
        size_t n = strlen(e.detail);
        assert_in_range(n, sizeof(e.detail) - 4, sizeof(e.detail) - 1);
        assert_true(str_is_utf8(e.detail, n));
        err_prefix(&e, "and before");
        assert_true(str_starts(e.detail, "and before: "));
        assert_true(str_is_utf8(e.detail, strlen(e.detail)));
    }
}

static void details_are_one_line(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    err_set(&e, ERR_PEER, "a\nb\tc\x7f");
    assert_string_equal(e.detail, "a b c ");
}

static void every_class_has_a_name(void **state)
{
    (void)state;
    for (int c = 0; c < ERR_CLASSES; c++) {
        assert_non_null(err_class_name((enum err_class)c));
        for (int d = 0; d < c; d++)
            assert_string_not_equal(err_class_name((enum err_class)c),
                                    err_class_name((enum err_class)d));
    }
    assert_string_equal(err_class_name(ERR_RATE_LIMITED), "rate-limited");
    assert_non_null(err_class_name(ERR_CLASSES));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_keeps_the_activity_and_clears_the_rest),
        cmocka_unit_test(null_is_taken),
        cmocka_unit_test(sys_tells_the_reason),
        cmocka_unit_test(arguments_may_point_into_the_error),
        cmocka_unit_test(long_details_are_cut_between_characters),
        cmocka_unit_test(details_are_one_line),
        cmocka_unit_test(every_class_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
