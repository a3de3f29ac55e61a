/* SPDX-License-Identifier: ISC */
#include "worker/host.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/str.h"
#include "worker/descriptor.h"
#include "worker/mask.h"
#include "worker/service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_QUEUED 1024

struct queued_op {
    struct list node;
    uint32_t id;
    struct worker_op *op;
    int64_t deadline;
};

int64_t host_mono_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t host_left_ms(const struct host *h)
{
    int64_t left = h->deadline - host_mono_ms();
    return h->cancelled || !h->waits || left < 0 ? 0 : left;
}

int32_t host_error(struct host *h, int32_t cls, const char *text)
{
    if (cls < RENEWD_OK || cls > RENEWD_E_DEADLINE)
        cls = RENEWD_E_PROTOCOL;
    mask_copy(h->config, text, h->done.detail, sizeof(h->done.detail));
    return cls;
}

int32_t host_may_wait(struct host *h)
{
    if (!pthread_equal(pthread_self(), h->thread))
        return RENEWD_E_UNSUPPORTED;
    if (!h->waits)
        return host_error(h, RENEWD_E_UNSUPPORTED,
                          "create and destroy cannot wait for the network");
    if (h->cancelled)
        return host_error(h, RENEWD_E_CANCELLED, "given up");
    return host_left_ms(h) ? RENEWD_OK : host_error(h, RENEWD_E_CANCELLED, "the deadline is over");
}

static void answer(struct host *h, uint32_t id, struct worker_done *d)
{
    if (d->cls == WORKER_E_OK)
        d->detail[0] = '\0';
    worker_done_encode(&h->engine.out, id, d);
}

/* -1: not what an engine says. */
static int enqueue(struct host *h, uint32_t id, const void *payload, size_t n)
{
    struct worker_op *op;
    if (h->n_queued >= MAX_QUEUED || worker_op_decode(payload, n, &op) != 0)
        return -1;
    struct queued_op *q = xnew(struct queued_op);
    q->id = id;
    q->op = op;
    q->deadline = host_mono_ms() + op->deadline_ms;
    list_append(&h->queue, &q->node);
    h->n_queued++;
    return 0;
}

static void drop(struct host *h, struct queued_op *q)
{
    list_remove(&q->node);
    h->n_queued--;
    worker_op_free(q->op);
    free(q);
}

static void cancel(struct host *h, uint32_t id)
{
    if (h->waits && h->op_id == id) {
        h->cancelled = true;
        return;
    }
    list_each(node, &h->queue)
    {
        struct queued_op *q = list_item(node, struct queued_op, node);
        if (q->id == id) {
            struct worker_done d = {.cls = WORKER_E_CANCELLED};
            answer(h, id, &d);
            drop(h, q);
            return;
        }
    }
}

/* Frames that may come at any time. 1: it is a reply; 0: done with it; -1: malformed. */
static int dispatch(struct host *h, const struct frame_head *head, const void *payload)
{
    switch (head->type) {
    case WORKER_OP:
        return enqueue(h, head->id, payload, head->len);
    case WORKER_CANCEL:
        if (head->len)
            return -1;
        cancel(h, head->id);
        return 0;
    case WORKER_HTTP_REPLY:
    case WORKER_EXCHANGE_REPLY:
    case WORKER_CACHE_REPLY:
        return 1;
    default:
        return -1;
    }
}

static void engine_gone(void)
{
    _exit(0);
}

/* One frame, at most `ms` of waiting. Type 0: nothing that concerns a waiting service. */
static enum pipe_result next(struct host *h, int64_t ms, struct frame_head *head,
                             const void **ret_payload)
{
    enum pipe_result r = pipe_read(&h->engine, ms, head, ret_payload);
    if (r == PIPE_END)
        engine_gone();
    if (r == PIPE_FRAME) {
        int rc = dispatch(h, head, *ret_payload);
        if (rc < 0)
            engine_gone();
        if (rc == 0)
            head->type = 0;
    }
    return r;
}

int32_t host_await(struct host *h, uint32_t id, enum worker_msg type, const void **ret_payload,
                   size_t *ret_n)
{
    for (;;) {
        struct frame_head head;
        int32_t rc = host_may_wait(h);
        if (rc != RENEWD_OK)
            return rc; /* a late reply is recognised by its id and dropped */
        if (next(h, host_left_ms(h), &head, ret_payload) != PIPE_FRAME)
            continue;
        if (head.type == type && head.id == id) {
            *ret_n = head.len;
            return RENEWD_OK;
        }
    }
}

int32_t host_pause(struct host *h, int64_t ms)
{
    int64_t until = host_mono_ms() + ms;
    for (;;) {
        struct frame_head head;
        const void *payload;
        int32_t rc = host_may_wait(h);
        if (rc != RENEWD_OK)
            return rc;
        int64_t left = until - host_mono_ms();
        if (left <= 0)
            return RENEWD_OK;
        next(h, left < host_left_ms(h) ? left : host_left_ms(h), &head, &payload);
    }
}

static struct renewd_txt txt_of(const struct host *h, const struct worker_change *c)
{
    return (struct renewd_txt){
        .size = sizeof(struct renewd_txt),
        .ttl = descriptor_ttl(&h->plugin, h->config->ttl),
        .fqdn = c->fqdn,
        .value = c->value,
        .zone = c->zone,
        .handle = c->handle,
    };
}

static int32_t call_one(struct host *h, const struct worker_change *c)
{
    struct renewd_txt t = txt_of(h, c);
    if (c->kind == WORKER_OP_ADD)
        return h->plugin.add(h->self, &h->ctx, &t);
    if (c->kind == WORKER_OP_REMOVE)
        return h->plugin.remove(h->self, &h->ctx, &t);
    return h->plugin.check ? h->plugin.check(h->self, &h->ctx, &t) : RENEWD_E_UNSUPPORTED;
}

static int32_t call_apply(struct host *h, const struct worker_op *op)
{
    if (!h->plugin.apply)
        return RENEWD_E_UNSUPPORTED;
    struct renewd_change *v = arena_alloc(&h->arena, op->n * sizeof(*v));
    const struct renewd_change **list = arena_alloc(&h->arena, op->n * sizeof(*list));
    for (uint32_t i = 0; i < op->n; i++) {
        v[i] = (struct renewd_change){
            .size = sizeof(*v), .what = op->changes[i].kind, .txt = txt_of(h, &op->changes[i])};
        list[i] = &v[i];
    }
    return h->plugin.apply(h->self, &h->ctx, list, op->n);
}

static void run_op(struct host *h, struct queued_op *q)
{
    memset(&h->done, 0, sizeof(h->done));
    h->op_id = q->id;
    h->deadline = q->deadline;
    h->cancelled = false;
    h->waits = true;
    int32_t rc = q->op->n == 1 ? call_one(h, &q->op->changes[0]) : call_apply(h, q->op);
    h->waits = false;
    if (rc < RENEWD_OK || rc > RENEWD_E_DEADLINE) {
        char text[96];
        snprintf(text, sizeof(text), "the plugin returned %d, which is no class of errors", rc);
        rc = host_error(h, RENEWD_E_PROTOCOL, text);
    }
    h->done.cls = (uint32_t)rc;
    if (rc != RENEWD_OK)
        h->done.handle[0] = '\0';
    answer(h, q->id, &h->done);
    arena_empty(&h->arena);
}

int host_run(struct host *h)
{
    for (;;) {
        struct frame_head head;
        const void *payload;
        if (list_empty(&h->queue)) {
            next(h, -1, &head, &payload);
            continue;
        }
        struct queued_op *q = list_item(h->queue.next, struct queued_op, node);
        list_remove(&q->node);
        list_init(&q->node);
        run_op(h, q);
        drop(h, q);
    }
}

void host_init(struct host *h, const struct renewd_plugin *plugin)
{
    memset(h, 0, sizeof(*h));
    h->ctx.host = &service_table;
    h->plugin = *plugin;
    h->thread = pthread_self();
    h->log_tokens = 50 * 1000;
    h->log_at = host_mono_ms();
    list_init(&h->queue);
    descriptor_of(plugin, &h->descriptor);
    pipe_init(&h->engine, WORKER_FD_ENGINE, WORKER_ENGINE_MAX);
    pipe_init(&h->keeper, WORKER_FD_KEEPER, WORKER_KEEPER_MAX);
}

static int read_config(struct host *h, struct err *e)
{
    struct frame_head head;
    const void *payload;
    if (pipe_read(&h->keeper, -1, &head, &payload) != PIPE_FRAME)
        _exit(0); /* the keeper has gone, or has given up */
    if (head.type != WORKER_CONFIG || worker_config_decode(payload, head.len, &h->config) != 0)
        return err_set(e, ERR_BUG, "a worker was given a malformed configuration");
    return 0;
}

static int check_config(const struct host *h, const char *instance, struct err *e)
{
    const struct worker_config *c = h->config;
    if (!str_eq(c->instance, instance))
        return err_set(e, ERR_BUG, "a worker was given the configuration of another instance");
    for (uint32_t i = 0; i < h->descriptor.n_options; i++) {
        const struct worker_option *o = &h->descriptor.options[i];
        bool given = false;
        for (uint32_t k = 0; k < c->n_settings; k++)
            given = given || str_eq(c->settings[k].name, o->name);
        if (o->required && !given)
            return err_set(e, ERR_CONFIG, "provider %s: option %s is required (%s)", instance,
                           o->name, o->help);
    }
    return 0;
}

static int create(struct host *h, struct err *e)
{
    int32_t rc = h->plugin.create ? h->plugin.create(&h->ctx, &h->self) : RENEWD_OK;
    arena_empty(&h->arena);
    if (rc == RENEWD_OK)
        return 0;
    const char *why = h->done.detail[0] ? h->done.detail : "the plugin refuses its options";
    return err_set(e, rc == RENEWD_E_TEMPORARY ? ERR_TRANSIENT : ERR_CONFIG, "provider %s: %s",
                   h->config->instance, why);
}

int host_configure(struct host *h, const char *instance, const char *sandbox, struct err *e)
{
    struct worker_hello hello = {.pid = (uint32_t)getpid(), .descriptor = h->descriptor};
    str_copy(hello.sandbox, sizeof(hello.sandbox), sandbox);
    worker_ready_encode(&h->keeper.out, &hello);
    if (pipe_flush(&h->keeper) != 0)
        _exit(0);
    if (read_config(h, e) != 0 || check_config(h, instance, e) != 0)
        return -1;
    service_cache_init(h);
    if (create(h, e) != 0)
        return -1;
    worker_hello_encode(&h->engine.out, &hello);
    if (pipe_flush(&h->engine) != 0)
        _exit(0);
    worker_created_encode(&h->keeper.out);
    pipe_flush(&h->keeper);
    pipe_close(&h->keeper);
    return 0;
}
