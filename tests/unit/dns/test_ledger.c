/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "dns/ledger.h"
#include "fake.h"
#include "store/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS1 "192.0.2.1"
#define FQDN "_acme-challenge.example.org"
#define DAY_MS INT64_C(86400000)

struct fixture {
    struct loop *loop;
    struct dns *dns;
    struct store *memory, *store;
    struct providers *providers;
    struct fake_providers *fake;
    struct ledger *ledger;
    struct ledger_entry *entries[4];
    struct ledger_call *call;
    struct err err;
    unsigned intended, cleaned, saved, swept;
    unsigned removed, failed;
    char records[4096];
};

static void make_ledger(struct fixture *f)
{
    struct ledger_env env = {
        .loop = f->loop, .store = f->store, .providers = f->providers, .rng = &rng_system};
    f->ledger = ledger_new(&env);
}

static int setup(void **state)
{
    struct fixture *f = xnew(struct fixture);
    f->loop = loop_new();
    f->dns = fake_dns_new(f->loop);
    fake_zone(f->dns, NS1, "example.org");
    f->memory = store_memory_new(f->loop);
    f->providers = fake_providers_new(f->loop, f->dns);
    f->fake = fake_of(f->providers);
    f->store = fake_store_new(f->memory, f->fake);
    make_ledger(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    ledger_free(f->ledger);
    loop_run(f->loop);
    providers_free(f->providers);
    store_close(f->store);
    store_close(f->memory);
    fake_dns_free(f->dns);
    assert_int_equal(fake_timers(f->loop), 0);
    loop_free(f->loop);
    free(f);
    return 0;
}

/* As a crash and a new start: what only memory knew is gone. */
static void restart(struct fixture *f)
{
    ledger_free(f->ledger);
    make_ledger(f);
}

static void on_intended(void *arg, struct ledger_entry *const *entries, const struct err *err)
{
    struct fixture *f = arg;
    f->call = NULL;
    f->intended++;
    f->err = *err;
    for (size_t i = 0; entries && i < 2; i++)
        f->entries[i] = entries[i];
}

static void intend(struct fixture *f, const char *order)
{
    struct ledger_intent intents[2] = {{.fqdn = FQDN,
                                        .value = "one",
                                        .provider = "p",
                                        .zone = "example.org",
                                        .cert = "cert",
                                        .order = order}};
    intents[1] = intents[0];
    intents[1].value = "two";
    f->call = ledger_intend(f->ledger, intents, 2, on_intended, f);
}

static void on_write(void *arg, const struct err *err)
{
    struct fixture *f = arg;
    f->err = *err;
    f->saved++;
}

static void on_clean(void *arg, const struct err *err)
{
    struct fixture *f = arg;
    f->err = *err;
    f->cleaned++;
}

static void on_swept(void *arg, unsigned removed, unsigned failed, const struct err *first)
{
    struct fixture *f = arg;
    f->swept++;
    f->removed = removed;
    f->failed = failed;
    f->err = *first;
}

static void note_record(void *arg, const struct publish_record *r)
{
    struct fixture *f = arg;
    size_t n = strlen(f->records);
    snprintf(f->records + n, sizeof(f->records) - n, "%s %s %s %s %s %s%s%s; ", r->fqdn, r->value,
             r->provider, r->cert, r->order, r->state, r->last_error[0] ? " " : "", r->last_error);
}

static const char *records(struct fixture *f)
{
    f->records[0] = '\0';
    ledger_records(f->ledger, note_record, f);
    return f->records;
}

static void present(struct fixture *f, const char *order)
{
    intend(f, order);
    fake_run_for(f->loop, 10);
    assert_int_equal(f->err.cls, ERR_NONE);
    for (int i = 0; i < 2; i++) {
        ledger_touch(f->entries[i]);
        ledger_present(f->entries[i], i ? "h-2" : "h-1");
    }
    fake_publish(f->dns, FQDN, "one");
    fake_publish(f->dns, FQDN, "two");
    ledger_save(f->ledger, f->entries, 2, on_write, f);
    fake_run_for(f->loop, 10);
    assert_true(f->saved);
}

static void forget_log(struct fixture *f)
{
    f->fake->log[0] = '\0';
}

static void test_life(void **state)
{
    struct fixture *f = *state;
    present(f, "order-1");
    assert_string_equal(f->fake->log, "durable intended+intended; durable present+present; ");
    assert_string_equal(records(f),
                        FQDN " one p cert order-1 present; " FQDN " two p cert order-1 present; ");
    forget_log(f);
    ledger_clean(f->ledger, f->entries, 2, on_clean, f);
    assert_int_equal(f->cleaned, 0);
    loop_run(f->loop);
    assert_int_equal(f->cleaned, 1);
    assert_int_equal(f->err.cls, ERR_NONE);
    assert_string_equal(f->fake->log, "p:remove " FQDN " one h-1; p:remove " FQDN " two h-2; "
                                      "durable removing+removing; durable deleted; "
                                      "durable deleted; ");
    assert_string_equal(records(f), "");
    assert_false(fake_has(f->dns, NULL, FQDN, "one"));
    restart(f);
    fake_run_for(f->loop, 10);
    assert_string_equal(records(f), "");
}

static void test_untouched_is_just_forgotten(void **state)
{
    struct fixture *f = *state;
    intend(f, "order-1");
    fake_run_for(f->loop, 10);
    ledger_clean(f->ledger, f->entries, 2, on_clean, f);
    loop_run(f->loop);
    assert_int_equal(f->cleaned, 1);
    assert_int_equal(f->fake->removes, 0);
    restart(f);
    fake_run_for(f->loop, 10);
    assert_string_equal(records(f), "");
}

static void test_abandoned_call(void **state)
{
    struct fixture *f = *state;
    for (int before_load = 0; before_load < 2; before_load++) {
        if (before_load)
            restart(f);
        else
            fake_run_for(f->loop, 10);
        intend(f, "order-1");
        ledger_abandon(f->call, true);
        loop_run(f->loop);
        assert_int_equal(f->intended, 0);
        assert_string_equal(records(f), "");
    }
    restart(f);
    fake_run_for(f->loop, 10);
    assert_string_equal(records(f), "");
}

static void test_store_fails(void **state)
{
    struct fixture *f = *state;
    fake_store_fail(f->store, 1);
    intend(f, "order-1");
    loop_run(f->loop);
    assert_int_equal(f->intended, 1);
    assert_int_equal(f->err.cls, ERR_LOCAL);
    assert_string_equal(f->err.activity, "writing the ledger of records");
    assert_string_equal(records(f), "");
}

static void test_crash_after_intent(void **state)
{
    struct fixture *f = *state;
    intend(f, "order-1");
    fake_run_for(f->loop, 10);
    restart(f);
    ledger_recover(f->ledger, NULL, 0);
    loop_run(f->loop);
    assert_int_equal(f->fake->removes, 2); /* it may have been made */
    assert_string_equal(records(f), "");
}

static void test_crash_keeps_running_orders(void **state)
{
    struct fixture *f = *state;
    const char *keep[] = {"order-0", "order-1"};
    present(f, "order-1");
    restart(f);
    ledger_recover(f->ledger, keep, 2);
    fake_run_for(f->loop, 1000);
    assert_int_equal(f->fake->removes, 0);
    ledger_clean_now(f->ledger, on_swept, f);
    fake_run_for(f->loop, 1000);
    assert_int_equal(f->swept, 1);
    assert_int_equal(f->removed, 0);
    /* resumed */
    forget_log(f);
    present(f, "order-1");
    ledger_clean(f->ledger, f->entries, 2, on_clean, f);
    loop_run(f->loop);
    assert_string_equal(records(f), "");
    assert_int_equal(f->fake->removes, 2);
}

static void test_order_that_ends_without_publishing(void **state)
{
    struct fixture *f = *state;
    const char *keep[] = {"order-1"};
    present(f, "order-1");
    restart(f);
    ledger_recover(f->ledger, keep, 1);
    ledger_order_ended(f->ledger, "order-2");
    fake_run_for(f->loop, 1000);
    assert_int_equal(f->fake->removes, 0);
    ledger_order_ended(f->ledger, "order-1");
    loop_run(f->loop);
    assert_int_equal(f->fake->removes, 2);
    assert_string_equal(records(f), "");
}

static void test_held_records_are_left_alone(void **state)
{
    struct fixture *f = *state;
    present(f, "order-1");
    ledger_recover(f->ledger, NULL, 0);
    ledger_order_ended(f->ledger, "order-1");
    ledger_clean_now(f->ledger, on_swept, f);
    loop_run(f->loop);
    assert_int_equal(f->fake->removes, 0);
    assert_int_equal(f->swept, 1);
    ledger_release(f->entries[0]);
    ledger_release(f->entries[1]);
    ledger_clean_now(f->ledger, on_swept, f);
    loop_run(f->loop);
    assert_int_equal(f->removed, 2);
    assert_string_equal(records(f), "");
}

static void test_removal_is_retried(void **state)
{
    struct fixture *f = *state;
    present(f, "order-1");
    f->fake->fail_removes = 2 * 5;
    ledger_clean(f->ledger, f->entries, 2, on_clean, f);
    fake_run_for(f->loop, 100);
    assert_int_equal(f->cleaned, 1);
    assert_int_equal(f->err.cls, ERR_TRANSIENT);
    assert_non_null(strstr(f->err.detail, "will be tried again in 1 m"));
    assert_non_null(strstr(f->err.detail, "the API says no"));
    assert_non_null(strstr(records(f), "removing the API says no"));
    static const int64_t after[] = {70 * 1000, 700 * 1000, 7000 * 1000, DAY_MS + DAY_MS / 9};
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(f->fake->removes, 2 * (i + 1));
        fake_run_for(f->loop, after[i]);
    }
    assert_int_equal(f->fake->removes, 10);
    loop_run(f->loop);
    assert_int_equal(f->fake->removes, 12);
    assert_string_equal(records(f), "");
    assert_int_equal(f->cleaned, 1);
}

static void test_rate_limit_is_obeyed(void **state)
{
    struct fixture *f = *state;
    present(f, "order-1");
    f->fake->fail_removes = 2;
    f->fake->failure.cls = ERR_RATE_LIMITED;
    f->fake->failure.retry_at = loop_wall_ms(f->loop) + 3600 * 1000;
    ledger_clean(f->ledger, f->entries, 2, NULL, NULL);
    fake_run_for(f->loop, 3500 * 1000);
    assert_int_equal(f->fake->removes, 2);
    fake_run_for(f->loop, 200 * 1000);
    assert_int_equal(f->fake->removes, 4);
}

static void test_retry_now(void **state)
{
    struct fixture *f = *state;
    present(f, "order-1");
    f->fake->fail_removes = 2;
    ledger_clean(f->ledger, f->entries, 2, NULL, NULL);
    fake_run_for(f->loop, 100);
    ledger_retry(f->ledger);
    fake_run_for(f->loop, 100);
    assert_string_equal(records(f), "");
}

static void test_failure_survives_a_restart(void **state)
{
    struct fixture *f = *state;
    present(f, "order-1");
    f->fake->fail_removes = 2;
    ledger_clean(f->ledger, f->entries, 2, NULL, NULL);
    fake_run_for(f->loop, 100);
    restart(f);
    fake_run_for(f->loop, 10);
    assert_non_null(strstr(records(f), "removing the API says no"));
    ledger_clean_now(f->ledger, on_swept, f);
    fake_run_for(f->loop, 100);
    assert_int_equal(f->removed, 2);
    assert_int_equal(f->failed, 0);
}

static void test_clean_now_counts_failures(void **state)
{
    struct fixture *f = *state;
    present(f, "order-1");
    restart(f);
    f->fake->fail_removes = 1;
    ledger_clean_now(f->ledger, on_swept, f); /* before it is loaded */
    fake_run_for(f->loop, 100);
    assert_int_equal(f->removed, 1);
    assert_int_equal(f->failed, 1);
    assert_int_equal(f->err.cls, ERR_TRANSIENT);
}

static void test_delete_fails(void **state)
{
    struct fixture *f = *state;
    present(f, "order-1");
    ledger_clean(f->ledger, f->entries, 2, on_clean, f);
    fake_store_fail(f->store, 1);
    fake_run_for(f->loop, 1000);
    assert_int_equal(f->cleaned, 1);
    assert_int_equal(f->err.cls, ERR_LOCAL);
    loop_run(f->loop);
    assert_string_equal(records(f), "");
}

/* The same record again while it is being removed: the new one waits, and stays. */
static void test_intent_during_removal(void **state)
{
    struct fixture *f = *state;
    present(f, "order-1");
    ledger_clean(f->ledger, f->entries, 2, on_clean, f);
    fake_run_for(f->loop, 1);
    intend(f, "order-1");
    fake_run_for(f->loop, 2);
    assert_int_equal(f->intended, 1);
    loop_run(f->loop);
    assert_int_equal(f->intended, 2);
    assert_int_equal(f->cleaned, 1);
    assert_string_equal(records(f), FQDN " one p cert order-1 intended; " FQDN
                                         " two p cert order-1 intended; ");
    restart(f);
    fake_run_for(f->loop, 10);
    assert_non_null(strstr(records(f), "one"));
}

static void test_intent_while_removal_waits(void **state)
{
    struct fixture *f = *state;
    present(f, "order-1");
    f->fake->fail_removes = 2;
    ledger_clean(f->ledger, f->entries, 2, on_clean, f);
    fake_run_for(f->loop, 100);
    intend(f, "order-2");
    loop_run(f->loop);
    assert_int_equal(f->intended, 2);
    assert_int_equal(f->fake->removes, 2); /* no retry any more */
    assert_non_null(strstr(records(f), "order-2 intended; "));
}

static void test_shared_record(void **state)
{
    struct fixture *f = *state;
    struct ledger_entry *first[2];
    present(f, "order-1");
    memcpy(first, f->entries, sizeof(first));
    present(f, "order-1");
    ledger_clean(f->ledger, first, 2, on_clean, f);
    loop_run(f->loop);
    assert_int_equal(f->cleaned, 1);
    assert_int_equal(f->fake->removes, 0);
    ledger_clean(f->ledger, f->entries, 2, on_clean, f);
    loop_run(f->loop);
    assert_int_equal(f->fake->removes, 2);
    assert_string_equal(records(f), "");
}

static void test_unreadable_entry_is_not_lost(void **state)
{
    struct fixture *f = *state;
    store_put(f->memory, "record/x.example.org/v", "{broken", NULL, NULL);
    store_put(f->memory, "record/odd", "[]", NULL, NULL);
    restart(f);
    fake_run_for(f->loop, 10);
    assert_non_null(strstr(records(f), "x.example.org v"));
    ledger_recover(f->ledger, NULL, 0);
    fake_run_for(f->loop, 100);
    assert_int_equal(f->fake->removes, 2);
}

#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_life),
        T(test_untouched_is_just_forgotten),
        T(test_abandoned_call),
        T(test_store_fails),
        T(test_crash_after_intent),
        T(test_crash_keeps_running_orders),
        T(test_order_that_ends_without_publishing),
        T(test_held_records_are_left_alone),
        T(test_removal_is_retried),
        T(test_rate_limit_is_obeyed),
        T(test_retry_now),
        T(test_failure_survives_a_restart),
        T(test_clean_now_counts_failures),
        T(test_delete_fails),
        T(test_intent_during_removal),
        T(test_intent_while_removal_waits),
        T(test_shared_record),
        T(test_unreadable_entry_is_not_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
