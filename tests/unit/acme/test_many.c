/* SPDX-License-Identifier: ISC */
/* Many orders at once: nonces, one directory, one account, the CA's places. */
#include "run.h"

#include "acme/nonce.h"
#include "acme/server.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static const char *const name[] = {"example.org"};

struct many {
    struct fake f;
    struct run *runs;
    int n;
};

/* All orders are of one configuration, so that they share the CA; runs[0] owns it. */
static void begin(struct many *m, int n, unsigned max_orders)
{
    fake_init(&m->f);
    m->n = n;
    m->runs = xcalloc((size_t)n, sizeof(*m->runs));
    run_init(&m->runs[0], &m->f, name, 1);
    if (max_orders) {
        m->runs[0].conf->cas->max_orders = max_orders;
        acme_configure(m->runs[0].acme, m->runs[0].conf);
    }
    for (int i = 0; i < n; i++) {
        m->runs[i].f = &m->f;
        m->runs[i].acme = m->runs[0].acme;
        m->runs[i].conf = m->runs[0].conf;
        run_start(&m->runs[i], "", false);
    }
}

static void end(struct many *m)
{
    for (int i = m->n - 1; i > 0; i--) {
        acme_order_free(m->runs[i].order);
        free(m->runs[i].pem);
    }
    run_done(&m->runs[0]);
    fake_done(&m->f);
    free(m->runs);
}

static void check_all(const struct many *m)
{
    for (int i = 0; i < m->n; i++) {
        assert_int_equal(m->runs[i].done, 1);
        assert_int_equal(m->runs[i].err.cls, ERR_NONE);
    }
}

static void test_hundred(void **state)
{
    struct many m;
    int64_t took;

    (void)state;
    begin(&m, 100, 0);
    took = -fake_now(&m.f);
    fake_run(&m.f, 0);
    took += fake_now(&m.f);
    check_all(&m);
    assert_int_equal(m.f.counts[DIR], 1);
    assert_int_equal(m.f.counts[ACCT], 1);
    assert_int_equal(m.f.counts[NEW], 100);
    assert_int_equal(m.f.counts[AUTHZ], 100);
    assert_int_equal(m.f.counts[CHALL], 100);
    assert_int_equal(m.f.counts[FIN], 100);
    assert_int_equal(m.f.counts[CERT], 100);
    /* not one nonce in turn for all, and not one HEAD for each request */
    assert_true(m.f.most_posts >= 10);
    assert_true(m.f.counts[NONCE] <= 10 + took / 100);
    /* two waits (0.25 s, 0.5 s) and some round trips of 10 ms */
    print_message("%lld ms, %d HEADs, %d POSTs at once\n", (long long)took, m.f.counts[NONCE],
                  m.f.most_posts);
    assert_true(took < 3000);
    end(&m);
}

/* A CA far away: what circulates grows, so that a hundred orders take seconds, not minutes. */
static void test_far_away(void **state)
{
    struct many m;
    int64_t took;

    (void)state;
    begin(&m, 100, 0);
    m.f.latency_ms = 150;
    took = -fake_now(&m.f);
    fake_run(&m.f, 0);
    took += fake_now(&m.f);
    check_all(&m);
    print_message("%lld ms, %d HEADs, %d POSTs at once\n", (long long)took, m.f.counts[NONCE],
                  m.f.most_posts);
    assert_true(took < 9000);
    assert_true(m.f.counts[NONCE] <= 10 + took / 100);
    end(&m);
}

static void test_cost(void **state)
{
    struct many m;
    struct timespec a, b;

    (void)state;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
    begin(&m, 1000, 100000);
    fake_run(&m.f, 0);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
    double us =
        ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / 1e3 / 1000;
    print_message("%.0f us of CPU an order, the fake CA and keeper with it\n", us);
    check_all(&m);
#ifndef RENEWD_SANITIZE
    assert_true(us < 5000);
#endif
    end(&m);
}

static void status(void *arg, const struct acme_ca_status *s)
{
    *(struct acme_ca_status *)arg = *s;
}

static void test_places(void **state)
{
    struct many m;
    struct acme_ca_status s;
    int running = 0;

    (void)state;
    begin(&m, 12, 5);
    for (int i = 0; i < m.n; i++)
        m.runs[i].idle = true; /* stay with the created order */
    fake_run(&m.f, 0);
    assert_int_equal(m.f.counts[NEW], 5);
    acme_status(m.runs[0].acme, status, &s);
    assert_string_equal(s.name, "test");
    assert_string_equal(s.directory, "https://ca.test/dir");
    assert_int_equal(s.orders_running, 5);
    assert_true(s.has_ari);
    for (int i = 0; i < m.n; i++)
        running += m.runs[i].created;
    assert_int_equal(running, 5);
    assert_string_equal(m.runs[11].progress, "[ACCOUNT] waiting: 5 orders are running at test");
    /* one place comes free, one that waits goes away */
    run_free_order(&m.runs[0]);
    run_free_order(&m.runs[6]);
    fake_run(&m.f, 0);
    assert_int_equal(m.f.counts[NEW], 6);
    assert_int_equal(m.runs[5].created, 1);
    assert_int_equal(m.runs[6].created, 0);
    for (int i = 0; i < m.n; i++) {
        m.runs[i].idle = false;
        if (m.runs[i].created && m.runs[i].order)
            acme_order_continue(m.runs[i].order);
    }
    fake_run(&m.f, 0);
    assert_int_equal(m.f.counts[NEW], 11);
    acme_status(m.runs[0].acme, status, &s);
    assert_int_equal(s.orders_running, 0);
    end(&m);
}

static void test_max_orders_grows(void **state)
{
    struct many m;

    (void)state;
    begin(&m, 12, 5);
    for (int i = 0; i < m.n; i++)
        m.runs[i].idle = true;
    fake_run(&m.f, 0);
    m.runs[0].conf->cas->max_orders = 9;
    acme_configure(m.runs[0].acme, m.runs[0].conf);
    fake_run(&m.f, 0);
    assert_int_equal(m.f.counts[NEW], 9);
    end(&m);
}

/* A lost account is looked for once, whoever notices. */
static void test_account_lost_by_all(void **state)
{
    static const struct rule rules[] = {
        {.at = ACCT, .from = 2, .status = 201, .header = "Location: https://ca.test/acct/2"}};
    struct many m;

    (void)state;
    begin(&m, 50, 0);
    m.f.rules = rules;
    m.f.n_rules = 1;
    m.f.lost_account = "https://ca.test/acct/1";
    fake_run(&m.f, 0);
    check_all(&m);
    assert_int_equal(m.f.counts[ACCT], 2);
    assert_string_equal(m.f.account, "https://ca.test/acct/2");
    end(&m);
}

static void test_unknown_ca(void **state)
{
    struct many m;
    static char other[] = "other";

    (void)state;
    begin(&m, 1, 0);
    m.runs[0].conf->cas->name = other;
    acme_configure(m.runs[0].acme, m.runs[0].conf);
    acme_order_free(m.runs[0].order);
    run_start(&m.runs[0], "", false);
    assert_int_equal(m.runs[0].done, 0);
    fake_run(&m.f, 0);
    assert_int_equal(m.runs[0].done, 1);
    assert_int_equal(m.runs[0].err.cls, ERR_CONFIG);
    end(&m);
}

static void test_directory_daily(void **state)
{
    struct many m;
    struct timer t = {0};

    (void)state;
    begin(&m, 1, 0);
    fake_run(&m.f, 0);
    assert_int_equal(m.f.counts[DIR], 1);
    for (int day = 0; day < 3; day++) {
        timer_after(m.f.loop, &t, 25 * 3600 * 1000LL, (void (*)(void *))free, NULL);
        fake_run(&m.f, 0);
        acme_order_free(m.runs[0].order);
        free(m.runs[0].pem);
        m.runs[0].done = 0;
        run_start(&m.runs[0], "", false);
        fake_run(&m.f, 0);
        assert_int_equal(m.runs[0].err.cls, ERR_NONE);
        assert_int_equal(m.f.counts[DIR], 2 + day);
        if (day == 1) { /* the next refresh fails: the old one serves */
            static const struct rule away[] = {{.at = DIR, .status = 500}};
            m.f.rules = away;
            m.f.n_rules = 1;
            timer_after(m.f.loop, &t, 25 * 3600 * 1000LL, (void (*)(void *))free, NULL);
            fake_run(&m.f, 0);
            acme_order_free(m.runs[0].order);
            free(m.runs[0].pem);
            m.runs[0].done = 0;
            run_start(&m.runs[0], "", false);
            fake_run(&m.f, 0);
            assert_int_equal(m.runs[0].err.cls, ERR_NONE);
            break;
        }
    }
    end(&m);
}

/* It says for how long: nobody asks again before, but for once in ten minutes. */
static void test_directory_left_alone(void **state)
{
    static const struct rule away[] = {{.at = DIR, .status = 503, .header = "Retry-After: 3600"}};
    struct many m;
    struct timer t = {0};

    (void)state;
    begin(&m, 5, 1);
    m.f.rules = away;
    m.f.n_rules = 1;
    fake_run(&m.f, 0);
    for (int i = 0; i < m.n; i++) {
        assert_int_equal(m.runs[i].done, 1);
        assert_int_equal(m.runs[i].err.cls, ERR_RATE_LIMITED);
        assert_true(m.runs[i].err.retry_at > loop_wall_ms(m.f.loop) + 3500 * 1000LL);
    }
    assert_int_equal(m.f.counts[DIR], 1);
    timer_after(m.f.loop, &t, 11 * 60 * 1000LL, (void (*)(void *))free, NULL);
    fake_run(&m.f, 0);
    m.f.n_rules = 0;
    acme_order_free(m.runs[0].order);
    err_clear(&m.runs[0].err);
    m.runs[0].done = 0;
    run_start(&m.runs[0], "", false);
    fake_run(&m.f, 0);
    assert_int_equal(m.runs[0].err.cls, ERR_NONE);
    assert_int_equal(m.f.counts[DIR], 2);
    end(&m);
}

/* --- the pool by itself --- */

static void take(void *arg, const char *nonce, const struct err *err)
{
    char *out = arg;

    str_copy(out, 64, nonce ? nonce : err->detail);
}

static void test_pool(void **state)
{
    struct many m;
    char out[NONCE_SIZE], text[32], waited[2][64] = {"", ""};
    struct timer t = {0};
    struct list servers;

    (void)state;
    begin(&m, 0 + 1, 0);
    fake_run(&m.f, 0);
    list_init(&servers);
    struct acme_env env = {
        .loop = m.f.loop, .http = m.f.http, .keeper = &m.f.keeper, .rng = &m.f.rng};
    struct server *s = server_get(&servers, &env, m.runs[0].conf->cas);
    assert_ptr_equal(server_get(&servers, &env, m.runs[0].conf->cas), s);
    server_unref(s);

    assert_false(nonce_take(&s->nonces, out));
    for (int i = 0; i < NONCE_POOL + 5; i++) {
        snprintf(text, sizeof(text), "n%d", i);
        nonce_put(&s->nonces, text);
    }
    nonce_put(&s->nonces, NULL);
    nonce_put(&s->nonces, "");
    nonce_put(&s->nonces, "with space");
    nonce_put(&s->nonces, "p/l+s=");
    for (int i = NONCE_POOL + 4; i >= 5; i--) { /* the last ones, newest first */
        snprintf(text, sizeof(text), "n%d", i);
        assert_true(nonce_take(&s->nonces, out));
        assert_string_equal(out, text);
    }
    assert_false(nonce_take(&s->nonces, out));

    nonce_put(&s->nonces, "old");
    timer_after(m.f.loop, &t, 301000, (void (*)(void *))free, NULL);
    fake_run(&m.f, 0);
    assert_false(nonce_take(&s->nonces, out));

    struct nonce_wait a = {0}, b = {0};
    int heads = m.f.counts[NONCE];
    nonce_wait(&s->nonces, &a, take, waited[0]);
    nonce_wait(&s->nonces, &b, take, waited[1]);
    nonce_put(&s->nonces, "first");
    assert_string_equal(waited[0], "first");
    nonce_wait_cancel(&b);
    fake_run(&m.f, 0);
    assert_string_equal(waited[1], "");
    assert_true(m.f.counts[NONCE] - heads <= 2);
    server_unref(s);
    end(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hundred),
        cmocka_unit_test(test_far_away),
        cmocka_unit_test(test_cost),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_max_orders_grows),
        cmocka_unit_test(test_account_lost_by_all),
        cmocka_unit_test(test_unknown_ca),
        cmocka_unit_test(test_directory_daily),
        cmocka_unit_test(test_directory_left_alone),
        cmocka_unit_test(test_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
