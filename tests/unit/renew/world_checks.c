/* SPDX-License-Identifier: ISC */
/* dns/checks.h, acme/facts.h and the check of providers: what a preflight asks. */
#include "acme/facts.h"
#include "base/mem.h"
#include "base/str.h"
#include "dns/checks.h"
#include "dns/provider.h"
#include "world.h"

#include <stdlib.h>

struct checks_call {
    struct world *world;
    struct site *site;
    struct checks_spec spec;
    struct checks_handler h;
    void *arg;
    struct call *call;
    struct checks_place place;
};

void checks_clear(struct checks *c)
{
    (void)c;
}

static void told_checks(struct call *call)
{
    struct checks_call *c = call->arg;
    struct findings f = {NULL, 0};
    const struct checks_spec *s = &c->spec;
    bool bad = s->fresh && !s->full ? c->site->look_fails : c->site->preflight_fails;
    c->site->preflights += s->full;
    if (bad)
        findings_add(&f, FINDING_FAIL, "alias", s->name->name, "_acme-challenge has no CNAME");
    else if (s->full)
        findings_add(&f, FINDING_OK, "alias", s->name->name, "as it should be");
    str_copy(c->place.provider, sizeof(c->place.provider), "cf");
    c->h.done(c->arg, &f);
    findings_done(&f);
    free(c);
}

struct checks_call *checks_start(struct checks *checks, const struct checks_spec *s,
                                 const struct checks_handler *h, void *arg)
{
    struct checks_call *c = xnew(struct checks_call);
    (void)checks;
    c->world = world_now;
    c->site = world_site(world_now, s->cert->name);
    c->spec = *s;
    c->h = *h;
    c->arg = arg;
    c->call = world_call(world_now, 2, NULL, told_checks, NULL, c);
    return c;
}

void checks_asker(struct checks_call *c)
{
    (void)c;
}

void checks_cancel(struct checks_call *c)
{
    if (!c)
        return;
    world_call_cancel(c->call);
    free(c);
}

const struct checks_place *checks_place(const struct checks_call *c)
{
    return &c->place;
}

static void told_facts(struct call *c)
{
    const struct acme_facts f = {.terms = ""};
    ((acme_facts_fn *)c->fn)(c->arg, &f, &c->err);
}

struct acme_facts_call *acme_facts_get(struct acme *a, const char *ca, acme_facts_fn *done,
                                       void *arg)
{
    (void)ca;
    return (struct acme_facts_call *)world_call(a->world, 5, NULL, told_facts, (void (*)(void))done,
                                                arg);
}

void acme_facts_cancel(struct acme_facts_call *c)
{
    world_call_cancel((struct call *)c);
}

static void told_provider(struct call *c)
{
    ((provider_done_fn *)c->fn)(c->arg, "", &c->err);
}

struct provider_call *provider_check(struct providers *p, const char *provider,
                                     const struct provider_txt *txt, int64_t deadline_ms,
                                     provider_done_fn *done, void *arg)
{
    (void)p;
    (void)provider;
    (void)txt;
    (void)deadline_ms;
    return (struct provider_call *)world_call(world_now, 5, NULL, told_provider,
                                              (void (*)(void))done, arg);
}

void provider_cancel(struct provider_call *c)
{
    world_call_cancel((struct call *)c);
}
