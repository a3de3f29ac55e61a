/* SPDX-License-Identifier: ISC */
/*
 *     DOWN -- offer --> STARTING -- ACCEPT --> UP -- stop --> STOPPING -- exit --> DOWN, stopped()
 *                        |  ^                   |                `- 10 s: killed
 *     exit, EOF, nonsense|  | timer: 1 s, 2 s ... 60 s; 1 s again after 5 s in UP, or SIGKILL there
 *                        v  |                   |
 *                       WAITING <---------------'  lost()
 *
 * A REJECT of the first generation leaves it to the owner to stop; one of a later generation
 * changes nothing. The snapshot that was accepted last is what a restarted engine gets.
 */
#include "keeper/engine.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/codec.h"
#include "loop/channel.h"
#include "loop/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define CONF_MAX (256u << 20)
#define FRAME_ROOM (KEEPER_MSG_PAYLOAD_MAX + FRAME_HEADER)
#define ACCEPT_MS 60000
#define STOP_MS 10000
#define EXIT_MS 2000 /* after the channel has ended */
#define BACKOFF_FIRST_MS 1000
#define BACKOFF_MAX_MS 60000
#define STABLE_MS 5000
#define ONCE_STARTS 5

enum state { DOWN, STARTING, UP, STOPPING, WAITING };

struct engine {
    struct engine_env env;
    struct engine_handler handler;
    void *arg;
    enum state state;
    struct child *child;
    struct channel *channel;
    struct conf *conf;       /* accepted; NULL: none yet */
    struct conf *offered;    /* on its way to be accepted; NULL: none */
    const struct conf *sent; /* either of them, whose answer is awaited */
    struct timer timer;      /* of the state */
    struct timer accept;
    struct defer failed;
    struct err start_err;
    int64_t backoff_ms, up_ms;
    unsigned starts;
};

static struct log_ctx ctx(const struct engine *g)
{
    return (struct log_ctx){g->env.log, "engine"};
}

struct engine *engine_new(const struct engine_env *env, const struct engine_handler *h, void *arg)
{
    struct engine *g = xnew(struct engine);
    g->env = *env;
    g->handler = *h;
    g->arg = arg;
    g->backoff_ms = BACKOFF_FIRST_MS;
    return g;
}

bool engine_is_offered(const struct engine *g)
{
    return g->offered != NULL;
}

static void drop_offer(struct engine *g)
{
    if (g->sent == g->offered) {
        g->sent = NULL;
        timer_cancel(&g->accept);
    }
    conf_unref(g->offered);
    g->offered = NULL;
}

static void drop_process(struct engine *g)
{
    channel_free(g->channel);
    child_free(g->child);
    g->channel = NULL;
    g->child = NULL;
    g->sent = NULL;
    timer_cancel(&g->timer);
    timer_cancel(&g->accept);
    defer_cancel(&g->failed);
}

void engine_free(struct engine *g)
{
    if (!g)
        return;
    drop_process(g);
    drop_offer(g);
    conf_unref(g->conf);
    free(g);
}

/* ---- sending ---- */

void engine_answer(struct engine *g, enum keeper_msg_type type, uint32_t id, const void *msg,
                   int fd)
{
    CLEANUP_BUF struct buf out;
    struct err e = ERR_INIT;
    buf_init(&out, FRAME_ROOM);
    if (g->channel && keeper_msg_encode(&out, type, id, msg)) {
        err_set(&e, ERR_BUG, "the keeper's answer is longer than a message may be");
        buf_reset(&out);
        keeper_msg_encode(&out, KEEPER_MSG_FAILED, id, &(struct keeper_msg_failed){.err = e});
    }
    if (g->channel)
        channel_send(g->channel, &out, fd);
    else if (fd >= 0)
        close(fd);
}

bool engine_is_up(const struct engine *g)
{
    return g->state == UP && g->channel;
}

bool engine_ping(struct engine *g)
{
    if (!engine_is_up(g))
        return false;
    engine_answer(g, KEEPER_MSG_PING, 0, NULL, -1);
    return true;
}

/* The snapshot without secrets in memory that nobody can change any more. fd or -1 */
static int seal(const struct conf *c, size_t *ret_size, struct err *e)
{
    CLEANUP_BUF struct buf b;
    buf_init(&b, CONF_MAX);
    if (conf_encode(c, &b))
        return err_set(e, ERR_CONFIG, "the configuration is larger than %u MiB", CONF_MAX >> 20);
    int fd = memfd_create("renewd-configuration", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || file_write_whole(fd, b.data, b.len) ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)) {
        err_sys(e, errno, "cannot hand the configuration to the engine");
        if (fd >= 0)
            close(fd);
        return -1;
    }
    *ret_size = b.len;
    return fd;
}

static void on_accept_limit(void *arg);

static int send_conf(struct engine *g, const struct conf *c, struct err *e)
{
    size_t size = 0;
    int fd = seal(c, &size, e);
    if (fd < 0)
        return -1;
    struct keeper_msg_config m = {.generation = c->generation, .size = size};
    engine_answer(g, KEEPER_MSG_CONFIG, 0, &m, fd);
    g->sent = c;
    timer_after(g->env.loop, &g->accept, ACCEPT_MS, on_accept_limit, g);
    return 0;
}

/* ---- death ---- */

static void restart(void *arg);

/* The offer ends with the engine: the same snapshot may be what killed it. */
static void reject_offer(struct engine *g, const struct err *why)
{
    if (!g->offered || !g->conf)
        return;
    drop_offer(g);
    g->handler.rejected(g->arg, why);
}

static void lost(struct engine *g, const char *how)
{
    struct err e = ERR_INIT;
    struct log_ctx log = ctx(g);
    bool stopping = g->state == STOPPING, was_up = g->state == UP;
    drop_process(g);
    g->state = DOWN;
    if (stopping) {
        g->handler.lost(g->arg);
        g->handler.stopped(g->arg);
        return;
    }
    if (was_up && loop_mono_ms(g->env.loop) - g->up_ms >= STABLE_MS)
        g->backoff_ms = BACKOFF_FIRST_MS;
    log_error(&log, "the engine %s; it is started again in %lld s", how,
              (long long)g->backoff_ms / 1000);
    err_set(&e, ERR_LOCAL, "the engine %s", how);
    g->state = WAITING;
    timer_after(g->env.loop, &g->timer, g->backoff_ms, restart, g);
    g->backoff_ms = g->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : g->backoff_ms * 2;
    g->handler.lost(g->arg);
    reject_offer(g, &e);
}

/* SIGKILL comes from outside: it says nothing of what the next engine will do. */
static void on_end(void *arg, const struct child_end *end)
{
    struct engine *g = arg;
    char how[64];
    if (g->state == UP && WIFSIGNALED(end->status) && WTERMSIG(end->status) == SIGKILL)
        g->backoff_ms = BACKOFF_FIRST_MS;
    lost(g, child_end_text(end, how, sizeof(how)));
}

static void on_exit_limit(void *arg)
{
    lost(arg, "closed its channel and was killed");
}

static void on_accept_limit(void *arg)
{
    lost(arg, "did not take its configuration within 60 s and was killed");
}

static void on_stop_limit(void *arg)
{
    struct engine *g = arg;
    struct log_ctx log = ctx(g);
    log_warn(&log, "the engine did not end within %d s and is killed", STOP_MS / 1000);
    lost(g, "was killed");
}

/* ---- what it says ---- */

static void offer_now(struct engine *g);

static int take_accept(struct engine *g, uint64_t generation)
{
    const struct conf *c = g->sent;
    if (!c || c->generation != generation)
        return -1;
    g->sent = NULL;
    timer_cancel(&g->accept);
    if (g->state == STARTING) {
        g->state = UP;
        g->up_ms = loop_mono_ms(g->env.loop);
    }
    if (c == g->conf) { /* a restarted engine has taken what was in force */
        if (g->offered)
            offer_now(g);
        return 0;
    }
    conf_unref(g->conf);
    g->conf = g->offered;
    g->offered = NULL;
    g->handler.accepted(g->arg, g->conf);
    return 0;
}

static int take_reject(struct engine *g, const struct keeper_msg_reject *m)
{
    const struct conf *c = g->sent;
    struct err why = m->err;
    if (!c || c->generation != m->generation)
        return -1;
    if (why.cls == ERR_NONE)
        why.cls = ERR_LOCAL;
    if (c == g->conf) { /* accepted before: it is the machine, not the file */
        struct log_ctx log = ctx(g);
        log_error(&log, "the engine cannot start: %s", why.detail);
        lost(g, "refused to start");
        return 0;
    }
    drop_offer(g);
    g->handler.rejected(g->arg, &why);
    return 0;
}

static int dispatch(struct engine *g, const struct frame_head *h, const union keeper_msg *m)
{
    switch (h->type) {
    case KEEPER_MSG_ACCEPT:
        return take_accept(g, m->accept.generation);
    case KEEPER_MSG_REJECT:
        return take_reject(g, &m->reject);
    case KEEPER_MSG_PONG:
        g->handler.pong(g->arg);
        return 0;
    case KEEPER_MSG_STATUS:
        g->handler.status(g->arg, m->status.text);
        return 0;
    case KEEPER_MSG_ONCE_DONE:
        if (!g->env.once || !g->conf)
            return -1;
        g->handler.once_done(g->arg, m->once_done.exit);
        return 0;
    default:
        return g->conf ? g->handler.request(g->arg, h, m) : -1;
    }
}

static int on_frame(void *arg, const struct frame_head *h, const void *payload, int fd)
{
    struct engine *g = arg;
    union keeper_msg m;
    if (fd >= 0) { /* the channel takes none */
        close(fd);
        return -1;
    }
    if (keeper_msg_decode(h, payload, KEEPER_MSG_FROM_ENGINE, &m))
        return -1;
    int rc = dispatch(g, h, &m);
    keeper_msg_free(h->type, &m);
    return rc;
}

/* EOF: its exit says more, and comes soon. */
static void on_closed(void *arg, const struct err *why)
{
    struct engine *g = arg;
    if (why->cls == ERR_PEER) {
        lost(g, "said what no engine of ours says and was killed");
        return;
    }
    channel_free(g->channel);
    g->channel = NULL;
    if (g->state != STOPPING)
        timer_after(g->env.loop, &g->timer, EXIT_MS, on_exit_limit, g);
}

/* ---- starting ---- */

static int launch(struct engine *g, struct err *e)
{
    static const struct channel_handler handler = {.frame = on_frame, .closed = on_closed};
    const char *const argv[] = {g->env.program, NULL};
    int pair[2];
    if (channel_pair(pair, e))
        return -1;
    const int fds[] = {pair[1], g->env.listen_fd};
    struct child_spec spec = {.argv = argv,
                              .env = g->env.env,
                              .uid = geteuid() == 0 ? g->env.user.uid : (uid_t)-1,
                              .gid = g->env.user.gid,
                              .user = g->env.user.name[0] ? g->env.user.name : NULL,
                              .inherit_output = true,
                              .fds = fds,
                              .n_fds = 2,
                              .own_group = true,
                              .open_first = true,
                              .die_with_parent = true};
    g->channel = channel_new(g->env.loop, pair[0], KEEPER_MSG_PAYLOAD_MAX, &handler, g);
    g->child = child_start(g->env.loop, &spec, on_end, g, e);
    close(pair[1]);
    if (!g->child && e->sys == EACCES)
        err_prefix(e, "user %s cannot reach the program", g->env.user.name);
    return g->child ? 0 : -1;
}

static void on_start_failed(void *arg)
{
    struct engine *g = arg;
    struct err e = g->start_err;
    bool first = !g->conf;
    if (!first) {
        lost(g, e.detail);
        return;
    }
    drop_process(g);
    drop_offer(g);
    g->state = DOWN;
    g->handler.rejected(g->arg, &e);
}

static void start(struct engine *g)
{
    struct conf *c = g->offered ? g->offered : g->conf;
    struct keeper_msg_start m = {.version = RENEWD_VERSION,
                                 .once = g->env.once,
                                 .dry_run = g->env.dry_run,
                                 .engine_dir = g->env.dir,
                                 .run_as = g->env.run_as,
                                 .log_level = (uint32_t)c->log_level};
    g->state = STARTING;
    g->starts++;
    err_clear(&g->start_err);
    if (launch(g, &g->start_err) == 0) {
        engine_answer(g, KEEPER_MSG_START, 0, &m, -1);
        if (send_conf(g, c, &g->start_err) == 0)
            return;
    }
    loop_defer(g->env.loop, &g->failed, on_start_failed, g);
}

static void restart(void *arg)
{
    struct engine *g = arg;
    if (g->env.once && g->starts >= ONCE_STARTS) {
        g->state = DOWN;
        g->handler.once_done(g->arg, 1);
        return;
    }
    start(g);
}

static void on_offer_failed(void *arg)
{
    struct engine *g = arg;
    struct err e = g->start_err;
    drop_offer(g);
    g->handler.rejected(g->arg, &e);
}

static void offer_now(struct engine *g)
{
    if (g->channel && send_conf(g, g->offered, &g->start_err))
        loop_defer(g->env.loop, &g->failed, on_offer_failed, g);
}

void engine_offer(struct engine *g, struct conf *c)
{
    g->offered = conf_ref(c);
    if (g->state == DOWN)
        start(g);
    else if (g->state == UP)
        offer_now(g);
    /* else the engine that is coming up gets it */
}

void engine_stop(struct engine *g)
{
    if (g->state == STOPPING)
        return;
    drop_offer(g);
    if (!g->child) {
        drop_process(g);
        g->state = DOWN;
        g->handler.stopped(g->arg);
        return;
    }
    timer_cancel(&g->timer);
    timer_cancel(&g->accept);
    engine_answer(g, KEEPER_MSG_STOP, 0, NULL, -1);
    g->state = STOPPING;
    timer_after(g->env.loop, &g->timer, STOP_MS, on_stop_limit, g);
}
