/* SPDX-License-Identifier: ISC */
/* What is signed only inside a task, and how tasks and changes of keys come to their end. */
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "digest/base64.h"
#include "digest/pem.h"
#include "keeper/account_keys.h"
#include "keeper/fixture.h"
#include "keeper/issue_file.h"
#include "keeper/live.h"
#include "keeper/rehearsals.h"
#include "keeper/tasks.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define ACCOUNT_URL "https://le.example/acct/1"

static int setup(void **state)
{
    struct fixture *f = xnew(struct fixture);
    fixture_open(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_close(*state);
    free(*state);
    return 0;
}

static struct account *account_of(struct fixture *f)
{
    struct err e = ERR_INIT;
    struct account *a = accounts_get(f->accounts, &f->cas[0], &e);
    assert_non_null(a);
    return a;
}

static struct account *registered(struct fixture *f)
{
    struct err e = ERR_INIT;
    struct account *a = account_of(f);
    assert_int_equal(accounts_need_key(f->accounts, a, &f->cas[0], &e), 0);
    assert_int_equal(accounts_set_url(f->accounts, a, &f->cas[0], ACCOUNT_URL, &e), 0);
    return a;
}

/* ---- signatures ---- */

struct signed_request {
    struct json *head, *payload;
};

static struct json *part(const struct json *jws, const char *key)
{
    struct buf b;
    const char *coded = json_text(jws, key);
    buf_init(&b, 1 << 20);
    assert_int_equal(base64url_decode(&b, coded, strlen(coded)), 0);
    struct json *j = b.len ? json_parse(b.data, b.len, NULL) : NULL;
    buf_free(&b);
    return j;
}

static int ask(struct fixture *f, const struct sign_task *t, enum keeper_sign what, unsigned flags,
               const char *url, struct signed_request *ret, struct err *e)
{
    struct keeper_msg_sign m = {.what = what,
                                .flags = flags,
                                .ca = "le",
                                .cert = "www",
                                .url = url,
                                .nonce = "abc",
                                .task = t ? 1 : 0};
    struct sign_env env = fixture_sign(f);
    struct buf out;
    env.task = t;
    buf_init(&out, KEEPER_MSG_JWS_MAX);
    err_clear(e);
    int rc = sign_request(&env, &m, &out, e);
    if (rc == 0 && ret) {
        struct json *jws = json_parse(out.data, out.len, NULL);
        ret->head = part(jws, "protected");
        ret->payload = part(jws, "payload");
        json_free(jws);
    }
    buf_free(&out);
    return rc;
}

static void signed_done(struct signed_request *r)
{
    json_free(r->head);
    json_free(r->payload);
}

static const enum keeper_sign only_in_tasks[] = {KEEPER_UPDATE_ACCOUNT, KEEPER_DEACTIVATE_ACCOUNT,
                                                 KEEPER_KEY_CHANGE, KEEPER_REVOKE};

static void test_the_engine_may_not_by_itself(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct account *a = registered(f);
    assert_int_equal(accounts_put_pending(f->accounts, a, pkey_generate(KEY_ECDSA_P256, &e), &e),
                     0);
    for (size_t i = 0; i < ARRAY_LEN(only_in_tasks); i++) {
        assert_int_equal(ask(f, NULL, only_in_tasks[i], 0, ACCOUNT_URL, NULL, &e), -1);
        assert_int_equal(e.cls, ERR_DENIED);
    }
    assert_int_equal(ask(f, NULL, KEEPER_FIND_ACCOUNT, KEEPER_F_PENDING, ACCOUNT_URL, NULL, &e),
                     -1);
    assert_int_equal(e.cls, ERR_DENIED);
}

/* Each kind of task opens one door and no other. */
static void test_a_task_is_for_what_it_is_for(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct account *a = registered(f);
    assert_int_equal(accounts_put_pending(f->accounts, a, pkey_generate(KEY_ECDSA_P256, &e), &e),
                     0);
    for (int kind = 0; kind < KEEPER_TASK_KINDS; kind++) {
        struct sign_task t = {.kind = (enum keeper_task_kind)kind, .account = a, .reason = -1};
        unsigned open = 0;
        if (kind == KEEPER_TASK_REVOKE || kind == KEEPER_TASK_REPLACE)
            continue;
        for (size_t i = 0; i < ARRAY_LEN(only_in_tasks); i++)
            open += ask(f, &t, only_in_tasks[i], 0, ACCOUNT_URL, NULL, &e) == 0;
        bool one = kind == KEEPER_TASK_UPDATE || kind == KEEPER_TASK_DEACTIVATE ||
                   kind == KEEPER_TASK_CHANGE_KEY;
        assert_int_equal(open, one);
        bool pending = kind == KEEPER_TASK_CHANGE_KEY || kind == KEEPER_TASK_WHICH_KEY;
        assert_int_equal(ask(f, &t, KEEPER_FIND_ACCOUNT, KEEPER_F_PENDING, ACCOUNT_URL, NULL, &e),
                         pending ? 0 : -1);
    }
}

static void test_only_the_account_itself(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct account *a = registered(f), *other = accounts_get(f->accounts, &f->cas[1], &e);
    struct sign_task t = {.kind = KEEPER_TASK_DEACTIVATE, .account = a};
    struct signed_request r;
    assert_int_equal(
        ask(f, &t, KEEPER_DEACTIVATE_ACCOUNT, 0, "https://le.example/acct/2", NULL, &e), -1);
    assert_int_equal(e.cls, ERR_DENIED);
    assert_int_equal(ask(f, &t, KEEPER_DEACTIVATE_ACCOUNT, 0, ACCOUNT_URL, &r, &e), 0);
    assert_string_equal(json_text(r.payload, "status"), "deactivated");
    assert_string_equal(json_text(r.head, "kid"), ACCOUNT_URL);
    signed_done(&r);
    t.account = other;
    assert_int_equal(ask(f, &t, KEEPER_DEACTIVATE_ACCOUNT, 0, ACCOUNT_URL, NULL, &e), -1);
}

static void test_update_says_what_is_configured(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct sign_task t = {.kind = KEEPER_TASK_UPDATE, .account = registered(f)};
    struct signed_request r;
    char mail[] = "ops@example.org";
    f->cas[0].email = mail;
    f->cas[0].agree_tos = true;
    assert_int_equal(ask(f, &t, KEEPER_UPDATE_ACCOUNT, 0, ACCOUNT_URL, &r, &e), 0);
    assert_string_equal(json_as_text(json_at(json_get(r.payload, "contact"), 0)),
                        "mailto:ops@example.org");
    assert_true(json_bool(r.payload, "termsOfServiceAgreed", false));
    signed_done(&r);
}

static void test_key_change(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct account *a = registered(f);
    struct sign_task t = {.kind = KEEPER_TASK_CHANGE_KEY, .account = a};
    struct signed_request r;
    assert_int_equal(ask(f, &t, KEEPER_KEY_CHANGE, 0, "https://le.example/kc", NULL, &e), -1);
    assert_int_equal(accounts_put_pending(f->accounts, a, pkey_generate(KEY_ECDSA_P384, &e), &e),
                     0);
    assert_int_equal(ask(f, &t, KEEPER_KEY_CHANGE, 0, "https://le.example/kc", &r, &e), 0);
    assert_string_equal(json_text(r.head, "kid"), ACCOUNT_URL);
    assert_string_equal(json_text(r.head, "alg"), "ES256");
    struct json *head = part(r.payload, "protected"), *payload = part(r.payload, "payload");
    assert_string_equal(json_text(head, "alg"), "ES384");
    assert_string_equal(json_text(head, "url"), "https://le.example/kc");
    assert_null(json_get(head, "nonce"));
    assert_string_equal(json_text(payload, "account"), ACCOUNT_URL);
    assert_string_equal(json_text(json_get(payload, "oldKey"), "crv"), "P-256");
    json_free(head);
    json_free(payload);
    signed_done(&r);
}

/* ---- revocations ---- */

static void take_installed(struct fixture *f, struct sign_task *t)
{
    struct err e = ERR_INIT;
    struct live l;
    struct pem_reader r;
    assert_int_equal(live_read(&f->dir, "www", &l, &e), 0);
    pem_reader_init(&r, l.leaf_pem, strlen(l.leaf_pem));
    buf_init(&t->der, 1 << 16);
    assert_int_equal(pem_next(&r, "CERTIFICATE", &t->der, &e), 1);
    str_copy(t->fingerprint, sizeof(t->fingerprint), l.fingerprint);
    str_copy(t->spki, sizeof(t->spki), l.spki);
    live_done(&l);
}

static void test_revocation(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct sign_task t = {
        .kind = KEEPER_TASK_REVOKE, .account = registered(f), .cert = "www", .reason = 4};
    struct signed_request r;
    assert_int_equal(fixture_install(f, -1, 100, &e), 0);
    take_installed(f, &t);
    assert_int_equal(ask(f, &t, KEEPER_REVOKE, 0, "https://le.example/rv", &r, &e), 0);
    assert_string_equal(json_text(r.head, "kid"), ACCOUNT_URL);
    assert_int_equal(json_int(r.payload, "reason", -1), 4);
    CLEANUP_FREE char *der = base64url(t.der.data, t.der.len);
    assert_string_equal(json_text(r.payload, "certificate"), der);
    signed_done(&r);
    t.cert_key = pkey_generate(KEY_ECDSA_P256, &e);
    assert_int_equal(ask(f, &t, KEEPER_REVOKE, 0, "https://le.example/rv", &r, &e), 0);
    assert_null(json_get(r.head, "kid"));
    assert_non_null(json_get(r.head, "jwk"));
    signed_done(&r);
    pkey_free(t.cert_key);
    buf_free(&t.der);
}

/* Whatever the engine says: not before another certificate with another key is there. */
static void test_a_replaced_one_only_when_it_is_replaced(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct sign_task t = {
        .kind = KEEPER_TASK_REPLACE, .account = registered(f), .cert = "www", .reason = -1};
    assert_int_equal(fixture_install(f, -2, 100, &e), 0);
    take_installed(f, &t);
    assert_int_equal(ask(f, &t, KEEPER_REVOKE, 0, "https://le.example/rv", NULL, &e), -1);
    assert_int_equal(e.cls, ERR_DENIED);
    f->cert.reuse_key = true;
    assert_int_equal(fixture_install(f, -1, 200, &e), 0);
    assert_int_equal(ask(f, &t, KEEPER_REVOKE, 0, "https://le.example/rv", NULL, &e), -1);
    assert_non_null(strstr(e.detail, "same key"));
    f->cert.reuse_key = false;
    assert_int_equal(fixture_install(f, -1, 300, &e), 0);
    assert_int_equal(ask(f, &t, KEEPER_REVOKE, 0, "https://le.example/rv", NULL, &e), 0);
    buf_free(&t.der);
}

/* ---- keys on the disk ---- */

static void same_key(struct pkey *a, const char *thumbprint)
{
    assert_non_null(a);
    assert_string_equal(pkey_thumbprint(a), thumbprint);
}

static void test_pending_keys_survive(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct account *a = registered(f);
    struct stat st;
    CLEANUP_FREE char *old = xstrdup(pkey_thumbprint(a->key));
    assert_int_equal(accounts_put_pending(f->accounts, a, pkey_generate(KEY_ECDSA_P256, &e), &e),
                     0);
    CLEANUP_FREE char *new = xstrdup(pkey_thumbprint(a->pending));
    fixture_reopen(f);
    a = account_of(f);
    same_key(a->key, old);
    same_key(a->pending, new);
    assert_int_equal(stat(fixture_path(f, "accounts/%s/pending.pem", a->id), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(accounts_drop_pending(f->accounts, a, &e), 0);
    fixture_reopen(f);
    a = account_of(f);
    same_key(a->key, old);
    assert_null(a->pending);
    assert_int_equal(accounts_put_pending(f->accounts, a, pkey_generate(KEY_ECDSA_P384, &e), &e),
                     0);
    CLEANUP_FREE char *newer = xstrdup(pkey_thumbprint(a->pending));
    assert_int_equal(accounts_adopt_pending(f->accounts, a, &e), 0);
    same_key(a->key, newer);
    assert_string_equal(a->url, ACCOUNT_URL);
    fixture_reopen(f);
    a = account_of(f);
    same_key(a->key, newer);
    assert_null(a->pending);
    assert_int_equal(access(fixture_path(f, "accounts/%s/previous.pem", a->id), R_OK), 0);
}

static void test_deactivated_is_for_good(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct account *a = registered(f);
    assert_int_equal(accounts_deactivate(f->accounts, a, &f->cas[0], 1790000000000, &e), 0);
    fixture_reopen(f);
    assert_int_equal(fixture_prepare(f, false, &e), 0);
    static const enum keeper_sign what[] = {KEEPER_NEW_ACCOUNT, KEEPER_FIND_ACCOUNT, KEEPER_READ,
                                            KEEPER_NEW_ORDER};
    for (size_t i = 0; i < ARRAY_LEN(what); i++) {
        assert_int_equal(ask(f, NULL, what[i], 0, "https://le.example/x", NULL, &e), -1);
        assert_int_equal(e.cls, ERR_CONFIG);
        assert_non_null(strstr(e.detail, "deactivated on 2026-09-2"));
    }
    struct sign_task t = {.kind = KEEPER_TASK_SHOW, .account = account_of(f)};
    assert_int_equal(ask(f, &t, KEEPER_READ, 0, ACCOUNT_URL, NULL, &e), 0);
}

static unsigned found_n;
static void count_found(void *arg, const struct account_found *f)
{
    assert_ptr_equal(f->account, arg);
    assert_string_equal(f->url, ACCOUNT_URL);
    assert_string_equal(f->directory, "https://le.example/directory");
    found_n++;
}

static void test_all_accounts_are_told(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct account *a = registered(f);
    found_n = 0;
    assert_int_equal(mkdir(fixture_path(f, "accounts/nonsense"), 0700), 0);
    assert_int_equal(accounts_each(f->accounts, count_found, a, &e), 0);
    assert_int_equal(found_n, 1);
}

/* ---- tasks ---- */

struct desk {
    struct loop *loop;
    struct tasks *tasks;
    struct account_keys *keys;
    bool down;
    unsigned sent, ended, done, ready, changed;
    uint64_t id; /* of the last task */
    enum keeper_task_kind kind;
    bool force;
    char thumbprint[64], note[900];
    struct err err;
    bool in_force;
};

static bool send_it(void *arg, enum keeper_msg_type type, const void *msg)
{
    struct desk *d = arg;
    if (d->down)
        return false;
    if (type == KEEPER_MSG_TASK) {
        const struct keeper_msg_task *m = msg;
        d->id = m->task;
        d->kind = (enum keeper_task_kind)m->kind;
        d->force = m->force;
        str_copy(d->thumbprint, sizeof(d->thumbprint), m->thumbprint);
        d->sent++;
    } else {
        d->ended++;
    }
    return true;
}

static void on_ready(void *arg, const struct account *a, const struct err *err)
{
    struct desk *d = arg;
    (void)a;
    d->ready++;
    d->err = err ? *err : (struct err)ERR_INIT;
    loop_stop(d->loop);
}

static void desk_open(struct desk *d, struct fixture *f)
{
    static struct log log;
    *d = (struct desk){.loop = loop_new()};
    f->conf.refs = 1; /* it is nobody's to free */
    log_init(&log, "test");
    log.level = LOG_LEVEL_ERROR;
    d->tasks = tasks_new(&(struct tasks_env){.loop = d->loop, .send = send_it, .arg = d});
    d->keys = account_keys_new(&(struct account_keys_env){.loop = d->loop,
                                                          .log = &log,
                                                          .accounts = f->accounts,
                                                          .tasks = d->tasks,
                                                          .program = "/nonexistent",
                                                          .ready = on_ready,
                                                          .arg = d});
}

static void desk_close(struct desk *d)
{
    account_keys_free(d->keys);
    tasks_free(d->tasks);
    loop_free(d->loop);
}

static void on_note(void *arg, const char *text)
{
    struct desk *d = arg;
    str_copy(d->note, sizeof(d->note), text);
}

static void on_done(void *arg, const struct keeper_msg_task_done *m, const struct err *err)
{
    struct desk *d = arg;
    assert_non_null(m->url);
    d->done++;
    d->err = err ? *err : (struct err)ERR_INIT;
    loop_stop(d->loop);
}

static const struct task_handler handler = {on_note, on_done};

static void engine_done(struct desk *d, uint64_t id, enum keeper_task_key key, enum err_class cls)
{
    union keeper_msg m = {
        .task_done = {.task = id, .key = key, .url = ACCOUNT_URL, .status = "", .orders = ""}};
    m.task_done.err.cls = cls;
    assert_int_equal(tasks_message(d->tasks, KEEPER_MSG_TASK_DONE, &m), 0);
}

static void test_a_task_ends_once(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct desk d;
    union keeper_msg m;
    desk_open(&d, f);
    struct task_spec spec = {.kind = KEEPER_TASK_SHOW, .ca = "le", .account = registered(f)};
    assert_non_null(tasks_open(d.tasks, &spec, &handler, &d, &e));
    assert_int_equal(d.sent, 1);
    assert_int_not_equal(d.id, 0);
    assert_ptr_equal(tasks_find(d.tasks, d.id)->account, spec.account);
    assert_null(tasks_find(d.tasks, d.id + 1));
    m.task_note = (struct keeper_msg_task_note){d.id, "a \"quoted\"\nword"};
    assert_int_equal(tasks_message(d.tasks, KEEPER_MSG_TASK_NOTE, &m), 0);
    assert_null(strchr(d.note, '\n'));
    engine_done(&d, d.id + 1, 0, ERR_NONE); /* nobody's */
    assert_int_equal(d.done, 0);
    engine_done(&d, d.id, 0, ERR_NONE);
    engine_done(&d, d.id, 0, ERR_NONE);
    assert_int_equal(d.done, 1);
    assert_null(tasks_find(d.tasks, d.id));
    assert_int_equal(tasks_message(d.tasks, KEEPER_MSG_SIGN, &m), -1);
    desk_close(&d);
}

static void test_a_task_ends_with_its_time_or_its_engine(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct desk d;
    desk_open(&d, f);
    struct task_spec spec = {.kind = KEEPER_TASK_UPDATE, .account = registered(f), .life_ms = 1};
    assert_non_null(tasks_open(d.tasks, &spec, &handler, &d, &e));
    loop_run(d.loop);
    assert_int_equal(d.done, 1);
    assert_int_equal(d.ended, 1);
    assert_int_equal(d.err.cls, ERR_TRANSIENT);
    spec.life_ms = 0;
    assert_non_null(tasks_open(d.tasks, &spec, &handler, &d, &e));
    assert_non_null(tasks_open(d.tasks, &spec, &handler, &d, &e));
    tasks_lost(d.tasks);
    assert_int_equal(d.done, 3);
    assert_non_null(strstr(d.err.detail, "engine"));
    d.down = true;
    assert_null(tasks_open(d.tasks, &spec, &handler, &d, &e));
    assert_int_equal(e.cls, ERR_TRANSIENT);
    desk_close(&d);
}

static void test_one_change_of_an_account_at_a_time(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct desk d;
    desk_open(&d, f);
    struct task_spec change = {.kind = KEEPER_TASK_DEACTIVATE, .account = registered(f)};
    struct task_spec find = {.kind = KEEPER_TASK_FIND, .account = change.account};
    struct task_spec show = {.kind = KEEPER_TASK_SHOW, .account = change.account};
    struct ca_task *k = tasks_open(d.tasks, &change, &handler, &d, &e);
    assert_non_null(k);
    assert_null(tasks_open(d.tasks, &find, &handler, &d, &e));
    assert_non_null(tasks_open(d.tasks, &show, &handler, &d, &e));
    assert_true(tasks_hold(d.tasks, change.account));
    task_close(k);
    assert_int_equal(d.done, 0);
    assert_false(tasks_hold(d.tasks, change.account));
    assert_non_null(tasks_open(d.tasks, &find, &handler, &d, &e));
    desk_close(&d);
}

/* ---- changes of keys ---- */

static void on_changed(void *arg, bool in_force, const char *url, const struct err *err)
{
    struct desk *d = arg;
    (void)url;
    d->changed++;
    d->in_force = in_force;
    d->err = err ? *err : (struct err)ERR_INIT;
}

static const struct account_keys_handler key_handler = {on_note, on_changed};

static void test_change_of_key(void **state)
{
    static const struct {
        enum keeper_task_key says;
        enum err_class cls;
        bool adopted, stays; /* the pending one */
    } table[] = {{KEEPER_KEY_NEW, ERR_NONE, true, false},
                 {KEEPER_KEY_OLD, ERR_DENIED, false, false},
                 {KEEPER_KEY_UNKNOWN, ERR_TRANSIENT, false, true}};
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct desk d;
    struct account *a = registered(f);
    desk_open(&d, f);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        CLEANUP_FREE char *old = xstrdup(pkey_thumbprint(a->key));
        assert_int_equal(account_keys_change(d.keys, &f->conf, &f->cas[0], a, KEY_ECDSA_P256, false,
                                             &key_handler, &d, &e),
                         0);
        assert_int_equal(d.kind, KEEPER_TASK_CHANGE_KEY);
        assert_int_equal(account_keys_change(d.keys, &f->conf, &f->cas[0], a, KEY_ECDSA_P256, false,
                                             &key_handler, &d, &e),
                         -1);
        assert_int_equal(access(fixture_path(f, "accounts/%s/pending.pem", a->id), R_OK), 0);
        assert_int_equal(account_keys_ready(d.keys, &f->conf, &f->cas[0], a, &e), 0);
        engine_done(&d, d.id, table[i].says, table[i].cls);
        assert_int_equal(d.changed, i + 1);
        assert_int_equal(d.in_force, table[i].adopted);
        assert_int_equal(err_is(&d.err), !table[i].adopted);
        assert_int_equal(str_eq(pkey_thumbprint(a->key), old), !table[i].adopted);
        assert_int_equal(a->pending != NULL, table[i].stays);
    }
    /* The next use of the account asks, once for all who wait, and goes on with what is in force.
     */
    assert_int_equal(account_keys_ready(d.keys, &f->conf, &f->cas[0], a, &e), 1);
    assert_int_equal(d.kind, KEEPER_TASK_WHICH_KEY);
    unsigned sent = d.sent;
    assert_int_equal(account_keys_ready(d.keys, &f->conf, &f->cas[0], a, &e), 1);
    assert_int_equal(d.sent, sent);
    engine_done(&d, d.id, KEEPER_KEY_UNKNOWN, ERR_TRANSIENT);
    assert_int_equal(d.ready, 1);
    assert_int_equal(d.err.cls, ERR_TRANSIENT);
    assert_non_null(a->pending);
    assert_int_equal(account_keys_ready(d.keys, &f->conf, &f->cas[0], a, &e), 1);
    CLEANUP_FREE char *new = xstrdup(pkey_thumbprint(a->pending));
    engine_done(&d, d.id, KEEPER_KEY_NEW, ERR_NONE);
    assert_int_equal(d.ready, 2);
    assert_int_equal(d.err.cls, ERR_NONE);
    same_key(a->key, new);
    assert_int_equal(account_keys_ready(d.keys, &f->conf, &f->cas[0], a, &e), 0);
    desk_close(&d);
}

static void change(struct desk *d, struct fixture *f, struct account *a, enum key_type t,
                   bool force)
{
    struct err e = ERR_INIT;
    assert_int_equal(
        account_keys_change(d->keys, &f->conf, &f->cas[0], a, t, force, &key_handler, d, &e), 0);
    assert_int_equal(d->force, force);
    assert_string_equal(d->thumbprint, pkey_thumbprint(a->pending));
}

static void engine_refuses(struct desk *d)
{
    union keeper_msg m = {
        .task_done = {.task = d->id, .key = KEEPER_KEY_OLD, .url = "", .status = "", .orders = ""}};
    err_set(&m.task_done.err, ERR_BLOCKED, "records are missing");
    str_copy(m.task_done.err.type, sizeof(m.task_done.err.type), KEEPER_NEEDS_FORCE);
    assert_int_equal(tasks_message(d->tasks, KEEPER_MSG_TASK_DONE, &m), 0);
    assert_string_equal(d->err.type, KEEPER_NEEDS_FORCE);
}

static bool has_file(struct fixture *f, const struct account *a, const char *name)
{
    return access(fixture_path(f, "accounts/%s/%s", a->id, name), F_OK) == 0;
}

static void assert_shelved(struct fixture *f, const struct account *a)
{
    assert_null(a->pending);
    assert_false(has_file(f, a, "pending.pem"));
    assert_true(has_file(f, a, "next.pem"));
}

/* Records were asked for that name the key: it is the same one until it is in force. */
static void test_a_refused_key_is_kept(void **state)
{
    struct fixture *f = *state;
    struct desk d;
    struct account *a = registered(f);
    char first[64];
    desk_open(&d, f);
    change(&d, f, a, KEY_ECDSA_P256, false);
    str_copy(first, sizeof(first), d.thumbprint);
    engine_refuses(&d);
    assert_shelved(f, a);
    change(&d, f, a, KEY_ECDSA_P256, false);
    assert_string_equal(d.thumbprint, first);
    assert_true(has_file(f, a, "pending.pem"));
    engine_refuses(&d);
    assert_shelved(f, a);
    change(&d, f, a, KEY_ECDSA_P256, true);
    engine_done(&d, d.id, KEEPER_KEY_OLD, ERR_TRANSIENT); /* the CA is away */
    assert_shelved(f, a);
    change(&d, f, a, KEY_ECDSA_P384, false); /* another type is another key */
    assert_string_not_equal(d.thumbprint, first);
    engine_done(&d, d.id, KEEPER_KEY_OLD, ERR_TRANSIENT);
    assert_shelved(f, a);
    change(&d, f, a, KEY_ECDSA_P256, true);
    assert_string_equal(d.thumbprint, first);
    engine_done(&d, d.id, KEEPER_KEY_NEW, ERR_NONE);
    same_key(a->key, first);
    assert_false(has_file(f, a, "next.pem"));
    assert_false(has_file(f, a, "pending.pem"));
    desk_close(&d);
}

/* After a month it is made anew. */
static void test_a_refused_key_grows_old(void **state)
{
    struct fixture *f = *state;
    struct desk d;
    struct account *a = registered(f);
    char first[64];
    const struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    desk_open(&d, f);
    change(&d, f, a, KEY_ECDSA_P256, false);
    str_copy(first, sizeof(first), d.thumbprint);
    engine_refuses(&d);
    assert_int_equal(utimensat(AT_FDCWD, fixture_path(f, "accounts/%s/next.pem", a->id), old, 0),
                     0);
    change(&d, f, a, KEY_ECDSA_P256, false);
    assert_string_not_equal(d.thumbprint, first);
    engine_refuses(&d);
    assert_shelved(f, a);
    desk_close(&d);
}

static void test_import_keeps_only_what_the_ca_knows(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct desk d;
    struct account *a = account_of(f);
    desk_open(&d, f);
    for (int i = 0; i < 2; i++) {
        struct pkey *key = pkey_generate(KEY_ECDSA_P256, &e);
        CLEANUP_FREE char *thumbprint = xstrdup(pkey_thumbprint(key));
        assert_int_equal(
            account_keys_import(d.keys, &f->conf, &f->cas[0], a, key, &key_handler, &d, &e), 0);
        assert_int_equal(d.kind, KEEPER_TASK_WHICH_KEY);
        if (i == 0) {
            engine_done(&d, d.id, KEEPER_KEY_UNKNOWN, ERR_DENIED);
            assert_null(a->key);
        } else {
            engine_done(&d, d.id, KEEPER_KEY_NEW, ERR_NONE);
            same_key(a->key, thumbprint);
        }
        assert_null(a->pending);
    }
    desk_close(&d);
}

/* ---- rehearsals ---- */

static void test_rehearsals_have_keys_of_their_own(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct rehearsals *r = rehearsals_new();
    struct sign_env env = fixture_sign(f);
    struct keeper_msg_sign m = {.what = KEEPER_FINALIZE,
                                .flags = KEEPER_F_DRY,
                                .ca = "le-staging",
                                .cert = "www",
                                .url = "https://x.example/f",
                                .nonce = "n"};
    struct account *a = accounts_get(f->accounts, &f->cas[1], &e);
    struct buf out;
    buf_init(&out, KEEPER_MSG_JWS_MAX);
    assert_int_equal(accounts_need_key(f->accounts, a, &f->cas[1], &e), 0);
    assert_int_equal(accounts_set_url(f->accounts, a, &f->cas[1], ACCOUNT_URL, &e), 0);
    assert_int_equal(fixture_prepare(f, false, &e), 0);
    env.rehearsals = r;
    assert_int_equal(sign_request(&env, &m, &out, &e), -1); /* the real key does not serve */
    struct pkey *key = pkey_generate(KEY_ECDSA_P256, &e);
    assert_int_equal(rehearsals_put(r, &f->cert, key, &e), 0);
    assert_int_equal(sign_request(&env, &m, &out, &e), 0);
    const struct pending *real = pending_get(f->pendings, "www", &e);
    assert_string_not_equal(real->csr, rehearsals_get(r, "www")->csr);
    m.ca = "le";
    registered(f);
    assert_int_equal(sign_request(&env, &m, &out, &e), -1);
    assert_int_equal(e.cls, ERR_DENIED);
    rehearsals_clear(r);
    assert_null(rehearsals_get(r, "www"));
    pkey_free(key);
    buf_free(&out);
    rehearsals_free(r);
}

/* ---- issue ---- */

static void test_the_file_of_issue(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    CLEANUP_FREE char *folder = xasprintf("%s/conf.d", f->top);
    char *v[3] = {xasprintf("%s/nosuch/*.yaml", f->top), xasprintf("%s/*.d/*.yaml", f->top),
                  xasprintf("%s/*.yml", folder)};
    struct conf c = f->conf;
    c.includes = (struct conf_strs){NULL, 0};
    assert_null(issue_file_path(&c, "www", &e));
    assert_non_null(strstr(e.detail, "include: conf.d/*.yaml"));
    c.includes = (struct conf_strs){v, 2};
    assert_int_equal(mkdir(folder, 0755), 0);
    assert_null(issue_file_path(&c, "www", &e)); /* no such folder; not sure which folder */
    c.includes.n = 3;
    CLEANUP_FREE char *path = issue_file_path(&c, "www", &e);
    CLEANUP_FREE char *want = xasprintf("%s/www.yml", folder);
    assert_string_equal(path, want);
    FILE *made = fopen(path, "w");
    fclose(made);
    assert_null(issue_file_path(&c, "www", &e));
    assert_non_null(strstr(e.detail, "there already"));
    unlink(path);
    rmdir(folder);
    for (size_t i = 0; i < 3; i++)
        free(v[i]);
}

static void test_the_text_of_issue(void **state)
{
    static const char request[] =
        "{\"names\": [\"a.example\", \"*.b.example\"], \"ca\": \"it's\", \"key\": \"rsa-2048\","
        " \"webroot\": \"/srv/{www}\"}";
    struct err e = ERR_INIT;
    struct json *j = json_parse(request, sizeof(request) - 1, &e);
    CLEANUP_FREE char *name = NULL;
    struct buf out;
    (void)state;
    buf_init(&out, 1 << 16);
    assert_int_equal(issue_file_check(j, &name, &e), 0);
    assert_string_equal(name, "a.example");
    issue_file_text(j, "it's", "x@example.org", true, 1790000000000, &out);
    assert_string_equal(strchr(buf_str(&out), '\n') + 1, "cas:\n"
                                                         "  'it''s':\n"
                                                         "    email: 'x@example.org'\n"
                                                         "    agree_tos: true\n"
                                                         "certificates:\n"
                                                         "  - names: ['a.example', '*.b.example']\n"
                                                         "    ca: 'it''s'\n"
                                                         "    key: 'rsa-2048'\n"
                                                         "    http01: {webroot: '/srv/{www}'}\n");
    json_free(j);
    buf_free(&out);
    static const char *const bad[] = {"{}",
                                      "{\"names\": []}",
                                      "{\"names\": [\"\"]}",
                                      "{\"names\": [\"a\\nb\"]}",
                                      "{\"names\": [1]}",
                                      "{\"names\": [\"a\"], \"name\": \"x/y\"}",
                                      "{\"names\": [\"a\"], \"name\": \".x\"}",
                                      "{\"names\": [\"a\"], \"ca\": \"\\u007f\"}"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char *none = NULL;
        j = json_parse(bad[i], strlen(bad[i]), &e);
        assert_non_null(j);
        assert_int_equal(issue_file_check(j, &none, &e), -1);
        json_free(j);
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_the_engine_may_not_by_itself),
        T(test_a_task_is_for_what_it_is_for),
        T(test_only_the_account_itself),
        T(test_update_says_what_is_configured),
        T(test_key_change),
        T(test_revocation),
        T(test_a_replaced_one_only_when_it_is_replaced),
        T(test_pending_keys_survive),
        T(test_deactivated_is_for_good),
        T(test_all_accounts_are_told),
        T(test_a_task_ends_once),
        T(test_a_task_ends_with_its_time_or_its_engine),
        T(test_one_change_of_an_account_at_a_time),
        T(test_change_of_key),
        T(test_a_refused_key_is_kept),
        T(test_a_refused_key_grows_old),
        T(test_import_keeps_only_what_the_ca_knows),
        T(test_rehearsals_have_keys_of_their_own),
        T(test_the_file_of_issue),
        T(test_the_text_of_issue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
