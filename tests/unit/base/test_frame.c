/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/frame.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

static void put_sample(struct buf *b)
{
    struct err e = ERR_INIT;
    err_activity(&e, "doing");
    err_set(&e, ERR_RATE_LIMITED, "wait");
    e.http = 429;
    e.retry_at = INT64_C(1795293840000);
    str_copy(e.type, sizeof(e.type), "rateLimited");
    frame_put_u32(b, 0xdeadbeef);
    frame_put_u64(b, UINT64_C(0x0123456789abcdef));
    frame_put_i64(b, -5);
    frame_put_bool(b, true);
    frame_put_bytes(b, "\0\1\2", 3);
    frame_put_text(b, "hello");
    frame_put_text(b, NULL);
    frame_put_err(b, &e);
}

/* Reads what put_sample wrote; whether all of it was right. */
static bool get_sample(const void *p, size_t n)
{
    struct frame_reader r;
    struct err e;
    size_t len;
    char text[6];
    frame_reader_init(&r, p, n);
    uint32_t a = frame_get_u32(&r);
    uint64_t b = frame_get_u64(&r);
    int64_t c = frame_get_i64(&r);
    bool d = frame_get_bool(&r);
    const char *bytes = frame_get_bytes(&r, 3, &len);
    bool bytes_good = len == 3 && memcmp(bytes, "\0\1\2", 3) == 0;
    frame_get_text_into(&r, text, sizeof(text));
    CLEANUP_FREE char *empty = frame_get_text(&r, 0);
    frame_get_err(&r, &e);
    if (!frame_reader_done(&r))
        return false;
    return a == 0xdeadbeef && b == UINT64_C(0x0123456789abcdef) && c == -5 && d && bytes_good &&
           str_eq(text, "hello") && str_eq(empty, "") && e.cls == ERR_RATE_LIMITED &&
           e.http == 429 && e.sys == 0 && e.retry_at == INT64_C(1795293840000) &&
           str_eq(e.type, "rateLimited") && str_eq(e.activity, "doing") && str_eq(e.detail, "wait");
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b;
    struct frame_head h;
    buf_init(&b, 4096);
    buf_puts(&b, "before");
    size_t mark = frame_begin(&b, 0x1234, 77);
    put_sample(&b);
    assert_int_equal(frame_end(&b, mark), 0);
    assert_int_equal(mark, 6);
    for (size_t n = 0; n < FRAME_HEADER; n++)
        assert_int_equal(frame_head_read(b.data + mark, n, FRAME_MAX, &h), 0);
    assert_int_equal(frame_head_read(b.data + mark, b.len - mark, FRAME_MAX, &h), 1);
    assert_int_equal(h.type, 0x1234);
    assert_int_equal(h.id, 77);
    assert_int_equal(h.len, b.len - mark - FRAME_HEADER);
    assert_true(get_sample(b.data + mark + FRAME_HEADER, h.len));
}

static void layout_is_little_endian(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b;
    buf_init(&b, 100);
    size_t mark = frame_begin(&b, 0x0102, 0x03040506);
    frame_put_u32(&b, 0x0708090a);
    assert_int_equal(frame_end(&b, mark), 0);
    static const uint8_t expect[] = {4, 0, 0, 0, 2, 1, 0, 0, 6, 5, 4, 3, 0x0a, 9, 8, 7};
    assert_int_equal(b.len, sizeof(expect));
    assert_memory_equal(b.data, expect, sizeof(expect));
}

static void truncated_anywhere_is_bad(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b;
    buf_init(&b, 4096);
    put_sample(&b);
    for (size_t n = 0; n < b.len; n++) {
        CLEANUP_FREE char *exact =
            xmemdup(b.data, n); /* so that a sanitizer sees one byte too far */
        assert_false(get_sample(exact, n));
    }
    assert_true(get_sample(b.data, b.len));
    buf_putc(&b, 0);
    assert_false(get_sample(b.data, b.len));
}

static void any_changed_byte_is_survived(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b;
    buf_init(&b, 4096);
    put_sample(&b);
    for (size_t i = 0; i < b.len; i++) {
        for (int bit = 0; bit < 8; bit++) {
            b.data[i] = (char)(b.data[i] ^ (1 << bit));
            assert_false(get_sample(b.data, b.len));
            b.data[i] = (char)(b.data[i] ^ (1 << bit));
        }
    }
}

static void heads_are_judged(void **state)
{
    (void)state;
    uint8_t head[FRAME_HEADER] = {0x10, 0, 0, 0};
    struct frame_head h;
    assert_int_equal(frame_head_read(head, sizeof(head), 16, &h), 1);
    assert_int_equal(frame_head_read(head, sizeof(head), 15, &h), -1);
    head[6] = 1;
    assert_int_equal(frame_head_read(head, sizeof(head), 16, &h), -1);
    uint8_t large[FRAME_HEADER] = {1, 0, 0x40, 0};
    assert_int_equal(frame_head_read(large, sizeof(large), UINT32_MAX, &h), -1);
    large[0] = 0;
    assert_int_equal(frame_head_read(large, sizeof(large), UINT32_MAX, &h), 1);
}

static void texts_with_a_nul_are_bad(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b;
    struct frame_reader r;
    char into[8];
    buf_init(&b, 100);
    frame_put_bytes(&b, "a\0b", 3);
    frame_reader_init(&r, b.data, b.len);
    CLEANUP_FREE char *text = frame_get_text(&r, 10);
    assert_string_equal(text, "");
    assert_false(frame_reader_done(&r));
    frame_reader_init(&r, b.data, b.len);
    frame_get_text_into(&r, into, sizeof(into));
    assert_string_equal(into, "");
    assert_false(frame_reader_done(&r));
}

static void limits_of_texts_are_exact(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b;
    struct frame_reader r;
    char four[4];
    buf_init(&b, 100);
    frame_put_text(&b, "abc");
    frame_put_text(&b, "abcd");
    frame_reader_init(&r, b.data, b.len);
    frame_get_text_into(&r, four, sizeof(four));
    assert_string_equal(four, "abc");
    assert_false(r.bad);
    frame_get_text_into(&r, four, sizeof(four));
    assert_string_equal(four, "");
    assert_true(r.bad);
}

static void after_a_failure_all_is_zero(void **state)
{
    (void)state;
    const uint8_t bytes[] = {2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    struct frame_reader r;
    size_t n = 9;
    frame_reader_init(&r, bytes, sizeof(bytes));
    assert_false(frame_get_bool(&r)); /* 2 is no bool */
    assert_true(r.bad);
    assert_int_equal(frame_get_u32(&r), 0);
    assert_int_equal(frame_get_u64(&r), 0);
    assert_non_null(frame_get_bytes(&r, 100, &n));
    assert_int_equal(n, 0);
    assert_int_equal(frame_get_count(&r, 100, 0), 0);
    assert_false(frame_reader_done(&r));
}

static void counts_are_bounded_by_what_is_left(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b;
    struct frame_reader r;
    buf_init(&b, 100);
    frame_put_u32(&b, 3);
    frame_put_u64(&b, 0);
    frame_put_u32(&b, 0);
    frame_reader_init(&r, b.data, b.len);
    assert_int_equal(frame_get_count(&r, 3, 4), 3);
    frame_reader_init(&r, b.data, b.len);
    assert_int_equal(frame_get_count(&r, 3, 5), 0);
    assert_true(r.bad);
    frame_reader_init(&r, b.data, b.len);
    assert_int_equal(frame_get_count(&r, 2, 1), 0);
    assert_true(r.bad);
}

static void a_failed_buffer_fails_the_frame(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b;
    buf_init(&b, 20);
    size_t mark = frame_begin(&b, 1, 1);
    frame_put_text(&b, "far too long for twenty bytes");
    frame_put_u32(&b, 1);
    assert_int_equal(frame_end(&b, mark), -1);
    buf_free(&b);
    buf_init(&b, 2 * FRAME_MAX);
    mark = frame_begin(&b, 1, 1);
    CLEANUP_FREE char *big = xcalloc(1, FRAME_MAX);
    frame_put_bytes(&b, big, FRAME_MAX - 4);
    assert_int_equal(frame_end(&b, mark), 0);
    frame_put_bool(&b, true);
    assert_int_equal(frame_end(&b, mark), -1);
    assert_true(buf_failed(&b));
}

static void an_empty_payload_is_done_at_once(void **state)
{
    (void)state;
    struct frame_reader r;
    frame_reader_init(&r, NULL, 0);
    assert_true(frame_reader_done(&r));
    frame_get_bool(&r);
    assert_false(frame_reader_done(&r));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(layout_is_little_endian),
        cmocka_unit_test(truncated_anywhere_is_bad),
        cmocka_unit_test(any_changed_byte_is_survived),
        cmocka_unit_test(heads_are_judged),
        cmocka_unit_test(texts_with_a_nul_are_bad),
        cmocka_unit_test(limits_of_texts_are_exact),
        cmocka_unit_test(after_a_failure_all_is_zero),
        cmocka_unit_test(counts_are_bounded_by_what_is_left),
        cmocka_unit_test(a_failed_buffer_fails_the_frame),
        cmocka_unit_test(an_empty_payload_is_done_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
