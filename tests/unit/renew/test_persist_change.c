/* SPDX-License-Identifier: ISC */
/* What a change of an account does to the records of dns-persist-01; and facts of nobody. */
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/arena.h"
#include "renew/persist.h"
#include "renew/persist_change.h"
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define URL "https://ca/acct/1"
#define PREFIX "https://ca/hash/"
#define OWNER "_validation-persist.c.example"

struct desk {
    struct world *world;
    struct persist_change *change;
    unsigned notes, ready;
    char note[900]; /* the last one */
    struct err err;
};

static int teardown(void **state)
{
    (void)state;
    if (world_now)
        world_free(world_now);
    return 0;
}

/* n certificates, installed, each for c.example by dns-persist-01. */
static struct world *make(size_t n, bool write)
{
    struct world *w = world_new(n);
    for (size_t i = 0; i < n; i++) {
        struct conf_cert *cert = &w->conf->certs[i];
        cert->names[0].name = arena_strdup(w->conf->arena, "c.example");
        cert->challenges.n = 1;
        cert->challenges.v[0] = CONF_DNS_PERSIST_01;
        cert->persist.write = write;
        world_install(w, i, POLICY_DAY);
    }
    world_boot(w);
    return w;
}

static void put_fact(struct world *w, const char *cert, const char *ca, const char *key)
{
    char *issuers[] = {"ca.test"}, *uris[] = {URL};
    struct err e = ERR_INIT;
    struct persist_fact f;
    persist_fact_set(&f, "c.example", ca, OWNER, false, issuers, 1, uris, 1);
    if (key) {
        free(f.uris[0]);
        f.uris[0] = xstrdup(PREFIX "sha-256/x");
        assert_int_equal(persist_fact_rehash(&f, key, URL, &e), 0);
        assert_int_equal(f.n_uris, 2);
    }
    f.used_ms = w->loop->wall;
    CLEANUP_FREE char *at = persist_fact_key(cert, "c.example");
    CLEANUP_FREE char *text = persist_fact_text(&f);
    store_put(w->store, at, text, NULL, NULL);
    world_run(w, POLICY_SECOND);
    persist_fact_done(&f);
}

/* As the record is for that key; static. */
static const char *uri_of(const char *key)
{
    static char text[4][300];
    static unsigned at;
    struct buf b;
    buf_init(&b, 300);
    assert_int_equal(persist_account_uri(PREFIX, "c.example", key, URL, &b, NULL), 0);
    char *out = text[at++ % 4];
    str_copy(out, sizeof(text[0]), buf_str(&b));
    buf_free(&b);
    return out;
}

static void on_get(void *arg, const struct store_item *items, size_t n, const struct err *err)
{
    char *out = arg;
    (void)err;
    str_copy(out, 2000, n ? items[0].value : "none");
}

static const char *stored(struct world *w, const char *key)
{
    static char text[2000];
    text[0] = '\0';
    store_get(w->store, key, on_get, text);
    world_run(w, POLICY_SECOND);
    return text;
}

static void on_note(void *arg, const char *text)
{
    struct desk *d = arg;
    d->notes++;
    str_copy(d->note, sizeof(d->note), text);
}

static void on_ready(void *arg, const struct err *err)
{
    struct desk *d = arg;
    d->ready++;
    d->err = *err;
}

static void begin(struct desk *d, struct world *w, const char *thumbprint, bool force)
{
    static const struct persist_change_handler handler = {on_note, on_ready};
    const struct persist_change_spec spec = {
        .ca = "one", .account_url = URL, .thumbprint = thumbprint, .force = force};
    *d = (struct desk){.world = w};
    d->change = persist_change_start(w->renew, &spec, &handler, d);
    assert_int_equal(d->ready, 0);
    world_run(w, 2 * POLICY_MINUTE);
    assert_int_equal(d->ready, 1);
}

static void end(struct desk *d, bool changed)
{
    persist_change_end(d->change, changed);
    world_run(d->world, POLICY_MINUTE);
}

static void assert_refused(const struct desk *d, const char *why)
{
    assert_string_equal(d->err.type, KEEPER_NEEDS_FORCE);
    assert_non_null(strstr(d->err.detail, why));
}

static void early_drafts_stay(void **state)
{
    (void)state;
    struct desk d;
    struct world *w = make(1, true);
    put_fact(w, "c0", "one", NULL);
    begin(&d, w, "new", false);
    assert_false(err_is(&d.err));
    assert_int_equal(d.notes, 0);
    end(&d, true);
    assert_int_equal(w->n_records, 0);
    assert_non_null(strstr(stored(w, "cert/c0/persist/c.example"), URL "\""));
}

static void ours_are_written(void **state)
{
    (void)state;
    struct desk d;
    struct world *w = make(1, true);
    put_fact(w, "c0", "one", "old");
    begin(&d, w, "new", false);
    assert_false(err_is(&d.err));
    assert_int_equal(w->n_records, 1);
    assert_string_not_equal(w->records[0].order, "kept");
    assert_non_null(strstr(w->records[0].value, uri_of("new")));
    end(&d, false); /* the CA refuses the key */
    assert_int_equal(w->n_records, 0);
    assert_non_null(strstr(stored(w, "cert/c0/persist/c.example"), uri_of("old")));
    begin(&d, w, "new", false);
    end(&d, true);
    assert_int_equal(w->n_records, 1);
    assert_string_equal(w->records[0].order, "kept");
    assert_non_null(strstr(stored(w, "cert/c0/persist/c.example"), uri_of("new")));
}

static void ours_goes_away_meanwhile(void **state)
{
    (void)state;
    struct desk d;
    struct world *w = make(1, true);
    put_fact(w, "c0", "one", "old");
    w->records = xrealloc_array(w->records, 1, sizeof(*w->records));
    w->n_records = 1;
    w->records[0] = (struct record){.order = "before", .cert = "c0"};
    snprintf(w->records[0].value, sizeof(w->records[0].value), "ca.test; accounturi=%s",
             uri_of("new"));
    char record[300];
    str_copy(record, sizeof(record), w->records[0].value);
    w->persisted[0] = record;
    begin(&d, w, "new", false);
    w->persisted[0] = NULL;
    assert_int_equal(w->n_records, 2);
    end(&d, true);
}

static void others_are_asked_for(void **state)
{
    (void)state;
    struct desk d;
    char record[400];
    struct world *w = make(1, false);
    put_fact(w, "c0", "one", "old");
    snprintf(record, sizeof(record), "ca.test; accounturi=%s", uri_of("new"));
    w->persisted[0] = "ca.test; accounturi=" URL;
    begin(&d, w, "new", false);
    assert_refused(&d, "1 record of dns-persist-01");
    assert_non_null(strstr(d.note, OWNER ". TXT \""));
    assert_non_null(strstr(d.note, record));
    end(&d, false);
    begin(&d, w, "new", true);
    assert_false(err_is(&d.err));
    assert_int_equal(d.notes, 1);
    end(&d, false);
    w->persisted[1] = record;
    begin(&d, w, "new", false);
    assert_false(err_is(&d.err));
    assert_int_equal(d.notes, 0);
    end(&d, true);
    assert_int_equal(w->n_records, 0);
}

static void the_provider_fails(void **state)
{
    (void)state;
    struct desk d;
    struct world *w = make(1, true);
    put_fact(w, "c0", "one", "old");
    w->sites[0].fault = FAULT_PUBLISH;
    err_set(&w->sites[0].err, ERR_DENIED, "the token may not");
    begin(&d, w, "new", false);
    assert_refused(&d, "could not be written");
    assert_non_null(strstr(d.note, "the token may not"));
    end(&d, false);
    begin(&d, w, "new", true);
    assert_false(err_is(&d.err));
    end(&d, true);
    assert_int_equal(w->n_records, 0);
}

static void given_up_at_any_time(void **state)
{
    (void)state;
    static const struct persist_change_handler handler = {on_note, on_ready};
    const struct persist_change_spec spec = {.ca = "one", .account_url = URL, .thumbprint = "new"};
    struct world *w = make(1, true);
    put_fact(w, "c0", "one", "old");
    for (unsigned steps = 0; steps < 12; steps++) {
        struct desk d = {.world = w};
        d.change = persist_change_start(w->renew, &spec, &handler, &d);
        for (unsigned i = 0; i < steps && !d.ready; i++)
            world_loop_step(w->loop, w->loop->wall + POLICY_MINUTE);
        unsigned ready = d.ready;
        end(&d, false);
        assert_int_equal(d.ready, ready);
        assert_int_equal(w->n_records, 0);
    }
}

/* The former record is c1's in the ledger, so the new one is, too. */
static void one_record_for_two(void **state)
{
    (void)state;
    struct desk d;
    struct world *w = make(2, true);
    put_fact(w, "c0", "one", "old");
    put_fact(w, "c1", "one", "old");
    w->records = xrealloc_array(w->records, 1, sizeof(*w->records));
    w->n_records = 1;
    w->records[0] = (struct record){.order = "kept", .cert = "c1"};
    snprintf(w->records[0].value, sizeof(w->records[0].value), "ca.test; accounturi=%s",
             uri_of("old"));
    begin(&d, w, "new", false);
    assert_false(err_is(&d.err));
    assert_int_equal(w->n_records, 2);
    assert_string_equal(w->records[1].cert, "c1");
    end(&d, true);
    assert_non_null(strstr(stored(w, "cert/c0/persist/c.example"), uri_of("new")));
    assert_non_null(strstr(stored(w, "cert/c1/persist/c.example"), uri_of("new")));
}

static void other_accounts_do_not_matter(void **state)
{
    (void)state;
    struct desk d;
    struct world *w = make(1, false);
    put_fact(w, "c0", "two", "old");
    begin(&d, w, "new", false);
    assert_false(err_is(&d.err));
    end(&d, true);
    w->conf->cas[1].directory = w->conf->cas[0].directory; /* another entry of the same account */
    begin(&d, w, "new", false);
    assert_refused(&d, "create");
    end(&d, false);
    put_fact(w, "nobody", "one", "old");
    w->conf->cas[1].account = arena_strdup(w->conf->arena, "second");
    begin(&d, w, "new", false);
    assert_false(err_is(&d.err));
    end(&d, false);
}

static void the_account_ends(void **state)
{
    (void)state;
    static const char *const keys[] = {NULL, "old"};
    struct world *w = make(1, true);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        struct desk d;
        put_fact(w, "c0", "one", keys[i]);
        begin(&d, w, "", false);
        assert_false(err_is(&d.err));
        assert_int_equal(d.notes, 1);
        assert_non_null(strstr(d.note, "c0: c.example is proved by the record " OWNER));
        end(&d, false);
    }
    assert_int_equal(w->n_records, 0);
}

static void facts_of_nobody_are_forgotten(void **state)
{
    (void)state;
    struct world *w = make(1, true);
    put_fact(w, "c0", "one", NULL);
    put_fact(w, "gone", "one", NULL);
    world_run(w, 80 * POLICY_DAY);
    world_crash(w);
    world_boot(w);
    assert_string_not_equal(stored(w, "cert/gone/persist/c.example"), "none");
    world_run(w, 11 * POLICY_DAY);
    world_crash(w);
    world_boot(w);
    world_run(w, POLICY_SECOND);
    assert_string_equal(stored(w, "cert/gone/persist/c.example"), "none");
    assert_string_not_equal(stored(w, "cert/c0/persist/c.example"), "none");
}

#define TEST(f) cmocka_unit_test_teardown(f, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(early_drafts_stay),        TEST(ours_are_written),
        TEST(ours_goes_away_meanwhile), TEST(others_are_asked_for),
        TEST(the_provider_fails),       TEST(given_up_at_any_time),
        TEST(one_record_for_two),       TEST(other_accounts_do_not_matter),
        TEST(the_account_ends),         TEST(facts_of_nobody_are_forgotten),
    };
    return cmocka_run_group_tests_name("persist_change", tests, NULL, NULL);
}
