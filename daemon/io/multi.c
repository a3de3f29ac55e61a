/* SPDX-License-Identifier: ISC */
#include "io/multi.h"

#include "base/secret.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct multi {
    struct loop *loop;
    CURLM *curl;
    struct timer timer;
    struct defer kick;
    multi_done_fn *done;
    struct list socks;
    bool busy, freed; /* within done(), whose callee freed us */
};

struct sock {
    struct list node;
    struct multi *multi;
    curl_socket_t fd;
    int corked;
    struct watch *watch;
};

/* --- memory: libcurl's own buffers hold requests and replies --- */

struct block {
    size_t size;
    max_align_t data[];
};

static void *wiping_malloc(size_t size)
{
    struct block *b = size < SIZE_MAX - sizeof *b ? malloc(sizeof *b + size) : NULL;

    if (!b)
        return NULL;
    b->size = size;
    return b->data;
}

static void wiping_free(void *p)
{
    if (!p)
        return;
    struct block *b = CONTAINER_OF(p, struct block, data);
    secret_wipe(b, sizeof *b + b->size);
    free(b);
}

static void *wiping_realloc(void *p, size_t size)
{
    if (!p)
        return wiping_malloc(size);
    struct block *b = CONTAINER_OF(p, struct block, data);
    void *q = wiping_malloc(size);
    if (!q)
        return NULL;
    memcpy(q, p, size < b->size ? size : b->size);
    wiping_free(p);
    return q;
}

static char *wiping_strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    char *copy = wiping_malloc(n);

    return copy ? memcpy(copy, s, n) : NULL;
}

static void *wiping_calloc(size_t n, size_t size)
{
    size_t all;

    if (__builtin_mul_overflow(n, size, &all))
        return NULL;
    void *p = wiping_malloc(all);
    return p ? memset(p, 0, all) : NULL;
}

void curl_begin(void)
{
    if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, wiping_malloc, wiping_free, wiping_realloc,
                             wiping_strdup, wiping_calloc) != CURLE_OK)
        abort();
}

void curl_end(void)
{
    curl_global_cleanup();
}

/* --- the loop's side --- */

/* Hands over what has ended. false: the multi is gone. */
static bool collect(struct multi *m)
{
    CURLMsg *msg;
    int left;

    m->busy = true;
    while (!m->freed && (msg = curl_multi_info_read(m->curl, &left))) {
        CURL *easy = msg->easy_handle;
        CURLcode result = msg->data.result;
        char *priv = NULL;

        if (msg->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, &priv);
        curl_multi_remove_handle(m->curl, easy);
        m->done(priv, easy, result);
    }
    m->busy = false;
    if (!m->freed)
        return true;
    multi_free(m);
    return false;
}

/* What libcurl writes in one act goes out together: it writes two or three times for a request, and
 * each alone would be a segment of its own, which wakes the server. */
static void cork(struct multi *m, int on)
{
    list_each(it, &m->socks)
    {
        struct sock *s = list_item(it, struct sock, node);

        if (s->corked != on && setsockopt(s->fd, IPPROTO_TCP, TCP_CORK, &on, sizeof on) == 0)
            s->corked = on;
    }
}

static void act(struct multi *m, curl_socket_t fd, int what)
{
    int running;

    cork(m, 1);
    curl_multi_socket_action(m->curl, fd, what, &running);
    cork(m, 0);
    collect(m);
}

static void kick(void *arg)
{
    act(arg, CURL_SOCKET_TIMEOUT, 0);
}

static void sock_ready(void *arg, int what)
{
    struct sock *s = arg; /* may be freed by what follows */

    act(s->multi, s->fd, what == LOOP_READ ? CURL_CSELECT_IN : CURL_CSELECT_OUT);
}

static void sock_free(struct sock *s)
{
    list_remove(&s->node);
    watch_free(s->watch);
    free(s);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *assigned)
{
    struct multi *m = arg;
    struct sock *s = assigned;
    int want = (what & CURL_POLL_IN ? LOOP_READ : 0) | (what & CURL_POLL_OUT ? LOOP_WRITE : 0);

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (s && s->corked) /* it may be kept for later requests */
            setsockopt(fd, IPPROTO_TCP, TCP_CORK, &(int){0}, sizeof(int));
        if (s)
            sock_free(s);
        curl_multi_assign(m->curl, fd, NULL);
        return 0;
    }
    if (s) {
        watch_set(s->watch, want);
        return 0;
    }
    s = xnew(struct sock);
    s->multi = m;
    s->fd = fd;
    s->watch = watch_new(m->loop, fd, want, sock_ready, s);
    list_append(&m->socks, &s->node);
    curl_multi_assign(m->curl, fd, s);
    return 0;
}

/* libcurl forbids to act on it from here. */
static int on_timer(CURLM *curl, long timeout_ms, void *arg)
{
    struct multi *m = arg;

    (void)curl;
    timer_cancel(&m->timer);
    defer_cancel(&m->kick);
    if (timeout_ms == 0)
        loop_defer(m->loop, &m->kick, kick, m);
    else if (timeout_ms > 0)
        timer_after(m->loop, &m->timer, timeout_ms, kick, m);
    return 0;
}

struct multi *multi_new(struct loop *l, multi_done_fn *done)
{
    struct multi *m = xnew(struct multi);

    m->loop = l;
    m->done = done;
    list_init(&m->socks);
    m->curl = curl_multi_init();
    if (!m->curl)
        abort();
    curl_multi_setopt(m->curl, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(m->curl, CURLMOPT_SOCKETDATA, m);
    curl_multi_setopt(m->curl, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(m->curl, CURLMOPT_TIMERDATA, m);
    return m;
}

void multi_free(struct multi *m)
{
    if (!m)
        return;
    if (m->busy) {
        m->freed = true;
        return;
    }
    curl_multi_cleanup(m->curl);
    while (!list_empty(&m->socks))
        sock_free(list_item(m->socks.next, struct sock, node));
    timer_cancel(&m->timer);
    defer_cancel(&m->kick);
    free(m);
}

CURLM *multi_handle(struct multi *m)
{
    return m->curl;
}

int multi_add(struct multi *m, CURL *easy)
{
    return curl_multi_add_handle(m->curl, easy) == CURLM_OK ? 0 : -1;
}

void multi_remove(struct multi *m, CURL *easy)
{
    curl_multi_remove_handle(m->curl, easy);
}
