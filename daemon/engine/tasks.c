/* SPDX-License-Identifier: ISC */
/*
 *   SHOW ... REVOKE: acme/task.h
 *   CHANGE_KEY, DEACTIVATE: renew/persist_change.h before; DEPENDENTS: that alone
 *   REPLACE: a renewal of the certificate to its end, deployment and all; then REVOKE
 *   FORGET, SNAPSHOT: the store
 */
#include "engine/tasks.h"
#include "acme/task.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "renew/persist_change.h"

#include <stdlib.h>
#include <string.h>

struct tasks {
    struct tasks_env env;
    struct list running;
};

struct task {
    struct list node;
    struct tasks *tasks;
    struct keeper_task spec; /* texts are its own */
    char *ca, *cert, *url, *thumbprint;
    int64_t began_ms; /* mono */
    struct persist_change *change;
    struct acme_task *acme;
    struct renew_watch *watch;
    struct store_call *call;
    size_t stage;      /* of forgetting */
    struct defer over; /* the renewal has ended, as err says */
    struct err err;
};

struct tasks *tasks_new(const struct tasks_env *env)
{
    struct tasks *t = xnew(struct tasks);
    t->env = *env;
    list_init(&t->running);
    return t;
}

static void task_free(struct task *k)
{
    list_remove(&k->node);
    defer_cancel(&k->over);
    acme_task_free(k->acme);
    persist_change_end(k->change, false);
    renew_watch_stop(k->watch);
    store_cancel(k->tasks->env.store, k->call);
    free(k->ca);
    free(k->cert);
    free(k->url);
    free(k->thumbprint);
    free(k);
}

void tasks_free(struct tasks *t)
{
    if (!t)
        return;
    list_each(it, &t->running) task_free(list_item(it, struct task, node));
    free(t);
}

static void say(struct task *k, const char *text)
{
    keeper_client_task_note(k->tasks->env.client, k->spec.id, text);
}

static void finish(struct task *k, const struct keeper_task_result *r, const struct err *err)
{
    keeper_client_task_done(k->tasks->env.client, k->spec.id, r, err);
    task_free(k);
}

/* ---- at a CA ---- */

static void on_note(void *arg, const char *text)
{
    say(arg, text);
}

static void on_done(void *arg, const struct keeper_task_result *r, const struct err *err)
{
    struct task *k = arg;
    if (k->spec.kind == KEEPER_TASK_REVOKE && !err_is(err) && *k->cert)
        renew_revoked(k->tasks->env.renew, k->cert);
    persist_change_end(k->change, r->key == KEEPER_KEY_NEW);
    k->change = NULL;
    finish(k, r, err);
}

static void at_ca(struct task *k, enum keeper_task_kind kind)
{
    static const struct acme_task_handler handler = {.note = on_note, .done = on_done};
    struct keeper_task spec = k->spec;
    spec.kind = kind;
    spec.life_ms -= loop_mono_ms(k->tasks->env.loop) - k->began_ms;
    k->acme = acme_task_start(k->tasks->env.acme, &spec, &handler, k);
}

/* ---- what depends on an account ---- */

static void on_ready(void *arg, const struct err *err)
{
    static const struct keeper_task_result unchanged = {
        .key = KEEPER_KEY_OLD, .url = "", .status = "", .orders = ""};
    struct task *k = arg;
    if (err_is(err) || k->spec.kind == KEEPER_TASK_DEPENDENTS)
        finish(k, &unchanged, err);
    else
        at_ca(k, k->spec.kind);
}

static void ask_dependents(struct task *k)
{
    static const struct persist_change_handler handler = {on_note, on_ready};
    const struct persist_change_spec spec = {
        .ca = k->ca, .account_url = k->url, .thumbprint = k->thumbprint, .force = k->spec.force};
    k->change = persist_change_start(k->tasks->env.renew, &spec, &handler, k);
}

/* ---- replacing ---- */

static void renewed(void *arg)
{
    struct task *k = arg;
    renew_watch_stop(k->watch);
    k->watch = NULL;
    if (err_is(&k->err)) {
        err_prefix(&k->err, "the old certificate is not revoked, as its replacement failed");
        finish(k, NULL, &k->err);
        return;
    }
    say(k, "the new certificate is in its place: revoking the old one");
    at_ca(k, KEEPER_TASK_REVOKE);
}

static void on_event(void *arg, const struct renew_event *ev)
{
    struct task *k = arg;
    if (!str_eq(ev->name, k->cert))
        return;
    say(k, ev->text);
    if (!ev->finished)
        return;
    if (err_is(ev->err))
        k->err = *ev->err;
    loop_defer(k->tasks->env.loop, &k->over, renewed, k);
}

static void replace(struct task *k)
{
    struct renew *r = k->tasks->env.renew;
    k->watch = renew_watch_start(r, on_event, k);
    if (renew_start(r, k->cert, RENEW_FORCE, &k->err) < 0)
        loop_defer(k->tasks->env.loop, &k->over, renewed, k);
}

/* ---- in the store ---- */

static void written(void *arg, const struct err *err)
{
    struct task *k = arg;
    k->call = NULL;
    finish(k, NULL, err);
}

static const char *const kept[] = {"cert/", "history/"};

static void forget(struct task *k);

static void forgotten(void *arg, const struct err *err)
{
    struct task *k = arg;
    k->call = NULL;
    k->stage++;
    if (err_is(err) || k->stage == ARRAY_LEN(kept))
        finish(k, NULL, err);
    else
        forget(k);
}

/* "NAME" and its other keys, "NAME+KEY", but not "NAME.EXAMPLE" */
static void listed(void *arg, const struct store_item *items, size_t n, const struct err *err)
{
    struct task *k = arg;
    size_t n_ops = 0, at = strlen(kept[k->stage]) + strlen(k->cert);
    k->call = NULL;
    if (err_is(err)) {
        finish(k, NULL, err);
        return;
    }
    CLEANUP_FREE struct store_op *ops = xcalloc(n + 1, sizeof(*ops));
    for (size_t i = 0; i < n; i++)
        if (strlen(items[i].key) > at && strchr("/+", items[i].key[at]))
            ops[n_ops++] = (struct store_op){.key = items[i].key, .expected = STORE_ANY};
    k->call = store_batch(k->tasks->env.store, ops, n_ops, forgotten, k);
}

static void forget(struct task *k)
{
    CLEANUP_FREE char *prefix = xasprintf("%s%s", kept[k->stage], k->cert);
    bool was;
    renew_pause(k->tasks->env.renew, k->cert, false, &was, NULL, NULL, NULL);
    k->call = store_list(k->tasks->env.store, prefix, listed, k);
}

static void snapshot(struct task *k)
{
    CLEANUP_FREE char *path = xasprintf("%s/%s", k->tasks->env.dir, k->url);
    k->call = store_copy(k->tasks->env.store, path, written, k);
}

/* ---- the interface ---- */

static void start(struct task *k)
{
    switch (k->spec.kind) {
    case KEEPER_TASK_CHANGE_KEY:
    case KEEPER_TASK_DEACTIVATE:
    case KEEPER_TASK_DEPENDENTS:
        ask_dependents(k);
        break;
    case KEEPER_TASK_REPLACE:
        replace(k);
        break;
    case KEEPER_TASK_FORGET:
        forget(k);
        break;
    case KEEPER_TASK_SNAPSHOT:
        snapshot(k);
        break;
    default:
        at_ca(k, k->spec.kind);
        break;
    }
}

void tasks_begin(struct tasks *t, const struct keeper_task *spec)
{
    struct task *k = xnew(struct task);
    k->tasks = t;
    k->spec = *spec;
    k->spec.ca = k->ca = xstrdup(spec->ca);
    k->spec.cert = k->cert = xstrdup(spec->cert);
    k->spec.url = k->url = xstrdup(spec->url);
    k->spec.thumbprint = k->thumbprint = xstrdup(spec->thumbprint);
    k->began_ms = loop_mono_ms(t->env.loop);
    list_append(&t->running, &k->node);
    start(k);
}

void tasks_end(struct tasks *t, uint64_t id)
{
    list_each(it, &t->running)
    {
        struct task *k = list_item(it, struct task, node);
        if (k->spec.id == id) {
            task_free(k);
            return;
        }
    }
}
