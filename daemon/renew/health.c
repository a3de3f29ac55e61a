/* SPDX-License-Identifier: ISC */
#include "renew/health.h"
#include "base/mem.h"
#include "base/str.h"
#include "io/http.h"

#include <stdlib.h>

struct health {
    unsigned failures; /* in a row */
    unsigned rounds;   /* of being away, in a row */
    int64_t away_until_ms;
    int64_t held_since_ms;
    bool probing;
};

struct healths {
    struct map *of; /* by directory */
};

struct healths *healths_new(void)
{
    struct healths *h = xnew(struct healths);
    h->of = map_new();
    return h;
}

void healths_free(struct healths *h)
{
    void *one;
    if (!h)
        return;
    for (size_t i = 0; map_next(h->of, &i, NULL, &one);)
        free(one);
    map_free(h->of);
    free(h);
}

/* It did not answer, or with nothing but that it cannot. What it thinks of our request is an
 * answer, as is that a name could not be validated. */
static bool is_away(const struct err *e)
{
    return e->cls == ERR_TRANSIENT && (str_eq(e->type, HTTP_UNREACHABLE) || e->http >= 500);
}

static void hold(struct health *h, int64_t now_ms)
{
    int64_t span = HEALTH_FIRST_MS;
    for (unsigned i = 0; i < h->rounds && span < HEALTH_LONGEST_MS; i++)
        span *= 2;
    h->rounds++;
    h->held_since_ms = now_ms;
    h->away_until_ms = now_ms + (span < HEALTH_LONGEST_MS ? span : HEALTH_LONGEST_MS);
}

void health_note(struct healths *hs, const char *directory, const struct err *err, int64_t began_ms,
                 int64_t now_ms)
{
    struct health *h = map_get(hs->of, directory);
    if (!err_is(err) || !is_away(err)) {
        if (h)
            *h = (struct health){0};
        return;
    }
    if (!h) {
        h = xnew(struct health);
        map_put(hs->of, directory, h);
    }
    /* What had begun before it was found to be away says nothing new. */
    if (h->away_until_ms && began_ms < h->held_since_ms)
        return;
    h->failures++;
    if (h->failures >= HEALTH_FAILURES || h->probing)
        hold(h, now_ms);
    h->probing = false;
}

int64_t health_away_until(const struct healths *hs, const char *directory)
{
    const struct health *h = map_get(hs->of, directory);
    return h ? h->away_until_ms : 0;
}

bool health_probe(struct healths *hs, const char *directory, int64_t now_ms)
{
    struct health *h = map_get(hs->of, directory);
    if (!h || !h->away_until_ms || h->away_until_ms > now_ms)
        return false;
    h->probing = true;
    h->away_until_ms = now_ms + HEALTH_PROBE_MS;
    return true;
}
