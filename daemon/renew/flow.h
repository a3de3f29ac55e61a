/* SPDX-License-Identifier: ISC */
/*
 * What happens to one certificate, and when: joins policy, job, deployment, renewal information and
 * looks.
 *
 *   flow_plan() finds the next act's time and has the scheduler call flow_due() then.
 */
#ifndef RENEWD_RENEW_FLOW_H
#define RENEWD_RENEW_FLOW_H

#include "renew/state.h"

void flow_plan(struct cert *c);
void flow_due(void *renew, struct sched_item *it);
void flow_start(void *renew, struct sched_item *it);
void flow_force(struct cert *c);      /* renew although not due, ignoring the back-off */
void flow_deploy_all(struct cert *c); /* all steps again */
void flow_once(struct cert *c);       /* --once: the next thing that is due, or none */
void flow_resume_deploy(struct cert *c, const struct json *stored);
/* A new generation: c->conf is the new entry; what waited for the user may be tried again soon. */
void flow_reconfigured(struct cert *c);
/* Stops what runs. abandon: nobody will take up its order, nothing of it is kept. */
void flow_stop(struct cert *c, bool abandon);
/* A CA is away: who waits for it and has another one goes there. */
void flow_leave_ca(struct renew *r);
bool flow_busy(const struct cert *c); /* an order, a deployment or a question runs */

struct flow_next { /* why and when, for status */
    int64_t at_ms; /* 0: never */
    char why[700];
    bool ari;
};
void flow_next(const struct cert *c, struct flow_next *ret);
bool flow_is_due(const struct cert *c); /* whatever was asked for and has failed */
/* Of the next attempt; never NULL. */
const struct conf_ca *flow_ca(const struct cert *c);
/* Nobody takes it up any more; its key is removed by outcome_record(). NULL is fine. */
void flow_drop_order(struct cert *c);
void flow_save(struct cert *c); /* cert/NAME/state, in the background */

#endif
