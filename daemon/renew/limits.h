/* SPDX-License-Identifier: ISC */
/*
 * When a certificate may be ordered, as far as its CA is concerned: what it allows within a time
 * (budget.h) and whether it answers (health.h). Joins both to certificates and to the scheduler's
 * lanes. An account has two lanes, one of them for what counts as a new order: that one is held
 * when there are no orders left.
 *
 * Let's Encrypt counts thus: a renewal that names what it replaces within the window that the CA
 * has suggested costs nothing; another renewal of exactly the same names costs one of "same names";
 * the rest costs one of everything.
 */
#ifndef RENEWD_RENEW_LIMITS_H
#define RENEWD_RENEW_LIMITS_H

#include "renew/budget.h"
#include "renew/cert.h"
#include "renew/health.h"

#define LIMITS_WRITES 112u /* of the store, at most, in one act: a domain for each name */

struct limits {
    struct budgets *budgets;
    struct healths *healths;
};
void limits_init(struct limits *l);
void limits_done(struct limits *l);

/* The CA of the next attempt: the one whose turn it is, or if it does not answer the next that
 * does. Never NULL. */
const struct conf_ca *limits_ca(const struct cert *c);
/* "ACCOUNT", or "ACCOUNT, new orders". The caller frees. */
char *limits_lane(const struct cert *c, const struct conf_ca *ca);
/* 0: now; else when, and why not before. */
int64_t limits_free_at(const struct cert *c, const struct conf_ca *ca, char *why, size_t size);

/* An order is about to be asked for. Returns how many writes are to be durable before. */
size_t limits_take(struct cert *c, const struct conf_ca *ca, struct budget_write *writes);
/* It came to nothing: certificates were not issued, and if the CA found a name not valid, that is
 * counted. */
size_t limits_give_back(struct cert *c, const struct conf_ca *ca, const struct err *err,
                        struct budget_write *writes);

/* Before it waits in its lane. */
void limits_queue(const struct cert *c, const struct conf_ca *ca);
/* Before the job: the only one to find out whether a CA that was away answers again. */
void limits_began(struct cert *c, const struct conf_ca *ca);
/* The CA has answered (err class ERR_NONE), or an attempt has ended. true: it is away from now on,
 * and who waits for it may go to the next one. */
bool limits_note(struct cert *c, const struct conf_ca *ca, const struct err *err);
/* Why its lane is held: "CA letsencrypt allows 300 new orders in 3 h: waiting for the next" */
void limits_text(const struct cert *c, const struct conf_ca *ca, char *buf, size_t size);

#endif
