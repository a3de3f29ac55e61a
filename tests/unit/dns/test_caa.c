/* SPDX-License-Identifier: ISC */
/* Who may issue: dns/caa.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "dns/caa.h"
#include "fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS1 "192.0.2.1"
#define OTHER "192.0.2.9"
#define ACCOUNT "https://ca.example/acct/1"

/* ---- what records mean ---- */

struct judged {
    const char *records[4]; /* "FLAGS TAG VALUE" */
    const char *name;
    bool unknown_ca, no_account;
    enum finding_level level;
    const char *says;
};

static void make_set(struct caa_set *s, struct caa_record *v, const char *const *records)
{
    *s = (struct caa_set){.v = v, .name = "example.org"};
    for (; s->n < 4 && records[s->n]; s->n++) {
        struct caa_record *r = &v[s->n];
        int flags, at = 0;
        assert_int_equal(sscanf(records[s->n], "%d %15s %n", &flags, r->tag, &at), 2);
        r->critical = flags & 128;
        r->value = (char *)(uintptr_t)(records[s->n] + at);
        r->value_len = strlen(r->value);
    }
}

static void check_judged(const struct judged *j)
{
    static const char *const identities[] = {"other.example", "ca.example"};
    static const char *const methods[] = {"dns-01", "http-01"};
    struct caa_record v[4];
    struct caa_set set;
    struct findings f = {NULL, 0};
    const struct caa_asker asker = {.ca = "lab",
                                    .identities = identities,
                                    .n_identities = j->unknown_ca ? 0 : 2,
                                    .account = j->no_account ? "" : ACCOUNT,
                                    .methods = methods,
                                    .n_methods = 2};
    make_set(&set, v, j->records);
    caa_judge(&set, j->name ? j->name : "www.example.org", &asker, &f);
    assert_int_equal(f.n, 1);
    if (f.v[0].level != j->level || !strstr(f.v[0].text, j->says))
        fail_msg("%s: %s: %s", j->records[0] ? j->records[0] : "none",
                 finding_level_name(f.v[0].level), f.v[0].text);
    findings_done(&f);
}

static void test_meanings(void **state)
{
    (void)state;
    static const struct judged all[] = {
        {.level = FINDING_OK, .says = "no CAA records"},
        {{"0 issue ca.example"}, .level = FINDING_OK, .says = "let lab issue"},
        {{"0 issue CA.Example"}, .level = FINDING_OK, .says = "let lab issue"},
        {{"0 issue ;", "0 issue ca.example"}, .level = FINDING_OK, .says = "let lab issue"},
        {{"0 iodef mailto:a@b"}, .level = FINDING_OK, .says = "do not say"},
        {{"128 iodef mailto:a@b"}, .level = FINDING_OK, .says = "do not say"},
        {{"0 issue else.example"},
         .level = FINDING_FAIL,
         .says = "add the record example.org. CAA 0 issue \"other.example\""},
        {{"0 issue ;"}, .level = FINDING_FAIL, .says = "forbid lab"},
        {{"0 issue ;"}, .unknown_ca = true, .level = FINDING_FAIL, .says = "forbid every CA"},
        {{"0 issue %%%"}, .level = FINDING_FAIL, .says = "forbid lab"},
        {{"0 issue else.example"},
         .unknown_ca = true,
         .level = FINDING_WARN,
         .says = "its directory does not say"},
        {{"128 strange x", "0 issue ca.example"}, .level = FINDING_FAIL, .says = "critical"},
        {{"0 strange x", "0 issue ca.example"}, .level = FINDING_OK, .says = "let lab"},
        /* wildcards: issuewild alone, if there is one */
        {{"0 issuewild ;", "0 issue ca.example"}, .level = FINDING_OK, .says = "let lab"},
        {{"0 issuewild ;", "0 issue ca.example"},
         "*.example.org",
         .level = FINDING_FAIL,
         .says = "forbid lab to issue (issuewild"},
        {{"0 issuewild ca.example", "0 issue ;"},
         "*.example.org",
         .level = FINDING_OK,
         .says = "let lab"},
        {{"0 issuewild ca.example"}, .level = FINDING_OK, .says = "do not say"},
        {{"0 issue ca.example"}, "*.example.org", .level = FINDING_OK, .says = "let lab"},
        /* RFC 8657 */
        {{"0 issue ca.example; accounturi=" ACCOUNT}, .level = FINDING_OK, .says = "let lab"},
        {{"0 issue ca.example; accounturi=" ACCOUNT "0"},
         .level = FINDING_FAIL,
         .says = "ours is " ACCOUNT},
        {{"0 issue ca.example; accounturi=" ACCOUNT},
         .no_account = true,
         .level = FINDING_WARN,
         .says = "not known yet"},
        {{"0 issue ca.example; validationmethods=dns-01"}, .level = FINDING_OK, .says = "let"},
        {{"0 issue ca.example; validationmethods=tls-alpn-01,http-01"},
         .level = FINDING_OK,
         .says = "let"},
        {{"0 issue ca.example; validationmethods=tls-alpn-01"},
         .level = FINDING_FAIL,
         .says = "by tls-alpn-01 only, not by dns-01"},
        {{"0 issue ca.example; validationmethods=dns-011"}, .level = FINDING_FAIL, .says = "only"},
        {{"0 issue ca.example; validationmethods=http-01; accounturi=" ACCOUNT "9",
          "0 issue ca.example; accounturi=" ACCOUNT "; validationmethods=dns-01"},
         .level = FINDING_OK,
         .says = "let"},
    };
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        check_judged(&all[i]);
}

/* ---- where they are ---- */

struct fixture {
    struct loop *loop;
    struct dns *dns;
    struct reach *reach;
    struct cuts *cuts;
    struct caa_cache *cache;
    struct fake_conf conf;
    struct caa_call *call;
    char found[NAME_MAX_TEXT], zone[NAME_MAX_TEXT], value[128];
    size_t n;
    struct err err;
    unsigned done;
};

static void rr(struct fixture *f, const char *owner, const char *type, const char *data)
{
    fake_rr(f->dns, NS1, "example.org", owner, type, data);
}

static int setup(void **state)
{
    struct fixture *f = xnew(struct fixture);
    f->loop = loop_new();
    f->dns = fake_dns_new(f->loop);
    f->reach = reach_new(f->loop);
    f->cuts = cuts_new(f->loop, f->dns, f->reach);
    f->cache = caa_cache_new(f->loop, f->dns, f->cuts);
    fake_conf_init(&f->conf);
    fake_zone(f->dns, "192.0.2.100", "org");
    fake_zone(f->dns, NS1, "example.org");
    rr(f, "example.org", "NS", "ns1.example.org");
    rr(f, "ns1.example.org", "A", NS1);
    rr(f, "www.example.org", "A", "198.51.100.1");
    fake_zone(f->dns, OTHER, "acme.net");
    fake_rr(f->dns, OTHER, "acme.net", "acme.net", "NS", "ns.acme.net");
    fake_rr(f->dns, OTHER, "acme.net", "ns.acme.net", "A", OTHER);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    caa_cancel(f->call);
    caa_cache_free(f->cache);
    cuts_free(f->cuts);
    reach_free(f->reach);
    fake_dns_free(f->dns);
    assert_int_equal(fake_timers(f->loop), 0);
    loop_free(f->loop);
    free(f);
    return 0;
}

static void on_caa(void *arg, const struct caa_set *set, const struct err *err)
{
    struct fixture *f = arg;
    f->call = NULL;
    f->done++;
    f->err = *err;
    f->n = 0;
    f->found[0] = f->zone[0] = f->value[0] = '\0';
    if (!set)
        return;
    str_copy(f->found, sizeof(f->found), set->name);
    str_copy(f->zone, sizeof(f->zone), set->zone);
    f->n = set->n;
    if (set->n)
        str_copy(f->value, sizeof(f->value), set->v[0].value);
}

static void find(struct fixture *f, const char *name, bool fresh)
{
    unsigned before = f->done;
    f->call = caa_find(f->cache, &f->conf.conf, name, fresh, on_caa, f);
    assert_int_equal(f->done, before);
    loop_run(f->loop);
    assert_int_equal(f->done, before + 1);
}

static void stands_at(struct fixture *f, const char *name, const char *at, const char *value)
{
    find(f, name, true);
    if (f->err.cls != ERR_NONE)
        fail_msg("%s", f->err.detail);
    assert_string_equal(f->found, at);
    assert_string_equal(f->value, value);
}

static void test_climbs(void **state)
{
    struct fixture *f = *state;
    fake_ttl(f->dns, 300, 0);
    stands_at(f, "www.example.org", "", "");
    assert_string_equal(f->zone, "example.org");
    fake_rr(f->dns, "192.0.2.100", "org", "org", "CAA", "0 issue top");
    stands_at(f, "nothing.there.example.org", "org", "top");
    rr(f, "example.org", "CAA", "0 issue apex");
    stands_at(f, "www.example.org", "example.org", "apex");
    rr(f, "www.example.org", "CAA", "0 issue own");
    rr(f, "www.example.org", "CAA", "0 issue more");
    stands_at(f, "www.example.org", "www.example.org", "own");
    assert_int_equal(f->n, 2);
}

static void test_follows_aliases(void **state)
{
    struct fixture *f = *state;
    rr(f, "example.org", "CAA", "0 issue apex");
    rr(f, "alias.example.org", "CNAME", "to.acme.net");
    rr(f, "bare.example.org", "CNAME", "bare.acme.net");
    fake_rr(f->dns, OTHER, "acme.net", "to.acme.net", "CNAME", "end.acme.net");
    fake_rr(f->dns, OTHER, "acme.net", "end.acme.net", "CAA", "0 issue end");
    fake_rr(f->dns, OTHER, "acme.net", "bare.acme.net", "A", "198.51.100.2");
    fake_rr(f->dns, OTHER, "acme.net", "acme.net", "CAA", "0 issue not-asked");
    stands_at(f, "alias.example.org", "end.acme.net", "end");
    assert_string_equal(f->zone, "example.org");
    stands_at(f, "below.bare.example.org", "example.org", "apex");
    stands_at(f, "bare.example.org", "example.org", "apex");
    rr(f, "a.example.org", "CNAME", "b.example.org");
    rr(f, "b.example.org", "CNAME", "a.example.org");
    find(f, "a.example.org", true);
    assert_int_equal(f->err.cls, ERR_TRANSIENT);
    assert_non_null(strstr(f->err.detail, "16 aliases"));
}

static void test_failures_are_told_apart(void **state)
{
    struct fixture *f = *state;
    static const struct {
        enum fake_mode mode;
        const char *says;
    } all[] = {{FAKE_SERVFAIL, "answers SERVFAIL"},
               {FAKE_REFUSED, "answers REFUSED"},
               {FAKE_LAME, "without authority"},
               {FAKE_SILENT, "can be reached"}};
    f->conf.zones[0].ask = CONF_ASK_AUTHORITATIVE;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        fake_mode(f->dns, NS1, all[i].mode);
        find(f, "www.example.org", true);
        assert_int_equal(f->err.cls, ERR_TRANSIENT);
        if (!strstr(f->err.detail, all[i].says))
            fail_msg("%s", f->err.detail);
    }
}

/* A thousand names of a zone cost one question each, and those of the zone. */
static void test_costs(void **state)
{
    struct fixture *f = *state;
    char name[64];
    find(f, "www.example.org", false);
    fake_forget_queries(f->dns);
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "n%d.example.org", i);
        find(f, name, false);
    }
    assert_int_equal(fake_count(f->dns, NULL, NULL, DNS_CAA), 100);
    assert_int_equal(fake_count(f->dns, NS1, NULL, DNS_CAA), 100);
    assert_int_equal(fake_count(f->dns, "resolver", NULL, DNS_SOA), 100); /* of the name's zone */
    fake_forget_queries(f->dns);
    find(f, "n7.example.org", false);
    assert_int_equal(fake_queries(f->dns), 0);
    find(f, "n7.example.org", true);
    assert_int_equal(fake_count(f->dns, NS1, NULL, DNS_CAA), 2); /* it and the apex */
}

struct many {
    unsigned done;
};

static void on_one(void *arg, const struct caa_set *set, const struct err *err)
{
    struct many *m = arg;
    (void)err;
    assert_non_null(set);
    m->done++;
}

static void test_shared_while_under_way(void **state)
{
    struct fixture *f = *state;
    struct caa_call *calls[50];
    struct many m = {0};
    for (int i = 0; i < 50; i++)
        calls[i] = caa_find(f->cache, &f->conf.conf, "www.example.org", false, on_one, &m);
    for (int i = 0; i < 10; i++)
        caa_cancel(calls[i]);
    loop_run(f->loop);
    assert_int_equal(m.done, 40);
    assert_int_equal(fake_count(f->dns, NS1, NULL, DNS_CAA), 2);
    calls[0] = caa_find(f->cache, &f->conf.conf, "www.example.org", false, on_one, &m);
    caa_cache_clear(f->cache);
    loop_run(f->loop);
    assert_int_equal(m.done, 41);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_meanings),
        cmocka_unit_test_setup_teardown(test_climbs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_follows_aliases, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failures_are_told_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_costs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shared_while_under_way, setup, teardown),
    };
    return cmocka_run_group_tests_name("caa", tests, NULL, NULL);
}
