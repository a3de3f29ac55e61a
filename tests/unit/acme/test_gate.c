/* SPDX-License-Identifier: ISC */
/* The server's door: so many requests in so much time, in order, and none while it is closed. */
#include "run.h"

#include "acme/gate.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define GUESTS 400

struct door {
    struct fake f;
    struct gate *g;
    struct guest {
        struct door *door;
        struct gate_pass pass;
        int nr;
    } guests[GUESTS];
    int passed[GUESTS]; /* by whom, in order */
    int64_t at[GUESTS]; /* and when */
    int n;
};

static void note(void *arg)
{
    struct guest *g = arg;

    g->door->passed[g->door->n] = g->nr;
    g->door->at[g->door->n++] = loop_mono_ms(g->door->f.loop);
}

static void enter(struct door *d, int nr, enum gate_rank rank)
{
    struct guest *g = &d->guests[nr];

    g->door = d;
    g->nr = nr;
    if (gate_enter(d->g, &g->pass, rank, note, g))
        note(g);
}

static struct door *door_new(uint32_t n, int64_t per_ms)
{
    struct door *d = xnew(struct door);

    fake_init(&d->f);
    d->g = gate_new(d->f.loop);
    gate_limit(d->g, &(struct conf_limit){n, per_ms});
    return d;
}

static void door_free(struct door *d)
{
    gate_unref(d->g);
    fake_done(&d->f);
    free(d);
}

static void pass_time(struct fake *f, int64_t ms)
{
    struct timer t = {0};

    timer_after(f->loop, &t, ms, (void (*)(void *))free, NULL);
    fake_run(f, 0);
}

/* At most n in any per_ms, and no slower than three quarters of that. */
static void test_rate(void **state)
{
    static const struct conf_limit limits[] = {{1, 1000},  {2, 1000},   {18, 1000},
                                               {20, 1000}, {300, 1000}, {7, 60000}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        const struct conf_limit *l = &limits[i];
        struct door *d = door_new(l->n, l->per_ms);
        int64_t began = loop_mono_ms(d->f.loop), took;

        for (int k = 0; k < GUESTS; k++)
            enter(d, k, GATE_REQUEST);
        fake_run(&d->f, 0);
        assert_int_equal(d->n, GUESTS);
        for (int k = 0; k < GUESTS; k++) {
            assert_int_equal(d->passed[k], k);
            if (k >= (int)l->n)
                assert_true(d->at[k] - d->at[k - (int)l->n] >= l->per_ms);
        }
        took = d->at[GUESTS - 1] - began;
        assert_true(took <= GUESTS * l->per_ms * 4 / 3 / l->n);
        door_free(d);
    }
}

static void test_ranks(void **state)
{
    static const int expected[] = {0, 4, 3, 2, 1};
    struct door *d = door_new(1, 1000);

    (void)state;
    enter(d, 0, GATE_QUESTION);
    enter(d, 1, GATE_QUESTION);
    enter(d, 2, GATE_REQUEST);
    enter(d, 3, GATE_DOOR);
    enter(d, 4, GATE_NONCE_IN_HAND);
    enter(d, 5, GATE_DOOR);
    gate_leave(&d->guests[5].pass);
    fake_run(&d->f, 0);
    assert_int_equal(d->n, (int)ARRAY_LEN(expected));
    for (int i = 0; i < d->n; i++)
        assert_int_equal(d->passed[i], expected[i]);
    door_free(d);
}

static void test_closed(void **state)
{
    struct door *d = door_new(0, 0);
    struct err e = ERR_INIT;
    int64_t began = loop_mono_ms(d->f.loop);

    (void)state;
    err_set(&e, ERR_RATE_LIMITED, "busy");
    gate_close(d->g, &e); /* does not say for how long */
    enter(d, 0, GATE_REQUEST);
    assert_int_equal(d->n, 1);
    e.retry_at = fake_now(&d->f) + 7000;
    gate_close(d->g, &e);
    e.retry_at -= 5000; /* what is shorter changes nothing */
    gate_close(d->g, &e);
    enter(d, 1, GATE_REQUEST);
    enter(d, 2, GATE_NONCE_IN_HAND);
    assert_int_equal(d->n, 1);
    fake_run(&d->f, 0);
    assert_int_equal(d->n, 3);
    assert_int_equal(d->passed[1], 2);
    assert_int_equal(d->at[1] - began, 7000);
    e.retry_at = fake_now(&d->f) + 86400000LL;
    gate_close(d->g, &e);
    assert_int_equal(gate_closed_ms(d->g), 300000);
    enter(d, 3, GATE_QUESTION);
    enter(d, 4, GATE_QUESTION);
    gate_leave(&d->guests[4].pass);
    fake_run(&d->f, 0);
    assert_int_equal(d->n, 4);
    assert_int_equal(d->at[3] - d->at[2], 300000);
    door_free(d);
}

/* A new limit holds for those who wait; who sends nothing gives it back. */
static void test_changed(void **state)
{
    struct door *d = door_new(1, 1000);
    int64_t began = loop_mono_ms(d->f.loop);

    (void)state;
    for (int i = 0; i < 10; i++)
        enter(d, i, GATE_REQUEST);
    pass_time(&d->f, 10);
    assert_int_equal(d->n, 10); /* pass_time() runs all that is due */
    assert_int_equal(d->at[9] - began, 9000);
    for (int i = 10; i < 20; i++)
        enter(d, i, GATE_REQUEST);
    gate_limit(d->g, &(struct conf_limit){0, 0});
    fake_run(&d->f, 0);
    assert_int_equal(d->n, 20);
    assert_true(d->at[19] - d->at[9] <= 1000);
    gate_limit(d->g, &(struct conf_limit){1, 1000});
    enter(d, 20, GATE_REQUEST);
    gate_back(d->g);
    enter(d, 21, GATE_REQUEST);
    assert_int_equal(d->n, 22);
    door_free(d);
}

/* --- orders --- */

static const char *const name[] = {"example.org"};

struct orders {
    struct fake f;
    struct run runs[40];
    int n;
};

static void begin(struct orders *o, int n, uint32_t rate)
{
    o->n = n;
    run_init(&o->runs[0], &o->f, name, 1);
    o->runs[0].conf->cas->requests_limit = (struct conf_limit){rate, 1000};
    acme_configure(o->runs[0].acme, o->runs[0].conf);
    for (int i = 0; i < n; i++) {
        o->runs[i].f = &o->f;
        o->runs[i].acme = o->runs[0].acme;
        o->runs[i].conf = o->runs[0].conf;
        run_start(&o->runs[i], "", false);
    }
}

static void end(struct orders *o)
{
    for (int i = o->n - 1; i > 0; i--) {
        acme_order_free(o->runs[i].order);
        free(o->runs[i].pem);
    }
    run_done(&o->runs[0]);
    fake_done(&o->f);
    free(o);
}

static int requests(const struct fake *f)
{
    int n = 0;

    for (int i = 0; i < PLACES; i++)
        n += f->counts[i];
    return n;
}

/* Step by step, so that each request's time is seen. */
static void test_orders_keep_the_rate(void **state)
{
    struct orders *o = xnew(struct orders);
    int64_t at[2000];
    int n = 0;

    (void)state;
    fake_init(&o->f);
    begin(o, 40, 20);
    while (fake_run(&o->f, 1)) {
        for (; n < requests(&o->f); n++) {
            assert_true(n < (int)ARRAY_LEN(at));
            at[n] = loop_mono_ms(o->f.loop);
            if (n >= 20)
                assert_true(at[n] - at[n - 20] >= 1000);
        }
    }
    for (int i = 0; i < o->n; i++) {
        assert_int_equal(o->runs[i].done, 1);
        assert_int_equal(o->runs[i].err.cls, ERR_NONE);
    }
    print_message("%d requests, %d HEADs, %lld ms\n", n, o->f.counts[NONCE],
                  (long long)(at[n - 1] - at[0]));
    /* Nothing is thrown away while it waits: few nonces, none refused, and no time lost. */
    assert_true(o->f.counts[NONCE] <= 45);
    assert_true(at[n - 1] - at[0] < n * 60);
    end(o);
}

/* One is told to come back later: so are all. */
static void test_server_wants_peace(void **state)
{
    static const struct rule cases[] = {
        {.at = ORDER, .from = 1, .to = 1, .status = 503, .header = "Retry-After: 30"},
        {.at = NONCE, .from = 1, .to = 1, .status = 429, .header = "Retry-After: 30"},
        {.at = DIR, .from = 1, .to = 1, .status = 503, .header = "Retry-After: 30"}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct orders *o = xnew(struct orders);
        int64_t closed_at = 0;
        int n = 0, heard = 0;

        fake_init(&o->f);
        o->f.rules = &cases[i];
        o->f.n_rules = 1;
        begin(o, 5, 0);
        while (fake_run(&o->f, 1)) {
            int64_t now = loop_mono_ms(o->f.loop);
            /* what was under way by the time of the answer arrives yet */
            if (closed_at && n != requests(&o->f))
                assert_true(now <= closed_at + o->f.latency_ms || now >= closed_at + 30000);
            if (!closed_at && o->f.counts[cases[i].at])
                closed_at = now;
            n = requests(&o->f);
        }
        for (int k = 0; k < o->n; k++) {
            assert_int_equal(o->runs[k].err.cls, ERR_NONE);
            heard += strstr(o->runs[k].progress, "; again in ") != NULL;
        }
        if (cases[i].at == ORDER)
            assert_int_equal(heard, 5); /* and all say why they wait */
        end(o);
    }
}

/* An owner that goes while its request waits at the door. */
static void test_cancelled_at_the_door(void **state)
{
    struct orders *o = xnew(struct orders);

    (void)state;
    fake_init(&o->f);
    begin(o, 10, 2);
    while (o->f.counts[NEW] < 3)
        fake_run(&o->f, 1);
    for (int i = 1; i < 10; i++)
        run_free_order(&o->runs[i]);
    fake_run(&o->f, 0);
    assert_int_equal(o->runs[0].done, 1);
    assert_int_equal(o->runs[0].err.cls, ERR_NONE);
    end(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_ranks),
        cmocka_unit_test(test_closed),
        cmocka_unit_test(test_changed),
        cmocka_unit_test(test_orders_keep_the_rate),
        cmocka_unit_test(test_server_wants_peace),
        cmocka_unit_test(test_cancelled_at_the_door),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
