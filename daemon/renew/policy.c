/* SPDX-License-Identifier: ISC */
#include "renew/policy.h"
#include "base/mem.h"

#define SHORT_LIVED (10 * POLICY_DAY)
#define LONGEST_WAIT (7 * POLICY_DAY)

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

int64_t policy_lifetime(const struct policy_life *l)
{
    return max64(l->not_after_ms - l->not_before_ms, 0);
}

static struct policy_due default_rule(const struct policy_life *l)
{
    int64_t life = policy_lifetime(l);
    if (life < SHORT_LIVED)
        return (struct policy_due){l->not_after_ms - life / 2, POLICY_HALF};
    return (struct policy_due){l->not_after_ms - life / 3, POLICY_TWO_THIRDS};
}

static bool rule_written(const struct policy_rule *r)
{
    return r->before_ms > 0 || r->before_percent > 0;
}

/* A written rule that would have every new certificate due at once is not followed. */
static struct policy_due written_rule(const struct policy_life *l, const struct policy_rule *r)
{
    int64_t life = policy_lifetime(l);
    int64_t before = r->before_ms > 0 ? r->before_ms : life / 100 * r->before_percent;
    if (before >= life - life / 10) {
        struct policy_due d = default_rule(l);
        d.reason = POLICY_UNFIT;
        return d;
    }
    return (struct policy_due){l->not_after_ms - before, POLICY_RENEW_BEFORE};
}

struct policy_due policy_due(const struct policy_life *l, const struct policy_rule *r,
                             const struct policy_window *w, uint32_t jitter_ppm)
{
    int64_t life = policy_lifetime(l);
    struct policy_due d = rule_written(r) ? written_rule(l, r) : default_rule(l);
    d.at_ms = max64(d.at_ms - life / 1000000 * jitter_ppm, l->not_before_ms);
    if (!w || w->end_ms <= 0)
        return d;
    if (d.reason != POLICY_RENEW_BEFORE || w->at_ms <= d.at_ms)
        d = (struct policy_due){w->at_ms, POLICY_ARI};
    int64_t floor = l->not_after_ms - life / 10;
    if (d.at_ms > floor)
        d = (struct policy_due){floor, POLICY_FLOOR};
    return d;
}

const char *policy_reason_text(enum policy_reason r)
{
    static const char *const texts[POLICY_REASONS] = {
        [POLICY_TWO_THIRDS] = "2/3 of the lifetime",
        [POLICY_HALF] = "half of the lifetime",
        [POLICY_RENEW_BEFORE] = "renew_before",
        [POLICY_UNFIT] = "renew_before does not fit the lifetime, the default is used",
        [POLICY_ARI] = "ARI window",
        [POLICY_FLOOR] = "10 % of the lifetime left, ARI asks for later",
    };
    return (unsigned)r < POLICY_REASONS ? texts[r] : "";
}

uint32_t policy_jitter(const char *fingerprint)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (const char *p = fingerprint; *p; p++)
        hash = (hash ^ (unsigned char)*p) * 16777619u;
    return hash % (POLICY_JITTER_PPM + 1);
}

bool policy_window_set(struct policy_window *w, int64_t start_ms, int64_t end_ms,
                       const struct rng *rng)
{
    if (end_ms <= start_ms || end_ms <= 0)
        return false;
    if (w->start_ms == start_ms && w->end_ms == end_ms)
        return false;
    *w = (struct policy_window){start_ms, end_ms, rng_range(rng, start_ms, end_ms)};
    return true;
}

/* Up to a fifth less, so that what failed together is not repeated together. */
static int64_t bounded(int64_t delay, int64_t lifetime_ms, const struct rng *rng)
{
    if (lifetime_ms > 0)
        delay = min64(delay, lifetime_ms / 10);
    delay -= rng_range(rng, 0, max64(delay / 5, 0));
    return max64(delay, POLICY_SECOND);
}

static int64_t step(const int64_t *steps, size_t n, unsigned count)
{
    size_t i = count ? count - 1 : 0;
    return steps[i < n ? i : n - 1];
}

static int64_t backoff_step(unsigned failures)
{
    static const int64_t steps[] = {POLICY_MINUTE, 10 * POLICY_MINUTE, 100 * POLICY_MINUTE,
                                    POLICY_DAY};
    return step(steps, ARRAY_LEN(steps), failures);
}

int64_t policy_backoff(unsigned failures, int64_t lifetime_ms, const struct rng *rng)
{
    return bounded(backoff_step(failures), lifetime_ms, rng);
}

int64_t policy_retry_at(int64_t now_ms, const struct err *err, unsigned failures,
                        int64_t lifetime_ms, const struct rng *rng)
{
    bool permanent = err->cls == ERR_DENIED || err->cls == ERR_CONFIG;
    int64_t delay = permanent ? bounded(POLICY_DAY, lifetime_ms, rng)
                              : policy_backoff(failures, lifetime_ms, rng);
    int64_t asked = min64(err->retry_at, now_ms + LONGEST_WAIT);
    return max64(now_ms + delay, asked);
}

int64_t policy_look_after(unsigned looks, const struct rng *rng)
{
    int64_t delay = looks <= 1    ? POLICY_MINUTE
                    : looks == 2  ? 10 * POLICY_MINUTE
                    : looks <= 26 ? POLICY_HOUR
                                  : POLICY_DAY;
    return bounded(delay, 0, rng);
}

int64_t policy_deploy_after(unsigned failures, int64_t lifetime_ms, const struct rng *rng)
{
    static const int64_t steps[] = {POLICY_MINUTE, 10 * POLICY_MINUTE, POLICY_HOUR};
    return bounded(step(steps, ARRAY_LEN(steps), failures), lifetime_ms, rng);
}

bool policy_is_fresh(int64_t due_ms, int64_t issued_ms, int64_t lifetime_ms)
{
    return issued_ms > 0 && due_ms < issued_ms + lifetime_ms / 10;
}

int64_t policy_fresh(int64_t due_ms, int64_t issued_ms, unsigned churn, int64_t lifetime_ms)
{
    if (!policy_is_fresh(due_ms, issued_ms, lifetime_ms))
        return due_ms;
    unsigned n = churn < 4 ? churn + 1 : 4;
    int64_t wait = max64(min64(backoff_step(n), lifetime_ms / 10), POLICY_SECOND);
    return max64(due_ms, issued_ms + wait);
}

int64_t policy_sane_at(int64_t at_ms, int64_t now_ms)
{
    return at_ms > now_ms + LONGEST_WAIT + POLICY_HOUR ? now_ms : at_ms;
}
