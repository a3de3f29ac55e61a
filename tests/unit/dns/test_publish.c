/* SPDX-License-Identifier: ISC */
/* Whole publications and looks: dns/publish.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "dns/publish.h"
#include "fake.h"
#include "store/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS1 "192.0.2.1"
#define NS2 "192.0.2.2"
#define OTHER "192.0.2.9"
#define OWNER "_acme-challenge.example.org"
#define V1 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA1"
#define V2 "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB2"

struct fixture {
    struct loop *loop;
    struct dns *dns;
    struct store *memory, *store;
    struct providers *providers;
    struct fake_providers *fake;
    struct publisher *publisher;
    struct fake_conf conf;
    struct publication *running;
    unsigned readies, cleaned, looks;
    struct err err;
    char warning[2048], progress[8192], text[4096], records[4096];
    int64_t ready_at;
    bool clean_when_ready;
};

static void on_clean(void *arg, const struct err *err)
{
    struct fixture *f = arg;
    f->cleaned++;
    if (err->cls != ERR_NONE)
        f->err = *err;
}

static void on_progress(void *arg, const struct publish_progress *p)
{
    struct fixture *f = arg;
    size_t n = strlen(f->progress);
    snprintf(f->progress + n, sizeof(f->progress) - n, "%s: %s\n", p->phase, p->text);
}

static void on_ready(void *arg, const struct err *err, const char *warning)
{
    struct fixture *f = arg;
    f->readies++;
    f->err = *err;
    f->ready_at = loop_mono_ms(f->loop);
    str_copy(f->warning, sizeof(f->warning), warning);
    if (f->clean_when_ready) {
        publication_clean(f->running, on_clean, f);
        f->running = NULL;
    }
}

static void make_publisher(struct fixture *f)
{
    struct publisher_env env = {.loop = f->loop,
                                .dns = f->dns,
                                .store = f->store,
                                .providers = f->providers,
                                .rng = &rng_system};
    f->publisher = publisher_new(&env);
    publisher_configure(f->publisher, &f->conf.conf);
}

static int setup(void **state)
{
    struct fixture *f = xnew(struct fixture);
    f->loop = loop_new();
    f->dns = fake_dns_new(f->loop);
    f->memory = store_memory_new(f->loop);
    f->providers = fake_providers_new(f->loop, f->dns);
    f->fake = fake_of(f->providers);
    f->store = fake_store_new(f->memory, f->fake);
    fake_conf_init(&f->conf);
    fake_conf_provider(&f->conf, "main", "example.org");
    fake_conf_provider(&f->conf, "other", "acme.net");
    static const char *const servers[] = {NS1, NS2};
    for (size_t i = 0; i < 2; i++) {
        fake_zone(f->dns, servers[i], "example.org");
        fake_rr(f->dns, servers[i], "example.org", "example.org", "NS", "ns1.example.org");
        fake_rr(f->dns, servers[i], "example.org", "example.org", "NS", "ns2.example.org");
        fake_rr(f->dns, servers[i], "example.org", "ns1.example.org", "A", NS1);
        fake_rr(f->dns, servers[i], "example.org", "ns2.example.org", "A", NS2);
    }
    fake_zone(f->dns, OTHER, "acme.net");
    fake_rr(f->dns, OTHER, "acme.net", "acme.net", "NS", "ns.acme.net");
    fake_rr(f->dns, OTHER, "acme.net", "ns.acme.net", "A", OTHER);
    make_publisher(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    publication_free(f->running);
    publisher_free(f->publisher);
    loop_run(f->loop);
    store_close(f->store);
    providers_free(f->providers);
    store_close(f->memory);
    fake_dns_free(f->dns);
    assert_int_equal(fake_timers(f->loop), 0);
    loop_free(f->loop);
    free(f);
    return 0;
}

static void alias(struct fixture *f, const char *owner, const char *target)
{
    fake_rr(f->dns, NS1, "example.org", owner, "CNAME", target);
    fake_rr(f->dns, NS2, "example.org", owner, "CNAME", target);
}

static void start_values(struct fixture *f, const struct publish_value *values, size_t n)
{
    static const struct publish_handler handler = {.progress = on_progress, .ready = on_ready};
    f->running = publish_start(f->publisher, &f->conf.cert, "order-1", values, n, &handler, f);
}

/* Apex and wildcard of example.org: two values at one name. */
static void start(struct fixture *f)
{
    struct publish_value values[2] = {
        {.name = &f->conf.names[0], .owner = OWNER, .value = V1},
        {.name = &f->conf.names[1], .owner = OWNER, .value = V2},
    };
    start_values(f, values, 2);
    assert_int_equal(f->readies, 0);
}

static void run(struct fixture *f)
{
    f->readies = 0;
    start(f);
    while (!f->readies)
        fake_run_for(f->loop, 100);
    if (f->err.cls != ERR_NONE)
        print_message("%s: %s\n", f->err.activity, f->err.detail);
}

static void clean(struct fixture *f)
{
    f->err = (struct err)ERR_INIT;
    f->cleaned = 0;
    publication_clean(f->running, on_clean, f);
    f->running = NULL;
    assert_int_equal(f->cleaned, 0);
    fake_run_for(f->loop, 1000);
    assert_int_equal(f->cleaned, 1);
}

static void note_record(void *arg, const struct publish_record *r)
{
    struct fixture *f = arg;
    size_t n = strlen(f->records);
    snprintf(f->records + n, sizeof(f->records) - n, "%s %s %s %s; ", r->fqdn, r->provider,
             r->order, r->state);
}

static const char *records(struct fixture *f)
{
    f->records[0] = '\0';
    publisher_records(f->publisher, note_record, f);
    return f->records;
}

static void test_apex_and_wildcard(void **state)
{
    struct fixture *f = *state;
    run(f);
    assert_int_equal(f->err.cls, ERR_NONE);
    assert_string_equal(f->warning, "");
    assert_true(fake_has(f->dns, NS1, OWNER, V1) && fake_has(f->dns, NS2, OWNER, V2));
    assert_string_equal(records(f),
                        OWNER " main order-1 present; " OWNER " main order-1 present; ");
    assert_string_equal(f->progress,
                        "following aliases: 1 name\n"
                        "adding records: " OWNER " through main and 1 more\n"
                        "adding records: " OWNER " through main\n"
                        "waiting for name servers: asking for 2 records\n"
                        "waiting for name servers: 2 of 2 name server addresses have all "
                        "values\n");
    assert_int_equal(fake_count(f->dns, NULL, OWNER, DNS_TXT), 4);
    assert_int_equal(fake_count(f->dns, NULL, OWNER, DNS_CNAME), 1);
    clean(f);
    assert_int_equal(f->err.cls, ERR_NONE);
    assert_string_equal(records(f), "");
    assert_false(fake_has(f->dns, NULL, OWNER, V1) || fake_has(f->dns, NULL, OWNER, V2));
    assert_non_null(strstr(f->fake->log, "remove " OWNER " " V1 " h-AAAA"));
    assert_int_equal(fake_timers(f->loop), 0);
}

/* Nothing is asked of the provider before the intents are durable, nothing is ready before the
 * handles are. */
static void test_ledger_comes_first(void **state)
{
    struct fixture *f = *state;
    fake_run_for(f->loop, 10);
    fake_store_hold(f->store, true);
    start(f);
    fake_run_for(f->loop, 1000);
    assert_int_equal(f->fake->adds, 0);
    fake_store_hold(f->store, false);
    fake_run_for(f->loop, 1);
    assert_int_equal(f->fake->adds, 2);
    fake_store_hold(f->store, true);
    fake_run_for(f->loop, 2000);
    assert_int_equal(fake_count(f->dns, NULL, OWNER, DNS_TXT), 4); /* meanwhile it looks */
    assert_int_equal(f->readies, 0);
    fake_store_hold(f->store, false);
    assert_int_equal(f->readies, 1);
    assert_string_equal(f->fake->log, "durable intended+intended; main:add " OWNER " " V1
                                      "; main:add " OWNER " " V2 "; durable present+present; ");
}

static void test_ledger_fails(void **state)
{
    struct fixture *f = *state;
    fake_store_fail(f->store, 1);
    run(f);
    assert_int_equal(f->err.cls, ERR_LOCAL);
    assert_int_equal(f->fake->adds, 0);
    clean(f);
    run(f);
    assert_int_equal(f->err.cls, ERR_NONE);
    clean(f);
    f->fake->delay_ms = 100;
    f->readies = 0;
    start(f);
    fake_run_for(f->loop, 50);
    fake_store_fail(f->store, 1); /* the handles */
    fake_run_for(f->loop, 1000);
    assert_int_equal(f->readies, 1);
    assert_int_equal(f->err.cls, ERR_LOCAL);
    clean(f);
    assert_string_equal(records(f), "");
    assert_false(fake_has(f->dns, NULL, OWNER, V1));
}

static void test_alias_to_another_provider(void **state)
{
    struct fixture *f = *state;
    alias(f, OWNER, "x.acme.net");
    run(f);
    assert_int_equal(f->err.cls, ERR_NONE);
    assert_true(fake_has(f->dns, OTHER, "x.acme.net", V1));
    assert_non_null(strstr(f->fake->log, "other:add x.acme.net"));
    assert_int_equal(fake_count(f->dns, "resolver", "x.acme.net", 0), 0);
}

static void test_two_zones_and_a_lagging_secondary(void **state)
{
    struct fixture *f = *state;
    struct publish_value values[3] = {
        {.name = &f->conf.names[0], .owner = OWNER, .value = V1},
        {.name = &f->conf.names[0], .owner = "_acme-challenge.www.example.org", .value = V2},
        {.name = &f->conf.names[0], .owner = "_acme-challenge.acme.net", .value = V1},
    };
    fake_lag(f->dns, NS2, 5000);
    start_values(f, values, 3);
    fake_run_for(f->loop, 4000);
    assert_int_equal(f->readies, 0);
    assert_non_null(strstr(f->progress, OWNER ": ns2.example.org (192.0.2.2) lacks the value; "
                                              "_acme-challenge.www.example.org: ns2"));
    fake_run_for(f->loop, 8000);
    assert_int_equal(f->readies, 1);
    assert_int_equal(f->err.cls, ERR_NONE);
    assert_int_equal(fake_count(f->dns, OTHER, "_acme-challenge.acme.net", DNS_TXT), 2);
}

static void test_no_provider(void **state)
{
    struct fixture *f = *state;
    alias(f, OWNER, "x.www.acme.net");
    f->conf.zone_texts[1][0] = (char *)"elsewhere.net";
    run(f);
    assert_int_equal(f->err.cls, ERR_BLOCKED);
    assert_string_equal(f->err.detail, "no provider serves x.www.acme.net (where the alias " OWNER
                                       " leads): add acme.net to the "
                                       "zones of one of the providers, or make " OWNER
                                       " a CNAME of a name in a zone that one "
                                       "serves (example.org, elsewhere.net)");
    assert_int_equal(f->fake->adds, 0);
    assert_string_equal(records(f), "");
}

static void test_named_provider_wins(void **state)
{
    struct fixture *f = *state;
    alias(f, OWNER, "x.acme.net");
    f->conf.names[0].provider = (char *)"main";
    f->conf.names[1].provider = (char *)"main";
    run(f);
    assert_int_equal(f->err.cls, ERR_NONE);
    assert_non_null(strstr(f->fake->log, "main:add x.acme.net"));
}

static void test_blocked_name_counts_before_a_slow_one(void **state)
{
    struct fixture *f = *state;
    struct publish_value values[3] = {
        {.name = &f->conf.names[0], .owner = "_acme-challenge.acme.net", .value = V1},
        {.name = &f->conf.names[0], .owner = OWNER, .value = V1},
        {.name = &f->conf.names[0], .owner = "_acme-challenge.w.example.org", .value = V1},
    };
    f->conf.zones[0].ask = CONF_ASK_AUTHORITATIVE;
    fake_mode(f->dns, OTHER, FAKE_SILENT);
    alias(f, OWNER, "_acme-challenge.a.example.org");
    alias(f, "_acme-challenge.a.example.org", OWNER);
    start_values(f, values, 3);
    fake_run_for(f->loop, 5000);
    assert_int_equal(f->err.cls, ERR_BLOCKED);
    assert_non_null(strstr(f->err.detail, "; 1 more failed"));
}

static void test_add_fails(void **state)
{
    struct fixture *f = *state;
    f->fake->fail_adds = 1;
    run(f);
    assert_int_equal(f->err.cls, ERR_TRANSIENT);
    assert_string_equal(f->err.detail, "the API says no");
    assert_string_equal(f->err.activity, "adding the record " OWNER " through main");
    fake_run_for(f->loop, 100);
    assert_string_equal(records(f),
                        OWNER " main order-1 intended; " OWNER " main order-1 present; ");
    clean(f);
    assert_int_equal(f->fake->removes, 2); /* the one that failed may exist all the same */
    assert_string_equal(records(f), "");
}

/* Of which value, for those that can go another way. */
static void test_which_value_failed(void **state)
{
    struct fixture *f = *state;
    struct conf_name elsewhere = f->conf.names[0];
    char name[] = "www.nowhere.net";
    elsewhere.name = name;
    struct publish_value values[2] = {
        {.name = &f->conf.names[0], .owner = OWNER, .value = V1},
        {.name = &elsewhere, .owner = "_acme-challenge.www.nowhere.net", .value = V2},
    };
    f->readies = 0;
    start_values(f, values, 2);
    while (!f->readies)
        fake_run_for(f->loop, 100);
    assert_int_not_equal(f->err.cls, ERR_NONE);
    assert_null(publication_error(f->running, 0));
    assert_non_null(publication_error(f->running, 1));
    clean(f);

    f->fake->fail_adds = 1;
    run(f);
    assert_non_null(publication_error(f->running, 0));
    assert_null(publication_error(f->running, 1));
    clean(f);
}

/* ---- records that stay ---- */

static void on_swept(void *arg, unsigned removed, unsigned failed, const struct err *first)
{
    struct fixture *f = arg;
    (void)first;
    f->cleaned = removed + failed;
}

static void keep(struct fixture *f, const char *owner, const char *text)
{
    const struct publish_value value = {.name = &f->conf.names[0], .owner = owner, .value = text};
    f->readies = 0;
    start_values(f, &value, 1);
    while (!f->readies)
        fake_run_for(f->loop, 100);
    assert_int_equal(f->err.cls, ERR_NONE);
    publication_keep(f->running);
    f->running = NULL;
    fake_run_for(f->loop, 1000);
}

#define STAYS "_validation-persist.example.org"

static void test_kept_records_stay(void **state)
{
    struct fixture *f = *state;
    keep(f, STAYS, "first");
    assert_string_equal(records(f), STAYS " main for good kept; ");
    publisher_order_ended(f->publisher, "order-1");
    publisher_free(f->publisher);
    make_publisher(f);
    publisher_recover(f->publisher, NULL, 0);
    fake_run_for(f->loop, 1000);
    f->cleaned = 7;
    publisher_clean_now(f->publisher, on_swept, f);
    fake_run_for(f->loop, 1000);
    assert_int_equal(f->cleaned, 0);
    assert_true(fake_has(f->dns, NS1, STAYS, "first"));
    /* Another one takes its place. */
    keep(f, STAYS, "second");
    assert_true(fake_has(f->dns, NS1, STAYS, "second"));
    assert_false(fake_has(f->dns, NULL, STAYS, "first"));
    assert_string_equal(records(f), STAYS " main for good kept; ");
}

/* ---- records that are looked for ---- */

static bool fits(void *arg, const char *text, size_t n)
{
    (void)arg;
    return n == 4 && memcmp(text, "this", 4) == 0;
}

static void on_found(void *arg, const struct err *err, const char *warning)
{
    struct fixture *f = arg;
    f->readies++;
    f->err = *err;
    str_copy(f->warning, sizeof(f->warning), warning);
}

static int64_t find(struct fixture *f)
{
    const struct publish_find_spec spec = {
        .owner = STAYS, .fits = fits, .done = on_found, .timeout_ms = 20000};
    int64_t began = loop_mono_ms(f->loop);
    f->readies = 0;
    publish_find_start(f->publisher, &spec, f);
    while (!f->readies)
        fake_run_for(f->loop, 100);
    assert_int_equal(f->readies, 1);
    return loop_mono_ms(f->loop) - began;
}

static void test_find(void **state)
{
    struct fixture *f = *state;
    assert_in_range(find(f), 0, 5000); /* at once */
    assert_int_equal(f->err.cls, ERR_BLOCKED);
    assert_string_equal(f->err.type, "absent");
    fake_rr(f->dns, NS1, "example.org", STAYS, "TXT", "that");
    find(f);
    assert_int_equal(f->err.cls, ERR_BLOCKED);
    /* On one server only: waited for, then that one is named. */
    fake_rr(f->dns, NS1, "example.org", STAYS, "TXT", "this");
    assert_in_range(find(f), 19000, 25000);
    assert_int_equal(f->err.cls, ERR_TRANSIENT);
    assert_non_null(strstr(f->err.detail, NS2));
    fake_rr(f->dns, NS2, "example.org", STAYS, "TXT", "this");
    find(f);
    assert_int_equal(f->err.cls, ERR_NONE);
    assert_string_equal(f->warning, "");
}

static void test_find_through_an_alias(void **state)
{
    struct fixture *f = *state;
    alias(f, STAYS, "persist.acme.net");
    fake_rr(f->dns, OTHER, "acme.net", "persist.acme.net", "TXT", "this");
    find(f);
    assert_int_equal(f->err.cls, ERR_NONE);
}

static void test_cancel_find(void **state)
{
    struct fixture *f = *state;
    const struct publish_find_spec spec = {.owner = STAYS, .fits = fits, .done = on_found};
    fake_rr(f->dns, NS1, "example.org", STAYS, "TXT", "this");
    for (int ms = 0; ms < 600; ms += ms < 30 ? 1 : 100) {
        f->readies = 0;
        struct publish_find *find = publish_find_start(f->publisher, &spec, f);
        fake_run_for(f->loop, ms);
        assert_int_equal(f->readies, 0);
        publish_find_cancel(find);
        loop_run(f->loop);
        assert_int_equal(f->readies, 0);
    }
}

static void test_never_visible(void **state)
{
    struct fixture *f = *state;
    f->fake->no_publish = true;
    f->conf.zones[0].timeout_ms = 30000;
    run(f);
    assert_int_equal(f->err.cls, ERR_TRANSIENT);
    assert_non_null(strstr(f->err.detail, "ns1.example.org (192.0.2.1) lacks 2 of 2 values for"));
    clean(f);
    assert_string_equal(records(f), "");
}

static void test_time_limit(void **state)
{
    struct fixture *f = *state;
    f->fake->no_publish = true;
    f->conf.zones[0].timeout_ms = 30000;
    f->fake->propagation_ms = 60000; /* four times that */
    int64_t began = loop_mono_ms(f->loop);
    run(f);
    assert_in_range(f->ready_at - began, 240000, 241000);
    clean(f);
    f->conf.providers[0].timeout_ms = 7000;
    began = loop_mono_ms(f->loop);
    run(f);
    assert_in_range(f->ready_at - began, 7000, 8000);
}

static void test_check_none(void **state)
{
    struct fixture *f = *state;
    f->conf.zones[0].check = CONF_CHECK_NONE;
    f->fake->no_publish = true;
    run(f);
    assert_int_equal(f->err.cls, ERR_NONE);
    assert_int_equal(fake_count(f->dns, NULL, NULL, DNS_TXT), 0);
}

static void test_check_warn(void **state)
{
    struct fixture *f = *state;
    f->conf.zones[0].check = CONF_CHECK_WARN;
    f->conf.zones[0].timeout_ms = 20000;
    f->fake->no_publish = true;
    run(f);
    assert_int_equal(f->err.cls, ERR_NONE);
    assert_non_null(strstr(f->warning, "went on although"));
}

static void test_fallback_is_told(void **state)
{
    struct fixture *f = *state;
    fake_mode(f->dns, NS1, FAKE_SILENT);
    fake_mode(f->dns, NS2, FAKE_SILENT);
    fake_ttl(f->dns, 300, 5);
    run(f);
    assert_int_equal(f->err.cls, ERR_NONE);
    assert_non_null(strstr(f->warning, "the resolvers were asked for " OWNER ", because no name "
                                       "server of example.org can be reached"));
}

static void test_nothing_to_publish(void **state)
{
    struct fixture *f = *state;
    start_values(f, NULL, 0);
    loop_run(f->loop);
    assert_int_equal(f->readies, 1);
    assert_int_equal(f->err.cls, ERR_NONE);
    clean(f);
}

static void test_clean_at_every_instant(void **state)
{
    struct fixture *f = *state;
    alias(f, OWNER, "x.acme.net");
    for (int ms = 0; ms < 500; ms += ms < 30 ? 1 : 100) {
        f->readies = 0;
        start(f);
        fake_run_for(f->loop, ms);
        assert_int_equal(f->readies, 0);
        clean(f);
        loop_run(f->loop);
        assert_int_equal(f->err.cls, ERR_NONE);
        assert_string_equal(records(f), "");
        assert_false(fake_has(f->dns, NULL, "x.acme.net", V1));
        assert_false(fake_has(f->dns, NULL, "x.acme.net", V2));
        assert_int_equal(f->readies, 0);
    }
}

static void test_clean_inside_ready(void **state)
{
    struct fixture *f = *state;
    f->clean_when_ready = true;
    start(f);
    loop_run(f->loop);
    assert_int_equal(f->readies, 1);
    assert_int_equal(f->cleaned, 1);
    assert_string_equal(records(f), "");
    f->fake->fail_adds = 2;
    f->readies = 0;
    start(f);
    loop_run(f->loop);
    assert_int_equal(f->cleaned, 2);
    assert_string_equal(records(f), "");
}

/* kill -9 at every instant, then a start that knows of no running order. */
static void test_crash_at_every_instant(void **state)
{
    struct fixture *f = *state;
    for (int ms = 0; ms < 540; ms += ms < 30 ? 1 : 100) {
        start(f);
        fake_run_for(f->loop, ms);
        publication_free(f->running);
        f->running = NULL;
        publisher_free(f->publisher);
        make_publisher(f);
        publisher_recover(f->publisher, NULL, 0);
        loop_run(f->loop);
        assert_string_equal(records(f), "");
        assert_false(fake_has(f->dns, NULL, OWNER, V1));
        assert_false(fake_has(f->dns, NULL, OWNER, V2));
    }
}

static void test_resume(void **state)
{
    struct fixture *f = *state;
    const char *keep[] = {"order-1"};
    run(f);
    publication_free(f->running);
    publisher_free(f->publisher);
    make_publisher(f);
    publisher_recover(f->publisher, keep, 1);
    fake_run_for(f->loop, 100);
    assert_true(fake_has(f->dns, NS1, OWNER, V1));
    assert_int_equal(f->fake->removes, 0);
    run(f);
    assert_int_equal(f->err.cls, ERR_NONE);
    clean(f);
    assert_string_equal(records(f), "");
    assert_int_equal(f->fake->removes, 2);
}

static void test_order_ended(void **state)
{
    struct fixture *f = *state;
    run(f);
    publication_free(f->running);
    f->running = NULL;
    publisher_order_ended(f->publisher, "order-1");
    loop_run(f->loop);
    assert_string_equal(records(f), "");
    assert_false(fake_has(f->dns, NULL, OWNER, V1));
}

static void test_cleaning_that_fails_goes_on(void **state)
{
    struct fixture *f = *state;
    run(f);
    f->fake->fail_removes = 1;
    clean(f);
    assert_int_equal(f->err.cls, ERR_TRANSIENT);
    assert_non_null(strstr(f->err.detail, "will be tried again"));
    assert_string_equal(records(f), OWNER " main order-1 removing; ");
    publisher_configure(f->publisher, &f->conf.conf); /* the token was mended */
    fake_run_for(f->loop, 100);
    assert_string_equal(records(f), "");
}

static void on_any_ready(void *arg, const struct err *err, const char *warning)
{
    (void)warning;
    assert_int_equal(err->cls, ERR_NONE);
    ++*(unsigned *)arg;
}

static void test_two_hundred_at_once(void **state)
{
    static const struct publish_handler handler = {.ready = on_any_ready};
    struct fixture *f = *state;
    struct publication *all[200];
    char owner[64];
    unsigned ready = 0;
    int64_t began = loop_mono_ms(f->loop);
    for (int i = 0; i < 200; i++) {
        snprintf(owner, sizeof(owner), "_acme-challenge.h%d.example.org", i);
        struct publish_value v = {.name = &f->conf.names[0], .owner = owner, .value = V1};
        all[i] = publish_start(f->publisher, &f->conf.cert, "order", &v, 1, &handler, &ready);
    }
    while (ready < 200)
        fake_run_for(f->loop, 100);
    assert_true(loop_mono_ms(f->loop) - began < 700);
    assert_int_equal(fake_count(f->dns, "resolver", NULL, DNS_NS), 1);
    assert_int_equal(fake_count(f->dns, NULL, NULL, DNS_CNAME), 200);
    assert_int_equal(fake_count(f->dns, NULL, NULL, DNS_TXT), 800); /* 2 servers, 2 rounds */
    assert_int_equal(fake_queries(f->dns), 200 + 1 + 200 + 800);    /* and a SOA each */
    for (int i = 0; i < 200; i++)
        publication_clean(all[i], NULL, NULL);
    loop_run(f->loop);
    assert_string_equal(records(f), "");
    assert_int_equal(f->fake->removes, 200);
}

static void on_look(void *arg, const char *text, const struct err *err)
{
    struct fixture *f = arg;
    f->looks++;
    f->err = *err;
    str_copy(f->text, sizeof(f->text), text);
}

static void look(struct fixture *f)
{
    publish_look_start(f->publisher, &f->conf.cert, &f->conf.names[1], on_look, f);
    unsigned before = f->looks;
    loop_run(f->loop);
    assert_int_equal(f->looks, before + 1);
}

static void test_look(void **state)
{
    struct fixture *f = *state;
    look(f);
    assert_int_equal(f->err.cls, ERR_NONE);
    assert_string_equal(f->text, "the record goes to " OWNER " in the zone example.org\n"
                                 "name servers: ns1.example.org (192.0.2.1), ns2.example.org "
                                 "(192.0.2.2)\n"
                                 "provider: main (main; by its zones)\n");
    alias(f, OWNER, "x.acme.net");
    look(f);
    assert_string_equal(f->text, OWNER " is an alias (CNAME) of x.acme.net\n"
                                       "the record goes to x.acme.net in the zone acme.net\n"
                                       "name servers: ns.acme.net (192.0.2.9)\n"
                                       "provider: other (other; by its zones)\n");
    assert_int_equal(f->fake->adds, 0);
}

static void test_look_at_a_wildcard_alias(void **state)
{
    struct fixture *f = *state;
    alias(f, "*.example.org", "x.acme.net");
    look(f);
    assert_int_equal(f->err.cls, ERR_NONE);
    assert_non_null(strstr(f->text, "the alias comes from a wildcard CNAME"));
}

static void test_look_at_what_is_blocked(void **state)
{
    struct fixture *f = *state;
    alias(f, OWNER, "x.nowhere.invalid");
    look(f);
    assert_int_equal(f->err.cls, ERR_BLOCKED);
    fake_rr_remove(f->dns, OWNER, "x.nowhere.invalid");
    f->conf.zone_texts[0][0] = (char *)"example.com";
    look(f);
    assert_int_equal(f->err.cls, ERR_BLOCKED);
    assert_non_null(strstr(f->text, "in the zone example.org\n"));
}

static void test_cancel_look(void **state)
{
    struct fixture *f = *state;
    alias(f, OWNER, "x.acme.net");
    for (int ms = 0; ms < 9; ms++) {
        struct publish_look *l =
            publish_look_start(f->publisher, &f->conf.cert, &f->conf.names[0], on_look, f);
        fake_run_for(f->loop, ms);
        if (!f->looks)
            publish_look_cancel(l);
        publisher_configure(f->publisher, &f->conf.conf);
        f->looks = 0;
        loop_run(f->loop);
        assert_int_equal(f->looks, 0);
    }
}

#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_apex_and_wildcard),
        T(test_ledger_comes_first),
        T(test_ledger_fails),
        T(test_alias_to_another_provider),
        T(test_two_zones_and_a_lagging_secondary),
        T(test_no_provider),
        T(test_named_provider_wins),
        T(test_blocked_name_counts_before_a_slow_one),
        T(test_add_fails),
        T(test_which_value_failed),
        T(test_kept_records_stay),
        T(test_find),
        T(test_find_through_an_alias),
        T(test_cancel_find),
        T(test_never_visible),
        T(test_time_limit),
        T(test_check_none),
        T(test_check_warn),
        T(test_fallback_is_told),
        T(test_nothing_to_publish),
        T(test_clean_at_every_instant),
        T(test_clean_inside_ready),
        T(test_crash_at_every_instant),
        T(test_resume),
        T(test_order_ended),
        T(test_cleaning_that_fails_goes_on),
        T(test_two_hundred_at_once),
        T(test_look),
        T(test_look_at_a_wildcard_alias),
        T(test_look_at_what_is_blocked),
        T(test_cancel_look),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
