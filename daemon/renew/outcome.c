/* SPDX-License-Identifier: ISC */
#include "renew/outcome.h"
#include "base/mem.h"
#include "base/str.h"
#include "renew/announce.h"
#include "renew/flow.h"
#include "renew/history.h"
#include "renew/poll.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the store ---- */

#define OPS (8 + LIMITS_WRITES)

struct batch {
    struct store_op ops[OPS];
    char *texts[2 * OPS]; /* keys and values to be freed */
    size_t n, n_texts;
};

static void add(struct batch *b, char *key, char *value)
{
    b->texts[b->n_texts++] = key;
    if (value)
        b->texts[b->n_texts++] = value;
    b->ops[b->n++] = (struct store_op){
        .key = key,
        .value = value,
        .len = value ? strlen(value) : 0,
        .expected = STORE_ANY,
    };
}

static void fill(struct batch *b, const struct cert *c, unsigned what)
{
    const char *name = c->conf->name;
    if (what & RECORD_STATE)
        add(b, cert_key(name, "state"), cert_state_text(c));
    if (what & RECORD_NO_ORDER)
        add(b, cert_key(name, "order"), NULL);
    if ((what & RECORD_ORDER) && c->order)
        add(b, cert_key(name, "order"), cert_order_text(c->order));
    if (what & RECORD_DEPLOY)
        add(b, cert_key(name, "deploy"),
            c->deploy && !deploy_complete(c->deploy) ? deploy_text(c->deploy) : NULL);
    if ((what & RECORD_HISTORY) && c->history)
        add(b, history_key(name, c->st.runs), history_text(c->history));
}

static void add_writes(struct batch *b, const struct budget_write *writes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        add(b, writes[i].key, writes[i].value);
}

/* An order that is about to be made counts; as durable as that it is made. */
static void fill_taken(struct batch *b, struct cert *c)
{
    struct budget_write writes[LIMITS_WRITES];
    const struct conf_ca *ca = conf_find_ca(c->renew->conf, c->order->ca);
    if (ca)
        add_writes(b, writes, limits_take(c, ca, writes));
}

/* May come after the end of everything but the log. */
static void on_background(void *arg, const struct err *err)
{
    struct log_ctx log = {arg, NULL};
    char text[700];
    if (err_is(err))
        log_error(&log, "the state store cannot be written: %s", err_text(err, text, sizeof(text)));
}

static void free_texts(struct batch *b)
{
    for (size_t i = 0; i < b->n_texts; i++)
        free(b->texts[i]);
}

void outcome_record(struct cert *c, unsigned what, store_write_fn *done)
{
    struct renew *r = c->renew;
    struct log *log = (struct log *)r->env.log; /* only read */
    struct batch b;
    b.n = b.n_texts = 0;
    fill(&b, c, what);
    if (what & RECORD_TAKEN)
        fill_taken(&b, c);
    if (done)
        c->recording = store_batch(r->env.store, b.ops, b.n, done, c);
    else if (b.n)
        store_batch(r->env.store, b.ops, b.n, on_background, log);
    free_texts(&b);
}

/* How an attempt that has begun at a CA has ended there. */
static void settle(struct cert *c, const char *ca_name, const struct job_result *res)
{
    static const struct err none = ERR_INIT;
    const struct conf_ca *ca = conf_find_ca(c->renew->conf, ca_name);
    struct budget_write writes[LIMITS_WRITES];
    struct batch b;
    if (!ca)
        return;
    if ((res->at_ca || res->err->cls == ERR_NONE) &&
        limits_note(c, ca, res->at_ca ? res->err : &none))
        flow_leave_ca(c->renew);
    if (res->err->cls == ERR_NONE)
        return;
    b.n = b.n_texts = 0;
    add_writes(&b, writes, limits_give_back(c, ca, res->err, writes));
    if (b.n)
        store_batch(c->renew->env.store, b.ops, b.n, on_background,
                    (struct log *)c->renew->env.log);
    free_texts(&b);
}

void outcome_forget(struct cert *c)
{
    if (c->recording && !c->job)
        c->renew->records--;
    store_cancel(c->renew->env.store, c->recording);
    c->recording = NULL;
}

void flow_save(struct cert *c)
{
    outcome_record(c, RECORD_STATE, NULL);
}

/* ---- runs ---- */

void outcome_run_began(struct cert *c)
{
    c->running = true;
    c->since_ms = renew_now(c->renew);
}

void outcome_waits(struct cert *c, const char *text)
{
    if (str_eq(c->waiting ? c->waiting : "", text))
        return;
    free(c->waiting);
    c->waiting = *text ? xstrdup(text) : NULL;
    c->since_ms = renew_now(c->renew);
}

static void run_finished(struct cert *c, const char *text, const struct err *err)
{
    static const struct err none = ERR_INIT;
    outcome_waits(c, "");
    c->since_ms = renew_now(c->renew);
    history_free(c->history);
    c->history = NULL;
    if (!c->running)
        return;
    c->running = false;
    renew_tell_finished(c, text, err ? err : &none);
}

static void what_next(struct cert *c)
{
    if (c->renew->once)
        flow_once(c);
    else
        flow_plan(c);
    renew_something_ended(c->renew);
}

/* ---- an order ---- */

static void on_step(void *arg, const char *state, const char *text)
{
    struct cert *c = arg;
    char line[600];
    history_step(c->history, renew_now(c->renew), state, text);
    snprintf(line, sizeof(line), "%s%s%s", state, *text ? ": " : "", text);
    outcome_waits(c, line);
    renew_tell(c, line);
}

static void on_note(void *arg, const char *state, const char *text)
{
    struct cert *c = arg;
    char line[600];
    history_note(c->history, renew_now(c->renew), state, text);
    snprintf(line, sizeof(line), "%s: %s", state, text);
    if (str_eq(c->waiting, line))
        return;
    outcome_waits(c, line);
    renew_tell(c, line);
}

static void on_order_stored(void *arg, const struct err *err)
{
    struct cert *c = arg;
    c->recording = NULL;
    job_stored(c->job, err);
}

static void set_order(struct cert *c, const char *url, const char *ca)
{
    cert_order_free(c->order);
    c->order =
        cert_order_new(url, ca, c->in.fingerprint, cert_names_hash(c->conf), renew_now(c->renew));
}

static void on_intended(void *arg, const struct err *err)
{
    struct cert *c = arg;
    c->recording = NULL;
    job_intended(c->job, err);
}

void outcome_intend_order(struct cert *c, const char *ca)
{
    set_order(c, "", ca);
    outcome_record(c, RECORD_ORDER | RECORD_TAKEN, on_intended);
}

static void on_created(void *arg, const char *url)
{
    struct cert *c = arg;
    const struct conf_ca *ca = conf_find_ca(c->renew->conf, job_ca(c->job));
    set_order(c, url, job_ca(c->job));
    if (ca)
        limits_note(c, ca, NULL);
    history_order(c->history, url);
    outcome_record(c, RECORD_ORDER, on_order_stored);
}

static void on_gone(void *arg)
{
    struct cert *c = arg;
    outcome_intend_order(c, job_ca(c->job));
    history_step(c->history, renew_now(c->renew), "ORDER",
                 "the CA no longer knows the order that was under way: a new one");
}

static void no_failure(struct cert_state *s)
{
    s->failures = s->ca_failures = s->ca = s->looks = 0;
    s->blocked = false;
    s->failed_ms = s->retry_ms = 0;
}

static void on_refused(void *arg, const char *name, enum conf_challenge type)
{
    struct cert *c = arg;
    char line[400];
    cert_refused(c, name, 1u << type);
    snprintf(line, sizeof(line), "the CA found %s wrong for %s", conf_challenge_name(type), name);
    history_step(c->history, renew_now(c->renew), "ANSWERED", line);
}

static void issued(struct cert *c)
{
    no_failure(&c->st);
    cert_refused_clear(c);
    cert_set_error(c, NULL);
    c->st.issued_ms = renew_now(c->renew);
    c->st.churn = c->premature ? c->st.churn + 1 : 0;
    c->premature = c->forced = c->counted = false;
    c->announce = true;
}

void outcome_deploy_new(struct cert *c)
{
    struct renew *r = c->renew;
    if (c->deploy) {
        deploy_renewed(c->deploy, c->in.fingerprint, cert_lifetime(c));
        return;
    }
    if (!c->conf->n_deployments || !c->in.present)
        return;
    const struct deploy_spec spec = {r->conf, c->conf, c->in.fingerprint, cert_lifetime(c)};
    c->deploy = deploy_new(r->deployer, &spec, &outcome_of_deploy, c);
}

static void on_installed(void *arg, const struct keeper_installed *i)
{
    struct cert *c = arg;
    cert_set_installed(c, i, c->renew->texts);
    issued(c);
    outcome_deploy_new(c);
}

static void on_recorded(void *arg, const struct err *err)
{
    struct cert *c = arg;
    struct renew *r = c->renew;
    c->recording = NULL;
    r->records--;
    on_background((struct log *)r->env.log, err);
    if (!poll_next_ms(c))
        announce(c);
    if (c->deploy && r->phase != RENEW_STOPPING) {
        outcome_run_began(c);
        deploy_run(c->deploy, true);
    } else {
        run_finished(c, "renewed", NULL);
    }
    if (c->once)
        c->once = ONCE_LAST;
    if (!scheduler_running(r->scheduler) && !r->records)
        deployer_hurry(r->deployer);
    what_next(c);
}

static void succeeded(struct cert *c)
{
    struct flow_next next;
    flow_next(c, &next);
    history_end(c->history, renew_now(c->renew), "renewed", NULL, next.at_ms);
    c->renew->records++;
    outcome_record(c, RECORD_STATE | RECORD_NO_ORDER | RECORD_DEPLOY | RECORD_HISTORY, on_recorded);
}

/* Counts the failure; true when the next attempt goes to another CA: after so many, or at once when
 * this one wants to be left alone for long. */
static bool count_failure(struct cert *c, const struct err *err, bool at_ca)
{
    struct cert_state *s = &c->st;
    const struct conf_cert *conf = c->conf;
    bool long_wait = err->retry_at > s->failed_ms + POLICY_HOUR;
    s->failures += s->failures < UINT32_MAX;
    if (!at_ca)
        return false;
    s->ca_failures += s->ca_failures < UINT32_MAX;
    if (conf->cas.n < 2 || (s->ca_failures < conf->fallback_after && !long_wait))
        return false;
    s->ca = (s->ca + 1) % (unsigned)conf->cas.n;
    s->ca_failures = 0;
    return true;
}

/* As long as there are CAs that have not had their turn, none is waited for by the day. */
static void plan_retry(struct cert *c, const struct err *err, bool at_ca, bool next_ca)
{
    struct renew *r = c->renew;
    struct err e = *err;
    unsigned n = c->st.failures;
    uint64_t round = (uint64_t)c->conf->cas.n * c->conf->fallback_after;
    if (c->conf->cas.n > 1 && at_ca && n <= round) {
        n = next_ca ? 1 : c->st.ca_failures;
        if (e.cls == ERR_DENIED)
            e.cls = ERR_TRANSIENT;
    }
    if (next_ca)
        e.retry_at = 0;
    c->st.retry_ms = policy_retry_at(renew_now(r), &e, n, cert_lifetime(c), r->env.rng);
}

void outcome_blocked(struct cert *c, const struct err *err)
{
    struct renew *r = c->renew;
    cert_set_error(c, err);
    c->st.blocked = true;
    c->st.looks += c->st.looks < UINT32_MAX;
    c->st.retry_ms = renew_now(r) + policy_look_after(c->st.looks, r->env.rng);
}

/* Someone wanted it who will see that it failed; the installed one is good until it is due. */
static void forget_failure(struct cert *c)
{
    flow_drop_order(c);
    no_failure(&c->st);
    cert_set_error(c, NULL);
}

static void failed(struct cert *c, const struct job_result *res)
{
    struct renew *r = c->renew;
    struct err err;
    bool next_ca = false, needed = !c->forced || flow_is_due(c);
    c->forced = c->premature = false;
    c->st.failed_ms = renew_now(r);
    if (res->err->cls == ERR_BLOCKED) {
        c->st.looks = 0;
        outcome_blocked(c, res->err);
        announce_blocked(c);
    } else {
        cert_set_error(c, res->err);
        c->st.blocked = false;
        next_ca = count_failure(c, res->err, res->at_ca);
        plan_retry(c, res->err, res->at_ca, next_ca);
        announce_failure(c, next_ca, needed);
    }
    c->st.error->retry_at = c->st.retry_ms;
    err = *c->st.error;
    const char *outcome = c->st.blocked ? "blocked" : "failed";
    history_end(c->history, c->st.failed_ms, outcome, &err, needed ? c->st.retry_ms : 0);
    if (!needed)
        forget_failure(c);
    outcome_record(c, RECORD_STATE | RECORD_HISTORY | (c->order ? 0 : RECORD_NO_ORDER), NULL);
    if (c->once) {
        c->once = ONCE_LAST;
        r->once_failed++;
    }
    run_finished(c, outcome, &err);
    what_next(c);
}

static void on_ended(void *arg, const struct job_result *res)
{
    struct cert *c = arg;
    struct renew *r = c->renew;
    struct job_result result = *res;
    struct err err = *res->err;
    result.err = &err;
    outcome_forget(c); /* of this job, which ends before it was told */
    settle(c, job_ca(c->job), &result);
    if (res->drop_order) {
        cert_order_free(c->order);
        c->order = NULL;
    }
    job_free(c->job);
    c->job = NULL;
    scheduler_done(r->scheduler, &c->item);
    outcome_waits(c, "");
    if (err.cls == ERR_NONE)
        succeeded(c);
    else
        failed(c, &result);
    if (!scheduler_running(r->scheduler) && !r->records)
        deployer_hurry(r->deployer);
}

const struct job_handler outcome_of_job = {
    .step = on_step,
    .note = on_note,
    .created = on_created,
    .gone = on_gone,
    .refused = on_refused,
    .installed = on_installed,
    .ended = on_ended,
};

void outcome_adopt_order(struct cert *c)
{
    cert_order_free(c->order);
    c->order = NULL;
    issued(c);
    outcome_deploy_new(c);
    outcome_record(c, RECORD_STATE | RECORD_NO_ORDER | RECORD_DEPLOY, NULL);
}

/* ---- a deployment ---- */

static void on_deploy_note(void *arg, const char *text)
{
    struct cert *c = arg;
    char line[700];
    struct log_ctx log = renew_log(c);
    snprintf(line, sizeof(line), "DEPLOY: %s", text);
    log_debug(&log, "%s", line);
    if (!c->job) {
        history_step(c->history, renew_now(c->renew), "DEPLOY", text);
        outcome_waits(c, line);
    }
    renew_tell(c, line);
}

static void on_deploy_save(void *arg)
{
    struct cert *c = arg;
    if (!deploy_complete(c->deploy))
        outcome_record(c, RECORD_DEPLOY, NULL);
}

static void deploy_ended(struct cert *c, const char *outcome, const struct err *err)
{
    struct renew *r = c->renew;
    if (c->job || c->recording) {
        outcome_record(c, RECORD_DEPLOY, NULL);
        return;
    }
    history_end(c->history, renew_now(r), outcome, err, err ? deploy_next_ms(c->deploy) : 0);
    outcome_record(c, RECORD_DEPLOY | RECORD_HISTORY, NULL);
    run_finished(c, outcome, err);
}

static void on_deploy_idle(void *arg)
{
    struct cert *c = arg;
    struct renew *r = c->renew;
    if (deploy_complete(c->deploy)) {
        if (c->running)
            announce_deployed(c);
        deploy_free(c->deploy);
        c->deploy = NULL;
        deploy_ended(c, "deployed", NULL);
    } else {
        const struct err *failure = deploy_error(c->deploy);
        struct err err = ERR_INIT;
        if (failure)
            err = *failure;
        if (failure && c->running) {
            announce_deploy_failed(c, &err);
            r->once_failed += c->once != ONCE_OFF;
        }
        err.retry_at = deploy_next_ms(c->deploy);
        deploy_ended(c, "deployment failed", failure ? &err : NULL);
    }
    what_next(c);
}

const struct deploy_handler outcome_of_deploy = {
    .note = on_deploy_note,
    .save = on_deploy_save,
    .idle = on_deploy_idle,
};
