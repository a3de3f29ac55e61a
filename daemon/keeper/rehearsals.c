/* SPDX-License-Identifier: ISC */
#include "keeper/rehearsals.h"
#include "base/map.h"
#include "base/mem.h"

#include <stdlib.h>

struct rehearsals {
    struct map *pendings; /* name -> struct pending */
};

struct rehearsals *rehearsals_new(void)
{
    struct rehearsals *r = xnew(struct rehearsals);
    r->pendings = map_new();
    return r;
}

void rehearsals_clear(struct rehearsals *r)
{
    void *k;
    for (size_t i = 0; map_next(r->pendings, &i, NULL, &k);)
        pending_free(k);
    map_free(r->pendings);
    r->pendings = map_new();
}

void rehearsals_free(struct rehearsals *r)
{
    if (!r)
        return;
    rehearsals_clear(r);
    map_free(r->pendings);
    free(r);
}

int rehearsals_put(struct rehearsals *r, const struct conf_cert *cert, struct pkey *key,
                   struct err *e)
{
    CLEANUP_BUF struct buf text = {0};
    struct pending *k = pending_make(cert, key, &text, e);
    if (!k)
        return err_activity(e, "making a key for %s", cert->name);
    pending_free(map_put(r->pendings, cert->name, k));
    return 0;
}

const struct pending *rehearsals_get(const struct rehearsals *r, const char *name)
{
    return r ? map_get(r->pendings, name) : NULL;
}
