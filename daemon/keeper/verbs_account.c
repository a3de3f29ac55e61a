/* SPDX-License-Identifier: ISC */
/* admin.sock: account list, show, rollover, update, deactivate, recover, import. */
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "keeper/account_keys.h"
#include "keeper/verbs.h"
#include "keys/import.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define KEY_FILE_MAX (64u << 10)

/* A request about one account. */
struct job {
    const struct verbs_env *env;
    struct admin_call *call;
    struct conf *conf;
    const struct conf_ca *ca;
    struct account *account;
    const struct action *action;
    enum keeper_task_kind task;
    bool check; /* only what it would do */
};

struct action {
    const char *name;
    void (*run)(struct job *, const struct json *request);
    bool needs_key, needs_url;
    enum keeper_task_kind task;
};

static struct services_parts parts(const struct job *j)
{
    return services_parts(j->env->services);
}

static void job_end(struct job *j, int exit, const char *error)
{
    admin_end(j->call, exit, error);
    conf_unref(j->conf);
    free(j);
}

static void job_end_err(struct job *j, const struct err *e)
{
    char text[800];
    struct log_ctx log = {j->env->log, j->ca->name};
    log_warn(&log, "account %s: %s", j->action->name, err_text(e, text, sizeof(text)));
    job_end(j, str_eq(e->type, KEEPER_NEEDS_FORCE) ? ADMIN_REFUSED : verbs_exit(e), text);
}

/* ---- telling ---- */

static const char *state_of(const struct account *a)
{
    if (!a)
        return "its files cannot be read";
    if (a->deactivated_ms)
        return "deactivated";
    if (a->pending)
        return "a change of its key was cut short";
    if (!a->key)
        return "has no key";
    return a->url[0] ? "valid" : "has a key, its URL is not known";
}

static void add_time(struct json *j, const char *key, int64_t ms)
{
    char text[32];
    if (ms)
        json_add_text(j, key, str_from_time(ms, text, sizeof(text)));
}

static void add_account(struct json *o, const struct account *a)
{
    if (a && a->key) {
        json_add_text(o, "key", key_type_name(pkey_type(a->key)));
        json_add_text(o, "thumbprint", pkey_thumbprint(a->key));
    }
    json_add_text(o, "state", state_of(a));
    add_time(o, "created", a ? a->created_ms : 0);
    add_time(o, "deactivated", a ? a->deactivated_ms : 0);
}

struct list_job {
    const struct verbs_env *env;
    const struct conf *conf;
    struct json *array;
};

/* The entries of `cas` that have this account. */
static void add_entries(struct list_job *l, struct json *o, const struct account *a)
{
    struct json *names = json_add_array(o, "cas");
    struct accounts *all = services_parts(l->env->services).accounts;
    for (size_t i = 0; a && i < l->conf->n_cas; i++) {
        if (accounts_get(all, &l->conf->cas[i], NULL) == a)
            json_add_text(names, NULL, l->conf->cas[i].name);
    }
}

static void list_one(void *arg, const struct account_found *f)
{
    struct list_job *l = arg;
    struct json *o = json_add_object(l->array, NULL);
    json_add_text(o, "id", f->id);
    add_entries(l, o, f->account);
    json_add_text(o, "directory", f->directory);
    json_add_text(o, "name", f->name);
    if (f->kid[0])
        json_add_text(o, "eab_kid", f->kid);
    json_add_text(o, "url", f->url);
    add_account(o, f->account);
}

static void do_list(const struct verbs_env *env, struct admin_call *c)
{
    struct conf *conf = verbs_conf(env, c);
    struct err e = ERR_INIT;
    if (!conf)
        return;
    struct list_job l = {
        .env = env, .conf = conf, .array = json_add_array(admin_result(c), "accounts")};
    accounts_each(services_parts(env->services).accounts, list_one, &l, &e);
    conf_unref(conf);
    admin_end(c, verbs_exit(&e), err_is(&e) ? e.detail : NULL);
}

/* ---- tasks ---- */

static void on_note(void *arg, const char *text)
{
    struct job *j = arg;
    admin_note(j->call, j->ca->name, text);
}

static void add_answer(struct job *j, const struct keeper_msg_task_done *m)
{
    struct json *o = json_add_object(admin_result(j->call), "account");
    json_add_text(o, "ca", j->ca->name);
    json_add_text(o, "directory", j->ca->directory);
    json_add_text(o, "url", j->account->url);
    add_account(o, j->account);
    json_add_text(o, "status", m->status);
    struct json *contact = json_add_array(o, "contact");
    for (size_t i = 0; i < m->contact.n; i++)
        json_add_text(contact, NULL, m->contact.v[i]);
    if (m->orders[0])
        json_add_text(o, "orders", m->orders);
}

static void shown(struct job *j, const struct keeper_msg_task_done *m)
{
    add_answer(j, m);
    job_end(j, ADMIN_DONE, NULL);
}

static void deactivated(struct job *j)
{
    struct err e = ERR_INIT;
    struct log_ctx log = {j->env->log, j->ca->name};
    if (accounts_deactivate(parts(j).accounts, j->account, j->ca, loop_wall_ms(j->env->loop), &e)) {
        job_end_err(j, &e);
        return;
    }
    log_warn(&log, "the account %s was deactivated by the operator", j->account->url);
    admin_line(j->call, "The account %s is deactivated, for good.", j->account->url);
    admin_line(j->call,
               "Orders at %s fail from now on; for another account write `account: NAME` with a "
               "new NAME for this CA.",
               j->ca->name);
    job_end(j, ADMIN_DONE, NULL);
}

static void found(struct job *j, const char *url)
{
    struct err e = ERR_INIT;
    if (sign_check_url(url, &e) ||
        accounts_set_url(parts(j).accounts, j->account, j->ca, url, &e)) {
        job_end_err(j, &e);
        return;
    }
    admin_line(j->call, "The account at %s is %s", j->ca->name, url);
    job_end(j, ADMIN_DONE, NULL);
}

static void not_deactivated(struct job *j, const struct err *err)
{
    if (err)
        job_end_err(j, err);
    else if (j->check)
        job_end(j, ADMIN_DONE, NULL);
    else
        job_end(j, ADMIN_REFUSED, "a deactivated account never comes back: --force does it");
}

static void on_done(void *arg, const struct keeper_msg_task_done *m, const struct err *err)
{
    struct job *j = arg;
    struct err e = ERR_INIT;
    if (j->task == KEEPER_TASK_DEPENDENTS) {
        not_deactivated(j, j->check ? err : NULL);
    } else if (err && j->task == KEEPER_TASK_FIND && str_eq(err->type, "accountDoesNotExist")) {
        err_set(&e, ERR_DENIED,
                "CA %s has no account for the key in accounts/%s: the next order registers a new "
                "one with it",
                j->ca->name, j->account->id);
        job_end_err(j, &e);
    } else if (err) {
        job_end_err(j, err);
    } else if (j->task == KEEPER_TASK_DEACTIVATE) {
        deactivated(j);
    } else if (j->task == KEEPER_TASK_FIND) {
        found(j, m->url);
    } else {
        shown(j, m);
    }
}

static void open_task(struct job *j, const struct json *request)
{
    static const struct task_handler handler = {.note = on_note, .done = on_done};
    struct task_spec spec = {
        .kind = j->task, .ca = j->ca->name, .url = j->account->url, .account = j->account};
    struct err e = ERR_INIT;
    (void)request;
    if (!tasks_open(parts(j).tasks, &spec, &handler, j, &e))
        job_end_err(j, &e);
}

static void do_deactivate(struct job *j, const struct json *request)
{
    j->check = json_bool(request, "check", false);
    if (j->check || !json_bool(request, "force", false))
        j->task = KEEPER_TASK_DEPENDENTS;
    open_task(j, request);
}

/* ---- keys ---- */

static void key_done(void *arg, bool in_force, const char *url, const struct err *err)
{
    struct job *j = arg;
    if (err) {
        job_end_err(j, err);
        return;
    }
    json_add_text(admin_result(j->call), "key", key_type_name(pkey_type(j->account->key)));
    json_add_text(admin_result(j->call), "thumbprint", pkey_thumbprint(j->account->key));
    if (in_force && !j->account->url[0]) {
        found(j, url);
        return;
    }
    if (in_force)
        admin_line(j->call, "The account at %s has a new key: %s, thumbprint %s", j->ca->name,
                   key_type_name(pkey_type(j->account->key)), pkey_thumbprint(j->account->key));
    else
        admin_line(j->call, "The account at %s still has its old key: nothing was changed.",
                   j->ca->name);
    job_end(j, in_force ? ADMIN_DONE : ADMIN_FAILED,
            in_force ? NULL : "the change that was cut short had not reached the CA; run it again");
}

static const struct account_keys_handler key_handler = {.note = on_note, .done = key_done};

static void do_rollover(struct job *j, const struct json *request)
{
    const char *type = json_text(request, "key");
    enum key_type want = (enum key_type)j->ca->account_key;
    struct err e = ERR_INIT;
    int rc;
    if (type && !key_type_parse(type, &want)) {
        job_end(j, ADMIN_USAGE,
                "--key is one of ecdsa-p256 ecdsa-p384 rsa-2048 rsa-3072 rsa-4096 ed25519");
        return;
    }
    if (j->account->pending) {
        admin_note(j->call, j->ca->name, "an earlier change was cut short: finishing that one");
        rc = account_keys_resolve(parts(j).account_keys, j->conf, j->ca, j->account, &key_handler,
                                  j, &e);
    } else {
        rc = account_keys_change(parts(j).account_keys, j->conf, j->ca, j->account, want,
                                 json_bool(request, "force", false), &key_handler, j, &e);
    }
    if (rc)
        job_end_err(j, &e);
}

/* A key that others could read is as good as published. */
static struct pkey *read_key_file(const char *path, struct err *e)
{
    CLEANUP_BUF struct buf text;
    struct stat st;
    buf_init_secret(&text, KEY_FILE_MAX);
    if (path[0] != '/') {
        err_set(e, ERR_CONFIG, "name the key's file by its whole path");
        return NULL;
    }
    if (file_read_at(AT_FDCWD, path, true, &text, &st, e))
        return NULL;
    if (st.st_mode & 077) {
        err_set(e, ERR_CONFIG, "others can read %s: chmod 600 %s", path, path);
        return NULL;
    }
    struct pkey *key = pkey_import(buf_str(&text), text.len, e);
    if (!key)
        err_prefix(e, "%s", path);
    return key;
}

static bool same_key(struct pkey *a, struct pkey *b)
{
    return a && str_eq(pkey_thumbprint(a), pkey_thumbprint(b));
}

static void do_import(struct job *j, const struct json *request)
{
    const char *path = json_text(request, "file");
    struct err e = ERR_INIT;
    struct pkey *key = read_key_file(path ? path : "", &e);
    if (!key) {
        job_end_err(j, &e);
        return;
    }
    if (j->account->key && !same_key(j->account->key, key) && !json_bool(request, "force", false)) {
        pkey_free(key);
        job_end(j, ADMIN_REFUSED,
                "this CA has an account already: write `account: NAME` with a new NAME for it, or "
                "--force puts the imported one in its place");
        return;
    }
    if (account_keys_import(parts(j).account_keys, j->conf, j->ca, j->account, key, &key_handler, j,
                            &e))
        job_end_err(j, &e);
}

/* ---- which account ---- */

static const struct action actions[] = {
    {"show", open_task, true, true, KEEPER_TASK_SHOW},
    {"rollover", do_rollover, true, true, KEEPER_TASK_CHANGE_KEY},
    {"update", open_task, true, true, KEEPER_TASK_UPDATE},
    {"deactivate", do_deactivate, true, true, KEEPER_TASK_DEACTIVATE},
    {"recover", open_task, true, false, KEEPER_TASK_FIND},
    {"import", do_import, false, false, KEEPER_TASK_WHICH_KEY},
};

/* Without a name: the one CA that has an account. */
static const struct conf_ca *only_ca(const struct verbs_env *env, const struct conf *conf)
{
    struct accounts *all = services_parts(env->services).accounts;
    const struct conf_ca *one = NULL;
    for (size_t i = 0; i < conf->n_cas; i++) {
        const struct account *a = accounts_get(all, &conf->cas[i], NULL);
        if (!a || !a->key)
            continue;
        if (one && accounts_get(all, one, NULL) != a)
            return NULL;
        one = one ? one : &conf->cas[i];
    }
    return one;
}

static int find_account(struct job *j, const char *name, struct err *e)
{
    j->ca = name ? conf_find_ca(j->conf, name) : only_ca(j->env, j->conf);
    if (!j->ca && name)
        return err_set(e, ERR_CONFIG, "the configuration has no CA %s that is in use", name);
    if (!j->ca)
        return err_set(e, ERR_CONFIG, "name a CA: there is none with an account, or more than one");
    j->account = accounts_get(parts(j).accounts, j->ca, e);
    if (!j->account)
        return -1;
    if (accounts_check_active(j->account, j->ca, e) && j->action->task != KEEPER_TASK_SHOW)
        return -1;
    err_clear(e);
    if (j->action->needs_key && !j->account->key)
        return err_set(e, ERR_LOCAL, "there is no account at CA %s yet: the first order makes it",
                       j->ca->name);
    if (j->action->needs_url && !j->account->url[0])
        return err_set(e, ERR_LOCAL,
                       "the account's URL at CA %s is not known: renewctl account recover %s",
                       j->ca->name, j->ca->name);
    return 0;
}

static void do_account(void *arg, struct admin_call *c, const struct json *request)
{
    const struct verbs_env *env = arg;
    const char *name = json_text(request, "action");
    const struct action *action = NULL;
    struct err e = ERR_INIT;
    for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
        if (str_eq(actions[i].name, name))
            action = &actions[i];
    }
    if (str_eq(name, "list")) {
        do_list(env, c);
        return;
    }
    struct conf *conf = action ? verbs_conf(env, c) : NULL;
    if (!action)
        admin_end(c, ADMIN_USAGE, "no such action");
    if (!conf)
        return;
    struct job *j = xnew(struct job);
    *j = (struct job){.env = env, .call = c, .conf = conf, .action = action, .task = action->task};
    if (find_account(j, json_text(request, "ca"), &e))
        job_end(j, verbs_exit(&e), e.detail);
    else
        action->run(j, request);
}

void verbs_account_serve(const struct verbs_env *env)
{
    static const struct admin_verb verbs[] = {{"account", do_account}};
    admin_serve(env->admin, verbs, ARRAY_LEN(verbs), (void *)(uintptr_t)env);
}
