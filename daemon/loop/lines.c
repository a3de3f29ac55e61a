/* SPDX-License-Identifier: ISC */
#include "loop/lines.h"

#include "base/buf.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct lines {
    struct loop *loop;
    int fd;
    struct watch *watch;
    const struct lines_handler *handler;
    void *arg;
    struct list peers;
    unsigned n_peers, max_peers;
};

struct lines_peer {
    struct list node;
    struct lines *lines;
    int fd;
    uid_t uid;
    struct watch *watch;
    struct buf in, out;
    struct defer gone;
    bool busy;    /* a request is being answered */
    bool eof;     /* nothing more comes */
    bool closing; /* to be closed from the loop */
    void *data;
};

static void peer_free(struct lines_peer *p)
{
    list_remove(&p->node);
    p->lines->n_peers--;
    if (p->lines->n_peers < p->lines->max_peers)
        watch_set(p->lines->watch, LOOP_READ);
    defer_cancel(&p->gone);
    watch_free(p->watch);
    close(p->fd);
    buf_free(&p->in);
    buf_free(&p->out);
    free(p);
}

static void peer_gone(void *arg)
{
    struct lines_peer *p = arg;
    p->lines->handler->gone(p->lines->arg, p);
    peer_free(p);
}

static void peer_close(struct lines_peer *p)
{
    if (p->closing)
        return;
    p->closing = true;
    watch_set(p->watch, 0);
    defer_cancel(&p->gone);
    loop_defer(p->lines->loop, &p->gone, peer_gone, p);
}

static void peer_interest(struct lines_peer *p)
{
    if (p->closing)
        return;
    if (p->eof && !p->busy && p->out.len == 0) {
        peer_close(p);
        return;
    }
    watch_set(p->watch, (p->eof ? 0 : LOOP_READ) | (p->out.len > 0 ? LOOP_WRITE : 0));
}

static void peer_flush(struct lines_peer *p)
{
    while (p->out.len > 0) {
        ssize_t n = send(p->fd, p->out.data, p->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0) {
            peer_close(p);
            return;
        }
        buf_consume(&p->out, (size_t)n);
    }
    peer_interest(p);
}

static void peer_refuse(struct lines_peer *p, const char *text)
{
    CLEANUP_JSON struct json *j = json_object();
    json_add_bool(j, "done", true);
    json_add_bool(j, "ok", false);
    json_add_int(j, "exit", 2);
    json_add_text(j, "error", text);
    lines_send(p, j);
    p->eof = true;
}

/* Hands the next whole line to the handler. */
static void peer_next(struct lines_peer *p)
{
    if (p->busy || p->closing || p->in.len == 0)
        return;
    char *end = memchr(p->in.data, '\n', p->in.len);
    if (!end)
        return;
    struct err e = ERR_INIT;
    CLEANUP_JSON struct json *j = json_parse(p->in.data, (size_t)(end - p->in.data), &e);
    buf_consume(&p->in, (size_t)(end - p->in.data) + 1);
    if (!j || !json_is_object(j)) {
        peer_refuse(p, "a request is one JSON object on a line");
        return;
    }
    p->busy = true;
    p->lines->handler->request(p->lines->arg, p, j);
}

static void peer_read(struct lines_peer *p)
{
    char chunk[16384];
    ssize_t n = recv(p->fd, chunk, sizeof(chunk), MSG_DONTWAIT);
    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR)
            peer_close(p);
        return;
    }
    if (n == 0) {
        /* It may only have closed its sending side: the answer is still sent. One that is gone for
         * good is found out by the next write. */
        p->eof = true;
        return;
    }
    if (buf_put(&p->in, chunk, (size_t)n) < 0)
        peer_refuse(p, "the request is too long");
    peer_next(p);
}

static void peer_ready(void *arg, int what)
{
    struct lines_peer *p = arg;
    if (what & LOOP_WRITE)
        peer_flush(p);
    if (!p->closing && (what & LOOP_READ))
        peer_read(p);
    peer_interest(p);
}

static void listener_ready(void *arg, int what)
{
    (void)what;
    struct lines *l = arg;
    while (l->n_peers < l->max_peers) {
        int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
            return;
        struct ucred cred;
        socklen_t size = sizeof(cred);
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0) {
            close(fd);
            continue;
        }
        struct lines_peer *p = xnew(struct lines_peer);
        p->lines = l;
        p->fd = fd;
        p->uid = cred.uid;
        buf_init(&p->in, LINES_MAX_INPUT);
        buf_init(&p->out, LINES_MAX_OUTPUT);
        p->watch = watch_new(l->loop, fd, LOOP_READ, peer_ready, p);
        list_append(&l->peers, &p->node);
        l->n_peers++;
    }
    /* Full: the rest waits in the kernel's queue until one leaves. */
    watch_set(l->watch, 0);
}

struct lines *lines_new(struct loop *loop, int fd, unsigned max_peers,
                        const struct lines_handler *h, void *arg)
{
    struct lines *l = xnew(struct lines);
    l->loop = loop;
    l->fd = fd;
    l->handler = h;
    l->arg = arg;
    l->max_peers = max_peers;
    list_init(&l->peers);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    l->watch = watch_new(loop, fd, LOOP_READ, listener_ready, l);
    return l;
}

void lines_free(struct lines *l)
{
    if (!l)
        return;
    list_each(it, &l->peers)
    {
        struct lines_peer *p = list_item(it, struct lines_peer, node);
        peer_flush(p);
        l->handler->gone(l->arg, p);
        peer_free(p);
    }
    watch_free(l->watch);
    close(l->fd);
    free(l);
}

uid_t lines_uid(const struct lines_peer *p)
{
    return p->uid;
}

void lines_send(struct lines_peer *p, const struct json *object)
{
    if (p->closing)
        return;
    CLEANUP_FREE char *text = json_print(object, false);
    if (buf_puts(&p->out, text) < 0 || buf_putc(&p->out, '\n') < 0) {
        peer_close(p);
        return;
    }
    peer_flush(p);
}

static void peer_resume(void *arg)
{
    struct lines_peer *p = arg;
    peer_next(p);
    peer_interest(p);
}

void lines_finish(struct lines_peer *p)
{
    p->busy = false;
    p->data = NULL;
    if (p->closing)
        return;
    /* Not from here: the handler may still be on the stack. */
    loop_defer(p->lines->loop, &p->gone, peer_resume, p);
}

void lines_set_data(struct lines_peer *p, void *data)
{
    p->data = data;
}

void *lines_data(const struct lines_peer *p)
{
    return p->data;
}

static int bind_path(int fd, const char *path, mode_t mode, gid_t gid, struct err *e)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    if (!str_copy(sa.sun_path, sizeof(sa.sun_path), path))
        return err_set(e, ERR_CONFIG, "the socket's path %s is longer than %zu", path,
                       sizeof(sa.sun_path) - 1);
    unlink(path);
    /* Nobody can connect before listen(), so the mode is in force in time. */
    if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
        return err_sys(e, errno, "cannot make the socket %s", path);
    if (chmod(path, mode) < 0 || (gid != (gid_t)-1 && chown(path, (uid_t)-1, gid) < 0))
        return err_sys(e, errno, "cannot set the rights of the socket %s", path);
    if (listen(fd, 64) < 0)
        return err_sys(e, errno, "cannot listen on %s", path);
    return 0;
}

int lines_listen(const char *path, mode_t mode, gid_t gid, struct err *e)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_sys(e, errno, "cannot make a socket");
    if (bind_path(fd, path, mode, gid, e) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}
