/* SPDX-License-Identifier: ISC */
#include "base/mem.h"
#include "wire/keeper_msg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const cert_names[] = {"a", "", "www.example.org"};

/* One of each, with every member set. */
static const struct sample {
    enum keeper_msg_type type;
    enum keeper_msg_from from;
    union keeper_msg msg;
} samples[] = {
    {KEEPER_MSG_START,
     KEEPER_MSG_FROM_KEEPER,
     {.start = {"1.0", true, false, "/var/lib/renewd/engine", "as nobody", 2}}},
    {KEEPER_MSG_CONFIG, KEEPER_MSG_FROM_KEEPER, {.config = {1ull << 40, 77}}},
    {KEEPER_MSG_PING, KEEPER_MSG_FROM_KEEPER, {.list = {0}}},
    {KEEPER_MSG_STOP, KEEPER_MSG_FROM_KEEPER, {.list = {0}}},
    {KEEPER_MSG_FAILED,
     KEEPER_MSG_FROM_KEEPER,
     {.failed = {.err = {.cls = ERR_LOCAL, .sys = 28, .detail = "disk full"}}}},
    {KEEPER_MSG_SIGNED, KEEPER_MSG_FROM_KEEPER, {.signed_ = {{"{\0}", 3}}}},
    {KEEPER_MSG_ACCOUNT_IS, KEEPER_MSG_FROM_KEEPER, {.account_is = {"https://ca/1", "thumb"}}},
    {KEEPER_MSG_DONE, KEEPER_MSG_FROM_KEEPER, {.list = {0}}},
    {KEEPER_MSG_INSTALLED_IS,
     KEEPER_MSG_FROM_KEEPER,
     {.installed_is = {"c", true, -1, 1ll << 50, "0a", "ff", "x.y", "https://d", "https://a", "R3",
                       true, false, "-----BEGIN"}}},
    {KEEPER_MSG_LIST_END, KEEPER_MSG_FROM_KEEPER, {.list_end = {9}}},
    {KEEPER_MSG_STEP_DONE,
     KEEPER_MSG_FROM_KEEPER,
     {.step_done = {"tail", {.cls = ERR_LOCAL, .detail = "exited with 3"}}}},
    {KEEPER_MSG_WORKER_IS, KEEPER_MSG_FROM_KEEPER, {.list = {0}}},
    {KEEPER_MSG_LISTEN_IS, KEEPER_MSG_FROM_KEEPER, {.list = {0}}},
    {KEEPER_MSG_ACCEPT, KEEPER_MSG_FROM_ENGINE, {.accept = {5}}},
    {KEEPER_MSG_REJECT, KEEPER_MSG_FROM_ENGINE, {.reject = {6, {.cls = ERR_BUG}}}},
    {KEEPER_MSG_PONG, KEEPER_MSG_FROM_ENGINE, {.list = {0}}},
    {KEEPER_MSG_ONCE_DONE, KEEPER_MSG_FROM_ENGINE, {.once_done = {1}}},
    {KEEPER_MSG_STATUS, KEEPER_MSG_FROM_ENGINE, {.status = {"3 certificates"}}},
    {KEEPER_MSG_CANCEL, KEEPER_MSG_FROM_ENGINE, {.list = {0}}},
    {KEEPER_MSG_SIGN,
     KEEPER_MSG_FROM_ENGINE,
     {.sign = {6, 15, "le", "c", "https://ca/order", "nonce", 99}}},
    {KEEPER_MSG_ACCOUNT, KEEPER_MSG_FROM_ENGINE, {.account = {"le"}}},
    {KEEPER_MSG_SET_ACCOUNT, KEEPER_MSG_FROM_ENGINE, {.set_account = {"le", "https://ca/1"}}},
    {KEEPER_MSG_SET_EAB, KEEPER_MSG_FROM_ENGINE, {.set_eab = {"zerossl", "kid", "key"}}},
    {KEEPER_MSG_PREPARE, KEEPER_MSG_FROM_ENGINE, {.prepare = {"c", true, true}}},
    {KEEPER_MSG_INSTALL,
     KEEPER_MSG_FROM_ENGINE,
     {.install = {"c", "le", "https://ca/1", {"PEM", 3}, true}}},
    {KEEPER_MSG_INSTALLED, KEEPER_MSG_FROM_ENGINE, {.installed = {"c"}}},
    {KEEPER_MSG_LIST, KEEPER_MSG_FROM_ENGINE, {.list = {256}}},
    {KEEPER_MSG_STEP, KEEPER_MSG_FROM_ENGINE, {.step = {"web", 2, {cert_names, 3}}}},
    {KEEPER_MSG_WORKER, KEEPER_MSG_FROM_ENGINE, {.worker = {"cf"}}},
    {KEEPER_MSG_WORKER_KILL, KEEPER_MSG_FROM_ENGINE, {.worker = {"cf"}}},
    {KEEPER_MSG_LISTEN, KEEPER_MSG_FROM_ENGINE, {.listen = {"[::]:80"}}},
    {KEEPER_MSG_HTTP01,
     KEEPER_MSG_FROM_ENGINE,
     {.http01 = {"c", "le", "www.example.org", "token", true}}},
    {KEEPER_MSG_TASK,
     KEEPER_MSG_FROM_KEEPER,
     {.task = {1ull << 63, 6, "le", "www", "https://le.example/acct/1", 300000, "thumb", true}}},
    {KEEPER_MSG_TASK_END, KEEPER_MSG_FROM_KEEPER, {.task_end = {77}}},
    {KEEPER_MSG_TASK_NOTE, KEEPER_MSG_FROM_ENGINE, {.task_note = {77, "asking the CA"}}},
    {KEEPER_MSG_TASK_DONE,
     KEEPER_MSG_FROM_ENGINE,
     {.task_done = {77,
                    2,
                    "https://le.example/acct/1",
                    "valid",
                    "https://le.example/orders/1",
                    {cert_names, 3},
                    {.cls = ERR_DENIED, .detail = "no"}}}},
};

static struct frame_head encode(struct buf *b, const struct sample *s)
{
    struct frame_head h;
    buf_init(b, FRAME_MAX);
    assert_int_equal(keeper_msg_encode(b, s->type, 42, &s->msg), 0);
    assert_int_equal(frame_head_read(b->data, b->len, FRAME_MAX, &h), 1);
    assert_int_equal(h.len + FRAME_HEADER, b->len);
    assert_int_equal(h.id, 42);
    assert_int_equal(h.type, s->type);
    return h;
}

/* Decoded and encoded again, a message gives the same bytes: no member is lost or swapped. */
static void test_each_comes_back_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        const struct sample *s = &samples[i];
        struct buf b, again;
        union keeper_msg m;
        struct frame_head h = encode(&b, s);
        assert_int_equal(keeper_msg_decode(&h, b.data + FRAME_HEADER, s->from, &m), 0);
        buf_init(&again, FRAME_MAX);
        assert_int_equal(keeper_msg_encode(&again, s->type, 42, &m), 0);
        assert_int_equal(again.len, b.len);
        assert_memory_equal(again.data, b.data, b.len);
        assert_string_not_equal(keeper_msg_name(s->type), "?");
        keeper_msg_free(s->type, &m);
        buf_free(&again);
        buf_free(&b);
    }
}

static void test_members_arrive(void **state)
{
    union keeper_msg m;
    struct buf b;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        if (samples[i].type != KEEPER_MSG_STEP)
            continue;
        struct frame_head h = encode(&b, &samples[i]);
        assert_int_equal(keeper_msg_decode(&h, b.data + FRAME_HEADER, KEEPER_MSG_FROM_ENGINE, &m),
                         0);
        assert_string_equal(m.step.deployment, "web");
        assert_int_equal(m.step.step, 2);
        assert_int_equal(m.step.certs.n, 3);
        assert_string_equal(m.step.certs.v[0], "a");
        assert_string_equal(m.step.certs.v[1], "");
        assert_string_equal(m.step.certs.v[2], "www.example.org");
        keeper_msg_free(KEEPER_MSG_STEP, &m);
        buf_free(&b);
    }
}

/* Every truncation, each in memory of exactly that size, and one byte more. */
static void test_truncations_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        const struct sample *s = &samples[i];
        struct buf b;
        union keeper_msg m;
        struct frame_head h = encode(&b, s);
        uint32_t whole = h.len;
        for (h.len = 0; h.len < whole; h.len++) {
            void *p = xmemdup(b.data + FRAME_HEADER, h.len);
            assert_int_equal(keeper_msg_decode(&h, p, s->from, &m), -1);
            free(p);
        }
        h.len = whole + 1;
        assert_int_equal(keeper_msg_decode(&h, b.data + FRAME_HEADER, s->from, &m), -1);
        buf_free(&b);
    }
}

/* No byte of any message can be changed so that a decoder goes astray (sanitizers watch). */
static void test_changed_bytes_do_no_harm(void **state)
{
    static const uint8_t values[] = {0, 1, 2, 0x7f, 0x80, 0xff};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        const struct sample *s = &samples[i];
        struct buf b;
        struct frame_head h = encode(&b, s);
        for (size_t at = 0; at < h.len; at++) {
            uint8_t *p = xmemdup(b.data + FRAME_HEADER, h.len);
            for (size_t v = 0; v < ARRAY_LEN(values); v++) {
                union keeper_msg m;
                p[at] = values[v];
                if (keeper_msg_decode(&h, p, s->from, &m) == 0)
                    keeper_msg_free(s->type, &m);
            }
            free(p);
        }
        buf_free(&b);
    }
}

static void test_direction_and_type_are_checked(void **state)
{
    (void)state;
    union keeper_msg m;
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        const struct sample *s = &samples[i];
        struct buf b;
        struct frame_head h = encode(&b, s);
        enum keeper_msg_from other =
            s->from == KEEPER_MSG_FROM_ENGINE ? KEEPER_MSG_FROM_KEEPER : KEEPER_MSG_FROM_ENGINE;
        assert_int_equal(keeper_msg_decode(&h, b.data + FRAME_HEADER, other, &m), -1);
        buf_free(&b);
    }
    struct frame_head h = {.len = 0, .type = 0, .id = 1};
    assert_int_equal(keeper_msg_decode(&h, "", KEEPER_MSG_FROM_ENGINE, &m), -1);
    h.type = 999;
    assert_int_equal(keeper_msg_decode(&h, "", KEEPER_MSG_FROM_KEEPER, &m), -1);
    assert_string_equal(keeper_msg_name(999), "?");
}

static void test_what_is_too_long_is_not_encoded(void **state)
{
    (void)state;
    struct buf b;
    char *url = xcalloc(1, KEEPER_MSG_URL_MAX + 2);
    memset(url, 'u', KEEPER_MSG_URL_MAX + 1);
    struct keeper_msg_set_account m = {.ca = "le", .url = url};
    buf_init(&b, FRAME_MAX);
    assert_int_equal(keeper_msg_encode(&b, KEEPER_MSG_PONG, 0, NULL), 0);
    size_t before = b.len;
    assert_int_equal(keeper_msg_encode(&b, KEEPER_MSG_SET_ACCOUNT, 1, &m), -1);
    assert_int_equal(b.len, before);
    url[KEEPER_MSG_URL_MAX] = '\0';
    assert_int_equal(keeper_msg_encode(&b, KEEPER_MSG_SET_ACCOUNT, 1, &m), 0);
    struct keeper_msg_sign sign = {.what = KEEPER_MSG_SIGN_KINDS};
    assert_int_equal(keeper_msg_encode(&b, KEEPER_MSG_SIGN, 1, &sign), -1);
    static char chain[KEEPER_MSG_CHAIN_MAX + 1];
    struct keeper_msg_install install = {.chain = {chain, sizeof(chain)}};
    assert_int_equal(keeper_msg_encode(&b, KEEPER_MSG_INSTALL, 1, &install), -1);
    struct keeper_msg_step step = {.certs = {NULL, KEEPER_MSG_CERTS_MAX + 1}};
    assert_int_equal(keeper_msg_encode(&b, KEEPER_MSG_STEP, 1, &step), -1);
    assert_false(buf_failed(&b));
    free(url);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_comes_back_the_same),
        cmocka_unit_test(test_members_arrive),
        cmocka_unit_test(test_truncations_are_refused),
        cmocka_unit_test(test_changed_bytes_do_no_harm),
        cmocka_unit_test(test_direction_and_type_are_checked),
        cmocka_unit_test(test_what_is_too_long_is_not_encoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
