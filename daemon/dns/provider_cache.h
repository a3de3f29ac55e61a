/* SPDX-License-Identifier: ISC */
/* Plugins' caches: "plugin/INSTANCE/KEY" in the store; values are sealed by the worker. */
#ifndef RENEWD_DNS_PROVIDER_CACHE_H
#define RENEWD_DNS_PROVIDER_CACHE_H

#include "loop/loop.h"
#include "store/store.h"
#include "wire/worker_msg.h"

struct provider_cache {
    struct loop *loop;
    struct store *store; /* NULL: there is none, everything is absent */
    const char *instance;
    struct store_call *call;
    struct defer absent;
    char key[128];
    void (*done)(void *arg, const struct worker_cache *reply);
    void *arg;
};

/* One at a time. */
void provider_cache_get(struct provider_cache *p, const char *key,
                        void (*done)(void *arg, const struct worker_cache *reply), void *arg);
void provider_cache_put(struct provider_cache *p, const struct worker_cache *c);
void provider_cache_cancel(struct provider_cache *p);

#endif
