/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/issue_value.h"
#include "base/mem.h"

#include <string.h>

static const enum issue_strictness both[] = {ISSUE_CAA, ISSUE_PERSIST};

static void assert_reads(const char *text, enum issue_strictness s, const char *issuer,
                         const char *tag, const char *value, size_t n)
{
    struct issue_value v;
    struct err e = ERR_INIT;
    if (issue_value_parse(&v, text, strlen(text), s, &e))
        fail_msg("\"%s\" (%d): %s", text, s, e.detail);
    assert_string_equal(v.issuer, issuer);
    assert_int_equal(v.n, n);
    if (tag) {
        assert_non_null(issue_value_get(&v, tag));
        assert_string_equal(issue_value_get(&v, tag), value);
    }
    assert_null(issue_value_get(&v, "nothing"));
    issue_value_done(&v);
    assert_int_equal(v.n, 0);
    assert_string_equal(v.issuer, "");
}

static void assert_refused(const char *text, size_t n, enum issue_strictness s)
{
    struct issue_value v;
    struct err e = ERR_INIT;
    if (issue_value_parse(&v, text, n, s, &e) == 0)
        fail_msg("\"%s\" (%d) was read", text, s);
    assert_int_equal(e.cls, ERR_PEER);
    assert_non_null(strstr(e.detail, "malformed"));
    issue_value_done(&v);
}

/* RFC 8659 section 4.2, RFC 8657 section 5, the draft's own example. */
static void good_values(void **state)
{
    (void)state;
    static const struct {
        const char *text, *issuer, *tag, *value;
        size_t n;
    } v[] = {
        {"ca1.example.net", "ca1.example.net", NULL, NULL, 0},
        {"ca1.example.net; account=230123", "ca1.example.net", "account", "230123", 1},
        {"CA.Example ; Policy = EV", "ca.example", "policy", "EV", 1},
        {"\t ca.example\t;\ta=b \t", "ca.example", "a", "b", 1},
        {"example.net; accounturi=https://example.net/acct/1234; validationmethods=dns-01",
         "example.net", "accounturi", "https://example.net/acct/1234", 2},
        {"authority.example;accounturi=https://ca.example/acct/123;policy=wildcard;"
         "persistUntil=1721952000",
         "authority.example", "persistuntil", "1721952000", 3},
        {"a; x-1=a=b,c:d\"'\\", "a", "x-1", "a=b,c:d\"'\\", 1},
        {"1.2-3.x; a=", "1.2-3.x", "a", "", 1},
    };
    for (size_t s = 0; s < ARRAY_LEN(both); s++) {
        for (size_t i = 0; i < ARRAY_LEN(v); i++)
            assert_reads(v[i].text, both[s], v[i].issuer, v[i].tag, v[i].value, v[i].n);
    }
}

static void what_only_caa_may_have(void **state)
{
    (void)state;
    static const struct {
        const char *text, *issuer;
        size_t n;
    } v[] = {
        {"", "", 0},
        {"  ", "", 0},
        {";", "", 0},
        {" ; ", "", 0},
        {"ca.example;", "ca.example", 0},
        {"ca.example; a=b;", "ca.example", 1},
        {"ca.example; a=b ; ", "ca.example", 1},
        {"; a=b", "", 1},
        {"%%%%%", NULL, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(v); i++) {
        if (v[i].issuer)
            assert_reads(v[i].text, ISSUE_CAA, v[i].issuer, NULL, NULL, v[i].n);
        else
            assert_refused(v[i].text, strlen(v[i].text), ISSUE_CAA);
        assert_refused(v[i].text, strlen(v[i].text), ISSUE_PERSIST);
    }
}

static void bad_values(void **state)
{
    (void)state;
    static const char *const v[] = {
        "ca example",       "ca..example",        ".ca",           "ca.",
        "-ca.example",      "ca-.example",        "ca_1.example",  "ca.example a=b",
        "ca.example; ;a=b", "ca.example;;a=b",    "ca.example; a", "ca.example; a b=c",
        "ca.example; =b",   "ca.example; -a=b",   "ca; a=b c",     "ca; a=b c=d",
        "ca; a=1; A=1",     "ca; a=1; b=2; a=3",  "ca; a=\x7f",    "ca; a=\xc3\xa9",
        "c\xc3\xa9.org",    "ca; a=\n",           "ca; a_b=c",     "ca, a=b",
        "*.ca.example",     "\"ca.example; a=b\""};
    for (size_t s = 0; s < ARRAY_LEN(both); s++) {
        for (size_t i = 0; i < ARRAY_LEN(v); i++)
            assert_refused(v[i], strlen(v[i]), both[s]);
        assert_refused("ca\0x", 4, both[s]);
        assert_refused("ca; a=b\0", 8, both[s]);
    }
}

static void sizes_are_bounded(void **state)
{
    (void)state;
    static char text[ISSUE_VALUE_MAX + 2] = "ca; a=";
    struct issue_value v;
    memset(text + 6, 'x', sizeof(text) - 7);
    assert_refused(text, ISSUE_VALUE_MAX + 1, ISSUE_CAA);
    assert_int_equal(issue_value_parse(&v, text, ISSUE_VALUE_MAX, ISSUE_CAA, NULL), 0);
    assert_int_equal(strlen(issue_value_get(&v, "a")), ISSUE_VALUE_MAX - 6);
    issue_value_done(&v);
    memset(text, 'a', 64);
    assert_refused(text, 64, ISSUE_CAA); /* a label is 63 at most */
    CLEANUP_BUF struct buf many;
    buf_init(&many, ISSUE_VALUE_MAX);
    buf_puts(&many, "ca");
    for (int i = 0; i < ISSUE_PARAMETERS_MAX; i++)
        buf_putf(&many, ";t%d=%d", i, i);
    assert_reads(buf_str(&many), ISSUE_PERSIST, "ca", "t31", "31", ISSUE_PARAMETERS_MAX);
    buf_puts(&many, ";more=1");
    assert_refused(many.data, many.len, ISSUE_PERSIST);
}

/* Every octet at every place: no reading past the end, no crash; sanitizers watch. */
static void any_octet_anywhere(void **state)
{
    (void)state;
    static const char good[] = "ca.example ; a = b; c=d";
    for (size_t i = 0; i < sizeof(good) - 1; i++) {
        for (int octet = 0; octet < 256; octet++) {
            char text[sizeof(good)];
            struct issue_value v;
            memcpy(text, good, sizeof(good));
            text[i] = (char)octet;
            for (size_t n = i; n < sizeof(good); n++) {
                char *exact = xmemdup(text, n + !n);
                issue_value_parse(&v, exact, n, ISSUE_PERSIST, NULL);
                issue_value_done(&v);
                cleanup_free(&exact);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_values),        cmocka_unit_test(what_only_caa_may_have),
        cmocka_unit_test(bad_values),         cmocka_unit_test(sizes_are_bounded),
        cmocka_unit_test(any_octet_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
