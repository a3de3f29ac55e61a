/* SPDX-License-Identifier: ISC */
/* When a request to a CA is repeated inside, so that nobody above sees a passing fault: network
 * faults and 5xx after 1, 2, 4 s; a Retry-After that is short is waited for. All else goes up. */
#ifndef RENEWD_ACME_RETRY_H
#define RENEWD_ACME_RETRY_H

#include "base/clock.h"
#include "base/err.h"

#include <stdbool.h>

#define ACME_WAIT_MAX_MS 60000 /* longer waits are the owner's */

struct retry {
    unsigned faults, waits; /* so far */
};
/* false: give up. retry_at of e is wall time. */
bool retry_next(struct retry *r, const struct err *e, int64_t now_wall_ms, const struct rng *rng,
                int64_t *ret_delay_ms);

#endif
