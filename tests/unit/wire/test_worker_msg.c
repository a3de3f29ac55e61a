/* SPDX-License-Identifier: ISC */
/* Every message: what is encoded is decoded again; any byte missing, added or out of range is
 * refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "wire/worker_msg.h"

#include <stdlib.h>
#include <string.h>

/* 0 or -1; frees what it decoded. */
typedef int decode_fn(const void *p, size_t n);

/* The one frame in b: its payload, and that nothing shorter or longer is taken. */
static const void *payload(const struct buf *b, enum worker_msg type, uint32_t id,
                           decode_fn *decode, size_t *ret_n)
{
    struct frame_head h;
    assert_false(buf_failed(b));
    assert_int_equal(frame_head_read(b->data, b->len, FRAME_MAX, &h), 1);
    assert_int_equal(h.type, type);
    assert_int_equal(h.id, id);
    assert_int_equal(h.len + FRAME_HEADER, b->len);
    const char *p = b->data + FRAME_HEADER;
    for (size_t n = 0; n < h.len; n++) {
        char *cut =
            xmemdup(p, n ? n : 1); /* on the heap, so that a sanitizer sees a read behind it */
        if (decode(cut, n) == 0)
            fail_msg("type %d is decoded from %zu of %u bytes", type, n, h.len);
        free(cut);
    }
    char *more = xcalloc(1, h.len + 1);
    memcpy(more, p, h.len);
    assert_int_equal(decode(more, h.len + 1), -1);
    /* No single byte can make it crash. */
    for (size_t at = 0; at < h.len; at++) {
        for (int bit = 0; bit < 8; bit++) {
            memcpy(more, p, h.len);
            more[at] ^= (char)(1 << bit);
            decode(more, h.len);
        }
    }
    free(more);
    *ret_n = h.len;
    return p;
}

static char *strs[] = {(char *)"one", (char *)"two"};
static uint32_t ttls[] = {60, 300};
static struct worker_option options[] = {{.name = (char *)"token",
                                          .type = WORKER_OPT_SECRET,
                                          .required = true,
                                          .dflt = (char *)"",
                                          .choices = (char *)"",
                                          .help = (char *)"a token",
                                          .env = {strs, 2}},
                                         {.name = (char *)"mode",
                                          .type = WORKER_OPT_ENUM,
                                          .dflt = (char *)"a",
                                          .choices = (char *)"a|b",
                                          .help = (char *)"which"}};
static const struct worker_descriptor descriptor = {
    .id = (char *)"x",
    .name = (char *)"X",
    .version = (char *)"1",
    .license = (char *)"ISC",
    .author = (char *)"me",
    .homepage = (char *)"https://example.org/",
    .model = WORKER_MODEL_SLOT,
    .slots = 2,
    .caps = WORKER_CAP_EXEC,
    .callbacks = 3,
    .ttl_min = 60,
    .ttl_default = 120,
    .ttls = ttls,
    .n_ttls = 2,
    .propagation_s = 5,
    .propagation_max_s = 50,
    .apply_max = 7,
    .hosts = {strs, 1},
    .options = options,
    .n_options = 2,
};

static int decode_hello(const void *p, size_t n)
{
    struct worker_hello h;
    if (worker_hello_decode(p, n, &h) != 0)
        return -1;
    worker_descriptor_free(&h.descriptor);
    return 0;
}

static int decode_descriptor(const void *p, size_t n)
{
    struct worker_descriptor d;
    if (worker_descriptor_decode(p, n, &d) != 0)
        return -1;
    worker_descriptor_free(&d);
    return 0;
}

static void test_hello(void **state)
{
    (void)state;
    struct worker_hello out = {.pid = 77, .sandbox = "landlock 7", .descriptor = descriptor}, in;
    size_t n;
    struct buf b;
    buf_init(&b, 100000);
    worker_hello_encode(&b, &out);
    const void *p = payload(&b, WORKER_HELLO, 0, decode_hello, &n);
    assert_int_equal(worker_hello_decode(p, n, &in), 0);
    assert_int_equal(in.pid, 77);
    assert_string_equal(in.sandbox, "landlock 7");
    const struct worker_descriptor *d = &in.descriptor;
    assert_string_equal(d->homepage, "https://example.org/");
    assert_int_equal(d->model, WORKER_MODEL_SLOT);
    assert_int_equal(d->apply_max, 7);
    assert_int_equal(d->n_ttls, 2);
    assert_int_equal(d->ttls[1], 300);
    assert_string_equal(d->hosts.v[0], "one");
    assert_true(d->options[0].required);
    assert_string_equal(d->options[0].env.v[1], "two");
    assert_string_equal(d->options[1].choices, "a|b");
    worker_descriptor_free(&in.descriptor);
    buf_reset(&b);
    worker_ready_encode(&b, &out);
    payload(&b, WORKER_READY, 0, decode_hello, &n);
    buf_reset(&b);
    worker_descriptor_encode(&b, &descriptor);
    payload(&b, WORKER_DESCRIPTOR, 0, decode_descriptor, &n);
    buf_free(&b);
}

static void test_descriptors_out_of_range(void **state)
{
    (void)state;
    struct worker_descriptor bad[3] = {descriptor, descriptor, descriptor};
    bad[0].model = 9;
    bad[1].apply_max = 0;
    bad[2].apply_max = WORKER_MAX_CHANGES + 1;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct buf b;
        buf_init(&b, 100000);
        worker_descriptor_encode(&b, &bad[i]);
        assert_int_equal(decode_descriptor(b.data + FRAME_HEADER, b.len - FRAME_HEADER), -1);
        buf_free(&b);
    }
}

static int decode_config(const void *p, size_t n)
{
    struct worker_config *c;
    if (worker_config_decode(p, n, &c) != 0)
        return -1;
    worker_config_free(c);
    return 0;
}

static int decode_failed(const void *p, size_t n)
{
    struct err e;
    return worker_failed_decode(p, n, &e);
}

static void test_config(void **state)
{
    (void)state;
    static const struct worker_setting s[] = {{"token", "secret", true}, {"url", "", false}};
    struct worker_config out = {.instance = "i", .ttl = 9, .settings = s, .n_settings = 2}, *in;
    size_t n;
    struct buf b;
    buf_init_secret(&b, 100000);
    worker_config_encode(&b, &out);
    const void *p = payload(&b, WORKER_CONFIG, 0, decode_config, &n);
    assert_int_equal(worker_config_decode(p, n, &in), 0);
    assert_string_equal(in->instance, "i");
    assert_int_equal(in->ttl, 9);
    assert_int_equal(in->n_settings, 2);
    assert_string_equal(in->settings[0].value, "secret");
    assert_true(in->settings[0].secret);
    assert_string_equal(in->settings[1].value, "");
    worker_config_free(in);
    worker_config_free(NULL);
    buf_reset(&b);
    struct err e = ERR_INIT, got;
    err_set(&e, ERR_CONFIG, "no");
    worker_failed_encode(&b, &e);
    p = payload(&b, WORKER_FAILED, 0, decode_failed, &n);
    assert_int_equal(worker_failed_decode(p, n, &got), 0);
    assert_string_equal(got.detail, "no");
    buf_reset(&b);
    err_clear(&e); /* a failure that is none */
    worker_failed_encode(&b, &e);
    assert_int_equal(decode_failed(b.data + FRAME_HEADER, b.len - FRAME_HEADER), -1);
    buf_free(&b);
}

static int decode_op(const void *p, size_t n)
{
    struct worker_op *o;
    if (worker_op_decode(p, n, &o) != 0)
        return -1;
    worker_op_free(o);
    return 0;
}

static int decode_done(const void *p, size_t n)
{
    struct worker_done d;
    return worker_done_decode(p, n, &d);
}

static void test_operations(void **state)
{
    (void)state;
    static const struct worker_change v[] = {{WORKER_OP_ADD, "a.b", "v", "b", ""},
                                             {WORKER_OP_REMOVE, "c.b", "w", "b", "h"}};
    static const struct worker_change check[] = {{WORKER_OP_CHECK, "a.b", "", "b", ""},
                                                 {WORKER_OP_ADD, "a.b", "v", "b", ""}};
    struct worker_op out = {.deadline_ms = 5, .changes = v, .n = 2}, *in;
    size_t n;
    struct buf b;
    buf_init(&b, 100000);
    worker_op_encode(&b, 4, &out);
    const void *p = payload(&b, WORKER_OP, 4, decode_op, &n);
    assert_int_equal(worker_op_decode(p, n, &in), 0);
    assert_int_equal(in->n, 2);
    assert_int_equal(in->changes[1].kind, WORKER_OP_REMOVE);
    assert_string_equal(in->changes[1].handle, "h");
    worker_op_free(in);
    out.changes = check; /* a check is alone */
    buf_reset(&b);
    worker_op_encode(&b, 4, &out);
    assert_int_equal(decode_op(b.data + FRAME_HEADER, b.len - FRAME_HEADER), -1);
    out.n = 0;
    buf_reset(&b);
    worker_op_encode(&b, 4, &out);
    assert_int_equal(decode_op(b.data + FRAME_HEADER, b.len - FRAME_HEADER), -1);
    struct worker_done done = {.cls = 5,
                               .retry_after_s = 6,
                               .http = 429,
                               .handle = "h",
                               .detail = "d"},
                       got;
    buf_reset(&b);
    worker_done_encode(&b, 4, &done);
    p = payload(&b, WORKER_DONE, 4, decode_done, &n);
    assert_int_equal(worker_done_decode(p, n, &got), 0);
    assert_int_equal(got.retry_after_s, 6);
    assert_int_equal(got.http, 429);
    assert_string_equal(got.detail, "d");
    done.cls = WORKER_E_CLASSES;
    buf_reset(&b);
    worker_done_encode(&b, 4, &done);
    assert_int_equal(decode_done(b.data + FRAME_HEADER, b.len - FRAME_HEADER), -1);
    buf_free(&b);
}

static int decode_http(const void *p, size_t n)
{
    struct worker_http *h;
    if (worker_http_decode(p, n, &h) != 0)
        return -1;
    worker_http_free(h);
    return 0;
}

static int decode_http_reply(const void *p, size_t n)
{
    struct worker_http_reply *h;
    if (worker_http_reply_decode(p, n, &h) != 0)
        return -1;
    worker_http_reply_free(h);
    return 0;
}

static void test_http(void **state)
{
    (void)state;
    static const struct worker_pair v[] = {{"A", "b"}};
    struct worker_http out = {.method = "POST", .url = "https://x/", .headers = v, .n_headers = 1},
                       *in;
    size_t n;
    struct buf b;
    out.body = "a\0b";
    out.body_len = 3;
    out.idempotent = true;
    buf_init_secret(&b, 100000);
    worker_http_encode(&b, 1, &out);
    const void *p = payload(&b, WORKER_HTTP, 1, decode_http, &n);
    assert_int_equal(worker_http_decode(p, n, &in), 0);
    assert_string_equal(in->method, "POST");
    assert_memory_equal(in->body, "a\0b", 4);
    assert_true(in->idempotent);
    worker_http_free(in);
    struct worker_http_reply reply = {.detail = "", .status = 204, .headers = v, .n_headers = 1},
                             *got;
    buf_reset(&b);
    worker_http_reply_encode(&b, 1, &reply);
    p = payload(&b, WORKER_HTTP_REPLY, 1, decode_http_reply, &n);
    assert_int_equal(worker_http_reply_decode(p, n, &got), 0);
    assert_int_equal(got->status, 204);
    assert_int_equal(got->body_len, 0);
    assert_string_equal(got->headers[0].value, "b");
    worker_http_reply_free(got);
    buf_free(&b);
}

static int decode_exchange(const void *p, size_t n)
{
    struct worker_exchange x;
    if (worker_exchange_decode(p, n, &x) != 0)
        return -1;
    worker_exchange_done(&x);
    return 0;
}

static int decode_exchange_reply(const void *p, size_t n)
{
    struct worker_exchange_reply x;
    return worker_exchange_reply_decode(p, n, &x);
}

static int decode_cache(const void *p, size_t n)
{
    struct worker_cache c;
    return worker_cache_decode(p, n, &c);
}

static int decode_log(const void *p, size_t n)
{
    struct worker_log l;
    return worker_log_decode(p, n, &l);
}

static void test_the_rest(void **state)
{
    (void)state;
    struct worker_exchange x = {.server = "s", .zone = "z", .message = "m", .len = 1}, gx;
    struct worker_exchange_reply xr = {.cls = 8, .detail = "d", .message = "r", .len = 1};
    struct worker_cache c = {.key = "k", .value = "v", .len = 1, .ttl_s = 3}, gc;
    struct worker_log l = {.level = 3, .text = "t"};
    size_t n;
    struct buf b;
    buf_init(&b, 100000);
    worker_exchange_encode(&b, 2, &x);
    const void *p = payload(&b, WORKER_EXCHANGE, 2, decode_exchange, &n);
    assert_int_equal(worker_exchange_decode(p, n, &gx), 0);
    assert_string_equal(gx.zone, "z");
    worker_exchange_done(&gx);
    buf_reset(&b);
    worker_exchange_reply_encode(&b, 2, &xr);
    payload(&b, WORKER_EXCHANGE_REPLY, 2, decode_exchange_reply, &n);
    buf_reset(&b);
    worker_cache_encode(&b, WORKER_CACHE_PUT, 0, &c);
    p = payload(&b, WORKER_CACHE_PUT, 0, decode_cache, &n);
    assert_int_equal(worker_cache_decode(p, n, &gc), 0);
    assert_memory_equal(gc.value, "v", 1);
    memcpy(c.key, "a b", 4); /* a space is no part of a key */
    buf_reset(&b);
    worker_cache_encode(&b, WORKER_CACHE_GET, 2, &c);
    assert_int_equal(decode_cache(b.data + FRAME_HEADER, b.len - FRAME_HEADER), -1);
    buf_reset(&b);
    worker_log_encode(&b, &l);
    payload(&b, WORKER_LOG, 0, decode_log, &n);
    l.level = 4;
    buf_reset(&b);
    worker_log_encode(&b, &l);
    assert_int_equal(decode_log(b.data + FRAME_HEADER, b.len - FRAME_HEADER), -1);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hello),  cmocka_unit_test(test_descriptors_out_of_range),
        cmocka_unit_test(test_config), cmocka_unit_test(test_operations),
        cmocka_unit_test(test_http),   cmocka_unit_test(test_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
