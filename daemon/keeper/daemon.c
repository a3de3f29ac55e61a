/* SPDX-License-Identifier: ISC */
/*
 *     load, lock, sockets, engine ---> RUNNING --- SIGTERM, SIGINT, --once done ---> STOPPING --->
 * exit |     ^ SIGHUP, admin reload v     | accepted: committed; rejected: the old one stays
 *                                      RELOADING
 */
#include "keeper/daemon.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/load.h"
#include "keeper/admin.h"
#include "keeper/check.h"
#include "keeper/describe.h"
#include "keeper/engine.h"
#include "keeper/install.h"
#include "keeper/notify.h"
#include "keeper/own_csr.h"
#include "keeper/services.h"
#include "keeper/steps.h"
#include "keeper/users.h"
#include "keeper/verbs.h"
#include "loop/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIGNALS 3
#define FILES_MAX 65536

struct texts {
    char **v;
    size_t n;
};

struct daemon {
    const struct daemon_options *o;
    const struct programs *programs;
    struct log *log;
    struct log_ctx ctx;
    struct loop *loop;
    struct describer *describer;
    struct conf *conf; /* in force; before the first accept: to be */
    struct statedir dir;
    struct user user;
    const char *run_as;
    char *admin_path;
    int control_fd;
    struct notify notify;
    struct services *services;
    struct engine *engine;
    struct admin *admin;
    struct verbs_env verbs;
    struct watch_signal *signals[SIGNALS];
    struct timer watchdog;
    bool ready, stopping, reloading, again;
    struct texts lines; /* of the reload under way */
    int exit;
};

static void texts_add(struct texts *t, const char *text)
{
    t->v = xrealloc_array(t->v, t->n + 1, sizeof(*t->v));
    t->v[t->n++] = xstrdup(text);
}

static void texts_clear(struct texts *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->v[i]);
    free(t->v);
    *t = (struct texts){0};
}

static struct conf *load(struct daemon *d, struct conf_messages *ret)
{
    struct conf_plugins plugins = {.describe = describer_ask,
                                   .ctx = d->describer,
                                   .dir = d->programs->plugins,
                                   .check_csr = own_csr_check};
    struct conf *c = conf_load(d->o->file, &plugins, d->conf, ret);
    if (c)
        c->generation = d->conf ? d->conf->generation + 1 : 1;
    return c;
}

static struct conf *load_for_verbs(void *arg, struct conf_messages *ret)
{
    return load(arg, ret);
}

/* ---- stopping ---- */

static void stop(struct daemon *d, int code)
{
    if (d->stopping)
        return;
    d->stopping = true;
    d->exit = code;
    notify_stopping(&d->notify);
    timer_cancel(&d->watchdog);
    engine_stop(d->engine);
}

static void on_stopped(void *arg)
{
    struct daemon *d = arg;
    loop_stop(d->loop);
}

/* ---- reload ---- */

static void reload(void *arg);

static void reload_end(struct daemon *d, int code, const char *error)
{
    struct admin_reply r = {.exit = code,
                            .lines = (const char *const *)d->lines.v,
                            .n_lines = d->lines.n,
                            .error = error};
    d->reloading = false;
    notify_ready(&d->notify);
    admin_reloaded(d->admin, &r);
    texts_clear(&d->lines);
    if (d->again && !d->stopping) {
        d->again = false;
        reload(d);
    }
}

static void tell_messages(struct daemon *d, const struct conf_messages *m)
{
    for (size_t i = 0; i < m->n; i++) {
        CLEANUP_FREE char *line = check_message(&m->v[i]);
        log_write(&d->ctx, m->v[i].warning ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR, "%s", line);
        texts_add(&d->lines, line);
    }
}

/* What a running daemon holds on to: the key of the configuration, or NULL. */
static const char *fixed_key(const struct conf *a, const struct conf *b)
{
    if (!str_eq(a->state_dir, b->state_dir))
        return "state_dir";
    if (!str_eq(a->control_socket, b->control_socket))
        return "control_socket";
    if (!str_eq(a->control_group, b->control_group))
        return "control_group";
    return str_eq(a->user, b->user) && a->user_set == b->user_set ? NULL : "user";
}

static void offer(struct daemon *d, struct conf *c)
{
    struct conf_messages diff = conf_diff(d->conf, c);
    for (size_t i = 0; i < diff.n; i++)
        texts_add(&d->lines, diff.v[i].text);
    conf_messages_free(&diff);
    engine_offer(d->engine, c);
}

static void reload(void *arg)
{
    struct daemon *d = arg;
    struct conf_messages m = {0};
    if (d->reloading) {
        d->again = true;
        return;
    }
    d->reloading = true;
    admin_reload_began(d->admin);
    if (!d->ready || d->stopping) {
        reload_end(d, EXIT_FAILED, d->stopping ? "renewd is stopping" : "renewd is still starting");
        return;
    }
    notify_reloading(&d->notify);
    struct conf *c = load(d, &m);
    tell_messages(d, &m);
    conf_messages_free(&m);
    const char *fixed = c ? fixed_key(d->conf, c) : NULL;
    if (!c) {
        log_error(&d->ctx, "reload: the configuration has errors; the old one stays in force");
        reload_end(d, EXIT_USAGE, "the configuration has errors; the old one stays in force");
    } else if (fixed) {
        CLEANUP_FREE char *text = xasprintf(
            "%s has changed, which needs a restart; the old configuration stays in force", fixed);
        log_error(&d->ctx, "reload: %s", text);
        reload_end(d, EXIT_USAGE, text);
    } else {
        offer(d, c);
    }
    conf_unref(c);
}

/* ---- what the engine says ---- */

static void on_watchdog(void *arg)
{
    struct daemon *d = arg;
    if (!engine_ping(d->engine))
        notify_alive(&d->notify); /* between two engines it is the keeper that makes progress */
    timer_after(d->loop, &d->watchdog, d->notify.watchdog_ms / 2, on_watchdog, d);
}

static void on_pong(void *arg)
{
    struct daemon *d = arg;
    notify_alive(&d->notify);
}

static void on_accepted(void *arg, struct conf *c)
{
    struct daemon *d = arg;
    conf_ref(c);
    conf_unref(d->conf);
    d->conf = c;
    d->log->level = c->log_level;
    services_configure(d->services, c);
    log_info(&d->ctx, "configuration %llu in force: %s, %zu certificate%s",
             (unsigned long long)c->generation, d->o->file, c->n_certs, c->n_certs == 1 ? "" : "s");
    if (d->ready) {
        reload_end(d, EXIT_DONE, "");
        return;
    }
    d->ready = true;
    notify_ready(&d->notify);
    if (d->notify.watchdog_ms)
        on_watchdog(d);
}

static void on_rejected(void *arg, const struct err *why)
{
    struct daemon *d = arg;
    int code = why->cls == ERR_CONFIG ? EXIT_USAGE : EXIT_FAILED;
    if (d->ready) {
        log_error(&d->ctx, "reload: %s; the old configuration stays in force", why->detail);
        reload_end(d, code, why->detail);
        return;
    }
    log_error(&d->ctx, "cannot start: %s", why->detail);
    stop(d, code);
}

static void on_once_done(void *arg, unsigned code)
{
    struct daemon *d = arg;
    stop(d, code ? EXIT_FAILED : EXIT_DONE);
}

static void on_status(void *arg, const char *text)
{
    struct daemon *d = arg;
    notify_status(&d->notify, text);
}

static int on_request(void *arg, const struct frame_head *h, const union keeper_msg *m)
{
    struct daemon *d = arg;
    return services_request(d->services, h, m);
}

static void on_lost(void *arg)
{
    struct daemon *d = arg;
    services_reset(d->services);
}

static void on_answer(void *arg, enum keeper_msg_type type, uint32_t id, const void *msg, int fd)
{
    struct daemon *d = arg;
    engine_answer(d->engine, type, id, msg, fd);
}

static bool is_up(void *arg)
{
    struct daemon *d = arg;
    return engine_is_up(d->engine);
}

static void on_signal(void *arg, int sig)
{
    struct daemon *d = arg;
    if (sig == SIGHUP)
        reload(d);
    else
        stop(d, d->o->once ? EXIT_FAILED : EXIT_DONE);
}

/* ---- starting ---- */

static int say(struct daemon *d, const struct err *e)
{
    log_error(&d->ctx, "%s", e->detail);
    return str_eq(e->type, STATEDIR_LOCKED) ? EXIT_REFUSED
           : e->cls == ERR_CONFIG           ? EXIT_USAGE
                                            : EXIT_FAILED;
}

/* Errors as `renewd -t` prints them. */
static int first_load(struct daemon *d)
{
    struct conf_messages m = {0};
    d->conf = load(d, &m);
    for (size_t i = 0; i < m.n; i++) {
        CLEANUP_FREE char *line = check_message(&m.v[i]);
        if (d->conf)
            log_warn(&d->ctx, "%s", line);
        else
            fprintf(stderr, "%s\n", line);
    }
    conf_messages_free(&m);
    if (!d->conf)
        return EXIT_USAGE;
    d->log->level = d->conf->log_level;
    return 0;
}

static int open_state(struct daemon *d, struct err *e)
{
    if (users_choose(d->conf->user, d->conf->user_set, &d->user, &d->run_as, e) ||
        statedir_open(&d->dir, d->conf->state_dir, d->user.uid, d->user.gid, e))
        return -1;
    if (d->run_as[0] && geteuid() != 0) /* else the reader has said it */
        log_warn(&d->ctx, "user %s: %s", d->conf->user, d->run_as);
    return install_recover(&d->dir, loop_wall_ms(d->loop), e);
}

/* The lock is ours by now, so a socket that lies there is nobody's. */
static int open_sockets(struct daemon *d, int *ret_admin, struct err *e)
{
    const char *path = d->conf->control_socket, *slash = strrchr(path, '/');
    CLEANUP_FREE char *dir = xstrndup(path, slash ? (size_t)(slash - path) : 0);
    gid_t gid = (gid_t)-1;
    struct stat st;
    if (d->conf->control_group[0] && users_group(d->conf->control_group, &gid, e))
        return err_prefix(e, "control_group");
    if (dir[0] && stat(dir, &st) && errno == ENOENT && file_mkdir_at(AT_FDCWD, dir, 0755, e))
        return err_prefix(e, "control_socket");
    d->admin_path = xasprintf("%s/admin.sock", dir);
    d->control_fd = lines_listen(path, d->conf->control_group[0] ? 0660 : 0600, gid, e);
    if (d->control_fd < 0)
        return err_prefix(e, "control_socket");
    *ret_admin = lines_listen(d->admin_path, 0600, (gid_t)-1, e);
    return *ret_admin < 0 ? -1 : 0;
}

static void raise_file_limit(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) || r.rlim_cur >= FILES_MAX)
        return;
    r.rlim_cur = r.rlim_max < FILES_MAX ? r.rlim_max : FILES_MAX;
    setrlimit(RLIMIT_NOFILE, &r);
}

static void make_parts(struct daemon *d, int admin_fd)
{
    static const struct engine_handler handler = {
        .accepted = on_accepted,
        .rejected = on_rejected,
        .once_done = on_once_done,
        .status = on_status,
        .pong = on_pong,
        .request = on_request,
        .lost = on_lost,
        .stopped = on_stopped,
    };
    struct services_env services = {.loop = d->loop,
                                    .log = d->log,
                                    .dir = &d->dir,
                                    .programs = d->programs,
                                    .systemd = geteuid() == 0 && steps_systemd_runs(),
                                    .given = d->o->given,
                                    .up = is_up,
                                    .answer = on_answer,
                                    .arg = d};
    struct engine_env engine = {.loop = d->loop,
                                .log = d->log,
                                .program = d->programs->engine,
                                .env = d->o->engine_env,
                                .user = d->user,
                                .listen_fd = d->control_fd,
                                .dir = d->dir.engine,
                                .run_as = d->run_as,
                                .once = d->o->once,
                                .dry_run = d->o->dry_run};
    d->services = services_new(&services);
    d->engine = engine_new(&engine, &handler, d);
    d->admin = admin_new(d->loop, admin_fd, reload, d);
    d->verbs = (struct verbs_env){.loop = d->loop,
                                  .log = d->log,
                                  .dir = &d->dir,
                                  .programs = d->programs,
                                  .file = d->o->file,
                                  .services = d->services,
                                  .admin = d->admin,
                                  .load = load_for_verbs,
                                  .arg = d};
    verbs_serve(&d->verbs);
}

static int start(struct daemon *d)
{
    static const int signals[SIGNALS] = {SIGTERM, SIGINT, SIGHUP};
    struct err e = ERR_INIT;
    int admin_fd = -1;
    int code = first_load(d);
    if (code)
        return code;
    if (open_state(d, &e) || open_sockets(d, &admin_fd, &e))
        return say(d, &e);
    raise_file_limit();
    make_parts(d, admin_fd);
    for (size_t i = 0; i < SIGNALS; i++)
        d->signals[i] = watch_signal_new(d->loop, signals[i], on_signal, d);
    notify_init(&d->notify, d->o->notify_socket, d->o->watchdog_usec, d->o->watchdog_pid);
    engine_offer(d->engine, d->conf);
    return 0;
}

static void finish(struct daemon *d)
{
    for (size_t i = 0; i < SIGNALS; i++)
        watch_signal_free(d->signals[i]);
    timer_cancel(&d->watchdog);
    engine_free(d->engine);
    services_free(d->services);
    admin_free(d->admin);
    if (d->control_fd >= 0) {
        close(d->control_fd);
        unlink(d->conf->control_socket);
        unlink(d->admin_path);
    }
    notify_done(&d->notify);
    statedir_close(&d->dir);
    texts_clear(&d->lines);
    free(d->admin_path);
    conf_unref(d->conf);
    describer_free(d->describer);
    loop_free(d->loop);
}

int daemon_run(const struct daemon_options *o, const struct programs *programs, struct log *log)
{
    struct daemon d = {.o = o,
                       .programs = programs,
                       .log = log,
                       .ctx = {log, NULL},
                       .loop = loop_new(),
                       .describer = describer_new(programs->worker),
                       .control_fd = -1,
                       .notify = {.fd = -1}};
    int code = start(&d);
    if (code == 0) {
        loop_run(d.loop);
        code = d.exit;
    }
    finish(&d);
    return code;
}
