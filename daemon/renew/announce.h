/* SPDX-License-Identifier: ISC */
/* The log lines that are read at three in the morning: one for each outcome. */
#ifndef RENEWD_RENEW_ANNOUNCE_H
#define RENEWD_RENEW_ANNOUNCE_H

#include "renew/state.h"

/* "renewed: valid until 2027-02-19, serial 03ab, next renewal 2027-01-20 (ARI window)", if that is
 * still to be said: it waits for the renewal information. */
void announce(struct cert *c);
/* retried false: it was only asked for, and nothing is done until it is due. */
void announce_failure(struct cert *c, bool next_ca, bool retried);
void announce_blocked(struct cert *c);
void announce_deployed(struct cert *c);
void announce_deploy_failed(struct cert *c, const struct err *err);

#endif
