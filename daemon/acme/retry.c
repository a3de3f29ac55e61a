/* SPDX-License-Identifier: ISC */
#include "acme/retry.h"

#define FAULTS_MAX 3
#define WAITS_MAX 3

/* Thousands of orders that failed at the same instant must not come back at the same instant. */
static int64_t spread(const struct rng *rng, int64_t ms)
{
    return rng ? ms + rng_range(rng, 0, ms / 4) : ms;
}

bool retry_next(struct retry *r, const struct err *e, int64_t now_wall_ms, const struct rng *rng,
                int64_t *ret_delay_ms)
{
    int64_t asked = e->retry_at ? e->retry_at - now_wall_ms : 0;
    int64_t delay;

    if (asked > ACME_WAIT_MAX_MS)
        return false;
    if (e->cls == ERR_RATE_LIMITED) {
        if (!e->retry_at || r->waits == WAITS_MAX)
            return false;
        r->waits++;
        delay = asked < 1000 ? 1000 : asked;
    } else if (e->cls == ERR_TRANSIENT) {
        bool refusal = e->http >= 400 && e->http < 500 && e->http != 408;
        if (refusal || r->faults == FAULTS_MAX)
            return false;
        delay = 1000LL << r->faults++;
        if (delay < asked)
            delay = asked;
    } else {
        return false;
    }
    *ret_delay_ms = spread(rng, delay);
    return true;
}
