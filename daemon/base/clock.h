/* SPDX-License-Identifier: ISC */
/* The one source of time and the one of randomness. Handed in, so that tests run on virtual time.
 */
#ifndef RENEWD_BASE_CLOCK_H
#define RENEWD_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

struct clock {
    int64_t (*wall_ms)(const struct clock *c); /* since 1970, UTC; may step */
    int64_t (*mono_ms)(const struct clock *c); /* CLOCK_BOOTTIME: never steps, counts suspend */
};
extern const struct clock clock_system;

static inline int64_t clock_wall_ms(const struct clock *c)
{
    return c->wall_ms(c);
}
static inline int64_t clock_mono_ms(const struct clock *c)
{
    return c->mono_ms(c);
}

struct rng {
    void (*fill)(const struct rng *r, void *p, size_t n);
};
extern const struct rng rng_system; /* getrandom(2); aborts when the kernel has none */

uint64_t rng_u64(const struct rng *r);
/* Uniform in [min, max]; min <= max. */
int64_t rng_range(const struct rng *r, int64_t min, int64_t max);

#endif
