/* SPDX-License-Identifier: ISC */
#include "http_server.h"

#include "base/mem.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct http_peer {
    struct list node;
    struct http_server *server;
    int fd;
    struct watch *watch;
    struct timer drip;
    struct buf in, out;
    bool endless, close_when_sent;
};

static void peer_free(struct http_peer *p)
{
    list_remove(&p->node);
    watch_free(p->watch);
    timer_cancel(&p->drip);
    close(p->fd);
    buf_free(&p->in);
    buf_free(&p->out);
    free(p);
}

static void peer_flush(struct http_peer *p)
{
    while (p->endless && p->out.len < 65536)
        buf_puts(&p->out, "1000\r\n0123456789abcdef\r\n");
    ssize_t n = send(p->fd, p->out.data, p->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN) {
        peer_free(p);
        return;
    }
    if (n > 0)
        buf_consume(&p->out, (size_t)n);
    if (!p->out.len && p->close_when_sent)
        peer_free(p);
    else
        watch_set(p->watch, LOOP_READ | (p->out.len ? LOOP_WRITE : 0));
}

static void drip(void *arg)
{
    struct http_peer *p = arg;

    timer_after(p->server->loop, &p->drip, 10, drip, p);
    send(p->fd, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void reset(struct http_peer *p)
{
    struct linger l = {.l_onoff = 1};

    setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    p->close_when_sent = true;
}

static void many_fields(struct http_peer *p)
{
    buf_puts(&p->out, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
    for (int i = 0; i < 150; i++)
        buf_putf(&p->out, "X-%d: y\r\n", i);
    buf_puts(&p->out, "\r\n");
}

static void wide_fields(struct http_peer *p)
{
    buf_puts(&p->out, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
    for (int i = 0; i < 20; i++) {
        buf_putf(&p->out, "X-%d: ", i);
        for (int k = 0; k < 4000; k++)
            buf_putc(&p->out, 'y');
        buf_puts(&p->out, "\r\n");
    }
    buf_puts(&p->out, "\r\n");
}

static const struct {
    const char *path, *reply;
} fixed[] = {
    {"/hello", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-One: 1\r\nx-two:  2 \r\n\r\nhello"},
    {"/empty", "HTTP/1.1 204 No Content\r\n\r\n"},
    {"/chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "3\r\nabc\r\n2\r\nde\r\n0\r\nRetry-After: 9\r\n\r\n"},
    {"/early", "HTTP/1.1 103 Early Hints\r\nLink: <early>\r\n\r\n"
               "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"},
    {"/fold", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: a\r\n  b\r\nY: c\r\n\r\n"},
    {"/redirect", "HTTP/1.1 302 Found\r\nLocation: /hello\r\nContent-Length: 0\r\n\r\n"},
    {"/problem", "HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 1\r\n\r\n!"},
    {"/huge", "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n0123456789"},
    {"/head", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nX: y\r\n\r\n"},
};
/* These end the connection after what is written here. */
static const struct {
    const char *path, *reply;
} last_words[] = {
    {"/junk", "SSH-2.0-OpenSSH_9.2\r\n"},
    {"/close", ""},
    {"/cut", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"},
    {"/until-close", "HTTP/1.1 200 OK\r\n\r\nall there is"},
    {"/badfield", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nno colon here\r\n\r\n"},
};

static bool is(const char *path, const char *want)
{
    return str_starts(path, want) && path[strlen(want)] == ' ';
}

static void respond(struct http_peer *p, const char *path)
{
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
        if (is(path, fixed[i].path))
            buf_puts(&p->out, fixed[i].reply);
    for (size_t i = 0; i < ARRAY_LEN(last_words); i++) {
        if (is(path, last_words[i].path)) {
            buf_puts(&p->out, last_words[i].reply);
            p->close_when_sent = true;
        }
    }
    if (is(path, "/slow")) {
        buf_puts(&p->out, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
        timer_after(p->server->loop, &p->drip, 10, drip, p);
    } else if (is(path, "/endless")) {
        buf_puts(&p->out, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    } else if (is(path, "/stream")) {
        buf_puts(&p->out, "HTTP/1.1 200 OK\r\n\r\n");
        p->endless = true;
    } else if (is(path, "/fields")) {
        many_fields(p);
    } else if (is(path, "/wide")) {
        wide_fields(p);
    } else if (is(path, "/reset")) {
        reset(p);
    }
}

static void on_peer(void *arg, int what)
{
    struct http_peer *p = arg;
    struct http_server *s = p->server;
    char chunk[65536], *head_end, *length;
    int64_t body = 0;

    if (what == LOOP_WRITE) {
        peer_flush(p);
        return;
    }
    ssize_t n = recv(p->fd, chunk, sizeof chunk, 0);
    if (n <= 0) {
        peer_free(p);
        return;
    }
    buf_put(&p->in, chunk, (size_t)n);
    head_end = strstr(buf_str(&p->in), "\r\n\r\n");
    if (!head_end)
        return;
    length = strcasestr(p->in.data, "\r\nContent-Length: ");
    if (length && length < head_end)
        body = strtol(length + 18, NULL, 10);
    if (p->in.len < (size_t)(head_end + 4 - p->in.data) + (size_t)body)
        return;
    s->requests++;
    buf_reset(&s->last);
    buf_put(&s->last, p->in.data, p->in.len);
    buf_reset(&p->in);
    respond(p, strchr(buf_str(&s->last), ' ') + 1);
    p->close_when_sent = p->close_when_sent || s->close_after;
    if (p->out.len || p->close_when_sent)
        peer_flush(p);
}

static void on_accept(void *arg, int what)
{
    struct http_server *s = arg;
    struct http_peer *p = xnew(struct http_peer);

    (void)what;
    p->fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (p->fd < 0)
        abort();
    s->connections++;
    p->server = s;
    buf_init(&p->in, 1 << 22);
    buf_init(&p->out, 1 << 22);
    list_append(&s->peers, &p->node);
    p->watch = watch_new(s->loop, p->fd, LOOP_READ, on_peer, p);
}

void http_server_start(struct http_server *s, struct loop *l, const char *address)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    socklen_t len = sizeof in;

    memset(s, 0, sizeof *s);
    s->loop = l;
    list_init(&s->peers);
    buf_init(&s->last, 1 << 22);
    inet_pton(AF_INET, address, &in.sin_addr);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (bind(s->fd, (struct sockaddr *)&in, len) < 0 || listen(s->fd, 64) < 0 ||
        getsockname(s->fd, (struct sockaddr *)&in, &len) < 0)
        abort();
    s->port = ntohs(in.sin_port);
    s->watch = watch_new(l, s->fd, LOOP_READ, on_accept, s);
}

void http_server_stop(struct http_server *s)
{
    while (!list_empty(&s->peers))
        peer_free(list_item(s->peers.next, struct http_peer, node));
    watch_free(s->watch);
    close(s->fd);
    buf_free(&s->last);
}
