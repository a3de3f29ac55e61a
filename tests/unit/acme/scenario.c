/* SPDX-License-Identifier: ISC */
#include "scenario.h"

#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void set_up(const struct scenario *s, struct fake *f, struct run *r)
{
    const char *names[NAMES] = {"example.org"};
    size_t n = 1;

    fake_init(f);
    f->rules = s->rules;
    f->n_rules = ARRAY_LEN(s->rules);
#define MANNER(x)                                                                                  \
    if (s->ca.x)                                                                                   \
    f->x = s->ca.x
    MANNER(meta);
    MANNER(no_ari);
    MANNER(start);
    MANNER(authz_start);
    MANNER(authz_end);
    MANNER(chall_status);
    MANNER(challenges);
    MANNER(fin_status);
    MANNER(reads_to_ready);
    MANNER(reads_to_valid);
    MANNER(no_wildcard_flag);
    MANNER(no_authzs);
    MANNER(page);
#undef MANNER
    if (s->names[0]) {
        for (n = 0; n < NAMES && s->names[n]; n++)
            names[n] = s->names[n];
    }
    for (size_t i = 0; i < NAMES; i++)
        f->names[i] = s->ca.names[0] ? s->ca.names[i] : i < n ? names[i] : NULL;
    run_init(r, f, names, n);
    if (s->profile)
        r->conf->certs->profile = (char *)s->profile;
    r->conf->certs->profile_or_default = s->or_default;
    r->conf->cas->agree_tos = !s->no_terms_agreed;
    if (s->preferred)
        r->conf->cas->preferred_chain = (char *)s->preferred;
    r->publish_ms = s->publish_ms;
}

/* An order that was begun in another life. */
static void plant_order(const struct scenario *s, struct fake *f)
{
    f->orders = xcalloc(1, sizeof(*f->orders));
    f->n_orders = 1;
    f->orders->status = s->resume;
    while (f->orders->names < NAMES && f->names[f->orders->names])
        f->orders->authz[f->orders->names++] = str_eq(s->resume, "pending")   ? "pending"
                                               : str_eq(s->resume, "invalid") ? "invalid"
                                                                              : "valid";
    f->accounts_made = 1;
    free(f->account);
    f->account = xstrdup("https://ca.test/acct/1");
}

static void begin(const struct scenario *s, struct fake *f, struct run *r)
{
    set_up(s, f, r);
    if (s->resume)
        plant_order(s, f);
    run_start(r, s->resume ? "https://ca.test/order/0" : "", s->replaces);
}

static void check_failure(const struct scenario *s, const struct run *r)
{
    char text[800];

    err_text(&r->err, text, sizeof(text));
    if (r->err.cls != s->cls)
        print_error("class %s: %s\n", err_class_name(r->err.cls), text);
    assert_int_equal(r->err.cls, s->cls);
    if (s->type)
        assert_string_equal(r->err.type, s->type);
    if (s->detail && !strstr(text, s->detail)) {
        print_error("detail: %s\n", text);
        fail();
    }
    if (s->cls != ERR_NONE) {
        assert_true(r->err.activity[0] != '\0');
        assert_int_equal(r->resumable, s->resumable);
    }
}

static void run_scenario(void **state)
{
    const struct scenario *s = *state;
    struct fake f;
    struct run r;
    int64_t took;

    begin(s, &f, &r);
    took = -fake_now(&f);
    fake_run(&f, 0);
    took += fake_now(&f);
    if (r.done != 1)
        print_error("not done: %s | %s\n", buf_str(&f.log), r.progress);
    assert_int_equal(r.done, 1);
    assert_int_equal(r.late, 0);
    check_failure(s, &r);
    if (s->log)
        assert_string_equal(buf_str(&f.log), s->log);
    if (s->progress && !strstr(r.progress, s->progress)) {
        print_error("progress: %s\n", r.progress);
        fail();
    }
    assert_int_equal(r.answered, r.challenges);
    assert_true(r.challenges <= 1);
    if (s->challenges >= 0)
        assert_int_equal(r.n_challenges, s->challenges);
    if (took > (s->max_ms ? s->max_ms : 60000) || took < s->min_ms) {
        print_error("took %lld ms: %s\n", (long long)took, buf_str(&f.log));
        fail();
    }
    assert_int_equal(f.last_flags, s->flags);
    if (s->cls == ERR_NONE) {
        assert_true(str_starts(r.pem, "-----BEGIN CERTIFICATE-----\n"));
        assert_string_equal(r.account, s->account ? s->account : "https://ca.test/acct/1");
    }
    run_done(&r);
    fake_done(&f);
}

int scenarios_run(const char *name, const struct scenario *s, size_t n)
{
    struct CMUnitTest *tests = xcalloc(n, sizeof(*tests));
    int rc;

    for (size_t i = 0; i < n; i++) {
        tests[i].name = s[i].name;
        tests[i].test_func = run_scenario;
        tests[i].initial_state = (void *)&s[i];
    }
    rc = _cmocka_run_group_tests(name, tests, n, NULL, NULL);
    free(tests);
    return rc;
}
