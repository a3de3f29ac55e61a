/* SPDX-License-Identifier: ISC */
/*
 *   start -> ALIAS -> ASK -> done
 */
#include "base/mem.h"
#include "base/str.h"
#include "dns/propagation.h"
#include "dns/publisher.h"

#include <stdlib.h>

struct publish_find {
    struct publisher *publisher;
    struct conf *conf;
    struct publish_find_spec spec;
    char *owner;
    void *arg;
    struct alias_call *looking;
    struct propagation *asking;
};

void publish_find_cancel(struct publish_find *f)
{
    if (!f)
        return;
    alias_cancel(f->looking);
    propagation_free(f->asking);
    conf_unref(f->conf);
    free(f->owner);
    free(f);
}

static void finish(struct publish_find *f, const struct err *err, const char *warning)
{
    struct publish_find_spec spec = f->spec;
    void *arg = f->arg;
    struct err e = *err;
    err_activity(&e, "looking for the record %s", f->owner);
    publish_find_cancel(f);
    spec.done(arg, &e, warning);
}

static void on_changed(void *arg, const char *text)
{
    struct publish_find *f = arg;
    const struct publish_progress progress = {.phase = "asking name servers", .text = text};
    if (f->spec.progress)
        f->spec.progress(f->arg, &progress);
}

static void on_asked(void *arg, const struct err *err, const char *warning)
{
    struct publish_find *f = arg;
    f->asking = NULL;
    finish(f, err, warning);
}

static bool fits(void *arg, const char *text, size_t n)
{
    struct publish_find *f = arg;
    return f->spec.fits(f->arg, text, n);
}

static void on_alias(void *arg, const struct alias_chain *chain, const struct err *err)
{
    static const struct propagation_handler handler = {.changed = on_changed, .done = on_asked};
    struct publish_find *f = arg;
    struct publisher *pub = f->publisher;
    f->looking = NULL;
    if (!chain) {
        finish(f, err, "");
        return;
    }
    const char *name = chain->names[chain->n - 1];
    const struct conf_dns_zone *policy = conf_dns_for(f->conf, name);
    struct propagation_env env = {.loop = pub->env.loop, .dns = pub->env.dns, .reach = pub->reach};
    struct propagation_spec spec = {
        .name = name,
        .fits = fits,
        .servers = chain->servers,
        .timeout_ms = f->spec.timeout_ms ? f->spec.timeout_ms : policy->timeout_ms,
        .require = true,
    };
    if (policy->ask == CONF_ASK_AUTO && !chain->servers->resolvers)
        spec.fallback = server_set_resolvers(f->conf, policy);
    f->asking = propagation_start(&env, &spec, &handler, f);
    server_set_unref(spec.fallback);
}

struct publish_find *publish_find_start(struct publisher *p, const struct publish_find_spec *s,
                                        void *arg)
{
    struct publish_find *f = xnew(struct publish_find);
    f->publisher = p;
    f->conf = conf_ref(p->conf);
    f->spec = *s;
    f->owner = xstrdup(s->owner);
    f->arg = arg;
    f->looking = alias_follow(p->cuts, f->conf, f->owner, on_alias, f);
    return f;
}
