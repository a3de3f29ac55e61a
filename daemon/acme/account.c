/* SPDX-License-Identifier: ISC */
#include "acme/account.h"

#include "acme/ca.h"
#include "acme/eab.h"
#include "acme/problem.h"
#include "acme/request.h"
#include "base/str.h"

#include <stdlib.h>

#define BODY_MAX (64u << 10)

void account_init(struct account *a, struct ca *ca)
{
    a->ca = ca;
    a->url = xstrdup("");
    a->thumbprint = xstrdup("");
    list_init(&a->waiters);
}

void account_done(struct account *a)
{
    keeper_cancel(a->ca->env->keeper, a->call);
    request_cancel(a->request);
    eab_fetch_cancel(a->fetch);
    directory_wait_cancel(&a->directory);
    free(a->url);
    free(a->thumbprint);
}

bool account_ready(const struct account *a)
{
    return a->state == ACCOUNT_READY;
}

static void finish(struct account *a, const struct err *err)
{
    struct ca *ca = ca_ref(a->ca);
    struct list all;

    a->state = err_is(err) ? ACCOUNT_UNKNOWN : ACCOUNT_READY;
    a->lost = false;
    list_init(&all);
    while (!list_empty(&a->waiters)) {
        struct list *node = a->waiters.next;
        list_remove(node);
        list_append(&all, node);
    }
    while (!list_empty(&all)) {
        struct account_wait *w = list_item(all.next, struct account_wait, node);
        account_wait_cancel(w);
        w->fn(w->arg, err);
    }
    ca_unref(ca);
}

static void fail(struct account *a, const struct err *err)
{
    struct err e = *err;

    err_activity(&e, "getting the account at %s", a->ca->cf->name);
    finish(a, &e);
}

static void keep(struct account *a, const struct keeper_account *k)
{
    if (!str_eq(a->url, k->url))
        a->changes++;
    free(a->url);
    free(a->thumbprint);
    a->url = xstrdup(k->url);
    a->thumbprint = xstrdup(k->thumbprint);
}

static void saved(void *arg, const struct keeper_account *k, const struct err *err)
{
    struct account *a = arg;
    struct err e = ERR_INIT;

    a->call = NULL;
    if (err_is(err)) {
        fail(a, err);
        return;
    }
    if (!*k->url || !*k->thumbprint) {
        err_set(&e, ERR_BUG, "the keeper has no account after one was saved");
        fail(a, &e);
        return;
    }
    keep(a, k);
    finish(a, NULL);
}

static void register_account(struct account *a);

static void save(struct account *a, const struct http_reply *reply)
{
    const struct acme_env *env = a->ca->env;
    const char *url = http_reply_header(reply, "Location");
    struct err e = ERR_INIT;

    if (!acme_url_ok(url)) {
        err_set(&e, ERR_PEER,
                "the CA's answer has no usable Location header with the account's URL");
        fail(a, &e);
        return;
    }
    a->state = ACCOUNT_SAVE;
    a->call = env->keeper->ops->set_account(env->keeper, a->ca->cf->name, url, saved, a);
}

static void have_binding(void *arg, const struct err *err)
{
    struct account *a = arg;

    a->fetch = NULL;
    if (err_is(err))
        fail(a, err);
    else
        register_account(a);
}

static void registered(void *arg, const struct http_reply *reply, const struct err *err)
{
    struct account *a = arg;

    a->request = NULL;
    if (!err_is(err)) {
        save(a, reply);
    } else if (str_eq(err->type, KEEPER_NO_BINDING) && a->ca->cf->eab_by_email) {
        a->state = ACCOUNT_EAB;
        a->fetch = eab_fetch_start(a->ca, have_binding, a);
    } else {
        fail(a, err);
    }
}

/* Without a binding an answer that was lost is repeated: newAccount finds the account then. With
 * one, FIND comes first. */
static void register_account(struct account *a)
{
    struct request_spec spec = {.where = ACME_AT_ACCOUNT,
                                .what = KEEPER_NEW_ACCOUNT,
                                .flags = (a->terms ? KEEPER_F_TERMS : 0u) |
                                         (a->bind ? KEEPER_F_EAB : 0u),
                                .target = REQUEST_NEW_ACCOUNT,
                                .once = a->bind,
                                .max_body = BODY_MAX,
                                .doing = "registering the account at",
                                .about = a->ca->cf->name};

    a->state = ACCOUNT_REGISTER;
    a->request = request_start(a->ca, &spec, registered, a);
}

static void found(void *arg, const struct http_reply *reply, const struct err *err)
{
    struct account *a = arg;

    a->request = NULL;
    if (!err_is(err))
        save(a, reply);
    else if (err->http >= 400 && err->http < 500 && err->http != 429)
        register_account(a);
    else
        fail(a, err);
}

static void find_account(struct account *a)
{
    struct request_spec spec = {.where = ACME_AT_ACCOUNT,
                                .what = KEEPER_FIND_ACCOUNT,
                                .target = REQUEST_NEW_ACCOUNT,
                                .max_body = BODY_MAX,
                                .doing = "looking for the account at",
                                .about = a->ca->cf->name};

    a->state = ACCOUNT_FIND;
    a->request = request_start(a->ca, &spec, found, a);
}

static int may_register(const struct account *a, const struct directory_doc *doc, struct err *e)
{
    if (doc->eab_required && !a->bind)
        return err_set(
            e, ERR_CONFIG,
            "this CA gives accounts only to holders of an external account (eab), which is "
            "not configured");
    if (*doc->terms && !a->ca->cf->agree_tos)
        return err_set(
            e, ERR_CONFIG,
            "the CA's terms of service must be agreed to: read %s and set agree_tos: true",
            doc->terms);
    return 0;
}

static void have_directory(void *arg, const struct directory_doc *doc, const struct err *err)
{
    struct account *a = arg;
    struct err e = ERR_INIT;

    if (err_is(err)) {
        fail(a, err);
        return;
    }
    a->bind = *a->ca->cf->eab_kid || a->ca->cf->eab_by_email;
    a->terms = *doc->terms;
    if (may_register(a, doc, &e) < 0)
        fail(a, &e);
    else if (a->bind && *a->thumbprint)
        find_account(a);
    else
        register_account(a);
}

static void begin_directory(struct account *a)
{
    a->state = ACCOUNT_DIRECTORY;
    directory_get(a->ca->server, &a->directory, have_directory, a);
}

static void forgotten(void *arg, const struct keeper_account *k, const struct err *err)
{
    struct account *a = arg;

    (void)k;
    a->call = NULL;
    if (err_is(err))
        fail(a, err);
    else
        begin_directory(a);
}

static void forget(struct account *a)
{
    const struct acme_env *env = a->ca->env;

    a->state = ACCOUNT_FORGET;
    a->call = env->keeper->ops->set_account(env->keeper, a->ca->cf->name, "", forgotten, a);
}

static void looked_up(void *arg, const struct keeper_account *k, const struct err *err)
{
    struct account *a = arg;

    a->call = NULL;
    if (err_is(err)) {
        fail(a, err);
        return;
    }
    keep(a, k);
    if (!*k->url || !*k->thumbprint)
        begin_directory(a);
    else if (a->lost && a->lost_at == a->changes)
        forget(a);
    else
        finish(a, NULL);
}

static void wait(struct account *a, struct account_wait *w, account_fn *fn, void *arg)
{
    account_wait_cancel(w);
    w->fn = fn;
    w->arg = arg;
    w->waiting = true;
    list_append(&a->waiters, &w->node);
}

static void look_up(struct account *a)
{
    const struct acme_env *env = a->ca->env;

    a->state = ACCOUNT_LOOKUP;
    a->call = env->keeper->ops->account(env->keeper, a->ca->cf->name, looked_up, a);
}

void account_get(struct account *a, struct account_wait *w, account_fn *fn, void *arg)
{
    wait(a, w, fn, arg);
    if (a->state == ACCOUNT_UNKNOWN || a->state == ACCOUNT_READY)
        look_up(a);
}

void account_lost(struct account *a, unsigned seen, struct account_wait *w, account_fn *fn,
                  void *arg)
{
    wait(a, w, fn, arg);
    a->lost = true;
    a->lost_at = seen;
    if (a->state == ACCOUNT_UNKNOWN || a->state == ACCOUNT_READY)
        look_up(a);
}

void account_wait_cancel(struct account_wait *w)
{
    if (!w->waiting)
        return;
    w->waiting = false;
    list_remove(&w->node);
}
