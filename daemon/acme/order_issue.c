/* SPDX-License-Identifier: ISC */
/*
 * The order machine's states from validation to the certificate; see order.c.
 *
 * VALIDATE polls the order, one request whatever the number of names; the authorizations are read
 * only when the order is invalid, when an answer was refused or showed a failure, and now and then
 * while nothing happens.
 */
#include "acme/order.h"

#include "base/str.h"

#define LOOK_SOON_MS 250 /* the name servers agree, so a CA that is quick is done by then */
#define LOOK_FIRST_MS 10000
#define LOOK_COMPLAINT_MS 5000
#define LOOK_MAX_MS 60000
#define REANSWERS_MAX 4
#define REANSWERS_BEFORE_SWITCH 2
#define FAULTS_MAX 5
#define FAULT_DELAY_MS 10000
#define FINALIZES_MAX 4

static int64_t now(const struct acme_order *o)
{
    return loop_mono_ms(o->ca->env->loop);
}

/* A poll that failed: the CA may be away for a moment, what it does for us goes on. */
static struct verdict poll_failed(struct acme_order *o, const struct err *e)
{
    if (e->http == 404)
        return order_fail_gone(o, e);
    if (e->cls != ERR_TRANSIENT || e->http == 401 || e->http == 403 || ++o->faults == FAULTS_MAX)
        return order_fail(o, e);
    order_timer(o, FAULT_DELAY_MS * o->faults);
    order_say_again(o, e, FAULT_DELAY_MS * o->faults);
    return order_wait();
}

/* --- VALIDATE --- */

static struct verdict look(struct acme_order *o)
{
    int64_t gap = LOOK_FIRST_MS << (o->looks < 3 ? o->looks + 1 : 3);

    o->looks++;
    o->look_at = now(o) + (gap < LOOK_MAX_MS ? gap : LOOK_MAX_MS);
    o->rereading = false;
    authz_set_read(o->authzs, order_authzs_done, o);
    return order_wait();
}

/* The order is invalid and nobody says more than that. */
static struct verdict fail_invalid(struct acme_order *o)
{
    struct err e = ERR_INIT;

    if (o->authzs && authz_set_failure(o->authzs, &e))
        err_activity(&e, "validating %s", order_name(o));
    else if (o->doc.error)
        e = *o->doc.error;
    else
        err_set(&e, ERR_TRANSIENT, "the CA's order is invalid, and the CA gives no reason");
    err_activity(&e, "ordering %s", order_name(o));
    return order_fail_gone(o, &e);
}

struct verdict validate_enter(struct acme_order *o)
{
    o->looks = 0;
    o->look_at = now(o) + LOOK_FIRST_MS;
    if (!o->authzs)
        o->authzs = authz_set_new(o->ca, o->doc.authzs, o->doc.n_authzs);
    if (o->diagnose && o->authzs->n == 0)
        return fail_invalid(o);
    if (o->diagnose)
        return look(o);
    switch (authz_set_outcome(o->authzs)) {
    case AUTHZ_ANSWERS_MIXED:
        return look(o);
    case AUTHZ_ANSWERS_DONE:
        order_read(o);
        return order_wait();
    default:
        order_timer(o, LOOK_SOON_MS);
        return order_wait();
    }
}

static int64_t validate_delay(struct acme_order *o, const struct http_reply *reply)
{
    int64_t asked = order_retry_after(o, reply);
    int64_t own = 1000 + 500LL * o->polls;

    o->polls++;
    return asked ? asked : own < 5000 ? own : 5000;
}

static struct verdict validate_polled(struct acme_order *o, const struct event *ev)
{
    struct err e = ERR_INIT;

    if (err_is(ev->err))
        return poll_failed(o, ev->err);
    if (order_take(o, ev->reply, &e) < 0) {
        err_activity(&e, "polling the order of %s", order_name(o));
        return poll_failed(o, &e);
    }
    o->faults = 0;
    if (o->doc.status == ORDER_INVALID && o->authzs->n > 0) {
        o->diagnose = true;
        return look(o);
    }
    if (o->doc.status == ORDER_INVALID)
        return fail_invalid(o);
    if (o->doc.status != ORDER_PENDING) {
        o->delay_ms = order_retry_after(o, ev->reply);
        return order_by_status(o);
    }
    if (o->authzs->n > 0 && now(o) >= o->look_at)
        return look(o);
    order_timer(o, validate_delay(o, ev->reply));
    return order_wait();
}

/* Pending with an error (RFC 8555 8.2): some CAs try again when asked to, some by themselves. */
static struct verdict answer_again(struct acme_order *o)
{
    if (!authz_set_answer(o->authzs, true, order_authzs_done, o)) {
        order_timer(o, validate_delay(o, NULL));
        return order_wait();
    }
    o->reanswers++;
    o->rereading = true;
    o->look_at = now(o) + LOOK_COMPLAINT_MS;
    return order_wait();
}

static struct verdict give_up(struct acme_order *o)
{
    struct err e = ERR_INIT;
    char text[300];

    authz_set_text(o->authzs, text, sizeof(text));
    err_set(&e, ERR_TRANSIENT, "%s; the order is kept",
            *text ? text : "the CA leaves the order pending");
    err_activity(&e, "validating %s", order_name(o));
    return order_fail(o, &e);
}

static struct verdict validate_looked(struct acme_order *o)
{
    struct err e = ERR_INIT;
    char text[300];

    o->faults = 0;
    if (o->diagnose)
        return fail_invalid(o);
    if (authz_set_failure(o->authzs, &e)) {
        err_activity(&e, "validating %s", order_name(o));
        return order_fail_gone(o, &e);
    }
    if (authz_set_pending(o->authzs) == 0) {
        order_timer(o, validate_delay(o, NULL));
        return order_wait();
    }
    authz_set_text(o->authzs, text, sizeof(text));
    order_say(o, "%s", text);
    if (o->dead)
        return order_wait();
    if (!authz_set_complains(o->authzs)) {
        order_timer(o, validate_delay(o, NULL));
        return order_wait();
    }
    /* The authorization lives, so another of its challenges may do. */
    if (o->reanswers >= REANSWERS_BEFORE_SWITCH && authz_set_switch(o->authzs, &o->choice)) {
        o->reanswers = 0;
        return order_next(ACME_CHALLENGES);
    }
    if (o->reanswers == REANSWERS_MAX)
        return give_up(o);
    o->again = true;
    order_timer(o, LOOK_COMPLAINT_MS);
    return order_wait();
}

static struct verdict validate_read(struct acme_order *o, const struct event *ev)
{
    if (o->rereading) { /* the {} was sent again */
        o->rereading = false;
        if (err_is(ev->err))
            return poll_failed(o, ev->err);
        order_timer(o, validate_delay(o, NULL));
        return order_wait();
    }
    if (!err_is(ev->err))
        return validate_looked(o);
    return o->diagnose ? fail_invalid(o) : poll_failed(o, ev->err);
}

struct verdict validate_event(struct acme_order *o, const struct event *ev)
{
    switch (ev->kind) {
    case EV_TIMER:
        if (o->again) {
            o->again = false;
            return answer_again(o);
        }
        order_read(o);
        return order_wait();
    case EV_REPLY:
        return validate_polled(o, ev);
    case EV_AUTHZS:
        return validate_read(o, ev);
    default:
        return order_wait();
    }
}

struct verdict validate_limit(struct acme_order *o)
{
    return give_up(o);
}

/* --- FINALIZE --- */

struct verdict finalize_enter(struct acme_order *o)
{
    struct request_spec spec = {.where = ACME_AT_FINALIZE,
                                .what = KEEPER_FINALIZE,
                                .flags = o->dry ? KEEPER_F_DRY : 0,
                                .url = o->doc.finalize,
                                .cert = order_name(o),
                                .once = true,
                                .slow = true,
                                .max_body = ORDER_BODY_MAX,
                                .doing = "finalizing the order of",
                                .about = order_name(o)};
    struct err e = ERR_INIT;

    if (++o->finalizes > FINALIZES_MAX) {
        err_set(&e, ERR_TRANSIENT,
                "the CA has not taken the request for the certificate after %d tries",
                FINALIZES_MAX);
        err_activity(&e, "finalizing the order of %s", order_name(o));
        return order_fail(o, &e);
    }
    o->not_ready = false;
    order_request(o, &spec);
    return order_wait();
}

/* Nothing is a failure before the order has been read again: an earlier request may have got
 * through. */
static struct verdict finalize_refused(struct acme_order *o, const struct err *e)
{
    int64_t asked = e->retry_at ? e->retry_at - loop_wall_ms(o->ca->env->loop) : 0;
    bool not_ready = str_eq(e->type, "orderNotReady");

    if (not_ready || e->http == 409) {
        o->not_ready = not_ready;
        o->delay_ms = 1;
        return order_next(ACME_POLL);
    }
    if (e->http == 429 || asked > ACME_WAIT_MAX_MS)
        return order_fail(o, e);
    if ((e->cls == ERR_TRANSIENT || e->cls == ERR_RATE_LIMITED) &&
        (e->http == 0 || e->http >= 500)) {
        o->delay_ms = asked > 1000 ? asked : 1000;
        return order_next(ACME_POLL);
    }
    return e->http >= 400 && e->http < 500 && !str_eq(e->type, "userActionRequired")
               ? order_fail_gone(o, e)
               : order_fail(o, e);
}

struct verdict finalize_event(struct acme_order *o, const struct event *ev)
{
    struct err ignored = ERR_INIT;

    if (ev->kind != EV_REPLY)
        return order_wait();
    if (err_is(ev->err))
        return finalize_refused(o, ev->err);
    o->delay_ms = order_retry_after(o, ev->reply);
    /* HARICA answers with something else while it issues: the order tells. */
    if (order_take(o, ev->reply, &ignored) < 0 || o->doc.status < ORDER_PROCESSING)
        return order_next(ACME_POLL);
    return order_by_status(o);
}

/* --- POLL --- */

static int64_t poll_delay(struct acme_order *o)
{
    int64_t own = 500LL << (o->polls < 5 ? o->polls : 5);
    int64_t asked = o->delay_ms;

    o->delay_ms = 0;
    o->polls++;
    return asked ? asked : own < 10000 ? own : 10000;
}

struct verdict poll_enter(struct acme_order *o)
{
    order_timer(o, poll_delay(o));
    return order_wait();
}

/* The order takes a CSR (again), so the one that we sent has not arrived. Or has it, and the CA is
 * slow? */
static struct verdict poll_ready(struct acme_order *o)
{
    if (o->not_ready || o->polls > 2)
        return order_next(ACME_FINALIZE);
    order_timer(o, poll_delay(o));
    return order_wait();
}

struct verdict poll_event(struct acme_order *o, const struct event *ev)
{
    struct err e = ERR_INIT;

    if (ev->kind == EV_TIMER) {
        order_read(o);
        return order_wait();
    }
    if (ev->kind != EV_REPLY)
        return order_wait();
    if (err_is(ev->err))
        return poll_failed(o, ev->err);
    if (order_take(o, ev->reply, &e) < 0) {
        err_activity(&e, "polling the order of %s", order_name(o));
        return poll_failed(o, &e);
    }
    o->faults = 0;
    o->delay_ms = order_retry_after(o, ev->reply);
    if (o->doc.status == ORDER_READY)
        return poll_ready(o);
    if (o->doc.status == ORDER_PROCESSING ||
        (o->doc.status == ORDER_VALID && !*o->doc.certificate)) {
        order_timer(o, poll_delay(o));
        return order_wait();
    }
    return order_by_status(o);
}

struct verdict poll_limit(struct acme_order *o)
{
    struct err e = ERR_INIT;

    err_set(&e, ERR_TRANSIENT, "the CA has not made the certificate yet; the order is kept");
    err_activity(&e, "waiting for the certificate of %s", order_name(o));
    return order_fail(o, &e);
}

/* --- DOWNLOAD --- */

static void have_chain(void *arg, const char *pem, size_t n, const struct err *err)
{
    struct acme_order *o = arg;

    o->download = NULL;
    order_event(o, &(struct event){.kind = EV_CHAIN, .pem = pem, .pem_n = n, .err = err});
}

struct verdict download_enter(struct acme_order *o)
{
    if (!*o->doc.certificate) /* valid, but where is it? */
        return order_next(ACME_POLL);
    o->download = download_start(o->ca, o->doc.certificate, order_name(o),
                                 o->ca->cf->preferred_chain, have_chain, o);
    return order_wait();
}

struct verdict download_event(struct acme_order *o, const struct event *ev)
{
    if (ev->kind != EV_CHAIN)
        return order_wait();
    if (err_is(ev->err))
        return ev->err->http == 404 ? order_fail_gone(o, ev->err) : order_fail(o, ev->err);
    o->pem = ev->pem;
    o->pem_n = ev->pem_n;
    return order_next(ACME_DONE);
}
