/* SPDX-License-Identifier: ISC */
#include "base/mem.h"
#include "respond/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define P "/.well-known/acme-challenge/"
#define LONG64 "0123456789012345678901234567890123456789012345678901234567890123"
#define LONG256 LONG64 LONG64 LONG64 LONG64

static const struct {
    const char *text;
    int status;
    const char *token;
} cases[] = {
    {"GET " P "abc HTTP/1.1\r\nHost: x\r\n\r\n", 200, "abc"},
    {"HEAD " P "abc HTTP/1.0\r\n\r\n", 200, "abc"},
    {"GET " P "a-_9 HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n", 200, "a-_9"},
    /* The token is whatever stands there, for the table to know or not. */
    {"GET " P "../abc HTTP/1.1\r\n\r\n", 200, "../abc"},
    {"GET " P "%61bc HTTP/1.1\r\n\r\n", 200, "%61bc"},
    {"GET " P "abc?x=1 HTTP/1.1\r\n\r\n", 200, "abc?x=1"},
    {"GET " P "abc/ HTTP/1.1\r\n\r\n", 200, "abc/"},
    {"GET " P "abc  HTTP/1.1\r\n\r\n", 200, "abc "},
    {"GET " P " HTTP/1.1\r\n\r\n", 404, ""},
    {"GET " P LONG256 " HTTP/1.1\r\n\r\n", 404, ""},
    {"GET / HTTP/1.1\r\n\r\n", 404, ""},
    {"GET  " P "abc HTTP/1.1\r\n\r\n", 404, ""},
    {"GET //.well-known/acme-challenge/abc HTTP/1.1\r\n\r\n", 404, ""},
    {"GET /.well-known//acme-challenge/abc HTTP/1.1\r\n\r\n", 404, ""},
    {"GET /.well-known/./acme-challenge/abc HTTP/1.1\r\n\r\n", 404, ""},
    {"GET /.WELL-KNOWN/acme-challenge/abc HTTP/1.1\r\n\r\n", 404, ""},
    {"GET http://x" P "abc HTTP/1.1\r\n\r\n", 404, ""},
    {"POST " P "abc HTTP/1.1\r\n\r\n", 405, ""},
    {"OPTIONS * HTTP/1.1\r\n\r\n", 405, ""},
    {"get " P "abc HTTP/1.1\r\n\r\n", 405, ""},
    {"GET\t" P "abc HTTP/1.1\r\n\r\n", 405, ""},
    {"GET " P "abc HTTP/2.0\r\n\r\n", 400, ""},
    {"GET " P "abc\r\n\r\n", 400, ""},
    {"GET " P "abc HTTP/1.1\nHost: x\r\n\r\n", 400, ""},
    {"GET HTTP/1.1\r\n\r\n", 400, ""},
    {"GET  HTTP/1.1\r\n\r\n", 404, ""},
    {" HTTP/1.1\r\n\r\n", 400, ""},
    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, ""},
    {"\r\n\r\n", 400, ""},
    {"\x16\x03\x01\r\n\r\n", 400, ""},
};

static void test_each_is_judged(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct request r;
        assert_true(request_read(cases[i].text, strlen(cases[i].text), 0, &r));
        if (r.status != cases[i].status)
            fail_msg("case %zu: %d, not %d", i, r.status, cases[i].status);
        assert_string_equal(r.token, cases[i].token);
    }
}

/* Byte by byte it is the same, and never complete before its end. */
static void test_pieces(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *end = strstr(cases[i].text, "\r\n\r\n") + 4;
        size_t n = (size_t)(end - cases[i].text);
        struct request r;
        /* a copy of exactly that size, for the sanitizer to see what is read behind it */
        for (size_t have = 1; have < n; have++) {
            char *part = xmemdup(cases[i].text, have);
            assert_false(request_read(part, have, have - 1, &r));
            free(part);
        }
        assert_true(request_read(cases[i].text, n, n - 1, &r));
        assert_int_equal(r.status, cases[i].status);
        assert_string_equal(r.token, cases[i].token);
    }
}

static void test_nul_is_refused_at_once(void **state)
{
    static const char text[] = "GET " P "abc\0d HTTP/1.1\r\n";
    struct request r;
    (void)state;
    assert_true(request_read(text, sizeof(text) - 1, 0, &r));
    assert_int_equal(r.status, 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_is_judged),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_nul_is_refused_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
