/* SPDX-License-Identifier: ISC */
/* The checks of a name, and through them dns/dnssec.h and dns/delegation.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "dns/checks.h"
#include "fake.h"
#include "io/exchange.h"
#include "store/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TLD "192.0.2.100"
#define NS1 "192.0.2.1"
#define NS2 "192.0.2.2"
#define OTHER "192.0.2.9"

/* ---- io/exchange.h: the resolver, over TCP ---- */

struct exchange_pool {
    struct loop *loop;
    int checked[2], unchecked; /* rcodes with CD=0, in turn, and with CD=1; -1: no answer */
    unsigned ede;              /* sent with SERVFAIL; 0: none */
    unsigned asked, asked_checked;
};
struct exchange {
    struct exchange_pool *pool;
    struct timer timer;
    uint8_t message[512];
    size_t n;
    exchange_done_fn *done;
    void *arg;
};

static void answer_tcp(void *arg)
{
    struct exchange *x = arg;
    struct exchange_pool *p = x->pool;
    struct err e = ERR_INIT;
    bool cd = x->message[3] & 0x10;
    unsigned turn = p->asked_checked ? 1 : 0;
    int rcode = cd ? p->unchecked : p->checked[turn];
    p->asked++;
    p->asked_checked += !cd;
    if (rcode < 0)
        err_set(&e, ERR_TRANSIENT, "no answer");
    x->message[2] |= 0x80;
    x->message[3] = (uint8_t)rcode;
    if (rcode == 2 && p->ede) { /* the OPT record is the last thing in the question */
        static const uint8_t text[] = "expired";
        uint8_t *rdata = x->message + x->n;
        rdata[-1] = 4 + 2 + sizeof(text) - 1;
        memcpy(rdata, (uint8_t[]){0, 15, 0, 2 + sizeof(text) - 1, 0, (uint8_t)p->ede}, 6);
        memcpy(rdata + 6, text, sizeof(text) - 1);
        x->n += 6 + sizeof(text) - 1;
    }
    x->done(x->arg, rcode < 0 ? NULL : x->message, x->n, &e);
    free(x);
}

struct exchange *exchange_start(struct exchange_pool *p, const struct dns_addr *server,
                                const void *message, size_t n, int64_t timeout_ms,
                                exchange_done_fn *done, void *arg)
{
    struct exchange *x = xnew(struct exchange);
    (void)server;
    (void)timeout_ms;
    assert_true(n <= 256);
    memcpy(x->message, message, n);
    x->n = n;
    x->pool = p;
    x->done = done;
    x->arg = arg;
    timer_after(p->loop, &x->timer, 1, answer_tcp, x);
    return x;
}

void exchange_cancel(struct exchange *x)
{
    timer_cancel(&x->timer);
    free(x);
}

/* ---- fixture ---- */

struct fixture {
    struct loop *loop;
    struct dns *dns;
    struct store *store;
    struct providers *providers;
    struct publisher *publisher;
    struct exchange_pool pool;
    struct checks *checks;
    struct fake_conf conf;
    struct checks_call *call;
    struct findings findings;
    struct checks_place place;
    struct caa_asker asker;
    bool asker_later, asked_account;
    struct timer later;
    unsigned done;
    char *resolver[1];
};

static void both(struct fixture *f, const char *owner, const char *type, const char *data)
{
    fake_rr(f->dns, NS1, "example.org", owner, type, data);
    fake_rr(f->dns, NS2, "example.org", owner, type, data);
}

static void make_zones(struct fixture *f)
{
    fake_zone(f->dns, TLD, "org");
    fake_rr(f->dns, TLD, "org", "org", "NS", "ns.org");
    fake_rr(f->dns, TLD, "org", "ns.org", "A", TLD);
    fake_rr(f->dns, TLD, "org", "example.org", "NS", "ns1.example.org");
    fake_rr(f->dns, TLD, "org", "example.org", "NS", "ns2.example.org");
    fake_rr(f->dns, TLD, "org", "ns1.example.org", "A", NS1);
    fake_rr(f->dns, TLD, "org", "ns2.example.org", "A", NS2);
    fake_zone(f->dns, NS1, "example.org");
    fake_zone(f->dns, NS2, "example.org");
    both(f, "example.org", "NS", "ns1.example.org");
    both(f, "example.org", "NS", "ns2.example.org");
    both(f, "ns1.example.org", "A", NS1);
    both(f, "ns2.example.org", "A", NS2);
    both(f, "www.example.org", "A", "198.51.100.1");
    fake_zone(f->dns, OTHER, "acme.net");
    fake_rr(f->dns, OTHER, "acme.net", "acme.net", "NS", "ns.acme.net");
    fake_rr(f->dns, OTHER, "acme.net", "ns.acme.net", "A", OTHER);
}

static int setup(void **state)
{
    static const char *const identities[] = {"ca.example"};
    static const char *const methods[] = {"dns-01"};
    struct fixture *f = xnew(struct fixture);
    f->loop = loop_new();
    f->dns = fake_dns_new(f->loop);
    f->store = store_memory_new(f->loop);
    f->providers = fake_providers_new(f->loop, f->dns);
    const struct publisher_env env = {.loop = f->loop,
                                      .dns = f->dns,
                                      .store = f->store,
                                      .providers = f->providers,
                                      .rng = &rng_system};
    f->publisher = publisher_new(&env);
    f->pool.loop = f->loop;
    f->checks = checks_new(f->loop, f->dns, f->publisher, &f->pool);
    fake_conf_init(&f->conf);
    fake_conf_provider(&f->conf, "one", "example.org");
    fake_conf_provider(&f->conf, "two", "acme.net");
    f->resolver[0] = (char *)"9.9.9.9";
    f->conf.zones[0].resolvers = (struct conf_strs){f->resolver, 1};
    publisher_configure(f->publisher, &f->conf.conf);
    make_zones(f);
    f->asker = (struct caa_asker){.ca = "lab",
                                  .identities = identities,
                                  .n_identities = 1,
                                  .account = "",
                                  .methods = methods,
                                  .n_methods = 1};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    checks_cancel(f->call);
    findings_done(&f->findings);
    checks_free(f->checks);
    publisher_free(f->publisher);
    fake_dns_free(f->dns);
    providers_free(f->providers);
    store_close(f->store);
    loop_run(f->loop);
    loop_free(f->loop);
    free(f);
    return 0;
}

static void now_known(void *arg)
{
    struct fixture *f = arg;
    f->asker_later = false;
    checks_asker(f->call);
}

static const struct caa_asker *asker(void *arg, bool account)
{
    struct fixture *f = arg;
    f->asked_account = account;
    if (!f->asker_later)
        return &f->asker;
    timer_after(f->loop, &f->later, 500, now_known, f);
    return NULL;
}

static void on_done(void *arg, struct findings *found)
{
    struct fixture *f = arg;
    f->place = *checks_place(f->call);
    f->call = NULL;
    f->done++;
    findings_take(&f->findings, found);
}

static void run(struct fixture *f, const char *name, bool full)
{
    static const struct checks_handler handler = {asker, on_done};
    struct conf_name *n = &f->conf.names[0];
    n->name = (char *)(uintptr_t)name;
    const struct checks_spec spec = {
        .cert = &f->conf.cert, .name = n, .full = full, .fresh = true, .timeout_ms = 60000};
    unsigned before = f->done;
    findings_done(&f->findings);
    f->call = checks_start(f->checks, &spec, &handler, f);
    assert_int_equal(f->done, before);
    loop_run(f->loop);
    assert_int_equal(f->done, before + 1);
}

static void print_all(const struct fixture *f)
{
    for (size_t i = 0; i < f->findings.n; i++)
        print_error("%s %s %s: %s\n", finding_level_name(f->findings.v[i].level),
                    f->findings.v[i].check, f->findings.v[i].name, f->findings.v[i].text);
}

static void expect(struct fixture *f, const char *check, enum finding_level level, const char *says)
{
    for (size_t i = 0; i < f->findings.n; i++) {
        const struct finding *v = &f->findings.v[i];
        if (str_eq(v->check, check) && v->level == level && strstr(v->text, says))
            return;
    }
    print_all(f);
    fail_msg("no finding %s %s \"%s\"", check, finding_level_name(level), says);
}

static void expect_level(struct fixture *f, enum finding_level level)
{
    if (findings_level(&f->findings) == level)
        return;
    print_all(f);
    fail_msg("worst is not %s", finding_level_name(level));
}

/* ---- tests ---- */

static void test_all_is_well(void **state)
{
    struct fixture *f = *state;
    run(f, "www.example.org", true);
    expect(f, "caa", FINDING_OK, "no CAA records");
    expect(f, "dnssec", FINDING_OK, "no fault in example.org");
    expect(f, "delegation", FINDING_OK, "2 addresses of 2 name servers serve example.org");
    expect(f, "alias", FINDING_OK, "through the provider one");
    expect_level(f, FINDING_OK);
    assert_string_equal(f->place.provider, "one");
    assert_string_equal(f->place.zone, "example.org");
    run(f, "www.example.org", false);
    assert_int_equal(f->findings.n, 0);
}

/* Never asked of the resolvers: what is about to be made. */
static void test_costs(void **state)
{
    struct fixture *f = *state;
    static const struct checks_handler handler = {asker, on_done};
    const struct checks_spec spec = {
        .cert = &f->conf.cert, .name = &f->conf.names[0], .timeout_ms = 8000};
    char name[64];
    run(f, "www.example.org", false);
    fake_forget_queries(f->dns);
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "n%d.example.org", i);
        f->conf.names[0].name = name;
        f->call = checks_start(f->checks, &spec, &handler, f);
        loop_run(f->loop);
    }
    assert_int_equal(f->done, 101);
    assert_int_equal(f->findings.n, 0);
    assert_int_equal(fake_count(f->dns, NS1, NULL, DNS_CAA), 100);
    assert_int_equal(fake_count(f->dns, NS1, NULL, DNS_CNAME), 100);
    assert_int_equal(fake_count(f->dns, "resolver", NULL, DNS_SOA), 100); /* as publishing does */
    assert_int_equal(fake_queries(f->dns), 300);
    for (size_t i = 0; i < fake_queries(f->dns); i++)
        assert_false(str_eq(fake_query(f->dns, i)->server, "resolver") &&
                     str_starts(fake_query(f->dns, i)->name, "_acme"));
}

static void test_caa(void **state)
{
    struct fixture *f = *state;
    both(f, "example.org", "CAA", "0 issue else.example");
    run(f, "www.example.org", false);
    expect(f, "caa", FINDING_FAIL, "forbid lab");
    assert_false(f->asked_account);
    both(f, "www.example.org", "CAA", "0 issue ca.example; accounturi=https://x/1");
    f->asker_later = true;
    run(f, "www.example.org", false);
    expect(f, "caa", FINDING_WARN, "not known yet");
    assert_true(f->asked_account);
}

static void test_caa_not_answered(void **state)
{
    struct fixture *f = *state;
    f->conf.zones[0].ask = CONF_ASK_RESOLVERS;
    publisher_configure(f->publisher, &f->conf.conf);
    fake_broken(f->dns, "www.example.org");
    run(f, "www.example.org", false);
    expect(f, "caa", FINDING_WARN, "could not be read");
    expect_level(f, FINDING_WARN);
}

static void test_bogus(void **state)
{
    struct fixture *f = *state;
    fake_broken(f->dns, "example.org");
    f->pool = (struct exchange_pool){.loop = f->loop, .checked = {2, 2}, .unchecked = 0, .ede = 7};
    both(f, "www.example.org", "CAA", "0 issue ca.example");
    /* The resolver tells the zone of nothing below it then; the TLD's servers do. */
    run(f, "www.example.org", false);
    expect(f, "dnssec", FINDING_FAIL, "DNSSEC of example.org is broken");
    expect(f, "dnssec", FINDING_FAIL, "signature expired, expired");
    assert_int_equal(f->pool.asked, 2);
}

static void test_bogus_without_a_reason(void **state)
{
    struct fixture *f = *state;
    int64_t began = loop_mono_ms(f->loop);
    fake_broken(f->dns, "example.org");
    f->pool = (struct exchange_pool){.loop = f->loop, .checked = {2, 2}};
    run(f, "www.example.org", false);
    expect(f, "dnssec", FINDING_FAIL, "remove the DS");
    assert_int_equal(f->pool.asked, 3);
    assert_true(loop_mono_ms(f->loop) - began >= 2000);
}

static void test_not_bogus(void **state)
{
    struct fixture *f = *state;
    fake_broken(f->dns, "example.org");
    f->pool = (struct exchange_pool){.loop = f->loop, .checked = {2, 0}}; /* for a moment */
    run(f, "www.example.org", false);
    assert_int_equal(f->findings.n, 0);
    f->pool = (struct exchange_pool){.loop = f->loop, .unchecked = 2}; /* nor without checking */
    run(f, "www.example.org", false);
    expect(f, "dnssec", FINDING_WARN, "cannot be told");
    expect_level(f, FINDING_WARN);
    f->pool = (struct exchange_pool){.loop = f->loop, .unchecked = -1};
    run(f, "www.example.org", false);
    expect(f, "dnssec", FINDING_WARN, "not over TCP");
    expect_level(f, FINDING_WARN);
    fake_broken(f->dns, NULL);
    fake_mode(f->dns, "resolver", FAKE_SILENT);
    run(f, "www.example.org", false);
    expect_level(f, FINDING_WARN);
}

static void test_dead_delegation(void **state)
{
    struct fixture *f = *state;
    fake_broken(f->dns, "example.org");
    f->pool = (struct exchange_pool){.loop = f->loop, .unchecked = 2};
    fake_mode(f->dns, NS1, FAKE_REFUSED);
    fake_mode(f->dns, NS2, FAKE_SILENT);
    run(f, "www.example.org", false);
    expect(f, "delegation", FINDING_FAIL, "the delegation of example.org is dead");
    expect(f, "delegation", FINDING_FAIL, "ns1.example.org (192.0.2.1) answers REFUSED");
    expect(f, "delegation", FINDING_FAIL, "ns2.example.org (192.0.2.2) does not answer");
    expect(f, "delegation", FINDING_FAIL, "(in org)");
    /* The resolvers find it: the fault may be ours. */
    fake_broken(f->dns, NULL);
    run(f, "www.example.org", true);
    expect(f, "delegation", FINDING_WARN, "though the resolvers find the zone");
    expect_level(f, FINDING_WARN);
}

static void test_servers_that_are_nowhere(void **state)
{
    struct fixture *f = *state;
    fake_rr(f->dns, TLD, "org", "lost.org", "NS", "ns.nowhere.invalid");
    fake_broken(f->dns, "lost.org");
    f->pool = (struct exchange_pool){.loop = f->loop, .unchecked = 2};
    run(f, "www.lost.org", false);
    expect(f, "delegation", FINDING_FAIL, "ns.nowhere.invalid has no address");
}

/* acme.net lies below a top-level domain that the root does not know here. */
static void test_private_domain(void **state)
{
    struct fixture *f = *state;
    run(f, "www.acme.net", true);
    expect(f, "delegation", FINDING_OK, "the resolvers know acme.net");
    fake_ttl(f->dns, 300, 0);
    run(f, "www.nothing.net", false);
    expect(f, "delegation", FINDING_FAIL, "does not exist");
}

/* Its servers have the child, too, and refer to nobody. */
static void test_child_at_the_parents_servers(void **state)
{
    struct fixture *f = *state;
    fake_zone(f->dns, NS1, "sub.example.org");
    fake_zone(f->dns, NS2, "sub.example.org");
    for (int i = 0; i < 2; i++)
        fake_rr(f->dns, i ? NS2 : NS1, "sub.example.org", "sub.example.org", "NS",
                "ns1.example.org");
    run(f, "www.sub.example.org", true);
    expect(f, "delegation", FINDING_OK, "1 addresses of 1 name servers serve sub.example.org");
    expect(f, "dnssec", FINDING_OK, "sub.example.org");
}

static void test_partly_lame(void **state)
{
    struct fixture *f = *state;
    fake_mode(f->dns, NS2, FAKE_LAME);
    run(f, "www.example.org", true);
    expect(f, "delegation", FINDING_WARN, "(192.0.2.2) answers without authority");
    expect_level(f, FINDING_WARN);
    fake_mode(f->dns, NS2, FAKE_UP);
    /* No IPv6 here: nobody's fault. */
    fake_rr(f->dns, TLD, "org", "ns2.example.org", "AAAA", "2001:db8::2");
    fake_mode(f->dns, "2001:db8::2", FAKE_SILENT);
    run(f, "www.example.org", true);
    expect_level(f, FINDING_OK);
}

static void test_aliases(void **state)
{
    struct fixture *f = *state;
    both(f, "_acme-challenge.www.example.org", "CNAME", "x.acme.net");
    run(f, "www.example.org", true);
    expect(f, "alias", FINDING_OK, "goes to x.acme.net in the zone acme.net, through the provider");
    expect(f, "dnssec", FINDING_OK, "acme.net");
    both(f, "_acme-challenge.lost.example.org", "CNAME", "x.no-such-domain");
    run(f, "lost.example.org", false);
    expect(f, "alias", FINDING_FAIL, "does not exist");
    both(f, "_acme-challenge.gone.example.org", "CNAME", "x.missing.org");
    f->conf.conf.n_providers = 1; /* the only one, which serves other zones */
    run(f, "gone.example.org", false);
    expect(f, "alias", FINDING_FAIL, "there is no domain missing.org");
    f->conf.conf.n_providers = 2;
    both(f, "_acme-challenge.a.example.org", "CNAME", "_acme-challenge.b.example.org");
    both(f, "_acme-challenge.b.example.org", "CNAME", "_acme-challenge.a.example.org");
    run(f, "a.example.org", false);
    expect(f, "alias", FINDING_FAIL, "in a circle");
    fake_zone(f->dns, OTHER, "else.net");
    fake_rr(f->dns, OTHER, "else.net", "else.net", "NS", "ns.acme.net");
    both(f, "_acme-challenge.c.example.org", "CNAME", "c.else.net");
    run(f, "c.example.org", false);
    expect(f, "provider", FINDING_FAIL, "no provider serves c.else.net");
    /* Where another way is open, that is a warning. */
    f->conf.names[0].challenges = (struct conf_challenges){{CONF_DNS_01, CONF_HTTP_01}, 2};
    run(f, "c.example.org", false);
    expect_level(f, FINDING_WARN);
    f->conf.names[0].challenges = (struct conf_challenges){{CONF_HTTP_01}, 1};
    run(f, "c.example.org", false);
    assert_int_equal(f->findings.n, 0);
    assert_string_equal(f->place.provider, "");
}

static void test_policy(void **state)
{
    struct fixture *f = *state;
    both(f, "example.org", "CAA", "0 issue else.example");
    fake_conf_zone(&f->conf, "example.org")->check = CONF_CHECK_WARN;
    run(f, "www.example.org", false);
    expect(f, "caa", FINDING_WARN, "forbid lab");
    expect_level(f, FINDING_WARN);
}

static void test_cancelled_and_late(void **state)
{
    struct fixture *f = *state;
    static const struct checks_handler handler = {asker, on_done};
    const struct checks_spec spec = {
        .cert = &f->conf.cert, .name = &f->conf.names[0], .full = true, .timeout_ms = 1000};
    for (int64_t ms = 0; ms < 12; ms++) {
        f->call = checks_start(f->checks, &spec, &handler, f);
        checks_clear(f->checks);
        fake_run_for(f->loop, ms);
        if (f->done)
            break;
        checks_cancel(f->call);
    }
    loop_run(f->loop);
    fake_mode(f->dns, NS1, FAKE_SILENT);
    fake_mode(f->dns, NS2, FAKE_SILENT);
    f->done = 0;
    f->call = checks_start(f->checks, &spec, &handler, f);
    loop_run(f->loop);
    assert_int_equal(f->done, 1);
    findings_done(&f->findings);
}

#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_all_is_well),
        T(test_costs),
        T(test_caa),
        T(test_caa_not_answered),
        T(test_bogus),
        T(test_bogus_without_a_reason),
        T(test_not_bogus),
        T(test_dead_delegation),
        T(test_servers_that_are_nowhere),
        T(test_private_domain),
        T(test_child_at_the_parents_servers),
        T(test_partly_lame),
        T(test_aliases),
        T(test_policy),
        T(test_cancelled_and_late),
    };
    return cmocka_run_group_tests_name("checks", tests, NULL, NULL);
}
