/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "digest/base64.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int decode_fn(struct buf *out, const char *text, size_t n);

static void assert_decodes(decode_fn *f, const char *text, const char *expect, size_t n)
{
    CLEANUP_BUF struct buf b;
    buf_init(&b, 1000);
    if (f(&b, text, strlen(text)))
        fail_msg("refused: %s", text);
    assert_int_equal(b.len, n);
    assert_memory_equal(buf_str(&b), expect, n);
}

static void assert_refuses(decode_fn *f, const char *text)
{
    CLEANUP_BUF struct buf b;
    buf_init(&b, 1000);
    buf_puts(&b, "x");
    if (f(&b, text, strlen(text)) != -1)
        fail_msg("accepted: %s", text);
    assert_int_equal(b.len, 1);
}

static void vectors_of_rfc_4648(void **state)
{
    (void)state;
    static const struct {
        const char *plain, *url, *std;
    } v[] = {{"", "", ""},
             {"f", "Zg", "Zg=="},
             {"fo", "Zm8", "Zm8="},
             {"foo", "Zm9v", "Zm9v"},
             {"foob", "Zm9vYg", "Zm9vYg=="},
             {"fooba", "Zm9vYmE", "Zm9vYmE="},
             {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
             {"\xfb\xff\xfe", "-__-", "+//+"}};
    for (size_t i = 0; i < ARRAY_LEN(v); i++) {
        size_t n = strlen(v[i].plain);
        CLEANUP_FREE char *url = base64url(v[i].plain, n);
        assert_string_equal(url, v[i].url);
        CLEANUP_BUF struct buf b;
        buf_init(&b, 100);
        assert_int_equal(base64_put(&b, v[i].plain, n, 0), 0);
        assert_string_equal(buf_str(&b), v[i].std);
        assert_decodes(base64url_decode, v[i].url, v[i].plain, n);
        assert_decodes(base64_decode, v[i].std, v[i].plain, n);
        assert_decodes(base64_decode_lenient, v[i].url, v[i].plain, n);
        assert_decodes(base64_decode_lenient, v[i].std, v[i].plain, n);
    }
}

static void strict_url_refuses(void **state)
{
    (void)state;
    static const char *const bad[] = {"Zg==", "Zm9v\n",   " Zm9v",     "Zm+v", "Zm/v",
                                      "Z",    "Zm9vY",    "Zh",        "Zm9",  "Zm9vYh",
                                      "Zm.9", "\"Zm9v\"", "Zm\xc3\xa9"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_refuses(base64url_decode, bad[i]);
}

static void standard_refuses(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "Zg", "Zg=", "Zg===", "Zm9v=", "Z=g=", "Zm-v", "=", "Zg==Zg==", "Zh=="};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_refuses(base64_decode, bad[i]);
    assert_decodes(base64_decode, " Z m\r\n9\tv ", "foo", 3);
}

static void lenient_takes_what_people_paste(void **state)
{
    (void)state;
    static const char *const good[] = {"-_-_-w==",     "-_-_-w",   "+/+/+w==",    " \n+/+/+w== \n",
                                       "\"+/+/+w==\"", "'-_-_-w'", " '-_-_-w'\n", "+/+\r\n/+w"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_decodes(base64_decode_lenient, good[i], "\xfb\xff\xbf\xfb", 4);
    static const char *const bad[] = {"Z", "Zm9v\"", "Z*9v", "\"Zm9v'", "Zm9vZ===", "Zg=Zg", "a=b"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_refuses(base64_decode_lenient, bad[i]);
}

static void lines_have_their_columns(void **state)
{
    (void)state;
    char bytes[100];
    memset(bytes, 0, sizeof(bytes));
    CLEANUP_BUF struct buf b;
    buf_init(&b, 1000);
    base64_put(&b, bytes, 48, 64);
    assert_int_equal(b.len, 65);
    buf_reset(&b);
    base64_put(&b, bytes, 49, 64);
    assert_int_equal(b.len, 65 + 5);
    assert_int_equal(b.data[64], '\n');
    assert_int_equal(b.data[69], '\n');
    buf_reset(&b);
    base64_put(&b, bytes, 0, 64);
    assert_int_equal(b.len, 0);
}

static void every_length_comes_back(void **state)
{
    (void)state;
    static uint8_t bytes[3000];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7 + i / 256);
    for (size_t n = 0; n < sizeof(bytes); n = n < 50 ? n + 1 : n + 97) {
        CLEANUP_FREE char *text = base64url(bytes, n);
        CLEANUP_BUF struct buf b;
        buf_init_secret(&b, n);
        assert_int_equal(strlen(text), (n * 4 + 2) / 3);
        assert_int_equal(base64url_decode(&b, text, strlen(text)), 0);
        assert_int_equal(b.len, n);
        assert_memory_equal(buf_str(&b), bytes, n);
    }
}

static void the_buffer_bounds_decoding(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b;
    buf_init(&b, 2);
    assert_int_equal(base64url_decode(&b, "Zm9v", 4), -1);
    assert_true(buf_failed(&b));
}

/* RFC 4648 section 10, in lower case and without padding. */
static void base32_of_rfc_4648(void **state)
{
    (void)state;
    static const char *const v[] = {"", "my", "mzxq", "mzxw6", "mzxw6yq", "mzxw6ytb", "mzxw6ytboi"};
    for (size_t n = 0; n < ARRAY_LEN(v); n++) {
        CLEANUP_BUF struct buf b;
        buf_init(&b, 20);
        assert_int_equal(base32_put(&b, "foobar", n), 0);
        assert_string_equal(buf_str(&b), v[n]);
    }
    CLEANUP_BUF struct buf b;
    buf_init(&b, 9);
    assert_int_equal(base32_put(&b, "\xff\x00\xff\x00\xff", 5), 0);
    assert_string_equal(buf_str(&b), "74ap6ah7");
    assert_int_equal(base32_put(&b, "x", 1), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_of_rfc_4648),
        cmocka_unit_test(base32_of_rfc_4648),
        cmocka_unit_test(strict_url_refuses),
        cmocka_unit_test(standard_refuses),
        cmocka_unit_test(lenient_takes_what_people_paste),
        cmocka_unit_test(lines_have_their_columns),
        cmocka_unit_test(every_length_comes_back),
        cmocka_unit_test(the_buffer_bounds_decoding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
