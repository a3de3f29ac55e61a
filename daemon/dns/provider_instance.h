/* SPDX-License-Identifier: ISC */
/*
 * One provider instance: a queue of operations and, while there is work, a worker.
 *
 *     STOPPED --work--> STARTING --fd, HELLO--> UP --30 s without work, or replaced--> STOPPED
 *        ^                  |                    |
 *        +--- refused ------+      died, hung ---+--> PAUSED --back-off--> STARTING (if there is
 * work)
 *
 * Operations:
 *
 *     QUEUED --slot in the worker, no conflict--> RUNNING (alone or in a batch) --DONE--> answered
 *       ^                                           |
 *       +--- CONFLICT (5 times), a batch that ------+
 *            failed and may have failed for one
 *
 * A deadline that passes: queued operations fail; of a running batch a CANCEL is sent, 2 s later
 * the worker is killed. A worker that dies fails what it was at; what it had not begun goes back to
 * the queue.
 */
#ifndef RENEWD_DNS_PROVIDER_INSTANCE_H
#define RENEWD_DNS_PROVIDER_INSTANCE_H

#include "base/list.h"
#include "dns/provider.h"
#include "dns/provider_cache.h"
#include "dns/provider_exchange.h"
#include "dns/provider_http.h"
#include "dns/provider_reach.h"
#include "loop/channel.h"
#include "wire/worker_msg.h"

struct instance;
struct batch;

struct providers {
    struct providers_env env;
    struct list instances;
    struct list ended; /* calls that wait for their callback */
    struct defer sweep;
};

struct provider_call {
    struct list node; /* in the instance's queue, in a batch, or among the ended */
    struct providers *owner;
    struct instance *instance; /* NULL: ended */
    struct batch *batch;       /* NULL: queued, or answered */
    enum worker_op_kind kind;
    char *fqdn, *value, *zone, *handle;
    int64_t deadline_ms; /* mono */
    struct timer deadline;
    struct timer again; /* armed: not yet to be tried again */
    struct defer end;
    bool alone;  /* not in a batch of several any more */
    bool orphan; /* cancelled while it ran */
    unsigned conflicts;
    char *ret_handle;
    struct err err;
    provider_done_fn *done;
    void *arg;
};

struct batch { /* an OP frame */
    struct list node;
    uint32_t id;
    struct list calls;
    uint32_t n;
    bool cancelled;
};

struct held { /* a value in a slot (model SLOT) */
    struct list node;
    char *fqdn, *value;
};

enum instance_state { INSTANCE_STOPPED, INSTANCE_STARTING, INSTANCE_UP, INSTANCE_PAUSED };

struct instance {
    struct list node;
    struct providers *owner;
    const struct providers_env *env;
    char *name, *plugin;
    struct conf_option *options; /* name and text only */
    size_t n_options;
    uint32_t propagation_s; /* by the configuration */
    bool gone;              /* not in the configuration any more: freed when nothing runs */
    bool outdated;          /* the worker belongs to an earlier generation */

    enum instance_state state;
    struct keeper_call *starting;
    struct channel *channel; /* UP, or waiting for HELLO in STARTING */
    struct worker_descriptor descriptor;
    uint32_t pid;
    char sandbox[160];
    struct reach_list reach;
    struct http_site *site;

    struct list queue, batches, held;
    uint32_t next_id;
    struct timer idle, kill, pause;
    unsigned crashes, restarts;
    int64_t up_ms, log_lines; /* since when (mono), and lines of the plugin since then */
    struct err last_error;
    enum worker_op_kind failed; /* the operation of last_error; its like clears it. 0: any does */

    uint32_t request_id; /* of the worker's one request; 0: none */
    struct provider_http http;
    struct provider_exchange exchange;
    struct provider_cache cache;
};

struct instance *instance_new(struct providers *owner, const char *name);
void instance_free(struct instance *i); /* kills the worker; calls are dropped unanswered */
/* Takes over a configuration; the worker is replaced once what it runs has ended. */
void instance_configure(struct instance *i, const struct conf_provider *c);
/* The configuration has it no more: queued calls fail. */
void instance_retire(struct instance *i);
bool instance_unused(const struct instance *i);

/* i NULL: the caller refuses it at once. */
struct provider_call *instance_call(struct providers *owner, struct instance *i,
                                    enum worker_op_kind kind, const struct provider_txt *txt,
                                    int64_t deadline_ms, provider_done_fn *done, void *arg);
/* Answers from the loop with that error. */
void instance_refuse(struct provider_call *c, const struct err *e);
void instance_call_free(struct provider_call *c); /* wherever it is, unanswered */
void instance_cancel(struct provider_call *c);
/* Does a running operation of this instance stand in the way of c? */
bool instance_conflicts(const struct instance *i, const struct provider_call *c, uint32_t model);
/* Sends what may be sent now. */
void instance_pump(struct instance *i);

/* By provider.c: conflicts over all instances; pumps them all, since one may have waited for
 * another. */
bool providers_conflict(const struct providers *p, const struct provider_call *c, uint32_t model);
void providers_pump(struct providers *p, const struct instance *but);

#endif
