/* SPDX-License-Identifier: ISC */
#include "acme/gate.h"

#include "io/http.h"

#include <stdlib.h>

#define NS_PER_MS 1000000LL

struct gate *gate_new(struct loop *loop)
{
    struct gate *g = xnew(struct gate);

    g->refs = 1;
    g->loop = loop;
    for (unsigned i = 0; i < GATE_RANKS; i++)
        list_init(&g->lines[i]);
    return g;
}

struct gate *gate_ref(struct gate *g)
{
    g->refs++;
    return g;
}

void gate_unref(struct gate *g)
{
    if (!g || --g->refs > 0)
        return;
    timer_cancel(&g->timer);
    free(g);
}

static struct gate_pass *first(struct gate *g)
{
    for (unsigned i = 0; i < GATE_RANKS; i++)
        if (!list_empty(&g->lines[i]))
            return list_item(g->lines[i].next, struct gate_pass, node);
    return NULL;
}

/* Until the next may pass; 0: now. */
static int64_t wait_ms(const struct gate *g)
{
    int64_t now = loop_mono_ms(g->loop), closed = g->closed_until - now;
    int64_t ns = g->limit.n ? g->full_ns - g->ahead_ns - now * NS_PER_MS : 0;
    int64_t ms = ns > 0 ? (ns + NS_PER_MS - 1) / NS_PER_MS : 0;

    return closed > ms ? closed : ms;
}

static void count(struct gate *g)
{
    int64_t now = loop_mono_ms(g->loop) * NS_PER_MS;

    g->full_ns = (g->full_ns > now ? g->full_ns : now) + g->step_ns;
}

void gate_back(struct gate *g)
{
    g->full_ns -= g->step_ns;
}

static void admit(void *arg);

static void arm(struct gate *g)
{
    if (first(g))
        timer_after(g->loop, &g->timer, wait_ms(g), admit, g);
    else
        timer_cancel(&g->timer);
}

static void admit(void *arg)
{
    struct gate *g = gate_ref(arg);
    struct gate_pass *p;

    while ((p = first(g)) && wait_ms(g) == 0) {
        gate_leave(p);
        count(g);
        p->fn(p->arg);
    }
    arm(g);
    gate_unref(g);
}

void gate_limit(struct gate *g, const struct conf_limit *limit)
{
    int64_t at_once = limit->n / 8 ? limit->n / 8 : 1;

    if (g->limit.n == limit->n && g->limit.per_ms == limit->per_ms)
        return;
    g->limit = *limit;
    g->step_ns = limit->n ? limit->per_ms * NS_PER_MS / (limit->n - at_once + 1) : 0;
    g->ahead_ns = (at_once - 1) * g->step_ns;
    g->full_ns = 0;
    arm(g);
}

void gate_close(struct gate *g, const struct err *e)
{
    int64_t now = loop_mono_ms(g->loop);
    int64_t asked = e->retry_at ? e->retry_at - loop_wall_ms(g->loop) : 0;

    if (asked > GATE_CLOSED_MAX_MS)
        asked = GATE_CLOSED_MAX_MS;
    if (asked <= 0 || now + asked <= g->closed_until)
        return;
    g->closed_until = now + asked;
    g->why = *e;
    arm(g);
}

void gate_heard(struct gate *g, const struct http_reply *r, const struct err *e)
{
    if (r->status == 429 || r->status == 503)
        gate_close(g, e);
}

int64_t gate_closed_ms(const struct gate *g)
{
    int64_t left = g->closed_until - loop_mono_ms(g->loop);

    return left > 0 ? left : 0;
}

static bool others_first(const struct gate *g, enum gate_rank rank)
{
    for (unsigned i = 0; i <= rank; i++)
        if (!list_empty(&g->lines[i]))
            return true;
    return false;
}

bool gate_enter(struct gate *g, struct gate_pass *p, enum gate_rank rank, void (*fn)(void *arg),
                void *arg)
{
    gate_leave(p);
    if (!others_first(g, rank) && wait_ms(g) == 0) {
        count(g);
        return true;
    }
    p->gate = g;
    p->fn = fn;
    p->arg = arg;
    list_append(&g->lines[rank], &p->node);
    arm(g);
    return false;
}

void gate_leave(struct gate_pass *p)
{
    struct gate *g = p->gate;

    if (!g)
        return;
    p->gate = NULL;
    list_remove(&p->node);
    if (!first(g))
        timer_cancel(&g->timer);
}
