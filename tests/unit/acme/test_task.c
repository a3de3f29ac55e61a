/* SPDX-License-Identifier: ISC */
/* Tasks of the keeper, at a CA that does what it should, and at others. */
#include "fake.h"
#include "run.h"

#include "acme/task.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ACCOUNT "https://ca.test/acct/1"
#define WHOLE                                                                                      \
    {                                                                                              \
        .at = DIR, .status = 200,                                                                  \
        .body = "{\"newNonce\":\"https://ca.test/nonce\",\"newAccount\":"                          \
                "\"https://ca.test/new-acct\",\"newOrder\":\"https://ca.test/new-order\","         \
                "\"keyChange\":\"https://ca.test/kc\",\"revokeCert\":\"https://ca.test/rv\"}"      \
    }
#define DONE                                                                                       \
    {                                                                                              \
        .at = AT_ANY, .status = 200, .body = "{}"                                                  \
    }
#define SAYS(place, code, what)                                                                    \
    {                                                                                              \
        .at = place, .status = code, .type = what, .detail = "so it is"                            \
    }
#define UNKNOWN_ACCOUNT(n, m)                                                                      \
    {                                                                                              \
        .at = ACCT, .from = n, .to = m, .status = 400, .type = "accountDoesNotExist"               \
    }

struct trial {
    struct fake f;
    struct run r;
    struct acme_task *task;
    unsigned notes, done;
    bool waited;
    struct err err;
    enum keeper_task_key key;
    char url[300], status[80], contact[300];
};

static void on_note(void *arg, const char *text)
{
    struct trial *t = arg;

    t->notes++;
    t->waited |= strstr(text, "under way") != NULL;
}

static void on_done(void *arg, const struct keeper_task_result *r, const struct err *err)
{
    struct trial *t = arg;

    t->done++;
    t->err = err ? *err : (struct err)ERR_INIT;
    t->key = r->key;
    str_copy(t->url, sizeof(t->url), r->url);
    str_copy(t->status, sizeof(t->status), r->status);
    str_copy(t->contact, sizeof(t->contact), r->n_contact ? r->contact[0] : "");
    acme_task_free(t->task);
    t->task = NULL;
}

static void open_trial(struct trial *t, const struct rule *rules, size_t n)
{
    static const char *const names[] = {"example.org"};

    memset(t, 0, sizeof(*t));
    fake_init(&t->f);
    free(t->f.account);
    t->f.account = xstrdup(ACCOUNT);
    t->f.accounts_made = 1;
    t->f.rules = rules;
    t->f.n_rules = n;
    run_init(&t->r, &t->f, names, 1);
}

static void close_trial(struct trial *t)
{
    acme_task_free(t->task);
    run_done(&t->r);
    fake_done(&t->f);
}

static void begin(struct trial *t, enum keeper_task_kind kind, const char *ca)
{
    static const struct acme_task_handler h = {on_note, on_done};
    const struct keeper_task spec = {
        .id = 7, .kind = kind, .ca = ca, .cert = "", .url = ACCOUNT, .life_ms = 900000};

    t->task = acme_task_start(t->r.acme, &spec, &h, t);
    assert_int_equal(t->done, 0);
}

static void go(struct trial *t, enum keeper_task_kind kind, const struct rule *rules, size_t n)
{
    open_trial(t, rules, n);
    begin(t, kind, "test");
    fake_run(&t->f, 0);
    assert_int_equal(t->done, 1);
    close_trial(t);
}
#define GO(kind, ...)                                                                              \
    do {                                                                                           \
        const struct rule rules[] = {WHOLE, ##__VA_ARGS__};                                        \
        go(&t, kind, rules, sizeof(rules) / sizeof(rules[0]));                                     \
    } while (0)

static void test_accounts(void **state)
{
    struct trial t;

    (void)state;
    GO(KEEPER_TASK_SHOW,
       {.at = OBJ, .status = 200, .body = "{\"status\":\"valid\",\"contact\":[\"mailto:a@b.c\"]}"});
    assert_int_equal(t.err.cls, ERR_NONE);
    assert_string_equal(t.status, "valid");
    assert_string_equal(t.contact, "mailto:a@b.c");
    GO(KEEPER_TASK_SHOW, {.at = OBJ, .status = 200, .body = "<html>"});
    assert_int_equal(t.err.cls, ERR_PEER);
    GO(KEEPER_TASK_UPDATE, DONE);
    assert_int_equal(t.err.cls, ERR_NONE);
    GO(KEEPER_TASK_DEACTIVATE, DONE);
    assert_int_equal(t.err.cls, ERR_NONE);
    GO(KEEPER_TASK_DEACTIVATE,
       {.at = OBJ, .status = 401, .type = "unauthorized", .detail = "account is deactivated"});
    assert_int_equal(t.err.cls, ERR_NONE);
    GO(KEEPER_TASK_DEACTIVATE, SAYS(OBJ, 403, "unauthorized"));
    assert_int_not_equal(t.err.cls, ERR_NONE);
    GO(KEEPER_TASK_FIND);
    assert_string_equal(t.url, ACCOUNT);
    GO(KEEPER_TASK_FIND, UNKNOWN_ACCOUNT(0, 0));
    assert_string_equal(t.err.type, "accountDoesNotExist");
}

/* Nothing is registered on the way, whatever the CA says of the account. */
static void test_no_account_is_made(void **state)
{
    static const struct rule rules[] = {WHOLE, SAYS(OBJ, 400, "accountDoesNotExist")};
    struct trial t;

    (void)state;
    open_trial(&t, rules, 2);
    begin(&t, KEEPER_TASK_SHOW, "test");
    fake_run(&t.f, 0);
    assert_string_equal(t.err.type, "accountDoesNotExist");
    assert_int_equal(t.f.counts[ACCT], 0);
    close_trial(&t);
}

static void test_revocation(void **state)
{
    struct trial t;

    (void)state;
    GO(KEEPER_TASK_REVOKE, DONE);
    assert_int_equal(t.err.cls, ERR_NONE);
    GO(KEEPER_TASK_REVOKE, SAYS(AT_ANY, 400, "alreadyRevoked"));
    assert_int_equal(t.err.cls, ERR_NONE);
    assert_int_equal(t.notes, 1);
    GO(KEEPER_TASK_REVOKE, SAYS(AT_ANY, 400, "badRevocationReason"));
    assert_string_equal(t.err.type, "badRevocationReason");
    static const struct rule without = {
        .at = DIR,
        .status = 200,
        .body =
            "{\"newNonce\":\"https://ca.test/nonce\",\"newAccount\":\"https://ca.test/new-acct\","
            "\"newOrder\":\"https://ca.test/new-order\"}"};
    go(&t, KEEPER_TASK_REVOKE, &without, 1);
    assert_int_equal(t.err.cls, ERR_DENIED);
    open_trial(&t, NULL, 0);
    begin(&t, KEEPER_TASK_REVOKE, "nosuch");
    fake_run(&t.f, 0);
    assert_int_equal(t.err.cls, ERR_CONFIG);
    close_trial(&t);
}

static void test_change_of_key(void **state)
{
    static const int never[] = {501, 404, 405, 400, 403};
    struct trial t;

    (void)state;
    GO(KEEPER_TASK_CHANGE_KEY, DONE);
    assert_int_equal(t.err.cls, ERR_NONE);
    assert_int_equal(t.key, KEEPER_KEY_NEW);
    assert_int_equal(t.notes, 1);
    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
        GO(KEEPER_TASK_CHANGE_KEY, SAYS(AT_ANY, never[i], "malformed"));
        assert_int_not_equal(t.err.cls, ERR_NONE);
        assert_non_null(strstr(t.err.detail, "stays"));
        assert_int_equal(t.key, KEEPER_KEY_OLD);
    }
}

/* What became of a change whose answer was lost is found out. */
static void test_change_of_key_in_doubt(void **state)
{
    static const struct rule lost = {.at = AT_ANY, .status = 0}, broken = SAYS(AT_ANY, 500, "x"),
                             taken = SAYS(AT_ANY, 409, "conflict");
    struct trial t;

    (void)state;
    const struct rule *const ways[] = {&lost, &broken, &taken};
    for (size_t i = 0; i < 3; i++) {
        GO(KEEPER_TASK_CHANGE_KEY, *ways[i]); /* the new key has our account */
        assert_int_equal(t.err.cls, ERR_NONE);
        assert_int_equal(t.key, KEEPER_KEY_NEW);
        GO(KEEPER_TASK_CHANGE_KEY, *ways[i], UNKNOWN_ACCOUNT(1, 1)); /* the old one has */
        assert_int_not_equal(t.err.cls, ERR_NONE);
        assert_int_equal(t.key, KEEPER_KEY_OLD);
        GO(KEEPER_TASK_CHANGE_KEY, *ways[i], UNKNOWN_ACCOUNT(0, 0)); /* neither */
        assert_int_equal(t.err.cls, ERR_DENIED);
        assert_int_equal(t.key, KEEPER_KEY_OLD);
        GO(KEEPER_TASK_CHANGE_KEY, *ways[i], {.at = ACCT, .status = 0}); /* nobody tells */
        assert_int_equal(t.err.cls, ERR_TRANSIENT);
        assert_int_equal(t.key, KEEPER_KEY_UNKNOWN);
    }
}

static void test_which_key(void **state)
{
    struct trial t;

    (void)state;
    GO(KEEPER_TASK_WHICH_KEY);
    assert_int_equal(t.key, KEEPER_KEY_NEW);
    assert_string_equal(t.url, ACCOUNT);
    GO(KEEPER_TASK_WHICH_KEY, UNKNOWN_ACCOUNT(1, 1));
    assert_int_equal(t.key, KEEPER_KEY_OLD);
    assert_int_equal(t.err.cls, ERR_NONE);
    GO(KEEPER_TASK_WHICH_KEY,
       {.at = ACCT, .status = 200, .body = "{}", .header = "Location: https://ca.test/acct/2"});
    assert_int_equal(t.key, KEEPER_KEY_OLD);
    assert_int_equal(t.err.cls, ERR_DENIED);
    GO(KEEPER_TASK_WHICH_KEY, {.at = ACCT, .status = 200, .body = "{}"});
    assert_int_equal(t.key, KEEPER_KEY_UNKNOWN);
    assert_int_equal(t.err.cls, ERR_PEER);
}

static void test_orders_end_before_the_key_changes(void **state)
{
    static const struct rule rules[] = {WHOLE, DONE};
    struct trial t;

    (void)state;
    open_trial(&t, rules, 2);
    t.r.publish_ms = 60000;
    run_start(&t.r, "", false);
    while (!t.r.challenges)
        fake_run(&t.f, 1);
    begin(&t, KEEPER_TASK_CHANGE_KEY, "test");
    while (!t.done && !t.r.answered)
        fake_run(&t.f, 1);
    assert_int_equal(t.done, 0);
    assert_true(t.waited);
    fake_run(&t.f, 0);
    assert_int_equal(t.r.done, 1);
    assert_int_equal(t.done, 1);
    assert_int_equal(t.key, KEEPER_KEY_NEW);
    close_trial(&t);
}

static void test_no_order_begins_meanwhile(void **state)
{
    static const struct rule rules[] = {WHOLE, DONE};
    struct trial t;

    (void)state;
    open_trial(&t, rules, 2);
    begin(&t, KEEPER_TASK_CHANGE_KEY, "test");
    while (!t.notes)
        fake_run(&t.f, 1);
    run_start(&t.r, "", false);
    while (!t.done)
        fake_run(&t.f, 1);
    assert_int_equal(t.f.counts[NEW], 0);
    fake_run(&t.f, 0);
    assert_int_equal(t.r.done, 1);
    assert_int_equal(t.f.counts[NEW], 1);
    close_trial(&t);
}

static void test_an_order_that_does_not_end(void **state)
{
    static const struct rule rules[] = {WHOLE, DONE};
    struct trial t;

    (void)state;
    open_trial(&t, rules, 2);
    t.r.publish_ms = 7 * 86400000LL;
    run_start(&t.r, "", false);
    while (!t.r.challenges)
        fake_run(&t.f, 1);
    begin(&t, KEEPER_TASK_CHANGE_KEY, "test");
    while (!t.done)
        fake_run(&t.f, 1);
    assert_int_equal(t.err.cls, ERR_TRANSIENT);
    assert_int_equal(t.key, KEEPER_KEY_OLD);
    fake_run(&t.f, 0);
    close_trial(&t);
}

/* Given up after any number of steps, nothing is left and nobody is called. */
static void test_given_up_at_any_moment(void **state)
{
    static const struct rule rules[] = {WHOLE, {.at = AT_ANY, .status = 0}};
    struct trial t;
    bool ended = false;

    (void)state;
    for (int steps = 0; !ended; steps++) {
        open_trial(&t, rules, 2);
        begin(&t, KEEPER_TASK_CHANGE_KEY, "test");
        fake_run(&t.f, steps);
        ended = t.done > 0;
        acme_task_free(t.task);
        t.task = NULL;
        fake_run(&t.f, 0);
        assert_int_equal(t.done, ended);
        close_trial(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accounts),
        cmocka_unit_test(test_no_account_is_made),
        cmocka_unit_test(test_revocation),
        cmocka_unit_test(test_change_of_key),
        cmocka_unit_test(test_change_of_key_in_doubt),
        cmocka_unit_test(test_which_key),
        cmocka_unit_test(test_orders_end_before_the_key_changes),
        cmocka_unit_test(test_no_order_begins_meanwhile),
        cmocka_unit_test(test_an_order_that_does_not_end),
        cmocka_unit_test(test_given_up_at_any_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
