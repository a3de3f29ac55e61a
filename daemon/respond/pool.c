/* SPDX-License-Identifier: ISC */
#include "respond/pool.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPTS_A_ROUND 64 /* then other events of the loop have their turn */
#define RECEIVE_BUFFER (16 << 10)
#define CHUNK 4096
#define DROP_MAX (64u << 10)

struct pool {
    struct loop *loop;
    const struct conn_kind *kind;
    void *arg;
    struct list conns;
    size_t n;
    unsigned buckets[POOL_BUCKETS]; /* connections by source */
};

struct acceptor {
    struct pool *pool;
    int fd;
    struct watch *watch;
    struct timer pause;
};

struct pool *pool_new(struct loop *l, const struct conn_kind *kind, void *arg)
{
    struct pool *p = xnew(struct pool);
    p->loop = l;
    p->kind = kind;
    p->arg = arg;
    list_init(&p->conns);
    return p;
}

static void conn_close(struct conn *c)
{
    struct pool *p = c->pool;
    timer_cancel(&c->limit);
    watch_free(c->watch);
    list_remove(&c->node);
    p->n--;
    p->buckets[c->bucket]--;
    close(c->fd);
    buf_free(&c->in);
    p->kind->unmake(c);
}

void pool_close_all(struct pool *p)
{
    while (!list_empty(&p->conns))
        conn_close(list_item(p->conns.next, struct conn, node));
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    pool_close_all(p);
    free(p);
}

size_t pool_len(const struct pool *p)
{
    return p->n;
}

/* ---- one connection ---- */

static void out_of_time(void *arg)
{
    conn_close(arg);
}

/* Closing at once would reset the connection when the peer has sent more than we read, and the
 * answer might be lost with it (RFC 9112 section 9.6). */
static void linger(struct conn *c)
{
    c->lingers = true;
    shutdown(c->fd, SHUT_WR);
    buf_free(&c->in);
    timer_after(c->pool->loop, &c->limit, POOL_LINGER_MS, out_of_time, c);
}

static void settle(struct conn *c, enum conn_verdict v)
{
    if (v == CONN_CLOSE)
        conn_close(c);
    else if (v == CONN_LINGER)
        linger(c);
}

static void take(struct conn *c, const char *p, size_t n)
{
    size_t room = c->in.max - c->in.len;
    if (n > room) {
        c->pool->kind->full(c);
        settle(c, CONN_LINGER);
        return;
    }
    buf_put(&c->in, p, n);
    settle(c, c->pool->kind->ready(c));
}

static void on_readable(void *arg, int what)
{
    struct conn *c = arg;
    char chunk[CHUNK];
    (void)what;
    ssize_t n = recv(c->fd, chunk, sizeof(chunk), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        conn_close(c);
        return;
    }
    if (!c->lingers) {
        take(c, chunk, (size_t)n);
        return;
    }
    c->dropped += (size_t)n;
    if (c->dropped > DROP_MAX)
        conn_close(c);
}

bool conn_send(struct conn *c, const void *p, size_t n)
{
    return send(c->fd, p, n, MSG_NOSIGNAL) == (ssize_t)n;
}

/* ---- the bounds ---- */

static uint8_t bucket_of(const struct sockaddr_storage *a)
{
    const uint8_t *p;
    size_t n = 4;
    uint32_t h = 2166136261u; /* FNV-1a */
    if (a->ss_family == AF_INET6) {
        p = ((const struct sockaddr_in6 *)a)->sin6_addr.s6_addr;
        n = 8;
    } else {
        p = (const uint8_t *)&((const struct sockaddr_in *)a)->sin_addr;
    }
    while (n--)
        h = (h ^ *p++) * 16777619u;
    return (uint8_t)(h ^ h >> 8 ^ h >> 16 ^ h >> 24);
}

/* False: there is none to evict. */
static bool evict(struct pool *p)
{
    struct conn *victim = NULL;
    list_each(it, &p->conns)
    {
        struct conn *c = list_item(it, struct conn, node);
        if (!victim || p->buckets[c->bucket] > p->buckets[victim->bucket])
            victim = c;
    }
    if (victim)
        conn_close(victim);
    return victim != NULL;
}

/* Takes fd. */
static void admit(struct pool *p, int fd, const struct sockaddr_storage *from)
{
    struct conn *c = p->kind->make(p->arg);
    c->pool = p;
    c->fd = fd;
    c->bucket = bucket_of(from);
    buf_init(&c->in, p->kind->in_max);
    list_append(&p->conns, &c->node);
    p->n++;
    p->buckets[c->bucket]++;
    timer_after(p->loop, &c->limit, POOL_LIMIT_MS, out_of_time, c);
    c->watch = watch_new(p->loop, fd, LOOP_READ, on_readable, c);
    /* What came along is answered before anybody else can push this connection out. */
    on_readable(c, LOOP_READ);
    if (p->n > POOL_CONNS)
        evict(p);
}

/* ---- accepting ---- */

static void on_connection(void *arg, int what);

static void go_on(void *arg)
{
    struct acceptor *a = arg;
    watch_set(a->watch, LOOP_READ);
}

/* Descriptors or memory are out. Trying again at once would spin. */
static void run_dry(struct acceptor *a)
{
    if (evict(a->pool))
        return;
    watch_set(a->watch, 0);
    timer_after(a->pool->loop, &a->pause, POOL_PAUSE_MS, go_on, a);
}

static void on_connection(void *arg, int what)
{
    struct acceptor *a = arg;
    (void)what;
    for (int i = 0; i < ACCEPTS_A_ROUND; i++) {
        struct sockaddr_storage from = {0};
        socklen_t n = sizeof(from);
        int fd = accept4(a->fd, (struct sockaddr *)&from, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            admit(a->pool, fd, &from);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            run_dry(a);
        if (errno == EAGAIN || timer_armed(&a->pause))
            return;
    }
}

struct acceptor *acceptor_new(struct pool *p, int fd)
{
    struct acceptor *a = xnew(struct acceptor);
    const int size = RECEIVE_BUFFER; /* what is accepted inherits it; a hint only */
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    a->pool = p;
    a->fd = fd;
    a->watch = watch_new(p->loop, fd, LOOP_READ, on_connection, a);
    return a;
}

void acceptor_free(struct acceptor *a)
{
    if (!a)
        return;
    timer_cancel(&a->pause);
    watch_free(a->watch);
    close(a->fd);
    free(a);
}
