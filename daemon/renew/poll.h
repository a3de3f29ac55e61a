/* SPDX-License-Identifier: ISC */
/* Renewal information (RFC 9773): asked for right after issuance, then when the CA wants to be
 * asked, at most RENEW_POLLS_AT_ONCE at a time, never after expiry, never where `ari: false` is
 * written. */
#ifndef RENEWD_RENEW_POLL_H
#define RENEWD_RENEW_POLL_H

#include "renew/state.h"

/* When to ask; 0: never. */
int64_t poll_next_ms(const struct cert *c);
void poll_start(struct cert *c); /* at once or in its turn; then flow_plan() or flow_once() */
void poll_cancel(struct cert *c);
bool poll_busy(const struct cert *c);
/* Certificates that would all be asked about at once, after a start, are spread. */
void poll_spread(struct renew *r);

#endif
