/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static void fills_to_the_maximum_and_not_a_byte_more(void **state)
{
    (void)state;
    for (size_t max = 0; max < 300; max++) {
        struct buf b;
        buf_init(&b, max);
        for (size_t i = 0; i < max; i++)
            assert_int_equal(buf_putc(&b, 'a'), 0);
        assert_int_equal(b.len, max);
        assert_int_equal(strlen(buf_str(&b)), max);
        assert_int_equal(buf_put(&b, "", 0), 0);
        assert_false(buf_failed(&b));
        assert_int_equal(buf_putc(&b, 'a'), -1);
        assert_true(buf_failed(&b));
        assert_int_equal(b.len, 0);
        assert_string_equal(buf_str(&b), "");
        assert_int_equal(buf_put(&b, "", 0), -1);
        buf_reset(&b);
        assert_int_equal(buf_put(&b, "", 0), 0);
        buf_free(&b);
    }
}

static void huge_counts_fail_at_once(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 100);
    assert_int_equal(buf_put(&b, "abc", 3), 0);
    assert_int_equal(buf_put(&b, "abc", SIZE_MAX), -1);
    assert_true(buf_failed(&b));
    buf_free(&b);
}

static void formats_across_growth(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    size_t len = 0;
    char expect[1001] = "";
    for (int i = 0; len < 900; i++) {
        char piece[40];
        len += (size_t)snprintf(piece, sizeof(piece), "%d:%*s;", i, i % 30, "x");
        strncat(expect, piece, sizeof(expect) - strlen(expect) - 1);
        assert_int_equal(buf_putf(&b, "%d:%*s;", i, i % 30, "x"), 0);
        assert_int_equal(b.len, len);
        assert_string_equal(buf_str(&b), expect);
    }
    assert_int_equal(buf_putf(&b, "%200s", "x"), -1);
    assert_true(buf_failed(&b));
    buf_free(&b);
}

static void formatting_fills_the_maximum_exactly(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 10);
    assert_int_equal(buf_putf(&b, "%s", "0123456789"), 0);
    assert_int_equal(b.len, 10);
    assert_int_equal(buf_putf(&b, "%s", ""), 0);
    assert_int_equal(buf_putf(&b, "%d", 1), -1);
    buf_free(&b);
}

static void consumes_from_the_front(void **state)
{
    (void)state;
    struct buf b;
    buf_init_secret(&b, 100);
    buf_consume(&b, 5);
    buf_puts(&b, "hello world");
    buf_consume(&b, 6);
    assert_string_equal(buf_str(&b), "world");
    for (size_t i = b.len; i < 11; i++)
        assert_int_equal(b.data[i], 0);
    buf_consume(&b, 1000);
    assert_int_equal(b.len, 0);
    assert_string_equal(buf_str(&b), "");
    buf_free(&b);
}

static void steal_gives_the_memory_away(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 100);
    CLEANUP_FREE char *none = buf_steal(&b);
    assert_string_equal(none, "");
    buf_puts(&b, "abc");
    CLEANUP_FREE char *abc = buf_steal(&b);
    assert_string_equal(abc, "abc");
    assert_int_equal(b.len, 0);
    assert_null(b.data);
    buf_puts(&b, "def");
    assert_string_equal(buf_str(&b), "def");
    buf_free(&b);
}

static void secret_is_wiped_on_reset(void **state)
{
    (void)state;
    struct buf b;
    buf_init_secret(&b, 1000);
    for (int i = 0; i < 50; i++)
        assert_int_equal(buf_puts(&b, "secret!"), 0);
    assert_int_equal(b.len, 350);
    buf_reset(&b);
    for (size_t i = 0; i < b.cap; i++)
        assert_int_equal(b.data[i], 0);
    buf_free(&b);
}

static void freeing_twice_and_of_zeroes_is_fine(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_free(&b);
    buf_init(&b, 10);
    buf_puts(&b, "x");
    buf_free(&b);
    buf_free(&b);
    buf_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_to_the_maximum_and_not_a_byte_more),
        cmocka_unit_test(huge_counts_fail_at_once),
        cmocka_unit_test(formats_across_growth),
        cmocka_unit_test(formatting_fills_the_maximum_exactly),
        cmocka_unit_test(consumes_from_the_front),
        cmocka_unit_test(steal_gives_the_memory_away),
        cmocka_unit_test(secret_is_wiped_on_reset),
        cmocka_unit_test(freeing_twice_and_of_zeroes_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
