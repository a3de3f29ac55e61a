/* SPDX-License-Identifier: ISC */
#include "dns/provider_instance.h"
#include "base/mem.h"
#include "base/str.h"
#include "dns/provider_error.h"
#include "dns/provider_worker.h"

#include <stdlib.h>
#include <string.h>

#define IDLE_MS 30000
#define KILL_MS 2000 /* after a CANCEL */
#define PAUSE_MS 100 /* after a crash; doubles */
#define PAUSE_MAX_MS 60000
#define DEPTH 4 /* frames under way to a plugin that takes changes one by one */
#define CONFLICTS 5
#define CONFLICT_MS 200

/* --- slots --- */

static struct held *find_held(const struct instance *i, const struct provider_call *c,
                              uint32_t *ret_n)
{
    struct held *found = NULL;
    *ret_n = 0;
    list_each(node, (struct list *)(uintptr_t)&i->held)
    {
        struct held *h = list_item(node, struct held, node);
        if (!str_eq(h->fqdn, c->fqdn))
            continue;
        (*ret_n)++;
        if (str_eq(h->value, c->value))
            found = h;
    }
    return found;
}

static void held_free(struct held *h)
{
    list_remove(&h->node);
    free(h->fqdn);
    free(h->value);
    free(h);
}

/* A change succeeded: what the slots hold now. */
static void note_held(struct instance *i, const struct provider_call *c)
{
    uint32_t n;
    struct held *h = find_held(i, c, &n);
    if (i->descriptor.model != WORKER_MODEL_SLOT)
        return;
    if (c->kind == WORKER_OP_REMOVE && h)
        held_free(h);
    if (c->kind != WORKER_OP_ADD || h)
        return;
    h = xnew(struct held);
    h->fqdn = xstrdup(c->fqdn);
    h->value = xstrdup(c->value);
    list_append(&i->held, &h->node);
}

static bool slot_free(const struct instance *i, const struct provider_call *c)
{
    uint32_t n;
    if (i->descriptor.model != WORKER_MODEL_SLOT || c->kind != WORKER_OP_ADD)
        return true;
    return find_held(i, c, &n) || n < i->descriptor.slots;
}

/* --- calls --- */

void instance_call_free(struct provider_call *c)
{
    timer_cancel(&c->deadline);
    timer_cancel(&c->again);
    defer_cancel(&c->end);
    list_remove(&c->node);
    free(c->fqdn);
    free(c->value);
    free(c->zone);
    free(c->handle);
    free(c->ret_handle);
    free(c);
}

static void on_end(void *arg)
{
    struct provider_call *c = arg;
    provider_done_fn *done = c->done;
    void *owner = c->arg;
    char *handle = c->ret_handle;
    struct err e = c->err;
    c->ret_handle = NULL;
    instance_call_free(c);
    done(owner, handle ? handle : "", &e);
    free(handle);
}

/* The call leaves its list; who made it hears from the loop. */
static void answer(struct provider_call *c)
{
    list_remove(&c->node);
    timer_cancel(&c->deadline);
    timer_cancel(&c->again);
    c->batch = NULL;
    c->instance = NULL;
    if (c->orphan) {
        instance_call_free(c);
        return;
    }
    list_append(&c->owner->ended, &c->node);
    loop_defer(c->owner->env.loop, &c->end, on_end, c);
}

void instance_refuse(struct provider_call *c, const struct err *e)
{
    c->err = *e;
    if (c->instance) {
        c->instance->last_error = *e;
        c->instance->failed = c->kind;
    }
    answer(c);
}

static void on_deadline(void *arg)
{
    struct provider_call *c = arg;
    struct instance *i = c->instance;
    struct err e = ERR_INIT;
    if (!c->batch) {
        const char *why = i->state != INSTANCE_UP ? "its worker could not be started in time"
                          : !slot_free(i, c) ? "the provider holds as many values at that name "
                                               "as it can"
                                             : "others were before it all the time";
        err_set(&e, ERR_TRANSIENT, "provider %s: the change of %s was not begun: %s", i->name,
                c->fqdn, why);
        instance_refuse(c, &e);
        return;
    }
    struct batch *b = c->batch;
    if (b->cancelled)
        return;
    struct buf frame;
    buf_init(&frame, 64);
    worker_cancel_encode(&frame, b->id);
    b->cancelled = true;
    provider_worker_send(i, &frame);
    buf_free(&frame);
}

static void on_hung(void *arg)
{
    provider_worker_kill(arg);
}

struct provider_call *instance_call(struct providers *owner, struct instance *i,
                                    enum worker_op_kind kind, const struct provider_txt *txt,
                                    int64_t deadline_ms, provider_done_fn *done, void *arg)
{
    struct provider_call *c = xnew(struct provider_call);
    list_init(&c->node);
    c->owner = owner;
    c->instance = i;
    c->kind = kind;
    c->alone = kind == WORKER_OP_CHECK;
    c->fqdn = xstrdup(txt->fqdn);
    c->value = xstrdup(txt->value);
    c->zone = xstrdup(txt->zone);
    c->handle = xstrdup(txt->handle ? txt->handle : "");
    c->done = done;
    c->arg = arg;
    if (!i)
        return c;
    c->deadline_ms = loop_mono_ms(i->env->loop) + deadline_ms;
    timer_after(i->env->loop, &c->deadline, deadline_ms, on_deadline, c);
    list_append(&i->queue, &c->node);
    instance_pump(i);
    return c;
}

void instance_cancel(struct provider_call *c)
{
    if (c->batch)
        c->orphan = true;
    else
        instance_call_free(c);
}

/* --- sending --- */

static bool clash(uint32_t model, const struct provider_call *a, const struct provider_call *b)
{
    if (model == WORKER_MODEL_ZONE)
        return str_eq(a->zone, b->zone);
    return model != WORKER_MODEL_RECORD && str_eq(a->fqdn, b->fqdn);
}

bool instance_conflicts(const struct instance *i, const struct provider_call *c, uint32_t model)
{
    if (model == WORKER_MODEL_RECORD &&
        (i->descriptor.model == WORKER_MODEL_RECORD || i->descriptor.model == 0))
        return false;
    list_each(bn, (struct list *)(uintptr_t)&i->batches)
    {
        const struct batch *b = list_item(bn, struct batch, node);
        list_each(cn, (struct list *)(uintptr_t)&b->calls)
        {
            const struct provider_call *other = list_item(cn, struct provider_call, node);
            if (clash(model, c, other) || clash(i->descriptor.model, c, other))
                return true;
        }
    }
    return false;
}

static bool may_run(struct instance *i, const struct provider_call *c)
{
    return !timer_armed(&c->again) && slot_free(i, c) &&
           !providers_conflict(i->owner, c, i->descriptor.model);
}

static bool fits(const struct batch *b, const struct provider_call *c)
{
    const struct provider_call *first = list_item(b->calls.next, struct provider_call, node);
    return !c->alone && !first->alone && str_eq(c->zone, first->zone);
}

static void take(struct batch *b, struct provider_call *c)
{
    list_remove(&c->node);
    list_append(&b->calls, &c->node);
    c->batch = b;
    b->n++;
}

/* The first that may run, and what may go with it. NULL: nothing. */
static struct batch *gather(struct instance *i)
{
    struct batch *b = NULL;
    list_each(node, &i->queue)
    {
        struct provider_call *c = list_item(node, struct provider_call, node);
        if (b && b->n >= i->descriptor.apply_max)
            break;
        if ((b && !fits(b, c)) || !may_run(i, c))
            continue;
        if (!b) {
            b = xnew(struct batch);
            list_init(&b->calls);
            b->id = ++i->next_id;
            list_append(&i->batches, &b->node);
        }
        take(b, c);
    }
    return b;
}

static void send_batch(struct instance *i, struct batch *b)
{
    struct worker_change changes[WORKER_MAX_CHANGES];
    int64_t deadline = INT64_MAX, now = loop_mono_ms(i->env->loop);
    uint32_t n = 0;
    list_each(node, &b->calls)
    {
        const struct provider_call *c = list_item(node, struct provider_call, node);
        changes[n++] = (struct worker_change){.kind = c->kind,
                                              .fqdn = c->fqdn,
                                              .value = c->value,
                                              .zone = c->zone,
                                              .handle = c->handle};
        if (c->deadline_ms < deadline)
            deadline = c->deadline_ms;
    }
    struct worker_op op = {.changes = changes, .n = n};
    op.deadline_ms = deadline <= now ? 1 : (uint32_t)(deadline - now);
    struct buf frame;
    buf_init(&frame, WORKER_ENGINE_MAX);
    worker_op_encode(&frame, b->id, &op);
    provider_worker_send(i, &frame);
    buf_free(&frame);
}

/* The first batch is what the worker is at: it must have ended 2 s after its deadline. */
static void watch_first(struct instance *i)
{
    timer_cancel(&i->kill);
    if (list_empty(&i->batches))
        return;
    int64_t left = instance_deadline(i) - loop_mono_ms(i->env->loop);
    timer_after(i->env->loop, &i->kill, (left > 0 ? left : 0) + KILL_MS, on_hung, i);
}

int64_t instance_deadline(const struct instance *i)
{
    int64_t deadline = INT64_MAX;
    const struct batch *b = list_item(i->batches.next, struct batch, node);
    list_each(node, (struct list *)(uintptr_t)&b->calls)
    {
        const struct provider_call *c = list_item(node, struct provider_call, node);
        if (c->deadline_ms < deadline)
            deadline = c->deadline_ms;
    }
    return deadline;
}

static size_t under_way(const struct instance *i)
{
    size_t n = 0;
    list_each(node, (struct list *)(uintptr_t)&i->batches) n++;
    return n;
}

static void on_idle(void *arg)
{
    provider_worker_stop(arg);
}

static void rest(struct instance *i)
{
    if (!list_empty(&i->batches) || !list_empty(&i->queue))
        return;
    if (i->gone || i->outdated)
        provider_worker_stop(i);
    else
        timer_after(i->env->loop, &i->idle, i->env->idle_ms ? i->env->idle_ms : IDLE_MS, on_idle,
                    i);
}

static void feed(struct instance *i)
{
    size_t depth = i->descriptor.apply_max > 1 ? 1 : DEPTH, n = under_way(i);
    bool was_empty = n == 0;
    if (i->outdated)
        return;
    for (; n < depth; n++) {
        struct batch *b = gather(i);
        if (!b)
            break;
        timer_cancel(&i->idle);
        send_batch(i, b);
    }
    if (was_empty)
        watch_first(i);
}

void instance_pump(struct instance *i)
{
    if (i->state == INSTANCE_UP && i->outdated && list_empty(&i->batches))
        provider_worker_stop(i);
    if (i->state == INSTANCE_UP) {
        feed(i);
        rest(i);
    } else if (i->state == INSTANCE_STOPPED && !list_empty(&i->queue)) {
        provider_worker_start(i);
    }
}

/* --- what the worker says --- */

void instance_up(struct instance *i)
{
    instance_pump(i);
}

static void fail_queue(struct instance *i, const struct err *e)
{
    list_each(node, &i->queue) instance_refuse(list_item(node, struct provider_call, node), e);
}

void instance_start_failed(struct instance *i, const struct err *e)
{
    fail_queue(i, e);
    i->last_error = *e;
    i->failed = 0;
}

static void on_pause_over(void *arg)
{
    struct instance *i = arg;
    i->state = INSTANCE_STOPPED;
    instance_pump(i);
}

static void batch_free(struct batch *b)
{
    list_remove(&b->node);
    free(b);
}

/* Back to the front, in their order. */
static void requeue(struct instance *i, struct batch *b, bool alone)
{
    while (!list_empty(&b->calls)) {
        struct provider_call *c = list_item(b->calls.prev, struct provider_call, node);
        list_remove(&c->node);
        c->batch = NULL;
        c->alone = c->alone || alone;
        if (c->orphan) { /* nobody waits for it any more */
            instance_call_free(c);
            continue;
        }
        list_append(i->queue.next, &c->node); /* append before the first is: to the front */
    }
    batch_free(b);
}

static void fail_batch(struct batch *b, const struct err *e)
{
    list_each(node, &b->calls) instance_refuse(list_item(node, struct provider_call, node), e);
    batch_free(b);
}

void instance_down(struct instance *i, const struct err *why)
{
    bool busy = !list_empty(&i->batches);
    i->state = INSTANCE_STOPPED;
    i->restarts++;
    i->last_error = *why;
    i->failed = 0;
    if (busy) /* that was what it died of, perhaps */
        fail_batch(list_item(i->batches.next, struct batch, node), why);
    while (!list_empty(&i->batches))
        requeue(i, list_item(i->batches.prev, struct batch, node), false);
    int64_t pause = i->crashes < 10 ? (int64_t)PAUSE_MS << i->crashes : PAUSE_MAX_MS;
    i->crashes++;
    i->state = INSTANCE_PAUSED;
    timer_after(i->env->loop, &i->pause, pause < PAUSE_MAX_MS ? pause : PAUSE_MAX_MS, on_pause_over,
                i);
}

static void on_again(void *arg)
{
    struct provider_call *c = arg;
    instance_pump(c->instance);
}

static void back_to_queue(struct instance *i, struct provider_call *c)
{
    list_remove(&c->node);
    c->batch = NULL;
    list_append(&i->queue, &c->node);
}

/* True: the call goes back into the queue. */
static bool try_again(struct instance *i, struct provider_call *c, const struct worker_done *d,
                      bool several)
{
    if (c->orphan)
        return false;
    if (several && d->cls == WORKER_E_CANCELLED &&
        c->deadline_ms > loop_mono_ms(i->env->loop)) { /* another one's time was over */
        c->alone = true;
        back_to_queue(i, c);
        return true;
    }
    if (d->cls != WORKER_E_CONFLICT || c->conflicts >= CONFLICTS)
        return false;
    c->conflicts++;
    back_to_queue(i, c);
    int64_t ms = CONFLICT_MS * (int64_t)c->conflicts;
    timer_after(i->env->loop, &c->again, rng_range(&rng_system, ms / 4, ms), on_again, c);
    return true;
}

static void end_call(struct instance *i, struct provider_call *c, const struct worker_done *d)
{
    if (c->kind == WORKER_OP_CHECK && d->cls == WORKER_E_UNSUPPORTED) {
        c->ret_handle = xstrdup(PROVIDER_UNCHECKED);
        answer(c);
        return;
    }
    if (d->cls == WORKER_E_OK) {
        note_held(i, c);
        c->ret_handle = xstrdup(d->handle);
        answer(c);
        return;
    }
    struct err e = ERR_INIT;
    struct worker_done late = *d;
    if ((d->cls == WORKER_E_CANCELLED || d->cls == WORKER_E_DEADLINE))
        str_copy(late.detail, sizeof(late.detail), "it took longer than the time that it had");
    provider_error(i->name, &late, loop_wall_ms(i->env->loop), &e);
    instance_refuse(c, &e);
}

/* A removal that works says nothing of an addition that failed. */
static void forget_error(struct instance *i, const struct batch *b)
{
    bool same = i->failed == 0;
    list_each(node, (struct list *)(uintptr_t)&b->calls) same =
        same || list_item(node, struct provider_call, node)->kind == i->failed;
    if (same)
        err_clear(&i->last_error);
}

int instance_done(struct instance *i, uint32_t id, const struct worker_done *d)
{
    struct batch *b = NULL;
    list_each(node, &i->batches) if (list_item(node, struct batch, node)->id == id) b =
        list_item(node, struct batch, node);
    if (!b)
        return -1;
    if (d->cls == WORKER_E_OK) {
        i->crashes = 0;
        forget_error(i, b);
    }
    if (b->n > 1 && provider_error_divides(d->cls)) {
        requeue(i, b, true);
    } else {
        list_each(node, &b->calls)
        {
            struct provider_call *c = list_item(node, struct provider_call, node);
            if (!try_again(i, c, d, b->n > 1))
                end_call(i, c, d);
        }
        batch_free(b);
    }
    watch_first(i);
    instance_pump(i);
    providers_pump(i->owner, i);
    return 0;
}

/* --- life --- */

static void free_options(struct instance *i)
{
    for (size_t k = 0; k < i->n_options; k++) {
        free(i->options[k].name);
        free(i->options[k].text);
    }
    free(i->options);
    i->options = NULL;
    i->n_options = 0;
}

struct instance *instance_new(struct providers *owner, const char *name)
{
    struct instance *i = xnew(struct instance);
    const struct providers_env *env = &owner->env;
    i->owner = owner;
    i->env = env;
    i->name = xstrdup(name);
    list_init(&i->node);
    list_init(&i->queue);
    list_init(&i->batches);
    list_init(&i->held);
    i->exchange = (struct provider_exchange){
        .loop = env->loop, .dns = env->dns, .pool = env->exchange, .reach = &i->reach};
    i->cache = (struct provider_cache){.loop = env->loop, .store = env->store, .instance = i->name};
    return i;
}

void instance_configure(struct instance *i, const struct conf_provider *c)
{
    free_options(i);
    free(i->plugin);
    i->plugin = xstrdup(c->plugin);
    i->propagation_s = c->propagation_s;
    i->options = xcalloc(c->n_options + 1, sizeof(*i->options));
    for (size_t k = 0; k < c->n_options; k++) {
        i->options[k].name = xstrdup(c->options[k].name);
        i->options[k].text = xstrdup(c->options[k].text);
    }
    i->n_options = c->n_options;
    i->gone = false;
    i->crashes = 0;
    i->outdated = i->state == INSTANCE_UP || i->state == INSTANCE_STARTING;
    instance_pump(i);
}

void instance_retire(struct instance *i)
{
    struct err e = ERR_INIT;
    i->gone = true;
    err_set(&e, ERR_CONFIG, "provider %s is not in the configuration any more", i->name);
    fail_queue(i, &e);
    instance_pump(i);
}

bool instance_unused(const struct instance *i)
{
    return i->gone && list_empty(&i->queue) && list_empty(&i->batches);
}

void instance_free(struct instance *i)
{
    if (!i)
        return;
    while (!list_empty(&i->batches)) {
        struct batch *b = list_item(i->batches.next, struct batch, node);
        while (!list_empty(&b->calls))
            instance_call_free(list_item(b->calls.next, struct provider_call, node));
        batch_free(b);
    }
    while (!list_empty(&i->queue))
        instance_call_free(list_item(i->queue.next, struct provider_call, node));
    while (!list_empty(&i->held))
        held_free(list_item(i->held.next, struct held, node));
    provider_worker_drop(i);
    timer_cancel(&i->pause);
    worker_descriptor_free(&i->descriptor);
    reach_list_done(&i->reach);
    free_options(i);
    list_remove(&i->node);
    free(i->plugin);
    free(i->name);
    free(i);
}
