/* SPDX-License-Identifier: ISC */
/*
 * When to renew, when to try again: pure functions of their arguments. All times are wall clock in
 * ms, all spans ms. Days are never constants: everything is a fraction of the lifetime, but for the
 * steps of the back-off.
 *
 *   renewal time   no ARI:  the rule of renew_before, else 2/3 of the lifetime (1/2 under 10 days),
 *                           up to 2 % of the lifetime earlier
 *                  ARI:     the instant drawn in the window (RFC 9773 4.2), but not later than a
 *                           written renew_before, nor than the floor: 10 % of the lifetime left
 */
#ifndef RENEWD_RENEW_POLICY_H
#define RENEWD_RENEW_POLICY_H

#include "base/clock.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define POLICY_SECOND INT64_C(1000)
#define POLICY_MINUTE (60 * POLICY_SECOND)
#define POLICY_HOUR (60 * POLICY_MINUTE)
#define POLICY_DAY (24 * POLICY_HOUR)
/* 2026-01-01: nothing that this program handles is older; a clock before it has not been set. */
#define POLICY_EPOCH INT64_C(1767225600000)
#define POLICY_JITTER_PPM 20000u /* of the lifetime, earlier */

struct policy_life {
    int64_t not_before_ms, not_after_ms;
};
struct policy_rule { /* as struct conf_cert has them */
    int64_t before_ms;
    uint32_t before_percent;
};
struct policy_window { /* of ARI; end_ms 0: none */
    int64_t start_ms, end_ms;
    int64_t at_ms; /* drawn once */
};
enum policy_reason {
    POLICY_TWO_THIRDS,
    POLICY_HALF,
    POLICY_RENEW_BEFORE,
    POLICY_UNFIT, /* renew_before does not fit the lifetime: the default rule */
    POLICY_ARI,
    POLICY_FLOOR,
    POLICY_REASONS
};
struct policy_due {
    int64_t at_ms;
    enum policy_reason reason;
};

int64_t policy_lifetime(const struct policy_life *l); /* never negative */
/* window may be NULL. jitter_ppm as policy_jitter() gives it. */
struct policy_due policy_due(const struct policy_life *l, const struct policy_rule *r,
                             const struct policy_window *w, uint32_t jitter_ppm);
const char *policy_reason_text(enum policy_reason r); /* "ARI window" */
/* Spreads certificates; always the same for the same certificate, so that it need not be stored. */
uint32_t policy_jitter(const char *fingerprint);
/* Takes what the CA suggests; the instant is drawn again only when the window has changed. False
 * when nothing changed; a window that is none (end <= start) changes nothing. */
bool policy_window_set(struct policy_window *w, int64_t start_ms, int64_t end_ms,
                       const struct rng *rng);

/*
 * The time before the failures-th retry: 1 min, 10 min, 100 min, then a day, up to a fifth less;
 * never more than a tenth of the lifetime (0: not known), never less than a second.
 */
int64_t policy_backoff(unsigned failures, int64_t lifetime_ms, const struct rng *rng);
/* When to try again after err: the back-off, or a day for what only a new configuration mends, but
 * not before err->retry_at (obeyed up to 7 days). */
int64_t policy_retry_at(int64_t now_ms, const struct err *err, unsigned failures,
                        int64_t lifetime_ms, const struct rng *rng);
/* Time before the looks-th look (from 1) at what only the user can mend: 1 min, 10 min, hourly for
 * a day, then daily. */
int64_t policy_look_after(unsigned looks, const struct rng *rng);
/* Time before a failed deployment is tried again: 1 min, 10 min, then hourly; bounded as
 * policy_backoff. */
int64_t policy_deploy_after(unsigned failures, int64_t lifetime_ms, const struct rng *rng);
/*
 * A certificate that is due before a tenth of its lifetime has gone by was issued for nothing: it
 * waits for the back-off, counted over such certificates in a row (churn). Returns due_ms or later.
 */
int64_t policy_fresh(int64_t due_ms, int64_t issued_ms, unsigned churn, int64_t lifetime_ms);
bool policy_is_fresh(int64_t due_ms, int64_t issued_ms, int64_t lifetime_ms);
/* A stored instant that lies further ahead than anything here plans was written under another
 * clock. */
int64_t policy_sane_at(int64_t at_ms, int64_t now_ms);

#endif
