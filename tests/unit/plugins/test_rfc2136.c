/* SPDX-License-Identifier: ISC */
/* The rfc2136 plugin in a real worker against a real Knot DNS. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "plugins/knot.h"
#include "worker/driver.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NAME "_acme-challenge.example.org"
#define DEEP "_acme-challenge.www.sub.example.org"
#define OTHER_SECRET "ZZZyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

static struct knot knot;
static bool have_knot;

/* What the wire does to the answers. */
enum tampering { NOTHING, FLIP, STRIP, SHORTEN, REPLAY, CLOCK, WRONG_ID };
struct wire {
    enum tampering how;
    uint8_t first[4096];
    int first_len;
    unsigned messages;
};

/* The TSIG record goes: it is the last one and its owner is the key's name, uncompressed. */
static int strip_tsig(uint8_t *p, int n, const char *key)
{
    uint8_t label[64];
    size_t len = strlen(key);
    label[0] = (uint8_t)len;
    memcpy(label + 1, key, len + 1);
    for (int at = 12; at + (int)len + 4 < n; at++)
        if (memcmp(p + at, label, len + 2) == 0 && p[at + (int)len + 3] == 250) {
            p[11]--;
            return at;
        }
    return n;
}

/* An answer that says BADTIME, with the server's clock an hour ahead (RFC 8945 5.2.3). */
static int clock_answer(uint8_t *p, const uint8_t *question)
{
    static const uint8_t tail[] = {4, 'a', 'c', 'm', 'e', 0, 0, 250, 0, 255, 0, 0, 0, 0, 0, 35};
    static const uint8_t alg[] = "\13hmac-sha256";
    uint64_t now = (uint64_t)time(NULL) + 3600;
    int n = 0;
    memcpy(p, question, 2);
    memcpy(p + 2, "\xa8\x09\0\0\0\0\0\0\0\1", 10);
    n = 12;
    memcpy(p + n, tail, sizeof(tail));
    n += (int)sizeof(tail);
    memcpy(p + n, alg, sizeof(alg));
    n += (int)sizeof(alg);
    memset(p + n, 0, 22);
    p[n + 13] = 18; /* error */
    p[n + 15] = 6;  /* other */
    for (int i = 0; i < 6; i++)
        p[n + 16 + i] = (uint8_t)(now >> (40 - 8 * i));
    p[n + 7] = 44; /* fudge */
    memcpy(p + n + 10, question, 2);
    n += 22;
    p[12 + 15] = (uint8_t)(sizeof(alg) + 22);
    return n;
}

static void exchange(struct driver *d, const struct worker_exchange *x,
                     struct worker_exchange_reply *ret)
{
    struct wire *w = d->arg;
    uint8_t *p = (uint8_t *)d->scratch;
    assert_string_equal(x->server, knot.server);
    int n = knot_ask(&knot, x->message, x->len, p, sizeof(d->scratch));
    assert_true(n > 12);
    w->messages++;
    if (w->how == FLIP)
        p[3] ^= 0x80; /* RA: signed like all of it */
    if (w->how == STRIP)
        n = strip_tsig(p, n, "acme");
    if (w->how == SHORTEN)
        n -= 3;
    if (w->how == CLOCK)
        n = clock_answer(p, x->message);
    if (w->how == REPLAY && w->first_len) { /* the earlier answer under the new id */
        memcpy(w->first, p, 2);
        memcpy(p, w->first, (size_t)w->first_len);
        n = w->first_len;
    } else if ((size_t)n < sizeof(w->first)) {
        memcpy(w->first, p, (size_t)n);
        w->first_len = n;
    }
    if (w->how == WRONG_ID)
        p[0] ^= 1;
    *ret = (struct worker_exchange_reply){.message = p, .len = (size_t)n};
}

static void start(struct driver *d, struct wire *w, const char *key, const char *algorithm,
                  const char *secret, const char *zone)
{
    struct driver_option o[] = {{"server", knot.server, false},      {"key_name", key, false},
                                {"key_algorithm", algorithm, false}, {"key_secret", secret, true},
                                {zone ? "zone" : NULL, zone, false}, {NULL, NULL, false}};
    struct err e = ERR_INIT;
    memset(w, 0, sizeof(*w));
    if (!have_knot)
        skip();
    if (driver_start(d, driver_path("plugins/rfc2136.so"), o, &e) != 0)
        fail_msg("%s", e.detail);
    d->exchange = exchange;
    d->arg = w;
}

static void op(struct driver *d, enum worker_op_kind kind, const char *fqdn, const char *value)
{
    struct worker_done done;
    assert_int_equal(driver_op(d, kind, fqdn, value, &done), 0);
    if (done.cls != WORKER_E_OK)
        fail_msg("%s: class %u: %s", value, done.cls, done.detail);
}

static void fails(struct driver *d, const char *fqdn, uint32_t cls, const char *says)
{
    struct worker_done done;
    assert_int_equal(driver_op(d, WORKER_OP_ADD, fqdn, "refused", &done), 0);
    if (done.cls != cls || !strstr(done.detail, says))
        fail_msg("class %u: %s", done.cls, done.detail);
    assert_null(strstr(done.detail, KNOT_SECRET));
}

/* Where Knot 3.2 says more than 3.4, which answers all of it by an unsigned NOTAUTH. */
static void fails_somehow(struct driver *d, const char *fqdn, const char *says)
{
    struct worker_done done;
    assert_int_equal(driver_op(d, WORKER_OP_ADD, fqdn, "refused", &done), 0);
    if ((done.cls != WORKER_E_AUTH && done.cls != WORKER_E_NO_ZONE) || !strstr(done.detail, says))
        fail_msg("class %u: %s", done.cls, done.detail);
}

static void test_values_live_side_by_side(void **state)
{
    (void)state;
    static const char *const keys[][2] = {
        {"acme", "hmac-sha256"}, {"acme384", "hmac-sha384"}, {"acme512", "hmac-sha512"}};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        struct driver d;
        struct wire w;
        start(&d, &w, keys[i][0], keys[i][1], KNOT_SECRET, NULL);
        op(&d, WORKER_OP_ADD, NAME, "one");
        op(&d, WORKER_OP_ADD, NAME, "two");
        op(&d, WORKER_OP_ADD, NAME, "two");
        assert_string_equal(knot_txt(&knot, NAME), "\"one\"\n\"two\"\n");
        op(&d, WORKER_OP_REMOVE, NAME, "one");
        op(&d, WORKER_OP_REMOVE, NAME, "one");
        assert_string_equal(knot_txt(&knot, NAME), "\"two\"\n");
        op(&d, WORKER_OP_REMOVE, NAME, "never there");
        op(&d, WORKER_OP_REMOVE, NAME, "two");
        assert_string_equal(knot_txt(&knot, NAME), "");
        op(&d, WORKER_OP_CHECK, NAME, "");
        driver_stop(&d);
    }
}

static void test_names_and_values_of_all_sizes(void **state)
{
    (void)state;
    struct driver d;
    struct wire w;
    start(&d, &w, "ACME.", "hmac-sha256", KNOT_SECRET, "Example.ORG.");
    char deep[254], text[600];
    size_t n = 0;
    while (n + 64 < 253 - 12)
        n += (size_t)snprintf(deep + n, sizeof(deep) - n, "%.*s.", 61,
                              "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabc");
    snprintf(deep + n, sizeof(deep) - n, "example.org");
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    op(&d, WORKER_OP_ADD, deep, "deep");
    assert_string_equal(knot_txt(&knot, deep), "\"deep\"\n");
    op(&d, WORKER_OP_REMOVE, deep, "deep");
    op(&d, WORKER_OP_ADD, "example.org", text);
    assert_non_null(strstr(knot_txt(&knot, "example.org"), "\" \"xxx"));
    op(&d, WORKER_OP_ADD, "example.org", "-foreign");
    op(&d, WORKER_OP_REMOVE, "example.org", text);
    assert_string_equal(knot_txt(&knot, "example.org"), "\"-foreign\"\n");
    op(&d, WORKER_OP_REMOVE, "example.org", "-foreign");
    driver_stop(&d);
}

static void test_many_in_one_message(void **state)
{
    (void)state;
    struct driver d;
    struct wire w;
    struct worker_done done;
    start(&d, &w, "acme", "hmac-sha256", KNOT_SECRET, NULL);
    assert_true(d.hello.descriptor.apply_max >= 100);
    struct worker_change v[100];
    char names[100][64];
    for (int i = 0; i < 100; i++) {
        snprintf(names[i], sizeof(names[i]), "_acme-challenge.h%d.example.org", i);
        v[i] = (struct worker_change){WORKER_OP_ADD, names[i],
                                      "0123456789012345678901234567890123456789012", "example.org",
                                      ""};
    }
    assert_int_equal(driver_batch(&d, v, 100, &done), 0);
    assert_int_equal(done.cls, WORKER_E_OK);
    assert_int_equal(w.messages, 1);
    assert_string_not_equal(knot_txt(&knot, names[99]), "");
    for (int i = 0; i < 100; i++)
        v[i].kind = WORKER_OP_REMOVE;
    assert_int_equal(driver_batch(&d, v, 100, &done), 0);
    assert_int_equal(done.cls, WORKER_E_OK);
    assert_string_equal(knot_txt(&knot, names[99]), "");
    driver_stop(&d);
}

static void test_refusals_are_told_apart(void **state)
{
    (void)state;
    struct driver d;
    struct wire w;
    start(&d, &w, "acme", "hmac-sha256", OTHER_SECRET, NULL);
    fails(&d, NAME, WORKER_E_AUTH, "BADSIG");
    driver_stop(&d);
    start(&d, &w, "unknown", "hmac-sha256", KNOT_SECRET, NULL);
    fails(&d, NAME, WORKER_E_AUTH, "does not know the TSIG key unknown");
    driver_stop(&d);
    start(&d, &w, "acme", "hmac-sha512", KNOT_SECRET, NULL);
    fails(&d, NAME, WORKER_E_AUTH, "BADKEY");
    driver_stop(&d);
    start(&d, &w, "acme", "hmac-sha256", KNOT_SECRET, NULL);
    d.zone = "net";
    fails_somehow(&d, "_acme-challenge.example.net", "it is not the primary of");
    driver_stop(&d);
    start(&d, &w, "acme", "hmac-sha256", KNOT_SECRET, "example.net");
    fails(&d, NAME, WORKER_E_CONFIG, "not inside the configured zone example.net");
    driver_stop(&d);
    start(&d, &w, "narrow", "hmac-sha256", KNOT_SECRET, NULL);
    fails_somehow(&d, NAME, "or does not let it change " NAME);
    op(&d, WORKER_OP_ADD, DEEP, "fine");
    op(&d, WORKER_OP_REMOVE, DEEP, "fine");
    driver_stop(&d);
}

static void test_unsigned_is_refused(void **state)
{
    (void)state;
    struct driver_option o[] = {{"server", knot.server, false}, {NULL, NULL, false}};
    struct driver d;
    struct wire w = {.how = NOTHING};
    struct err e = ERR_INIT;
    if (!have_knot)
        skip();
    assert_int_equal(driver_start(&d, driver_path("plugins/rfc2136.so"), o, &e), 0);
    d.exchange = exchange;
    d.arg = &w;
    fails(&d, NAME, WORKER_E_AUTH, "set key_name and key_secret");
    driver_stop(&d);
}

/* BIND tells refusals by policy and by key apart. */
static void test_bind(void **state)
{
    (void)state;
    struct knot before = knot;
    bool had = have_knot;
    have_knot = bind_start(&knot);
    struct driver d;
    struct wire w;
    if (!have_knot) {
        have_knot = had;
        skip();
    }
    start(&d, &w, "acme", "hmac-sha256", KNOT_SECRET, NULL);
    op(&d, WORKER_OP_ADD, NAME, "one");
    op(&d, WORKER_OP_ADD, NAME, "two");
    assert_string_equal(knot_txt(&knot, NAME), "\"one\"\n\"two\"\n");
    op(&d, WORKER_OP_REMOVE, NAME, "one");
    op(&d, WORKER_OP_REMOVE, NAME, "one");
    assert_string_equal(knot_txt(&knot, NAME), "\"two\"\n");
    op(&d, WORKER_OP_REMOVE, NAME, "two");
    op(&d, WORKER_OP_CHECK, NAME, "");
    driver_stop(&d);
    start(&d, &w, "narrow", "hmac-sha256", KNOT_SECRET, NULL);
    fails(&d, NAME, WORKER_E_PERMISSION, "REFUSED");
    op(&d, WORKER_OP_ADD, DEEP, "fine");
    op(&d, WORKER_OP_REMOVE, DEEP, "fine");
    driver_stop(&d);
    start(&d, &w, "acme", "hmac-sha256", OTHER_SECRET, NULL);
    fails(&d, NAME, WORKER_E_AUTH, "BADSIG");
    driver_stop(&d);
    start(&d, &w, "unknown", "hmac-sha256", KNOT_SECRET, NULL);
    fails(&d, NAME, WORKER_E_AUTH, "BADKEY");
    driver_stop(&d);
    start(&d, &w, "acme", "hmac-sha256", KNOT_SECRET, NULL);
    d.zone = "net";
    fails(&d, "_acme-challenge.example.net", WORKER_E_NO_ZONE, "NOTAUTH");
    driver_stop(&d);
    knot_stop(&knot);
    knot = before;
    have_knot = had;
}

static void test_answers_are_verified(void **state)
{
    (void)state;
    static const struct {
        enum tampering how;
        uint32_t cls;
        const char *says;
    } cases[] = {
        {FLIP, WORKER_E_PROTOCOL, "has a wrong signature"},
        {STRIP, WORKER_E_PROTOCOL, "is not signed"},
        {SHORTEN, WORKER_E_PROTOCOL, "malformed"},
        {REPLAY, WORKER_E_PROTOCOL, "has a wrong signature"},
        {CLOCK, WORKER_E_AUTH, "ahead of ours"},
        {WRONG_ID, WORKER_E_PROTOCOL, "malformed"},
    };
    struct driver d;
    struct wire w;
    start(&d, &w, "acme", "hmac-sha256", KNOT_SECRET, NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        w.how = NOTHING;
        op(&d, WORKER_OP_ADD, NAME, "seen");
        op(&d, WORKER_OP_REMOVE, NAME, "seen");
        w.how = cases[i].how;
        fails(&d, NAME, cases[i].cls, cases[i].says);
    }
    w.how = NOTHING;
    op(&d, WORKER_OP_REMOVE, NAME, "refused");
    assert_string_equal(knot_txt(&knot, NAME), "");
    driver_stop(&d);
}

static void refuses_options(const struct driver_option *o, const char *says)
{
    struct driver d;
    struct err e = ERR_INIT;
    assert_int_equal(driver_start(&d, driver_path("plugins/rfc2136.so"), o, &e), -1);
    assert_int_equal(e.cls, ERR_CONFIG);
    if (!strstr(e.detail, says))
        fail_msg("%s", e.detail);
}

static void test_options(void **state)
{
    (void)state;
    static const struct driver_option no_secret[] = {{"key_name", "acme", false}, {0}};
    static const struct driver_option no_name[] = {{"key_secret", KNOT_SECRET, true}, {0}};
    static const struct driver_option garbage[] = {
        {"key_name", "acme", false}, {"key_secret", "not base64!", true}, {0}};
    static const struct driver_option bad_name[] = {
        {"key_name", "a..b", false}, {"key_secret", KNOT_SECRET, true}, {0}};
    refuses_options(no_secret, "add key_secret");
    refuses_options(no_name, "add key_name");
    refuses_options(garbage, "not base64");
    refuses_options(bad_name, "not a domain name");
}

static int setup(void **state)
{
    (void)state;
    have_knot = knot_start(&knot);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (have_knot)
        knot_stop(&knot);
    return 0;
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_live_side_by_side),
        cmocka_unit_test(test_names_and_values_of_all_sizes),
        cmocka_unit_test(test_many_in_one_message),
        cmocka_unit_test(test_refusals_are_told_apart),
        cmocka_unit_test(test_unsigned_is_refused),
        cmocka_unit_test(test_bind),
        cmocka_unit_test(test_answers_are_verified),
        cmocka_unit_test(test_options),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
