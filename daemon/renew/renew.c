/* SPDX-License-Identifier: ISC */
#include "renew/renew.h"
#include "base/mem.h"
#include "base/str.h"
#include "dns/checks.h"
#include "renew/flow.h"
#include "renew/outcome.h"
#include "renew/persist_watch.h"
#include "renew/poll.h"
#include "renew/prove.h"
#include "renew/rehearse.h"

#include <stdlib.h>
#include <string.h>

static void on_cleaned(void *arg)
{
    renew_something_ended(arg);
}

static bool more_soon(void *arg)
{
    struct renew *r = arg;
    return scheduler_running(r->scheduler) > 0 || r->records > 0;
}

struct renew *renew_new(const struct renew_env *env)
{
    static const struct scheduler_handler handler = {flow_due, flow_start};
    struct renew *r = xnew(struct renew);
    r->env = *env;
    r->by_name = map_new();
    r->texts = map_new();
    list_init(&r->polls);
    list_init(&r->watches);
    list_init(&r->rehearsals);
    list_init(&r->explains);
    limits_init(&r->limits);
    pauses_init(&r->pauses);
    r->scheduler = scheduler_new(env->loop, RENEW_JOBS_AT_ONCE, &handler, r);
    const struct deployer_env deployer = {env->loop, env->rng,  env->keeper,
                                          env->http, more_soon, r};
    r->deployer = deployer_new(&deployer);
    const struct prove_env prove = {
        .loop = env->loop,
        .log = env->log,
        .rng = env->rng,
        .store = env->store,
        .keeper = env->keeper,
        .publisher = env->publisher,
        .responders = env->responders,
        .dns = env->dns,
        .http = env->http,
    };
    r->prover = prover_new(&prove);
    r->jobs = (struct job_env){
        .loop = env->loop,
        .log = env->log,
        .keeper = env->keeper,
        .acme = env->acme,
        .prover = r->prover,
        .preflights = &r->preflights,
        .cleaned = on_cleaned,
        .arg = r,
    };
    list_init(&r->jobs.cleanings);
    list_init(&r->aheads);
    r->preflights = (struct preflight_env){
        .loop = env->loop,
        .checks = env->checks,
        .acme = env->acme,
        .keeper = env->keeper,
        .publisher = env->publisher,
        .providers = env->providers,
        .store = env->store,
    };
    return r;
}

static void cert_end(struct cert *c, bool abandon)
{
    keeper_cancel(c->renew->env.keeper, c->asking);
    flow_stop(c, abandon);
    cert_done(c);
    free(c);
}

void renew_free(struct renew *r)
{
    if (!r)
        return;
    keeper_cancel(r->env.keeper, r->list);
    store_cancel(r->env.store, r->load);
    defer_cancel(&r->ready_defer);
    defer_cancel(&r->ended);
    timer_cancel(&r->stop_timer);
    rehearse_drop(r);
    for (size_t i = 0; i < r->n; i++)
        cert_end(r->certs[i], false);
    free(r->certs);
    deployer_free(r->deployer);
    scheduler_free(r->scheduler);
    limits_done(&r->limits);
    pauses_done(&r->pauses);
    prover_free(r->prover);
    job_env_done(&r->jobs);
    renew_explain_drop(r);
    renew_watches_drop(r);
    map_free(r->by_name);
    texts_free(r->texts);
    conf_unref(r->next_conf);
    conf_unref(r->conf);
    free(r);
}

/* ---- the inventory ---- */

static struct cert *cert_new(struct renew *r, const struct conf_cert *conf)
{
    struct cert *c = xnew(struct cert);
    cert_init(c, r, conf);
    map_put(r->by_name, conf->name, c);
    return c;
}

static void set_conf(struct renew *r, struct conf *conf)
{
    checks_clear(r->env.checks);
    conf_ref(conf);
    conf_unref(r->conf);
    r->conf = conf;
}

static void call_ready(void *arg)
{
    struct renew *r = arg;
    static const struct err none = ERR_INIT;
    void (*ready)(void *, const struct err *) = r->ready;
    r->ready = NULL;
    if (ready)
        ready(r->ready_arg, &none);
}

static void start_failed(struct renew *r, const struct err *err)
{
    void (*ready)(void *, const struct err *) = r->ready;
    r->ready = NULL;
    r->phase = RENEW_NEW;
    if (ready)
        ready(r->ready_arg, err);
}

/* What will be taken up at once may keep its records. */
static bool goes_on_now(const struct cert *c, int64_t now_ms)
{
    return c->order && c->order->url[0] && c->conf->enabled && !c->st.blocked &&
           c->st.retry_ms <= now_ms;
}

static void recover_records(struct renew *r)
{
    const char **keep = xcalloc(r->n + 1, sizeof(*keep));
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++) {
        if (goes_on_now(r->certs[i], renew_now(r)))
            keep[n++] = r->certs[i]->order->url;
    }
    prover_recover(r->prover, keep, n);
    free(keep);
}

static void check_clock(struct renew *r)
{
    struct log_ctx log = {r->env.log, NULL};
    char now[32];
    if (renew_now(r) >= POLICY_EPOCH)
        return;
    log_warn(&log, "the clock says %s, which cannot be: nothing is renewed until it has been set",
             str_from_time(renew_now(r), now, sizeof(now)));
    scheduler_hold_until(r->scheduler, POLICY_EPOCH);
}

static void reconfigure(struct renew *r, struct conf *conf);

static void started(struct renew *r)
{
    for (size_t i = 0; i < r->n; i++) {
        struct cert *c = r->certs[i];
        if (c->order && c->in.present && c->in.names_match &&
            !str_eq(c->in.fingerprint, c->order->was))
            outcome_adopt_order(c);
    }
    r->phase = RENEW_RUNNING;
    check_clock(r);
    recover_records(r);
    poll_spread(r);
    for (size_t i = 0; i < r->n; i++)
        flow_plan(r->certs[i]);
    struct conf *next = r->next_conf;
    r->next_conf = NULL;
    if (next)
        reconfigure(r, next);
    conf_unref(next);
    call_ready(r);
}

/* "cert/NAME/WHAT" */
static struct cert *cert_of_key(struct renew *r, const char *key, const char **ret_what)
{
    const char *name = key + strlen("cert/"), *slash = strrchr(name, '/');
    if (!slash)
        return NULL;
    CLEANUP_FREE char *copy = xstrndup(name, (size_t)(slash - name));
    *ret_what = slash + 1;
    return map_get(r->by_name, copy);
}

static void read_item(struct renew *r, const struct store_item *item)
{
    const char *what;
    struct err e = ERR_INIT;
    struct cert *c = cert_of_key(r, item->key, &what);
    if (!c)
        return;
    CLEANUP_JSON struct json *j = json_parse(item->value, item->len, &e);
    if (!j) {
        struct log_ctx log = renew_log(c);
        log_warn(&log, "%s in the state store cannot be read and is left out: %s", item->key,
                 e.detail);
    } else if (str_eq(what, "state")) {
        cert_state_read(c, j);
    } else if (str_eq(what, "order")) {
        cert_order_free(c->order);
        c->order = cert_order_read(j);
    } else if (str_eq(what, "deploy")) {
        flow_resume_deploy(c, j);
    }
}

/* A part of what the store holds. */
static bool was_loaded(struct renew *r, const struct err *err)
{
    r->load = NULL;
    if (!err_is(err))
        return true;
    start_failed(r, err);
    return false;
}

/* Those that are of no use any more go. */
static void on_budgets(void *arg, const struct store_item *items, size_t n, const struct err *err)
{
    struct renew *r = arg;
    if (!was_loaded(r, err))
        return;
    for (size_t i = 0; i < n; i++)
        if (!budgets_read(r->limits.budgets, &items[i], renew_now(r)))
            store_delete(r->env.store, items[i].key, NULL, NULL);
    started(r);
}

static void on_pauses(void *arg, const struct store_item *items, size_t n, const struct err *err)
{
    struct renew *r = arg;
    if (!was_loaded(r, err))
        return;
    for (size_t i = 0; i < n; i++)
        pauses_read(&r->pauses, &items[i]);
    r->load = store_list(r->env.store, "budget/", on_budgets, r);
}

static void on_loaded(void *arg, const struct store_item *items, size_t n, const struct err *err)
{
    struct renew *r = arg;
    if (!was_loaded(r, err))
        return;
    for (size_t i = 0; i < n; i++)
        if (persist_watch_stale(r->conf, &items[i], renew_now(r)))
            store_delete(r->env.store, items[i].key, NULL, NULL);
        else
            read_item(r, &items[i]);
    r->load = store_list(r->env.store, "pause/", on_pauses, r);
}

static void on_listed(void *arg, const struct keeper_installed *i, const struct err *err)
{
    struct renew *r = arg;
    if (i) {
        struct cert *c = i->cert ? map_get(r->by_name, i->cert) : NULL;
        if (c && !err_is(err)) {
            cert_set_installed(c, i, r->texts);
            return;
        }
        if (!err_is(err))
            return;
    }
    r->list = NULL;
    if (err_is(err))
        start_failed(r, err);
    else
        r->load = store_list(r->env.store, "cert/", on_loaded, r);
}

static void start(struct renew *r, struct conf *conf)
{
    set_conf(r, conf);
    r->phase = RENEW_STARTING;
    for (size_t i = 0; i < r->n; i++)
        cert_end(r->certs[i], false);
    map_free(r->by_name);
    r->by_name = map_new();
    free(r->certs);
    r->n = conf->n_certs;
    r->certs = xcalloc(r->n + 1, sizeof(*r->certs));
    for (size_t i = 0; i < r->n; i++)
        r->certs[i] = cert_new(r, &conf->certs[i]);
    r->list = r->env.keeper->ops->list(r->env.keeper, on_listed, r);
}

/* ---- another generation ---- */

static void on_installed(void *arg, const struct keeper_installed *i, const struct err *err)
{
    struct cert *c = arg;
    char text[700];
    c->asking = NULL;
    if (err_is(err)) {
        struct log_ctx log = renew_log(c);
        log_warn(&log, "what is installed is not known: %s", err_text(err, text, sizeof(text)));
    } else if (i) {
        cert_set_installed(c, i, c->renew->texts);
    }
    flow_plan(c);
}

static void ask_installed(struct cert *c)
{
    struct keeper *k = c->renew->env.keeper;
    keeper_cancel(k, c->asking);
    c->asking = k->ops->installed(k, c->conf->name, on_installed, c);
}

/* What runs is for names that are no longer wanted. */
static void names_changed(struct cert *c)
{
    struct renew *r = c->renew;
    outcome_forget(c);
    job_abandon(c->job);
    c->job = NULL;
    scheduler_done(r->scheduler, &c->item);
    if (c->order)
        outcome_record(c, RECORD_NO_ORDER, NULL);
    flow_drop_order(c);
    c->st.issued_ms = 0;
    c->st.blocked = false;
    ask_installed(c);
}

static void forget_cert(struct cert *c)
{
    static const char *const keys[] = {"state", "order", "deploy"};
    struct renew *r = c->renew;
    struct store_op ops[ARRAY_LEN(keys)];
    char *texts[ARRAY_LEN(keys)];
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        texts[i] = cert_key(c->conf->name, keys[i]);
        ops[i] = (struct store_op){.key = texts[i], .expected = STORE_ANY};
    }
    store_batch(r->env.store, ops, ARRAY_LEN(ops), NULL, NULL);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        free(texts[i]);
    map_remove(r->by_name, c->conf->name);
    cert_end(c, true);
}

static struct cert *take_over(struct renew *r, const struct conf_cert *conf)
{
    struct cert *c = map_get(r->by_name, conf->name);
    if (!c) {
        c = cert_new(r, conf);
        ask_installed(c);
    } else {
        bool changed = cert_names_hash(c->conf) != cert_names_hash(conf);
        c->conf = conf;
        if (changed)
            names_changed(c);
        flow_reconfigured(c);
    }
    c->seen = true;
    return c;
}

static void reconfigure(struct renew *r, struct conf *conf)
{
    struct conf *old = conf_ref(r->conf);
    struct cert **certs = xcalloc(conf->n_certs + 1, sizeof(*certs));
    set_conf(r, conf);
    for (size_t i = 0; i < conf->n_certs; i++)
        certs[i] = take_over(r, &conf->certs[i]);
    for (size_t i = 0; i < r->n; i++) {
        if (!r->certs[i]->seen)
            forget_cert(r->certs[i]);
    }
    free(r->certs);
    r->certs = certs;
    r->n = conf->n_certs;
    conf_unref(old);
    poll_spread(r);
    for (size_t i = 0; i < r->n; i++) {
        certs[i]->seen = false;
        flow_plan(certs[i]);
    }
}

void renew_configure(struct renew *r, struct conf *c,
                     void (*ready)(void *arg, const struct err *err), void *arg)
{
    r->ready = ready;
    r->ready_arg = arg;
    if (r->phase == RENEW_NEW) {
        start(r, c);
    } else if (r->phase == RENEW_STARTING) {
        conf_unref(r->next_conf);
        r->next_conf = conf_ref(c);
    } else {
        reconfigure(r, c);
        loop_defer(r->env.loop, &r->ready_defer, call_ready, r);
    }
}

/* ---- the end ---- */

static bool once_has_ended(const struct renew *r)
{
    if (!list_empty(&r->jobs.cleanings) || r->polling || r->records)
        return false;
    for (size_t i = 0; i < r->n; i++) {
        if (r->certs[i]->once || flow_busy(r->certs[i]))
            return false;
    }
    return true;
}

static bool all_has_stopped(const struct renew *r)
{
    for (size_t i = 0; i < r->n; i++) {
        if (flow_busy(r->certs[i]))
            return false;
    }
    return true;
}

static void call_stopped(void *arg)
{
    struct renew *r = arg;
    void (*stopped)(void *) = r->stopped;
    timer_cancel(&r->stop_timer);
    r->stopped = NULL;
    if (stopped)
        stopped(r->stopped_arg);
}

static void look_for_end(void *arg)
{
    struct renew *r = arg;
    if (r->phase == RENEW_STOPPING) {
        if (r->stopped && all_has_stopped(r))
            call_stopped(r);
        return;
    }
    if (!r->once || rehearse_busy(r) || !once_has_ended(r))
        return;
    void (*once)(void *, unsigned) = r->once;
    r->once = NULL;
    once(r->once_arg, r->once_failed);
}

void renew_something_ended(struct renew *r)
{
    if (r->once || r->phase == RENEW_STOPPING)
        loop_defer(r->env.loop, &r->ended, look_for_end, r);
}

void renew_once(struct renew *r, void (*done)(void *arg, unsigned failed), void *arg)
{
    r->once = done;
    r->once_arg = arg;
    for (size_t i = 0; i < r->n; i++) {
        scheduler_forget(r->scheduler, &r->certs[i]->item);
        r->certs[i]->once = ONCE_POLL;
    }
    for (size_t i = 0; i < r->n; i++)
        flow_once(r->certs[i]);
    renew_something_ended(r);
}

static void stop_cert(struct cert *c)
{
    struct renew *r = c->renew;
    keeper_cancel(r->env.keeper, c->asking);
    c->asking = NULL;
    if (c->deploy)
        deploy_stop(c->deploy);
    bool goes_on = (c->job && !job_resumable(c->job)) || (c->recording && !c->job) ||
                   (c->deploy && deploy_running(c->deploy));
    if (!goes_on)
        flow_stop(c, false);
    else
        poll_cancel(c);
}

void renew_stop(struct renew *r, int64_t limit_ms, void (*done)(void *arg), void *arg)
{
    r->stopped = done;
    r->stopped_arg = arg;
    r->phase = RENEW_STOPPING;
    keeper_cancel(r->env.keeper, r->list);
    r->list = NULL;
    store_cancel(r->env.store, r->load);
    r->load = NULL;
    scheduler_stop(r->scheduler);
    rehearse_drop(r);
    for (size_t i = 0; i < r->n; i++)
        stop_cert(r->certs[i]);
    timer_after(r->env.loop, &r->stop_timer, limit_ms, call_stopped, r);
    loop_defer(r->env.loop, &r->ended, look_for_end, r);
}

bool renew_alive(const struct renew *r)
{
    return scheduler_alive(r->scheduler);
}

/* ---- asked for ---- */

static struct cert *wanted(struct renew *r, const char *name, struct err *e)
{
    struct cert *c = map_get(r->by_name, name);
    if (!c) {
        err_set(e, ERR_CONFIG, "there is no certificate named %s", name);
        return NULL;
    }
    if (r->phase != RENEW_RUNNING) {
        err_set(e, ERR_TRANSIENT, "the daemon is starting or stopping: try again in a moment");
        return NULL;
    }
    if (!c->conf->enabled) {
        err_set(e, ERR_CONFIG, "%s is disabled (enabled: false)", name);
        return NULL;
    }
    return c;
}

int renew_start(struct renew *r, const char *name, unsigned flags, struct err *e)
{
    struct flow_next next;
    struct cert *c = wanted(r, name, e);
    if (!c)
        return -1;
    if (c->job || c->item.lane || c->recording)
        return 0;
    flow_next(c, &next);
    char paused[200];
    if (!(flags & RENEW_FORCE) && !c->st.revoked_ms && pause_since(c, paused, sizeof(paused))) {
        err_set(e, ERR_DENIED, "%s; --force renews all the same", paused);
        if (e)
            str_copy(e->type, sizeof(e->type), "not-due");
        return -1;
    }
    bool waits = c->st.error || c->order || !c->in.present || c->st.revoked_ms;
    if (!(flags & RENEW_FORCE) && !waits && (!next.at_ms || next.at_ms > renew_now(r))) {
        char at[32];
        err_set(e, ERR_DENIED, "not due before %s (%s); --force renews all the same",
                str_from_time(next.at_ms, at, sizeof(at)), next.why);
        if (e)
            str_copy(e->type, sizeof(e->type), "not-due");
        return -1;
    }
    flow_force(c);
    return 0;
}

int renew_deploy(struct renew *r, const char *name, struct err *e)
{
    struct cert *c = wanted(r, name, e);
    if (!c)
        return -1;
    if (!c->in.present)
        return err_set(e, ERR_CONFIG, "%s has no certificate yet: nothing to deploy", name);
    if (!c->conf->n_deployments)
        return err_set(e, ERR_CONFIG, "%s has no deployment (deploy: in its configuration)", name);
    if (c->job || c->item.lane || c->recording)
        return err_set(e, ERR_TRANSIENT, "%s is being renewed, and is deployed after that", name);
    flow_deploy_all(c);
    return 0;
}
