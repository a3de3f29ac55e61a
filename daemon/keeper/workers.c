/* SPDX-License-Identifier: ISC */
/*
 * An instance, from the keeper's side (wire/worker_msg.h has the frames):
 *
 *     LOADING -- READY: CONFIG with the secrets is sent --> CREATING -- CREATED --> RUNNING
 *        |  FAILED, exit, malformed frame, 10 s                |                       | exit
 *        `---------------------> callback with an error, gone <'                       `--> gone
 *
 * The secrets are sent only in LOADING -> CREATING: the worker is then in its final sandbox.
 */
#include "keeper/workers.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/str.h"
#include "keeper/programs.h"
#include "keeper/users.h"
#include "loop/channel.h"
#include "loop/child.h"
#include "wire/worker_msg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define START_MS 10000
#define CONFIG_ROOM (WORKER_KEEPER_MAX + FRAME_HEADER)

struct workers {
    struct workers_env env;
    struct list all;
};

enum state { LOADING, CREATING, RUNNING };

struct worker {
    struct list node;
    struct workers *workers;
    char *name;
    enum state state;
    bool closed, exited;
    struct child *child;
    struct channel *channel;
    int engine_fd;     /* the engine's end, until it is given; -1 */
    struct buf config; /* the whole frame, secret; empty once sent */
    struct timer limit;
    struct defer failed;
    struct err err;
    workers_done_fn *fn; /* NULL once called */
    void *arg;
};

struct workers *workers_new(const struct workers_env *env)
{
    struct workers *w = xnew(struct workers);
    w->env = *env;
    list_init(&w->all);
    return w;
}

static void worker_free(struct worker *k)
{
    list_remove(&k->node);
    timer_cancel(&k->limit);
    defer_cancel(&k->failed);
    channel_free(k->channel);
    child_free(k->child);
    if (k->engine_fd >= 0)
        close(k->engine_fd);
    buf_free(&k->config);
    free(k->name);
    free(k);
}

/* Ends it; the callback, if still owed, gets the error. */
static void end(struct worker *k, const struct err *why)
{
    workers_done_fn *fn = k->fn;
    void *arg = k->arg;
    struct err err = *why;
    err_activity(&err, "starting provider %s", k->name);
    worker_free(k);
    if (fn)
        fn(arg, -1, &err);
}

static void run_failed(void *arg)
{
    struct worker *k = arg;
    end(k, &k->err);
}

static void on_limit(void *arg)
{
    struct worker *k = arg;
    struct err e = ERR_INIT;
    err_set(&e, ERR_TRANSIENT, "the plugin was not ready within %d s", START_MS / 1000);
    end(k, &e);
}

/* ---- what the worker says ---- */

static int on_ready(struct worker *k, const void *payload, size_t n)
{
    struct worker_hello hello;
    if (k->state != LOADING || worker_hello_decode(payload, n, &hello))
        return -1;
    log_debug((&(struct log_ctx){k->workers->env.log, k->name}), "worker ready: %s", hello.sandbox);
    worker_descriptor_free(&hello.descriptor);
    k->state = CREATING;
    channel_send(k->channel, &k->config, -1);
    buf_free(&k->config);
    return 0;
}

static int on_created(struct worker *k, size_t n)
{
    if (k->state != CREATING || n)
        return -1;
    workers_done_fn *fn = k->fn;
    int fd = k->engine_fd;
    k->state = RUNNING;
    k->engine_fd = -1;
    k->fn = NULL;
    timer_cancel(&k->limit);
    fn(k->arg, fd, &(struct err)ERR_INIT);
    return 0;
}

static int on_failed(struct worker *k, const void *payload, size_t n)
{
    if (k->state == RUNNING || worker_failed_decode(payload, n, &k->err))
        return -1;
    if (k->err.cls == ERR_NONE)
        k->err.cls = ERR_CONFIG;
    loop_defer(k->workers->env.loop, &k->failed, run_failed, k);
    return 0;
}

static int on_frame(void *arg, const struct frame_head *h, const void *payload, int fd)
{
    struct worker *k = arg;
    if (fd >= 0)
        close(fd);
    switch (h->type) {
    case WORKER_READY:
        return on_ready(k, payload, h->len);
    case WORKER_CREATED:
        return on_created(k, h->len);
    case WORKER_FAILED:
        return on_failed(k, payload, h->len);
    default:
        return -1;
    }
}

/* While it starts, both the end of the channel and the exit are waited for: the exit says more, the
 * channel may hold a FAILED yet. */
static void end_when_gone(struct worker *k)
{
    if (k->closed && k->exited && !k->failed.pending)
        end(k, &k->err);
}

static void on_closed(void *arg, const struct err *why)
{
    struct worker *k = arg;
    k->closed = true;
    if (why->cls == ERR_PEER && k->state != RUNNING) {
        struct err e = *why;
        end(k, &e);
    } else if (k->state != RUNNING) {
        end_when_gone(k);
    }
}

static void on_end(void *arg, const struct child_end *c)
{
    struct worker *k = arg;
    char how[64];
    k->exited = true;
    child_end_text(c, how, sizeof(how));
    if (!k->failed.pending)
        err_set(&k->err, ERR_LOCAL, "the worker %s", how);
    if (k->state != RUNNING) {
        end_when_gone(k);
        return;
    }
    if (c->status)
        log_warn((&(struct log_ctx){k->workers->env.log, k->name}), "the worker %s", how);
    end(k, &k->err);
}

/* ---- starting ---- */

static int make_config(struct buf *out, const struct conf_provider *p, struct err *e)
{
    CLEANUP_FREE struct worker_setting *settings = xcalloc(p->n_options + 1, sizeof(*settings));
    struct worker_config c = {
        .instance = p->name, .ttl = p->ttl, .settings = settings, .n_settings = 0};
    for (size_t i = 0; i < p->n_options; i++) {
        const struct conf_option *o = &p->options[i];
        const struct secret *s = o->secret.value;
        bool secret = o->secret.kind != CONF_SECRET_NONE;
        if (secret && (!s || strlen(secret_bytes(s)) != secret_len(s)))
            return err_set(e, ERR_CONFIG, "option %s is empty or holds a NUL byte", o->name);
        settings[c.n_settings++] = (struct worker_setting){
            .name = o->name, .value = secret ? secret_bytes(s) : o->text, .secret = secret};
    }
    if (worker_config_encode(out, &c))
        return err_set(e, ERR_CONFIG, "its options are longer than %u KiB",
                       WORKER_KEEPER_MAX >> 10);
    return 0;
}

static int launch(struct worker *k, const struct conf *c, const struct conf_provider *p,
                  const int channels[2], struct err *e)
{
    const char *const argv[] = {
        k->workers->env.program, "--opened", "--instance", p->name, p->path, NULL};
    const char *warning;
    struct user u;
    CLEANUP_CLOSE int plugin = programs_open_plugin(p->path, e);
    const int fds[] = {channels[0], channels[1], plugin};
    if (plugin < 0 || users_choose(c->worker_user, c->worker_user_set, &u, &warning, e) ||
        make_config(&k->config, p, e))
        return -1;
    struct child_spec spec = {.argv = argv,
                              .uid = geteuid() == 0 ? u.uid : (uid_t)-1,
                              .gid = u.gid,
                              .fds = fds,
                              .n_fds = ARRAY_LEN(fds),
                              .open_first = true,
                              .inherit_output = true,
                              .own_group = true,
                              .die_with_parent = true};
    k->child = child_start(k->workers->env.loop, &spec, on_end, k, e);
    if (!k->child && e->sys == EACCES)
        err_prefix(e, "user %s cannot reach the program", u.name);
    return k->child ? 0 : -1;
}

static int connect_and_launch(struct worker *k, const struct conf *c, const struct conf_provider *p,
                              struct err *e)
{
    static const struct channel_handler handler = {.frame = on_frame, .closed = on_closed};
    int engine[2], keeper[2];
    if (channel_pair(engine, e))
        return -1;
    k->engine_fd = engine[0];
    if (channel_pair(keeper, e)) {
        close(engine[1]);
        return -1;
    }
    k->channel = channel_new(k->workers->env.loop, keeper[0], WORKER_KEEPER_MAX, &handler, k);
    int rc = launch(k, c, p, (const int[2]){engine[1], keeper[1]}, e);
    close(engine[1]);
    close(keeper[1]);
    return rc;
}

static struct worker *find(struct workers *w, const char *name)
{
    list_each(it, &w->all)
    {
        struct worker *k = list_item(it, struct worker, node);
        if (str_eq(k->name, name))
            return k;
    }
    return NULL;
}

void workers_kill(struct workers *w, const char *provider)
{
    struct worker *k = find(w, provider);
    struct err e = ERR_INIT;
    if (!k)
        return;
    err_set(&e, ERR_CANCELLED, "the worker was killed on demand");
    end(k, &e);
}

void workers_start(struct workers *w, const struct conf *c, const struct conf_provider *p,
                   workers_done_fn *fn, void *arg)
{
    workers_kill(w, p->name);
    struct worker *k = xnew(struct worker);
    k->workers = w;
    k->name = xstrdup(p->name);
    k->engine_fd = -1;
    k->fn = fn;
    k->arg = arg;
    buf_init_secret(&k->config, CONFIG_ROOM);
    list_append(&w->all, &k->node);
    if (connect_and_launch(k, c, p, &k->err))
        loop_defer(w->env.loop, &k->failed, run_failed, k);
    else
        timer_after(w->env.loop, &k->limit, START_MS, on_limit, k);
}

void workers_reset(struct workers *w)
{
    list_each(it, &w->all) worker_free(list_item(it, struct worker, node));
}

void workers_free(struct workers *w)
{
    if (!w)
        return;
    workers_reset(w);
    free(w);
}
