/* SPDX-License-Identifier: ISC */
#include "base/map.h"
#include "base/mem.h"
#include "digest/x509_private.h"

#include <stdlib.h>

#define CACHE_MAX 128 /* more intermediates than a CA list has; a full cache starts anew */

struct cert_cache {
    struct map *by_fingerprint; /* each value holds a reference */
};

struct cert_cache *cert_cache_new(void)
{
    struct cert_cache *c = xnew(struct cert_cache);
    c->by_fingerprint = map_new();
    return c;
}

static void empty(struct cert_cache *c)
{
    void *info;
    for (size_t i = 0; map_next(c->by_fingerprint, &i, NULL, &info);)
        cert_info_unref(info);
    map_free(c->by_fingerprint);
}

void cert_cache_free(struct cert_cache *c)
{
    if (!c)
        return;
    empty(c);
    free(c);
}

const struct cert_info *cert_cache_find(struct cert_cache *c, const char *fingerprint)
{
    const struct cert_info *info = c ? map_get(c->by_fingerprint, fingerprint) : NULL;
    return info ? cert_info_ref(info) : NULL;
}

void cert_cache_keep(struct cert_cache *c, const struct cert_info *info)
{
    if (!c || map_get(c->by_fingerprint, info->fingerprint))
        return;
    if (map_len(c->by_fingerprint) >= CACHE_MAX) {
        empty(c);
        c->by_fingerprint = map_new();
    }
    map_put(c->by_fingerprint, info->fingerprint, (void *)cert_info_ref(info));
}
