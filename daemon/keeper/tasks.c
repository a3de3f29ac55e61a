/* SPDX-License-Identifier: ISC */
#include "keeper/tasks.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

#define OPEN_MAX 64
#define DER_MAX (64u << 10)
#define TEXT_MAX 800

struct tasks {
    struct tasks_env env;
    struct list open;
    unsigned n;
};

struct ca_task {
    struct list node;
    struct tasks *tasks;
    uint64_t id;
    struct sign_task sign;
    char *cert;
    struct timer life;
    struct task_handler h;
    void *arg;
};

struct tasks *tasks_new(const struct tasks_env *env)
{
    struct tasks *t = xnew(struct tasks);
    t->env = *env;
    list_init(&t->open);
    return t;
}

static void task_free(struct ca_task *k)
{
    list_remove(&k->node);
    k->tasks->n--;
    timer_cancel(&k->life);
    buf_free(&k->sign.der);
    pkey_free(k->sign.cert_key);
    free(k->cert);
    free(k);
}

void tasks_free(struct tasks *t)
{
    if (!t)
        return;
    while (!list_empty(&t->open))
        task_free(list_item(t->open.next, struct ca_task, node));
    free(t);
}

/* ---- who has what ---- */

static bool changes_account(enum keeper_task_kind k)
{
    return k == KEEPER_TASK_CHANGE_KEY || k == KEEPER_TASK_WHICH_KEY ||
           k == KEEPER_TASK_DEACTIVATE || k == KEEPER_TASK_FIND;
}

static struct ca_task *find(const struct tasks *t, uint64_t id)
{
    list_each(it, (struct list *)(uintptr_t)&t->open)
    {
        struct ca_task *k = list_item(it, struct ca_task, node);
        if (k->id == id)
            return k;
    }
    return NULL;
}

const struct sign_task *tasks_find(const struct tasks *t, uint64_t id)
{
    const struct ca_task *k = find(t, id);
    return k ? &k->sign : NULL;
}

bool tasks_hold(const struct tasks *t, const struct account *account)
{
    list_each(it, (struct list *)(uintptr_t)&t->open)
    {
        struct ca_task *k = list_item(it, struct ca_task, node);
        if (k->sign.account == account && changes_account(k->sign.kind))
            return true;
    }
    return false;
}

bool tasks_replace(const struct tasks *t, const char *cert)
{
    list_each(it, (struct list *)(uintptr_t)&t->open)
    {
        struct ca_task *k = list_item(it, struct ca_task, node);
        if (k->sign.kind == KEEPER_TASK_REPLACE && str_eq(k->cert, cert))
            return true;
    }
    return false;
}

/* ---- opening ---- */

static void end(struct ca_task *k, const struct keeper_msg_task_done *m, const struct err *err)
{
    struct task_handler h = k->h;
    void *arg = k->arg;
    task_free(k);
    h.done(arg, m, err);
}

static void end_in(struct ca_task *k, const char *why)
{
    static const struct keeper_msg_task_done nothing = {.url = "", .status = "", .orders = ""};
    struct err e = ERR_INIT;
    err_set(&e, ERR_TRANSIENT, "%s", why);
    end(k, &nothing, &e);
}

static void on_life_over(void *arg)
{
    struct ca_task *k = arg;
    struct tasks *t = k->tasks;
    t->env.send(t->env.arg, KEEPER_MSG_TASK_END, &(struct keeper_msg_task_end){.task = k->id});
    end_in(k, "it took too long and was given up; what the CA has done of it is not known");
}

static uint64_t new_id(const struct tasks *t)
{
    uint64_t id;
    do
        id = rng_u64(&rng_system);
    while (id == 0 || find(t, id));
    return id;
}

static int check_open(const struct tasks *t, const struct task_spec *spec, struct err *e)
{
    if (t->n >= OPEN_MAX)
        return err_set(e, ERR_TRANSIENT, "%u such requests are under way already", t->n);
    if (spec->account && changes_account(spec->kind) && tasks_hold(t, spec->account))
        return err_set(e, ERR_TRANSIENT,
                       "another change of this account is under way: try again later");
    if (spec->kind == KEEPER_TASK_REPLACE && tasks_replace(t, spec->cert))
        return err_set(e, ERR_TRANSIENT, "%s is being replaced already", spec->cert);
    return 0;
}

static const char *new_thumbprint(const struct task_spec *spec)
{
    bool changes = spec->kind == KEEPER_TASK_CHANGE_KEY && spec->account;
    return changes && spec->account->pending ? pkey_thumbprint(spec->account->pending) : "";
}

struct ca_task *tasks_open(struct tasks *t, const struct task_spec *spec,
                           const struct task_handler *h, void *arg, struct err *e)
{
    if (check_open(t, spec, e))
        return NULL;
    struct ca_task *k = xnew(struct ca_task);
    int64_t life = spec->life_ms ? spec->life_ms : TASK_LIFE_MS;
    k->tasks = t;
    k->id = new_id(t);
    k->cert = xstrdup(spec->cert ? spec->cert : "");
    k->sign = (struct sign_task){
        .kind = spec->kind, .account = spec->account, .cert = k->cert, .reason = -1};
    buf_init(&k->sign.der, DER_MAX);
    k->h = *h;
    k->arg = arg;
    list_append(&t->open, &k->node);
    t->n++;
    timer_after(t->env.loop, &k->life, life, on_life_over, k);
    struct keeper_msg_task m = {.task = k->id,
                                .kind = spec->kind,
                                .ca = spec->ca ? spec->ca : "",
                                .cert = k->cert,
                                .url = spec->url ? spec->url : "",
                                .life_ms = life,
                                .thumbprint = new_thumbprint(spec),
                                .force = spec->force};
    if (t->env.send(t->env.arg, KEEPER_MSG_TASK, &m))
        return k;
    task_free(k);
    err_set(e, ERR_TRANSIENT, "the engine is not running at the moment: try again in a minute");
    return NULL;
}

struct sign_task *task_sign(struct ca_task *k)
{
    return &k->sign;
}

void task_close(struct ca_task *k)
{
    if (!k)
        return;
    struct tasks *t = k->tasks;
    t->env.send(t->env.arg, KEEPER_MSG_TASK_END, &(struct keeper_msg_task_end){.task = k->id});
    task_free(k);
}

/* ---- what the engine says ---- */

static void take_note(struct ca_task *k, const char *text)
{
    CLEANUP_BUF struct buf b;
    buf_init(&b, 4 * TEXT_MAX);
    for (size_t n; b.len < TEXT_MAX; text += n + 1) { /* quotes are harmless to a note's readers */
        n = strcspn(text, "\"");
        str_escape(&b, text, n, TEXT_MAX - b.len);
        if (!text[n])
            break;
        buf_putc(&b, '"');
    }
    k->h.note(k->arg, buf_str(&b));
}

int tasks_message(struct tasks *t, enum keeper_msg_type type, const union keeper_msg *m)
{
    struct ca_task *k;
    if (type != KEEPER_MSG_TASK_NOTE && type != KEEPER_MSG_TASK_DONE)
        return -1;
    k = find(t, type == KEEPER_MSG_TASK_NOTE ? m->task_note.task : m->task_done.task);
    if (!k)
        return 0;
    if (type == KEEPER_MSG_TASK_NOTE)
        take_note(k, m->task_note.text);
    else
        end(k, &m->task_done, err_is(&m->task_done.err) ? &m->task_done.err : NULL);
    return 0;
}

void tasks_lost(struct tasks *t)
{
    struct list all;
    list_init(&all);
    while (!list_empty(&t->open)) { /* what is opened meanwhile is not of the engine that is gone */
        struct list *node = t->open.next;
        list_remove(node);
        list_append(&all, node);
    }
    while (!list_empty(&all))
        end_in(list_item(all.next, struct ca_task, node),
               "the engine has ended meanwhile; what the CA has done of it is not known");
}
