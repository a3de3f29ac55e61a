/* SPDX-License-Identifier: ISC */
/* The cloudflare plugin in a real worker against a fake of Cloudflare's API. What the host does
 * with 429 and 5xx is tested in unit/dns_provider. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "plugins/fake.h"
#include "plugins/knot.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME "_acme-challenge.www.example.org"
#define ID "0123456789abcdef0123456789abcdef"
#define TWIN_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define TWIN_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static struct fake fake;
static struct knot knot;
static bool have_knot;

static void start(struct driver *d, const char *token, const char *zone_id)
{
    struct driver_option o[] = {{"api_token", token, true},
                                {"api_url", fake.url, false},
                                {zone_id ? "zone_id" : NULL, zone_id, false},
                                {NULL, NULL, false}};
    struct err e = ERR_INIT;
    if (driver_start(d, driver_path("plugins/cloudflare.so"), o, &e) != 0)
        fail_msg("%s", e.detail);
    d->http = fake_http;
    d->arg = &fake;
    fake_requests(&fake);
    fake_fault(&fake, "{}");
}

static struct worker_done op(struct driver *d, enum worker_op_kind kind, const char *fqdn,
                             const char *value)
{
    struct worker_done done;
    assert_int_equal(driver_op(d, kind, fqdn, value, &done), 0);
    return done;
}

static void works(struct driver *d, enum worker_op_kind kind, const char *value)
{
    struct worker_done done = op(d, kind, NAME, value);
    if (done.cls != WORKER_E_OK)
        fail_msg("class %u: %s", done.cls, done.detail);
}

static void fails(struct driver *d, uint32_t cls, const char *says)
{
    struct worker_done done = op(d, WORKER_OP_ADD, NAME, "never");
    if (done.cls != cls || !strstr(done.detail, says))
        fail_msg("class %u: %s", done.cls, done.detail);
}

static unsigned count(const char *text, const char *what)
{
    unsigned n = 0;
    for (; (text = strstr(text, what)); text += strlen(what))
        n++;
    return n;
}

static void test_values_live_side_by_side(void **state)
{
    (void)state;
    struct driver d;
    start(&d, "full", NULL);
    struct worker_done first = op(&d, WORKER_OP_ADD, NAME, "first");
    assert_int_equal(first.cls, WORKER_E_OK);
    assert_memory_equal(first.handle, ID "/", sizeof(ID));
    works(&d, WORKER_OP_ADD, "second");
    works(&d, WORKER_OP_ADD, "second"); /* 81058 */
    assert_int_equal(count(fake_records(&fake), NAME), 2);
    assert_non_null(strstr(fake_records(&fake), "\\\"first\\\""));
    d.handle = first.handle;
    works(&d, WORKER_OP_REMOVE, "first");
    works(&d, WORKER_OP_REMOVE, "first"); /* 81044 */
    assert_null(strstr(fake_records(&fake), "first"));
    d.handle = "";
    works(&d, WORKER_OP_REMOVE, "first");
    works(&d, WORKER_OP_REMOVE, "second");
    assert_string_equal(fake_records(&fake), "[]");
    driver_stop(&d);
}

/* The zone's id is asked for once, and once only. */
static void test_requests_are_few(void **state)
{
    (void)state;
    struct driver d;
    start(&d, "full", NULL);
    works(&d, WORKER_OP_ADD, "a");
    works(&d, WORKER_OP_ADD, "b");
    const char *seen = fake_requests(&fake);
    assert_int_equal(count(seen, "GET /client/v4/zones?name="), 1);
    assert_int_equal(count(seen, "\"POST "), 2);
    assert_int_equal(count(seen, "/client/v4"), 3);
    works(&d, WORKER_OP_REMOVE, "a");
    works(&d, WORKER_OP_REMOVE, "b");
    driver_stop(&d);
    start(&d, "dns-only", ID);
    works(&d, WORKER_OP_ADD, "a");
    assert_int_equal(count(fake_requests(&fake), "/client/v4"), 1);
    works(&d, WORKER_OP_REMOVE, "a");
    driver_stop(&d);
}

/* DNS:Edit on one zone is all that the token may do. */
static void test_least_privilege(void **state)
{
    (void)state;
    struct driver d;
    start(&d, "dns-only", ID);
    works(&d, WORKER_OP_CHECK, "");
    works(&d, WORKER_OP_ADD, "x");
    works(&d, WORKER_OP_REMOVE, "x");
    driver_stop(&d);
    start(&d, "dns-only", NULL);
    fails(&d, WORKER_E_NO_ZONE, "set zone_id");
    driver_stop(&d);
}

static void test_refusals_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *token, *zone_id;
        uint32_t cls;
        const char *says;
    } cases[] = {
        {"wrong-token", NULL, WORKER_E_AUTH, "the API token is wrong"},
        {"expired-token", NULL, WORKER_E_AUTH, "has expired"},
        {"read-only", ID, WORKER_E_AUTH, "lacks the right Zone:DNS:Edit"},
        {"dns-only", TWIN_A, WORKER_E_AUTH, "lacks the right Zone:DNS:Edit"},
        {"full", "ffffffffffffffffffffffffffffffff", WORKER_E_CONFIG, "see zone_id"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct driver d;
        start(&d, cases[i].token, cases[i].zone_id);
        fails(&d, cases[i].cls, cases[i].says);
        driver_stop(&d);
    }
}

static void test_ambiguous_zone(void **state)
{
    (void)state;
    struct driver d;
    start(&d, "full", NULL);
    d.zone = "twin.org";
    struct worker_done done = op(&d, WORKER_OP_ADD, "_acme-challenge.twin.org", "x");
    assert_int_equal(done.cls, WORKER_E_CONFIG);
    assert_non_null(strstr(done.detail, "2 zones of the name twin.org: set zone_id"));
    driver_stop(&d);
    start(&d, "full", TWIN_B);
    done = op(&d, WORKER_OP_ADD, "_acme-challenge.twin.org", "x");
    assert_int_equal(done.cls, WORKER_E_OK);
    assert_memory_equal(done.handle, TWIN_B, 32);
    op(&d, WORKER_OP_REMOVE, "_acme-challenge.twin.org", "x");
    driver_stop(&d);
}

/* The host's hint lies below the zone that Cloudflare has. */
static void test_zone_is_searched_upwards(void **state)
{
    (void)state;
    struct driver d;
    start(&d, "full", NULL);
    d.zone = "a.b.example.org";
    struct worker_done done = op(&d, WORKER_OP_ADD, "_acme-challenge.a.b.example.org", "x");
    assert_int_equal(done.cls, WORKER_E_OK);
    assert_int_equal(count(fake_requests(&fake), "zones?name="), 3);
    op(&d, WORKER_OP_REMOVE, "_acme-challenge.a.b.example.org", "x");
    d.zone = "elsewhere.net";
    done = op(&d, WORKER_OP_ADD, "_acme-challenge.elsewhere.net", "x");
    assert_int_equal(done.cls, WORKER_E_NO_ZONE);
    driver_stop(&d);
}

static void create(const char *content)
{
    char body[256];
    static const struct worker_pair headers[] = {{"Authorization", "Bearer full"}};
    int status;
    snprintf(body, sizeof(body),
             "{\"type\":\"TXT\",\"name\":\"" NAME "\",\"content\":%s,\"ttl\":300}", content);
    fake_call(&fake, "POST", "/client/v4/zones/" ID "/dns_records", headers, 1, body, strlen(body),
              &status, NULL, 0);
    assert_int_equal(status, 200);
}

/* Bare, quoted, in pieces; others at the name, over several pages (the fake gives 7 on a page). */
static void test_remove_without_handle(void **state)
{
    (void)state;
    struct driver d;
    start(&d, "full", NULL);
    for (int i = 0; i < 20; i++) {
        char text[32];
        snprintf(text, sizeof(text), "\"foreign-%d\"", i);
        create(text);
    }
    create("\"the value\"");
    works(&d, WORKER_OP_REMOVE, "the value");
    create("\"\\\"the value\\\"\"");
    works(&d, WORKER_OP_ADD, "the value"); /* 81057: it is there with another ttl */
    works(&d, WORKER_OP_REMOVE, "the value");
    create("\"\\\"the \\\" \\\"value\\\"\"");
    works(&d, WORKER_OP_REMOVE, "the value");
    assert_null(strstr(fake_records(&fake), "value"));
    works(&d, WORKER_OP_REMOVE, "foreign");
    assert_int_equal(count(fake_records(&fake), "foreign"), 20);
    for (int i = 0; i < 20; i++) {
        char text[32];
        snprintf(text, sizeof(text), "foreign-%d", i);
        works(&d, WORKER_OP_REMOVE, text);
    }
    assert_string_equal(fake_records(&fake), "[]");
    driver_stop(&d);
}

static void test_bad_answers(void **state)
{
    (void)state;
    struct driver d;
    start(&d, "full", ID);
    fake_fault(&fake, "{\"status\": 429, \"retry_after\": 17}");
    struct worker_done done = op(&d, WORKER_OP_ADD, NAME, "x");
    assert_int_equal(done.cls, WORKER_E_RATE_LIMIT);
    assert_int_equal(done.retry_after_s, 17);
    fake_fault(&fake, "{\"status\": 503}");
    fails(&d, WORKER_E_TEMPORARY, "HTTP 503");
    fake_fault(&fake, "{\"html\": 1}");
    fails(&d, WORKER_E_PROTOCOL, "did not answer with JSON");
    fake_fault(&fake, "{\"drop\": 1}");
    fails(&d, WORKER_E_TEMPORARY, "connection closed");
    fake_fault(&fake, "{\"lose\": 1}");
    fails(&d, WORKER_E_TEMPORARY, "connection closed");
    works(&d, WORKER_OP_ADD, "never"); /* it was made, the answer was lost: 81058 */
    works(&d, WORKER_OP_REMOVE, "never");
    assert_string_equal(fake_records(&fake), "[]");
    driver_stop(&d);
}

static void test_options(void **state)
{
    (void)state;
    static const struct driver_option spaces[] = {{"api_token", "a b", true}, {NULL, NULL, false}};
    static const struct driver_option bad_id[] = {
        {"api_token", "abc", true}, {"zone_id", "../x", false}, {NULL, NULL, false}};
    struct driver d;
    struct err e = ERR_INIT;
    assert_int_equal(driver_start(&d, driver_path("plugins/cloudflare.so"), spaces, &e), -1);
    assert_non_null(strstr(e.detail, "white space"));
    assert_int_equal(driver_start(&d, driver_path("plugins/cloudflare.so"), bad_id, &e), -1);
    assert_non_null(strstr(e.detail, "zone_id is not an id"));
    assert_int_equal(driver_start(&d, driver_path("plugins/cloudflare.so"), NULL, &e), -1);
    assert_non_null(strstr(e.detail, "api_token is required"));
}

/* What the fake accepts, a real name server serves. */
static void test_records_are_served(void **state)
{
    (void)state;
    struct driver d;
    if (!have_knot)
        skip();
    start(&d, "full", NULL);
    works(&d, WORKER_OP_ADD, "served");
    assert_string_equal(knot_txt(&knot, NAME), "\"served\"\n");
    works(&d, WORKER_OP_REMOVE, "served");
    assert_string_equal(knot_txt(&knot, NAME), "");
    driver_stop(&d);
}

static int setup(void **state)
{
    (void)state;
    have_knot = knot_start(&knot);
    const char *args[] = {"--token",     "full=dns_edit,zone_read",
                          "--token",     "dns-only=dns_edit@example.org",
                          "--token",     "read-only=zone_read",
                          "--zone",      "example.org=" ID,
                          "--zone",      "twin.org=" TWIN_A,
                          "--zone",      "twin.org=" TWIN_B,
                          "--page-size", "7",
                          NULL,          NULL,
                          NULL,          NULL,
                          NULL};
    if (have_knot) {
        args[14] = "--dns";
        args[15] = knot.server;
        args[16] = "--tsig";
        args[17] = "acme:" KNOT_SECRET;
    }
    fake_start(&fake, args);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_stop(&fake);
    if (have_knot)
        knot_stop(&knot);
    return 0;
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_live_side_by_side),
        cmocka_unit_test(test_requests_are_few),
        cmocka_unit_test(test_least_privilege),
        cmocka_unit_test(test_refusals_are_told_apart),
        cmocka_unit_test(test_ambiguous_zone),
        cmocka_unit_test(test_zone_is_searched_upwards),
        cmocka_unit_test(test_remove_without_handle),
        cmocka_unit_test(test_bad_answers),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_records_are_served),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
