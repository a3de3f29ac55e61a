/* SPDX-License-Identifier: ISC */
#include "acme/acme.h"

#include "acme/ca.h"
#include "acme/order.h"
#include "acme/registry.h"
#include "base/map.h"
#include "base/str.h"

#include <stdlib.h>

struct acme {
    struct acme_env env;
    struct list servers;
    struct map *cas; /* name -> struct ca, one reference each */
};

struct acme *acme_new(const struct acme_env *env)
{
    struct acme *a = xnew(struct acme);

    a->env = *env;
    list_init(&a->servers);
    a->cas = map_new();
    return a;
}

static void drop_all(struct map *cas)
{
    const char *name;
    void *ca;

    for (size_t i = 0; map_next(cas, &i, &name, &ca);)
        ca_unref(ca);
    map_free(cas);
}

void acme_free(struct acme *a)
{
    if (!a)
        return;
    drop_all(a->cas);
    free(a);
}

/* A CA entry that means the same keeps its account, nonces and connections. */
void acme_configure(struct acme *a, struct conf *c)
{
    struct map *old = a->cas;

    a->cas = map_new();
    for (size_t i = 0; i < c->n_cas; i++) {
        const struct conf_ca *cf = &c->cas[i];
        struct ca *ca = map_get(old, cf->name);
        if (ca && ca_same(ca, cf))
            ca_update(ca_ref(ca), c, cf);
        else
            ca = ca_new(&a->servers, &a->env, c, cf);
        ca = map_put(a->cas, cf->name, ca);
        ca_unref(ca); /* two entries of one name do not happen */
    }
    drop_all(old);
}

struct ca *acme_find_ca(const struct acme *a, const char *name)
{
    return map_get(a->cas, name);
}

void acme_each_ca(const struct acme *a, void (*fn)(void *arg, struct ca *), void *arg)
{
    const char *name;
    void *ca;

    for (size_t i = 0; map_next(a->cas, &i, &name, &ca);)
        fn(arg, ca);
}

const struct acme_env *acme_get_env(const struct acme *a)
{
    return &a->env;
}

struct acme_order *acme_order_start(struct acme *a, const struct acme_order_spec *s,
                                    const struct acme_order_handler *h, void *arg)
{
    return order_start(acme_find_ca(a, s->ca), a->env.loop, s, h, arg);
}

void acme_status(const struct acme *a, void (*fn)(void *arg, const struct acme_ca_status *),
                 void *arg)
{
    const char *name;
    void *p;

    for (size_t i = 0; map_next(a->cas, &i, &name, &p);) {
        const struct ca *ca = p;
        struct acme_ca_status st = {.name = name,
                                    .directory = ca->cf->directory,
                                    .account_url = ca->account.url,
                                    .orders_running = ca->running,
                                    .has_ari = ca->server->directory.have &&
                                               *ca->server->directory.doc.renewal_info,
                                    .last_error = ca->last_error};
        fn(arg, &st);
    }
}
