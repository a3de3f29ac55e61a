/* SPDX-License-Identifier: ISC */
#include "keeper/describe.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/plugin_path.h"
#include "keeper/programs.h"
#include "keeper/users.h"
#include "loop/channel.h"
#include "loop/child.h"
#include "loop/loop.h"
#include "wire/worker_msg.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIMIT_MS 5000

/* One plugin's answer. Options of replaced plugins are kept until the end: snapshots that were read
 * with them may still point there. */
struct known {
    struct list node;
    char *path;
    struct stat st;
    struct worker_descriptor descriptor;
    struct conf_plugin_option *options;
    struct conf_plugin_info info;
};

struct describer {
    const char *program;
    struct list known;
};

/* ---- asking: a loop of its own for the time that it takes ---- */

struct asking {
    struct loop *loop;
    struct worker_descriptor *descriptor;
    struct err err;
    bool answered, closed, exited;
    struct timer limit;
};

static int on_frame(void *arg, const struct frame_head *h, const void *payload, int fd)
{
    struct asking *a = arg;
    struct err failed = ERR_INIT;
    if (fd >= 0 || a->answered)
        return -1;
    if (h->type == WORKER_DESCRIPTOR &&
        worker_descriptor_decode(payload, h->len, a->descriptor) == 0) {
        err_clear(&a->err);
        a->answered = true;
    } else if (h->type == WORKER_FAILED && worker_failed_decode(payload, h->len, &failed) == 0) {
        a->err = failed;
        if (a->err.cls == ERR_NONE)
            a->err.cls = ERR_CONFIG;
    } else {
        return -1;
    }
    a->answered = true;
    loop_stop(a->loop);
    return 0;
}

/* Without an answer both are waited for: the exit says more, the channel may hold an answer yet. */
static void end_when_gone(struct asking *a)
{
    if (a->answered || (a->closed && a->exited))
        loop_stop(a->loop);
}

static void on_closed(void *arg, const struct err *why)
{
    struct asking *a = arg;
    a->closed = true;
    if (!a->answered && a->err.cls == ERR_NONE)
        err_set(&a->err, ERR_CONFIG, "its worker did not describe it: %s", why->detail);
    if (why->cls == ERR_PEER)
        loop_stop(a->loop);
    end_when_gone(a);
}

static void on_end(void *arg, const struct child_end *end)
{
    struct asking *a = arg;
    char how[64];
    a->exited = true;
    if (!a->answered)
        err_set(&a->err, ERR_CONFIG, "its worker %s", child_end_text(end, how, sizeof(how)));
    end_when_gone(a);
}

static void on_limit(void *arg)
{
    struct asking *a = arg;
    err_set(&a->err, ERR_CONFIG, "it did not describe itself within %d s", LIMIT_MS / 1000);
    loop_stop(a->loop);
}

static int run_worker(struct asking *a, const char *program, const char *path, struct err *e)
{
    static const struct channel_handler handler = {.frame = on_frame, .closed = on_closed};
    const char *const argv[] = {program, "--opened", "--describe", path, NULL};
    const char *warning;
    struct user u;
    int pair[2];
    CLEANUP_CLOSE int plugin = programs_open_plugin(path, e);
    if (plugin < 0 || users_choose("renewd-worker", false, &u, &warning, e) ||
        channel_pair(pair, e))
        return -1;
    const int fds[] = {pair[1], plugin};
    struct child_spec spec = {.argv = argv,
                              .uid = geteuid() == 0 ? u.uid : (uid_t)-1,
                              .gid = u.gid,
                              .fds = fds,
                              .n_fds = ARRAY_LEN(fds),
                              .open_first = true,
                              .own_group = true,
                              .die_with_parent = true};
    struct channel *channel = channel_new(a->loop, pair[0], WORKER_KEEPER_MAX, &handler, a);
    struct child *child = child_start(a->loop, &spec, on_end, a, e);
    close(pair[1]);
    if (child) {
        timer_after(a->loop, &a->limit, LIMIT_MS, on_limit, a);
        loop_run(a->loop);
        timer_cancel(&a->limit);
    }
    child_free(child);
    channel_free(channel);
    return child ? 0 : -1;
}

static int ask(const char *program, const char *path, struct worker_descriptor *ret, struct err *e)
{
    struct asking a = {.loop = loop_new(), .descriptor = ret};
    int rc = run_worker(&a, program, path, e);
    loop_free(a.loop);
    if (rc == 0 && a.err.cls != ERR_NONE) {
        *e = a.err;
        rc = -1;
    }
    return rc;
}

/* ---- as the reader of the configuration wants it ---- */

static void translate(struct known *k)
{
    /* enum worker_option_type begins with 1, in the order of conf_plugin_option */
    const struct worker_descriptor *d = &k->descriptor;
    k->options = xcalloc(d->n_options + 1, sizeof(*k->options));
    for (uint32_t i = 0; i < d->n_options; i++) {
        const struct worker_option *o = &d->options[i];
        struct conf_plugin_option *to = &k->options[i];
        to->name = o->name;
        to->type = CONF_OPT_TEXT;
        if (o->type >= WORKER_OPT_TEXT && o->type <= WORKER_OPT_ENUM)
            to->type = (int)o->type - WORKER_OPT_TEXT + CONF_OPT_TEXT;
        to->required = o->required;
        to->dflt = o->dflt;
        to->choices = o->choices;
        to->help = o->help;
    }
    k->info = (struct conf_plugin_info){.options = k->options,
                                        .n_options = d->n_options,
                                        .needs_exec = d->caps & WORKER_CAP_EXEC,
                                        .propagation_s = d->propagation_s};
}

_Static_assert((int)WORKER_OPT_ENUM - WORKER_OPT_TEXT == (int)CONF_OPT_ENUM - CONF_OPT_TEXT,
               "option types of plugins and of the configuration differ");

static void known_free(struct known *k)
{
    list_remove(&k->node);
    worker_descriptor_free(&k->descriptor);
    free(k->options);
    free(k->path);
    free(k);
}

struct describer *describer_new(const char *program)
{
    struct describer *d = xnew(struct describer);
    d->program = program;
    list_init(&d->known);
    return d;
}

void describer_free(struct describer *d)
{
    if (!d)
        return;
    list_each(it, &d->known) known_free(list_item(it, struct known, node));
    free(d);
}

static bool is_same(const struct known *k, const char *path, const struct stat *st)
{
    return str_eq(k->path, path) && k->st.st_ino == st->st_ino && k->st.st_dev == st->st_dev &&
           k->st.st_size == st->st_size && k->st.st_mtim.tv_sec == st->st_mtim.tv_sec &&
           k->st.st_mtim.tv_nsec == st->st_mtim.tv_nsec;
}

const struct conf_plugin_info *describer_ask(void *ctx, const char *path, struct err *e)
{
    struct describer *d = ctx;
    struct stat st;
    if (conf_plugin_check(path, geteuid(), e))
        return NULL;
    if (stat(path, &st)) {
        err_sys(e, errno, "cannot look at plugin %s", path);
        return NULL;
    }
    list_each(it, &d->known)
    {
        struct known *k = list_item(it, struct known, node);
        if (is_same(k, path, &st))
            return &k->info;
    }
    struct known *k = xnew(struct known);
    list_init(&k->node);
    if (ask(d->program, path, &k->descriptor, e)) {
        known_free(k);
        err_prefix(e, "plugin %s", path);
        return NULL;
    }
    k->path = xstrdup(path);
    k->st = st;
    translate(k);
    list_append(&d->known, &k->node);
    return &k->info;
}
