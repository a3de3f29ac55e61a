/* SPDX-License-Identifier: ISC */
/* What CAs say, well and badly put, and what is made of it. */
#include "acme/problem.h"
#include "acme/retry.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "io/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ACME "urn:ietf:params:acme:error:"

static const struct problem_case {
    const char *name;
    enum acme_where where;
    int status;
    const char *body;
    enum err_class cls;
    const char *type, *detail; /* detail: a part */
} cases[] = {
    {"as in the RFC", ACME_AT_NEW_ORDER, 429,
     "{\"type\":\"" ACME "rateLimited\",\"detail\":\"slow down\",\"status\":429}", ERR_RATE_LIMITED,
     "rateLimited", "slow down"},
    {"no body", ACME_AT_ORDER, 500, "", ERR_TRANSIENT, "", "HTTP 500 without an explanation"},
    {"only white space", ACME_AT_ORDER, 400, " \r\n", ERR_PEER, "", "HTTP 400 without"},
    {"a page of a CDN", ACME_AT_ORDER, 403, "\n<!DOCTYPE html><html>", ERR_TRANSIENT, "",
     "web page instead of an ACME answer"},
    {"a page of a gateway", ACME_AT_FINALIZE, 504, "<html>", ERR_TRANSIENT, "", "HTTP 504"},
    {"a bare JSON string", ACME_AT_NEW_ORDER, 400, "\"Too many orders\"", ERR_PEER, "",
     "Too many orders"},
    {"an empty JSON string", ACME_AT_NEW_ORDER, 400, "\"\"", ERR_PEER, "", "HTTP 400"},
    {"a JSON list", ACME_AT_NEW_ORDER, 400, "[1,2]", ERR_PEER, "", "HTTP 400: [1,2]"},
    {"an empty object", ACME_AT_NEW_ORDER, 400, "{}", ERR_PEER, "", "HTTP 400 without"},
    {"plain text", ACME_AT_ORDER, 502, "upstream gone", ERR_TRANSIENT, "",
     "HTTP 502: upstream gone"},
    {"no status", ACME_AT_ACCOUNT, 400, "{\"type\":\"" ACME "malformed\",\"detail\":\"x y\"}",
     ERR_PEER, "malformed", "x y"},
    {"no type", ACME_AT_ACCOUNT, 403, "{\"detail\":\"nope\"}", ERR_TRANSIENT, "", "nope"},
    {"about:blank", ACME_AT_ACCOUNT, 400, "{\"type\":\"about:blank\",\"title\":\"Bad\"}", ERR_PEER,
     "", "Bad"},
    {"a type and no detail", ACME_AT_ACCOUNT, 400, "{\"type\":\"" ACME "tls\"}", ERR_PEER, "tls",
     "tls"},
    {"wrong types of members", ACME_AT_ACCOUNT, 400,
     "{\"type\":17,\"detail\":[],\"status\":\"x\",\"subproblems\":\"y\"}", ERR_PEER, "",
     "HTTP 400"},
    {"the old prefix", ACME_AT_NEW_ORDER, 400, "{\"type\":\"urn:acme:error:badNonce\"}",
     ERR_TRANSIENT, "badNonce", "badNonce"},
    {"a foreign type", ACME_AT_NEW_ORDER, 400,
     "{\"type\":\"https://ca.test/errors/17\",\"detail\":\"d\"}", ERR_PEER,
     "https://ca.test/errors/17", "d"},
    {"sub-problems", ACME_AT_NEW_ORDER, 403,
     "{\"type\":\"" ACME "rejectedIdentifier\",\"detail\":\"several\",\"subproblems\":["
     "{\"type\":\"" ACME "caa\",\"detail\":\"CAA says no\",\"identifier\":{\"type\":\"dns\","
     "\"value\":\"a.example\"}},{\"detail\":\"bad\",\"identifier\":{\"value\":\"b.example\"}},17]}",
     ERR_DENIED, "rejectedIdentifier", "several; a.example: CAA says no; b.example: bad"},
    {"only sub-problems", ACME_AT_NEW_ORDER, 400,
     "{\"type\":\"" ACME "compound\",\"subproblems\":[{\"detail\":\"bad\"}]}", ERR_PEER, "compound",
     "a name: bad"},
    {"control characters", ACME_AT_ORDER, 400, "{\"detail\":\"\\u001b[2Jx\\r\\nwarning: y\"}",
     ERR_PEER, "", "\\x1b[2Jx\\x0d\\x0awarning: y"},
    {"not implemented", ACME_AT_ACCOUNT, 501, "{\"type\":\"" ACME "rejectedIdentifier\"}", ERR_PEER,
     "rejectedIdentifier", ""},
    {"the terms have changed", ACME_AT_FINALIZE, 403,
     "{\"type\":\"" ACME
     "userActionRequired\",\"detail\":\"t\",\"instance\":\"https://ca.test/t\"}",
     ERR_DENIED, "userActionRequired", "t: see https://ca.test/t"},
    {"contact", ACME_AT_ACCOUNT, 400, "{\"type\":\"" ACME "invalidContact\",\"detail\":\"d\"}",
     ERR_CONFIG, "invalidContact", "check email"},
    {"mismatch at validation (smallstep)", ACME_AT_VALIDATION, 0,
     "{\"type\":\"" ACME "rejectedIdentifier\",\"detail\":\"keyAuthorization does not match\"}",
     ERR_TRANSIENT, "rejectedIdentifier", "does not match"},
    {"dns at validation", ACME_AT_VALIDATION, 0,
     "{\"type\":\"" ACME "dns\",\"detail\":\"SERVFAIL\"}", ERR_TRANSIENT, "dns", "SERVFAIL"},
    {"caa at validation", ACME_AT_VALIDATION, 0, "{\"type\":\"" ACME "caa\",\"detail\":\"c\"}",
     ERR_DENIED, "caa", "CAA records must allow"},
    {"unauthorized account", ACME_AT_NEW_ORDER, 403,
     "{\"type\":\"" ACME "unauthorized\",\"detail\":\"Account is not valid\"}", ERR_DENIED,
     "unauthorized", ""},
    {"a stranger's order", ACME_AT_ORDER, 403, "{\"type\":\"" ACME "unauthorized\"}", ERR_TRANSIENT,
     "unauthorized", ""},
    {"an odd success", ACME_AT_ORDER, 304, "", ERR_PEER, "", "redirection"},
};

static void run_case(void **state)
{
    const struct problem_case *c = *state;
    struct err e = ERR_INIT;

    if (c->where == ACME_AT_VALIDATION) {
        struct json *j = json_parse(c->body, strlen(c->body), &e);
        problem_from_json(&e, c->where, j);
        json_free(j);
    } else {
        problem_fill(&e, c->where, c->status, c->body, strlen(c->body), NULL);
    }
    if (e.cls != c->cls || !strstr(e.detail, c->detail))
        print_error("%s: %s\n", err_class_name(e.cls), e.detail);
    assert_int_equal(e.cls, c->cls);
    assert_string_equal(e.type, c->type);
    assert_non_null(strstr(e.detail, c->detail));
    assert_int_equal(e.http, c->status);
    assert_true(e.detail[0] != '\0');
}

static void test_long(void **state)
{
    struct buf b CLEANUP_BUF = {0};
    struct err e = ERR_INIT;

    (void)state;
    buf_init(&b, 1 << 20);
    buf_puts(&b, "{\"type\":\"");
    for (int i = 0; i < 5000; i++)
        buf_puts(&b, "y");
    buf_puts(&b, "\",\"detail\":\"");
    for (int i = 0; i < 50000; i++)
        buf_puts(&b, "x");
    buf_puts(&b, "\"}");
    problem_fill(&e, ACME_AT_ORDER, 400, buf_str(&b), b.len, NULL);
    assert_true(strlen(e.detail) > 300);
    assert_true(strlen(e.type) > 40);
    /* a body without an end, and one with NULs */
    problem_fill(&e, ACME_AT_ORDER, 400, "ab\0cd", 5, NULL);
    assert_non_null(strstr(e.detail, "ab\\x00cd"));
    problem_fill(&e, ACME_AT_NEW_ORDER, 301, "", 0, "https://x.test/\n\x1b");
    assert_non_null(strstr(e.detail, "https://x.test/\\x0a\\x1b"));
}

static void test_from_json_of_any_kind(void **state)
{
    static const char *const texts[] = {"null", "17", "[]", "\"boom\"", "{}", "true"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct err e = ERR_INIT;
        struct json *j = json_parse(texts[i], strlen(texts[i]), &e);
        problem_from_json(&e, ACME_AT_VALIDATION, j);
        assert_int_equal(e.cls, ERR_TRANSIENT);
        assert_true(e.detail[0] != '\0');
        json_free(j);
    }
}

static void test_retry_after(void **state)
{
    const struct http_header h[] = {{"retry-after", "120"}};
    struct http_reply r = {.status = 503, .body = "", .headers = h, .n_headers = 1};
    struct err e = ERR_INIT;

    (void)state;
    problem_from_reply(&e, ACME_AT_ORDER, &r, 1000000);
    assert_int_equal(e.cls, ERR_RATE_LIMITED);
    assert_int_equal(e.retry_at, 1000000 + 120000);
    r.n_headers = 0;
    problem_from_reply(&e, ACME_AT_ORDER, &r, 1000000);
    assert_int_equal(e.cls, ERR_TRANSIENT);
    assert_int_equal(e.retry_at, 0);
    r.status = 500;
    r.n_headers = 1;
    problem_from_reply(&e, ACME_AT_ORDER, &r, 1000000);
    assert_int_equal(e.cls, ERR_TRANSIENT);
    assert_int_equal(e.retry_at, 1120000);
}

static void check_retry(enum err_class cls, int http, int64_t wait, const int64_t *delays)
{
    struct retry r = {0};
    struct err e = {.cls = cls, .http = http, .retry_at = wait ? 5000 + wait : 0};
    int64_t delay;

    for (; *delays; delays++) {
        assert_true(retry_next(&r, &e, 5000, NULL, &delay));
        assert_int_equal(delay, *delays);
    }
    assert_false(retry_next(&r, &e, 5000, NULL, &delay));
}

static void test_retry(void **state)
{
    static const int64_t none[] = {0}, faults[] = {1000, 2000, 4000, 0},
                         asked[] = {3000, 3000, 4000, 0}, waits[] = {30000, 30000, 30000, 0},
                         least[] = {1000, 1000, 1000, 0};

    (void)state;
    check_retry(ERR_TRANSIENT, 0, 0, faults);
    check_retry(ERR_TRANSIENT, 500, 0, faults);
    check_retry(ERR_TRANSIENT, 408, 0, faults);
    check_retry(ERR_TRANSIENT, 500, 3000, asked);
    check_retry(ERR_TRANSIENT, 500, 61000, none);
    check_retry(ERR_TRANSIENT, 409, 0, none);
    check_retry(ERR_TRANSIENT, 403, 0, none);
    check_retry(ERR_RATE_LIMITED, 429, 30000, waits);
    check_retry(ERR_RATE_LIMITED, 429, 5, least);
    check_retry(ERR_RATE_LIMITED, 429, 60001, none);
    check_retry(ERR_RATE_LIMITED, 429, 0, none);
    check_retry(ERR_DENIED, 403, 0, none);
    check_retry(ERR_CONFIG, 400, 0, none);
    check_retry(ERR_PEER, 400, 0, none);
    check_retry(ERR_LOCAL, 0, 0, none);
}

int main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(cases) + 4] = {
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_from_json_of_any_kind),
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_retry),
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        tests[4 + i] = (struct CMUnitTest){
            .name = cases[i].name, .test_func = run_case, .initial_state = (void *)&cases[i]};
    return _cmocka_run_group_tests("problems", tests, ARRAY_LEN(tests), NULL, NULL);
}
