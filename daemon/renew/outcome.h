/* SPDX-License-Identifier: ISC */
/* What the end of an order or of a deployment means for its certificate, and what of it is stored.
 */
#ifndef RENEWD_RENEW_OUTCOME_H
#define RENEWD_RENEW_OUTCOME_H

#include "renew/state.h"

extern const struct job_handler outcome_of_job;
extern const struct deploy_handler outcome_of_deploy;

enum { /* what outcome_record() stores, in one batch */
       RECORD_STATE = 1,
       RECORD_NO_ORDER = 2, /* the order's key is removed */
       RECORD_DEPLOY = 4,   /* or removed, when all is deployed */
       RECORD_HISTORY = 8,
       RECORD_ORDER = 16,
       RECORD_TAKEN = 32 /* with RECORD_ORDER: it counts for the CA's limits */
};
/* done NULL: in the background; failures are logged. Else it is called once, unless
 * outcome_forget(). */
void outcome_record(struct cert *c, unsigned what, store_write_fn *done);
/* An order will be asked for: durable before it is. */
void outcome_intend_order(struct cert *c, const char *ca);
void outcome_forget(struct cert *c);
/* A run that watchers know of: a renewal, a deployment, or both. */
void outcome_run_began(struct cert *c);
void outcome_waits(struct cert *c, const char *text); /* "": for nothing */
/* All that is installed is to be deployed, if there is anything to it. */
void outcome_deploy_new(struct cert *c);
/* The installed certificate is that of the order whose end was not seen. */
void outcome_adopt_order(struct cert *c);
void outcome_blocked(struct cert *c, const struct err *err);

#endif
