/* SPDX-License-Identifier: ISC */
#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

static int64_t read_ms(clockid_t id)
{
    struct timespec ts;
    if (clock_gettime(id, &ts))
        abort();
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int64_t system_wall(const struct clock *c)
{
    (void)c;
    return read_ms(CLOCK_REALTIME);
}

static int64_t system_mono(const struct clock *c)
{
    (void)c;
    return read_ms(CLOCK_BOOTTIME);
}

const struct clock clock_system = {.wall_ms = system_wall, .mono_ms = system_mono};

static void system_fill(const struct rng *r, void *p, size_t n)
{
    (void)r;
    for (char *at = p; n > 0;) {
        ssize_t got = getrandom(at, n, 0);
        if (got < 0 && errno != EINTR)
            abort();
        if (got > 0) {
            at += got;
            n -= (size_t)got;
        }
    }
}

const struct rng rng_system = {.fill = system_fill};

uint64_t rng_u64(const struct rng *r)
{
    uint64_t v;
    r->fill(r, &v, sizeof(v));
    return v;
}

int64_t rng_range(const struct rng *r, int64_t min, int64_t max)
{
    uint64_t span = (uint64_t)max - (uint64_t)min + 1;
    if (span == 0)
        return (int64_t)rng_u64(r);
    uint64_t excess = (UINT64_MAX % span + 1) % span; /* 2^64 mod span: values to throw away */
    uint64_t v;
    do
        v = rng_u64(r);
    while (v > UINT64_MAX - excess);
    return (int64_t)((uint64_t)min + v % span);
}
