/* SPDX-License-Identifier: ISC */
/* Freeing an order at any moment: after every step of the loop, in every callback. The fakes abort
 * when calls, timers or deferred functions are left; the sanitizer tells the rest. */
#include "run.h"

#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct rule rough[] = {
    {.at = DIR, .from = 1, .status = 500},
    {.at = NONCE, .from = 1, .status = 500, .no_nonce = true},
    {.at = NEW, .from = 1, .status = 400, .type = "badNonce", .detail = "x"},
    {.at = NEW, .from = 2, .status = 400, .type = "accountDoesNotExist", .detail = "x"},
    {.at = ACCT, .from = 2, .to = 9, .status = 201, .header = "Location: https://ca.test/acct/2"},
    {.at = CHALL, .from = 1, .status = 400, .type = "malformed", .effect = true},
    {.at = ORDER, .from = 2, .status = 503, .header = "Retry-After: 3"},
    {.at = FIN, .from = 1, .status = 504, .effect = true},
};

struct shape {
    const char *name;
    const struct rule *rules;
    size_t n_rules;
    bool replaces;
    const char *authz_end;
};
static const struct shape shapes[] = {
    {"smooth", NULL, 0, false, NULL},
    {"rough", rough, ARRAY_LEN(rough), true, NULL},
    {"invalid", NULL, 0, false, "invalid"},
    {"stuck", NULL, 0, false, "pending"},
};
static const char *const names[] = {"example.org", "*.example.org"};

static void begin(const struct shape *s, struct fake *f, struct run *r)
{
    fake_init(f);
    f->rules = s->rules;
    f->n_rules = s->n_rules;
    f->authz_end = s->authz_end;
    f->names[0] = names[0];
    f->names[1] = names[1];
    run_init(r, f, names, 2);
    run_start(r, "", s->replaces);
}

static void end(struct fake *f, struct run *r)
{
    fake_run(f, 0);
    assert_int_equal(r->late, 0);
    run_done(r);
    fake_done(f);
}

static void test_free_after_every_step(void **state)
{
    const struct shape *s = *state;

    for (int steps = 1;; steps++) {
        struct fake f;
        struct run r;

        begin(s, &f, &r);
        bool over = fake_run(&f, steps) < steps;
        run_free_order(&r);
        end(&f, &r);
        if (over)
            break;
    }
}

/* In the n-th call of one of the callbacks. */
static void test_free_in_every_callback(void **state)
{
    const struct shape *s = *state;
    static const enum moment moments[] = {M_CREATED, M_CHALLENGES, M_ANSWERED, M_PROGRESS, M_DONE};

    for (size_t m = 0; m < ARRAY_LEN(moments); m++) {
        for (int skip = 0; skip < 20; skip++) {
            struct fake f;
            struct run r;

            begin(s, &f, &r);
            r.free_at = moments[m];
            r.free_skip = skip;
            end(&f, &r);
        }
    }
}

/* The CA's table goes first, or a new configuration comes in between. */
static void test_reconfigure_after_every_step(void **state)
{
    const struct shape *s = *state;

    for (int steps = 1;; steps++) {
        struct fake f;
        struct run r;
        static char other[] = "https://ca.test/dir?2";

        begin(s, &f, &r);
        bool over = fake_run(&f, steps) < steps;
        struct conf *next = fake_conf(names, 2);
        if (steps % 3 == 0)
            next->cas->directory = other;
        if (steps % 3 == 1)
            next->n_cas = 0;
        acme_configure(r.acme, next);
        conf_unref(next);
        fake_run(&f, 0);
        assert_int_equal(r.done, 1);
        end(&f, &r);
        if (over)
            break;
    }
}

static void ari_done(void *arg, const struct acme_ari *ari, const struct err *err)
{
    (void)ari;
    (void)err;
    ++*(int *)arg;
}

static void test_ari_cancel_after_every_step(void **state)
{
    (void)state;
    for (int steps = 1; steps < 40; steps++) {
        static const struct rule flaky[] = {{.at = DIR, .from = 1, .status = 500},
                                            {.at = ARI, .from = 1, .to = 2, .status = 500}};
        struct fake f;
        struct run r;
        int calls = 0;

        fake_init(&f);
        f.rules = flaky;
        f.n_rules = ARRAY_LEN(flaky);
        run_init(&r, &f, names, 2);
        struct acme_call *c = acme_ari_get(r.acme, "test", "a.b", ari_done, &calls);
        fake_run(&f, steps);
        int before = calls;
        if (!calls)
            acme_call_cancel(c);
        fake_run(&f, 0);
        assert_int_equal(calls, before);
        run_done(&r);
        fake_done(&f);
    }
}

static void test_keeper_fails(void **state)
{
    (void)state;
    for (int steps = 1; steps < 120; steps++) {
        struct fake f;
        struct run r;

        begin(&shapes[0], &f, &r);
        fake_run(&f, steps);
        f.keeper_fails = true;
        fake_run(&f, 0);
        assert_int_equal(r.done, 1);
        if (r.err.cls) {
            assert_int_equal(r.err.cls, ERR_LOCAL);
            assert_int_equal(r.resumable, r.created > 0);
        }
        end(&f, &r);
    }
}

int main(void)
{
    struct CMUnitTest tests[3 * ARRAY_LEN(shapes) + 2];
    size_t n = 0;

    memset(tests, 0, sizeof(tests));
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
        void *shape = (void *)&shapes[i];
        tests[n++] = (struct CMUnitTest){"free after every step", test_free_after_every_step, NULL,
                                         NULL, shape};
        tests[n++] = (struct CMUnitTest){"free in every callback", test_free_in_every_callback,
                                         NULL, NULL, shape};
        tests[n++] = (struct CMUnitTest){"reconfigure after every step",
                                         test_reconfigure_after_every_step, NULL, NULL, shape};
    }
    tests[n++] = (struct CMUnitTest){.name = "cancel renewal information after every step",
                                     .test_func = test_ari_cancel_after_every_step};
    tests[n++] = (struct CMUnitTest){.name = "keeper fails after every step",
                                     .test_func = test_keeper_fails};
    return _cmocka_run_group_tests("freeing", tests, n, NULL, NULL);
}
