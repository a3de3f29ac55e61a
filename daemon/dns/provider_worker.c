/* SPDX-License-Identifier: ISC */
#include "dns/provider_worker.h"
#include "base/log.h"
#include "base/str.h"
#include "dns/provider_error.h"

#include <string.h>

#define KILL_MS 2000 /* from the end of the channel */
#define LOG_BURST 150
#define LOG_PER_SECOND 30

/* --- ending --- */

static void close_worker(struct instance *i)
{
    if (i->starting)
        keeper_cancel(i->env->keeper, i->starting);
    i->starting = NULL;
    provider_http_cancel(&i->http);
    provider_exchange_cancel(&i->exchange);
    provider_cache_cancel(&i->cache);
    i->request_id = 0;
    channel_free(i->channel);
    i->channel = NULL;
    if (i->site)
        http_site_free(i->site);
    i->site = NULL;
    timer_cancel(&i->idle);
    timer_cancel(&i->kill);
    i->pid = 0;
}

static void kill_now(struct instance *i)
{
    timer_cancel(&i->kill);
    i->env->keeper->ops->worker_kill(i->env->keeper, i->name);
}

static void on_survived(void *arg)
{
    kill_now(arg);
}

/* The end of the channel ends those that are well; what goes on running is killed. A new worker of
 * the instance takes the old one's place in the keeper, which kills it, too. */
static void let_end(struct instance *i)
{
    bool exists = i->channel || i->starting;
    close_worker(i);
    if (exists)
        timer_after(i->env->loop, &i->kill, KILL_MS, on_survived, i);
}

void provider_worker_stop(struct instance *i)
{
    let_end(i);
    i->state = INSTANCE_STOPPED;
}

void provider_worker_drop(struct instance *i)
{
    bool exists = i->channel || i->starting || timer_armed(&i->kill);
    close_worker(i);
    if (exists)
        kill_now(i);
    i->state = INSTANCE_STOPPED;
}

void provider_worker_kill(struct instance *i)
{
    struct err e = ERR_INIT;
    close_worker(i);
    kill_now(i);
    err_set(&e, ERR_TRANSIENT,
            "provider %s: the plugin did not end after its deadline; it was killed", i->name);
    instance_down(i, &e);
}

static void on_closed(void *arg, const struct err *why)
{
    struct instance *i = arg;
    struct err e = ERR_INIT;
    bool broke = why->cls == ERR_PEER;
    let_end(i);
    if (broke)
        provider_worker_drop(i);
    err_set(&e, ERR_TRANSIENT,
            broke ? "provider %s: its worker said what no worker says, and was killed (is the "
                    "plugin to be trusted?)"
                  : "provider %s: its worker ended unexpectedly (a crash of the plugin?)",
            i->name);
    instance_down(i, &e);
}

int provider_worker_send(struct instance *i, const struct buf *frames)
{
    return i->channel ? channel_send(i->channel, frames, -1) : -1;
}

/* --- services --- */

static void send_and_free(struct instance *i, struct buf *b)
{
    i->request_id = 0;
    provider_worker_send(i, b);
    buf_free(b);
}

static void on_http(void *arg, const struct worker_http_reply *reply)
{
    struct instance *i = arg;
    struct buf b;
    buf_init_secret(&b, WORKER_ENGINE_MAX + FRAME_HEADER);
    worker_http_reply_encode(&b, i->request_id, reply);
    send_and_free(i, &b);
}

static void on_exchange(void *arg, const struct worker_exchange_reply *reply)
{
    struct instance *i = arg;
    struct buf b;
    buf_init(&b, WORKER_ENGINE_MAX);
    worker_exchange_reply_encode(&b, i->request_id, reply);
    send_and_free(i, &b);
}

static void on_cache(void *arg, const struct worker_cache *reply)
{
    struct instance *i = arg;
    struct buf b;
    buf_init(&b, WORKER_ENGINE_MAX);
    worker_cache_encode(&b, WORKER_CACHE_REPLY, i->request_id, reply);
    send_and_free(i, &b);
}

/* -1: malformed. */
static int serve(struct instance *i, const struct frame_head *h, const void *p)
{
    struct worker_http *q;
    struct worker_exchange x;
    struct worker_cache c;
    if (i->request_id || h->id == 0 || list_empty(&i->batches))
        return -1; /* one at a time, and only for an operation */
    i->request_id = h->id;
    switch (h->type) {
    case WORKER_HTTP:
        if (worker_http_decode(p, h->len, &q) != 0)
            return -1;
        provider_http_start(&i->http, q, instance_deadline(i), on_http, i);
        return 0;
    case WORKER_EXCHANGE:
        if (worker_exchange_decode(p, h->len, &x) != 0)
            return -1;
        provider_exchange_start(&i->exchange, &x, instance_deadline(i), on_exchange, i);
        worker_exchange_done(&x);
        return 0;
    default:
        if (worker_cache_decode(p, h->len, &c) != 0)
            return -1;
        provider_cache_get(&i->cache, c.key, on_cache, i);
        return 0;
    }
}

static int put_cache(struct instance *i, const struct frame_head *h, const void *p)
{
    struct worker_cache c;
    if (worker_cache_decode(p, h->len, &c) != 0)
        return -1;
    provider_cache_put(&i->cache, &c);
    return 0;
}

/* The worker's host keeps plugins to a third of this, though what it has kept back may come at
 * once: who says more goes past it. */
static bool may_log(struct instance *i)
{
    int64_t up_ms = loop_mono_ms(i->env->loop) - i->up_ms;
    return i->log_lines++ < LOG_BURST + up_ms * LOG_PER_SECOND / 1000;
}

static int take_log(struct instance *i, const struct frame_head *h, const void *p)
{
    struct worker_log l;
    if (worker_log_decode(p, h->len, &l) != 0 || !may_log(i))
        return -1;
    struct log_ctx ctx = {.log = i->env->log, .scope = i->name};
    if (!ctx.log || ctx.log->level < LOG_LEVEL_DEBUG)
        return 0;
    CLEANUP_BUF struct buf text = {0};
    buf_init(&text, 4096);
    str_escape(&text, l.text, strlen(l.text), 900);
    log_debug(&ctx, "plugin: %s", buf_str(&text));
    return 0;
}

static int take_done(struct instance *i, const struct frame_head *h, const void *p)
{
    struct worker_done d;
    if (worker_done_decode(p, h->len, &d) != 0)
        return -1;
    /* A service that the plugin did not wait for (it was cancelled) is of no use any more. */
    if (i->request_id) {
        provider_http_cancel(&i->http);
        provider_exchange_cancel(&i->exchange);
        provider_cache_cancel(&i->cache);
        i->request_id = 0;
    }
    return instance_done(i, h->id, &d);
}

/* --- starting --- */

static int take_hello(struct instance *i, const struct frame_head *h, const void *p)
{
    struct worker_hello hello;
    if (h->type != WORKER_HELLO || worker_hello_decode(p, h->len, &hello) != 0)
        return -1;
    worker_descriptor_free(&i->descriptor);
    i->descriptor = hello.descriptor;
    i->pid = hello.pid;
    i->log_lines = 0;
    i->up_ms = loop_mono_ms(i->env->loop);
    CLEANUP_BUF struct buf text = {0};
    buf_init(&text, 1024);
    str_escape(&text, hello.sandbox, strlen(hello.sandbox), sizeof(i->sandbox) - 1);
    str_copy(i->sandbox, sizeof(i->sandbox), buf_str(&text));
    reach_list_done(&i->reach);
    reach_list_init(&i->reach, &i->descriptor, i->options, i->n_options);
    struct http_site_spec spec = {
        .allow_http = i->reach.plain,
        .check_address = true,
        .literal_hosts = (const char *const *)i->reach.written,
    };
    i->site = http_site_new(i->env->http, &spec);
    i->http.site = i->site;
    i->state = INSTANCE_UP;
    instance_up(i);
    return 0;
}

static int on_frame(void *arg, const struct frame_head *h, const void *payload, int fd)
{
    struct instance *i = arg;
    (void)fd; /* none are accepted */
    if (i->state == INSTANCE_STARTING)
        return take_hello(i, h, payload);
    switch (h->type) {
    case WORKER_DONE:
        return take_done(i, h, payload);
    case WORKER_HTTP:
    case WORKER_EXCHANGE:
    case WORKER_CACHE_GET:
        return serve(i, h, payload);
    case WORKER_CACHE_PUT:
        return put_cache(i, h, payload);
    case WORKER_LOG:
        return take_log(i, h, payload);
    default:
        return -1;
    }
}

static void on_started(void *arg, int fd, const struct err *err)
{
    static const struct channel_handler handler = {.frame = on_frame, .closed = on_closed};
    struct instance *i = arg;
    i->starting = NULL;
    if (fd < 0) {
        i->state = INSTANCE_STOPPED;
        instance_start_failed(i, err);
        return;
    }
    i->channel = channel_new(i->env->loop, fd, WORKER_ENGINE_MAX, &handler, i);
}

void provider_worker_start(struct instance *i)
{
    timer_cancel(&i->pause);
    timer_cancel(&i->kill);
    i->state = INSTANCE_STARTING;
    i->outdated = false;
    i->http = (struct provider_http){.loop = i->env->loop, .reach = &i->reach};
    i->starting = i->env->keeper->ops->worker(i->env->keeper, i->name, on_started, i);
}
