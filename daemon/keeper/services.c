/* SPDX-License-Identifier: ISC */
/*
 * A request is answered at once, or becomes a task (keys, installations, steps, workers):
 *
 *     request -> task -> answered, freed
 *                  `---> cancelled by the engine, or the engine is gone: killed, freed, no answer
 *
 * What a certificate has on its way to the disk cannot be stopped any more: such a task is an
 * orphan until it ends. A later PREPARE or INSTALL of the same certificate waits for it.
 */
#include "keeper/services.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "keeper/account_keys.h"
#include "keeper/accounts.h"
#include "keeper/certs.h"
#include "keeper/disk.h"
#include "keeper/http01.h"
#include "keeper/keygen.h"
#include "keeper/live.h"
#include "keeper/pending.h"
#include "keeper/rehearsals.h"
#include "keeper/sign.h"
#include "keeper/step_check.h"
#include "keeper/steps.h"
#include "keeper/tasks.h"
#include "keeper/workers.h"

#include <stdlib.h>
#include <unistd.h>

#define TASKS_MAX 100000u /* of an engine gone wild */
#define KEYGENS_MAX 2     /* RSA keys made at once; each takes a whole processor */

struct services {
    struct services_env env;
    struct conf *conf;
    struct accounts *accounts;
    struct tasks *ca_tasks;
    struct account_keys *account_keys;
    struct pendings *pendings;
    struct cert_cache *cache;
    struct steps *steps;
    struct workers *workers;
    struct webroots *webroots;
    struct disk *disk;
    struct rehearsals *rehearsals;
    struct map *busy; /* name of a certificate -> its task that is the disk's or the key maker's */
    struct list tasks, orphans;
    unsigned n_tasks, n_keygens;
};

struct task {
    struct list node;
    struct services *services;
    uint32_t id;
    struct step_run *step;
    struct keygen *keygen;
    bool dry;                      /* its key is a rehearsal's */
    bool wants_key;                /* and waits until fewer keys are being made */
    char *provider;                /* a worker that starts */
    const struct account *account; /* whose key is being made, or found out about */
    struct conf *conf;
    const struct conf_cert *cert;
    const char *what; /* for the log: deployment of the step */
    struct conf_step http01;
    struct certs_work *work;
    bool busy; /* the certificate's, as the map says */
    bool installs;
    char *name;        /* of the certificate that it waits for */
    struct buf waits;  /* for another task of its certificate: the frame; empty: it does not */
    struct defer next; /* that frame's turn */
};

static bool send_task(void *arg, enum keeper_msg_type type, const void *msg);
static void account_ready(void *arg, const struct account *account, const struct err *err);

static void make_account_parts(struct services *s)
{
    const struct tasks_env tasks = {.loop = s->env.loop, .send = send_task, .arg = s};
    s->accounts = accounts_new(s->env.dir);
    s->ca_tasks = tasks_new(&tasks);
    const struct account_keys_env keys = {.loop = s->env.loop,
                                          .log = s->env.log,
                                          .accounts = s->accounts,
                                          .tasks = s->ca_tasks,
                                          .program = s->env.programs->self,
                                          .ready = account_ready,
                                          .arg = s};
    s->account_keys = account_keys_new(&keys);
}

struct services *services_new(const struct services_env *env)
{
    struct services *s = xnew(struct services);
    s->env = *env;
    make_account_parts(s);
    s->pendings = pendings_new(env->dir);
    s->cache = cert_cache_new();
    s->steps =
        steps_new(&(struct steps_env){.loop = env->loop, .dir = env->dir, .systemd = env->systemd});
    s->workers = workers_new(&(struct workers_env){
        .loop = env->loop, .log = env->log, .program = env->programs->worker});
    s->webroots = webroots_new();
    s->disk = disk_new(env->loop, env->dir);
    s->busy = map_new();
    s->rehearsals = rehearsals_new();
    list_init(&s->tasks);
    list_init(&s->orphans);
    return s;
}

void services_configure(struct services *s, struct conf *c)
{
    conf_ref(c);
    conf_unref(s->conf);
    s->conf = c;
}

/* ---- tasks ---- */

static struct task *task_new(struct services *s, uint32_t id)
{
    struct task *t = xnew(struct task);
    t->services = s;
    t->id = id;
    t->conf = conf_ref(s->conf);
    list_append(&s->tasks, &t->node);
    s->n_tasks++;
    return t;
}

static void release(struct task *t);

/* What it waits for must have ended or been cancelled. */
static void task_free(struct task *t)
{
    list_remove(&t->node);
    t->services->n_tasks--;
    if (t->busy)
        release(t);
    defer_cancel(&t->next);
    certs_work_free(t->work);
    buf_free(&t->waits);
    free(t->name);
    conf_unref(t->conf);
    free(t->provider);
    free(t);
}

static void start_keygens(struct services *s);

static void keygen_ended(struct task *t)
{
    if (t->keygen)
        t->services->n_keygens--;
    t->keygen = NULL;
}

static void task_cancel(struct task *t)
{
    CLEANUP_FREE char *provider = t->provider;
    struct services *s = t->services;
    if (t->step)
        step_cancel(t->step);
    keygen_cancel(t->keygen);
    keygen_ended(t);
    t->provider = NULL;
    if (provider) {
        workers_kill(s->workers, provider); /* its callback frees the task */
    } else if (t->work) {
        t->id = 0;
        list_remove(&t->node);
        list_append(&s->orphans, &t->node);
    } else {
        task_free(t);
    }
    start_keygens(s);
}

static struct task *task_find(struct services *s, uint32_t id)
{
    list_each(it, &s->tasks)
    {
        struct task *t = list_item(it, struct task, node);
        if (t->id == id)
            return t;
    }
    return NULL;
}

/* ---- answers ---- */

static void answer(struct services *s, enum keeper_msg_type type, uint32_t id, const void *msg)
{
    s->env.answer(s->env.arg, type, id, msg, -1);
}

static int refuse(struct services *s, uint32_t id, const struct err *e)
{
    answer(s, KEEPER_MSG_FAILED, id, &(struct keeper_msg_failed){.err = *e});
    return 0;
}

static bool send_task(void *arg, enum keeper_msg_type type, const void *msg)
{
    struct services *s = arg;
    if (!s->env.up || !s->env.up(s->env.arg))
        return false;
    answer(s, type, 0, msg);
    return true;
}

static struct certs_env certs_env(const struct services *s)
{
    return (struct certs_env){.conf = s->conf,
                              .dir = s->env.dir,
                              .pendings = s->pendings,
                              .cache = s->cache,
                              .clock = loop_clock(s->env.loop)};
}

static int find_cert(struct services *s, const char *name, const struct conf_cert **ret,
                     struct err *e)
{
    *ret = conf_find_cert(s->conf, name);
    return *ret ? 0 : err_set(e, ERR_BUG, "the configuration has no certificate \"%s\"", name);
}

static int find_ca(struct services *s, const char *name, const struct conf_ca **ret, struct err *e)
{
    *ret = conf_find_ca(s->conf, name);
    return *ret ? 0 : err_set(e, ERR_BUG, "the configuration has no CA \"%s\"", name);
}

/* ---- signatures and accounts ---- */

static int do_sign(struct services *s, uint32_t id, const union keeper_msg *m)
{
    CLEANUP_BUF struct buf jws = {0};
    struct err e = ERR_INIT;
    struct sign_env env = {
        .conf = s->conf, .dir = s->env.dir, .accounts = s->accounts, .pendings = s->pendings};
    env.rehearsals = s->rehearsals;
    if (m->sign.task && !(env.task = tasks_find(s->ca_tasks, m->sign.task))) {
        err_set(&e, ERR_CANCELLED, "the task is over");
        return refuse(s, id, &e);
    }
    buf_init(&jws, KEEPER_MSG_JWS_MAX);
    if (sign_request(&env, &m->sign, &jws, &e))
        return refuse(s, id, &e);
    answer(s, KEEPER_MSG_SIGNED, id, &(struct keeper_msg_signed){{jws.data, jws.len}});
    return 0;
}

static void tell_account(struct services *s, uint32_t id, const struct account *a)
{
    struct keeper_msg_account_is m = {.url = a->url,
                                      .thumbprint = a->key ? pkey_thumbprint(a->key) : ""};
    answer(s, KEEPER_MSG_ACCOUNT_IS, id, &m);
}

static int do_account(struct services *s, uint32_t id, const union keeper_msg *m)
{
    struct err e = ERR_INIT;
    const struct conf_ca *ca;
    struct account *a;
    if (find_ca(s, m->account.ca, &ca, &e) || !(a = accounts_get(s->accounts, ca, &e)))
        return refuse(s, id, &e);
    int waits = accounts_check_active(a, ca, &e)
                    ? -1
                    : account_keys_ready(s->account_keys, s->conf, ca, a, &e);
    if (waits < 0)
        return refuse(s, id, &e);
    if (waits)
        task_new(s, id)->account = a;
    else
        tell_account(s, id, a);
    return 0;
}

static void account_ready(void *arg, const struct account *account, const struct err *err)
{
    struct services *s = arg;
    list_each(it, &s->tasks)
    {
        struct task *t = list_item(it, struct task, node);
        if (t->account != account)
            continue;
        if (err_is(err))
            refuse(s, t->id, err);
        else
            tell_account(s, t->id, account);
        task_free(t);
    }
}

static int do_set_account(struct services *s, uint32_t id, const union keeper_msg *m)
{
    struct err e = ERR_INIT;
    const struct conf_ca *ca;
    struct account *a;
    if (find_ca(s, m->set_account.ca, &ca, &e) ||
        (m->set_account.url[0] && sign_check_url(m->set_account.url, &e)) ||
        !(a = accounts_get(s->accounts, ca, &e)))
        return refuse(s, id, &e);
    if (!a->key) {
        err_set(&e, ERR_BUG, "CA %s has no account key yet", ca->name);
        return refuse(s, id, &e);
    }
    if (accounts_set_url(s->accounts, a, ca, m->set_account.url, &e))
        return refuse(s, id, &e);
    tell_account(s, id, a);
    return 0;
}

static int do_set_eab(struct services *s, uint32_t id, const union keeper_msg *m)
{
    struct err e = ERR_INIT;
    const struct conf_ca *ca;
    struct account *a;
    if (find_ca(s, m->set_eab.ca, &ca, &e) || !(a = accounts_get(s->accounts, ca, &e)))
        return refuse(s, id, &e);
    if (!ca->eab_by_email || !m->set_eab.kid[0] || !m->set_eab.hmac_key[0])
        err_set(&e, ERR_DENIED, "CA %s gives out no external accounts", ca->name);
    else
        accounts_set_eab(s->accounts, a, m->set_eab.kid, m->set_eab.hmac_key, &e);
    if (err_is(&e))
        return refuse(s, id, &e);
    answer(s, KEEPER_MSG_DONE, id, NULL);
    return 0;
}

/* ---- keys and certificates ---- */

static struct task *task_of_cert(struct services *s, uint32_t id, const struct conf_cert *cert)
{
    struct task *t = task_new(s, id);
    t->cert = cert;
    t->busy = true;
    map_put(s->busy, cert->name, t);
    return t;
}

static void tell_installed(struct services *s, uint32_t id, const struct conf_cert *cert,
                           struct live *l, bool leaf);

static void tell_new(struct task *t)
{
    struct services *s = t->services;
    bool changed;
    char time[32];
    struct live l = certs_take(t->work, &changed);
    if (changed)
        log_info((&(struct log_ctx){s->env.log, t->cert->name}),
                 "installed a certificate of %s, valid until %s",
                 l.issuer[0] ? l.issuer : l.directory,
                 str_from_time(l.not_after_ms, time, sizeof(time)));
    if (t->id)
        tell_installed(s, t->id, t->cert, &l, true);
    else
        live_done(&l);
}

static void work_ended(void *arg)
{
    struct task *t = arg;
    struct services *s = t->services;
    struct certs_env env = certs_env(s);
    struct err e = ERR_INIT;
    bool good = certs_finish(&env, t->work, &e) == 0;
    if (good && t->installs)
        tell_new(t);
    else if (t->id && good)
        answer(s, KEEPER_MSG_DONE, t->id, NULL);
    else if (t->id)
        refuse(s, t->id, &e);
    task_free(t);
}

static void start_work(struct task *t, struct certs_work *w)
{
    struct disk_job *job = certs_job(w, work_ended, t);
    t->work = w;
    if (job)
        disk_start(t->services->disk, job);
    else
        work_ended(t);
}

static int rehearse_with(struct services *s, uint32_t id, const struct conf_cert *cert,
                         struct pkey *key)
{
    struct err e = ERR_INIT;
    if (rehearsals_put(s->rehearsals, cert, key, &e))
        return refuse(s, id, &e);
    answer(s, KEEPER_MSG_DONE, id, NULL);
    return 0;
}

static void key_made(void *arg, struct pkey *key, const struct err *err)
{
    struct task *t = arg;
    struct services *s = t->services;
    struct err e = *err;
    struct certs_work *w;
    keygen_ended(t);
    if (key && t->dry) {
        rehearse_with(s, t->id, t->cert, key);
        task_free(t);
    } else if (!key || certs_prepared(t->cert, key, s->env.dir, &w, &e)) {
        refuse(s, t->id, &e);
        task_free(t);
    } else {
        start_work(t, w);
    }
    pkey_free(key);
    start_keygens(s);
}

static void start_keygens(struct services *s)
{
    list_each(it, &s->tasks)
    {
        struct task *t = list_item(it, struct task, node);
        struct err e = ERR_INIT;
        if (s->n_keygens >= KEYGENS_MAX)
            return;
        if (!t->wants_key)
            continue;
        t->wants_key = false;
        t->keygen = keygen_start(s->env.loop, s->env.programs->self, (enum key_type)t->cert->key,
                                 key_made, t, &e);
        if (t->keygen) {
            s->n_keygens++;
            continue;
        }
        refuse(s, t->id, &e);
        task_free(t);
    }
}

/* True: another of this certificate is under way, which this one waits for. */
static bool must_wait(struct services *s, uint32_t id, enum keeper_msg_type type, const char *name,
                      const void *msg)
{
    if (!map_get(s->busy, name))
        return false;
    struct task *t = task_new(s, id);
    t->name = xstrdup(name);
    buf_init(&t->waits, KEEPER_MSG_PAYLOAD_MAX + FRAME_HEADER);
    keeper_msg_encode(&t->waits, type, id, msg);
    return true;
}

static void take_turn(void *arg);

/* Of those that wait for this certificate the first. */
static void next_turn(struct services *s, const char *name)
{
    list_each(it, &s->tasks)
    {
        struct task *t = list_item(it, struct task, node);
        if (t->waits.len && str_eq(t->name, name)) {
            if (!t->next.pending)
                loop_defer(s->env.loop, &t->next, take_turn, t);
            return;
        }
    }
}

static void take_turn(void *arg)
{
    struct task *t = arg;
    struct services *s = t->services;
    CLEANUP_FREE char *name = xstrdup(t->name);
    struct buf frame = t->waits;
    struct frame_head h;
    union keeper_msg m;
    t->waits = (struct buf){0};
    task_free(t);
    if (frame_head_read(frame.data, frame.len, KEEPER_MSG_PAYLOAD_MAX, &h) == 1 &&
        keeper_msg_decode(&h, frame.data + FRAME_HEADER, KEEPER_MSG_FROM_ENGINE, &m) == 0) {
        services_request(s, &h, &m);
        keeper_msg_free(h.type, &m);
    }
    buf_free(&frame);
    if (!map_get(s->busy, name))
        next_turn(s, name);
}

static void release(struct task *t)
{
    map_remove(t->services->busy, t->cert->name);
    next_turn(t->services, t->cert->name);
}

/* A CSR of the user's own serves as it is. */
static int prepare_rehearsal(struct services *s, uint32_t id, const struct conf_cert *cert)
{
    struct err e = ERR_INIT;
    if (cert->csr[0]) {
        answer(s, KEEPER_MSG_DONE, id, NULL);
        return 0;
    }
    if (cert->key >= CONF_KEY_RSA_2048) {
        struct task *t = task_new(s, id);
        t->cert = cert;
        t->dry = t->wants_key = true;
        start_keygens(s);
        return 0;
    }
    CLEANUP_PKEY struct pkey *key = pkey_generate((enum key_type)cert->key, &e);
    return key ? rehearse_with(s, id, cert, key) : refuse(s, id, &e);
}

static int do_prepare(struct services *s, uint32_t id, const union keeper_msg *m)
{
    struct certs_env env = certs_env(s);
    struct err e = ERR_INIT;
    const struct conf_cert *cert;
    struct certs_work *w;
    bool generate;
    if (m->prepare.dry)
        return find_cert(s, m->prepare.cert, &cert, &e) ? refuse(s, id, &e)
                                                        : prepare_rehearsal(s, id, cert);
    if (must_wait(s, id, KEEPER_MSG_PREPARE, m->prepare.cert, &m->prepare))
        return 0;
    env.new_key = tasks_replace(s->ca_tasks, m->prepare.cert);
    if (find_cert(s, m->prepare.cert, &cert, &e) ||
        certs_prepare(&env, cert, m->prepare.fresh, &generate, &w, &e))
        return refuse(s, id, &e);
    if (!generate && !w) {
        answer(s, KEEPER_MSG_DONE, id, NULL);
        return 0;
    }
    struct task *t = task_of_cert(s, id, cert);
    t->wants_key = generate;
    if (generate)
        start_keygens(s);
    else
        start_work(t, w);
    return 0;
}

static void tell_installed(struct services *s, uint32_t id, const struct conf_cert *cert,
                           struct live *l, bool leaf)
{
    struct keeper_msg_installed_is m = certs_tell(s->conf, cert, l, leaf);
    answer(s, KEEPER_MSG_INSTALLED_IS, id, &m);
    live_done(l);
}

static int install_rehearsal(struct services *s, uint32_t id, const struct keeper_msg_install *m)
{
    struct certs_env env = certs_env(s);
    struct err e = ERR_INIT;
    const struct conf_cert *cert;
    struct live l;
    if (find_cert(s, m->cert, &cert, &e))
        return refuse(s, id, &e);
    const struct pending *k = cert->csr[0] ? pending_of(s->pendings, cert, &e)
                                           : rehearsals_get(s->rehearsals, cert->name);
    if (!k && !err_is(&e))
        err_set(&e, ERR_LOCAL, "there is no key for this rehearsal: it begins again");
    if (!k || certs_rehearse(&env, m, k, &l, &e))
        return refuse(s, id, &e);
    tell_installed(s, id, cert, &l, true);
    return 0;
}

static int do_install(struct services *s, uint32_t id, const union keeper_msg *m)
{
    struct certs_env env = certs_env(s);
    struct err e = ERR_INIT;
    struct certs_work *w;
    if (m->install.dry)
        return install_rehearsal(s, id, &m->install);
    if (must_wait(s, id, KEEPER_MSG_INSTALL, m->install.cert, &m->install))
        return 0;
    if (certs_install(&env, &m->install, &w, &e))
        return refuse(s, id, &e);
    struct task *t = task_of_cert(s, id, conf_find_cert(s->conf, m->install.cert));
    t->installs = true;
    start_work(t, w);
    return 0;
}

static int do_installed(struct services *s, uint32_t id, const union keeper_msg *m)
{
    struct err e = ERR_INIT;
    const struct conf_cert *cert;
    struct live l;
    if (find_cert(s, m->installed.cert, &cert, &e) || live_read(s->env.dir, cert->name, &l, &e))
        return refuse(s, id, &e);
    tell_installed(s, id, cert, &l, true);
    return 0;
}

/* What cannot be read counts as absent, so that it is ordered; the log says why. */
static int do_list(struct services *s, uint32_t id, const union keeper_msg *m)
{
    size_t at = m->list.from, end = at + KEEPER_MSG_LIST_PORTION;
    for (; at < end && at < s->conf->n_certs; at++) {
        const struct conf_cert *cert = &s->conf->certs[at];
        struct err e = ERR_INIT;
        struct live l;
        if (live_read(s->env.dir, cert->name, &l, &e)) {
            log_error((&(struct log_ctx){s->env.log, cert->name}),
                      "what is installed cannot be read: %s", e.detail);
            answer(s, KEEPER_MSG_INSTALLED_IS, id,
                   &(struct keeper_msg_installed_is){.cert = cert->name});
            continue;
        }
        tell_installed(s, id, cert, &l, false);
    }
    struct keeper_msg_list_end last = {.next = at < s->conf->n_certs ? (uint32_t)at : 0};
    answer(s, KEEPER_MSG_LIST_END, id, &last);
    return 0;
}

/* ---- steps ---- */

static void step_ended(void *arg, const char *text, const struct err *err)
{
    struct task *t = arg;
    struct services *s = t->services;
    struct keeper_msg_step_done m = {.text = text, .err = *err};
    t->step = NULL;
    if (err->cls != ERR_NONE)
        log_warn((&(struct log_ctx){s->env.log, t->cert->name}), "deployment %s: %s", t->what,
                 err->detail);
    answer(s, KEEPER_MSG_STEP_DONE, t->id, &m);
    task_free(t);
}

static int do_step(struct services *s, uint32_t id, const union keeper_msg *m)
{
    CLEANUP_FREE const struct conf_cert **certs = xcalloc(m->step.certs.n + 1, sizeof(*certs));
    struct err e = ERR_INIT;
    const char *what = "";
    const struct conf_step *step = step_check(s->conf, &m->step, certs, &what, &e);
    if (!step)
        return refuse(s, id, &e);
    struct task *t = task_new(s, id);
    t->cert = certs[0];
    t->what = what;
    t->step = step_start(s->steps, s->conf, step, certs, m->step.certs.n, step_ended, t);
    return 0;
}

/* ---- workers ---- */

static void worker_started(void *arg, int fd, const struct err *err)
{
    struct task *t = arg;
    struct services *s = t->services;
    bool wanted = t->provider != NULL;
    if (!wanted && fd >= 0)
        close(fd);
    else if (wanted && fd >= 0)
        s->env.answer(s->env.arg, KEEPER_MSG_WORKER_IS, t->id, NULL, fd);
    else if (wanted)
        refuse(s, t->id, err);
    task_free(t);
}

static int do_worker(struct services *s, uint32_t id, const union keeper_msg *m)
{
    const struct conf_provider *p = conf_find_provider(s->conf, m->worker.provider);
    struct err e = ERR_INIT;
    if (!p) {
        err_set(&e, ERR_BUG, "the configuration has no provider \"%s\"", m->worker.provider);
        return refuse(s, id, &e);
    }
    struct task *t = task_new(s, id);
    t->provider = xstrdup(p->name);
    workers_start(s->workers, s->conf, p, worker_started, t);
    return 0;
}

static int do_worker_kill(struct services *s, uint32_t id, const union keeper_msg *m)
{
    (void)id;
    workers_kill(s->workers, m->worker.provider);
    return 0;
}

/* ---- http-01 and tls-alpn-01 ---- */

static int do_listen(struct services *s, uint32_t id, const union keeper_msg *m)
{
    struct err e = ERR_INIT;
    int fd = listen_open(s->conf, &s->env.given, m->listen.addr, &e);
    if (fd < 0)
        return refuse(s, id, &e);
    s->env.answer(s->env.arg, KEEPER_MSG_LISTEN_IS, id, NULL, fd);
    return 0;
}

static void http01_ran(void *arg, const char *text, const struct err *err)
{
    struct task *t = arg;
    struct services *s = t->services;
    (void)text;
    t->step = NULL;
    if (err->cls != ERR_NONE)
        refuse(s, t->id, err);
    else
        answer(s, KEEPER_MSG_DONE, t->id, NULL);
    task_free(t);
}

static void run_http01(struct services *s, uint32_t id, const struct conf_cert *cert,
                       const struct keeper_msg_http01 *m, const char *content)
{
    CLEANUP_FREE char *input = http01_input(cert, m->name, m->token, content, m->add);
    struct task *t = task_new(s, id);
    t->cert = cert;
    t->http01 = (struct conf_step){
        .kind = CONF_STEP_RUN, .timeout_ms = HTTP01_RUN_TIMEOUT_MS, .argv = cert->http01.argv};
    t->step = step_start_with(s->steps, s->conf, &t->http01, cert, input, http01_ran, t);
}

/* What was added under an earlier configuration is removed all the same, if only from webroots. */
static int do_http01(struct services *s, uint32_t id, const union keeper_msg *msg)
{
    const struct keeper_msg_http01 *m = &msg->http01;
    const struct conf_cert *cert = conf_find_cert(s->conf, m->cert);
    bool runs = cert && cert->http01.kind == CONF_HTTP01_RUN;
    bool written = cert && cert->http01.kind == CONF_HTTP01_WEBROOT;
    struct err e = ERR_INIT;
    CLEANUP_FREE char *content = NULL;
    if (http01_check(s->conf, s->accounts, m, &content, &e))
        return refuse(s, id, &e);
    if (runs) {
        run_http01(s, id, cert, m, content);
        return 0;
    }
    if (m->add ? webroots_add(s->webroots, cert->http01.webroot, m->token, content, &e)
               : webroots_remove(s->webroots, written ? cert->http01.webroot : "", m->token, &e))
        return refuse(s, id, &e);
    answer(s, KEEPER_MSG_DONE, id, NULL);
    return 0;
}

static int do_cancel(struct services *s, uint32_t id, const union keeper_msg *m)
{
    struct task *t = task_find(s, id);
    (void)m;
    if (t)
        task_cancel(t);
    return 0;
}

/* ---- dispatch ---- */

static const struct service {
    enum keeper_msg_type type;
    int (*run)(struct services *s, uint32_t id, const union keeper_msg *m);
    bool answered;
} table[] = {
    {KEEPER_MSG_SIGN, do_sign, true},
    {KEEPER_MSG_ACCOUNT, do_account, true},
    {KEEPER_MSG_SET_ACCOUNT, do_set_account, true},
    {KEEPER_MSG_SET_EAB, do_set_eab, true},
    {KEEPER_MSG_PREPARE, do_prepare, true},
    {KEEPER_MSG_INSTALL, do_install, true},
    {KEEPER_MSG_INSTALLED, do_installed, true},
    {KEEPER_MSG_LIST, do_list, true},
    {KEEPER_MSG_STEP, do_step, true},
    {KEEPER_MSG_WORKER, do_worker, true},
    {KEEPER_MSG_WORKER_KILL, do_worker_kill, false},
    {KEEPER_MSG_LISTEN, do_listen, true},
    {KEEPER_MSG_HTTP01, do_http01, true},
    {KEEPER_MSG_CANCEL, do_cancel, false},
};

int services_request(struct services *s, const struct frame_head *h, const union keeper_msg *m)
{
    if (tasks_message(s->ca_tasks, (enum keeper_msg_type)h->type, m) == 0)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (table[i].type != h->type)
            continue;
        if (table[i].answered && (h->id == 0 || s->n_tasks >= TASKS_MAX || task_find(s, h->id)))
            return -1;
        return table[i].run(s, h->id, m);
    }
    return -1;
}

void services_reset(struct services *s)
{
    list_each(it, &s->tasks) list_item(it, struct task, node)->wants_key = false;
    while (!list_empty(&s->tasks))
        task_cancel(list_item(s->tasks.next, struct task, node));
    tasks_lost(s->ca_tasks);
    rehearsals_clear(s->rehearsals);
    workers_reset(s->workers);
}

struct services_parts services_parts(const struct services *s)
{
    return (struct services_parts){.conf = s->conf,
                                   .accounts = s->accounts,
                                   .account_keys = s->account_keys,
                                   .tasks = s->ca_tasks,
                                   .pendings = s->pendings};
}

bool services_busy(const struct services *s, const char *cert)
{
    return map_get(s->busy, cert) != NULL;
}

void services_free(struct services *s)
{
    if (!s)
        return;
    services_reset(s);
    disk_free(s->disk);
    while (!list_empty(&s->orphans))
        task_free(list_item(s->orphans.next, struct task, node));
    map_free(s->busy);
    rehearsals_free(s->rehearsals);
    steps_free(s->steps);
    workers_free(s->workers);
    webroots_free(s->webroots);
    account_keys_free(s->account_keys);
    tasks_free(s->ca_tasks);
    accounts_free(s->accounts);
    pendings_free(s->pendings);
    cert_cache_free(s->cache);
    conf_unref(s->conf);
    free(s);
}
