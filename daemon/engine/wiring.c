/* SPDX-License-Identifier: ISC */
#include "engine/wiring.h"
#include "acme/acme.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/codec.h"
#include "control/control.h"
#include "dns/checks.h"
#include "dns/provider.h"
#include "dns/publish.h"
#include "engine/tasks.h"
#include "io/dns.h"
#include "io/exchange.h"
#include "io/http.h"
#include "link/keeper_client.h"
#include "renew/renew.h"
#include "respond/respond.h"
#include "store/sqlite.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define STOP_LIMIT_MS 8000 /* the keeper waits 10 s */
#define MAX_RESOLVERS 16

struct wiring {
    struct loop *loop;
    struct log *log;
    int control_fd;    /* until control_new() takes it */
    struct conf *conf; /* in force */
    int exit_code;
    bool once, dry_run, once_begun, stopping;
    char *run_as;
    struct keeper_client *client;
    struct store *store; /* NULL: store_err says why */
    struct err store_err;
    struct dns *dns;
    struct http *http;
    struct exchange_pool *exchange;
    struct providers *providers;
    struct publisher *publisher;
    struct checks *checks;
    struct acme *acme;
    struct responders *responders;
    struct renew *renew;
    struct control *control;
    struct tasks *tasks;
    char *dir; /* the engine's own */
};

static struct log_ctx ctx(const struct wiring *w)
{
    return (struct log_ctx){w->log, NULL};
}

static void end(struct wiring *w, int code)
{
    w->exit_code = code;
    loop_stop(w->loop);
}

/* ---- making ---- */

static void open_store(struct wiring *w, const char *dir)
{
    struct log_ctx log = ctx(w);
    struct err e = ERR_INIT;
    char text[700];
    w->store = store_sqlite_open(w->loop, dir, &e);
    if (!w->store)
        w->store_err = e;
    else if (e.cls != ERR_NONE)
        log_warn(&log, "%s", err_text(&e, text, sizeof(text)));
}

static void make_clients(struct wiring *w)
{
    struct keeper *keeper = keeper_client_keeper(w->client);
    w->dns = dns_new(w->loop);
    w->http = http_new(w->loop, w->dns);
    w->exchange = exchange_pool_new(w->loop);
    const struct providers_env providers = {.loop = w->loop,
                                            .http = w->http,
                                            .dns = w->dns,
                                            .exchange = w->exchange,
                                            .keeper = keeper,
                                            .store = w->store,
                                            .log = w->log};
    w->providers = providers_new(&providers);
    const struct publisher_env publisher = {.loop = w->loop,
                                            .dns = w->dns,
                                            .store = w->store,
                                            .providers = w->providers,
                                            .rng = &rng_system};
    w->publisher = publisher_new(&publisher);
    w->checks = checks_new(w->loop, w->dns, w->publisher, w->exchange);
    const struct acme_env acme = {
        .loop = w->loop, .http = w->http, .keeper = keeper, .rng = &rng_system};
    w->acme = acme_new(&acme);
    w->responders = responders_new(&(struct responders_env){.loop = w->loop, .keeper = keeper});
}

/* Who asks before there is an answer waits for it at the socket. */
static void make_control(struct wiring *w)
{
    if (w->control_fd < 0)
        return;
    const struct control_env env = {
        .loop = w->loop,
        .log = w->log,
        .renew = w->renew,
        .acme = w->acme,
        .publisher = w->publisher,
        .providers = w->providers,
        .owner = geteuid(),
        .version = RENEWD_VERSION,
    };
    w->control = control_new(&env, w->control_fd);
    w->control_fd = -1;
    control_configure(w->control, w->conf);
    if (w->run_as[0])
        control_warn(w->control, w->run_as);
}

static void make_renew(struct wiring *w)
{
    const struct renew_env env = {
        .loop = w->loop,
        .rng = &rng_system,
        .log = w->log,
        .store = w->store,
        .keeper = keeper_client_keeper(w->client),
        .acme = w->acme,
        .publisher = w->publisher,
        .providers = w->providers,
        .checks = w->checks,
        .http = w->http,
        .dns = w->dns,
        .responders = w->responders,
    };
    w->renew = renew_new(&env);
}

static void make_tasks(struct wiring *w)
{
    const struct tasks_env env = {.loop = w->loop,
                                  .client = w->client,
                                  .acme = w->acme,
                                  .renew = w->renew,
                                  .store = w->store,
                                  .dir = w->dir};
    w->tasks = tasks_new(&env);
}

static void on_start(void *arg, const struct keeper_client_start *s)
{
    struct wiring *w = arg;
    struct log_ctx log = ctx(w);
    w->log->level = s->log_level;
    w->once = s->once;
    w->dry_run = s->dry_run;
    free(w->run_as);
    w->run_as = xstrdup(s->run_as);
    if (!str_eq(s->version, RENEWD_VERSION))
        log_warn(&log, "this engine is version %s, the keeper %s: restart renewd", RENEWD_VERSION,
                 s->version);
    free(w->dir);
    w->dir = xstrdup(s->engine_dir);
    open_store(w, s->engine_dir);
    if (!w->store)
        return;
    make_clients(w);
    make_renew(w);
    make_tasks(w);
}

/* ---- configuration ---- */

static void set_resolvers(struct wiring *w, const struct conf *c)
{
    struct log_ctx log = ctx(w);
    struct dns_addr servers[MAX_RESOLVERS];
    const struct conf_strs *texts = &c->dns_zones[0].resolvers;
    size_t n = 0;
    for (size_t i = 0; i < texts->n && n < MAX_RESOLVERS; i++) {
        if (dns_addr_parse(texts->v[i], 53, &servers[n]))
            n++;
        else
            log_warn(&log, "resolver %s is not used: not an address", texts->v[i]);
    }
    dns_set_resolvers(w->dns, servers, n);
}

static void on_once_done(void *arg, unsigned failed)
{
    struct wiring *w = arg;
    keeper_client_once_done(w->client, failed);
}

static void on_ready(void *arg, const struct err *err)
{
    struct wiring *w = arg;
    struct log_ctx log = ctx(w);
    char text[700];
    if (err && err->cls != ERR_NONE) {
        log_error(&log, "cannot start: %s", err_text(err, text, sizeof(text)));
        end(w, 1);
        return;
    }
    make_control(w);
    if (!w->once || w->once_begun)
        return;
    w->once_begun = true;
    if (w->dry_run)
        renew_once_dry(w->renew, on_once_done, w);
    else
        renew_once(w->renew, on_once_done, w);
}

/* Requests that are made from here on mean the new generation, so it is accepted first. */
static void take(struct wiring *w, uint64_t generation, struct conf *c)
{
    char text[64];
    keeper_client_accept(w->client, generation);
    w->log->level = c->log_level;
    set_resolvers(w, c);
    acme_configure(w->acme, c);
    providers_configure(w->providers, c);
    publisher_configure(w->publisher, c);
    conf_ref(c);
    conf_unref(w->conf);
    w->conf = c;
    if (w->control)
        control_configure(w->control, c);
    renew_configure(w->renew, c, on_ready, w);
    snprintf(text, sizeof(text), "%zu certificates", c->n_certs);
    keeper_client_status(w->client, text);
}

static void on_config(void *arg, uint64_t generation, const void *p, size_t n)
{
    struct wiring *w = arg;
    struct err e = ERR_INIT;
    if (!w->store) {
        keeper_client_reject(w->client, generation, &w->store_err);
        return;
    }
    struct conf *c = w->stopping ? NULL : conf_decode(p, n, &e);
    if (!c) {
        if (e.cls == ERR_NONE)
            err_set(&e, ERR_TRANSIENT, "the daemon is stopping");
        keeper_client_reject(w->client, generation, &e);
        return;
    }
    take(w, generation, c);
    conf_unref(c);
}

/* ---- the rest of what the keeper says ---- */

static void on_ping(void *arg)
{
    struct wiring *w = arg;
    if (!w->renew || renew_alive(w->renew))
        keeper_client_pong(w->client);
}

static void on_task(void *arg, const struct keeper_task *t)
{
    struct wiring *w = arg;
    struct err e = ERR_INIT;
    if (w->tasks) {
        tasks_begin(w->tasks, t);
        return;
    }
    err_set(&e, ERR_TRANSIENT, "the engine is still starting: try again in a moment");
    keeper_client_task_done(w->client, t->id, NULL, &e);
}

static void on_task_end(void *arg, uint64_t id)
{
    struct wiring *w = arg;
    if (w->tasks)
        tasks_end(w->tasks, id);
}

static void on_stopped(void *arg)
{
    end(arg, 0);
}

static void on_stop(void *arg)
{
    struct wiring *w = arg;
    if (w->stopping)
        return;
    w->stopping = true;
    if (w->renew)
        renew_stop(w->renew, STOP_LIMIT_MS, on_stopped, w);
    else
        end(w, 0);
}

static void on_closed(void *arg, const struct err *why)
{
    struct wiring *w = arg;
    struct log_ctx log = ctx(w);
    char text[700];
    if (!w->stopping)
        log_error(&log, "the keeper is gone: %s", err_text(why, text, sizeof(text)));
    end(w, w->stopping ? 0 : 1);
}

struct wiring *wiring_new(struct loop *l, struct log *log, int keeper_fd, int control_fd)
{
    static const struct keeper_client_handler handler = {
        .start = on_start,
        .config = on_config,
        .ping = on_ping,
        .stop = on_stop,
        .task = on_task,
        .task_end = on_task_end,
        .closed = on_closed,
    };
    struct wiring *w = xnew(struct wiring);
    w->loop = l;
    w->log = log;
    w->control_fd = control_fd;
    w->run_as = xstrdup("");
    w->client = keeper_client_new(l, keeper_fd, &handler, w);
    return w;
}

/* Upper layers first; the store last, so that what they still had to write is written. */
void wiring_free(struct wiring *w)
{
    if (!w)
        return;
    if (w->store) {
        tasks_free(w->tasks);
        control_free(w->control);
        renew_free(w->renew);
        responders_free(w->responders);
        checks_free(w->checks);
        publisher_free(w->publisher);
        providers_free(w->providers);
        acme_free(w->acme);
        exchange_pool_free(w->exchange);
        http_free(w->http);
        dns_free(w->dns);
        store_close(w->store);
    }
    keeper_client_free(w->client);
    if (w->control_fd >= 0)
        close(w->control_fd);
    conf_unref(w->conf);
    free(w->run_as);
    free(w->dir);
    free(w);
}

int wiring_exit_code(const struct wiring *w)
{
    return w->exit_code;
}
