/* SPDX-License-Identifier: ISC */
#include "dns/provider.h"
#include "base/mem.h"
#include "base/str.h"
#include "dns/provider_instance.h"

#include <stdlib.h>

static struct instance *find(const struct providers *p, const char *name)
{
    list_each(node, (struct list *)(uintptr_t)&p->instances)
    {
        struct instance *i = list_item(node, struct instance, node);
        if (str_eq(i->name, name))
            return i;
    }
    return NULL;
}

struct providers *providers_new(const struct providers_env *env)
{
    struct providers *p = xnew(struct providers);
    p->env = *env;
    list_init(&p->instances);
    list_init(&p->ended);
    return p;
}

void providers_free(struct providers *p)
{
    if (!p)
        return;
    while (!list_empty(&p->instances))
        instance_free(list_item(p->instances.next, struct instance, node));
    while (!list_empty(&p->ended))
        instance_call_free(list_item(p->ended.next, struct provider_call, node));
    defer_cancel(&p->sweep);
    free(p);
}

static void on_sweep(void *arg)
{
    struct providers *p = arg;
    list_each(node, &p->instances)
    {
        struct instance *i = list_item(node, struct instance, node);
        if (instance_unused(i))
            instance_free(i);
    }
}

void providers_configure(struct providers *p, const struct conf *c)
{
    list_each(node, &p->instances)
    {
        struct instance *i = list_item(node, struct instance, node);
        if (!conf_find_provider(c, i->name))
            instance_retire(i);
    }
    for (size_t k = 0; k < c->n_providers; k++) {
        struct instance *i = find(p, c->providers[k].name);
        if (!i) {
            i = instance_new(p, c->providers[k].name);
            list_append(&p->instances, &i->node);
        }
        instance_configure(i, &c->providers[k]);
    }
    loop_defer(p->env.loop, &p->sweep, on_sweep, p);
}

bool providers_conflict(const struct providers *p, const struct provider_call *c, uint32_t model)
{
    list_each(node, (struct list *)(uintptr_t)&p->instances)
    {
        const struct instance *i = list_item(node, struct instance, node);
        if (instance_conflicts(i, c, model))
            return true;
    }
    return false;
}

void providers_pump(struct providers *p, const struct instance *but)
{
    bool gone = false;
    list_each(node, &p->instances)
    {
        struct instance *i = list_item(node, struct instance, node);
        gone = gone || i->gone;
        if (i != but && i->state == INSTANCE_UP && !list_empty(&i->queue))
            instance_pump(i);
    }
    if (gone)
        loop_defer(p->env.loop, &p->sweep, on_sweep, p);
}

static struct provider_call *begin(struct providers *p, const char *provider,
                                   enum worker_op_kind kind, const struct provider_txt *txt,
                                   int64_t deadline_ms, provider_done_fn *done, void *arg)
{
    struct instance *i = find(p, provider);
    struct err e = ERR_INIT;
    if (i && i->gone)
        i = NULL;
    struct provider_call *c = instance_call(p, i, kind, txt, deadline_ms, done, arg);
    if (!i) {
        err_set(&e, ERR_CONFIG, "there is no provider %s in the configuration", provider);
        instance_refuse(c, &e);
    }
    return c;
}

struct provider_call *provider_add(struct providers *p, const char *provider,
                                   const struct provider_txt *txt, int64_t deadline_ms,
                                   provider_done_fn *done, void *arg)
{
    return begin(p, provider, WORKER_OP_ADD, txt, deadline_ms, done, arg);
}

struct provider_call *provider_remove(struct providers *p, const char *provider,
                                      const struct provider_txt *txt, int64_t deadline_ms,
                                      provider_done_fn *done, void *arg)
{
    return begin(p, provider, WORKER_OP_REMOVE, txt, deadline_ms, done, arg);
}

struct provider_call *provider_check(struct providers *p, const char *provider,
                                     const struct provider_txt *txt, int64_t deadline_ms,
                                     provider_done_fn *done, void *arg)
{
    return begin(p, provider, WORKER_OP_CHECK, txt, deadline_ms, done, arg);
}

void provider_cancel(struct provider_call *c)
{
    if (c)
        instance_cancel(c);
}

void providers_status(const struct providers *p,
                      void (*fn)(void *arg, const struct provider_status *), void *arg)
{
    list_each(node, (struct list *)(uintptr_t)&p->instances)
    {
        const struct instance *i = list_item(node, struct instance, node);
        if (i->gone)
            continue;
        struct provider_status s = {
            .name = i->name,
            .plugin = i->plugin,
            .running = i->state == INSTANCE_UP,
            .pid = (int)i->pid,
            .restarts = i->restarts,
            .last_error = i->last_error,
        };
        str_copy(s.sandbox, sizeof(s.sandbox), i->sandbox);
        fn(arg, &s);
    }
}

int64_t provider_propagation_ms(const struct providers *p, const char *provider)
{
    const struct instance *i = find(p, provider);
    if (!i)
        return 0;
    uint32_t s = i->propagation_s ? i->propagation_s : i->descriptor.propagation_s;
    return (int64_t)s * 1000;
}
