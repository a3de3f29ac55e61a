/* SPDX-License-Identifier: ISC */
#include "acme/ca.h"

#include "base/str.h"

#include <stdlib.h>

struct ca *ca_new(struct list *servers, const struct acme_env *env, struct conf *conf,
                  const struct conf_ca *cf)
{
    struct ca *c = xnew(struct ca);

    c->refs = 1;
    c->env = env;
    c->server = server_get(servers, env, cf);
    c->conf = conf_ref(conf);
    c->cf = cf;
    list_init(&c->queue);
    list_init(&c->holds);
    account_init(&c->account, c);
    orders_init(&c->orders, c);
    return c;
}

struct ca *ca_ref(struct ca *c)
{
    c->refs++;
    return c;
}

void ca_unref(struct ca *c)
{
    if (!c || --c->refs > 0)
        return;
    orders_done(&c->orders);
    account_done(&c->account);
    defer_cancel(&c->admit);
    server_unref(c->server);
    conf_unref(c->conf);
    free(c);
}

bool ca_same(const struct ca *c, const struct conf_ca *cf)
{
    const struct conf_ca *o = c->cf;

    return str_eq(o->name, cf->name) && str_eq(o->directory, cf->directory) &&
           str_eq(o->ca_pem, cf->ca_pem) && str_eq(o->account, cf->account) &&
           o->timeout_ms == cf->timeout_ms;
}

static void tell_holds(struct ca *c)
{
    list_each(it, &c->holds)
    {
        struct ca_hold *h = list_item(it, struct ca_hold, node);
        h->fn(h->arg);
    }
}

static void admit(void *arg)
{
    struct ca *c = ca_ref(arg);

    tell_holds(c);
    while (list_empty(&c->holds) && !list_empty(&c->queue) &&
           (c->running < c->cf->max_orders || c->running == 0)) {
        struct ca_place *p = list_item(c->queue.next, struct ca_place, node);
        list_remove(&p->node);
        p->state = CA_PLACE_HELD;
        c->running++;
        p->fn(p->arg);
    }
    ca_unref(c);
}

void ca_update(struct ca *c, struct conf *conf, const struct conf_ca *cf)
{
    struct conf *old = c->conf;

    c->conf = conf_ref(conf);
    c->cf = cf;
    conf_unref(old);
    gate_limit(c->server->gate, &cf->requests_limit);
    if (!list_empty(&c->queue)) /* max_orders may have grown */
        loop_defer(c->env->loop, &c->admit, admit, c);
}

void ca_place_get(struct ca *c, struct ca_place *p, void (*fn)(void *arg), void *arg)
{
    ca_place_put(p);
    p->ca = c;
    p->fn = fn;
    p->arg = arg;
    p->state = CA_PLACE_WAITING;
    list_append(&c->queue, &p->node);
    loop_defer(c->env->loop, &c->admit, admit, c);
}

void ca_place_put(struct ca_place *p)
{
    struct ca *c = p->ca;

    if (!c)
        return;
    if (p->state == CA_PLACE_WAITING)
        list_remove(&p->node);
    if (p->state == CA_PLACE_HELD)
        c->running--;
    p->state = CA_PLACE_NONE;
    p->ca = NULL;
    if (!list_empty(&c->queue) || !list_empty(&c->holds))
        loop_defer(c->env->loop, &c->admit, admit, c);
}

void ca_hold(struct ca *c, struct ca_hold *h, void (*fn)(void *arg), void *arg)
{
    h->ca = ca_ref(c);
    h->fn = fn;
    h->arg = arg;
    list_append(&c->holds, &h->node);
    loop_defer(c->env->loop, &c->admit, admit, c);
}

void ca_release(struct ca_hold *h)
{
    struct ca *c = h->ca;

    if (!c)
        return;
    list_remove(&h->node);
    h->ca = NULL;
    loop_defer(c->env->loop, &c->admit, admit, c);
    ca_unref(c);
}
