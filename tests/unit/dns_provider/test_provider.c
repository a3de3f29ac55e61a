/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "dns_provider/setup.h"
#include "plugins/fake.h"
#include "plugins/knot.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROBE "tests/plugins/probe.so"
#define NAME "_acme-challenge.example.org"
#define ID "0123456789abcdef0123456789abcdef"

static const struct setup_provider probe[] = {{"probe", PROBE, {{"token", "s3cret-token", true}}}};

static void expect(const struct outcome *o, enum err_class cls, const char *says)
{
    if (o->err.cls != cls || (says && !strstr(o->err.detail, says)))
        fail_msg("%s: %s", err_class_name(o->err.cls), o->err.detail);
}

static void test_an_operation(void **state)
{
    (void)state;
    struct setup s;
    setup_start(&s, probe, 1);
    struct outcome o = setup_add(&s, "probe", "handle h-1");
    expect(&o, ERR_NONE, NULL);
    assert_string_equal(o.handle, "h-1");
    o = setup_add(&s, "probe", "services");
    expect(&o, ERR_NONE, NULL);
    o = setup_add(&s, "nobody", "ok");
    expect(&o, ERR_CONFIG, "no provider nobody");
    assert_int_equal(s.keeper.n_workers, 1);
    assert_int_equal(provider_propagation_ms(s.providers, "probe"), 7000);
    assert_int_equal(provider_propagation_ms(s.providers, "nobody"), 0);
    setup_stop(&s);
}

static void test_classes(void **state)
{
    (void)state;
    static const enum err_class expected[] = {
        ERR_NONE,         ERR_CONFIG, ERR_DENIED,    ERR_DENIED,    ERR_DENIED,
        ERR_RATE_LIMITED, ERR_DENIED, ERR_TRANSIENT, ERR_TRANSIENT, ERR_DENIED,
        ERR_BLOCKED,      ERR_CONFIG, ERR_PEER,      ERR_TRANSIENT, ERR_TRANSIENT};
    struct setup s;
    setup_start(&s, probe, 1);
    for (unsigned cls = 0; cls < ARRAY_LEN(expected); cls++) {
        char value[32];
        snprintf(value, sizeof(value), "class %u", cls);
        struct outcome o = setup_add(&s, "probe", value);
        expect(&o, expected[cls], NULL);
        if (cls == 5)
            assert_in_range(o.err.retry_at - loop_wall_ms(s.loop), 30000, 43000);
    }
    struct outcome o = setup_add(&s, "probe", "secret");
    expect(&o, ERR_DENIED, "provider probe: token *** is refused");
    setup_stop(&s);
}

static void test_checks(void **state)
{
    (void)state;
    struct setup s;
    setup_start(&s, probe, 1);
    struct outcome o = setup_check(&s, "probe", "ok");
    expect(&o, ERR_NONE, NULL);
    assert_string_equal(o.handle, "");
    o = setup_check(&s, "probe", "class 2");
    expect(&o, ERR_DENIED, "as asked");
    o = setup_check(&s, "probe", "class 11"); /* the plugin cannot tell: nobody's fault */
    expect(&o, ERR_NONE, NULL);
    assert_string_equal(o.handle, PROVIDER_UNCHECKED);
    o = setup_check(&s, "nobody", "ok");
    expect(&o, ERR_CONFIG, "no provider nobody");
    setup_stop(&s);
}

/* Many at once go in few messages; the one that is refused takes no other with it. */
static void test_batches_divide(void **state)
{
    (void)state;
    enum { N = 200 };
    struct setup s;
    static struct outcome v[N];
    char names[N][64];
    setup_start(&s, probe, 1);
    for (unsigned i = 0; i < N; i++) {
        snprintf(names[i], sizeof(names[i]), "_acme-challenge.h%u.example.org", i);
        setup_op(&s, &v[i], i % 2 == 0, "probe", names[i], i == 77 ? "class 9" : "ok", 20000);
    }
    setup_wait(&s, v, N);
    for (unsigned i = 0; i < N; i++)
        expect(&v[i], i == 77 ? ERR_DENIED : ERR_NONE, NULL);
    setup_stop(&s);
}

static void get_status(void *arg, const struct provider_status *st)
{
    *(struct provider_status *)arg = *st;
}

static void test_crash(void **state)
{
    (void)state;
    struct setup s;
    struct outcome v[3];
    struct provider_status st;
    setup_start(&s, probe, 1);
    setup_op(&s, &v[0], true, "probe", NAME, "ok", 20000);
    setup_op(&s, &v[1], true, "probe", "other.example.org", "crash", 20000);
    setup_op(&s, &v[2], true, "probe", "third.example.org", "ok", 20000);
    setup_wait(&s, v, 3);
    expect(&v[1], ERR_TRANSIENT, "ended unexpectedly");
    struct outcome o = setup_add(&s, "probe", "ok");
    expect(&o, ERR_NONE, NULL);
    providers_status(s.providers, get_status, &st);
    assert_int_equal(st.restarts, s.keeper.n_workers - 1);
    assert_true(st.restarts >= 1);
    assert_true(st.running);
    assert_int_equal(st.pid, s.keeper.workers[s.keeper.n_workers - 1].pid);
    assert_string_equal(st.name, "probe");
    assert_true(st.sandbox[0] != '\0');
    o = setup_add(&s, "probe", "garbage"); /* what it writes is no frame: given up */
    expect(&o, ERR_TRANSIENT, "said what no worker says");
    o = setup_add(&s, "probe", "ok");
    expect(&o, ERR_NONE, NULL);
    setup_stop(&s);
}

static void test_hang_is_killed(void **state)
{
    (void)state;
    struct setup s;
    struct outcome v[2];
    setup_start(&s, probe, 1);
    setup_op(&s, &v[0], true, "probe", NAME, "hang", 100);
    setup_op(&s, &v[1], true, "probe", "other.example.org", "ok", 20000);
    setup_wait(&s, v, 2);
    expect(&v[0], ERR_TRANSIENT, "killed");
    expect(&v[1], ERR_NONE, NULL);
    assert_int_equal(s.keeper.kills, 1);
    setup_stop(&s);
}

/* A plugin that waits by the host's means ends by itself. */
static void test_deadline(void **state)
{
    (void)state;
    struct setup s;
    struct outcome v[2];
    setup_start(&s, probe, 1);
    struct outcome o = setup_add(&s, "probe", "ok");
    expect(&o, ERR_NONE, NULL);
    setup_op(&s, &v[0], true, "probe", NAME, "sleep 60000", 100);
    setup_op(&s, &v[1], true, "probe", "other.example.org", "ok", 10);
    setup_wait(&s, v, 2);
    expect(&v[0], ERR_TRANSIENT, "longer than the time");
    expect(&v[1], ERR_TRANSIENT, "not begun");
    assert_int_equal(s.keeper.n_workers, 1);
    assert_int_equal(s.keeper.kills, 0);
    setup_stop(&s);
}

/* The time of one is over: those that were in the same batch get another chance. */
static void test_deadline_in_a_batch(void **state)
{
    (void)state;
    struct setup s;
    struct outcome v[4];
    setup_start(&s, probe, 1);
    struct outcome o = setup_add(&s, "probe", "ok");
    expect(&o, ERR_NONE, NULL);
    setup_op(&s, &v[0], true, "probe", NAME, "sleep 20", 20000); /* the others gather behind it */
    setup_op(&s, &v[1], true, "probe", "a.example.org", "ok", 20000);
    setup_op(&s, &v[2], true, "probe", "b.example.org", "sleep 60000", 400);
    setup_op(&s, &v[3], false, "probe", "c.example.org", "ok", 20000);
    setup_wait(&s, v, 4);
    expect(&v[0], ERR_NONE, NULL);
    expect(&v[1], ERR_NONE, NULL);
    expect(&v[2], ERR_TRANSIENT, "longer than the time");
    expect(&v[3], ERR_NONE, NULL);
    assert_int_equal(s.keeper.kills, 0);
    setup_stop(&s);
}

static void test_cancel(void **state)
{
    (void)state;
    struct setup s;
    struct outcome v[3];
    setup_start(&s, probe, 1);
    struct outcome o = setup_add(&s, "probe", "ok");
    expect(&o, ERR_NONE, NULL);
    setup_op(&s, &v[0], true, "probe", NAME, "sleep 50", 20000);
    setup_op(&s, &v[1], true, "probe", "b.example.org", "ok", 20000);
    setup_op(&s, &v[2], true, "probe", "c.example.org", "ok", 20000);
    provider_cancel(v[0].call); /* runs */
    provider_cancel(v[1].call); /* waits */
    provider_cancel(NULL);
    setup_wait(&s, &v[2], 1);
    expect(&v[2], ERR_NONE, NULL);
    assert_false(v[0].done);
    assert_false(v[1].done);
    setup_op(&s, &v[0], true, "probe", NAME, "sleep 10000", 20000);
    setup_stop(&s); /* freeing cancels */
    assert_false(v[0].done);
}

static void test_keeper_refuses(void **state)
{
    (void)state;
    struct setup s;
    static const struct setup_provider bad[] = {{"probe", PROBE, {{"token", "refused", true}}}};
    setup_start(&s, bad, 1);
    struct outcome o = setup_add(&s, "probe", "ok");
    expect(&o, ERR_CONFIG, "this token is ***");
    err_set(&s.keeper.refuse, ERR_LOCAL, "no processes left");
    o = setup_add(&s, "probe", "ok");
    expect(&o, ERR_LOCAL, "no processes left");
    setup_stop(&s);
}

static void test_new_generation(void **state)
{
    (void)state;
    static const struct setup_provider other[] = {
        {"probe", PROBE, {{"token", "another-token", true}}},
        {"more", PROBE, {{"token", "more", true}}}};
    struct setup s;
    struct outcome v[3];
    setup_start(&s, probe, 1);
    struct outcome o = setup_add(&s, "probe", "ok");
    expect(&o, ERR_NONE, NULL);
    setup_op(&s, &v[0], true, "probe", NAME, "sleep 50", 20000);
    setup_op(&s, &v[1], true, "probe", "b.example.org", "handle token", 20000);
    setup_configure(&s, other, 2);
    setup_op(&s, &v[2], true, "more", "c.example.org", "ok", 20000);
    setup_wait(&s, v, 3);
    for (int i = 0; i < 3; i++)
        expect(&v[i], ERR_NONE, NULL);
    assert_int_equal(s.keeper.n_workers, 3); /* old, new, more */
    setup_op(&s, &v[0], true, "more", NAME, "sleep 50", 20000);
    setup_op(&s, &v[1], true, "more", "b.example.org", "ok", 20000);
    setup_configure(&s, other, 1);
    setup_op(&s, &v[2], true, "more", "c.example.org", "ok", 20000);
    setup_wait(&s, v, 3);
    expect(&v[0], ERR_NONE, NULL); /* it ran already */
    expect(&v[1], ERR_CONFIG, "not in the configuration any more");
    expect(&v[2], ERR_CONFIG, "no provider more");
    setup_stop(&s);
}

/* Read-modify-write of a name: never two at once, whatever the instance; other names go ahead. */
static void test_rrsets_are_kept_apart(void **state)
{
    (void)state;
    static const struct setup_provider two[] = {
        {"a", "tests/plugins/probe-rrset.so", {{"token", "aaaa", true}}},
        {"b", "tests/plugins/probe-rrset.so", {{"token", "bbbb", true}}}};
    struct setup s;
    struct outcome v[3], o;
    setup_start(&s, two, 2);
    o = setup_add(&s, "a", "ok");
    expect(&o, ERR_NONE, NULL);
    o = setup_add(&s, "b", "ok");
    expect(&o, ERR_NONE, NULL);
    setup_op(&s, &v[0], true, "a", NAME, "sleep 200", 20000);
    setup_op(&s, &v[1], true, "b", NAME, "ok", 20000);
    setup_op(&s, &v[2], true, "b", "other.example.org", "ok", 20000);
    setup_wait(&s, v, 3);
    for (int i = 0; i < 3; i++)
        expect(&v[i], ERR_NONE, NULL);
    assert_true(v[2].order < v[0].order);
    assert_true(v[0].order < v[1].order);
    setup_stop(&s);
}

static void look(void *arg)
{
    struct setup *s = arg;
    loop_stop(s->loop);
}

/* Without work it ends, unasked and without a trace of a crash; with work it comes back. */
static void test_idle_worker_ends(void **state)
{
    (void)state;
    struct setup s;
    struct provider_status st;
    struct timer t = {0};
    setup_start(&s, probe, 1);
    struct outcome o = setup_add(&s, "probe", "ok");
    expect(&o, ERR_NONE, NULL);
    providers_status(s.providers, get_status, &st);
    assert_true(st.running);
    timer_after(s.loop, &t, 2 * SETUP_IDLE_MS, look, &s);
    loop_run(s.loop);
    providers_status(s.providers, get_status, &st);
    assert_false(st.running);
    assert_int_equal(st.restarts, 0);
    assert_int_equal(waitpid(s.keeper.workers[0].pid, NULL, 0), s.keeper.workers[0].pid);
    o = setup_add(&s, "probe", "ok");
    expect(&o, ERR_NONE, NULL);
    assert_int_equal(s.keeper.n_workers, 2);
    setup_stop(&s);
}

static void test_cache_outlives_the_worker(void **state)
{
    (void)state;
    struct setup s;
    setup_start(&s, probe, 1);
    struct outcome o = setup_add(&s, "probe", "cached zone");
    assert_string_equal(o.handle, "(none)");
    o = setup_add(&s, "probe", "cache zone id-1");
    expect(&o, ERR_NONE, NULL);
    setup_add(&s, "probe", "exit");
    o = setup_add(&s, "probe", "cached zone");
    assert_string_equal(o.handle, "id-1");
    assert_int_equal(s.keeper.n_workers, 2);
    setup_stop(&s);
}

static void test_egress(void **state)
{
    (void)state;
    struct setup s;
    char url[64];
    struct fake fake;
    static const char *const args[] = {"--token", "x=dns_edit", NULL};
    fake_start(&fake, args);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/api", fake.port);
    const struct setup_provider p[] = {
        {"probe",
         PROBE,
         {{"token", "s3cret", true}, {"url", url, false}, {"server", "ns1.example.net", false}}}};
    static const struct {
        const char *value, *says;
    } cases[] = {
        {"http https://evil.example/", "evil.example, which it does not declare"},
        {"http http://api.example.com/", "only another scheme or port"},
        {"http https://api.example.com:8443/", "only another scheme or port"},
        {"http https://api.example.com@evil.example/", "not well-formed"},
        {"http https://evil.example\\@api.example.com/", "not well-formed"},
        {"http http://127.0.0.1:1/", "only another scheme or port"},
        {"http https://127.0.0.1/", "only another scheme or port"},
        {"http file:///etc/passwd", "not well-formed"},
        {"http https://ns1.example.net.evil.example/", "does not declare"},
        {"exchange 127.0.0.1", "no option names"},
        {"exchange ns1.example.net:5353", "no option names"},
    };
    setup_start(&s, p, 1);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct outcome o = setup_add(&s, "probe", cases[i].value);
        expect(&o, ERR_CONFIG, cases[i].says);
    }
    char value[100];
    snprintf(value, sizeof(value), "badheader http://127.0.0.1:%d/api/x", fake.port);
    struct outcome o = setup_add(&s, "probe", value);
    expect(&o, ERR_CONFIG, "header");
    assert_string_equal(fake_requests(&fake), "[]");
    snprintf(value, sizeof(value), "http http://127.0.0.1:%d/api/x", fake.port);
    o = setup_add(&s, "probe", value);
    expect(&o, ERR_NONE, NULL); /* what the option names may be reached */
    assert_memory_equal(o.handle, "40", 2);
    setup_stop(&s);
    fake_stop(&fake);
}

static void test_http_is_repeated(void **state)
{
    (void)state;
    struct setup s;
    struct fake fake;
    static const char *const args[] = {"--token", "full=dns_edit,zone_read", "--zone",
                                       "example.org=" ID, NULL};
    fake_start(&fake, args);
    const struct setup_provider p[] = {
        {"cf",
         "plugins/cloudflare.so",
         {{"api_token", "full", true}, {"api_url", fake.url, false}}}};
    setup_start(&s, p, 1);
    struct outcome o = setup_add(&s, "cf", "plain");
    expect(&o, ERR_NONE, NULL);
    assert_memory_equal(o.handle, ID "/", sizeof(ID));
    fake_fault(&fake, "{\"status\": 429, \"retry_after\": 1}");
    o = setup_add(&s, "cf", "limited");
    expect(&o, ERR_NONE, NULL);
    fake_fault(&fake, "{\"status\": 429, \"retry_after\": 3600}");
    o = setup_add(&s, "cf", "limited for long");
    expect(&o, ERR_RATE_LIMITED, NULL);
    assert_in_range(o.err.retry_at - loop_wall_ms(s.loop), 3500000, 3700000);
    fake_fault(&fake, "{\"status\": 502, \"count\": 2}");
    o = setup_add(&s, "cf", "bad gateway");
    expect(&o, ERR_NONE, NULL);
    fake_fault(&fake, "{\"status\": 500, \"count\": 3}");
    o = setup_add(&s, "cf", "thrice");
    expect(&o, ERR_TRANSIENT, "HTTP 500");
    assert_int_equal(o.err.http, 500);
    fake_fault(&fake, "{\"drop\": 2}");
    o = setup_add(&s, "cf", "dropped");
    expect(&o, ERR_NONE, NULL);
    fake_fault(&fake, "{\"lose\": 1}");
    o = setup_add(&s, "cf", "lost");
    expect(&o, ERR_NONE, NULL); /* made, answer lost, repeated, "identical" */
    assert_string_equal(o.handle, "");
    setup_stop(&s);
    fake_stop(&fake);
}

static double cpu_ms(int who)
{
    struct rusage u;
    getrusage(who, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e3 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e3;
}

/* From /proc: what a child that still runs has used. */
static double child_ms(pid_t pid)
{
    char path[64], text[1024];
    unsigned long user = 0, system = 0;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;
    text[n] = '\0';
    if (f)
        fclose(f);
    const char *p = strrchr(text, ')');
    if (p)
        sscanf(p, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
    return (double)(user + system) * 1000.0 / (double)sysconf(_SC_CLK_TCK);
}

static void test_a_thousand_adds(void **state)
{
    (void)state;
    enum { N = 1000 };
    static struct outcome v[N];
    static char names[N][64];
    struct setup s;
    struct knot knot;
    if (!knot_start(&knot))
        skip();
    const struct setup_provider p[] = {{"local",
                                        "plugins/rfc2136.so",
                                        {{"server", knot.server, false},
                                         {"key_name", "acme", false},
                                         {"key_secret", KNOT_SECRET, true}}}};
    setup_start(&s, p, 1);
    double engine = cpu_ms(RUSAGE_SELF);
    int64_t before = loop_mono_ms(s.loop);
    for (int add = 1; add >= 0; add--) {
        for (unsigned i = 0; i < N; i++) {
            snprintf(names[i], sizeof(names[i]), "_acme-challenge.h%u.example.org", i);
            setup_op(&s, &v[i], add, "local", names[i],
                     "0123456789012345678901234567890123456789012", 30000);
        }
        setup_wait(&s, v, N);
        for (unsigned i = 0; i < N; i++)
            expect(&v[i], ERR_NONE, NULL);
        assert_true((knot_txt(&knot, names[N - 1])[0] != '\0') == (add == 1));
    }
    print_message(
        "1000 adds and 1000 removes: %lld ms; CPU of the engine's side %.0f ms, of the worker "
        "%.0f ms\n",
        (long long)(loop_mono_ms(s.loop) - before), cpu_ms(RUSAGE_SELF) - engine,
        child_ms(s.keeper.workers[0].pid));
    assert_int_equal(s.keeper.n_workers, 1);
    setup_stop(&s);
    knot_stop(&knot);
}

static void test_refused_by_dns(void **state)
{
    (void)state;
    struct setup s;
    struct knot knot;
    if (!knot_start(&knot))
        skip();
    const struct setup_provider p[] = {
        {"local",
         "plugins/rfc2136.so",
         {{"server", knot.server, false},
          {"key_name", "narrow", false},
          {"key_secret", KNOT_SECRET, true}}},
        {"dead", "plugins/rfc2136.so", {{"server", "127.0.0.1:1", false}}}};
    struct outcome v[3];
    setup_start(&s, p, 2);
    struct outcome o = setup_add(&s, "local", "warm");
    expect(&o, ERR_DENIED, "does not let it change");
    setup_op(&s, &v[0], true, "local", "a.sub.example.org", "x", 20000);
    setup_op(&s, &v[1], true, "local", "a.example.org", "x", 20000);
    setup_op(&s, &v[2], true, "local", "b.sub.example.org", "x", 20000);
    setup_wait(&s, v, 3);
    expect(&v[0], ERR_NONE, NULL);
    expect(&v[1], ERR_DENIED, "a.example.org");
    expect(&v[2], ERR_NONE, NULL);
    o = setup_add(&s, "dead", "x");
    expect(&o, ERR_TRANSIENT, "127.0.0.1:1");
    setup_stop(&s);
    knot_stop(&knot);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_operation),
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_checks),
        cmocka_unit_test(test_batches_divide),
        cmocka_unit_test(test_crash),
        cmocka_unit_test(test_hang_is_killed),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_deadline_in_a_batch),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_keeper_refuses),
        cmocka_unit_test(test_new_generation),
        cmocka_unit_test(test_rrsets_are_kept_apart),
        cmocka_unit_test(test_idle_worker_ends),
        cmocka_unit_test(test_cache_outlives_the_worker),
        cmocka_unit_test(test_egress),
        cmocka_unit_test(test_http_is_repeated),
        cmocka_unit_test(test_a_thousand_adds),
        cmocka_unit_test(test_refused_by_dns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
