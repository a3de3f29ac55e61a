/* SPDX-License-Identifier: ISC */
#include "keeper/account_keys.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "keeper/keygen.h"

#include <stdlib.h>

struct account_keys {
    struct account_keys_env env;
    struct list works;
};

enum what { MAKE, CHANGE, RESOLVE, IMPORT };

struct work {
    struct list node; /* in works */
    struct account_keys *keys;
    enum what what;
    bool force;
    struct conf *conf;
    const struct conf_ca *ca;
    struct account *account;
    struct keygen *keygen;
    struct ca_task *task;
    struct account_keys_handler h; /* all NULL: whoever waits for env.ready() */
    void *arg;
};

struct account_keys *account_keys_new(const struct account_keys_env *env)
{
    struct account_keys *k = xnew(struct account_keys);
    k->env = *env;
    list_init(&k->works);
    return k;
}

static void work_free(struct work *w)
{
    list_remove(&w->node);
    keygen_cancel(w->keygen);
    conf_unref(w->conf);
    free(w);
}

void account_keys_free(struct account_keys *k)
{
    if (!k)
        return;
    list_each(it, &k->works) work_free(list_item(it, struct work, node));
    free(k);
}

static struct work *work_new(struct account_keys *k, enum what what, struct conf *conf,
                             const struct conf_ca *ca, struct account *acc)
{
    struct work *w = xnew(struct work);
    w->keys = k;
    w->what = what;
    w->conf = conf_ref(conf);
    w->ca = ca;
    w->account = acc;
    list_append(&k->works, &w->node);
    return w;
}

static struct work *work_of(struct account_keys *k, const struct account *acc)
{
    list_each(it, &k->works)
    {
        struct work *w = list_item(it, struct work, node);
        if (w->account == acc)
            return w;
    }
    return NULL;
}

static void note(struct work *w, const char *text)
{
    if (w->h.note)
        w->h.note(w->arg, text);
}

static void finish(struct work *w, bool in_force, const char *url, const struct err *err)
{
    struct account_keys *k = w->keys;
    struct account_keys_handler h = w->h;
    const struct account *acc = w->account;
    bool waited = w->what != CHANGE, unsure = w->what == RESOLVE || w->what == MAKE;
    void *arg = w->arg;
    w->task = NULL;
    work_free(w);
    if (waited) /* after an import that failed things are as they were */
        k->env.ready(k->env.arg, acc, unsure ? err : NULL);
    if (h.done)
        h.done(arg, in_force, url, err);
}

/* ---- what the CA says ---- */

/* What the operator was told to publish is for this key. */
static int drop(struct work *w, bool refused, struct err *e)
{
    struct accounts *a = w->keys->env.accounts;
    return refused ? accounts_shelve_pending(a, w->account, e)
                   : accounts_drop_pending(a, w->account, e);
}

static void settle(struct work *w, const struct keeper_msg_task_done *m, struct err *e)
{
    struct account_keys *k = w->keys;
    struct log_ctx log = {k->env.log, w->ca->name};
    bool adopt = m->key == KEEPER_KEY_NEW, gone = m->key == KEEPER_KEY_OLD || w->what == IMPORT;
    struct err own = ERR_INIT;
    if (adopt) {
        if (accounts_adopt_pending(k->env.accounts, w->account, &own) == 0)
            log_info(&log, "the account has a new key now: %s",
                     key_type_name(pkey_type(w->account->key)));
    } else if (gone) {
        drop(w, w->what == CHANGE && str_eq(e->type, KEEPER_NEEDS_FORCE), &own);
    }
    if (err_is(&own)) {
        log_error(&log, "account key: %s", own.detail);
        *e = own;
    }
}

static void on_note(void *arg, const char *text)
{
    note(arg, text);
}

/* Not known: the next use of the account asks again. */
static void on_done(void *arg, const struct keeper_msg_task_done *m, const struct err *err)
{
    struct work *w = arg;
    struct err e = ERR_INIT;
    bool known = m->key != KEEPER_KEY_UNKNOWN;
    w->task = NULL;
    if (err)
        e = *err;
    settle(w, m, &e);
    /* The question is answered, whatever the answer is. */
    if (w->what == RESOLVE && known && w->account->key && !w->h.done)
        err_clear(&e);
    if (!known && w->what != IMPORT && err_is(&e))
        err_prefix(&e, "which of two keys of the account is in force is not known yet");
    finish(w, m->key == KEEPER_KEY_NEW, m->url, err_is(&e) ? &e : NULL);
}

static int open_task(struct work *w, struct err *e)
{
    static const struct task_handler handler = {.note = on_note, .done = on_done};
    struct task_spec spec = {.kind =
                                 w->what == CHANGE ? KEEPER_TASK_CHANGE_KEY : KEEPER_TASK_WHICH_KEY,
                             .ca = w->ca->name,
                             .url = w->what == IMPORT ? "" : w->account->url,
                             .life_ms = w->what == CHANGE ? TASK_ROLLOVER_LIFE_MS : 0,
                             .force = w->force,
                             .account = w->account};
    w->task = tasks_open(w->keys->env.tasks, &spec, &handler, w, e);
    return w->task ? 0 : -1;
}

/* ---- making ---- */

static int with_pending(struct work *w, const char *text, struct err *e)
{
    note(w, text);
    if (open_task(w, e) == 0)
        return 0;
    accounts_drop_pending(w->keys->env.accounts, w->account, NULL); /* nobody has heard of it */
    return -1;
}

static int with_key(struct work *w, struct pkey *key, struct err *e)
{
    struct accounts *a = w->keys->env.accounts;
    if (accounts_put_pending(a, w->account, key, e))
        return -1;
    if (w->what == MAKE)
        return accounts_adopt_pending(a, w->account, e);
    return with_pending(w, "the new key is on the disk", e);
}

static void key_made(void *arg, struct pkey *key, const struct err *err)
{
    struct work *w = arg;
    struct err e = *err;
    w->keygen = NULL;
    bool good = key && with_key(w, key, &e) == 0;
    if (!good || w->what == MAKE)
        finish(w, false, "", good ? NULL : &e);
}

static int make_key(struct work *w, enum key_type type, struct err *e)
{
    bool slow = type >= KEY_RSA_2048 && type <= KEY_RSA_4096;
    if (slow) {
        w->keygen = keygen_start(w->keys->env.loop, w->keys->env.program, type, key_made, w, e);
        return w->keygen ? 0 : -1;
    }
    struct pkey *key = pkey_generate(type, e);
    return key ? with_key(w, key, e) : -1;
}

/* ---- the interface ---- */

int account_keys_ready(struct account_keys *k, struct conf *conf, const struct conf_ca *ca,
                       struct account *acc, struct err *e)
{
    bool slow = (enum key_type)ca->account_key >= KEY_RSA_2048 &&
                (enum key_type)ca->account_key <= KEY_RSA_4096;
    bool cut_short = acc->pending && !tasks_hold(k->env.tasks, acc);
    struct work *w = work_of(k, acc);
    if (w && w->what != CHANGE)
        return 1;
    if (!cut_short && (acc->key || !slow))
        return 0;
    if (w)
        return 0;
    w = work_new(k, cut_short ? RESOLVE : MAKE, conf, ca, acc);
    if (cut_short ? open_task(w, e) : make_key(w, (enum key_type)ca->account_key, e)) {
        work_free(w);
        return -1;
    }
    return 1;
}

static struct work *begin(struct account_keys *k, enum what what, struct conf *conf,
                          const struct conf_ca *ca, struct account *acc,
                          const struct account_keys_handler *h, void *arg, struct err *e)
{
    if (work_of(k, acc)) {
        err_set(e, ERR_TRANSIENT, "another change of this account is under way: try again later");
        return NULL;
    }
    struct work *w = work_new(k, what, conf, ca, acc);
    w->h = *h;
    w->arg = arg;
    return w;
}

static int end_begin(struct work *w, int rc)
{
    if (rc)
        work_free(w);
    return rc;
}

int account_keys_change(struct account_keys *k, struct conf *conf, const struct conf_ca *ca,
                        struct account *acc, enum key_type type, bool force,
                        const struct account_keys_handler *h, void *arg, struct err *e)
{
    struct work *w = begin(k, CHANGE, conf, ca, acc, h, arg, e);
    bool taken = false;
    if (!w)
        return -1;
    w->force = force;
    if (accounts_unshelve(k->env.accounts, acc, type, loop_wall_ms(k->env.loop), &taken, e))
        return end_begin(w, -1);
    return end_begin(w, taken ? with_pending(w, "the new key is that of the last time", e)
                              : make_key(w, type, e));
}

int account_keys_resolve(struct account_keys *k, struct conf *conf, const struct conf_ca *ca,
                         struct account *acc, const struct account_keys_handler *h, void *arg,
                         struct err *e)
{
    struct work *w = begin(k, RESOLVE, conf, ca, acc, h, arg, e);
    return w ? end_begin(w, open_task(w, e)) : -1;
}

int account_keys_import(struct account_keys *k, struct conf *conf, const struct conf_ca *ca,
                        struct account *acc, struct pkey *key, const struct account_keys_handler *h,
                        void *arg, struct err *e)
{
    struct work *w = begin(k, IMPORT, conf, ca, acc, h, arg, e);
    if (w)
        return end_begin(w, with_key(w, key, e));
    pkey_free(key);
    return -1;
}
