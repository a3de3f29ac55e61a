/* SPDX-License-Identifier: ISC */
/* Renewal information, RFC 9773. */
#include "run.h"

#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define WINDOW(a, b) "{\"suggestedWindow\":{\"start\":\"" a "\",\"end\":\"" b "\"}"
#define GOOD WINDOW("2027-01-02T04:00:00Z", "2027-01-03T04:00:00Z")

struct heard {
    int n;
    struct acme_ari ari;
    char explanation[600];
    struct err err;
};

static const struct ari_case {
    const char *name;
    struct rule rules[3];
    bool no_ari;
    const char *ca, *id;
    /* expected */
    bool unsupported, window;
    int64_t retry_ms; /* after the answer; 0: not looked at */
    enum err_class cls;
    const char *explanation;
    const char *log;
} cases[] = {
    {.name = "usual",
     .window = true,
     .retry_ms = 21600000,
     .explanation = "https://ca.test/why",
     .log = "dir ari"},
    {.name = "no renewal information", .no_ari = true, .unsupported = true, .log = "dir"},
    {.name = "no Retry-After: six hours",
     .rules = {{.at = ARI, .status = 200, .body = GOOD "}"}},
     .window = true,
     .retry_ms = 21600000},
    {.name = "Retry-After too short",
     .rules = {{.at = ARI, .status = 200, .body = GOOD "}", .header = "Retry-After: 1"}},
     .window = true,
     .retry_ms = 60000},
    {.name = "Retry-After too long",
     .rules = {{.at = ARI, .status = 200, .body = GOOD "}", .header = "Retry-After: 99999999"}},
     .window = true,
     .retry_ms = 86400000},
    {.name = "explanation with control characters",
     .rules = {{.at = ARI,
                .status = 200,
                .body = GOOD ",\"explanationURL\":\"https://x/\\u001b[2J\"}"}},
     .window = true,
     .explanation = ""},
    {.name = "explanation that is a script",
     .rules = {{.at = ARI,
                .status = 200,
                .body = GOOD ",\"explanationURL\":\"javascript:alert(1)\"}"}},
     .window = true,
     .explanation = ""},
    {.name = "window of no length",
     .rules = {{.at = ARI,
                .status = 200,
                .body = WINDOW("2027-01-02T04:00:00Z", "2027-01-02T04:00:00Z") "}"}},
     .cls = ERR_PEER,
     .retry_ms = 21600000},
    {.name = "window the wrong way round",
     .rules = {{.at = ARI,
                .status = 200,
                .body = WINDOW("2027-01-02T04:00:00Z", "2027-01-02T05:00:00+02:00") "}"}},
     .cls = ERR_PEER,
     .retry_ms = 21600000},
    {.name = "window that is no time",
     .rules = {{.at = ARI, .status = 200, .body = WINDOW("tomorrow", "2027-01-02T05:00:00Z") "}"}},
     .cls = ERR_PEER,
     .retry_ms = 21600000},
    {.name = "no window",
     .rules = {{.at = ARI, .status = 200, .body = "{}"}},
     .cls = ERR_PEER,
     .retry_ms = 21600000},
    {.name = "no JSON",
     .rules = {{.at = ARI, .status = 200, .body = "<html>"}},
     .cls = ERR_PEER,
     .retry_ms = 21600000},
    {.name = "not found",
     .rules = {{.at = ARI, .status = 404, .type = "malformed"}},
     .cls = ERR_PEER,
     .retry_ms = 21600000,
     .log = "dir ari"},
    {.name = "away for a moment",
     .rules = {{.at = ARI, .from = 1, .to = 2, .status = 502}},
     .window = true,
     .log = "dir ari ari ari"},
    {.name = "away",
     .rules = {{.at = ARI, .status = 500}},
     .cls = ERR_TRANSIENT,
     .retry_ms = 21600000,
     .log = "dir ari ari ari ari"},
    {.name = "no connection", .rules = {{.at = ARI}}, .cls = ERR_TRANSIENT, .retry_ms = 21600000},
    {.name = "limited",
     .rules = {{.at = ARI, .status = 429, .header = "Retry-After: 7200"}},
     .cls = ERR_RATE_LIMITED,
     .retry_ms = 7200000,
     .log = "dir ari"},
    {.name = "no directory",
     .rules = {{.at = DIR, .status = 500}},
     .cls = ERR_TRANSIENT,
     .retry_ms = 21600000},
    {.name = "redirect",
     .rules = {{.at = ARI, .status = 302, .header = "Location: http://x/"}},
     .cls = ERR_PEER,
     .retry_ms = 21600000},
    {.name = "no certID", .id = "", .cls = ERR_LOCAL, .log = ""},
    {.name = "certID with a slash", .id = "../../dir", .cls = ERR_LOCAL, .log = ""},
    {.name = "no such CA", .ca = "other", .cls = ERR_CONFIG, .log = ""},
};

static void done(void *arg, const struct acme_ari *ari, const struct err *err)
{
    struct heard *h = arg;

    h->n++;
    h->ari = *ari;
    str_copy(h->explanation, sizeof(h->explanation), ari->explanation);
    if (err)
        h->err = *err;
}

static void run_case(void **state)
{
    static const char *const names[] = {"example.org"};
    const struct ari_case *c = *state;
    struct fake f;
    struct run r;
    struct heard h = {0};

    fake_init(&f);
    f.no_ari = c->no_ari;
    f.rules = c->rules;
    f.n_rules = ARRAY_LEN(c->rules);
    run_init(&r, &f, names, 1);
    acme_ari_get(r.acme, c->ca ? c->ca : "test",
                 c->id ? c->id : "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE", done, &h);
    assert_int_equal(h.n, 0);
    fake_run(&f, 0);
    assert_int_equal(h.n, 1);
    assert_int_equal(h.err.cls, c->cls);
    assert_int_equal(h.ari.supported, !c->unsupported);
    assert_int_equal(h.ari.start_ms != 0, c->window);
    assert_int_equal(h.ari.end_ms > h.ari.start_ms, c->window);
    assert_true(h.ari.retry_at_ms >= fake_now(&f) + 60000);
    assert_true(h.ari.retry_at_ms <= fake_now(&f) + 86400000);
    if (c->retry_ms)
        assert_int_equal(h.ari.retry_at_ms - fake_now(&f), c->retry_ms);
    if (c->explanation)
        assert_string_equal(h.explanation, c->explanation);
    if (c->log)
        assert_string_equal(buf_str(&f.log), c->log);
    if (c->cls)
        assert_true(h.err.detail[0] && h.err.activity[0]);
    if (!strcmp(c->name, "usual")) { /* a fraction and an offset */
        assert_int_equal(h.ari.start_ms, 1798862400500);
        assert_int_equal(h.ari.end_ms, 1798948800000);
    }
    run_done(&r);
    fake_done(&f);
}

int main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(cases)];

    memset(tests, 0, sizeof(tests));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        tests[i] = (struct CMUnitTest){
            .name = cases[i].name, .test_func = run_case, .initial_state = (void *)&cases[i]};
    return _cmocka_run_group_tests("renewal information", tests, ARRAY_LEN(tests), NULL, NULL);
}
