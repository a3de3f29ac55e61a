/* SPDX-License-Identifier: ISC */
/*
 * Preflights days before a renewal is due: once when it comes near (a tenth of the lifetime, a week
 * at most), then daily while they find fault; daily all the time where names are proved by records
 * that stay (dns-persist-01). What they find is logged, and told by status and
 * explain; it stops nothing.
 */
#ifndef RENEWD_RENEW_AHEAD_H
#define RENEWD_RENEW_AHEAD_H

#include "renew/state.h"

/* When the next one is to run, for a renewal that is due then; 0: none is needed. */
int64_t ahead_at(const struct cert *c, int64_t due_ms);
void ahead_start(struct cert *c); /* as soon as few others run */
bool ahead_running(const struct cert *c);
/* Forgets what was found, stops what runs: another certificate, other names, the end. */
void ahead_drop(struct cert *c);
const char *ahead_fault(const struct cert *c); /* the worst that is known, as people read it; "" */
void ahead_explain(const struct cert *c, struct json *to); /* adds "preflight", if one has run */

#endif
