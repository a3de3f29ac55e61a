/* SPDX-License-Identifier: ISC */
/*
 * The next act of a certificate is the first of
 *
 *   renew    when the policy says so, not before a failure has been waited out
 *   look     while it is blocked: would an order come through now? (preflight.h)
 *   poll     renewal information
 *   deploy   a deployment that failed
 *   ahead    a preflight, days before it is due (ahead.h)
 *
 * Any of them may be under way while another one is planned, but for two orders at a time.
 */
#include "renew/flow.h"
#include "base/mem.h"
#include "base/str.h"
#include "renew/ahead.h"
#include "renew/announce.h"
#include "renew/history.h"
#include "renew/outcome.h"
#include "renew/poll.h"
#include "renew/prove.h"

#include <stdio.h>
#include <stdlib.h>

#define NOW 1 /* ms after 1970: long due */

struct due {
    int64_t at_ms;
    const char *why;
    bool ari, fresh;
};

const struct conf_ca *flow_ca(const struct cert *c)
{
    return limits_ca(c);
}

/* Not by a CA that the configuration names for it now. */
static bool from_former_staging(const struct cert *c)
{
    if (!c->in.staging)
        return false;
    for (size_t i = 0; i < c->conf->cas.n; i++) {
        const struct conf_ca *ca = conf_find_ca(c->renew->conf, c->conf->cas.v[i]);
        if (ca && str_eq(ca->directory, c->in.directory))
            return false;
    }
    return true;
}

static struct due due_by_policy(const struct cert *c)
{
    struct policy_life life = cert_life(c);
    struct policy_rule rule = {c->conf->renew_before_ms, c->conf->renew_before_percent};
    struct policy_due d = policy_due(&life, &rule, c->conf->ari ? &c->st.window : NULL,
                                     policy_jitter(c->in.fingerprint));
    return (struct due){
        .at_ms = d.at_ms,
        .why = policy_reason_text(d.reason),
        .ari = d.reason == POLICY_ARI,
    };
}

/* What failures do not change. */
static struct due due_of(const struct cert *c)
{
    struct due d;
    if (!c->in.present)
        return (struct due){.at_ms = NOW, .why = "there is no certificate yet"};
    if (!c->in.names_match)
        d = (struct due){.at_ms = NOW, .why = "the names have changed"};
    else if (from_former_staging(c))
        d = (struct due){.at_ms = NOW, .why = "the present one comes from a staging CA"};
    else
        d = due_by_policy(c);
    int64_t life = cert_lifetime(c);
    d.fresh = policy_is_fresh(d.at_ms, c->st.issued_ms, life);
    d.at_ms = policy_fresh(d.at_ms, c->st.issued_ms, c->st.churn, life);
    return d;
}

bool flow_is_due(const struct cert *c)
{
    return due_of(c).at_ms <= renew_now(c->renew);
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t retry_ms(const struct cert *c)
{
    return policy_sane_at(c->st.retry_ms, renew_now(c->renew));
}

/* 0: not while things are as they are. */
static int64_t renew_at(const struct cert *c, struct due *ret)
{
    *ret = due_of(c);
    if (!c->conf->enabled || c->job || c->item.lane || c->recording || c->asking)
        return 0;
    if (c->forced) {
        ret->why = "asked for";
        return NOW;
    }
    if (c->st.blocked || pause_since(c, NULL, 0))
        return 0;
    if (c->order && ret->at_ms > renew_now(c->renew))
        *ret = (struct due){.at_ms = NOW, .why = "an order is under way"};
    int64_t at = later(ret->at_ms, retry_ms(c));
    char why[64];
    return at > renew_now(c->renew) ? at
                                    : later(at, limits_free_at(c, flow_ca(c), why, sizeof(why)));
}

static int64_t look_at(const struct cert *c)
{
    if (!c->conf->enabled || !c->st.blocked || c->look || c->job || c->item.lane || c->forced)
        return 0;
    return later(retry_ms(c), NOW);
}

static int64_t deploy_at(const struct cert *c)
{
    if (!c->deploy || deploy_running(c->deploy) || c->recording)
        return 0;
    int64_t at = deploy_next_ms(c->deploy);
    return at ? later(policy_sane_at(at, renew_now(c->renew)), NOW) : 0;
}

/* Its time comes before the renewal's, which it warns of. */
static int64_t preflight_at(const struct cert *c)
{
    return ahead_at(c, due_of(c).at_ms);
}

static int64_t first_of(int64_t a, int64_t b)
{
    return !a || (b && b < a) ? b : a;
}

void flow_plan(struct cert *c)
{
    struct renew *r = c->renew;
    struct due due;
    if (r->phase != RENEW_RUNNING || r->once)
        return;
    int64_t at =
        first_of(first_of(renew_at(c, &due), look_at(c)), first_of(poll_next_ms(c), deploy_at(c)));
    at = first_of(at, preflight_at(c));
    if (at)
        scheduler_at(r->scheduler, &c->item, at);
}

static bool is_due(int64_t at_ms, int64_t now_ms)
{
    return at_ms && at_ms <= now_ms;
}

static void start_look(struct cert *c);

/* Who has the least time left comes first. What never was is wanted now, but nobody misses it yet
 * as they would miss what expires within a day. */
static void queue(struct cert *c)
{
    const struct conf_ca *ca = flow_ca(c);
    CLEANUP_FREE char *lane = limits_lane(c, ca);
    int64_t priority = c->forced       ? 0
                       : c->in.present ? c->in.not_after_ms
                                       : renew_now(c->renew) + POLICY_DAY;
    limits_queue(c, ca);
    scheduler_queue(c->renew->scheduler, &c->item, lane, ca->max_orders, priority,
                    c->st.failures > 0 && !c->forced);
    c->since_ms = renew_now(c->renew);
}

void flow_leave_ca(struct renew *r)
{
    for (size_t i = 0; i < r->n; i++) {
        struct cert *c = r->certs[i];
        if (!c->item.lane || c->item.running || c->conf->cas.n < 2)
            continue;
        scheduler_done(r->scheduler, &c->item);
        queue(c);
    }
}

static void deploy_due(struct cert *c, bool all)
{
    if (!c->job && !c->history)
        outcome_run_began(c);
    deploy_run(c->deploy, all);
}

void flow_due(void *renew, struct sched_item *it)
{
    struct cert *c = CONTAINER_OF(it, struct cert, item);
    struct renew *r = renew;
    int64_t now = renew_now(r);
    struct due due;
    if (is_due(deploy_at(c), now))
        deploy_due(c, false);
    if (is_due(poll_next_ms(c), now))
        poll_start(c);
    if (is_due(look_at(c), now))
        start_look(c);
    if (is_due(preflight_at(c), now))
        ahead_start(c);
    if (is_due(renew_at(c, &due), now))
        queue(c);
    flow_plan(c);
}

/* ---- an order ---- */

void flow_drop_order(struct cert *c)
{
    if (c->order && c->order->url[0])
        prover_order_ended(c->renew->prover, c->order->url);
    cert_order_free(c->order);
    c->order = NULL;
}

/* One that another CA has, or that is for other names, is left to expire. */
static void drop_stale_order(struct cert *c, const struct conf_ca *ca)
{
    struct cert_order *o = c->order;
    int64_t age = o ? renew_now(c->renew) - o->made_ms : 0;
    if (!o || (str_eq(o->ca, ca->name) && o->names == cert_names_hash(c->conf) &&
               age < 7 * POLICY_DAY && age > -POLICY_DAY))
        return;
    flow_drop_order(c);
    outcome_record(c, RECORD_NO_ORDER, NULL);
}

/* RFC 9773 5: only the account that got it, at the CA that gave it, may replace it. */
static const char *replaces_by(const struct cert *c, const struct conf_ca *ca)
{
    bool may = c->in.present && c->conf->ari && c->in.cert_id[0] && !c->st.no_ari &&
               str_eq(c->in.directory, ca->directory);
    return may ? c->in.account : "";
}

void flow_start(void *renew, struct sched_item *it)
{
    struct cert *c = CONTAINER_OF(it, struct cert, item);
    struct renew *r = renew;
    const struct conf_ca *ca = flow_ca(c);
    struct log_ctx log = renew_log(c);
    struct due due = due_of(c);
    drop_stale_order(c, ca);
    const char *why = c->forced ? "asked for" : due.why;
    c->premature = due.fresh && !c->forced;
    c->st.runs++;
    history_free(c->history);
    c->history = history_new(renew_now(r), why, ca->name);
    if (c->order && c->order->url[0])
        history_order(c->history, c->order->url);
    log_debug(&log, "%s: %s at %s%s%s", c->in.present ? "renewal" : "first order", why, ca->name,
              c->order ? ", taking up " : "",
              c->order ? c->order->url[0] ? c->order->url : "what may have been ordered" : "");
    const struct job_spec spec = {
        .conf = r->conf,
        .cert = c->conf,
        .ca = ca->name,
        .find = c->order && !c->order->url[0],
        .order = c->order ? c->order->url : "",
        .replaces_by = replaces_by(c, ca),
        .avoid = c->st.refused,
        .n_avoid = c->st.n_refused,
        .fresh = c->forced,
        .longest_wait_ms = r->once ? RENEW_ONCE_LONGEST_WAIT : 0,
    };
    outcome_run_began(c);
    limits_began(c, ca);
    c->job = job_start(&r->jobs, &spec, &outcome_of_job, c);
    if (!c->order)
        outcome_intend_order(c, ca->name);
}

static void drop_look(struct cert *c)
{
    preflight_cancel(c->look);
    c->look = NULL;
}

void flow_force(struct cert *c)
{
    if (c->job || c->item.lane || c->recording)
        return;
    drop_look(c);
    c->forced = true;
    outcome_run_began(c);
    queue(c);
}

/* ---- looks ---- */

static void look_over(struct cert *c, const struct err *err)
{
    struct log_ctx log = renew_log(c);
    if (err_is(err)) {
        if (c->st.blocked)
            outcome_blocked(c, err);
    } else {
        log_info(&log, "no longer waits for you: nothing stands against an order now");
        c->st.blocked = false;
        c->st.looks = 0;
        c->st.retry_ms = 0;
    }
    flow_save(c);
    flow_plan(c);
}

static void on_look(void *arg, struct findings *f)
{
    struct cert *c = arg;
    struct err e = ERR_INIT;
    c->look = NULL;
    look_over(c, preflight_blocks(f, &e) ? &e : NULL);
}

static void start_look(struct cert *c)
{
    static const struct preflight_handler handler = {NULL, on_look};
    const struct preflight_spec spec = {
        .conf = c->renew->conf,
        .cert = c->conf,
        .ca = flow_ca(c)->name,
        .depth = PREFLIGHT_LOOK,
    };
    c->look = preflight_start(&c->renew->preflights, &spec, &handler, c);
}

/* ---- deployments ---- */

void flow_deploy_all(struct cert *c)
{
    if (c->deploy && deploy_running(c->deploy)) {
        outcome_run_began(c);
        return;
    }
    outcome_deploy_new(c);
    if (!c->deploy)
        return;
    outcome_run_began(c);
    outcome_record(c, RECORD_DEPLOY, NULL);
    deploy_run(c->deploy, true);
}

void flow_resume_deploy(struct cert *c, const struct json *stored)
{
    outcome_deploy_new(c);
    if (c->deploy)
        deploy_read(c->deploy, stored);
}

/* ---- once ---- */

static bool renewal_is_due(struct cert *c)
{
    struct renew *r = c->renew;
    int64_t now = renew_now(r);
    if ((!flow_is_due(c) && !c->order) || pause_since(c, NULL, 0))
        return false;
    bool limited = c->st.error && c->st.error->cls == ERR_RATE_LIMITED;
    if (!limited || retry_ms(c) <= now)
        return true;
    struct log_ctx log = renew_log(c);
    char at[32];
    log_warn(&log, "due, but the CA wants no request before %s",
             str_from_time(c->st.retry_ms, at, sizeof(at)));
    r->once_failed++;
    return false;
}

static bool once_step(struct cert *c, enum cert_once what)
{
    switch (what) {
    case ONCE_POLL:
    case ONCE_LAST:
        if (what == ONCE_LAST && !c->announce)
            return false;
        if (!is_due(poll_next_ms(c), renew_now(c->renew)))
            return false;
        poll_start(c);
        return true;
    case ONCE_RENEW:
        if (!renewal_is_due(c))
            return false;
        queue(c);
        return true;
    case ONCE_DEPLOY:
        if (!c->deploy)
            return false;
        deploy_due(c, true);
        return true;
    default:
        return false;
    }
}

bool flow_busy(const struct cert *c)
{
    return c->job || c->item.lane || c->recording || c->look || poll_busy(c) ||
           (c->deploy && deploy_running(c->deploy));
}

void flow_once(struct cert *c)
{
    while (c->once && !flow_busy(c) && c->conf->enabled) {
        enum cert_once what = c->once;
        c->once = what == ONCE_LAST ? ONCE_OFF : what + 1;
        if (once_step(c, what))
            return;
    }
    if (!c->conf->enabled)
        c->once = ONCE_OFF;
    renew_something_ended(c->renew);
}

/* ---- changes ---- */

void flow_reconfigured(struct cert *c)
{
    int64_t now = renew_now(c->renew), soon = later(now, c->st.failed_ms + POLICY_MINUTE);
    if (c->st.retry_ms > soon && c->st.error && c->st.error->cls != ERR_RATE_LIMITED)
        c->st.retry_ms = soon;
    if (c->st.ca >= c->conf->cas.n)
        c->st.ca = c->st.ca_failures = 0;
    c->st.no_ari = false;
    if (from_former_staging(c))
        c->st.issued_ms = 0; /* not for nothing: the user has said so */
    drop_look(c);            /* at names of the former generation */
    ahead_drop(c);
    if (!c->job)
        scheduler_done(c->renew->scheduler, &c->item); /* another lane, or none */
    if (c->deploy)
        deploy_configure(c->deploy, c->renew->conf, c->conf);
}

void flow_stop(struct cert *c, bool abandon)
{
    announce(c);
    poll_cancel(c);
    drop_look(c);
    ahead_drop(c);
    outcome_forget(c);
    if (abandon)
        job_abandon(c->job);
    else
        job_free(c->job);
    c->job = NULL;
    deploy_free(c->deploy);
    c->deploy = NULL;
    history_free(c->history);
    c->history = NULL;
    scheduler_forget(c->renew->scheduler, &c->item);
}

/* ---- for people ---- */

static void say_failure(const struct cert *c, char *buf, size_t size)
{
    char text[700];
    str_copy(buf, size, err_text(c->st.error, text, sizeof(text)));
}

void flow_next(const struct cert *c, struct flow_next *ret)
{
    struct due due;
    int64_t renew = renew_at(c, &due), look = look_at(c);
    *ret = (struct flow_next){.at_ms = first_of(renew, look)};
    if (!c->conf->enabled) {
        str_copy(ret->why, sizeof(ret->why), "disabled by the configuration");
    } else if (!c->job && !c->forced && pause_since(c, ret->why, sizeof(ret->why))) {
        ret->at_ms = 0;
    } else if (c->st.error && (c->st.blocked || c->st.retry_ms)) {
        say_failure(c, ret->why, sizeof(ret->why));
    } else if (c->deploy && deploy_error(c->deploy)) {
        char text[700];
        ret->at_ms = first_of(ret->at_ms, deploy_next_ms(c->deploy));
        str_copy(ret->why, sizeof(ret->why), err_text(deploy_error(c->deploy), text, sizeof(text)));
    } else if (scheduler_held_until(c->renew->scheduler, &c->item)) {
        ret->at_ms = scheduler_held_until(c->renew->scheduler, &c->item);
        limits_text(c, flow_ca(c), ret->why, sizeof(ret->why));
    } else if (due.at_ms <= renew_now(c->renew) && !c->job &&
               limits_free_at(c, flow_ca(c), ret->why, sizeof(ret->why))) {
        ret->at_ms = renew;
    } else {
        ret->at_ms = ret->at_ms ? ret->at_ms : c->job ? 0 : due.at_ms;
        ret->ari = due.ari;
        str_copy(ret->why, sizeof(ret->why), due.why);
    }
}
