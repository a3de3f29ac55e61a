/* SPDX-License-Identifier: ISC */
/* What the files of this layer share of `struct renew`. No one else includes this. */
#ifndef RENEWD_RENEW_STATE_H
#define RENEWD_RENEW_STATE_H

#include "base/list.h"
#include "base/map.h"
#include "renew/cert.h"
#include "renew/deploy.h"
#include "renew/job.h"
#include "renew/limits.h"
#include "renew/pause.h"
#include "renew/preflight.h"
#include "renew/renew.h"
#include "renew/scheduler.h"

#define RENEW_JOBS_AT_ONCE 1000u /* some 20 KiB each; how many orders a CA sees is max_orders */
#define RENEW_POLLS_AT_ONCE 20u
#define RENEW_ONCE_LONGEST_WAIT (15 * POLICY_MINUTE)

enum renew_phase { RENEW_NEW, RENEW_STARTING, RENEW_RUNNING, RENEW_STOPPING };

struct renew {
    struct renew_env env;
    struct conf *conf;
    enum renew_phase phase;
    struct cert **certs; /* in the order of the configuration */
    size_t n;
    struct map *by_name;
    struct map *texts;
    struct pauses pauses;
    struct scheduler *scheduler;
    struct limits limits;
    struct deployer *deployer;
    struct prover *prover;
    struct job_env jobs;
    struct preflight_env preflights;
    struct list aheads; /* preflights ahead of time that wait, see ahead.c */
    unsigned aheads_running;
    struct list polls; /* cert.poll_node: waiting to be asked about */
    unsigned polling;
    struct list watches;
    struct list rehearsals; /* rehearse.c */
    struct list explains;   /* questions to the store, see status.c */
    unsigned telling;
    unsigned records; /* ends of orders that are being stored */
    /* starting */
    struct keeper_call *list;
    struct store_call *load;
    struct conf *next_conf;
    void (*ready)(void *arg, const struct err *err);
    void *ready_arg;
    struct defer ready_defer;
    /* --once */
    void (*once)(void *arg, unsigned failed);
    void *once_arg;
    unsigned once_failed;
    /* stopping, and the end of --once: looked at when something has ended */
    void (*stopped)(void *arg);
    void *stopped_arg;
    struct timer stop_timer;
    struct defer ended;
};

static inline int64_t renew_now(const struct renew *r)
{
    return loop_wall_ms(r->env.loop);
}
static inline struct log_ctx renew_log(const struct cert *c)
{
    return (struct log_ctx){c->renew->env.log, c->conf->name};
}
void renew_something_ended(struct renew *r); /* looks, later, whether all has */

/* status.c */
void renew_explain_drop(struct renew *r);

/* watch.c */
void renew_watches_drop(struct renew *r);
void renew_tell_event(struct renew *r, const struct renew_event *ev);
void renew_tell(struct cert *c, const char *text);
void renew_tell_finished(struct cert *c, const char *text, const struct err *err);

#endif
