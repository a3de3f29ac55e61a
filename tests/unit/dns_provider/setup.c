/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "dns_provider/setup.h"
#include "store/memory.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 30000

struct keeper_call {
    struct fake_keeper *keeper;
    char *name;
    struct defer defer;
    keeper_worker_fn *done;
    void *arg;
};

static void keeper_call_free(struct keeper_call *c)
{
    defer_cancel(&c->defer);
    free(c->name);
    free(c);
}

static const struct setup_provider *find(const struct fake_keeper *k, const char *name)
{
    for (size_t i = 0; i < k->n_providers; i++)
        if (str_eq(k->providers[i].name, name))
            return &k->providers[i];
    fail_msg("a worker for the unknown provider %s", name);
    return NULL;
}

static int spawn(struct fake_keeper *k, const char *name, struct err *e)
{
    const struct setup_provider *p = find(k, name);
    struct driver_option o[9] = {0};
    for (size_t i = 0; i < 8 && p->options[i].name; i++)
        o[i] =
            (struct driver_option){p->options[i].name, p->options[i].value, p->options[i].secret};
    assert_true(k->n_workers < MAX_WORKERS);
    struct driver *d = &k->workers[k->n_workers];
    if (driver_spawn(d, driver_path(p->so), o, e) != 0)
        return -1;
    close(d->keeper);
    k->names[k->n_workers++] = p->name;
    return d->engine;
}

static void run_worker(void *arg)
{
    struct keeper_call *c = arg;
    struct err e = c->keeper->refuse;
    int fd = e.cls == ERR_NONE ? spawn(c->keeper, c->name, &e) : -1;
    keeper_worker_fn *done = c->done;
    void *owner = c->arg;
    keeper_call_free(c);
    done(owner, fd, &e);
}

static struct keeper_call *on_worker(struct keeper *k, const char *provider, keeper_worker_fn *done,
                                     void *arg)
{
    struct keeper_call *c = xnew(struct keeper_call);
    c->keeper = (struct fake_keeper *)(void *)k;
    c->name = xstrdup(provider);
    c->done = done;
    c->arg = arg;
    loop_defer(c->keeper->loop, &c->defer, run_worker, c);
    return c;
}

static void on_kill(struct keeper *keeper, const char *provider)
{
    struct fake_keeper *k = (struct fake_keeper *)(void *)keeper;
    for (size_t i = 0; i < k->n_workers; i++)
        if (str_eq(k->names[i], provider))
            kill(k->workers[i].pid, SIGKILL);
    k->kills++;
}

static const struct keeper_ops ops = {
    .worker = on_worker, .worker_kill = on_kill, .cancel = keeper_call_free};

static void free_conf(struct setup *s)
{
    for (size_t i = 0; i < s->conf.n_providers; i++)
        free(s->conf.providers[i].options);
    free(s->conf.providers);
    memset(&s->conf, 0, sizeof(s->conf));
}

void setup_configure(struct setup *s, const struct setup_provider *v, size_t n)
{
    free_conf(s);
    s->keeper.providers = v;
    s->keeper.n_providers = n;
    s->conf.providers = xcalloc(n + 1, sizeof(*s->conf.providers));
    s->conf.n_providers = n;
    for (size_t i = 0; i < n; i++) {
        struct conf_provider *p = &s->conf.providers[i];
        p->name = (char *)(uintptr_t)v[i].name;
        p->plugin = (char *)(uintptr_t)v[i].so;
        p->options = xcalloc(9, sizeof(*p->options));
        for (; p->n_options < 8 && v[i].options[p->n_options].name; p->n_options++) {
            const struct setup_option *o = &v[i].options[p->n_options];
            p->options[p->n_options].name = (char *)(uintptr_t)o->name;
            p->options[p->n_options].text = (char *)(uintptr_t)(o->secret ? "" : o->value);
        }
    }
    providers_configure(s->providers, &s->conf);
}

void setup_start(struct setup *s, const struct setup_provider *v, size_t n)
{
    memset(s, 0, sizeof(*s));
    s->loop = loop_new();
    s->dns = dns_new(s->loop);
    s->http = http_new(s->loop, s->dns);
    s->exchange = exchange_pool_new(s->loop);
    s->store = store_memory_new(s->loop);
    s->keeper.keeper.ops = &ops;
    s->keeper.loop = s->loop;
    struct providers_env env = {.loop = s->loop,
                                .http = s->http,
                                .dns = s->dns,
                                .exchange = s->exchange,
                                .keeper = &s->keeper.keeper,
                                .store = s->store,
                                .idle_ms = SETUP_IDLE_MS};
    s->providers = providers_new(&env);
    setup_configure(s, v, n);
}

void setup_stop(struct setup *s)
{
    providers_free(s->providers);
    store_close(s->store);
    exchange_pool_free(s->exchange);
    http_free(s->http);
    dns_free(s->dns);
    loop_free(s->loop);
    for (size_t i = 0; i < s->keeper.n_workers; i++) { /* their channel is closed: they end */
        int status;
        waitpid(s->keeper.workers[i].pid, &status, 0);
    }
    free_conf(s);
}

static void on_done(void *arg, const char *handle, const struct err *err)
{
    static unsigned order;
    struct outcome *o = arg;
    assert_false(o->done);
    o->done = true;
    o->order = ++order;
    o->err = *err;
    str_copy(o->handle, sizeof(o->handle), handle);
    o->call = NULL;
    if (o->left && --*o->left == 0)
        loop_stop(o->setup->loop);
}

void setup_op(struct setup *s, struct outcome *o, bool add, const char *provider, const char *fqdn,
              const char *value, int64_t deadline_ms)
{
    struct provider_txt t = {.fqdn = fqdn, .value = value, .zone = "example.org", .handle = ""};
    memset(o, 0, sizeof(*o));
    o->setup = s;
    o->call =
        (add ? provider_add : provider_remove)(s->providers, provider, &t, deadline_ms, on_done, o);
    assert_false(o->done); /* never before it has returned */
}

struct outcome setup_check(struct setup *s, const char *provider, const char *value)
{
    const struct provider_txt t = {
        .fqdn = "_acme-challenge.example.org", .value = value, .zone = "example.org", .handle = ""};
    struct outcome o = {.setup = s};
    o.call = provider_check(s->providers, provider, &t, 20000, on_done, &o);
    assert_false(o.done);
    setup_wait(s, &o, 1);
    return o;
}

static void on_late(void *arg)
{
    fail_msg("%u operations did not end", *(unsigned *)arg);
}

void setup_wait(struct setup *s, struct outcome *v, size_t n)
{
    unsigned left = 0;
    struct timer late = {0};
    for (size_t i = 0; i < n; i++)
        if (!v[i].done) {
            v[i].left = &left;
            left++;
        }
    if (left == 0)
        return;
    timer_after(s->loop, &late, PATIENCE_MS, on_late, &left);
    loop_run(s->loop);
    timer_cancel(&late);
    for (size_t i = 0; i < n; i++)
        v[i].left = NULL;
}

struct outcome setup_add(struct setup *s, const char *provider, const char *value)
{
    struct outcome o;
    setup_op(s, &o, true, provider, "_acme-challenge.example.org", value, 20000);
    setup_wait(s, &o, 1);
    return o;
}
