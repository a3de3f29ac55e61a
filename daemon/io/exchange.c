/* SPDX-License-Identifier: ISC */
/*
 * A connection serves one exchange at a time:
 *
 *     CONNECTING/SENDING --> RECEIVING -- whole answer --> IDLE -- 5 s, or the peer closes --> gone
 *             |                  |                           |
 *             +------------------+--- failure --> gone       +-- next exchange --> SENDING
 *
 * A kept connection may have been closed by its peer meanwhile. Where it breaks before the first
 * byte of an answer, the exchange is repeated once, over a new one (RFC 7766 6.2.4).
 */
#include "io/exchange.h"

#include "base/str.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TIMEOUT_MS 10000
#define KEPT_MS 5000
#define PREFIX 2
#define MESSAGE_MIN 12
#define IDLE_MAX 32

struct conn {
    struct list node; /* in the pool's idle ones, or in none */
    struct exchange_pool *pool;
    struct exchange *user; /* NULL: idle */
    struct dns_addr server;
    int fd;
    struct watch *watch;
    struct timer timer;
    bool reused;
};

struct exchange_pool {
    struct loop *loop;
    struct list idle; /* oldest first */
    size_t n_idle;
    struct list exchanges;
};

struct exchange {
    struct list node;
    struct exchange_pool *pool;
    struct dns_addr server;
    struct conn *conn;
    uint8_t *message; /* with its prefix */
    size_t len, sent;
    struct buf answer; /* with its prefix */
    struct timer deadline;
    struct defer end;
    int64_t timeout_ms;
    struct err err;
    exchange_done_fn *done;
    void *arg;
};

static void begin(struct exchange *x, bool fresh);

/* --- connections --- */

static void conn_free(struct conn *c)
{
    if (!c)
        return;
    if (!c->user)
        c->pool->n_idle--;
    else
        c->user->conn = NULL;
    list_remove(&c->node);
    timer_cancel(&c->timer);
    watch_free(c->watch);
    close(c->fd);
    free(c);
}

static void idle_over(void *arg)
{
    conn_free(arg);
}

static void conn_keep(struct conn *c)
{
    struct exchange_pool *p = c->pool;

    if (p->n_idle == IDLE_MAX)
        conn_free(list_item(p->idle.next, struct conn, node));
    c->user->conn = NULL;
    c->user = NULL;
    list_append(&p->idle, &c->node);
    p->n_idle++;
    watch_set(c->watch, LOOP_READ);
    timer_after(p->loop, &c->timer, KEPT_MS, idle_over, c);
}

/* --- exchanges --- */

static void exchange_free(struct exchange *x)
{
    conn_free(x->conn); /* an answer may be under way: not fit for others */
    list_remove(&x->node);
    timer_cancel(&x->deadline);
    defer_cancel(&x->end);
    buf_free(&x->answer);
    free(x->message);
    free(x);
}

static void run_done(void *arg)
{
    struct exchange *x = arg;
    bool good = x->err.cls == ERR_NONE;
    struct buf answer = x->answer;
    struct err err = x->err;
    exchange_done_fn *done = x->done;
    void *done_arg = x->arg;

    x->answer = (struct buf){0};
    exchange_free(x);
    done(done_arg, good ? answer.data + PREFIX : NULL, good ? answer.len - PREFIX : 0, &err);
    buf_free(&answer);
}

static void end(struct exchange *x)
{
    conn_free(x->conn);
    timer_cancel(&x->deadline);
    loop_defer(x->pool->loop, &x->end, run_done, x);
}

static void fail(struct exchange *x, enum err_class cls, const char *what, int sys)
{
    char server[64];
    const char *colon = sys ? ": " : "";
    char text[128] = "";

    err_set(&x->err, cls, "%s %s%s%s", dns_addr_text(&x->server, server, sizeof server), what,
            colon, sys ? strerror_r(sys, text, sizeof text) : "");
    x->err.sys = sys;
    end(x);
}

static void late(void *arg)
{
    struct exchange *x = arg;
    char span[32], what[64] = "did not answer within ";

    str_from_duration(x->timeout_ms, span, sizeof span);
    str_copy(what + strlen(what), sizeof what - strlen(what), span);
    fail(x, ERR_TRANSIENT, what, 0);
}

/* The connection broke; sys 0: the peer closed it. */
static void broken(struct exchange *x, int sys)
{
    bool again = x->conn->reused && x->answer.len == 0;

    conn_free(x->conn);
    if (again)
        begin(x, true);
    else if (sys)
        fail(x, ERR_TRANSIENT, "cannot be talked to", sys);
    else
        fail(x, ERR_TRANSIENT, "closed the connection without an answer", 0);
}

static void send_more(struct exchange *x)
{
    int sys = 0;
    socklen_t len = sizeof sys;

    if (x->sent == 0 &&
        (getsockopt(x->conn->fd, SOL_SOCKET, SO_ERROR, &sys, &len) < 0 || sys != 0)) {
        broken(x, sys);
        return;
    }
    ssize_t n = send(x->conn->fd, x->message + x->sent, x->len - x->sent, MSG_NOSIGNAL);
    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR)
            broken(x, errno);
        return;
    }
    x->sent += (size_t)n;
    if (x->sent == x->len)
        watch_set(x->conn->watch, LOOP_READ);
}

/* What the answer still lacks: its prefix first. */
static size_t lacks(const struct exchange *x)
{
    const uint8_t *p = (const uint8_t *)x->answer.data;

    if (x->answer.len < PREFIX)
        return PREFIX - x->answer.len;
    return PREFIX + (size_t)(p[0] << 8 | p[1]) - x->answer.len;
}

static void answered(struct exchange *x)
{
    const char *answer = x->answer.data;

    if (x->answer.len < PREFIX + MESSAGE_MIN ||
        memcmp(answer + PREFIX, x->message + PREFIX, 2) != 0) {
        fail(x, ERR_PEER, "answered something else than was asked", 0);
        return;
    }
    conn_keep(x->conn);
    end(x);
}

static void receive(struct exchange *x)
{
    char chunk[16384];
    size_t want = lacks(x);
    ssize_t n = recv(x->conn->fd, chunk, want < sizeof chunk ? want : sizeof chunk, 0);

    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR)
            broken(x, errno);
        return;
    }
    if (n == 0) {
        broken(x, 0);
        return;
    }
    buf_put(&x->answer, chunk, (size_t)n);
    if (lacks(x) == 0)
        answered(x);
}

static void ready(void *arg, int what)
{
    struct conn *c = arg;

    if (!c->user) /* idle: it was closed, or it talks out of turn */
        conn_free(c);
    else if (what == LOOP_WRITE)
        send_more(c->user);
    else
        receive(c->user);
}

/* --- beginning --- */

static struct conn *conn_take(struct exchange_pool *p, const struct dns_addr *server)
{
    for (struct list *it = p->idle.prev; it != &p->idle; it = it->prev) {
        struct conn *c = list_item(it, struct conn, node);

        if (!dns_addr_eq(&c->server, server))
            continue;
        list_remove(&c->node);
        timer_cancel(&c->timer);
        p->n_idle--;
        c->reused = true;
        return c;
    }
    return NULL;
}

static struct conn *conn_open(struct exchange_pool *p, const struct dns_addr *server)
{
    socklen_t len =
        server->sa.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    int fd = socket(server->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;

    if (fd < 0)
        return NULL;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (const struct sockaddr *)&server->sa, len) < 0 && errno != EINPROGRESS) {
        int sys = errno;

        close(fd);
        errno = sys;
        return NULL;
    }
    struct conn *c = xnew(struct conn);
    c->pool = p;
    c->server = *server;
    c->fd = fd;
    list_init(&c->node);
    c->watch = watch_new(p->loop, fd, 0, ready, c);
    return c;
}

static void begin(struct exchange *x, bool fresh)
{
    x->sent = 0;
    x->conn = fresh ? NULL : conn_take(x->pool, &x->server);
    if (!x->conn)
        x->conn = conn_open(x->pool, &x->server);
    if (!x->conn) {
        fail(x, ERR_TRANSIENT, "cannot be reached", errno);
        return;
    }
    x->conn->user = x;
    watch_set(x->conn->watch, LOOP_WRITE);
}

struct exchange *exchange_start(struct exchange_pool *p, const struct dns_addr *server,
                                const void *message, size_t n, int64_t timeout_ms,
                                exchange_done_fn *done, void *arg)
{
    struct exchange *x = xnew(struct exchange);

    x->pool = p;
    x->server = *server;
    x->done = done;
    x->arg = arg;
    x->timeout_ms = timeout_ms > 0 ? timeout_ms : TIMEOUT_MS;
    buf_init(&x->answer, PREFIX + UINT16_MAX);
    list_append(&p->exchanges, &x->node);
    if (n < MESSAGE_MIN || n > UINT16_MAX) {
        err_set(&x->err, ERR_BUG, "a DNS message of %zu bytes cannot be sent", n);
        end(x);
        return x;
    }
    x->len = PREFIX + n;
    x->message = xcalloc(1, x->len);
    x->message[0] = (uint8_t)(n >> 8);
    x->message[1] = (uint8_t)n;
    memcpy(x->message + PREFIX, message, n);
    timer_after(p->loop, &x->deadline, x->timeout_ms, late, x);
    begin(x, false);
    return x;
}

void exchange_cancel(struct exchange *x)
{
    if (x)
        exchange_free(x);
}

struct exchange_pool *exchange_pool_new(struct loop *l)
{
    struct exchange_pool *p = xnew(struct exchange_pool);

    p->loop = l;
    list_init(&p->idle);
    list_init(&p->exchanges);
    return p;
}

void exchange_pool_free(struct exchange_pool *p)
{
    if (!p)
        return;
    while (!list_empty(&p->exchanges))
        exchange_free(list_item(p->exchanges.next, struct exchange, node));
    while (!list_empty(&p->idle))
        conn_free(list_item(p->idle.next, struct conn, node));
    free(p);
}
