/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "dns/propagation.h"
#include "fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS1 "192.0.2.1"
#define NS2 "192.0.2.2"
#define V6 "2001:db8::2"
#define NAME "_acme-challenge.example.org"

struct fixture {
    struct loop *loop;
    struct dns *dns;
    struct propagation_env env;
    struct server_set *set, *resolvers;
    struct fake_conf conf;
    struct propagation_spec spec;
    const char *values[4];
    struct propagation *running;
    char texts[16][2048];
    unsigned told, done;
    struct err err;
    char warning[2048];
    int64_t started, ended;
};

static void on_changed(void *arg, const char *text)
{
    struct fixture *f = arg;
    assert_true(f->told < ARRAY_LEN(f->texts));
    str_copy(f->texts[f->told++], sizeof(f->texts[0]), text);
}

static void on_done(void *arg, const struct err *err, const char *warning)
{
    struct fixture *f = arg;
    f->done++;
    f->err = *err;
    f->running = NULL;
    f->ended = loop_mono_ms(f->loop);
    str_copy(f->warning, sizeof(f->warning), warning);
}

static void add_server(struct fixture *f, const char *host, const char *text)
{
    struct dns_addr a;
    assert_true(dns_addr_parse(text, 53, &a));
    server_set_add(f->set, host, &a);
}

static int setup(void **state)
{
    struct fixture *f = xnew(struct fixture);
    f->loop = loop_new();
    f->dns = fake_dns_new(f->loop);
    f->env = (struct propagation_env){.loop = f->loop, .dns = f->dns, .reach = reach_new(f->loop)};
    fake_conf_init(&f->conf);
    f->set = server_set_new("example.org");
    add_server(f, "ns1.example.org", NS1);
    add_server(f, "ns2.example.org", NS2);
    fake_zone(f->dns, NS1, "example.org");
    fake_zone(f->dns, NS2, "example.org");
    f->resolvers = server_set_resolvers(&f->conf.conf, NULL);
    f->values[0] = "value-one";
    f->values[1] = "value-two";
    f->spec = (struct propagation_spec){.name = NAME,
                                        .values = f->values,
                                        .n = 2,
                                        .servers = f->set,
                                        .timeout_ms = 600000,
                                        .require = true};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    propagation_free(f->running);
    server_set_unref(f->set);
    server_set_unref(f->resolvers);
    reach_free(f->env.reach);
    fake_dns_free(f->dns);
    assert_int_equal(fake_timers(f->loop), 0);
    loop_free(f->loop);
    free(f);
    return 0;
}

static void start(struct fixture *f)
{
    static const struct propagation_handler handler = {.changed = on_changed, .done = on_done};
    f->started = loop_mono_ms(f->loop);
    f->told = f->done = 0;
    f->running = propagation_start(&f->env, &f->spec, &handler, f);
    assert_int_equal(f->done, 0);
}

static void run(struct fixture *f)
{
    start(f);
    loop_run(f->loop);
    assert_int_equal(f->done, 1);
}

static void publish(struct fixture *f)
{
    fake_publish(f->dns, NAME, "value-one");
    fake_publish(f->dns, NAME, "value-two");
}

static void succeeded(struct fixture *f, const char *warning)
{
    if (f->err.cls != ERR_NONE)
        print_error("%s\n", f->err.detail);
    assert_int_equal(f->err.cls, ERR_NONE);
    assert_string_equal(f->warning, warning);
}

static void told(struct fixture *f, unsigned i, const char *text)
{
    assert_true(i < f->told);
    assert_string_equal(f->texts[i], text);
}

static void test_all_have_it(void **state)
{
    struct fixture *f = *state;
    publish(f);
    run(f);
    succeeded(f, "");
    assert_int_equal(fake_queries(f->dns), 4); /* two servers, two rounds */
    assert_in_range(f->ended - f->started, 500, 520);
    assert_int_equal(f->told, 1);
    told(f, 0, "2 of 2 name server addresses have all values");
    for (size_t i = 0; i < 4; i++)
        assert_false(fake_query(f->dns, i)->recurse);
}

static void test_lagging_secondary(void **state)
{
    struct fixture *f = *state;
    fake_lag(f->dns, NS2, 5000);
    publish(f);
    run(f);
    succeeded(f, "");
    told(f, 0, "ns2.example.org (192.0.2.2) lacks 2 of 2 values");
    told(f, 1,
         "2 of 2 name server addresses have all values; "
         "ns2.example.org (192.0.2.2) was last, after 5 s");
    assert_int_equal(f->told, 2);
    assert_in_range(f->ended - f->started, 5500, 9500);
    assert_true(fake_queries(f->dns) <= 14);
    assert_int_equal(fake_count(f->dns, NS1, NULL, 0), 2);
}

static void test_one_value_of_two(void **state)
{
    struct fixture *f = *state;
    fake_publish(f->dns, NAME, "value-one");
    fake_publish(f->dns, NAME, "somebody else's");
    start(f);
    fake_run_for(f->loop, 100);
    told(f, 0,
         "ns1.example.org (192.0.2.1) lacks 1 of 2 values; "
         "ns2.example.org (192.0.2.2) lacks 1 of 2 values");
    fake_run_for(f->loop, 1000);
    fake_rr(f->dns, NS1, "example.org", NAME, "TXT", "value-two");
    fake_run_for(f->loop, 1500);
    assert_int_equal(f->told, 2);
    assert_non_null(strstr(f->texts[1], "ns2.example.org (192.0.2.2) lacks 1 of 2 values for "));
    assert_null(strstr(f->texts[1], "ns1"));
    fake_rr(f->dns, NS2, "example.org", NAME, "TXT", "value-two");
    loop_run(f->loop);
    succeeded(f, "");
}

static void test_second_round_disagrees(void **state)
{
    struct fixture *f = *state;
    publish(f);
    start(f);
    fake_run_for(f->loop, 100);
    fake_rr_remove(f->dns, NAME, "value-two");
    fake_run_for(f->loop, 1000);
    assert_int_equal(f->done, 0);
    publish(f);
    loop_run(f->loop);
    succeeded(f, "");
}

static void test_unreachable_is_unknown(void **state)
{
    struct fixture *f = *state;
    add_server(f, "ns2.example.org", V6);
    fake_mode(f->dns, V6, FAKE_SILENT);
    publish(f);
    run(f);
    succeeded(f, "ns2.example.org (2001:db8::2) unreachable (not waited for)");
    told(f, 0,
         "2 of 3 name server addresses have all values; "
         "ns2.example.org (2001:db8::2) unreachable");
    assert_int_equal(fake_count(f->dns, V6, NULL, 0), 1);
    run(f); /* remembered: not waited for again, but told */
    succeeded(f, "ns2.example.org (2001:db8::2) unreachable (not waited for)");
    assert_int_equal(fake_count(f->dns, V6, NULL, 0), 1);
    assert_in_range(f->ended - f->started, 500, 520);
    fake_mode(f->dns, V6, FAKE_UP);
    fake_zone(f->dns, V6, "example.org");
    publish(f);
    fake_run_for(f->loop, 61000);
    run(f);
    succeeded(f, "");
}

static void test_broken_servers_do_not_count(void **state)
{
    static const struct {
        enum fake_mode mode;
        const char *text;
    } vices[] = {{FAKE_REFUSED, "answers REFUSED"},
                 {FAKE_SERVFAIL, "answers SERVFAIL"},
                 {FAKE_LAME, "answers without authority"},
                 {FAKE_CHALLTEST, "answers without authority"}};
    struct fixture *f = *state;
    publish(f);
    for (size_t i = 0; i < ARRAY_LEN(vices); i++) {
        char text[200];
        fake_mode(f->dns, NS2, vices[i].mode);
        snprintf(text, sizeof(text), "ns2.example.org (192.0.2.2) %s (not waited for)",
                 vices[i].text);
        run(f);
        succeeded(f, text);
    }
}

static void test_all_refuse_until_they_do_not(void **state)
{
    struct fixture *f = *state;
    f->spec.fallback = f->resolvers;
    publish(f);
    fake_mode(f->dns, NS1, FAKE_SERVFAIL);
    fake_mode(f->dns, NS2, FAKE_SERVFAIL);
    start(f);
    fake_run_for(f->loop, 3000);
    assert_int_equal(f->done, 0);
    assert_int_equal(fake_count(f->dns, "resolver", NULL, 0), 0);
    fake_mode(f->dns, NS1, FAKE_UP);
    fake_mode(f->dns, NS2, FAKE_UP);
    loop_run(f->loop);
    succeeded(f, "");
}

static void test_timeout(void **state)
{
    struct fixture *f = *state;
    fake_lag(f->dns, NS2, 3600000);
    publish(f);
    run(f);
    assert_int_equal(f->err.cls, ERR_TRANSIENT);
    assert_string_equal(f->err.detail, NAME " not visible after 10 m: ns2.example.org (192.0.2.2) "
                                            "lacks 2 of 2 values for 9 m 59 s");
    assert_string_equal(f->err.activity, "waiting for the name servers of " NAME);
    assert_true(fake_queries(f->dns) < 140); /* every 5 s at the end */
}

static void test_timeout_warns(void **state)
{
    struct fixture *f = *state;
    f->spec.require = false;
    f->spec.timeout_ms = 10000;
    f->spec.n = 1;
    run(f);
    succeeded(f, "went on although " NAME " was not visible after 10 s: "
                 "ns1.example.org (192.0.2.1) lacks the value for 9 s; "
                 "ns2.example.org (192.0.2.2) lacks the value for 9 s");
}

static void silence(struct fixture *f)
{
    fake_mode(f->dns, NS1, FAKE_SILENT);
    fake_mode(f->dns, NS2, FAKE_SILENT);
}

static void test_fallback(void **state)
{
    struct fixture *f = *state;
    f->spec.fallback = f->resolvers;
    silence(f);
    publish(f);
    run(f);
    assert_int_equal(f->err.cls, ERR_NONE);
    assert_non_null(strstr(f->warning, "the resolvers were asked"));
    assert_non_null(strstr(f->warning, "ns1.example.org (192.0.2.1) unreachable"));
    assert_int_equal(fake_count(f->dns, "resolver", NAME, DNS_TXT), 2);
    run(f); /* at once */
    assert_in_range(f->ended - f->started, 1000, 1600);
}

static void test_resolver_remembers_absence(void **state)
{
    struct fixture *f = *state;
    f->spec.servers = f->resolvers;
    fake_lag(f->dns, NS1, 2000);
    fake_lag(f->dns, NS2, 2000);
    fake_ttl(f->dns, 300, 20);
    publish(f);
    run(f);
    succeeded(f, "");
    told(f, 0, "the system's resolvers lacks 2 of 2 values");
    assert_in_range(f->ended - f->started, 20000, 24000);
    assert_int_equal(fake_queries(f->dns), 3);
}

static void test_no_fallback_keeps_trying(void **state)
{
    struct fixture *f = *state;
    silence(f);
    publish(f);
    start(f);
    fake_run_for(f->loop, 30000);
    assert_int_equal(f->done, 0);
    assert_true(fake_count(f->dns, NS1, NULL, 0) > 3);
    fake_mode(f->dns, NS1, FAKE_UP);
    loop_run(f->loop);
    succeeded(f, "ns2.example.org (192.0.2.2) unreachable (not waited for)");
}

static void test_interception_is_said(void **state)
{
    struct fixture *f = *state;
    fake_mode(f->dns, NS1, FAKE_LAME);
    fake_mode(f->dns, NS2, FAKE_LAME);
    publish(f);
    run(f);
    assert_int_equal(f->err.cls, ERR_TRANSIENT);
    assert_non_null(strstr(f->err.detail, "intercept"));
    f->spec.fallback = f->resolvers;
    run(f);
    assert_int_equal(f->err.cls, ERR_NONE);
    assert_non_null(strstr(f->warning, "intercept"));
}

static void test_many_servers(void **state)
{
    struct fixture *f = *state;
    char text[32];
    for (int i = 0; i < 100; i++) {
        snprintf(text, sizeof(text), "10.0.0.%d", i + 1);
        add_server(f, "", text);
        fake_mode(f->dns, text, FAKE_SILENT);
    }
    assert_int_equal(f->set->n, 64);
    assert_int_equal(f->set->left_out, 38);
    publish(f);
    run(f);
    assert_int_equal(f->err.cls, ERR_NONE);
    assert_non_null(strstr(f->warning, "; and 56 more"));
    assert_true(fake_queries(f->dns) <= 68);
}

static void test_many_values_at_the_name(void **state)
{
    struct fixture *f = *state;
    char text[32];
    for (int i = 0; i < 250; i++) {
        snprintf(text, sizeof(text), "left-over-%d", i);
        fake_publish(f->dns, NAME, text);
    }
    publish(f);
    run(f);
    succeeded(f, "");
}

static void test_slow_provider_is_asked_less(void **state)
{
    struct fixture *f = *state;
    f->spec.typical_ms = 60000;
    fake_lag(f->dns, NS2, 60000);
    publish(f);
    run(f);
    succeeded(f, "");
    assert_true(fake_queries(f->dns) < 20);
}

struct other {
    struct loop *loop;
    int64_t ended;
};

static void on_other_done(void *arg, const struct err *err, const char *warning)
{
    struct other *o = arg;
    (void)warning;
    assert_int_equal(err->cls, ERR_NONE);
    o->ended = loop_mono_ms(o->loop);
}

/* Two that look at different times; who first sees the secondary catch up has the other look. */
static int64_t apart(struct fixture *f, struct list *waiting)
{
    static const struct propagation_handler handler = {.done = on_other_done};
    struct other other = {.loop = f->loop};
    f->env.waiting = waiting;
    start(f);
    fake_run_for(f->loop, 450);
    propagation_start(&f->env, &f->spec, &handler, &other);
    loop_run(f->loop);
    assert_int_equal(f->done, 1);
    succeeded(f, "");
    assert_true(other.ended > 0);
    return other.ended > f->ended ? other.ended - f->ended : f->ended - other.ended;
}

static void test_others_look_when_one_sees(void **state)
{
    struct fixture *f = *state;
    struct list waiting;
    list_init(&waiting);
    fake_lag(f->dns, NS2, 5000);
    publish(f);
    assert_true(apart(f, &waiting) <= 20);
    assert_true(list_empty(&waiting));
    assert_true(fake_queries(f->dns) <= 28);
}

static void test_each_looks_alone(void **state)
{
    struct fixture *f = *state;
    fake_lag(f->dns, NS2, 5000);
    publish(f);
    assert_true(apart(f, NULL) > 100);
}

static void test_cancel_anywhere(void **state)
{
    struct fixture *f = *state;
    fake_lag(f->dns, NS2, 400);
    publish(f);
    for (int ms = 0; ms < 1500; ms += 50) {
        start(f);
        fake_run_for(f->loop, ms);
        propagation_free(f->running);
        f->running = NULL;
        unsigned done = f->done;
        loop_run(f->loop);
        assert_int_equal(f->done, done);
        assert_int_equal(fake_timers(f->loop), 0);
    }
}

#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_all_have_it),
        T(test_lagging_secondary),
        T(test_one_value_of_two),
        T(test_second_round_disagrees),
        T(test_unreachable_is_unknown),
        T(test_broken_servers_do_not_count),
        T(test_all_refuse_until_they_do_not),
        T(test_timeout),
        T(test_timeout_warns),
        T(test_fallback),
        T(test_resolver_remembers_absence),
        T(test_no_fallback_keeps_trying),
        T(test_interception_is_said),
        T(test_many_servers),
        T(test_many_values_at_the_name),
        T(test_slow_provider_is_asked_less),
        T(test_others_look_when_one_sees),
        T(test_each_looks_alone),
        T(test_cancel_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
