/* SPDX-License-Identifier: ISC */
/*
 * A worker's life after its plugin is loaded: configuration from the keeper, then operations from
 * the engine, one at a time, until the engine's end closes.
 *
 *   IDLE --OP--> callback --+-- service (wait): frame out, frames in until its reply --+--> DONE ->
 * IDLE |     meanwhile OPs queue up, a CANCEL marks or unqueues   |
 *                           +---------------------------------------------------------+
 */
#ifndef RENEWD_WORKER_HOST_H
#define RENEWD_WORKER_HOST_H

#include "base/err.h"
#include "base/list.h"
#include "renewd/plugin.h"
#include "wire/worker_msg.h"
#include "worker/arena.h"
#include "worker/pipe.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct host {
    struct renewd_ctx ctx; /* first: services are given its address */
    struct renewd_plugin plugin;
    struct worker_descriptor descriptor;
    struct worker_config *config; /* NULL before CONFIG */
    uint8_t cache_key[32];
    void *self;
    pthread_t thread; /* that callbacks run on */
    struct pipe engine, keeper;

    struct list queue; /* of struct queued_op */
    size_t n_queued;
    uint32_t next_id; /* of our own requests */

    struct arena arena;
    bool waits;     /* services that wait are allowed: an operation runs */
    bool cancelled; /* the running one */
    uint32_t op_id;
    int64_t deadline;        /* of the running one, monotonic ms */
    struct worker_done done; /* what it will say */
    int64_t log_tokens, log_at;
    uint32_t log_lost;
};

static inline struct host *host_of(struct renewd_ctx *ctx)
{
    return (struct host *)(void *)ctx;
}

/* plugin is copied; takes over fd 3 and, unless describing, fd 4. */
void host_init(struct host *h, const struct renewd_plugin *plugin);
/* CONFIG in, create(), HELLO and CREATED out. */
int host_configure(struct host *h, const char *instance, const char *sandbox, struct err *e);
/* Until the engine goes away; the value is the exit status. */
int host_run(struct host *h);

/* For the services. */
int64_t host_mono_ms(void);
int64_t host_left_ms(const struct host *h);
/* May a service wait now? RENEWD_OK, or the class to return (error() done). */
int32_t host_may_wait(struct host *h);
/* Sends what is in out and waits for the answer of that id and type. *ret_payload lives until the
 * next frame is read. Ends the process when the engine is gone. */
int32_t host_await(struct host *h, uint32_t id, enum worker_msg type, const void **ret_payload,
                   size_t *ret_n);
/* Reads frames for that long, or until cancelled. */
int32_t host_pause(struct host *h, int64_t ms);
int32_t host_error(struct host *h, int32_t cls, const char *text);

#endif
