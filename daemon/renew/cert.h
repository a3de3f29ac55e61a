/* SPDX-License-Identifier: ISC */
/*
 * What is known of one certificate while the engine runs: the configuration's entry, what the
 * keeper has installed, and the durable state "cert/NAME/state", small enough for 100,000 of them.
 * Beside it live "cert/NAME/order" (an order that must not be lost) and "cert/NAME/deploy"
 * (deploy.h).
 */
#ifndef RENEWD_RENEW_CERT_H
#define RENEWD_RENEW_CERT_H

#include "acme/acme.h"
#include "base/json.h"
#include "base/list.h"
#include "base/map.h"
#include "conf/conf.h"
#include "link/keeper.h"
#include "renew/policy.h"
#include "renew/scheduler.h"

struct cert_installed { /* as struct keeper_installed */
    bool present, names_match, staging;
    int64_t not_before_ms, not_after_ms;
    char *serial, *fingerprint, *cert_id;     /* "" when not present */
    const char *directory, *account, *issuer; /* shared, see texts_share() */
};

struct cert_state { /* durable */
    /* of the installed certificate, dropped when it is another one */
    int64_t issued_ms; /* 0: not by us (adopted) */
    unsigned churn;    /* certificates in a row that were due at once */
    struct policy_window window;
    int64_t poll_ms;    /* next question for renewal information; 0: as soon as may be */
    bool no_ari;        /* its CA has none */
    int64_t revoked_ms; /* at the operator's word; 0: not */
    /* of the attempts */
    unsigned failures;          /* in a row */
    unsigned ca;                /* place in conf_cert.cas of the next attempt */
    unsigned ca_failures;       /* in a row at that CA */
    unsigned looks;             /* while blocked */
    struct acme_avoid *refused; /* by the CA, since the last success; names are ours */
    size_t n_refused;
    bool blocked;
    int64_t failed_ms, retry_ms; /* retry_ms 0: no failure to wait out */
    unsigned runs;               /* counts up; slots of the history */
    struct err *error;           /* the last failure's; NULL: none */
};

struct cert_order { /* durable */
    char *url;      /* "": asked for, but nobody has heard of it yet */
    char *ca;
    char *was; /* fingerprint installed when it was made: another one now says that it is done */
    uint64_t names; /* cert_names_hash() when it was made */
    int64_t made_ms;
};
enum cert_once {
    ONCE_OFF,
    ONCE_POLL,
    ONCE_RENEW,
    ONCE_DEPLOY,
    ONCE_LAST
}; /* what is to be seen to */

struct renew;
struct job;
struct deploy;
struct history;
struct preflight;
struct ahead;
struct store_call;
struct acme_call;

struct cert {
    struct sched_item item;
    struct renew *renew;
    const struct conf_cert *conf; /* of renew's configuration */
    struct cert_installed in;
    struct cert_state st;
    struct cert_order *order; /* NULL: none */
    struct job *job;          /* NULL: no order runs */
    struct deploy *deploy;    /* NULL: nothing to deploy */
    struct history *history;  /* of the run that goes on */
    struct preflight *look;   /* while blocked */
    struct ahead *ahead;      /* preflights before it is due; NULL: none has run */
    struct acme_call *ari;
    char *waiting; /* what is waited for; NULL: nothing */
    int64_t since_ms;
    struct list poll_node; /* renew.polls */
    bool poll_queued;
    struct store_call *recording;
    struct keeper_call *asking; /* what is installed, after a change of configuration */
    enum cert_once once;
    int64_t began_ms; /* the attempt under way, or the last */
    bool counted;     /* it has taken from the CA's limits what only a certificate costs */
    bool forced;      /* renew_start() */
    bool premature;   /* the running order replaces one that was due at once */
    bool announce;    /* "renewed" is logged once renewal information is there */
    bool running;     /* a run that watchers know of has not finished */
    bool seen;        /* by the reader of a new configuration */
};

void cert_init(struct cert *c, struct renew *r, const struct conf_cert *conf);
void cert_done(struct cert *c); /* the memory of it; calls must have been cancelled */

/* Copies; another fingerprint than before drops what was known of the former certificate. */
void cert_set_installed(struct cert *c, const struct keeper_installed *i, struct map *texts);
struct policy_life cert_life(const struct cert *c);
int64_t cert_lifetime(const struct cert *c);              /* 0: none installed */
void cert_set_error(struct cert *c, const struct err *e); /* NULL: none */

/* A challenge type that the CA found wrong for the name; once all of its types were, it begins with
 * the first again. */
void cert_refused(struct cert *c, const char *name, unsigned types);
void cert_refused_clear(struct cert *c);

char *cert_state_text(const struct cert *c); /* for the store; the caller frees */
void cert_state_read(struct cert *c, const struct json *j);
char *cert_order_text(const struct cert_order *o);
struct cert_order *cert_order_read(const struct json *j); /* NULL: unreadable */
struct cert_order *cert_order_new(const char *url, const char *ca, const char *was, uint64_t names,
                                  int64_t made_ms);
void cert_order_free(struct cert_order *o);
uint64_t cert_names_hash(const struct conf_cert *c); /* whatever their order */
char *cert_key(const char *name, const char *what);  /* "cert/NAME/WHAT"; the caller frees */

/* One copy of each text that many certificates share. */
const char *texts_share(struct map *texts, const char *text);
void texts_free(struct map *texts);

#endif
