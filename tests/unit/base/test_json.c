/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/json_out.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

static struct json *parse(const char *text)
{
    struct err e = ERR_INIT;
    struct json *j = json_parse(text, strlen(text), &e);
    if (!j)
        assert_int_equal(e.cls, ERR_PEER);
    return j;
}

static void assert_refused(const char *text)
{
    struct json *j = parse(text);
    if (j)
        fail_msg("accepted: %s", text);
}

static void nested(struct buf *b, size_t depth, const char *open, const char *inner,
                   const char *close)
{
    for (size_t i = 0; i < depth; i++)
        buf_puts(b, open);
    buf_puts(b, inner);
    for (size_t i = 0; i < depth; i++)
        buf_puts(b, close);
}

static void reads_members(void **state)
{
    (void)state;
    CLEANUP_JSON struct json *j = parse(
        "\xef\xbb\xbf {\"t\":\"x\\/y\\u00e9\",\"i\":-7,\"b\":true,\"n\":null,\"a\":[1,\"2\",{}],"
        "\"T\":\"upper\"} \r\n");
    assert_true(json_is_object(j));
    assert_string_equal(json_text(j, "t"), "x/y\xc3\xa9");
    assert_string_equal(json_text(j, "T"), "upper");
    assert_int_equal(json_int(j, "i", 0), -7);
    assert_true(json_bool(j, "b", false));
    assert_non_null(json_get(j, "n"));
    assert_null(json_text(j, "n"));
    assert_int_equal(json_len(json_get(j, "a")), 3);
    assert_int_equal(json_len(j), 6);
    assert_string_equal(json_as_text(json_at(json_get(j, "a"), 1)), "2");
    assert_null(json_at(json_get(j, "a"), 3));
    assert_true(json_is_object(json_at(json_get(j, "a"), 2)));
}

static void absent_and_wrong_types_give_the_default(void **state)
{
    (void)state;
    CLEANUP_JSON struct json *j = parse("{\"t\":\"7\",\"i\":7,\"f\":1.5,\"a\":[]}");
    assert_null(json_text(NULL, "x"));
    assert_null(json_text(j, "i"));
    assert_null(json_text(json_get(j, "a"), "x"));
    assert_int_equal(json_int(j, "t", 3), 3);
    assert_int_equal(json_int(j, "f", 3), 3);
    assert_int_equal(json_int(j, "none", 3), 3);
    assert_true(json_bool(j, "i", true));
    assert_false(json_bool(j, "i", false));
    assert_int_equal(json_len(NULL), 0);
    assert_int_equal(json_len(json_get(j, "t")), 0);
    assert_null(json_first(json_get(j, "t")));
    assert_null(json_first(NULL));
    assert_null(json_after(NULL));
    assert_null(json_at(j, 0)); /* an object is no array */
    assert_null(json_key(NULL));
    assert_null(json_get(json_get(j, "a"), "x"));
}

static void integers_are_exact(void **state)
{
    (void)state;
    CLEANUP_JSON struct json *j = parse("[9007199254740992,-9007199254740992,9007199254740993000,"
                                        "1e3,1e400,0,-0]");
    assert_true(json_as_int(json_at(j, 0), 1) == INT64_C(9007199254740992));
    assert_true(json_as_int(json_at(j, 1), 1) == INT64_C(-9007199254740992));
    assert_int_equal(json_as_int(json_at(j, 2), 1), 1);
    assert_int_equal(json_as_int(json_at(j, 3), 1), 1000);
    assert_int_equal(json_as_int(json_at(j, 4), 1), 1);
    assert_int_equal(json_as_int(json_at(j, 5), 1), 0);
    assert_int_equal(json_as_int(json_at(j, 6), 1), 0);
}

static void garbage_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",     " ",   "{",       "}",         "[1",    "[1,]",        "{\"a\"}", "{\"a\":}", "{,}",
        "nul",  "tru", "\"a",     "\"a\\",     "'a'",   "{\"a\":1,}",  "[1 2]",   "{} {}",    "{}x",
        "[1]]", "1 2", "\"\\x\"", "\"\\u12\"", "{1:2}", "\"\\ud800\"", "[}",      "{]",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_refused(bad[i]);
}

static void depth_is_bounded(void **state)
{
    (void)state;
    static const char *const shapes[][3] = {
        {"[", "1", "]"}, {"{\"a\":", "1", "}"}, {"[{\"b\":", "[]", "}]"}};
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
        size_t per = i == 2 ? 2 : 1, most = i == 2 ? 15 : 32;
        CLEANUP_BUF struct buf b;
        buf_init(&b, 4096);
        nested(&b, most, shapes[i][0], shapes[i][1], shapes[i][2]);
        struct json *j = parse(buf_str(&b));
        assert_non_null(j);
        json_free(j);
        buf_reset(&b);
        nested(&b, most + per, shapes[i][0], shapes[i][1], shapes[i][2]);
        assert_refused(buf_str(&b));
    }
}

static void brackets_in_texts_do_not_count(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b;
    buf_init(&b, 4096);
    buf_puts(&b, "[\"\\\"");
    for (int i = 0; i < 100; i++)
        buf_puts(&b, "[{");
    buf_puts(&b, "\\\\\"]");
    struct json *j = parse(buf_str(&b));
    assert_non_null(j);
    assert_int_equal(strlen(json_as_text(json_at(j, 0))), 202);
    json_free(j);
    /* An escaped backslash before the closing quote must not hide what follows. */
    buf_reset(&b);
    buf_puts(&b, "[\"\\\\\",");
    nested(&b, 32, "[", "1", "]");
    buf_puts(&b, "]");
    assert_refused(buf_str(&b));
}

static void deep_unclosed_input_is_refused_before_parsing(void **state)
{
    (void)state;
    size_t n = 1000000;
    CLEANUP_FREE char *text = xcalloc(n + 1, 1);
    memset(text, '[', n);
    assert_refused(text);
}

static void nul_is_refused(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    static const char raw[] = "{\"a\":\"x\0y\"}";
    assert_null(json_parse(raw, sizeof(raw) - 1, &e));
    static const char after[] = "{}\0";
    assert_null(json_parse(after, sizeof(after) - 1, &e));
    assert_refused("{\"a\":\"x\\u0000y\"}");
    assert_refused("{\"a\\u0000\":1}");
    struct json *j = parse("[\"\\\\u0000\"]"); /* an escaped backslash, then text */
    assert_non_null(j);
    assert_string_equal(json_as_text(json_at(j, 0)), "\\u0000");
    json_free(j);
}

static void text_needs_no_terminator(void **state)
{
    (void)state;
    CLEANUP_FREE char *exact = xmemdup("[12]", 4);
    struct json *j = json_parse(exact, 4, NULL);
    assert_non_null(j);
    assert_int_equal(json_as_int(json_at(j, 0), 0), 12);
    json_free(j);
    assert_null(json_parse(exact, 3, NULL));
}

static void size_and_values_are_bounded(void **state)
{
    (void)state;
    size_t n = JSON_MAX;
    CLEANUP_FREE char *text = xcalloc(n + 2, 1);
    memset(text, ' ', n);
    text[0] = '1';
    struct json *j = json_parse(text, n, NULL);
    assert_non_null(j);
    json_free(j);
    text[n] = ' ';
    assert_null(json_parse(text, n + 1, NULL));
    text[0] = '[';
    for (size_t i = 0; i < JSON_MAX_VALUES; i++)
        memcpy(text + 1 + 2 * i, "1,", 2);
    memcpy(text + 1 + 2 * (size_t)JSON_MAX_VALUES, "1]", 2);
    assert_null(json_parse(text, 3 + 2 * (size_t)JSON_MAX_VALUES, NULL));
    j = json_parse_upto(text, 3 + 2 * (size_t)JSON_MAX_VALUES, 2 * (size_t)JSON_MAX, NULL);
    assert_int_equal(json_len(j), JSON_MAX_VALUES + 1);
    json_free(j);
    assert_null(json_parse_upto("[1,2,3]", 7, 6, NULL));
    assert_null(json_parse_upto("[1,2,3]", 7, 39, NULL));
    j = json_parse_upto("[1,2,3]", 7, 40, NULL);
    assert_int_equal(json_len(j), 3);
    json_free(j);
}

static void of_doubles_the_first_counts(void **state)
{
    (void)state;
    CLEANUP_JSON struct json *j = parse("{\"a\":1,\"A\":2,\"a\":3}");
    assert_int_equal(json_int(j, "a", 0), 1);
    assert_int_equal(json_len(j), 3);
}

static void iterates_members(void **state)
{
    (void)state;
    CLEANUP_JSON struct json *j = parse("{\"one\":1,\"two\":2,\"three\":3}");
    static const char *const keys[] = {"one", "two", "three"};
    int64_t n = 0;
    for (const struct json *it = json_first(j); it; it = json_after(it)) {
        assert_string_equal(json_key(it), keys[n]);
        n++;
        assert_int_equal(json_as_int(it, 0), n);
    }
    assert_int_equal(n, 3);
}

static void builds_and_prints(void **state)
{
    (void)state;
    CLEANUP_JSON struct json *j = json_object();
    json_add_text(j, "t", "q\"\\\n");
    json_add_text(j, "null", NULL);
    json_add_int(j, "i", INT64_C(9007199254740992));
    json_add_bool(j, "b", false);
    struct json *a = json_add_array(j, "a");
    json_add_int(a, NULL, -1);
    json_add(a, NULL, json_object());
    json_add_text(json_add_object(a, NULL), "k", "v");
    CLEANUP_FREE char *text = json_print(j, false);
    assert_string_equal(text, "{\"t\":\"q\\\"\\\\\\n\",\"null\":null,\"i\":9007199254740992,"
                              "\"b\":false,\"a\":[-1,{},{\"k\":\"v\"}]}");
    CLEANUP_FREE char *pretty = json_print(j, true);
    CLEANUP_JSON struct json *again = parse(pretty);
    CLEANUP_FREE char *same = json_print(again, false);
    assert_string_equal(same, text);
}

static void prints_as_cjson_does(void **state)
{
    static const char text[] =
        "{\"a\":\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001f/\xc3\xa9\x7f\",\"e\":{},"
        "\"f\":[],\"n\":[1,-2,1.5,1e300,true,false,null],\"\":[[{}]]}";
    static const char pretty[] =
        "{\n\t\"a\":\t\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001f/\xc3\xa9\x7f\",\n\t\"e\":\t{\n\t},\n"
        "\t\"f\":\t[],\n\t\"n\":\t[1, -2, 1.5, 1e+300, true, false, "
        "null],\n\t\"\":\t[[{\n\t\t\t}]]\n}";
    struct err e = ERR_INIT;
    (void)state;
    CLEANUP_JSON struct json *j = json_parse(text, strlen(text), &e);
    assert_non_null(j);
    CLEANUP_FREE char *plain = json_print(j, false), *tabs = json_print(j, true);
    CLEANUP_FREE char *want = xstrdup(text);
    memcpy(strstr(plain, "1e+300") + 2, "300,true,false,null],\"\":[[{}]]}",
           sizeof("300,true,false,null],\"\":[[{}]]}"));
    assert_string_equal(plain, want);
    assert_string_equal(tabs, pretty);
}

static void writes_without_a_tree(void **state)
{
    struct json_out o;
    (void)state;
    json_out_init(&o);
    json_out_open(&o, NULL, '{');
    json_out_text(&o, "brace", "{[");
    json_out_int(&o, "n", INT64_MIN);
    json_out_open(&o, "list", '[');
    json_out_text(&o, NULL, "a\"b");
    json_out_open(&o, NULL, '{');
    json_out_close(&o, '}');
    json_out_int(&o, NULL, 7);
    json_out_close(&o, ']');
    json_out_text(&o, "last", "\x01");
    json_out_close(&o, '}');
    CLEANUP_FREE char *text = json_out_end(&o);
    assert_string_equal(text, "{\"brace\":\"{[\",\"n\":-9223372036854775808,"
                              "\"list\":[\"a\\\"b\",{},7],\"last\":\"\\u0001\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_members),
        cmocka_unit_test(absent_and_wrong_types_give_the_default),
        cmocka_unit_test(integers_are_exact),
        cmocka_unit_test(garbage_is_refused),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(brackets_in_texts_do_not_count),
        cmocka_unit_test(deep_unclosed_input_is_refused_before_parsing),
        cmocka_unit_test(nul_is_refused),
        cmocka_unit_test(text_needs_no_terminator),
        cmocka_unit_test(size_and_values_are_bounded),
        cmocka_unit_test(of_doubles_the_first_counts),
        cmocka_unit_test(iterates_members),
        cmocka_unit_test(builds_and_prints),
        cmocka_unit_test(prints_as_cjson_does),
        cmocka_unit_test(writes_without_a_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
