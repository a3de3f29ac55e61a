/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

static void assert_escaped(const char *text, size_t n, size_t max, const char *expect)
{
    CLEANUP_BUF struct buf b;
    buf_init(&b, 4096);
    assert_int_equal(str_escape(&b, text, n, max), 0);
    assert_string_equal(buf_str(&b), expect);
    assert_true(b.len <= max);
}

static void comparisons(void **state)
{
    (void)state;
    assert_true(str_eq(NULL, NULL));
    assert_false(str_eq(NULL, ""));
    assert_false(str_eq("", NULL));
    assert_true(str_eq("a", "a"));
    assert_true(str_case_eq("ReTry", "reTRY"));
    assert_false(str_case_eq("a", "ab"));
    assert_false(str_case_eq("ab", "a"));
    assert_false(str_case_eq(NULL, "a"));
    assert_false(str_case_eq("[", "{")); /* differ by the bit of case, but are no letters */
    assert_true(str_starts("abc", "ab"));
    assert_true(str_starts("abc", ""));
    assert_false(str_starts("a", "ab"));
    assert_true(str_ends("abc", "bc"));
    assert_false(str_ends("c", "bc"));
}

static void copies_are_terminated(void **state)
{
    (void)state;
    char dst[4] = "zzz";
    assert_true(str_copy(dst, sizeof(dst), "abc"));
    assert_string_equal(dst, "abc");
    assert_false(str_copy(dst, sizeof(dst), "abcd"));
    assert_string_equal(dst, "abc");
    assert_false(str_copy(dst, 1, "x"));
    assert_string_equal(dst, "");
    assert_false(str_copy(dst, 0, ""));
    char text[] = "ABC-\xc3\x84z";
    str_lower(text);
    assert_string_equal(text, "abc-\xc3\x84z");
}

static void numbers(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "-",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "0x1",
                                      "1.0",
                                      "--1",
                                      "1e3",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "99999999999999999999999"};
    int64_t v = 42;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(str_to_i64(bad[i], INT64_MIN, INT64_MAX, &v));
    assert_int_equal(v, 42);
    assert_true(str_to_i64("9223372036854775807", INT64_MIN, INT64_MAX, &v));
    assert_true(v == INT64_MAX);
    assert_true(str_to_i64("-9223372036854775808", INT64_MIN, INT64_MAX, &v));
    assert_true(v == INT64_MIN);
    assert_true(str_to_i64("007", 7, 7, &v));
    assert_int_equal(v, 7);
    assert_false(str_to_i64("6", 7, 8, &v));
    assert_false(str_to_i64("9", 7, 8, &v));
    assert_true(str_to_i64("-0", 0, 0, &v));
}

static void utf8_is_strict(void **state)
{
    (void)state;
    static const char *const good[] = {"",
                                       "a",
                                       "\xc3\xa9",
                                       "\xe2\x82\xac",
                                       "\xf0\x9f\x92\xa9",
                                       "\xf4\x8f\xbf\xbf",
                                       "\xed\x9f\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xc3",
                                      "\xc0\xaf",
                                      "\xc1\xbf",
                                      "\xe2\x82",
                                      "\xe0\x80\xaf",
                                      "\xed\xa0\x80",
                                      "\xf4\x90\x80\x80",
                                      "\xf8\x88\x80\x80\x80",
                                      "\xff",
                                      "\xc3\x28",
                                      "a\xf0\x9f\x92"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(str_is_utf8(good[i], strlen(good[i])));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(str_is_utf8(bad[i], strlen(bad[i])));
    assert_false(str_is_utf8("a\0b", 3));
}

static void escapes(void **state)
{
    (void)state;
    assert_escaped("plain text, it's", 16, 100, "plain text, it's");
    assert_escaped("a\0b", 3, 100, "a\\x00b");
    assert_escaped("\"q\"\\", 4, 100, "\\x22q\\x22\\x5c");
    assert_escaped("\r\n\x1b[2J\x7f", 7, 100, "\\x0d\\x0a\\x1b[2J\\x7f");
    assert_escaped("\xc3\xa9\xe2\x82\xac", 5, 100, "\xc3\xa9\xe2\x82\xac");
    assert_escaped("\xc2\x9b!", 3, 100, "\\xc2\\x9b!");        /* C1: a terminal's CSI */
    assert_escaped("\xe2\x80\xae", 3, 100, "\\xe2\\x80\\xae"); /* turns the direction */
    assert_escaped("\xff\xc3", 2, 100, "\\xff\\xc3");
    assert_escaped("", 0, 100, "");
}

static void cuts(void **state)
{
    (void)state;
    assert_escaped("0123456789", 10, 10, "0123456789");
    assert_escaped("0123456789x", 11, 10, "0123456...");
    assert_escaped("\n\n\n\n", 4, 10, "\\x0a...");
    assert_escaped("\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac", 9, 8, "\xe2\x82\xac...");
    assert_escaped("abcd", 4, 3, "...");
    assert_escaped("abcd", 4, 0, "");
    struct buf b;
    buf_init(&b, 3);
    assert_int_equal(str_escape(&b, "abcd", 4, 100), -1);
    buf_free(&b);
}

static void long_text_is_cut_before_it_costs(void **state)
{
    (void)state;
    size_t n = 1000000;
    CLEANUP_FREE char *text = xcalloc(n, 1);
    CLEANUP_BUF struct buf b;
    buf_init(&b, 200);
    assert_int_equal(str_escape(&b, text, n, 200), 0);
    assert_true(b.len <= 200 && b.len > 190);
    assert_true(str_ends(buf_str(&b), "..."));
}

static void did_you_mean(void **state)
{
    (void)state;
    static const char *const words[] = {"certificates", "defaults", "cas",        "dns",
                                        "providers",    "deploy",   "ecdsa-p256", "deployments"};
    size_t n = ARRAY_LEN(words);
    assert_string_equal(str_nearest("certificate", words, n), "certificates");
    assert_string_equal(str_nearest("Certificates", words, n), "certificates");
    assert_string_equal(str_nearest("ecsda-p256", words, n), "ecdsa-p256");
    assert_string_equal(str_nearest("depoly", words, n), "deploy");
    assert_string_equal(str_nearest("providers", words, n), "providers");
    assert_string_equal(str_nearest("dsn", words, n), "dns"); /* one swap of three letters */
    assert_null(str_nearest("xyz", words, n));
    assert_null(str_nearest("ds", words, n)); /* half the word is wrong */
    assert_null(str_nearest("", words, n));
    assert_null(str_nearest("certfcts", words, n));
    assert_null(str_nearest("deploy", words, 0));
    char word[200];
    memset(word, 'x', sizeof(word) - 1);
    word[sizeof(word) - 1] = '\0';
    const char *const huge[] = {word};
    assert_null(str_nearest(word, words, n));
    assert_null(str_nearest("x", huge, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comparisons),
        cmocka_unit_test(copies_are_terminated),
        cmocka_unit_test(numbers),
        cmocka_unit_test(utf8_is_strict),
        cmocka_unit_test(escapes),
        cmocka_unit_test(cuts),
        cmocka_unit_test(long_text_is_cut_before_it_costs),
        cmocka_unit_test(did_you_mean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
