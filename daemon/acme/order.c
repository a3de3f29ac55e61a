/* SPDX-License-Identifier: ISC */
/*
 * The order machine (RFC 8555 7.1.6, 7.4).
 *
 *   ACCOUNT --> CREATE -----.            (the order's status, always the CA's word)
 *      |  none ^  | lost    |                               .- another challenge will do -.
 *      |-----> FIND         |                               v                             |
 *      `------> RESUME -----+-- pending ----> AUTHORIZE --> CHALLENGES --> ANSWER --> VALIDATE
 *                           |                     `---- all valid ---------------------^  |
 *                           +-- ready ------> FINALIZE <--------------------- ready ------+
 *                           |                   |    ^                                    |
 *                           +-- processing -> POLL --' ready again: an answer was lost    |
 *                           |                   |                                         |
 *                           +-- valid ------> DOWNLOAD <----------------------------------'
 *                           |                   `--> DONE
 *                           `-- invalid ----> VALIDATE, which reads the authorizations to say why
 * --> FAILED
 *
 * order_event() alone changes the state; handlers return verdicts. Any callback of the owner may
 * free the order: then `dead` is set and nothing of it is touched but by the one who is inside.
 */
#include "acme/order.h"

#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACTIVATIONS_MAX 40
#define FIND_LIMIT_MS (10 * 60 * 1000LL)
#define VALIDATE_LIMIT_MS (10 * 60 * 1000LL)
#define POLL_LIMIT_MS (15 * 60 * 1000LL)
#define RETRY_AFTER_MIN_MS 1000
#define RETRY_AFTER_MAX_MS 60000
#define TEXT_MAX 400

static struct verdict no_event(struct acme_order *o, const struct event *ev);
static struct verdict finished(struct acme_order *o);

static const struct row {
    const char *name;
    const char *text; /* progress */
    struct verdict (*enter)(struct acme_order *o);
    struct verdict (*on_event)(struct acme_order *o, const struct event *ev);
    int64_t limit_ms; /* 0: what it waits for has a limit of its own */
    struct verdict (*on_limit)(struct acme_order *o);
} rows[] = {
    [ACME_ACCOUNT] = {"ACCOUNT", "getting the account", account_enter, account_event, 0, NULL},
    [ACME_FIND] = {"FIND", "looking for an order that was begun", find_enter, find_event,
                   FIND_LIMIT_MS, find_limit},
    [ACME_CREATE] = {"CREATE", "creating the order", create_enter, create_event, 0, NULL},
    [ACME_RESUME] = {"RESUME", "reading the order", resume_enter, resume_event, 0, NULL},
    [ACME_AUTHORIZE] = {"AUTHORIZE", "reading the authorizations", authorize_enter, authorize_event,
                        0, NULL},
    [ACME_CHALLENGES] = {"CHALLENGES", "proving control of the names", challenges_enter,
                         challenges_event, 0, NULL},
    [ACME_ANSWER] = {"ANSWER", "answering the challenges", answer_enter, answer_event, 0, NULL},
    [ACME_VALIDATE] = {"VALIDATE", "waiting for validation", validate_enter, validate_event,
                       VALIDATE_LIMIT_MS, validate_limit},
    [ACME_FINALIZE] = {"FINALIZE", "finalizing the order", finalize_enter, finalize_event, 0, NULL},
    [ACME_POLL] = {"POLL", "waiting for the certificate", poll_enter, poll_event, POLL_LIMIT_MS,
                   poll_limit},
    [ACME_DOWNLOAD] = {"DOWNLOAD", "downloading the certificate", download_enter, download_event, 0,
                       NULL},
    [ACME_DONE] = {"DONE", "done", finished, no_event, 0, NULL},
    [ACME_FAILED] = {"FAILED", "failed", finished, no_event, 0, NULL},
};

const char *acme_order_state_name(enum acme_order_state s)
{
    return (unsigned)s < ARRAY_LEN(rows) ? rows[s].name : "UNKNOWN";
}

const char *order_name(const struct acme_order *o)
{
    return o->cert->name;
}

/* --- the machine --- */

static void cancel_pending(struct acme_order *o)
{
    account_wait_cancel(&o->account);
    directory_wait_cancel(&o->directory);
    orders_look_cancel(&o->look);
    if (o->sent)
        order_lost(o);
    request_cancel(o->request);
    o->request = NULL;
    download_cancel(o->download);
    o->download = NULL;
    timer_cancel(&o->timer);
    timer_cancel(&o->limit);
    defer_cancel(&o->kick);
}

static void destroy(struct acme_order *o)
{
    cancel_pending(o);
    ca_place_put(&o->place);
    authz_set_free(o->authzs);
    order_doc_done(&o->doc);
    ca_unref(o->ca);
    free(o->challenges);
    free(o->open);
    free(o->names);
    free(o->url);
    free(o->text);
    free(o->err);
    free(o);
}

void acme_order_free(struct acme_order *o)
{
    if (!o)
        return;
    o->dead = true;
    if (o->depth == 0)
        destroy(o);
}

static void say(struct acme_order *o, const char *text)
{
    if (o->dead || (o->text && str_eq(o->text, text)))
        return;
    free(o->text);
    o->text = xstrdup(text);
    if (o->h.progress)
        o->h.progress(o->arg, o->state, o->text);
}

void order_say(struct acme_order *o, const char *fmt, ...)
{
    char text[TEXT_MAX];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    say(o, text);
}

void order_say_again(struct acme_order *o, const struct err *why, int64_t delay_ms)
{
    order_say(o, "%.300s; again in %lld s", why->detail, (long long)(delay_ms + 999) / 1000);
}

static void limit_reached(void *arg);

static void tell_refused(struct acme_order *o)
{
    for (size_t i = 0; o->authzs && i < o->authzs->n && !o->dead; i++) {
        const struct authz *a = &o->authzs->v[i];
        int type = authz_refused_type(a);
        if (type >= 0 && o->h.refused)
            o->h.refused(o->arg, order_name_of(o, &a->doc), (enum conf_challenge)type);
    }
}

/* Once the CA does not look at the records any more, they may go. */
static void release_records(struct acme_order *o, enum acme_order_state next)
{
    if (next == ACME_FAILED)
        tell_refused(o);
    if (!o->published || next < ACME_FINALIZE || o->dead)
        return;
    o->published = false;
    if (o->h.answered)
        o->h.answered(o->arg);
}

static struct verdict enter(struct acme_order *o, enum acme_order_state next)
{
    const struct row *row = &rows[next];

    cancel_pending(o);
    if (++o->activations > ACTIVATIONS_MAX && next < ACME_DONE) {
        struct err e = ERR_INIT;
        err_set(&e, ERR_PEER, "the CA's order goes round in circles (%s, %s)", rows[o->state].name,
                row->name);
        return order_fail(o, &e);
    }
    release_records(o, next);
    if (o->dead)
        return order_wait();
    o->state = next;
    o->polls = o->faults = 0;
    if (row->limit_ms)
        timer_after(o->ca->env->loop, &o->limit, row->limit_ms, limit_reached, o);
    if (next < ACME_DONE)
        say(o, row->text);
    return o->dead ? order_wait() : row->enter(o);
}

static void apply(struct acme_order *o, struct verdict v)
{
    while (!o->dead && v.what != VERDICT_WAIT)
        v = enter(o, v.what == VERDICT_FAIL ? ACME_FAILED : v.next);
}

void order_event(struct acme_order *o, const struct event *ev)
{
    o->depth++;
    apply(o, rows[o->state].on_event(o, ev));
    if (--o->depth == 0 && o->dead)
        destroy(o);
}

static void limit_reached(void *arg)
{
    struct acme_order *o = arg;

    o->depth++;
    apply(o, rows[o->state].on_limit(o));
    if (--o->depth == 0 && o->dead)
        destroy(o);
}

static struct verdict no_event(struct acme_order *o, const struct event *ev)
{
    (void)o;
    (void)ev;
    return order_wait();
}

struct verdict order_fail(struct acme_order *o, const struct err *e)
{
    err_keep(&o->err, e);
    if (!o->err) {
        o->err = xnew(struct err);
        err_set(o->err, ERR_BUG, "a failure without an error");
    }
    return (struct verdict){VERDICT_FAIL, ACME_FAILED};
}

struct verdict order_fail_gone(struct acme_order *o, const struct err *e)
{
    o->gone = true;
    return order_fail(o, e);
}

void order_lost(struct acme_order *o)
{
    o->sent = false;
    o->unsure = true;
    orders_lost(&o->ca->orders);
}

/* Worth keeping: what is in the way passes, or a person can move it while the order lives. */
static bool resumable(const struct acme_order *o)
{
    if (!o->url)
        return o->unsure;
    return !o->gone && (o->err->cls == ERR_TRANSIENT || o->err->cls == ERR_RATE_LIMITED ||
                        o->err->cls == ERR_LOCAL || str_eq(o->err->type, "userActionRequired"));
}

/* DONE and FAILED: the last thing that the owner hears. */
static struct verdict finished(struct acme_order *o)
{
    ca_place_put(&o->place);
    if (o->state == ACME_DONE) {
        err_clear(&o->ca->last_error);
        o->h.done(o->arg, o->pem, o->pem_n, o->ca->account.url, false, NULL);
    } else {
        err_activity(o->err, "ordering %s", order_name(o));
        if (o->ca)
            o->ca->last_error = *o->err;
        o->h.done(o->arg, NULL, 0, NULL, resumable(o), o->err);
    }
    return order_wait();
}

/* --- starters and helpers of the states --- */

static void have_reply(void *arg, const struct http_reply *reply, const struct err *err)
{
    struct acme_order *o = arg;

    o->request = NULL;
    order_event(o, &(struct event){.kind = EV_REPLY, .reply = reply, .err = err});
}

static void request_waits(void *arg, const struct err *why, int64_t delay_ms)
{
    struct acme_order *o = arg;

    o->depth++;
    order_say_again(o, why, delay_ms);
    if (--o->depth == 0 && o->dead)
        destroy(o);
}

void order_request(struct acme_order *o, const struct request_spec *spec)
{
    struct request_spec mine = *spec;

    mine.waits = request_waits;
    request_cancel(o->request);
    o->request = request_start(o->ca, &mine, have_reply, o);
}

void order_read(struct acme_order *o)
{
    struct request_spec spec = {.where = ACME_AT_ORDER,
                                .what = KEEPER_READ,
                                .url = o->url,
                                .max_body = ORDER_BODY_MAX,
                                .doing = "reading the order of",
                                .about = order_name(o)};

    order_request(o, &spec);
}

static void timer_fired(void *arg)
{
    order_event(arg, &(struct event){.kind = EV_TIMER});
}

void order_timer(struct acme_order *o, int64_t delay_ms)
{
    timer_after(o->ca->env->loop, &o->timer, delay_ms, timer_fired, o);
}

void order_authzs_done(void *arg, const struct err *err)
{
    order_event(arg, &(struct event){.kind = EV_AUTHZS, .err = err});
}

int64_t order_retry_after(const struct acme_order *o, const struct http_reply *r)
{
    int64_t now = loop_wall_ms(o->ca->env->loop);
    int64_t at = r ? http_retry_after(r, now, RETRY_AFTER_MIN_MS, RETRY_AFTER_MAX_MS) : 0;

    return at ? at - now : 0;
}

/* Both are sorted. Tells the first name that only one of them has. */
static int check_names(const struct acme_order *o, const struct order_doc *d, struct err *e)
{
    size_t i = 0, k = 0;

    while (i < d->n_names || k < o->cert->n_names) {
        int order = i == d->n_names         ? 1
                    : k == o->cert->n_names ? -1
                                            : strcmp(d->names[i], o->names[k]->name);
        if (order != 0)
            return err_set(e, ERR_PEER,
                           "the CA's order is for other names than those that were asked for: it "
                           "%s %s",
                           order < 0 ? "adds" : "lacks",
                           order < 0 ? d->names[i] : o->names[k]->name);
        i++;
        k++;
    }
    return 0;
}

int order_take(struct acme_order *o, const struct http_reply *reply, struct err *e)
{
    struct order_doc doc;

    if (order_doc_read(&doc, reply->body, reply->body_len, e) < 0)
        return -1;
    if (check_names(o, &doc, e) < 0) {
        order_doc_done(&doc);
        return -1;
    }
    order_doc_done(&o->doc);
    o->doc = doc;
    return 0;
}

struct verdict order_by_status(struct acme_order *o)
{
    static const enum acme_order_state next[] = {
        [ORDER_PENDING] = ACME_AUTHORIZE, [ORDER_READY] = ACME_FINALIZE,
        [ORDER_PROCESSING] = ACME_POLL,   [ORDER_VALID] = ACME_DOWNLOAD,
        [ORDER_INVALID] = ACME_VALIDATE,
    };

    o->diagnose = o->doc.status == ORDER_INVALID;
    return order_next(next[o->doc.status]);
}

/* --- what the owner calls --- */

static int compare(const void *a, const void *b)
{
    return strcmp((*(const struct conf_name *const *)a)->name,
                  (*(const struct conf_name *const *)b)->name);
}

static void have_place(void *arg)
{
    order_event(arg, &(struct event){.kind = EV_PLACE});
}

static void say_waiting(void *arg)
{
    struct acme_order *o = arg;

    o->depth++;
    if (o->place.state == CA_PLACE_WAITING)
        order_say(o, "waiting: %u orders are running at %s", o->ca->running, o->ca->cf->name);
    if (--o->depth == 0 && o->dead)
        destroy(o);
}

static void no_such_ca(void *arg)
{
    struct acme_order *o = arg;
    struct err e = ERR_INIT;

    o->depth++;
    err_set(&e, ERR_CONFIG, "there is no such CA entry in the configuration");
    apply(o, order_fail(o, &e));
    if (--o->depth == 0 && o->dead)
        destroy(o);
}

struct acme_order *order_start(struct ca *ca, struct loop *loop, const struct acme_order_spec *s,
                               const struct acme_order_handler *h, void *arg)
{
    struct acme_order *o = xnew(struct acme_order);

    o->ca = ca ? ca_ref(ca) : NULL;
    o->cert = s->cert;
    o->h = *h;
    o->arg = arg;
    o->replaces = s->replaces;
    o->dry = s->dry;
    o->choice = (struct choice){.cert = s->cert, .avoid = s->avoid, .n_avoid = s->n_avoid};
    o->url = s->url && *s->url ? xstrdup(s->url) : NULL;
    o->unsure = s->find && !o->url;
    o->names = xcalloc(s->cert->n_names ? s->cert->n_names : 1, sizeof(*o->names));
    for (size_t i = 0; i < s->cert->n_names; i++)
        o->names[i] = &s->cert->names[i];
    qsort(o->names, s->cert->n_names, sizeof(*o->names), compare);
    if (ca)
        ca_place_get(ca, &o->place, have_place, o);
    loop_defer(loop, &o->kick, ca ? say_waiting : no_such_ca, o);
    return o;
}

static void kicked_continue(void *arg)
{
    order_event(arg, &(struct event){.kind = EV_CONTINUE});
}

void acme_order_continue(struct acme_order *o)
{
    if (o->state == ACME_CREATE || o->state == ACME_FIND)
        loop_defer(o->ca->env->loop, &o->kick, kicked_continue, o);
}

static void kicked_answer(void *arg)
{
    order_event(arg, &(struct event){.kind = EV_ANSWER});
}

void acme_order_answer(struct acme_order *o)
{
    if (o->state == ACME_CHALLENGES)
        loop_defer(o->ca->env->loop, &o->kick, kicked_answer, o);
}
