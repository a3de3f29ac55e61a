/* SPDX-License-Identifier: ISC */
#include "dns/provider_http.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/str.h"
#include "dns/provider_error.h"

#include <stdlib.h>
#include <string.h>

#define TRIES 3
#define BACKOFF_MS 300 /* doubles */
#define REQUEST_MAX_MS 60000
#define MARGIN_MS 500 /* of the deadline that a repetition must leave */
#define RETRY_MAX_MS (24 * 3600 * (int64_t)1000)
#define REPLY_HEADERS_MAX 100

static void begin(struct provider_http *p);

static bool repeatable(const struct worker_http *q)
{
    static const char *const methods[] = {"GET", "HEAD", "PUT", "DELETE"};
    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        if (str_eq(q->method, methods[i]))
            return true;
    return q->idempotent;
}

static void release(struct provider_http *p)
{
    for (char **h = p->headers; h && *h; h++) {
        secret_wipe(*h, strlen(*h));
        free(*h);
    }
    free(p->headers);
    p->headers = NULL;
    worker_http_free(p->q);
    p->q = NULL;
}

void provider_http_cancel(struct provider_http *p)
{
    http_cancel(p->call);
    p->call = NULL;
    timer_cancel(&p->again);
    defer_cancel(&p->refused);
    release(p);
}

static void finish(struct provider_http *p, const struct worker_http_reply *reply)
{
    release(p);
    p->done(p->arg, reply);
}

static void finish_err(struct provider_http *p, const struct err *e, uint32_t retry_after_s)
{
    struct worker_http_reply reply = {
        .cls = retry_after_s ? WORKER_E_RATE_LIMIT : provider_error_class(e->cls),
        .detail = e->detail,
        .retry_after_s = retry_after_s,
    };
    finish(p, &reply);
}

static void on_again(void *arg)
{
    begin(arg);
}

/* False: it would be too late. */
static bool again_after(struct provider_http *p, int64_t ms)
{
    if (loop_mono_ms(p->loop) + ms + MARGIN_MS > p->deadline_ms)
        return false;
    timer_after(p->loop, &p->again, ms, on_again, p);
    return true;
}

static bool repeat(struct provider_http *p)
{
    if (!repeatable(p->q) || p->tries >= TRIES)
        return false;
    int64_t ms = (int64_t)BACKOFF_MS << p->tries;
    return again_after(p, rng_range(&rng_system, ms / 2, ms));
}

static void pass_on(struct provider_http *p, const struct http_reply *r)
{
    struct worker_pair v[REPLY_HEADERS_MAX];
    uint32_t n = 0;
    for (size_t i = 0; i < r->n_headers && n < REPLY_HEADERS_MAX; i++)
        if (strlen(r->headers[i].name) < 256)
            v[n++] = (struct worker_pair){r->headers[i].name, r->headers[i].value};
    struct worker_http_reply reply = {
        .status = (uint32_t)r->status,
        .headers = v,
        .n_headers = n,
        .body = r->body,
        .body_len = r->body_len,
    };
    finish(p, &reply);
}

/* True: it waits, or has told the plugin that it would be too long. */
static bool limited(struct provider_http *p, const struct http_reply *r)
{
    int64_t now = loop_wall_ms(p->loop);
    int64_t at = http_retry_after(r, now, 0, RETRY_MAX_MS);
    if ((r->status != 429 && r->status != 503) || at == 0)
        return false;
    if (again_after(p, at > now ? at - now : 0))
        return true;
    struct err e = ERR_INIT;
    char span[32];
    err_set(&e, ERR_RATE_LIMITED, "the provider wants us to wait for %s (HTTP %d)",
            str_from_duration(at - now, span, sizeof(span)), r->status);
    finish_err(p, &e, (uint32_t)((at - now) / 1000 + 1));
    return true;
}

static void on_reply(void *arg, const struct http_reply *reply, const struct err *err)
{
    struct provider_http *p = arg;
    p->call = NULL;
    p->tries++;
    if (!reply) {
        if (err->cls == ERR_TRANSIENT && repeat(p))
            return;
        finish_err(p, err, 0);
        return;
    }
    if (limited(p, reply))
        return;
    if (reply->status >= 500 && repeat(p))
        return;
    pass_on(p, reply);
}

static void begin(struct provider_http *p)
{
    int64_t left = p->deadline_ms - loop_mono_ms(p->loop);
    int64_t most = p->q->timeout_ms ? p->q->timeout_ms : REQUEST_MAX_MS;
    struct http_request r = {
        .method = p->q->method,
        .url = p->q->url,
        .headers = (const char *const *)p->headers,
        .body = p->q->body_len ? p->q->body : NULL,
        .body_len = p->q->body_len,
        .timeout_ms = left < 1      ? 1
                      : left < most ? left
                                    : most,
        .max_body = WORKER_MAX_BODY,
    };
    p->call = http_start(p->site, &r, on_reply, p);
}

static void on_refused(void *arg)
{
    struct provider_http *p = arg;
    finish_err(p, &p->err, 0);
}

static char **join_headers(const struct worker_http *q)
{
    char **v = xcalloc(q->n_headers + 1, sizeof(*v));
    for (uint32_t i = 0; i < q->n_headers; i++)
        v[i] = xasprintf("%s: %s", q->headers[i].name, q->headers[i].value);
    return v;
}

void provider_http_start(struct provider_http *p, struct worker_http *q, int64_t deadline_ms,
                         void (*done)(void *arg, const struct worker_http_reply *reply), void *arg)
{
    p->q = q;
    p->headers = join_headers(q);
    p->tries = 0;
    p->deadline_ms = deadline_ms;
    p->done = done;
    p->arg = arg;
    err_clear(&p->err);
    if (reach_list_url(p->reach, q->url, &p->err) != 0)
        loop_defer(p->loop, &p->refused, on_refused, p);
    else
        begin(p);
}
