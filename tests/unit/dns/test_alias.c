/* SPDX-License-Identifier: ISC */
/* Alias chains and zone cuts: dns/alias.h, zone_cut.h, soa_find.h, ns_find.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "dns/alias.h"
#include "fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS1 "192.0.2.1"
#define NS2 "192.0.2.2"
#define SUB "192.0.2.3"
#define OTHER "192.0.2.9"
#define NAME "_acme-challenge.www.example.org"

struct fixture {
    struct loop *loop;
    struct dns *dns;
    struct reach *reach;
    struct cuts *cuts;
    struct fake_conf conf;
    struct alias_call *call;
    struct alias_chain chain;
    char servers[1024];
    struct err err;
    unsigned done;
};

static void forget_chain(struct alias_chain *chain)
{
    for (size_t i = 0; i < chain->n; i++) {
        free(chain->names[i]);
        free(chain->zones[i]);
    }
    memset(chain, 0, sizeof(*chain));
}

static void on_alias(void *arg, const struct alias_chain *chain, const struct err *err)
{
    struct fixture *f = arg;
    f->call = NULL;
    f->err = *err;
    f->done++;
    forget_chain(&f->chain);
    f->servers[0] = '\0';
    if (!chain)
        return;
    f->chain = *chain;
    for (size_t i = 0; i < chain->n; i++) {
        f->chain.names[i] = xstrdup(chain->names[i]);
        f->chain.zones[i] = xstrdup(chain->zones[i]);
    }
    for (size_t i = 0; i < chain->servers->n; i++)
        snprintf(f->servers + strlen(f->servers), sizeof(f->servers) - strlen(f->servers), "%s%s",
                 i ? ", " : "", chain->servers->v[i].label);
}

static int setup(void **state)
{
    struct fixture *f = xnew(struct fixture);
    f->loop = loop_new();
    f->dns = fake_dns_new(f->loop);
    f->reach = reach_new(f->loop);
    f->cuts = cuts_new(f->loop, f->dns, f->reach);
    fake_conf_init(&f->conf);
    static const char *const both[] = {NS1, NS2};
    for (size_t i = 0; i < 2; i++) {
        fake_zone(f->dns, both[i], "example.org");
        fake_rr(f->dns, both[i], "example.org", "example.org", "NS", "ns1.example.org");
        fake_rr(f->dns, both[i], "example.org", "example.org", "NS", "ns2.example.org");
        fake_rr(f->dns, both[i], "example.org", "ns1.example.org", "A", NS1);
        fake_rr(f->dns, both[i], "example.org", "ns2.example.org", "A", NS2);
        fake_rr(f->dns, both[i], "example.org", "ns2.example.org", "AAAA", "2001:db8::2");
        fake_rr(f->dns, both[i], "example.org", "www.example.org", "A", "198.51.100.1");
    }
    fake_mode(f->dns, "2001:db8::2", FAKE_SILENT);
    fake_zone(f->dns, OTHER, "acme.net");
    fake_rr(f->dns, OTHER, "acme.net", "acme.net", "NS", "ns.acme.net");
    fake_rr(f->dns, OTHER, "acme.net", "ns.acme.net", "A", OTHER);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    forget_chain(&f->chain);
    alias_cancel(f->call);
    cuts_free(f->cuts);
    reach_free(f->reach);
    fake_dns_free(f->dns);
    assert_int_equal(fake_timers(f->loop), 0);
    loop_free(f->loop);
    free(f);
    return 0;
}

static void both(struct fixture *f, const char *owner, const char *type, const char *data)
{
    fake_rr(f->dns, NS1, "example.org", owner, type, data);
    fake_rr(f->dns, NS2, "example.org", owner, type, data);
}

static void follow(struct fixture *f, const char *name)
{
    unsigned before = f->done;
    f->call = alias_follow(f->cuts, &f->conf.conf, name, on_alias, f);
    assert_int_equal(f->done, before);
    loop_run(f->loop);
    assert_int_equal(f->done, before + 1);
}

static const char *final_name(const struct fixture *f)
{
    return f->chain.n ? f->chain.names[f->chain.n - 1] : "";
}

static void leads_to(struct fixture *f, const char *name, const char *final, const char *zone)
{
    follow(f, name);
    if (f->err.cls != ERR_NONE)
        print_error("%s\n", f->err.detail);
    assert_int_equal(f->err.cls, ERR_NONE);
    assert_string_equal(final_name(f), final);
    assert_string_equal(f->chain.zones[f->chain.n - 1], zone);
}

static void fails(struct fixture *f, const char *name, enum err_class cls, const char *text)
{
    follow(f, name);
    assert_int_equal(f->err.cls, cls);
    if (!strstr(f->err.detail, text))
        print_error("%s\n", f->err.detail);
    assert_non_null(strstr(f->err.detail, text));
}

/* No resolver was ever asked for a name below _acme-challenge. */
static void resolvers_know_nothing(const struct fixture *f)
{
    for (size_t i = 0; i < fake_queries(f->dns); i++) {
        const struct fake_query *q = fake_query(f->dns, i);
        if (str_eq(q->server, "resolver"))
            assert_false(str_starts(q->name, "_acme-challenge."));
        else
            assert_false(q->recurse);
    }
}

static void test_plain(void **state)
{
    struct fixture *f = *state;
    leads_to(f, NAME, NAME, "example.org");
    assert_int_equal(f->chain.n, 1);
    assert_false(f->chain.resolved);
    assert_string_equal(f->servers, "ns1.example.org (192.0.2.1), ns2.example.org (192.0.2.2), "
                                    "ns2.example.org (2001:db8::2)");
    resolvers_know_nothing(f);
}

static void test_apex(void **state)
{
    struct fixture *f = *state;
    leads_to(f, "_acme-challenge.example.org", "_acme-challenge.example.org", "example.org");
    resolvers_know_nothing(f);
}

static void test_name_that_does_not_exist(void **state)
{
    struct fixture *f = *state;
    leads_to(f, "_acme-challenge.new.host.example.org", "_acme-challenge.new.host.example.org",
             "example.org");
    resolvers_know_nothing(f);
}

static void test_cached(void **state)
{
    struct fixture *f = *state;
    leads_to(f, NAME, NAME, "example.org");
    fake_forget_queries(f->dns);
    leads_to(f, NAME, NAME, "example.org");
    assert_int_equal(fake_queries(f->dns), 1); /* is it an alias by now? */
    fake_run_for(f->loop, 301000);
    fake_forget_queries(f->dns);
    leads_to(f, NAME, NAME, "example.org");
    assert_int_equal(fake_count(f->dns, "resolver", "www.example.org", DNS_SOA), 1);
    assert_int_equal(fake_count(f->dns, "resolver", "example.org", DNS_NS), 1);
}

static void test_cache_is_dropped(void **state)
{
    struct fixture *f = *state;
    leads_to(f, NAME, NAME, "example.org");
    cuts_drop(f->cuts, "example.org");
    fake_forget_queries(f->dns);
    leads_to(f, NAME, NAME, "example.org");
    assert_int_equal(fake_count(f->dns, "resolver", NULL, DNS_NS), 1);
    assert_int_equal(fake_count(f->dns, "resolver", NULL, DNS_SOA), 0);
    cuts_clear(f->cuts);
    leads_to(f, NAME, NAME, "example.org");
    assert_int_equal(fake_count(f->dns, "resolver", NULL, DNS_SOA), 1);
}

static void test_cname_to_another_zone(void **state)
{
    struct fixture *f = *state;
    both(f, NAME, "CNAME", "abc.acme.net");
    leads_to(f, NAME, "abc.acme.net", "acme.net");
    assert_int_equal(f->chain.n, 2);
    assert_string_equal(f->servers, "ns.acme.net (192.0.2.9)");
    assert_int_equal(fake_count(f->dns, "resolver", "abc.acme.net", 0), 0);
    resolvers_know_nothing(f);
}

static void test_cname_within_the_zone(void **state)
{
    struct fixture *f = *state;
    both(f, NAME, "CNAME", "x.example.org");
    both(f, "x.example.org", "CNAME", "y.example.org");
    leads_to(f, NAME, "y.example.org", "example.org");
    assert_int_equal(f->chain.n, 3);
}

static void test_dname(void **state)
{
    struct fixture *f = *state;
    both(f, "old.example.org", "DNAME", "new.acme.net");
    leads_to(f, "_acme-challenge.www.old.example.org", "_acme-challenge.www.new.acme.net",
             "acme.net");
}

static void test_wildcard_cname_is_followed(void **state)
{
    struct fixture *f = *state;
    both(f, "*.example.org", "CNAME", "all.acme.net");
    leads_to(f, "_acme-challenge.shop.example.org", "all.acme.net", "acme.net");
}

static void test_loop(void **state)
{
    struct fixture *f = *state;
    both(f, NAME, "CNAME", "a.example.org");
    both(f, "a.example.org", "CNAME", "b.example.org");
    both(f, "b.example.org", "CNAME", "a.example.org");
    fails(f, NAME, ERR_BLOCKED,
          NAME " -> a.example.org -> b.example.org -> a.example.org: remove one");
    both(f, "_acme-challenge.self.example.org", "CNAME", "_acme-challenge.self.example.org");
    fails(f, "_acme-challenge.self.example.org", ERR_BLOCKED, "circle");
}

static void chain_of(struct fixture *f, int n)
{
    char from[64], to[64];
    for (int i = 0; i < n; i++) {
        snprintf(from, sizeof(from), "c%d.example.org", i);
        snprintf(to, sizeof(to), "c%d.example.org", i + 1);
        both(f, from, "CNAME", to);
    }
}

static void test_longest_chain(void **state)
{
    struct fixture *f = *state;
    chain_of(f, 16);
    leads_to(f, "c0.example.org", "c16.example.org", "example.org");
}

static void test_chain_too_long(void **state)
{
    struct fixture *f = *state;
    chain_of(f, 17);
    fails(f, "c0.example.org", ERR_BLOCKED, "more than 16 aliases");
}

static void test_dangling(void **state)
{
    struct fixture *f = *state;
    both(f, NAME, "CNAME", "abc.nowhere.invalid");
    fails(f, NAME, ERR_BLOCKED, "does not exist");
    assert_non_null(strstr(f->err.detail, NAME " -> abc.nowhere.invalid"));
}

static void test_target_that_is_no_name(void **state)
{
    struct fixture *f = *state;
    both(f, NAME, "CNAME", "0/25.\x1b[31m.example.org");
    fails(f, NAME, ERR_BLOCKED, "correct that record");
    assert_null(strchr(f->err.detail, '\x1b'));
}

/* "a.b.example.org" is a zone of its own, two labels down, on a server of its own. */
static void delegate(struct fixture *f)
{
    both(f, "a.b.example.org", "NS", "ns.a.b.example.org");
    both(f, "ns.a.b.example.org", "A", SUB);
    fake_zone(f->dns, SUB, "a.b.example.org");
    fake_rr(f->dns, SUB, "a.b.example.org", "a.b.example.org", "NS", "ns.a.b.example.org");
    fake_rr(f->dns, SUB, "a.b.example.org", "ns.a.b.example.org", "A", SUB);
}

static void test_cut_two_labels_down(void **state)
{
    struct fixture *f = *state;
    delegate(f);
    leads_to(f, "_acme-challenge.a.b.example.org", "_acme-challenge.a.b.example.org",
             "a.b.example.org");
    assert_string_equal(f->servers, "ns.a.b.example.org (192.0.2.3)");
    resolvers_know_nothing(f);
}

/* The record's own name is delegated: only a referral can tell. */
static void test_referral(void **state)
{
    struct fixture *f = *state;
    both(f, NAME, "NS", "ns.acme.net");
    fake_zone(f->dns, OTHER, NAME);
    fake_rr(f->dns, OTHER, NAME, NAME, "NS", "ns.acme.net");
    leads_to(f, NAME, NAME, NAME);
    assert_string_equal(f->servers, "ns.acme.net (192.0.2.9)");
    resolvers_know_nothing(f);
}

static void test_referral_of_configured_servers(void **state)
{
    struct fixture *f = *state;
    char *texts[] = {(char *)NS1, (char *)NS2};
    delegate(f);
    fake_mode(f->dns, "resolver", FAKE_SILENT);
    fake_conf_servers(fake_conf_zone(&f->conf, "example.org"), texts, 2);
    leads_to(f, "_acme-challenge.x.a.b.example.org", "_acme-challenge.x.a.b.example.org",
             "a.b.example.org");
    assert_string_equal(f->servers, "ns.a.b.example.org (192.0.2.3)");
    assert_int_equal(fake_count(f->dns, "resolver", NULL, 0), 0);
}

/* Glue that the parent has no business giving is not believed. */
static void test_poisoned_glue(void **state)
{
    struct fixture *f = *state;
    both(f, NAME, "NS", "ns.acme.net");
    both(f, "ns.acme.net", "A", "203.0.113.66");
    fake_zone(f->dns, OTHER, NAME);
    fake_rr(f->dns, OTHER, NAME, NAME, "NS", "ns.acme.net");
    leads_to(f, NAME, NAME, NAME);
    assert_string_equal(f->servers, "ns.acme.net (192.0.2.9)");
    assert_int_equal(fake_count(f->dns, "203.0.113.66", NULL, 0), 0);
}

/* A server that points upwards has no authority. */
static void test_upward_referral(void **state)
{
    struct fixture *f = *state;
    char *texts[] = {(char *)SUB, (char *)NS1};
    fake_zone(f->dns, SUB, "example.org");
    fake_rr(f->dns, SUB, "example.org", "org", "NS", "ns.evil.net");
    fake_conf_servers(fake_conf_zone(&f->conf, "example.org"), texts, 2);
    leads_to(f, NAME, NAME, "example.org");
    assert_false(f->chain.resolved);
    assert_int_equal(fake_count(f->dns, SUB, NAME, DNS_CNAME), 1);
    assert_int_equal(fake_count(f->dns, NS1, NAME, DNS_CNAME), 1);
}

static void test_ipv6_only(void **state)
{
    struct fixture *f = *state;
    fake_mode(f->dns, "2001:db8::2", FAKE_UP);
    fake_zone(f->dns, "2001:db8::2", "six.net");
    fake_rr(f->dns, "2001:db8::2", "six.net", "six.net", "NS", "ns.six.net");
    fake_rr(f->dns, "2001:db8::2", "six.net", "ns.six.net", "AAAA", "2001:db8::2");
    leads_to(f, "_acme-challenge.six.net", "_acme-challenge.six.net", "six.net");
    assert_string_equal(f->servers, "ns.six.net (2001:db8::2)");
}

static void test_second_resolver(void **state)
{
    static const enum fake_mode vices[] = {FAKE_SILENT, FAKE_REFUSED, FAKE_SERVFAIL};
    struct fixture *f = *state;
    char *texts[] = {(char *)"9.9.9.8", (char *)"9.9.9.9"};
    struct conf_dns_zone *z = fake_conf_zone(&f->conf, "example.org");
    z->resolvers = (struct conf_strs){.v = texts, .n = 2};
    for (size_t i = 0; i < ARRAY_LEN(vices); i++) {
        fake_mode(f->dns, "9.9.9.8", vices[i]);
        cuts_clear(f->cuts);
        leads_to(f, NAME, NAME, "example.org");
        z->ask = CONF_ASK_RESOLVERS;
        leads_to(f, NAME, NAME, "example.org");
        z->ask = CONF_ASK_AUTO;
    }
}

/* The child's own NS set counts, not only the parent's copy of it. */
static void test_child_has_more_servers(void **state)
{
    struct fixture *f = *state;
    both(f, NAME, "NS", "ns.sub.example.org");
    both(f, "ns.sub.example.org", "A", SUB);
    fake_zone(f->dns, SUB, NAME);
    fake_rr(f->dns, SUB, NAME, NAME, "NS", "ns.sub.example.org");
    fake_rr(f->dns, SUB, NAME, NAME, "NS", "ns.acme.net");
    fake_zone(f->dns, OTHER, NAME);
    leads_to(f, NAME, NAME, NAME);
    assert_string_equal(f->servers, "ns.sub.example.org (192.0.2.3), ns.acme.net (192.0.2.9)");
}

/* Parent and child on the same servers: no referral, but another SOA. */
static void test_child_on_the_same_servers(void **state)
{
    struct fixture *f = *state;
    static const char *const servers[] = {NS1, NS2};
    both(f, NAME, "NS", "ns1.example.org");
    both(f, NAME, "NS", "ns2.example.org");
    for (size_t i = 0; i < 2; i++) {
        fake_zone(f->dns, servers[i], NAME);
        fake_rr(f->dns, servers[i], NAME, NAME, "NS", "ns1.example.org");
        fake_rr(f->dns, servers[i], NAME, NAME, "NS", "ns2.example.org");
    }
    leads_to(f, NAME, NAME, NAME);
    assert_int_equal(fake_count(f->dns, "resolver", NAME, 0), 0);
}

static void test_configured_servers(void **state)
{
    struct fixture *f = *state;
    char *texts[] = {(char *)NS2};
    fake_mode(f->dns, "resolver", FAKE_SILENT);
    fake_conf_servers(fake_conf_zone(&f->conf, "example.org"), texts, 1);
    leads_to(f, NAME, NAME, "example.org");
    assert_string_equal(f->servers, "192.0.2.2");
    assert_int_equal(fake_queries(f->dns), 1);
}

static void test_configured_suffix_is_no_zone(void **state)
{
    struct fixture *f = *state;
    char *texts[] = {(char *)NS2};
    fake_conf_servers(fake_conf_zone(&f->conf, "www.example.org"), texts, 1);
    leads_to(f, NAME, NAME, "example.org");
    assert_string_equal(f->servers, "192.0.2.2");
}

static void test_parent_is_an_alias_itself(void **state)
{
    struct fixture *f = *state;
    both(f, "cdn.example.org", "CNAME", "cdn.acme.net");
    leads_to(f, "_acme-challenge.cdn.example.org", "_acme-challenge.cdn.example.org",
             "example.org");
}

static void test_challtestsrv(void **state)
{
    struct fixture *f = *state;
    fake_mode(f->dns, "resolver", FAKE_CHALLTEST);
    leads_to(f, NAME, NAME, "");
    assert_true(f->chain.resolved);
    assert_non_null(strstr(f->chain.note, "no usable SOA record"));
    fake_forget_queries(f->dns);
    f->conf.zones[0].ask = CONF_ASK_AUTHORITATIVE;
    fails(f, NAME, ERR_TRANSIENT, "dns.zones");
    assert_int_equal(fake_count(f->dns, "resolver", NULL, DNS_SOA), 3); /* www, example, org */
}

static void test_resolvers_silent(void **state)
{
    struct fixture *f = *state;
    fake_mode(f->dns, "resolver", FAKE_SILENT);
    fails(f, NAME, ERR_TRANSIENT, "timed out");
    assert_int_equal(fake_queries(f->dns), 2); /* the zone; then the name itself */
    fake_mode(f->dns, "resolver", FAKE_UP);
    leads_to(f, NAME, NAME, "example.org"); /* failures are not remembered */
}

static void test_resolver_servfail(void **state)
{
    struct fixture *f = *state;
    fake_mode(f->dns, "resolver", FAKE_SERVFAIL);
    fails(f, NAME, ERR_TRANSIENT, "SERVFAIL");
}

static void test_second_server_answers(void **state)
{
    static const enum fake_mode vices[] = {FAKE_SILENT, FAKE_LAME, FAKE_REFUSED, FAKE_SERVFAIL,
                                           FAKE_CHALLTEST};
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(vices); i++) {
        fake_mode(f->dns, NS1, vices[i]);
        leads_to(f, NAME, NAME, "example.org");
        assert_false(f->chain.resolved);
        fake_run_for(f->loop, 61000);
    }
}

static void test_silent_server_is_remembered(void **state)
{
    struct fixture *f = *state;
    fake_mode(f->dns, NS1, FAKE_SILENT);
    leads_to(f, NAME, NAME, "example.org");
    fake_forget_queries(f->dns);
    leads_to(f, NAME, NAME, "example.org");
    assert_int_equal(fake_count(f->dns, NS1, NULL, 0), 0);
    fake_run_for(f->loop, 61000);
    leads_to(f, NAME, NAME, "example.org");
    assert_int_equal(fake_count(f->dns, NS1, NULL, 0), 1);
}

static void all_mode(struct fixture *f, enum fake_mode m)
{
    fake_mode(f->dns, NS1, m);
    fake_mode(f->dns, NS2, m);
}

static void test_fallback_to_resolvers(void **state)
{
    struct fixture *f = *state;
    all_mode(f, FAKE_SILENT);
    leads_to(f, NAME, NAME, "example.org");
    assert_true(f->chain.resolved);
    assert_non_null(strstr(f->chain.note, "can be reached"));
    assert_string_equal(f->servers, "the system's resolvers");
}

static void test_fallback_because_of_interception(void **state)
{
    struct fixture *f = *state;
    all_mode(f, FAKE_LAME);
    fake_mode(f->dns, "2001:db8::2", FAKE_LAME);
    leads_to(f, NAME, NAME, "example.org");
    assert_true(f->chain.resolved);
    assert_non_null(strstr(f->chain.note, "without authority"));
}

static void test_no_fallback_when_authoritative(void **state)
{
    struct fixture *f = *state;
    f->conf.zones[0].ask = CONF_ASK_AUTHORITATIVE;
    all_mode(f, FAKE_SILENT);
    fails(f, NAME, ERR_TRANSIENT, "no name server of example.org can be reached");
    assert_int_equal(fake_count(f->dns, "resolver", NULL, DNS_CNAME), 0);
}

static void test_ask_resolvers(void **state)
{
    struct fixture *f = *state;
    char *texts[] = {(char *)"9.9.9.9"};
    f->conf.zones[0].ask = CONF_ASK_RESOLVERS;
    f->conf.zones[0].resolvers = (struct conf_strs){.v = texts, .n = 1};
    both(f, NAME, "CNAME", "abc.acme.net");
    leads_to(f, NAME, "abc.acme.net", "acme.net");
    assert_true(f->chain.resolved);
    assert_string_equal(f->servers, "9.9.9.9");
    for (size_t i = 0; i < fake_queries(f->dns); i++)
        assert_true(fake_query(f->dns, i)->recurse);
}

static void test_ask_resolvers_without_soa(void **state)
{
    struct fixture *f = *state;
    f->conf.zones[0].ask = CONF_ASK_RESOLVERS;
    fake_mode(f->dns, "resolver", FAKE_CHALLTEST);
    leads_to(f, NAME, NAME, "");
}

static void test_no_addresses(void **state)
{
    struct fixture *f = *state;
    f->conf.zones[0].ask = CONF_ASK_AUTHORITATIVE;
    fake_zone(f->dns, OTHER, "bare.net");
    fake_rr(f->dns, OTHER, "bare.net", "bare.net", "NS", "ns1.gone.net");
    fake_rr(f->dns, OTHER, "bare.net", "bare.net", "NS", "ns2.gone.net");
    fails(f, "_acme-challenge.bare.net", ERR_TRANSIENT, "none of the 2 name servers of bare.net");
}

static void test_hundreds_of_servers(void **state)
{
    struct fixture *f = *state;
    char ns[64], addr[32];
    fake_zone(f->dns, OTHER, "many.net");
    for (int i = 0; i < 200; i++) {
        snprintf(ns, sizeof(ns), "ns%d.many.net", i);
        snprintf(addr, sizeof(addr), "10.0.%d.1", i);
        fake_rr(f->dns, OTHER, "many.net", "many.net", "NS", ns);
        fake_rr(f->dns, OTHER, "many.net", ns, "A", addr);
        fake_mode(f->dns, addr, FAKE_SILENT);
    }
    leads_to(f, "_acme-challenge.many.net", "_acme-challenge.many.net", "many.net");
    assert_true(f->chain.resolved);
    assert_true(fake_queries(f->dns) < 64);
    assert_true(loop_mono_ms(f->loop) < 20000);
}

static void on_count(void *arg, const struct alias_chain *chain, const struct err *err)
{
    (void)err;
    assert_non_null(chain);
    ++*(unsigned *)arg;
}

static void test_equal_questions_share(void **state)
{
    struct fixture *f = *state;
    unsigned n = 0;
    char name[64];
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "_acme-challenge.h%d.example.org", i / 2);
        alias_follow(f->cuts, &f->conf.conf, name, on_count, &n);
    }
    loop_run(f->loop);
    assert_int_equal(n, 200);
    assert_int_equal(fake_count(f->dns, "resolver", NULL, DNS_NS), 1);
    assert_int_equal(fake_count(f->dns, "resolver", NULL, DNS_SOA), 100);
    assert_int_equal(fake_count(f->dns, NULL, NULL, DNS_CNAME), 200);
}

static void test_cancel_anywhere(void **state)
{
    struct fixture *f = *state;
    both(f, NAME, "CNAME", "abc.acme.net");
    for (int ms = 0; ms < 8; ms++) {
        cuts_clear(f->cuts);
        f->call = alias_follow(f->cuts, &f->conf.conf, NAME, on_alias, f);
        fake_run_for(f->loop, ms);
        assert_int_equal(f->done, 0);
        alias_cancel(f->call);
        f->call = NULL;
        loop_run(f->loop);
        assert_int_equal(f->done, 0);
    }
    leads_to(f, NAME, "abc.acme.net", "acme.net");
}

#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_plain),
        T(test_apex),
        T(test_name_that_does_not_exist),
        T(test_cached),
        T(test_cache_is_dropped),
        T(test_cname_to_another_zone),
        T(test_cname_within_the_zone),
        T(test_dname),
        T(test_wildcard_cname_is_followed),
        T(test_loop),
        T(test_longest_chain),
        T(test_chain_too_long),
        T(test_dangling),
        T(test_target_that_is_no_name),
        T(test_cut_two_labels_down),
        T(test_referral),
        T(test_referral_of_configured_servers),
        T(test_poisoned_glue),
        T(test_upward_referral),
        T(test_ipv6_only),
        T(test_second_resolver),
        T(test_child_has_more_servers),
        T(test_child_on_the_same_servers),
        T(test_configured_servers),
        T(test_configured_suffix_is_no_zone),
        T(test_parent_is_an_alias_itself),
        T(test_challtestsrv),
        T(test_resolvers_silent),
        T(test_resolver_servfail),
        T(test_second_server_answers),
        T(test_silent_server_is_remembered),
        T(test_fallback_to_resolvers),
        T(test_fallback_because_of_interception),
        T(test_no_fallback_when_authoritative),
        T(test_ask_resolvers),
        T(test_ask_resolvers_without_soa),
        T(test_no_addresses),
        T(test_hundreds_of_servers),
        T(test_equal_questions_share),
        T(test_cancel_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
