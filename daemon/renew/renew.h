/* SPDX-License-Identifier: ISC */
/*
 * The renewal logic: when (policy.h), how (job.h: one certificate's state machine), in what order
 * (scheduler.h), and bringing the result to its users (deploy.h). This header is what control/ and
 * the engine's main see of it.
 *
 *   job:  IDLE -> (due) PREPARE -> ORDER -> PUBLISH -> ANSWERED -> INSTALL -> DEPLOY -> IDLE
 *           ^                 any failure: CLEAN (records) -> WAIT (back-off) or BLOCKED
 *           `- a certificate whose deployment fails stays in DEPLOY, retried, and is not ordered
 * again
 */
#ifndef RENEWD_RENEW_RENEW_H
#define RENEWD_RENEW_RENEW_H

#include "acme/acme.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "conf/conf.h"
#include "dns/publish.h"
#include "link/keeper.h"
#include "loop/loop.h"
#include "renew/preflight.h"
#include "store/store.h"

struct renew;
struct checks;
struct dns;
struct responders;
struct renew_env {
    struct loop *loop;
    const struct rng *rng;
    const struct log *log;
    struct store *store;
    struct keeper *keeper;
    struct acme *acme;
    struct publisher *publisher;
    struct providers *providers;
    struct checks *checks; /* of DNS, for preflights */
    struct http *http;     /* verify steps, own checks of http-01 */
    struct dns *dns;
    struct responders *responders;
};
struct renew *renew_new(const struct renew_env *env);
void renew_free(struct renew *r);
/* A generation; the first one reads the inventory and the store, then calls ready once. Takes a
 * reference. Names changed or a staging certificate under a new CA: due now. */
void renew_configure(struct renew *r, struct conf *c,
                     void (*ready)(void *arg, const struct err *err), void *arg);
/* --once: all that is due, one attempt each (waits above 15 minutes count as failed), then done. */
void renew_once(struct renew *r, void (*done)(void *arg, unsigned failed), void *arg);
/* The same as rehearsals: a real order at the staging CA for all that is due, nothing installed. */
void renew_once_dry(struct renew *r, void (*done)(void *arg, unsigned failed), void *arg);
/* Stop starting things; done() when nothing runs or after limit_ms. Running orders are left to
 * resumption. */
void renew_stop(struct renew *r, int64_t limit_ms, void (*done)(void *arg), void *arg);
/* For the watchdog: true while timers are served in time. */
bool renew_alive(const struct renew *r);

enum renew_state {
    RENEW_OK,            /* installed, deployed, next renewal planned */
    RENEW_DUE,           /* waiting for its turn (max_orders, CA) */
    RENEW_RENEWING,      /* an order runs */
    RENEW_DEPLOYING,     /* installed; deployment runs */
    RENEW_DEPLOY_FAILED, /* installed; deployment failed and is retried */
    RENEW_FAILED,        /* the last attempt failed; next try planned */
    RENEW_BLOCKED,       /* waits for the user */
    RENEW_EXPIRED,       /* no valid certificate and nothing helps yet */
    RENEW_MISSING,       /* none yet, not begun */
    RENEW_DISABLED,
    RENEW_PAUSED,  /* by the operator: nothing is ordered */
    RENEW_REVOKED, /* by the operator, and not replaced */
    RENEW_STATES
};
const char *renew_state_name(enum renew_state s); /* "ok", "due", "renewing", "deploying", ... */

struct renew_status { /* valid for the callback */
    const char *name;
    enum renew_state state;
    int64_t not_before_ms, not_after_ms; /* 0: none installed */
    int64_t next_ms;                     /* next planned act; 0: none */
    const char *why;     /* one line for people: reason of next, or of the failure and what to do */
    const char *ca;      /* entry that issued it or is being tried */
    const char *waiting; /* while something runs: what for ("ns2... lacks 1 of 2 values") or "" */
    const char *preflight; /* what a preflight found against the coming renewal; "": nothing */
    int64_t since_ms;      /* since when it waits or is in this state */
    unsigned failures;
    bool ari; /* the planned time comes from an ARI window */
    const struct conf_cert *cert;
    const char *serial, *issuer, *fingerprint;
};
/* name NULL: all, in the order of the configuration. False when there is none of that name. */
bool renew_status(const struct renew *r, const char *name,
                  void (*fn)(void *arg, const struct renew_status *), void *arg);

/* History and reasoning of one certificate: the last orders, each step with its time and reason.
 * Async since it is read from the store; fn is called once with an object, which is then the
 * callee's, or with NULL and err. */
void renew_explain(struct renew *r, const char *name,
                   void (*fn)(void *arg, struct json *explanation, const struct err *err),
                   void *arg);

/* The certificate of that name, or one that holds that host name; NULL: none. */
const char *renew_cert_of(const struct renew *r, const char *name);
/* A full preflight of that certificate, or of that one name in it; see preflight.h. NULL: *e. */
struct preflight *renew_preflight(struct renew *r, const char *name,
                                  const struct preflight_handler *h, void *arg, struct err *e);

enum { RENEW_FORCE = 1 /* although not due */ };
/* Ask for a renewal; -1 and err if there is no such certificate, disabled, or refused without
 * force: (ERR_DENIED, type "not-due"). The outcome is told to watchers. */
int renew_start(struct renew *r, const char *name, unsigned flags, struct err *e);
int renew_deploy(struct renew *r, const char *name, struct err *e);
/* A real order at the staging of its CA, of which nothing stays. The outcome is told to watchers.
 */
int renew_rehearse(struct renew *r, const char *name, struct err *e);
/* what: "NAME", "ca:NAME", "provider:NAME". 0: done() is called once it is durable, *ret_was says
 * whether it was paused before; -1: there is none of that name (ERR_CONFIG). */
int renew_pause(struct renew *r, const char *what, bool pause, bool *ret_was, store_write_fn *done,
                void *arg, struct err *e);
/* The installed certificate has been revoked at the operator's word: it is not replaced before that
 * is asked for. */
void renew_revoked(struct renew *r, const char *name);

/* What the CAs allow and what of it is left; and which of them are left alone since they do not
 * answer. */
struct renew_limit {
    const char *ca;
    const char *text;      /* "300 new orders in 3 h" */
    unsigned left;         /* UINT32_MAX: no limit is known */
    int64_t free_ms;       /* when left is 1 again; 0: it is not 0 */
    int64_t away_until_ms; /* 0: it answers, as far as is known */
};
void renew_limits(const struct renew *r, void (*fn)(void *arg, const struct renew_limit *),
                  void *arg);

/* Live progress: fn on each change of any certificate until unwatched. `finished` when the run that
 * began by renew_start, renew_deploy or by itself has come to its end (err class ERR_NONE:
 * success). */
struct renew_watch;
struct renew_event {
    const char *name;
    const char *text; /* "ORDER -> PUBLISH: adding 2 records through cf" */
    int64_t at_ms;
    bool dry; /* of a rehearsal */
    bool finished;
    const struct err *err;
};
struct renew_watch *renew_watch_start(struct renew *r,
                                      void (*fn)(void *arg, const struct renew_event *), void *arg);
void renew_watch_stop(struct renew_watch *w);

#endif
