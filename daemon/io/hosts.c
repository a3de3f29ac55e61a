/* SPDX-License-Identifier: ISC */
#include "io/hosts.h"

#include "base/map.h"

#include <stdlib.h>

#define KNOWN_MS 60000
#define FIND_MS 15000
#define HOSTS_MAX 512 /* then the expired ones are dropped */

struct host {
    struct hosts *hosts;
    char *name;
    struct dns_addr *addrs; /* NULL: not known */
    size_t n;
    int64_t until; /* mono ms */
    struct dns_call *call;
    struct list waits;
};

struct hosts {
    struct loop *loop;
    struct dns *dns;
    struct map *map;
};

struct hosts *hosts_new(struct loop *l, struct dns *d)
{
    struct hosts *h = xnew(struct hosts);

    h->loop = l;
    h->dns = d;
    h->map = map_new();
    return h;
}

static void host_free(struct host *x)
{
    dns_cancel(x->call);
    while (!list_empty(&x->waits))
        host_wait_cancel(list_item(x->waits.next, struct host_wait, node));
    free(x->addrs);
    free(x->name);
    free(x);
}

void hosts_free(struct hosts *h)
{
    const char *key;
    void *x;

    if (!h)
        return;
    for (size_t i = 0; map_next(h->map, &i, &key, &x);)
        host_free(x);
    map_free(h->map);
    free(h);
}

static void sweep(struct hosts *h)
{
    struct host *old[64];
    size_t n = 0;
    const char *key;
    void *value;

    if (map_len(h->map) < HOSTS_MAX)
        return;
    for (size_t i = 0; n < ARRAY_LEN(old) && map_next(h->map, &i, &key, &value);) {
        struct host *x = value;

        if (!x->call && x->until <= loop_mono_ms(h->loop))
            old[n++] = x;
    }
    for (size_t i = 0; i < n; i++) {
        map_remove(h->map, old[i]->name);
        host_free(old[i]);
    }
}

const struct dns_addr *hosts_known(struct hosts *h, const char *host, size_t *ret_n)
{
    struct host *x = map_get(h->map, host);

    if (!x || !x->addrs || x->until <= loop_mono_ms(h->loop))
        return NULL;
    *ret_n = x->n;
    return x->addrs;
}

static void found(void *arg, const struct dns_addr *addrs, size_t n, const struct err *err)
{
    struct host *x = arg;
    struct list told;

    x->call = NULL;
    free(x->addrs);
    x->addrs = n ? xmemdup(addrs, n * sizeof *addrs) : NULL;
    x->n = n;
    x->until = n ? loop_mono_ms(x->hosts->loop) + KNOWN_MS : 0;
    /* Who is told may cancel others, or ask again. */
    list_init(&told);
    while (!list_empty(&x->waits)) {
        struct list *node = x->waits.next;

        list_remove(node);
        list_append(&told, node);
    }
    while (!list_empty(&told)) {
        struct host_wait *w = list_item(told.next, struct host_wait, node);

        host_wait_cancel(w);
        w->done(w->arg, addrs, n, err);
    }
}

void hosts_find(struct hosts *h, const char *host, struct host_wait *w, dns_resolved_fn *done,
                void *arg)
{
    struct host *x = map_get(h->map, host);

    if (!x) {
        sweep(h);
        x = xnew(struct host);
        x->hosts = h;
        x->name = xstrdup(host);
        list_init(&x->waits);
        map_put(h->map, host, x);
    }
    w->waiting = true;
    w->done = done;
    w->arg = arg;
    list_append(&x->waits, &w->node);
    if (!x->call)
        x->call = dns_resolve(h->dns, host, 0, FIND_MS, found, x);
}

void host_wait_cancel(struct host_wait *w)
{
    if (!w->waiting)
        return;
    w->waiting = false;
    list_remove(&w->node);
}

void hosts_forget(struct hosts *h, const char *host)
{
    struct host *x = map_get(h->map, host);

    if (x)
        x->until = 0;
}
