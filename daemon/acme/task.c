/* SPDX-License-Identifier: ISC */
/*
 *   DIRECTORY -> REQUEST ------------------------------------------> done
 *        |          ^  `- its answer was lost -> CHECK_NEW -> CHECK_OLD -'
 *        |- DRAIN --'     a key's change             ^
 *        `--- which key is in force? ----------------'
 *
 * A key authorization is made with the key in force (RFC 8555 8.1), so a key is changed only while
 * no order of the account is under way: in DRAIN those that run come to their end, and no other one
 * begins until the task is over.
 *
 * newAccount with onlyReturnExisting tells which of two keys the CA knows.
 */
#include "acme/task.h"

#include "acme/ca.h"
#include "acme/registry.h"
#include "acme/request.h"
#include "base/json.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BODY_MAX (64u << 10)
#define CONTACTS_MAX 16
#define ORDERS_URL_MAX 2000
#define AFTER_DRAIN_MS 60000 /* of its life that the rest is given */

struct acme_task {
    const struct acme_env *env;
    struct acme *acme;
    struct ca *ca;
    struct keeper_task spec;
    char *account; /* URL that the keeper knows; "" */
    struct acme_task_handler h;
    void *arg;
    enum { DIRECTORY, DRAIN, REQUEST, CHECK_NEW, CHECK_OLD } state;
    char *url; /* what is asked */
    struct directory_wait directory;
    struct request *request;
    bool sent; /* and maybe done */
    struct ca_hold *holds;
    size_t n_holds;
    unsigned waits_for; /* orders, as last told */
    struct timer limit;
    struct defer late;
    struct err err; /* that it fails with, when it does */
    struct keeper_task_result result;
    char *found, *status, *orders;
    char *contact[CONTACTS_MAX];
};

void acme_task_free(struct acme_task *t)
{
    if (!t)
        return;
    directory_wait_cancel(&t->directory);
    request_cancel(t->request);
    for (size_t i = 0; i < t->n_holds; i++)
        ca_release(&t->holds[i]);
    timer_cancel(&t->limit);
    defer_cancel(&t->late);
    ca_unref(t->ca);
    for (size_t i = 0; i < t->result.n_contact; i++)
        free(t->contact[i]);
    free(t->holds);
    free(t->account);
    free(t->url);
    free(t->found);
    free(t->status);
    free(t->orders);
    free(t);
}

/* The owner frees it there: nothing of it is touched after this. */
static void finish(struct acme_task *t, const struct err *err)
{
    struct err e = ERR_INIT;

    if (err_is(err))
        e = *err;
    t->result.url = t->found ? t->found : "";
    t->result.status = t->status ? t->status : "";
    t->result.orders = t->orders ? t->orders : "";
    t->result.contact = (const char *const *)t->contact;
    t->h.done(t->arg, &t->result, e.cls ? &e : NULL);
}

static void note(struct acme_task *t, const char *fmt, const char *what)
{
    char *text CLEANUP_FREE = xasprintf("%s%s", fmt, what);

    t->h.note(t->arg, text);
}

/* --- requests --- */

static void replied(void *arg, const struct http_reply *reply, const struct err *err);

static const struct {
    enum keeper_sign what;
    const char *doing;
} asks[KEEPER_TASK_KINDS] = {
    [KEEPER_TASK_SHOW] = {KEEPER_READ, "reading the account at"},
    [KEEPER_TASK_UPDATE] = {KEEPER_UPDATE_ACCOUNT, "updating the account at"},
    [KEEPER_TASK_DEACTIVATE] = {KEEPER_DEACTIVATE_ACCOUNT, "deactivating the account at"},
    [KEEPER_TASK_FIND] = {KEEPER_FIND_ACCOUNT, "looking for the account at"},
    [KEEPER_TASK_CHANGE_KEY] = {KEEPER_KEY_CHANGE, "changing the account's key at"},
    [KEEPER_TASK_REVOKE] = {KEEPER_REVOKE, "revoking at"},
};

static void ask(struct acme_task *t)
{
    struct request_spec spec = {.where = ACME_AT_ACCOUNT,
                                .what = asks[t->spec.kind].what,
                                .url = t->url,
                                .task = t->spec.id,
                                .once = t->spec.kind == KEEPER_TASK_CHANGE_KEY,
                                .unanswered = &t->sent,
                                .max_body = BODY_MAX,
                                .doing = asks[t->spec.kind].doing};

    if (t->spec.kind == KEEPER_TASK_FIND)
        spec.target = REQUEST_NEW_ACCOUNT;
    t->state = REQUEST;
    t->request = request_start(t->ca, &spec, replied, t);
}

static void check_key(struct acme_task *t, bool new_one)
{
    struct request_spec spec = {.where = ACME_AT_ACCOUNT,
                                .what = KEEPER_FIND_ACCOUNT,
                                .flags = new_one ? KEEPER_F_PENDING : 0,
                                .target = REQUEST_NEW_ACCOUNT,
                                .task = t->spec.id,
                                .max_body = BODY_MAX,
                                .doing = "asking which key is in force at"};

    t->state = new_one ? CHECK_NEW : CHECK_OLD;
    note(t, "asking the CA whether it knows ", new_one ? "the new key" : "the old key");
    t->request = request_start(t->ca, &spec, replied, t);
}

/* --- answers --- */

static void take_text(char **ret, const char *text, size_t max)
{
    struct buf b CLEANUP_BUF = {0};

    buf_init(&b, max * 4 + 16);
    str_escape(&b, text ? text : "", text ? strlen(text) : 0, max);
    *ret = xstrdup(buf_str(&b));
}

static int take_account(struct acme_task *t, const struct http_reply *reply, struct err *e)
{
    struct json *j CLEANUP_JSON = json_parse(reply->body, reply->body_len, NULL);
    const struct json *contact = json_get(j, "contact");

    if (!json_is_object(j))
        return err_set(e, ERR_PEER, "the CA's account is no JSON object");
    take_text(&t->status, json_text(j, "status"), 60);
    take_text(&t->orders, json_text(j, "orders"), ORDERS_URL_MAX);
    for (size_t i = 0; i < json_len(contact) && t->result.n_contact < CONTACTS_MAX; i++) {
        const char *one = json_as_text(json_at(contact, i));
        if (one)
            take_text(&t->contact[t->result.n_contact++], one, 250);
    }
    return 0;
}

static int take_location(struct acme_task *t, const struct http_reply *reply, struct err *e)
{
    const char *url = http_reply_header(reply, "Location");

    if (!acme_url_ok(url))
        return err_set(e, ERR_PEER, "the CA's answer has no usable Location header");
    free(t->found);
    t->found = xstrdup(url);
    return 0;
}

static void checked(struct acme_task *t, const struct http_reply *reply, const struct err *err)
{
    struct err e = ERR_INIT;
    bool unknown = err_is(err) && str_eq(err->type, "accountDoesNotExist");

    if (err_is(err) && !unknown) {
        finish(t, err);
        return;
    }
    if (!unknown && take_location(t, reply, &e) < 0) {
        finish(t, &e);
        return;
    }
    if (t->state == CHECK_NEW && unknown) {
        check_key(t, false);
        return;
    }
    bool ours = !unknown && (!*t->account || str_eq(t->account, t->found));
    t->result.key = t->state == CHECK_NEW && ours ? KEEPER_KEY_NEW : KEEPER_KEY_OLD;
    if (t->state == CHECK_NEW && !ours)
        err_set(&e, ERR_DENIED, "the new key belongs to another account at the CA: %s", t->found);
    else if (unknown)
        err_set(&e, ERR_DENIED, "the CA knows neither of the keys");
    else if (t->result.key == KEEPER_KEY_OLD && t->spec.kind == KEEPER_TASK_CHANGE_KEY)
        e = t->err;
    finish(t, &e);
}

static void key_not_changed(struct acme_task *t, const struct err *err)
{
    struct err e = *err;
    bool never = e.http == 501 || e.http == 404 || e.http == 405;

    t->err = e;
    if (e.http == 409 || (t->sent && e.http != 501)) { /* it may be in force all the same */
        check_key(t, true);
        return;
    }
    t->result.key = KEEPER_KEY_OLD;
    err_prefix(&e, never ? "this CA does not change the keys of accounts; the present one stays"
                         : "the present key stays");
    finish(t, &e);
}

/* Whatever the CA answers is what was wanted. */
static bool is_done_already(const struct acme_task *t, const struct err *e)
{
    if (t->spec.kind == KEEPER_TASK_REVOKE)
        return str_eq(e->type, "alreadyRevoked");
    return t->spec.kind == KEEPER_TASK_DEACTIVATE && (e->http == 401 || e->http == 403) &&
           strstr(e->detail, "deactivated");
}

static void replied(void *arg, const struct http_reply *reply, const struct err *err)
{
    struct acme_task *t = arg;
    struct err e = ERR_INIT;

    t->request = NULL;
    if (t->state != REQUEST) {
        checked(t, reply, err);
        return;
    }
    if (err_is(err) && t->spec.kind == KEEPER_TASK_CHANGE_KEY) {
        key_not_changed(t, err);
        return;
    }
    if (err_is(err) && !is_done_already(t, err)) {
        finish(t, err);
        return;
    }
    if (err_is(err))
        note(t, "the CA says that this was done before", "");
    else if (t->spec.kind == KEEPER_TASK_SHOW || t->spec.kind == KEEPER_TASK_UPDATE)
        take_account(t, reply, &e);
    else if (t->spec.kind == KEEPER_TASK_FIND)
        take_location(t, reply, &e);
    else if (t->spec.kind == KEEPER_TASK_CHANGE_KEY)
        t->result.key = KEEPER_KEY_NEW;
    finish(t, &e);
}

/* --- draining --- */

static unsigned running(const struct acme_task *t)
{
    unsigned n = 0;

    for (size_t i = 0; i < t->n_holds; i++)
        n += t->holds[i].ca->running;
    return n;
}

static void drained(void *arg)
{
    struct acme_task *t = arg;
    unsigned n = running(t);
    char text[100];

    if (t->state != DRAIN)
        return;
    if (n == 0) {
        timer_cancel(&t->limit);
        note(t, "asking the CA to change the key", "");
        ask(t);
    } else if (n != t->waits_for) {
        snprintf(text, sizeof(text), "%u order%s of this account %s under way", n,
                 n == 1 ? "" : "s", n == 1 ? "is" : "are");
        t->waits_for = n;
        note(t, "waiting: ", text);
    }
}

static void drained_too_late(void *arg)
{
    struct acme_task *t = arg;
    unsigned n = running(t);
    struct err e = ERR_INIT;

    err_set(&e, ERR_TRANSIENT,
            "%u order%s of this account did not end in time; nothing was changed: try again later",
            n, n == 1 ? "" : "s");
    t->result.key = KEEPER_KEY_OLD;
    finish(t, &e);
}

static void count_ca(void *arg, struct ca *ca)
{
    struct acme_task *t = arg;
    if (conf_ca_same_account(ca->cf, t->ca->cf))
        t->n_holds++;
}

static void hold_ca(void *arg, struct ca *ca)
{
    struct acme_task *t = arg;
    if (conf_ca_same_account(ca->cf, t->ca->cf))
        ca_hold(ca, &t->holds[t->n_holds++], drained, t);
}

static void drain(struct acme_task *t)
{
    int64_t limit = t->spec.life_ms > 2 * (int64_t)AFTER_DRAIN_MS ? t->spec.life_ms - AFTER_DRAIN_MS
                                                                  : t->spec.life_ms / 2;
    t->state = DRAIN;
    acme_each_ca(t->acme, count_ca, t);
    t->holds = xcalloc(t->n_holds + 1, sizeof(*t->holds));
    t->n_holds = 0;
    acme_each_ca(t->acme, hold_ca, t);
    timer_after(t->env->loop, &t->limit, limit, drained_too_late, t);
}

/* --- beginning --- */

static void have_directory(void *arg, const struct directory_doc *doc, const struct err *err)
{
    struct acme_task *t = arg;
    enum keeper_task_kind kind = t->spec.kind;
    struct err e = ERR_INIT;

    if (err_is(err)) {
        e = *err;
        err_activity(&e, "%s %s", asks[kind].doing ? asks[kind].doing : "asking", t->ca->cf->name);
        if (kind == KEEPER_TASK_CHANGE_KEY)
            t->result.key = KEEPER_KEY_OLD;
        finish(t, &e);
        return;
    }
    bool own = kind == KEEPER_TASK_CHANGE_KEY || kind == KEEPER_TASK_REVOKE;
    t->url = xstrdup(kind == KEEPER_TASK_CHANGE_KEY ? doc->key_change
                     : kind == KEEPER_TASK_REVOKE   ? doc->revoke_cert
                                                    : t->account);
    if (own && !*t->url) {
        t->result.key = KEEPER_KEY_OLD;
        err_set(&e, ERR_DENIED, "the directory of CA %s offers no %s: %s", t->ca->cf->name,
                kind == KEEPER_TASK_REVOKE ? "revocation" : "change of keys",
                kind == KEEPER_TASK_REVOKE ? "ask the CA" : "the present key stays");
        finish(t, &e);
    } else if (kind == KEEPER_TASK_CHANGE_KEY) {
        drain(t);
    } else if (kind == KEEPER_TASK_WHICH_KEY) {
        check_key(t, true);
    } else {
        ask(t);
    }
}

static void begin(void *arg)
{
    struct acme_task *t = arg;

    if (t->ca)
        directory_get(t->ca->server, &t->directory, have_directory, t);
    else
        finish(t, &t->err);
}

struct acme_task *acme_task_start(struct acme *a, const struct keeper_task *spec,
                                  const struct acme_task_handler *h, void *arg)
{
    struct acme_task *t = xnew(struct acme_task);
    struct ca *ca = acme_find_ca(a, spec->ca);

    t->acme = a;
    t->env = acme_get_env(a);
    t->spec = *spec;
    t->account = xstrdup(spec->url);
    t->spec.ca = t->spec.cert = t->spec.url = t->spec.thumbprint = NULL;
    t->h = *h;
    t->arg = arg;
    t->ca = ca ? ca_ref(ca) : NULL;
    if (!ca)
        err_set(&t->err, ERR_CONFIG, "the configuration has no CA \"%s\"", spec->ca);
    loop_defer(t->env->loop, &t->late, begin, t);
    return t;
}
