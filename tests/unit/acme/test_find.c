/* SPDX-License-Identifier: ISC */
/* Orders that the CA has and whose URL never reached us. */
#include "run.h"

#include "acme/orders.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define REST " order authz chall order fin order cert" /* begins with the resumption */
#define NEWLY " new authz chall order fin order cert"

struct planted {
    const char *status, *other, *profile;
};
struct row {
    const char *name;
    struct planted orders[8];
    int page; /* 0: the CA has no list */
    struct rule rules[4];
    const char *profile;
    bool or_default;
    const char *log;
    int found; /* -1: a new one */
    enum err_class cls;
};

static const struct row rows[] = {
    {"found", {{.status = "pending"}}, 3, .log = "dir nonce obj list order" REST, .found = 0},
    {"found ready",
     {{.status = "ready"}},
     3,
     .log = "dir nonce obj list order order fin order cert",
     .found = 0},
    {"the newest of them",
     {{.status = "pending"}, {.status = "pending"}},
     3,
     .log = "dir nonce obj list order" REST,
     .found = 1},
    {"behind those of other names",
     {{.status = "invalid"},
      {.status = "pending"},
      {.status = "pending", .other = "other.test"},
      {.status = "ready", .other = "other.test"},
      {.status = "valid"}},
     9,
     .log = "dir nonce obj list order order order order" REST,
     .found = 1},
    {"on the third page",
     {{.status = "valid"},
      {.status = "valid"},
      {.status = "valid"},
      {.status = "valid"},
      {.status = "pending"}},
     2,
     .log = "dir nonce obj list list list order" REST,
     .found = 4},
    {"of other names only",
     {{.status = "pending", .other = "other.test"}},
     3,
     .log = "dir nonce obj list order" NEWLY,
     .found = -1},
    {"finished ones only",
     {{.status = "valid"}, {.status = "processing"}, {.status = "invalid"}},
     3,
     .log = "dir nonce obj list order order order" NEWLY,
     .found = -1},
    {"none", {{0}}, 3, .log = "dir nonce obj list" NEWLY, .found = -1},
    {"no list", {{.status = "pending"}}, 0, .log = "dir nonce obj" NEWLY, .found = -1},
    {"the account cannot be read",
     {{.status = "pending"}},
     3,
     .rules = {{.at = OBJ, .status = 405, .type = "malformed"}},
     .log = "dir nonce obj" NEWLY,
     .found = -1},
    {"the account is no account",
     {{.status = "pending"}},
     3,
     .rules = {{.at = OBJ, .status = 200, .body = "[1]"}},
     .log = "dir nonce obj" NEWLY,
     .found = -1},
    {"the account's orders are nowhere",
     {{.status = "pending"}},
     3,
     .rules = {{.at = OBJ, .status = 200, .body = "{\"orders\":\"http://ca.test/list/0\"}"}},
     .log = "dir nonce obj" NEWLY,
     .found = -1},
    {"404 for the list",
     {{.status = "pending"}},
     3,
     .rules = {{.at = LIST, .status = 404, .type = "malformed"}},
     .log = "dir nonce obj list" NEWLY,
     .found = -1},
    {"501 for the list",
     {{.status = "pending"}},
     3,
     .rules = {{.at = LIST, .status = 501}},
     .log = "dir nonce obj list" NEWLY,
     .found = -1},
    {"the list is no list",
     {{.status = "pending"}},
     3,
     .rules = {{.at = LIST, .status = 200, .body = "{\"orders\":{\"a\":1}}"}},
     .log = "dir nonce obj list" NEWLY,
     .found = -1},
    {"oddities in the list",
     {{.status = "pending"}},
     3,
     .rules = {{.at = LIST,
                .status = 200,
                .body = "{\"orders\":[\"https://ca.test/order/0\",7,null,\"http://x\"]}"}},
     .log = "dir nonce obj list order" REST,
     .found = 0},
    {"the pages go round",
     {{.status = "valid"}, {.status = "pending"}},
     1,
     .rules = {{.at = LIST,
                .from = 2,
                .usual = true,
                .header = "Link: <https://ca.test/list/0>;rel=\"next\""}},
     .log = "dir nonce obj list list order" REST,
     .found = 1},
    {"an order that is gone is passed over",
     {{.status = "pending"}, {.status = "pending"}},
     3,
     .rules = {{.at = ORDER, .from = 1, .status = 404, .type = "malformed"}},
     .log = "dir nonce obj list order order" REST,
     .found = 0},
    {"an order that cannot be read is passed over",
     {{.status = "pending"}, {.status = "pending"}},
     3,
     .rules = {{.at = ORDER, .from = 1, .status = 200, .body = "{\"status\":\"blue\"}"}},
     .log = "dir nonce obj list order order" REST,
     .found = 0},
    {"the list fails for a moment",
     {{.status = "pending"}},
     3,
     .rules = {{.at = LIST, .from = 1, .status = 500}},
     .log = "dir nonce obj list list order" REST,
     .found = 0},
    {"the list fails for good",
     {{.status = "pending"}},
     3,
     .rules = {{.at = LIST, .status = 500}},
     .log = "dir nonce obj list list list list",
     .cls = ERR_TRANSIENT},
    {"the CA is away",
     {{.status = "pending"}},
     3,
     .rules = {{.at = OBJ, .status = 0}},
     .log = "dir nonce obj nonce obj nonce obj nonce obj",
     .cls = ERR_TRANSIENT},
    {"the CA is slow beyond measure",
     {{.status = "valid"}, {.status = "valid"}},
     3,
     .rules = {{.at = OBJ, .from = 1, .to = 3, .status = 503, .header = "Retry-After: 59"},
               {.at = LIST, .from = 1, .to = 3, .status = 503, .header = "Retry-After: 59"},
               {.at = ORDER, .from = 1, .to = 3, .status = 503, .header = "Retry-After: 59"},
               {.at = ORDER, .from = 5, .to = 7, .status = 503, .header = "Retry-After: 59"}},
     .log = "dir nonce obj obj obj obj list list list list order order order order order order "
            "order order",
     .cls = ERR_TRANSIENT},
    {"no more requests for now",
     {{.status = "pending"}},
     3,
     .rules = {{.at = ORDER, .status = 429, .type = "rateLimited"}},
     .log = "dir nonce obj list order",
     .cls = ERR_RATE_LIMITED},
    {"of another profile",
     {{.status = "pending", .profile = "classic"}},
     3,
     .profile = "shortlived",
     .log = "dir nonce obj list order" NEWLY,
     .found = -1},
    {"of this profile",
     {{.status = "pending", .profile = "classic"}, {.status = "pending", .profile = "shortlived"}},
     3,
     .profile = "classic",
     .log = "dir nonce obj list order order" REST,
     .found = 0},
    {"the profile was not to be had",
     {{.status = "pending", .profile = "classic"}},
     3,
     .profile = "missing",
     .or_default = true,
     .log = "dir nonce obj list order" REST,
     .found = 0},
};

static void plant(struct fake *f, const struct planted *p)
{
    struct order *o;

    f->orders = xrealloc_array(f->orders, (size_t)f->n_orders + 1, sizeof(*f->orders));
    o = &f->orders[f->n_orders++];
    *o = (struct order){.status = p->status, .names = 1, .profile = p->profile};
    str_copy(o->other, sizeof(o->other), p->other ? p->other : "");
    o->authz[0] = str_eq(p->status, "pending") ? "pending" : "valid";
}

static void have_account(struct fake *f)
{
    f->accounts_made = 1;
    free(f->account);
    f->account = xstrdup("https://ca.test/acct/1");
}

static void run_row(void **state)
{
    static const char *const names[] = {"example.org"};
    const struct row *row = *state;
    struct fake f;
    struct run r;
    char url[64];
    int before;

    fake_init(&f);
    f.rules = row->rules;
    f.n_rules = ARRAY_LEN(row->rules);
    f.page = row->page;
    have_account(&f);
    for (size_t i = 0; i < ARRAY_LEN(row->orders) && row->orders[i].status; i++)
        plant(&f, &row->orders[i]);
    before = f.n_orders;
    run_init(&r, &f, names, 1);
    if (row->profile)
        r.conf->certs->profile = (char *)row->profile;
    r.conf->certs->profile_or_default = row->or_default;
    r.find = true;
    run_start(&r, "", false);
    fake_run(&f, 0);

    assert_string_equal(buf_str(&f.log), row->log);
    assert_int_equal(r.done, 1);
    assert_int_equal(r.err.cls, row->cls);
    if (row->cls == ERR_NONE) {
        snprintf(url, sizeof(url), "https://ca.test/order/%d",
                 row->found < 0 ? before : row->found);
        assert_string_equal(r.url, url);
        assert_int_equal(r.created, 1);
        assert_int_equal(f.n_orders, before + (row->found < 0));
    } else {
        assert_true(r.resumable); /* there may still be one */
        assert_int_equal(r.created, 0);
        assert_non_null(strstr(r.err.activity, "looking for "));
    }
    run_done(&r);
    fake_done(&f);
}

/* --- several --- */

#define MANY 100

struct many {
    struct fake f;
    struct run *runs;
    char names[MANY][32];
    struct conf_name name[MANY];
    struct conf_cert certs[MANY];
    int n;
};

static void start(struct many *m, int i, bool find)
{
    m->runs[i].find = find;
    m->runs[i].cert = &m->certs[i];
    run_start(&m->runs[i], "", false);
}

/* Each run has a certificate of its own, www0.test and so on; runs[0] owns the world. */
static void begin(struct many *m, int n, unsigned max_orders)
{
    static const char *const names[] = {"example.org"};

    fake_init(&m->f);
    have_account(&m->f);
    m->f.page = 50;
    m->f.by_cert = true;
    m->n = n;
    m->runs = xcalloc((size_t)n, sizeof(*m->runs));
    run_init(&m->runs[0], &m->f, names, 1);
    m->runs[0].conf->cas->max_orders = max_orders;
    acme_configure(m->runs[0].acme, m->runs[0].conf);
    for (int i = 0; i < n; i++) {
        snprintf(m->names[i], sizeof(m->names[i]), "www%d.test", i);
        m->name[i] =
            (struct conf_name){.name = m->names[i], .provider = m->runs[0].conf->cas->profile};
        m->certs[i] = m->runs[0].conf->certs[0];
        m->certs[i].name = m->names[i];
        m->certs[i].names = &m->name[i];
        m->runs[i].f = &m->f;
        m->runs[i].acme = m->runs[0].acme;
        m->runs[i].conf = m->runs[0].conf;
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

/* After a crash: all look, every other one has an order; one walk, whatever the CA's places. */
static void one_walk(unsigned max_orders)
{
    struct many m;

    begin(&m, MANY, max_orders);
    for (int i = 0; i < MANY; i += 2)
        plant(&m.f, &(struct planted){"pending", m.names[i], NULL});
    for (int i = 0; i < MANY; i++) {
        m.runs[i].idle = true; /* what was found, or made: no more of it */
        start(&m, i, true);
    }
    fake_run(&m.f, 0);
    for (int i = 0; i < MANY && max_orders < MANY; i++) {
        while (!m.runs[i].created && fake_run(&m.f, 0))
            ;
        assert_int_equal(m.runs[i].created, 1);
        run_free_order(&m.runs[i]);
        fake_run(&m.f, 0);
    }
    assert_int_equal(m.f.counts[OBJ], 1);
    assert_int_equal(m.f.counts[LIST], 1);
    assert_int_equal(m.f.counts[ORDER], MANY / 2);
    assert_int_equal(m.f.counts[NEW], MANY / 2);
    for (int i = 0; i < MANY; i++) {
        int at = -1;
        assert_int_equal(m.runs[i].created, 1);
        sscanf(m.runs[i].url, "https://ca.test/order/%d", &at);
        if (i % 2 == 0)
            assert_int_equal(at, i / 2);
        else
            assert_true(at >= MANY / 2);
    }
    end(&m);
}

static void test_one_walk(void **state)
{
    (void)state;
    one_walk(200);
}

static void test_one_walk_few_places(void **state)
{
    (void)state;
    one_walk(7);
}

/* No two get the same order, and the second one of the same names finds the other. */
static void test_not_twice(void **state)
{
    struct many m;

    (void)state;
    begin(&m, 3, 10);
    for (int i = 0; i < 2; i++)
        plant(&m.f, &(struct planted){"pending", m.names[0], NULL});
    for (int i = 0; i < 3; i++) {
        m.certs[i].name = m.names[0];
        m.certs[i].names = &m.name[0];
        m.runs[i].idle = true;
        start(&m, i, true);
    }
    fake_run(&m.f, 0);
    assert_string_equal(m.runs[0].url, "https://ca.test/order/1");
    assert_string_equal(m.runs[1].url, "https://ca.test/order/0");
    assert_string_equal(m.runs[2].url, "https://ca.test/order/2");
    assert_int_equal(m.f.counts[LIST], 1);
    end(&m);
}

/* What was read before an answer was lost does not tell of that order. */
static void test_lost_after_the_walk(void **state)
{
    struct rule lost = {.at = NEW, .from = 2, .effect = true};
    struct many m;

    (void)state;
    begin(&m, 2, 10);
    m.f.rules = &lost;
    m.f.n_rules = 1;
    start(&m, 0, true);
    fake_run(&m.f, 0);
    assert_int_equal(m.f.counts[LIST], 1);
    m.f.names[0] = m.names[1];
    start(&m, 1, false);
    fake_run(&m.f, 0);
    assert_int_equal(m.runs[1].done, 1);
    assert_int_equal(m.runs[1].err.cls, ERR_NONE);
    assert_int_equal(m.f.counts[LIST], 2);
    assert_int_equal(m.f.counts[NEW], 2);
    assert_int_equal(m.f.n_orders, 2);
    end(&m);
}

/* An order that is given up while its newOrder is under way may exist, too. */
static void test_freed_while_asking(void **state)
{
    struct many m;

    (void)state;
    begin(&m, 2, 10);
    m.certs[1].name = m.names[0];
    m.certs[1].names = &m.name[0];
    m.f.names[0] = m.names[0];
    start(&m, 0, true);
    while (m.f.counts[NEW] == 0)
        assert_true(fake_run(&m.f, 1));
    run_free_order(&m.runs[0]); /* the CA has it */
    start(&m, 1, true);
    fake_run(&m.f, 0);
    assert_int_equal(m.runs[1].err.cls, ERR_NONE);
    assert_int_equal(m.f.counts[LIST], 2);
    assert_int_equal(m.f.counts[NEW], 1);
    end(&m);
}

/* Whoever looks may go away at any time; the others get their answer. */
static void test_one_goes_away(void **state)
{
    (void)state;
    for (int steps = 1;; steps++) {
        struct many m;
        begin(&m, 2, 10);
        plant(&m.f, &(struct planted){"pending", m.names[1], NULL});
        plant(&m.f, &(struct planted){"pending", m.names[0], NULL});
        m.runs[0].idle = m.runs[1].idle = true;
        start(&m, 0, true);
        start(&m, 1, true);
        int done = fake_run(&m.f, steps);
        run_free_order(&m.runs[0]);
        fake_run(&m.f, 0);
        assert_string_equal(m.runs[1].url, "https://ca.test/order/0");
        assert_int_equal(m.f.counts[LIST], 1);
        assert_int_equal(m.runs[0].late, 0);
        end(&m);
        if (done < steps)
            break;
    }
}

/* Not more than so many are read, and not more pages. */
static void test_bounds(void **state)
{
    struct many m;

    (void)state;
    begin(&m, 1, 10);
    m.f.page = 7;
    for (int i = 0; i < 1000; i++)
        plant(&m.f, &(struct planted){"valid", "other.test", NULL});
    m.f.names[0] = m.names[0];
    start(&m, 0, true);
    fake_run(&m.f, 0);
    assert_int_equal(m.runs[0].err.cls, ERR_NONE);
    assert_int_equal(m.f.counts[LIST], ORDERS_PAGES_MAX);
    assert_true(m.f.counts[ORDER] >= ORDERS_READS_MAX);
    assert_true(m.f.counts[ORDER] < ORDERS_READS_MAX + 5);
    assert_int_equal(m.f.counts[NEW], 1);
    end(&m);
}

static void test_long_list(void **state)
{
    struct many m;

    (void)state;
    begin(&m, 1, 10);
    m.f.page = 900;
    for (int i = 0; i < 5000; i++)
        plant(&m.f, &(struct planted){"valid", "other.test", NULL});
    m.f.names[0] = m.names[0];
    start(&m, 0, true);
    fake_run(&m.f, 0);
    assert_int_equal(m.f.counts[LIST], 3);
    assert_int_equal(m.runs[0].err.cls, ERR_NONE);
    end(&m);
}

int main(void)
{
    static const struct CMUnitTest several[] = {
        cmocka_unit_test(test_one_walk),
        cmocka_unit_test(test_one_walk_few_places),
        cmocka_unit_test(test_not_twice),
        cmocka_unit_test(test_lost_after_the_walk),
        cmocka_unit_test(test_freed_while_asking),
        cmocka_unit_test(test_one_goes_away),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_long_list),
    };
    struct CMUnitTest each[ARRAY_LEN(rows)] = {0};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        each[i].name = rows[i].name;
        each[i].test_func = run_row;
        each[i].initial_state = (void *)&rows[i];
    }
    return cmocka_run_group_tests_name("find", each, NULL, NULL) +
           cmocka_run_group_tests_name("several look", several, NULL, NULL);
}
