/* SPDX-License-Identifier: ISC */
#include "dns/provider_cache.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

#define TTL_MAX_S (30 * 86400)

static void reply(struct provider_cache *p, const char *value)
{
    struct worker_cache c = {.value = value, .len = value ? strlen(value) : 0};
    str_copy(c.key, sizeof(c.key), p->key);
    p->done(p->arg, &c);
}

static void on_absent(void *arg)
{
    reply(arg, NULL);
}

static void on_got(void *arg, const struct store_item *items, size_t n, const struct err *err)
{
    struct provider_cache *p = arg;
    struct err e = ERR_INIT;
    p->call = NULL;
    CLEANUP_JSON struct json *j =
        n && err->cls == ERR_NONE ? json_parse(items[0].value, items[0].len, &e) : NULL;
    bool fresh = j && json_int(j, "until", 0) > loop_wall_ms(p->loop);
    reply(p, fresh ? json_text(j, "value") : NULL);
}

void provider_cache_get(struct provider_cache *p, const char *key,
                        void (*done)(void *arg, const struct worker_cache *reply), void *arg)
{
    p->done = done;
    p->arg = arg;
    str_copy(p->key, sizeof(p->key), key);
    if (!p->store) {
        loop_defer(p->loop, &p->absent, on_absent, p);
        return;
    }
    CLEANUP_FREE char *path = xasprintf("plugin/%s/%s", p->instance, key);
    p->call = store_get(p->store, path, on_got, p);
}

void provider_cache_put(struct provider_cache *p, const struct worker_cache *c)
{
    if (!p->store)
        return;
    CLEANUP_FREE char *path = xasprintf("plugin/%s/%s", p->instance, c->key);
    if (c->ttl_s == 0 || c->len == 0) {
        store_delete(p->store, path, NULL, NULL);
        return;
    }
    CLEANUP_FREE char *value = xstrndup(c->value, c->len);
    CLEANUP_JSON struct json *j = json_object();
    uint32_t ttl = c->ttl_s < TTL_MAX_S ? c->ttl_s : TTL_MAX_S;
    json_add_text(j, "value", value);
    json_add_int(j, "until", loop_wall_ms(p->loop) + (int64_t)ttl * 1000);
    CLEANUP_FREE char *text = json_print(j, false);
    store_put(p->store, path, text, NULL, NULL);
}

void provider_cache_cancel(struct provider_cache *p)
{
    if (p->call)
        store_cancel(p->store, p->call);
    p->call = NULL;
    defer_cancel(&p->absent);
}
