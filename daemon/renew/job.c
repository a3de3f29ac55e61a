/* SPDX-License-Identifier: ISC */
/*
 *   PREPARE -> ACCOUNT -> ORDER ---------> PUBLISH -> ANSWERED -> INSTALL -> CLEAN -> END
 *      ^                  |  | \________________________________/ ^             ^
 *      |  order is gone   |  |  nothing to prove                                |
 *      `------------------'  `-- any failure, in any state ---------------------'
 *
 *   PREPARE   the keeper makes the pending key (or keeps it, when an order is taken up); meanwhile
 *             the owner makes durable that an order will be asked for, and a preflight looks for
 *             what would make a new order fail for certain
 *   ACCOUNT   only when the installed certificate may be named as replaced: which account are we?
 *   ORDER     acme/ makes, finds or takes up the order; its URL is durable before it goes on
 *   PUBLISH   all challenges are met and waited for (prove.h); again, when the CA finds some wrong
 *             and takes another type
 *   ANSWERED  the CA validates, issues; records go as soon as it has looked
 *   INSTALL   the keeper checks and switches
 *   CLEAN     is always reached; waits for the removal of records only after a failure
 */
#include "renew/job.h"
#include "base/mem.h"
#include "base/str.h"
#include "renew/policy.h"
#include "renew/preflight.h"
#include "renew/prove.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ACTIVATIONS 64u
#define HISTORY_LINE 512
#define WARNINGS_TOLD 4u

enum state { PREPARE, ACCOUNT, ORDER, PUBLISH, ANSWERED, INSTALL, CLEAN, END, STATES };
enum event {
    EV_PREPARED,
    EV_INTENDED,
    EV_CLEARED, /* by the preflight */
    EV_ACCOUNT,
    EV_CREATED,
    EV_STORED,
    EV_CHALLENGES,
    EV_READY,
    EV_ANSWERED,
    EV_CHAIN,
    EV_INSTALLED,
    EV_CLEANED,
    EV_FAILED, /* job.err */
    EV_TIMEOUT
};

enum verdict_kind { V_WAIT, V_NEXT, V_RETRY, V_FAIL };
struct verdict {
    enum verdict_kind kind;
    enum state next; /* of V_NEXT, V_RETRY */
};
#define WAIT ((struct verdict){V_WAIT, END})
#define NEXT(s) ((struct verdict){V_NEXT, (s)})
#define RETRY(s) ((struct verdict){V_RETRY, (s)})
#define FAIL ((struct verdict){V_FAIL, CLEAN})

struct row {
    const char *name;
    struct verdict (*enter)(struct job *j);
    struct verdict (*event)(struct job *j, enum event ev);
    int64_t timeout_ms;
    const char *doing; /* for errors */
};

/* The removal of one order's records; may outlive the job. */
struct cleaning {
    struct list node; /* in job_env.cleanings */
    struct job_env *env;
    struct job *job; /* NULL: has ended */
    char *cert;
};

struct job {
    struct job_env *env;
    struct conf *conf;
    const struct conf_cert *cert;
    char *ca, *order_url, *replaces_by;
    struct job_handler handler;
    void *arg;
    enum state state;
    unsigned activations;
    int64_t longest_wait_ms;
    bool resumed;                  /* takes up an order */
    bool find;                     /* or looks for one */
    enum acme_order_state reached; /* by acme/ */
    bool prepared, intended, cleared;
    bool fresh, dry;
    bool retried; /* has made a new one in its place */
    bool replaces;
    bool published; /* has a proof of its own, or had one */
    bool durable;   /* the order's URL is stored */
    bool resumable; /* says acme/ */
    bool at_ca;
    struct keeper_call *call;
    struct preflight *preflight;
    struct acme_order *order;
    const struct acme_challenge *challenges;
    size_t n_challenges;
    struct acme_avoid *avoid;
    size_t n_avoid;
    struct proof *proof;
    struct cleaning *cleaning;
    const char *chain, *account_url; /* only inside EV_CHAIN */
    size_t chain_n;
    struct timer timer;
    struct defer ending;
    struct err *err; /* NULL until something failed */
};

static void job_event(struct job *j, enum event ev);
static const struct row rows[STATES];

static struct err *own_err(struct job *j)
{
    j->err = j->err ? j->err : xnew(struct err);
    return j->err;
}

static void fail_with(struct job *j, const struct err *err)
{
    err_keep(&j->err, err);
    if (!j->err)
        err_set(own_err(j), ERR_BUG, "a failure without an error");
}

/* ---- removal of records ---- */

static void on_cleaned(void *arg, const struct err *err)
{
    struct cleaning *c = arg;
    struct job_env *env = c->env;
    struct job *j = c->job;
    struct log_ctx log = {env->log, c->cert};
    char text[700];
    if (err_is(err))
        log_warn(&log, "removing what proved its names: %s (tried again until they are gone)",
                 err_text(err, text, sizeof(text)));
    list_remove(&c->node);
    free(c->cert);
    free(c);
    if (j) {
        j->cleaning = NULL;
        job_event(j, EV_CLEANED);
    }
    env->cleaned(env->arg);
}

static void clean(struct job *j)
{
    if (!j->proof)
        return;
    struct cleaning *c = xnew(struct cleaning);
    c->env = j->env;
    c->job = j;
    c->cert = xstrdup(j->cert->name);
    list_append(&j->env->cleanings, &c->node);
    j->cleaning = c;
    struct proof *p = j->proof;
    j->proof = NULL;
    proof_clean(p, on_cleaned, c);
}

void job_env_done(struct job_env *env)
{
    list_each(it, &env->cleanings)
    {
        struct cleaning *c = list_item(it, struct cleaning, node);
        list_remove(it);
        free(c->cert);
        free(c);
    }
}

/* ---- PREPARE, ACCOUNT ---- */

static void on_prepared(void *arg, const struct err *err)
{
    struct job *j = arg;
    j->call = NULL;
    if (err_is(err))
        fail_with(j, err);
    job_event(j, j->err ? EV_FAILED : EV_PREPARED);
}

/* What is merely doubtful goes into the history. */
static void on_preflight(void *arg, struct findings *f)
{
    struct job *j = arg;
    struct err e = ERR_INIT;
    unsigned told = 0;
    j->preflight = NULL;
    if (preflight_blocks(f, &e)) {
        fail_with(j, &e);
        job_event(j, EV_FAILED);
        return;
    }
    for (size_t i = 0; i < f->n && told < WARNINGS_TOLD; i++) {
        if (f->v[i].level != FINDING_WARN)
            continue;
        j->handler.step(j->arg, rows[j->state].name, f->v[i].text);
        told++;
    }
    job_event(j, EV_CLEARED);
}

/* An order that exists already, or may, is not spent by going on with it. */
static void start_preflight(struct job *j)
{
    static const struct preflight_handler handler = {NULL, on_preflight};
    const struct preflight_spec spec = {
        .conf = j->conf,
        .cert = j->cert,
        .ca = j->ca,
        .depth = j->fresh ? PREFLIGHT_LOOK : PREFLIGHT_ORDER,
    };
    j->cleared = j->resumed || j->find;
    if (!j->cleared)
        j->preflight = preflight_start(j->env->preflights, &spec, &handler, j);
}

static struct verdict enter_prepare(struct job *j)
{
    struct keeper *k = j->env->keeper;
    j->prepared = false;
    start_preflight(j);
    j->call = j->dry ? k->ops->rehearse_prepare(k, j->cert->name, on_prepared, j)
                     : k->ops->prepare(k, j->cert->name, !j->resumed && !j->find, on_prepared, j);
    return WAIT;
}

static struct verdict event_prepare(struct job *j, enum event ev)
{
    if (ev != EV_PREPARED && ev != EV_INTENDED && ev != EV_CLEARED)
        return FAIL;
    j->prepared |= ev == EV_PREPARED;
    j->intended |= ev == EV_INTENDED;
    j->cleared |= ev == EV_CLEARED;
    if (!j->prepared || !j->intended || !j->cleared)
        return WAIT;
    return NEXT(j->replaces_by[0] && !j->resumed ? ACCOUNT : ORDER);
}

/* Not to know the account costs only the `replaces` of this order. */
static void on_account(void *arg, const struct keeper_account *a, const struct err *err)
{
    struct job *j = arg;
    j->call = NULL;
    j->replaces = a && !err_is(err) && str_eq(a->url, j->replaces_by);
    job_event(j, EV_ACCOUNT);
}

static struct verdict enter_account(struct job *j)
{
    struct keeper *k = j->env->keeper;
    j->call = k->ops->account(k, j->ca, on_account, j);
    return WAIT;
}

static struct verdict event_account(struct job *j, enum event ev)
{
    (void)j;
    return ev == EV_ACCOUNT ? NEXT(ORDER) : FAIL;
}

/* ---- ORDER ---- */

static void on_created(void *arg, const char *url)
{
    struct job *j = arg;
    free(j->order_url);
    j->order_url = xstrdup(url);
    job_event(j, EV_CREATED);
}

static void on_challenges(void *arg, const struct acme_challenge *c, size_t n)
{
    struct job *j = arg;
    j->challenges = c;
    j->n_challenges = n;
    job_event(j, EV_CHALLENGES);
}

static void on_answered(void *arg)
{
    job_event(arg, EV_ANSWERED);
}

static void on_progress(void *arg, enum acme_order_state s, const char *text)
{
    struct job *j = arg;
    char line[HISTORY_LINE];
    j->reached = s;
    if (j->state >= CLEAN)
        return;
    snprintf(line, sizeof(line), "%s%s%s", acme_order_state_name(s), text && *text ? ": " : "",
             text ? text : "");
    j->handler.note(j->arg, rows[j->state].name, line);
}

static void on_order_done(void *arg, const char *chain_pem, size_t n, const char *account_url,
                          bool resumable, const struct err *err)
{
    struct job *j = arg;
    if (j->state >= CLEAN)
        return;
    j->resumable = resumable;
    if (!chain_pem) {
        j->at_ca = true;
        fail_with(j, err);
        job_event(j, EV_FAILED);
        return;
    }
    j->chain = chain_pem;
    j->chain_n = n;
    j->account_url = account_url ? account_url : "";
    job_event(j, EV_CHAIN);
}

static void on_refused(void *arg, const struct conf_name *name, enum conf_challenge type)
{
    struct job *j = arg;
    if (name)
        j->handler.refused(j->arg, name->name, type);
}

static const struct acme_order_handler order_handler = {
    .created = on_created,
    .challenges = on_challenges,
    .answered = on_answered,
    .refused = on_refused,
    .progress = on_progress,
    .done = on_order_done,
};

static struct verdict enter_order(struct job *j)
{
    const struct acme_order_spec spec = {
        .cert = j->cert,
        .ca = j->ca,
        .url = j->resumed ? j->order_url : "",
        .find = j->find,
        .replaces = j->replaces,
        .dry = j->dry,
        .avoid = j->avoid,
        .n_avoid = j->n_avoid,
    };
    j->durable = j->resumed;
    j->resumable = true;
    j->order = acme_order_start(j->env->acme, &spec, &order_handler, j);
    return WAIT;
}

/* Nothing went wrong: the CA has only forgotten what was left undone for too long, or what it has
 * there is not ours. An invalid order gets further than to RESUME: that is a failure. */
static bool order_is_gone(const struct job *j)
{
    return j->resumed && !j->retried && !j->resumable &&
           (j->reached == ACME_RESUME || (j->err->http >= 400 && j->err->http < 500));
}

static struct verdict event_order(struct job *j, enum event ev)
{
    switch (ev) {
    case EV_CREATED:
        j->handler.created(j->arg, j->order_url);
        return WAIT;
    case EV_STORED:
        j->durable = true;
        acme_order_continue(j->order);
        return WAIT;
    case EV_CHALLENGES:
        return NEXT(PUBLISH);
    case EV_CHAIN:
        return NEXT(INSTALL);
    case EV_FAILED:
        if (!order_is_gone(j))
            return FAIL;
        j->handler.gone(j->arg);
        return RETRY(PREPARE);
    default:
        return FAIL;
    }
}

/* ---- PUBLISH, ANSWERED ---- */

static void on_proof_progress(void *arg, const char *phase, const char *text)
{
    struct job *j = arg;
    char line[HISTORY_LINE];
    snprintf(line, sizeof(line), "%s%s%s", phase, *text ? ": " : "", text);
    j->handler.note(j->arg, rows[j->state].name, line);
}

static void on_proof_note(void *arg, const char *text)
{
    struct job *j = arg;
    struct log_ctx log = {j->env->log, j->cert->name};
    log_warn(&log, "%s", text);
    j->handler.step(j->arg, rows[j->state].name, text);
}

static const struct acme_challenge *on_instead(void *arg, size_t at, const struct err *why)
{
    struct job *j = arg;
    (void)why;
    return acme_order_instead(j->order, at) ? &j->challenges[at] : NULL;
}

static void on_ready(void *arg, const struct err *err, const char *warning)
{
    struct job *j = arg;
    if (err_is(err)) {
        fail_with(j, err);
        job_event(j, EV_FAILED);
        return;
    }
    if (warning && *warning)
        j->handler.step(j->arg, rows[j->state].name, warning);
    job_event(j, EV_READY);
}

static struct verdict enter_publish(struct job *j)
{
    static const struct proof_handler handler = {on_proof_progress, on_proof_note, on_instead,
                                                 on_ready};
    const struct proof_spec spec = {
        .conf = j->conf, .cert = j->cert, .ca = j->ca, .order = j->order_url};
    if (j->proof)
        proof_more(j->proof, j->challenges, j->n_challenges);
    else
        j->proof = proof_start(j->env->prover, &spec, j->challenges, j->n_challenges, &handler, j);
    j->published = true;
    return WAIT;
}

static struct verdict event_publish(struct job *j, enum event ev)
{
    switch (ev) {
    case EV_READY:
        acme_order_answer(j->order);
        return NEXT(ANSWERED);
    case EV_ANSWERED: /* the order has ended by itself; how is told next */
        return WAIT;
    case EV_CHAIN:
        return NEXT(INSTALL);
    default:
        return FAIL;
    }
}

static struct verdict event_answered(struct job *j, enum event ev)
{
    switch (ev) {
    case EV_ANSWERED:
        clean(j);
        return WAIT;
    case EV_CLEANED:
        return WAIT;
    case EV_CHALLENGES: /* another type for those that the CA found wrong */
        return NEXT(PUBLISH);
    case EV_CHAIN:
        return NEXT(INSTALL);
    default:
        return FAIL;
    }
}

/* ---- INSTALL ---- */

static void on_installed(void *arg, const struct keeper_installed *i, const struct err *err)
{
    struct job *j = arg;
    j->call = NULL;
    if (!i || (err_is(err))) {
        fail_with(j, err);
        /* What the keeper refuses is the CA's fault, and the order will bring nothing better. */
        j->at_ca = j->err->cls == ERR_PEER;
        j->resumable = j->err->cls != ERR_PEER;
        job_event(j, EV_FAILED);
        return;
    }
    j->handler.installed(j->arg, i);
    job_event(j, EV_INSTALLED);
}

static struct verdict enter_install(struct job *j)
{
    struct keeper *k = j->env->keeper;
    j->call = (j->dry ? k->ops->rehearse_install : k->ops->install)(
        k, j->cert->name, j->ca, j->account_url, j->chain, j->chain_n, on_installed, j);
    j->chain = j->account_url = NULL;
    return WAIT;
}

static struct verdict event_install(struct job *j, enum event ev)
{
    if (ev == EV_CLEANED)
        return WAIT;
    if (ev != EV_INSTALLED)
        return FAIL;
    j->resumable = false;
    return NEXT(CLEAN);
}

/* ---- CLEAN, END ---- */

/* Nobody cleans what an earlier attempt published if this one had nothing to prove. */
static void leave_order(struct job *j)
{
    if (j->order_url[0] && !j->published)
        prover_order_ended(j->env->prover, j->order_url);
}

static struct verdict enter_clean(struct job *j)
{
    leave_order(j);
    clean(j);
    return j->cleaning && j->err ? WAIT : NEXT(END);
}

static struct verdict event_clean(struct job *j, enum event ev)
{
    (void)j;
    return ev == EV_CLEANED || ev == EV_TIMEOUT ? NEXT(END) : WAIT;
}

static void end(void *arg)
{
    static const struct err none = ERR_INIT;
    struct job *j = arg;
    const struct job_result result = {
        .err = j->err ? j->err : &none,
        .drop_order = !j->resumable,
        .at_ca = j->at_ca,
    };
    j->handler.ended(j->arg, &result);
}

/* Deferred, so that who is told may free the order whose callback brought us here. */
static struct verdict enter_end(struct job *j)
{
    loop_defer(j->env->loop, &j->ending, end, j);
    return WAIT;
}

static struct verdict event_end(struct job *j, enum event ev)
{
    (void)j;
    (void)ev;
    return WAIT;
}

static const struct row rows[STATES] = {
    [PREPARE] = {"PREPARE", enter_prepare, event_prepare, 5 * POLICY_MINUTE, "preparing the key"},
    [ACCOUNT] = {"ACCOUNT", enter_account, event_account, POLICY_MINUTE, "looking up the account"},
    [ORDER] = {"ORDER", enter_order, event_order, POLICY_HOUR, "ordering"},
    [PUBLISH] = {"PUBLISH", enter_publish, event_publish, POLICY_DAY,
                 "proving control of the names"},
    [ANSWERED] = {"ANSWERED", NULL, event_answered, 6 * POLICY_HOUR, "waiting for the CA"},
    [INSTALL] = {"INSTALL", enter_install, event_install, 5 * POLICY_MINUTE, "installing"},
    [CLEAN] = {"CLEAN", enter_clean, event_clean, POLICY_MINUTE, "removing what proved the names"},
    [END] = {"END", enter_end, event_end, 0, ""},
};

/* ---- the machine ---- */

static void on_timeout(void *arg)
{
    job_event(arg, EV_TIMEOUT);
}

static void arm(struct job *j)
{
    int64_t ms = rows[j->state].timeout_ms;
    if (j->longest_wait_ms && ms > j->longest_wait_ms)
        ms = j->longest_wait_ms;
    if (ms)
        timer_after(j->env->loop, &j->timer, ms, on_timeout, j);
    else
        timer_cancel(&j->timer);
}

static void drop_calls(struct job *j)
{
    keeper_cancel(j->env->keeper, j->call);
    j->call = NULL;
    preflight_cancel(j->preflight);
    j->preflight = NULL;
}

static void log_change(struct job *j, enum state to)
{
    struct log_ctx log = {j->env->log, j->cert->name};
    char text[700] = "";
    if (to == CLEAN && j->err)
        err_text(j->err, text, sizeof(text));
    log_debug(&log, "%s -> %s%s%s", j->activations > 1 ? rows[j->state].name : "IDLE",
              rows[to].name, text[0] ? ": " : "", text);
    if (to != END)
        j->handler.step(j->arg, rows[to].name, text[0] ? text : rows[to].doing);
}

/* A failure leads to CLEAN from every state but the last two. */
static enum state after_failure(struct job *j, enum event ev)
{
    if (ev == EV_TIMEOUT && !j->err) {
        err_set(own_err(j), ERR_TRANSIENT, "no end of it in the time that it may take");
        j->at_ca = j->state == ORDER || j->state == ANSWERED;
    } else if (!j->err) {
        err_set(own_err(j), ERR_BUG, "event %d in state %s", (int)ev, rows[j->state].name);
    }
    err_activity(j->err, "%s", rows[j->state].doing);
    drop_calls(j);
    return CLEAN;
}

static void start_over(struct job *j)
{
    leave_order(j);
    j->order_url[0] = '\0';
    acme_order_free(j->order);
    j->order = NULL;
    j->resumed = j->find = j->intended = false; /* gone() makes it durable */
    j->retried = true;
    err_keep(&j->err, NULL);
    j->at_ca = false;
}

/* The one place where the state changes. */
static void job_run(struct job *j, struct verdict v, enum event ev)
{
    while (v.kind != V_WAIT) {
        enum state to = v.next;
        if (v.kind == V_FAIL)
            to = j->state >= CLEAN ? END : after_failure(j, ev);
        if (v.kind == V_RETRY)
            start_over(j);
        if (++j->activations > MAX_ACTIVATIONS && to < CLEAN) {
            err_set(own_err(j), ERR_BUG, "more than %u changes of state", MAX_ACTIVATIONS);
            to = CLEAN;
        }
        log_change(j, to);
        j->state = to;
        arm(j);
        v = rows[to].enter ? rows[to].enter(j) : WAIT;
    }
}

static void job_event(struct job *j, enum event ev)
{
    job_run(j, rows[j->state].event(j, ev), ev);
}

static void start(void *arg)
{
    struct job *j = arg;
    job_run(j, NEXT(PREPARE), EV_PREPARED);
}

struct job *job_start(struct job_env *env, const struct job_spec *s, const struct job_handler *h,
                      void *arg)
{
    struct job *j = xnew(struct job);
    j->env = env;
    j->conf = conf_ref(s->conf);
    j->cert = s->cert;
    j->ca = xstrdup(s->ca);
    j->order_url = xstrdup(s->order);
    j->replaces_by = xstrdup(s->replaces_by);
    j->resumed = s->order[0] != '\0';
    j->find = s->find;
    j->durable = j->resumed;
    j->resumable = j->resumed || j->find;
    j->intended = j->resumed || j->find;
    j->longest_wait_ms = s->longest_wait_ms;
    j->fresh = s->fresh;
    j->dry = s->dry;
    j->n_avoid = s->n_avoid;
    j->avoid = s->n_avoid ? xmemdup(s->avoid, s->n_avoid * sizeof(*s->avoid)) : NULL;
    j->handler = *h;
    j->arg = arg;
    loop_defer(env->loop, &j->ending, start, j);
    return j;
}

void job_intended(struct job *j, const struct err *err)
{
    if (err_is(err))
        fail_with(j, err);
    job_event(j, j->err ? EV_FAILED : EV_INTENDED);
}

void job_stored(struct job *j, const struct err *err)
{
    if (err_is(err)) {
        fail_with(j, err);
        job_event(j, EV_FAILED);
        return;
    }
    job_event(j, EV_STORED);
}

void job_free(struct job *j)
{
    if (!j)
        return;
    timer_cancel(&j->timer);
    defer_cancel(&j->ending);
    drop_calls(j);
    if (j->cleaning)
        j->cleaning->job = NULL;
    proof_free(j->proof);
    free(j->avoid);
    free(j->err);
    acme_order_free(j->order);
    free(j->ca);
    free(j->order_url);
    free(j->replaces_by);
    conf_unref(j->conf);
    free(j);
}

void job_abandon(struct job *j)
{
    if (!j)
        return;
    clean(j);
    job_free(j);
}

bool job_resumable(const struct job *j)
{
    return (j->state == PREPARE || j->state == ACCOUNT || j->state == ORDER ||
            j->state == PUBLISH || j->state == ANSWERED) &&
           (j->durable || j->state < ORDER);
}

const char *job_ca(const struct job *j)
{
    return j->ca;
}

const char *job_state(const struct job *j)
{
    return rows[j->state].name;
}
