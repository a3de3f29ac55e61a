/* SPDX-License-Identifier: ISC */
/* Services that the engine performs: a frame out, the reply in. */
#include "base/mem.h"
#include "base/str.h"
#include "worker/service.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define MAX_HEADERS 100
#define MAX_METHOD 15

/* Member m of a struct that the plugin may know in a shorter form. */
#define REACHES(s, m) ((s)->size >= offsetof(__typeof__(*(s)), m) + sizeof((s)->m))

int32_t service_sleep_ms(struct renewd_ctx *ctx, uint32_t ms)
{
    struct host *h = host_of(ctx);
    int32_t rc = host_may_wait(h);
    return rc ? rc : host_pause(h, ms);
}

static void free_reply(void *p)
{
    worker_http_reply_free(p);
}

/* Wants memory until the callback ends; the decoded reply is kept as it is. */
static void give_reply(struct host *h, struct worker_http_reply *w, struct renewd_http_reply *ret)
{
    arena_keep(&h->arena, w, free_reply);
    struct renewd_header *v =
        arena_alloc(&h->arena, (w->n_headers + 1) * sizeof(struct renewd_header));
    for (uint32_t i = 0; i < w->n_headers; i++) {
        str_lower((char *)(uintptr_t)w->headers[i].name);
        v[i] = (struct renewd_header){.name = w->headers[i].name, .value = w->headers[i].value};
    }
    struct renewd_http_reply full = {
        .size = ret->size,
        .status = (int32_t)w->status,
        .body = w->body,
        .body_len = w->body_len,
        .headers = v,
        .n_headers = w->n_headers,
    };
    memcpy(ret, &full, ret->size < sizeof(full) ? ret->size : sizeof(full));
    h->done.http = full.status;
}

static int32_t send_http(struct host *h, uint32_t id, const struct renewd_http_request *r)
{
    struct worker_pair headers[MAX_HEADERS];
    if (!REACHES(r, body_len) || !r->method || !r->url || r->n_headers > MAX_HEADERS ||
        r->body_len > WORKER_MAX_BODY || strlen(r->url) > 16000 || strlen(r->method) > MAX_METHOD)
        return host_error(h, RENEWD_E_PROTOCOL, "the plugin's HTTP request is out of bounds");
    for (uint32_t i = 0; i < r->n_headers; i++)
        headers[i] = (struct worker_pair){.name = r->headers[i].name, .value = r->headers[i].value};
    struct worker_http w = {
        .method = r->method,
        .url = r->url,
        .headers = headers,
        .n_headers = r->n_headers,
        .body = r->body,
        .body_len = r->body ? r->body_len : 0,
        .timeout_ms = r->timeout_ms,
        .idempotent = (r->flags & RENEWD_HTTP_IDEMPOTENT) != 0,
    };
    worker_http_encode(&h->engine.out, id, &w);
    return RENEWD_OK;
}

int32_t service_http(struct renewd_ctx *ctx, const struct renewd_http_request *request,
                     struct renewd_http_reply *ret)
{
    struct host *h = host_of(ctx);
    uint32_t id = ++h->next_id;
    int32_t rc = host_may_wait(h);
    if (rc == RENEWD_OK)
        rc = send_http(h, id, request);
    const void *payload;
    size_t n;
    if (rc == RENEWD_OK)
        rc = host_await(h, id, WORKER_HTTP_REPLY, &payload, &n);
    if (rc != RENEWD_OK)
        return rc;
    struct worker_http_reply *w;
    if (worker_http_reply_decode(payload, n, &w) != 0)
        return host_error(h, RENEWD_E_PROTOCOL, "the daemon's reply is malformed");
    if (w->cls != WORKER_E_OK) {
        rc = host_error(h, (int32_t)w->cls, w->detail);
        if (w->retry_after_s)
            h->done.retry_after_s = w->retry_after_s;
        worker_http_reply_free(w);
        return rc;
    }
    give_reply(h, w, ret);
    return RENEWD_OK;
}

const char *service_header(const struct renewd_http_reply *reply, const char *name)
{
    for (uint32_t i = 0; i < reply->n_headers; i++)
        if (str_case_eq(reply->headers[i].name, name))
            return reply->headers[i].value;
    return NULL;
}

int32_t service_dns_exchange(struct renewd_ctx *ctx, const char *server, const char *zone,
                             const void *message, uint32_t n, const void **ret_reply,
                             uint32_t *ret_n)
{
    struct host *h = host_of(ctx);
    int32_t rc = host_may_wait(h);
    if (rc != RENEWD_OK)
        return rc;
    uint32_t id = ++h->next_id;
    struct worker_exchange x = {.server = server, .zone = zone, .message = message, .len = n};
    worker_exchange_encode(&h->engine.out, id, &x);
    const void *payload;
    size_t len;
    rc = host_await(h, id, WORKER_EXCHANGE_REPLY, &payload, &len);
    if (rc != RENEWD_OK)
        return rc;
    struct worker_exchange_reply reply;
    if (worker_exchange_reply_decode(payload, len, &reply) != 0)
        return host_error(h, RENEWD_E_PROTOCOL, "the daemon's reply is malformed");
    if (reply.cls != WORKER_E_OK)
        return host_error(h, (int32_t)reply.cls, reply.detail);
    *ret_reply = arena_copy(&h->arena, reply.message, reply.len);
    *ret_n = (uint32_t)reply.len;
    return RENEWD_OK;
}

static bool cache_key_fits(const char *key)
{
    size_t n = key ? strlen(key) : 0;
    for (size_t i = 0; i < n; i++)
        if (key[i] < '!' || key[i] > '~')
            return false;
    return n > 0 && n < sizeof(((struct worker_cache *)0)->key);
}

const char *service_cache_get(struct renewd_ctx *ctx, const char *key)
{
    struct host *h = host_of(ctx);
    if (host_may_wait(h) != RENEWD_OK || !cache_key_fits(key))
        return NULL;
    uint32_t id = ++h->next_id;
    struct worker_cache c = {0};
    str_copy(c.key, sizeof(c.key), key);
    worker_cache_encode(&h->engine.out, WORKER_CACHE_GET, id, &c);
    const void *payload;
    size_t n;
    if (host_await(h, id, WORKER_CACHE_REPLY, &payload, &n) != RENEWD_OK ||
        worker_cache_decode(payload, n, &c) != 0 || c.len == 0)
        return NULL;
    return service_unseal(h, key, c.value, c.len);
}

int32_t service_cache_put(struct renewd_ctx *ctx, const char *key, const char *value, uint32_t ttl)
{
    struct host *h = host_of(ctx);
    int32_t rc = host_may_wait(h);
    if (rc != RENEWD_OK)
        return rc;
    if (!cache_key_fits(key) || (value && strlen(value) > WORKER_MAX_VALUE / 2))
        return host_error(h, RENEWD_E_PROTOCOL, "the plugin's cache entry is out of bounds");
    struct worker_cache c = {0};
    str_copy(c.key, sizeof(c.key), key);
    if (value && ttl) {
        const char *sealed = service_seal(h, key, value);
        if (!sealed)
            return host_error(h, RENEWD_E_TEMPORARY, "a cache entry could not be sealed");
        c.value = sealed;
        c.len = strlen(sealed);
        c.ttl_s = ttl;
    }
    worker_cache_encode(&h->engine.out, WORKER_CACHE_PUT, 0, &c);
    return RENEWD_OK;
}
