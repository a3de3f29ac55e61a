/* SPDX-License-Identifier: ISC */
/*
 * What the files of the order machine share: order.c runs it, order_open.c has the states up to the
 * answered challenges, order_issue.c those from validation to the certificate. The diagram is in
 * order.c.
 */
#ifndef RENEWD_ACME_ORDER_H
#define RENEWD_ACME_ORDER_H

#include "acme/acme.h"
#include "acme/authz.h"
#include "acme/ca.h"
#include "acme/download.h"
#include "acme/orders.h"
#include "acme/request.h"
#include "acme/retry.h"

/* What ends a wait. err excludes the rest. */
struct event {
    enum event_kind {
        EV_PLACE,     /* among the CA's max_orders */
        EV_ACCOUNT,   /* err */
        EV_DIRECTORY, /* directory, err */
        EV_FOUND,     /* url, NULL: none; err */
        EV_REPLY,     /* reply (may be there with err, too), err */
        EV_AUTHZS,    /* all were read or answered; err */
        EV_CHAIN,     /* pem, pem_n, err */
        EV_TIMER,
        EV_CONTINUE, /* acme_order_continue() */
        EV_ANSWER,   /* acme_order_answer() */
    } kind;
    const struct err *err;
    const struct http_reply *reply;
    const struct directory_doc *directory;
    const char *pem, *url;
    size_t pem_n;
};

/* What a handler wants; only order.c acts on it. */
struct verdict {
    enum { VERDICT_WAIT, VERDICT_NEXT, VERDICT_FAIL } what;
    enum acme_order_state next;
};

struct acme_order {
    struct ca *ca; /* NULL: there is no such entry */
    const struct conf_cert *cert;
    struct acme_order_handler h;
    void *arg;
    const struct conf_name **names; /* of the certificate, sorted */

    enum acme_order_state state;
    unsigned activations; /* of states, since the start */
    unsigned depth;       /* of order_event(); freed when it is 0 */
    bool dead;
    char *text;      /* the last progress told; NULL: none */
    struct err *err; /* why it failed */
    bool gone;       /* not worth keeping at the CA */

    char *url;
    bool unsure; /* there may be an order, but its URL never reached us */
    bool sent;   /* a newOrder, and the CA has not said that nothing came of it */
    struct orders_look look;
    struct retry retry; /* of newOrder */
    struct order_doc doc;
    struct authz_set *authzs;
    struct choice choice;
    struct acme_challenge *challenges;
    struct authz **open; /* as many: whose they are */
    size_t n_challenges;
    bool published;               /* challenges() was called, answered() was not */
    bool no_replaces, no_profile; /* the CA refused them */
    bool replaces, dry;
    unsigned flags; /* KEEPER_F_ of the newOrder under way */

    bool diagnose;   /* the order is invalid: find out why */
    bool again;      /* the timer is for sending {} again */
    bool rereading;  /* what authz_set is doing is that */
    unsigned polls;  /* in this state */
    unsigned faults; /* polls that failed, one after the other */
    unsigned reanswers;
    unsigned looks;
    int64_t look_at;  /* mono: when to read the authorizations */
    int64_t delay_ms; /* before the next poll, as Retry-After or the way here says; 0: own choice */
    unsigned finalizes;
    bool not_ready;  /* the last finalize was refused with orderNotReady */
    const char *pem; /* for the time of the callback */
    size_t pem_n;

    struct ca_place place;
    struct account_wait account;
    struct directory_wait directory;
    struct request *request;
    struct download *download;
    struct timer timer, limit;
    struct defer kick; /* continue, answer */
};

#define ORDER_BODY_MAX (256u << 10)

static inline struct verdict order_wait(void)
{
    return (struct verdict){VERDICT_WAIT, ACME_FAILED};
}
static inline struct verdict order_next(enum acme_order_state s)
{
    return (struct verdict){VERDICT_NEXT, s};
}
struct verdict order_fail(struct acme_order *o, const struct err *e); /* copies */
struct verdict order_fail_gone(struct acme_order *o, const struct err *e);
/* A newOrder has had no answer that says that there is no order. */
void order_lost(struct acme_order *o);

/* The one door into the machine. o may be gone when it returns. */
void order_event(struct acme_order *o, const struct event *ev);
/* For acme.c: ca NULL fails it, later. */
struct acme_order *order_start(struct ca *ca, struct loop *loop, const struct acme_order_spec *s,
                               const struct acme_order_handler *h, void *arg);

/* Starters: each ends in an event. */
void order_request(struct acme_order *o, const struct request_spec *spec);
void order_read(struct acme_order *o); /* POST-as-GET of the order */
void order_timer(struct acme_order *o, int64_t delay_ms);
void order_authzs_done(void *arg, const struct err *err); /* an authz_set_fn */

/* Takes the order of a reply; checks that the names are ours. */
int order_take(struct acme_order *o, const struct http_reply *reply, struct err *e);
struct verdict order_by_status(struct acme_order *o);
void order_say(struct acme_order *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void order_say_again(struct acme_order *o, const struct err *why, int64_t delay_ms);
int64_t order_retry_after(const struct acme_order *o,
                          const struct http_reply *r); /* ms from now; 0 */
const char *order_name(const struct acme_order *o);
/* The name that an authorization is for; NULL: none of ours. */
const struct conf_name *order_name_of(const struct acme_order *o, const struct authz_doc *d);

/* Handlers, rows of the table in order.c */
struct verdict account_enter(struct acme_order *o);
struct verdict account_event(struct acme_order *o, const struct event *ev);
struct verdict find_enter(struct acme_order *o);
struct verdict find_event(struct acme_order *o, const struct event *ev);
struct verdict find_limit(struct acme_order *o);
struct verdict create_enter(struct acme_order *o);
struct verdict create_event(struct acme_order *o, const struct event *ev);
struct verdict resume_enter(struct acme_order *o);
struct verdict resume_event(struct acme_order *o, const struct event *ev);
struct verdict authorize_enter(struct acme_order *o);
struct verdict authorize_event(struct acme_order *o, const struct event *ev);
struct verdict challenges_enter(struct acme_order *o);
struct verdict challenges_event(struct acme_order *o, const struct event *ev);
struct verdict answer_enter(struct acme_order *o);
struct verdict answer_event(struct acme_order *o, const struct event *ev);
struct verdict validate_enter(struct acme_order *o);
struct verdict validate_event(struct acme_order *o, const struct event *ev);
struct verdict validate_limit(struct acme_order *o);
struct verdict finalize_enter(struct acme_order *o);
struct verdict finalize_event(struct acme_order *o, const struct event *ev);
struct verdict poll_enter(struct acme_order *o);
struct verdict poll_event(struct acme_order *o, const struct event *ev);
struct verdict poll_limit(struct acme_order *o);
struct verdict download_enter(struct acme_order *o);
struct verdict download_event(struct acme_order *o, const struct event *ev);

#endif
