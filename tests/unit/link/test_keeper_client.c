/* SPDX-License-Identifier: ISC */
/* The engine's client against a keeper that these tests play. */
#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "link/keeper_client.h"
#include "loop/channel.h"
#include "wire/keeper_msg.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct world {
    struct loop *loop;
    struct channel *peer;
    struct keeper_client *client;
    struct keeper *keeper;
    struct timer limit;
    /* what the peer got */
    struct frame_head last;
    unsigned frames;
    union keeper_msg got;
    char texts[8][128];
    /* how it answers; NULL: not at all */
    void (*answer)(struct world *w, const struct frame_head *h, const union keeper_msg *m);
    uint32_t unanswered[128];
    size_t n_unanswered;
    bool peer_closed;
    /* what the client told */
    unsigned calls, starts, configs, pings, stops, closes, items;
    struct err err;
    char text[256];
    uint64_t generation;
    int fd;
    unsigned stop_after; /* calls */
    bool free_in_call;
};

static void too_long(void *arg)
{
    (void)arg;
    fail_msg("nothing happened for 20 s");
}

static void counted(struct world *w)
{
    if (++w->calls == w->stop_after)
        loop_stop(w->loop);
}

static int peer_frame(void *arg, const struct frame_head *h, const void *payload, int fd)
{
    struct world *w = arg;
    union keeper_msg m;
    assert_int_equal(fd, -1);
    assert_int_equal(keeper_msg_decode(h, payload, KEEPER_MSG_FROM_ENGINE, &m), 0);
    w->last = *h;
    w->frames++;
    if (w->answer)
        w->answer(w, h, &m);
    keeper_msg_free(h->type, &m);
    return 0;
}

static void peer_closed(void *arg, const struct err *why)
{
    struct world *w = arg;
    (void)why;
    w->peer_closed = true;
    loop_stop(w->loop);
}

static void tell(struct world *w, enum keeper_msg_type type, uint32_t id, const void *msg, int fd)
{
    struct buf b;
    buf_init(&b, FRAME_MAX);
    assert_int_equal(keeper_msg_encode(&b, type, id, msg), 0);
    channel_send(w->peer, &b, fd);
    buf_free(&b);
}

static void on_start(void *arg, const struct keeper_client_start *s)
{
    struct world *w = arg;
    w->starts++;
    assert_true(s->once);
    assert_string_equal(s->engine_dir, "/var/lib/renewd/engine");
    assert_int_equal(s->log_level, LOG_LEVEL_DEBUG);
}

static void on_config(void *arg, uint64_t generation, const void *p, size_t n)
{
    struct world *w = arg;
    w->configs++;
    w->generation = generation;
    assert_int_equal(n, 5);
    assert_memory_equal(p, "hello", 5);
    keeper_client_accept(w->client, generation);
    counted(w);
}

static void on_ping(void *arg)
{
    struct world *w = arg;
    w->pings++;
    keeper_client_pong(w->client);
}

static void on_stop(void *arg)
{
    struct world *w = arg;
    w->stops++;
    loop_stop(w->loop);
}

static void on_closed(void *arg, const struct err *why)
{
    struct world *w = arg;
    w->closes++;
    w->err = *why;
    loop_stop(w->loop);
}

/* What does not fit is left out of the answer, never the answer. */
static void on_task(void *arg, const struct keeper_task *t)
{
    static char orders[KEEPER_MSG_URL_MAX + 2];
    struct world *w = arg;
    memset(orders, 'o', KEEPER_MSG_URL_MAX + 1);
    assert_int_equal(t->kind, KEEPER_TASK_REVOKE);
    assert_string_equal(t->ca, "le");
    assert_string_equal(t->cert, "www");
    assert_string_equal(t->url, "https://le/acct/1");
    assert_int_equal(t->life_ms, 300000);
    keeper_client_task_note(w->client, t->id, "asking");
    struct keeper_task_result r = {.key = KEEPER_KEY_NEW, .url = t->url, .orders = orders};
    keeper_client_task_done(w->client, t->id, &r, NULL);
}

static void on_task_end(void *arg, uint64_t id)
{
    struct world *w = arg;
    struct err e = {.cls = ERR_DENIED};
    keeper_client_task_done(w->client, id, NULL, &e);
}

static const struct keeper_client_handler handler = {.start = on_start,
                                                     .config = on_config,
                                                     .ping = on_ping,
                                                     .stop = on_stop,
                                                     .task = on_task,
                                                     .task_end = on_task_end,
                                                     .closed = on_closed};

static int setup(void **state)
{
    static const struct channel_handler peer_handler = {.frame = peer_frame, .closed = peer_closed};
    struct world *w = xnew(struct world);
    int fds[2];
    assert_int_equal(channel_pair(fds, NULL), 0);
    w->loop = loop_new();
    w->peer = channel_new(w->loop, fds[0], FRAME_MAX, &peer_handler, w);
    w->client = keeper_client_new(w->loop, fds[1], &handler, w);
    w->keeper = keeper_client_keeper(w->client);
    w->fd = -1;
    w->stop_after = 1;
    timer_after(w->loop, &w->limit, 20000, too_long, w);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    timer_cancel(&w->limit);
    keeper_client_free(w->client);
    channel_free(w->peer);
    loop_free(w->loop);
    if (w->fd >= 0)
        close(w->fd);
    free(w);
    return 0;
}

/* ---- callbacks of calls ---- */

static void on_signed(void *arg, const char *jws, size_t n, const struct err *err)
{
    struct world *w = arg;
    w->err = *err;
    snprintf(w->text, sizeof(w->text), "%.*s", (int)n, jws);
    counted(w);
}

static void on_account(void *arg, const struct keeper_account *a, const struct err *err)
{
    struct world *w = arg;
    w->err = *err;
    snprintf(w->text, sizeof(w->text), "%s|%s", a->url, a->thumbprint);
    counted(w);
}

static void on_done(void *arg, const struct err *err)
{
    struct world *w = arg;
    w->err = *err;
    counted(w);
}

static void on_installed(void *arg, const struct keeper_installed *i, const struct err *err)
{
    struct world *w = arg;
    if (i) {
        assert_int_equal(err->cls, ERR_NONE);
        assert_true(i->present);
        assert_int_equal(i->not_after_ms, 1234567890123);
        w->items++;
        snprintf(w->text, sizeof(w->text), "%s|%s", i->cert, i->leaf_pem);
    } else if (err) {
        w->err = *err;
    }
    if (!i || w->stop_after == 1)
        counted(w);
}

static void on_step(void *arg, const char *text, const struct err *err)
{
    struct world *w = arg;
    w->err = *err;
    snprintf(w->text, sizeof(w->text), "%s", text);
    counted(w);
}

static void on_worker(void *arg, int fd, const struct err *err)
{
    struct world *w = arg;
    w->err = *err;
    w->fd = fd;
    counted(w);
}

/* ---- tests ---- */

static void tell_start(struct world *w)
{
    struct keeper_msg_start s = {.version = "1",
                                 .once = true,
                                 .engine_dir = "/var/lib/renewd/engine",
                                 .log_level = LOG_LEVEL_DEBUG};
    tell(w, KEEPER_MSG_START, 0, &s, -1);
}

static int memfd(bool seal)
{
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_int_equal(write(fd, "hello", 5), 5);
    if (seal)
        assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE), 0);
    return fd;
}

static void check_accept(struct world *w, const struct frame_head *h, const union keeper_msg *m)
{
    if (h->type == KEEPER_MSG_ACCEPT) {
        assert_int_equal(m->accept.generation, 7);
        tell(w, KEEPER_MSG_PING, 0, NULL, -1);
    } else {
        assert_int_equal(h->type, KEEPER_MSG_PONG);
        tell(w, KEEPER_MSG_STOP, 0, NULL, -1);
    }
}

static void test_start_config_ping_stop(void **state)
{
    struct world *w = *state;
    w->stop_after = 0;
    w->answer = check_accept;
    tell_start(w);
    tell(w, KEEPER_MSG_CONFIG, 0, &(struct keeper_msg_config){.generation = 7, .size = 5},
         memfd(true));
    loop_run(w->loop);
    assert_int_equal(w->starts, 1);
    assert_int_equal(w->configs, 1);
    assert_int_equal(w->generation, 7);
    assert_int_equal(w->pings, 1);
    assert_int_equal(w->stops, 1);
}

static void check_task(struct world *w, const struct frame_head *h, const union keeper_msg *m)
{
    assert_int_equal(h->id, 0);
    if (h->type == KEEPER_MSG_TASK_NOTE) {
        assert_int_equal(m->task_note.task, 1ull << 40);
        assert_string_equal(m->task_note.text, "asking");
    } else if (m->task_done.task == 1ull << 40) {
        assert_int_equal(m->task_done.key, KEEPER_KEY_NEW);
        assert_string_equal(m->task_done.url, "https://le/acct/1");
        assert_string_equal(m->task_done.orders, "");
        assert_int_equal(m->task_done.err.cls, ERR_NONE);
    } else {
        assert_int_equal(m->task_done.task, 5);
        assert_int_equal(m->task_done.err.cls, ERR_DENIED);
        loop_stop(w->loop);
    }
}

static void test_tasks(void **state)
{
    struct world *w = *state;
    struct keeper_msg_task t = {
        1ull << 40, KEEPER_TASK_REVOKE, "le", "www", "https://le/acct/1", 300000, "thumb", true};
    w->answer = check_task;
    tell(w, KEEPER_MSG_TASK, 0, &t, -1);
    tell(w, KEEPER_MSG_TASK_END, 0, &(struct keeper_msg_task_end){.task = 5}, -1);
    loop_run(w->loop);
    assert_int_equal(w->frames, 3);
}

static void expect_closed_by(struct world *w)
{
    loop_run(w->loop);
    assert_int_equal(w->closes, 1);
    assert_int_equal(w->err.cls, ERR_LOCAL);
    assert_int_equal(w->configs, 0);
}

static void test_config_unsealed_is_refused(void **state)
{
    struct world *w = *state;
    tell(w, KEEPER_MSG_CONFIG, 0, &(struct keeper_msg_config){.generation = 7, .size = 5},
         memfd(false));
    expect_closed_by(w);
}

static void test_config_of_other_size_is_refused(void **state)
{
    struct world *w = *state;
    tell(w, KEEPER_MSG_CONFIG, 0, &(struct keeper_msg_config){.generation = 7, .size = 6},
         memfd(true));
    expect_closed_by(w);
}

static void test_config_without_fd_is_refused(void **state)
{
    struct world *w = *state;
    tell(w, KEEPER_MSG_CONFIG, 0, &(struct keeper_msg_config){.generation = 7, .size = 5}, -1);
    expect_closed_by(w);
}

static void answer_all(struct world *w, const struct frame_head *h, const union keeper_msg *m)
{
    struct keeper_msg_installed_is i = {
        .cert = "c", .present = true, .not_after_ms = 1234567890123, .leaf_pem = "PEM"};
    switch (h->type) {
    case KEEPER_MSG_SIGN:
        assert_int_equal(m->sign.what, KEEPER_FINALIZE);
        assert_string_equal(m->sign.cert, "c");
        assert_string_equal(m->sign.nonce, "n0");
        tell(w, KEEPER_MSG_SIGNED, h->id, &(struct keeper_msg_signed){{"{jws}", 5}}, -1);
        break;
    case KEEPER_MSG_ACCOUNT:
    case KEEPER_MSG_SET_ACCOUNT:
        tell(w, KEEPER_MSG_ACCOUNT_IS, h->id, &(struct keeper_msg_account_is){"https://a/1", "tp"},
             -1);
        break;
    case KEEPER_MSG_PREPARE:
        assert_true(m->prepare.fresh);
        tell(w, KEEPER_MSG_DONE, h->id, NULL, -1);
        break;
    case KEEPER_MSG_INSTALL:
        assert_int_equal(m->install.chain.n, 5);
        assert_memory_equal(m->install.chain.p, "chain", 5);
        /* fall through */
    case KEEPER_MSG_INSTALLED:
        tell(w, KEEPER_MSG_INSTALLED_IS, h->id, &i, -1);
        break;
    case KEEPER_MSG_STEP:
        assert_int_equal(m->step.step, 3);
        assert_int_equal(m->step.certs.n, 2);
        assert_string_equal(m->step.certs.v[1], "b");
        tell(w, KEEPER_MSG_STEP_DONE, h->id, &(struct keeper_msg_step_done){.text = "said"}, -1);
        break;
    default:
        fail_msg("unexpected %u", h->type);
    }
}

static void test_each_call_is_answered(void **state)
{
    struct world *w = *state;
    const struct keeper_ops *ops = w->keeper->ops;
    struct keeper_sign_request r = {
        .what = KEEPER_FINALIZE, .ca = "le", .cert = "c", .url = "https://x/", .nonce = "n0"};
    const char *const certs[] = {"a", "b"};
    w->answer = answer_all;

#define GIVES(call, expected)                                                                      \
    do {                                                                                           \
        w->calls = 0;                                                                              \
        assert_non_null(call);                                                                     \
        assert_int_equal(w->calls, 0);                                                             \
        loop_run(w->loop);                                                                         \
        assert_int_equal(w->err.cls, ERR_NONE);                                                    \
        assert_string_equal(w->text, expected);                                                    \
    } while (0)

    GIVES(ops->sign(w->keeper, &r, on_signed, w), "{jws}");
    GIVES(ops->account(w->keeper, "le", on_account, w), "https://a/1|tp");
    GIVES(ops->set_account(w->keeper, "le", "https://a/1", on_account, w), "https://a/1|tp");
    w->text[0] = '\0';
    GIVES(ops->prepare(w->keeper, "c", true, on_done, w), "");
    GIVES(ops->install(w->keeper, "c", "le", "https://a/1", "chain", 5, on_installed, w), "c|PEM");
    GIVES(ops->installed(w->keeper, "c", on_installed, w), "c|PEM");
    GIVES(ops->step(w->keeper, "#1", 3, certs, 2, on_step, w), "said");
}

static void answer_failed(struct world *w, const struct frame_head *h, const union keeper_msg *m)
{
    struct keeper_msg_failed f = {0};
    (void)m;
    err_set(&f.err, ERR_CONFIG, "no CA \"x\"");
    tell(w, KEEPER_MSG_FAILED, h->id, &f, -1);
}

static const struct keeper_http01_request http01 = {
    .cert = "c", .ca = "le", .name = "www.example.org", .token = "t", .add = true};

static void test_each_call_may_fail(void **state)
{
    struct world *w = *state;
    const struct keeper_ops *ops = w->keeper->ops;
    struct keeper_sign_request r = {.ca = "x", .cert = "", .url = "https://x/", .nonce = "n0"};
    const char *const certs[] = {"a"};
    w->answer = answer_failed;

#define FAILS(call)                                                                                \
    do {                                                                                           \
        w->calls = 0;                                                                              \
        w->err.cls = ERR_NONE;                                                                     \
        assert_non_null(call);                                                                     \
        loop_run(w->loop);                                                                         \
        assert_int_equal(w->err.cls, ERR_CONFIG);                                                  \
        assert_string_equal(w->err.detail, "no CA \"x\"");                                         \
    } while (0)

    FAILS(ops->sign(w->keeper, &r, on_signed, w));
    FAILS(ops->account(w->keeper, "le", on_account, w));
    FAILS(ops->set_account(w->keeper, "le", "https://a/1", on_account, w));
    FAILS(ops->prepare(w->keeper, "c", true, on_done, w));
    FAILS(ops->install(w->keeper, "c", "le", "https://a/1", "chain", 5, on_installed, w));
    FAILS(ops->installed(w->keeper, "c", on_installed, w));
    FAILS(ops->list(w->keeper, on_installed, w));
    FAILS(ops->step(w->keeper, "#1", 3, certs, 1, on_step, w));
    FAILS(ops->worker(w->keeper, "p", on_worker, w));
    assert_int_equal(w->fd, -1);
    w->fd = 7;
    FAILS(ops->listen(w->keeper, "[::]:80", on_worker, w));
    assert_int_equal(w->fd, -1);
    FAILS(ops->http01(w->keeper, &http01, on_done, w));
}

static void answer_worker(struct world *w, const struct frame_head *h, const union keeper_msg *m)
{
    assert_string_equal(m->worker.provider, "cf");
    tell(w, KEEPER_MSG_WORKER_IS, h->id, NULL, memfd(false));
}

static void test_worker_brings_its_channel(void **state)
{
    struct world *w = *state;
    char text[8] = "";
    w->answer = answer_worker;
    w->keeper->ops->worker(w->keeper, "cf", on_worker, w);
    loop_run(w->loop);
    assert_int_equal(w->err.cls, ERR_NONE);
    assert_int_equal(pread(w->fd, text, sizeof(text), 0), 5);
    assert_string_equal(text, "hello");
}

static void answer_listen(struct world *w, const struct frame_head *h, const union keeper_msg *m)
{
    if (h->type == KEEPER_MSG_LISTEN) {
        assert_string_equal(m->listen.addr, "[::]:80");
        tell(w, KEEPER_MSG_LISTEN_IS, h->id, NULL, memfd(false));
        return;
    }
    assert_int_equal(h->type, KEEPER_MSG_HTTP01);
    assert_string_equal(m->http01.cert, "c");
    assert_string_equal(m->http01.ca, "le");
    assert_string_equal(m->http01.name, "www.example.org");
    assert_string_equal(m->http01.token, "t");
    assert_true(m->http01.add);
    tell(w, KEEPER_MSG_DONE, h->id, NULL, -1);
}

static void test_listening_brings_its_socket(void **state)
{
    struct world *w = *state;
    char text[8] = "";
    w->answer = answer_listen;
    w->keeper->ops->listen(w->keeper, "[::]:80", on_worker, w);
    loop_run(w->loop);
    assert_int_equal(w->err.cls, ERR_NONE);
    assert_int_equal(pread(w->fd, text, sizeof(text), 0), 5);
    w->calls = 0;
    w->keeper->ops->http01(w->keeper, &http01, on_done, w);
    loop_run(w->loop);
    assert_int_equal(w->err.cls, ERR_NONE);
    assert_int_equal(w->calls, 1);
}

static void answer_list(struct world *w, const struct frame_head *h, const union keeper_msg *m)
{
    struct keeper_msg_installed_is i = {
        .cert = "c", .present = true, .not_after_ms = 1234567890123};
    struct keeper_msg_list_end end = {.next = m->list.from ? 0 : 2};
    assert_int_equal(h->type, KEEPER_MSG_LIST);
    tell(w, KEEPER_MSG_INSTALLED_IS, h->id, &i, -1);
    tell(w, KEEPER_MSG_INSTALLED_IS, h->id, &i, -1);
    tell(w, KEEPER_MSG_LIST_END, h->id, &end, -1);
}

static void test_list_asks_until_the_end(void **state)
{
    struct world *w = *state;
    w->answer = answer_list;
    w->stop_after = 0;
    struct keeper_call *call = w->keeper->ops->list(w->keeper, on_installed, w);
    assert_non_null(call);
    w->calls = 1;
    w->stop_after = 2;
    loop_run(w->loop);
    assert_int_equal(w->items, 4);
    assert_int_equal(w->frames, 2);
    assert_int_equal(w->err.cls, ERR_NONE);
}

/* The answer to the second call comes after that to the first, which was cancelled. */
static void answer_late(struct world *w, const struct frame_head *h, const union keeper_msg *m)
{
    (void)m;
    if (h->type == KEEPER_MSG_CANCEL)
        return;
    tell(w, KEEPER_MSG_DONE, h->id, NULL, -1);
}

static void test_cancel(void **state)
{
    struct world *w = *state;
    struct world other = {.loop = w->loop};
    w->answer = answer_late;
    struct keeper_call *a = w->keeper->ops->prepare(w->keeper, "a", false, on_done, &other);
    w->keeper->ops->prepare(w->keeper, "b", false, on_done, w);
    keeper_cancel(w->keeper, a);
    loop_run(w->loop);
    assert_int_equal(other.calls, 0);
    assert_int_equal(w->calls, 1);
    assert_int_equal(w->frames, 3);
}

static void test_cancelled_worker_closes_its_descriptor(void **state)
{
    struct world *w = *state;
    struct world other = {.loop = w->loop, .fd = -1};
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    struct keeper_call *a = w->keeper->ops->worker(w->keeper, "a", on_worker, &other);
    w->keeper->ops->prepare(w->keeper, "b", false, on_done, w);
    uint32_t id = 1u << 16; /* the first slot's first */
    tell(w, KEEPER_MSG_WORKER_IS, id, NULL, pair[0]);
    tell(w, KEEPER_MSG_DONE, id + 1, NULL, -1);
    keeper_cancel(w->keeper, a);
    loop_run(w->loop);
    assert_int_equal(other.calls, 0);
    assert_int_equal(w->err.cls, ERR_NONE);
    char c;
    assert_int_equal(read(pair[1], &c, 1), 0);
    close(pair[1]);
}

static void answer_no_key(struct world *w, const struct frame_head *h, const union keeper_msg *m)
{
    (void)m;
    if (h->type == KEEPER_MSG_PREPARE)
        w->unanswered[w->n_unanswered++] = h->id;
    else
        tell(w, KEEPER_MSG_SIGNED, h->id, &(struct keeper_msg_signed){{"{jws}", 5}}, -1);
}

static void answer_rest(struct world *w, const struct frame_head *h, const union keeper_msg *m)
{
    (void)m;
    if (h->type == KEEPER_MSG_PREPARE)
        tell(w, KEEPER_MSG_DONE, h->id, NULL, -1);
    else
        assert_int_equal(h->type, KEEPER_MSG_CANCEL);
}

static void begin_hundred_keys(struct world *w, struct world *other, struct keeper_call **calls)
{
    static const struct keeper_sign_request r = {
        .what = KEEPER_READ, .ca = "le", .cert = "", .url = "https://a/1", .nonce = "n0"};
    w->answer = answer_no_key;
    for (int i = 0; i < 100; i++)
        calls[i] = w->keeper->ops->prepare(w->keeper, "c", true, on_done, other);
    w->keeper->ops->sign(w->keeper, &r, on_signed, w);
    loop_run(w->loop);
    assert_string_equal(w->text, "{jws}");
    assert_int_equal(w->n_unanswered, 64);
}

static void test_signatures_wait_for_few_keys(void **state)
{
    struct world *w = *state;
    struct world other = {.loop = w->loop, .stop_after = 98};
    struct keeper_call *calls[100];
    begin_hundred_keys(w, &other, calls);
    keeper_cancel(w->keeper, calls[99]); /* never sent */
    keeper_cancel(w->keeper, calls[0]);
    for (size_t i = 1; i < w->n_unanswered; i++)
        tell(w, KEEPER_MSG_DONE, w->unanswered[i], NULL, -1);
    unsigned sent = w->frames;
    w->answer = answer_rest;
    loop_run(w->loop);
    assert_int_equal(other.calls, 98);
    assert_int_equal(w->frames - sent, 1 + 35); /* one CANCEL, the keys that had been held back */
}

static void test_held_keys_fail_with_the_rest(void **state)
{
    struct world *w = *state;
    struct world other = {.loop = w->loop};
    struct keeper_call *calls[100];
    begin_hundred_keys(w, &other, calls);
    channel_free(w->peer);
    w->peer = NULL;
    loop_run(w->loop);
    assert_int_equal(w->closes, 1);
    assert_int_equal(other.calls, 100);
    assert_int_equal(other.err.cls, ERR_LOCAL);
}

static void test_free_cancels(void **state)
{
    struct world *w = *state;
    w->keeper->ops->prepare(w->keeper, "a", false, on_done, w);
    keeper_client_free(w->client);
    w->client = NULL;
    loop_run(w->loop); /* until the peer has seen the end */
    assert_true(w->peer_closed);
    assert_int_equal(w->calls, 0);
}

static void free_client(void *arg, const struct err *err)
{
    struct world *w = arg;
    w->err = *err;
    w->calls++;
    keeper_client_free(w->client);
    w->client = NULL;
    loop_stop(w->loop);
}

static void test_free_within_failure(void **state)
{
    struct world *w = *state;
    w->keeper->ops->prepare(w->keeper, "a", false, free_client, w);
    w->keeper->ops->prepare(w->keeper, "b", false, free_client, w);
    channel_free(w->peer);
    w->peer = NULL;
    loop_run(w->loop);
    assert_int_equal(w->calls, 1);
    assert_int_equal(w->closes, 0);
}

static void test_free_within_answer(void **state)
{
    struct world *w = *state;
    w->answer = answer_late;
    w->keeper->ops->prepare(w->keeper, "a", false, free_client, w);
    loop_run(w->loop);
    assert_int_equal(w->calls, 1);
}

static void test_death_of_the_keeper_fails_all(void **state)
{
    struct world *w = *state;
    w->stop_after = 0;
    w->keeper->ops->prepare(w->keeper, "a", false, on_done, w);
    w->keeper->ops->account(w->keeper, "a", on_account, w);
    channel_free(w->peer);
    w->peer = NULL;
    loop_run(w->loop);
    assert_int_equal(w->calls, 2);
    assert_int_equal(w->closes, 1);
    assert_int_equal(w->err.cls, ERR_LOCAL);
    /* and later ones fail too, later */
    w->stop_after = 3;
    w->keeper->ops->prepare(w->keeper, "a", false, on_done, w);
    assert_int_equal(w->calls, 2);
    loop_run(w->loop);
    assert_int_equal(w->calls, 3);
    assert_int_equal(w->err.cls, ERR_LOCAL);
}

static void test_too_long_fails_later(void **state)
{
    struct world *w = *state;
    char name[KEEPER_MSG_NAME_MAX + 2];
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    w->keeper->ops->prepare(w->keeper, name, false, on_done, w);
    assert_int_equal(w->calls, 0);
    loop_run(w->loop);
    assert_int_equal(w->err.cls, ERR_PEER);
    assert_int_equal(w->frames, 0);
}

static void answer_wrong(struct world *w, const struct frame_head *h, const union keeper_msg *m)
{
    (void)m;
    tell(w, KEEPER_MSG_SIGNED, h->id, &(struct keeper_msg_signed){{"x", 1}}, -1);
}

static void test_answer_of_other_kind_ends(void **state)
{
    struct world *w = *state;
    w->answer = answer_wrong;
    w->stop_after = 0;
    w->keeper->ops->prepare(w->keeper, "a", false, on_done, w);
    loop_run(w->loop);
    assert_int_equal(w->calls, 1);
    assert_int_equal(w->closes, 1);
}

static void test_thousands_at_once(void **state)
{
    struct world *w = *state;
    w->answer = answer_late;
    w->stop_after = 3000;
    for (int i = 0; i < 3000; i++)
        w->keeper->ops->prepare(w->keeper, "a", false, on_done, w);
    loop_run(w->loop);
    assert_int_equal(w->calls, 3000);
    assert_int_equal(w->err.cls, ERR_NONE);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_start_config_ping_stop),
        T(test_tasks),
        T(test_config_unsealed_is_refused),
        T(test_config_of_other_size_is_refused),
        T(test_config_without_fd_is_refused),
        T(test_each_call_is_answered),
        T(test_each_call_may_fail),
        T(test_worker_brings_its_channel),
        T(test_listening_brings_its_socket),
        T(test_list_asks_until_the_end),
        T(test_cancel),
        T(test_cancelled_worker_closes_its_descriptor),
        T(test_signatures_wait_for_few_keys),
        T(test_held_keys_fail_with_the_rest),
        T(test_free_cancels),
        T(test_free_within_failure),
        T(test_free_within_answer),
        T(test_death_of_the_keeper_fails_all),
        T(test_too_long_fails_later),
        T(test_answer_of_other_kind_ends),
        T(test_thousands_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
