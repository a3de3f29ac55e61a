/* SPDX-License-Identifier: ISC */
#include "base/mem.h"
#include "base/str.h"
#include "fake.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct provider_call {
    struct list node;
    struct fake_providers *f;
    struct timer timer;
    bool add;
    char *provider, *fqdn, *value;
    provider_done_fn *done;
    void *arg;
};

struct providers *fake_providers_new(struct loop *l, struct dns *d)
{
    struct fake_providers *f = xnew(struct fake_providers);
    f->loop = l;
    f->dns = d;
    f->delay_ms = 5;
    list_init(&f->calls);
    err_set(&f->failure, ERR_TRANSIENT, "the API says no");
    return (struct providers *)f;
}

struct fake_providers *fake_of(struct providers *p)
{
    return (struct fake_providers *)p;
}

void fake_log(struct fake_providers *f, const char *fmt, ...)
{
    size_t n = strlen(f->log);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(f->log + n, sizeof(f->log) - n, fmt, ap);
    va_end(ap);
}

static void call_free(struct provider_call *c)
{
    timer_cancel(&c->timer);
    list_remove(&c->node);
    free(c->provider);
    free(c->fqdn);
    free(c->value);
    free(c);
}

static void on_due(void *arg)
{
    struct provider_call *c = arg;
    struct fake_providers *f = c->f;
    struct err e = ERR_INIT;
    unsigned *fails = c->add ? &f->fail_adds : &f->fail_removes;
    CLEANUP_FREE char *handle = xasprintf("h-%.4s", c->value);
    if (*fails) {
        (*fails)--;
        e = f->failure;
    } else if (!c->add) {
        fake_rr_remove(f->dns, c->fqdn, c->value);
    } else if (!f->no_publish) {
        fake_publish(f->dns, c->fqdn, c->value);
    }
    provider_done_fn *done = c->done;
    void *owner = c->arg;
    bool add = c->add;
    call_free(c);
    done(owner, add && e.cls == ERR_NONE ? handle : "", &e);
}

static struct provider_call *start(struct providers *p, bool add, const char *provider,
                                   const struct provider_txt *txt, provider_done_fn *done,
                                   void *arg)
{
    struct fake_providers *f = fake_of(p);
    struct provider_call *c = xnew(struct provider_call);
    c->f = f;
    c->add = add;
    c->provider = xstrdup(provider);
    c->fqdn = xstrdup(txt->fqdn);
    c->value = xstrdup(txt->value);
    c->done = done;
    c->arg = arg;
    list_append(&f->calls, &c->node);
    *(add ? &f->adds : &f->removes) += 1;
    fake_log(f, "%s:%s %s %s%s%s; ", provider, add ? "add" : "remove", txt->fqdn, txt->value,
             txt->handle[0] ? " " : "", txt->handle);
    timer_after(f->loop, &c->timer, f->delay_ms, on_due, c);
    return c;
}

struct provider_call *provider_add(struct providers *p, const char *provider,
                                   const struct provider_txt *txt, int64_t deadline_ms,
                                   provider_done_fn *done, void *arg)
{
    (void)deadline_ms;
    return start(p, true, provider, txt, done, arg);
}

struct provider_call *provider_remove(struct providers *p, const char *provider,
                                      const struct provider_txt *txt, int64_t deadline_ms,
                                      provider_done_fn *done, void *arg)
{
    (void)deadline_ms;
    return start(p, false, provider, txt, done, arg);
}

void provider_cancel(struct provider_call *c)
{
    if (!c)
        return;
    c->f->cancelled++;
    call_free(c);
}

int64_t provider_propagation_ms(const struct providers *p, const char *provider)
{
    (void)provider;
    return ((const struct fake_providers *)p)->propagation_ms;
}

void providers_free(struct providers *p)
{
    struct fake_providers *f = fake_of(p);
    list_each(it, &f->calls) call_free(list_item(it, struct provider_call, node));
    free(f);
}

void fake_conf_init(struct fake_conf *c)
{
    *c = (struct fake_conf){.cert = {.name = "cert", .provider = "", .names = c->names}};
    c->conf.refs = 1000000; /* never freed */
    c->conf.dns_zones = c->zones;
    c->conf.n_dns_zones = 1;
    c->conf.providers = c->providers;
    c->zones[0] = (struct conf_dns_zone){.suffix = "", .timeout_ms = 600000};
    c->names[0] = (struct conf_name){.name = "example.org", .provider = ""};
    c->names[1] = (struct conf_name){.name = "*.example.org", .provider = ""};
    c->cert.n_names = 2;
}

struct conf_dns_zone *fake_conf_zone(struct fake_conf *c, const char *suffix)
{
    struct conf_dns_zone *z = &c->zones[c->conf.n_dns_zones++];
    *z = c->zones[0];
    z->suffix = (char *)suffix;
    return z;
}

void fake_conf_servers(struct conf_dns_zone *z, char **texts, size_t n)
{
    z->servers = (struct conf_strs){.v = texts, .n = n};
}

struct conf_provider *fake_conf_provider(struct fake_conf *c, const char *name, const char *zone)
{
    size_t i = c->conf.n_providers++;
    c->providers[i] = (struct conf_provider){.name = (char *)name, .plugin = (char *)name};
    if (zone) {
        c->zone_texts[i][0] = (char *)zone;
        c->providers[i].zones = (struct conf_strs){.v = c->zone_texts[i], .n = 1};
    }
    return &c->providers[i];
}
