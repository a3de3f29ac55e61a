/* SPDX-License-Identifier: ISC */
/*
 * Life of a channel:
 *
 *     OPEN -- EOF, error, malformed frame, queue too long --> ENDED -- from the loop --> closed()
 *
 * In ENDED nothing is read, written or delivered any more.
 *
 * A descriptor always travels with the first byte of a frame, in a call of its own; a reader that
 * accepts descriptors never reads beyond the frame at hand, so that it knows whose each one is
 * (a read ends behind the bytes that a descriptor came with, but it may begin well before them).
 */
#include "loop/channel.h"

#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define READ_SIZE (16u << 10) /* of one read; larger frames grow the buffer while they last */
#define READS_A_TURN 16       /* then the other descriptors of the loop come first */
#define SEGMENT_SIZE (16u << 10)
#define SEGMENTS_A_CALL 64
#define QUEUE_MAX (64u << 20) /* bytes waiting to be written */

struct segment {
    struct list node;
    int fd; /* sent with the first byte; -1 */
    size_t off, len, cap;
    char data[];
};

struct channel {
    struct loop *loop;
    int fd;
    struct watch *watch;
    const struct channel_handler *handler;
    void *arg;
    uint32_t max;
    bool accept_fds, paused, ended;
    struct defer flush, resume, close;
    struct err why;

    struct list out;
    size_t out_len;
    bool out_blocked; /* the kernel's buffer is full */

    uint8_t *in;
    size_t in_len, in_cap;
    int in_fd; /* came with the frame at hand */

    bool busy, freed; /* inside a callback of the owner, who freed us there */
};

/* --- ending --- */

static void segment_free(struct segment *s)
{
    list_remove(&s->node);
    if (s->fd >= 0)
        close(s->fd);
    secret_wipe(s->data, s->len);
    free(s);
}

static void drop_queue(struct channel *c)
{
    while (!list_empty(&c->out))
        segment_free(list_item(c->out.next, struct segment, node));
    c->out_len = 0;
    c->out_blocked = false;
}

static void run_closed(void *arg)
{
    struct channel *c = arg;

    c->handler->closed(c->arg, &c->why);
}

static void interest(struct channel *c)
{
    int what = 0;

    if (!c->ended && !c->paused)
        what |= LOOP_READ;
    if (!c->ended && c->out_blocked)
        what |= LOOP_WRITE;
    watch_set(c->watch, what);
}

/* c->why says why. */
static void end(struct channel *c)
{
    if (c->ended)
        return;
    c->ended = true;
    drop_queue(c);
    defer_cancel(&c->flush);
    defer_cancel(&c->resume);
    interest(c);
    loop_defer(c->loop, &c->close, run_closed, c);
}

static void release(struct channel *c)
{
    drop_queue(c);
    defer_cancel(&c->flush);
    defer_cancel(&c->resume);
    defer_cancel(&c->close);
    watch_free(c->watch);
    close(c->fd);
    if (c->in_fd >= 0)
        close(c->in_fd);
    secret_wipe(c->in, c->in_cap);
    free(c->in);
    free(c);
}

/* --- reading --- */

static void in_resize(struct channel *c, size_t cap)
{
    uint8_t *p = xcalloc(1, cap);

    if (c->in_len)
        memcpy(p, c->in, c->in_len);
    if (c->in)
        secret_wipe(c->in, c->in_cap);
    free(c->in);
    c->in = p;
    c->in_cap = cap;
}

static void in_consume(struct channel *c, size_t n)
{
    if (n == 0)
        return;
    memmove(c->in, c->in + n, c->in_len - n);
    c->in_len -= n;
    secret_wipe(c->in + c->in_len, n);
}

/* How much to read now: what fits, or no more than the frame at hand lacks (see the head). A frame
 * that is larger than the buffer makes it grow. */
static size_t in_want(struct channel *c)
{
    struct frame_head h;
    size_t whole = FRAME_HEADER;

    if (frame_head_read(c->in, c->in_len, c->max, &h) == 1)
        whole += h.len;
    if (whole > c->in_cap)
        in_resize(c, whole);
    return (c->accept_fds ? whole : c->in_cap) - c->in_len;
}

/* Takes at most one descriptor; more, or one that nobody asked for, is an error. */
static int take_fds(struct channel *c, struct msghdr *m)
{
    int bad = m->msg_flags & MSG_CTRUNC;

    for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(h) + i * sizeof fd, sizeof fd);
            if (c->in_fd < 0) {
                c->in_fd = fd;
            } else {
                close(fd);
                bad = 1;
            }
        }
    }
    return bad ? err_set(&c->why, ERR_PEER, "the peer sent a descriptor out of place") : 0;
}

/* 2: all that was asked for; 1: less; 0: nothing there now; -1: c->why. */
static int read_some(struct channel *c)
{
    size_t want = in_want(c);
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(4 * sizeof(int))];
    } control;
    struct iovec iov = {.iov_base = c->in + c->in_len, .iov_len = want};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

    if (c->accept_fds) {
        m.msg_control = control.space;
        m.msg_controllen = sizeof control.space;
    }
    ssize_t n = recvmsg(c->fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (n < 0) {
        if (errno == EAGAIN || errno == EINTR)
            return 0;
        return err_sys(&c->why, errno, "reading from the peer");
    }
    if (n == 0)
        return err_set(&c->why, ERR_TRANSIENT,
                       c->in_len ? "the peer closed within a frame" : "the peer closed");
    c->in_len += (size_t)n;
    if (take_fds(c, &m))
        return -1;
    return (size_t)n == want ? 2 : 1;
}

/* The frame at p. As channel_handler.frame. */
static int deliver(struct channel *c, const struct frame_head *h, const uint8_t *p)
{
    int fd = c->in_fd;
    int r;

    c->in_fd = -1;
    c->busy = true;
    r = c->handler->frame(c->arg, h, p + FRAME_HEADER, fd);
    c->busy = false;
    return r;
}

/* Hands out the whole frames that are in the buffer. false: the channel is gone. */
static bool frames(struct channel *c)
{
    struct frame_head h;
    size_t at = 0;
    int r = 0;

    while (r >= 0 && !c->ended && !c->paused) {
        r = frame_head_read(c->in + at, c->in_len - at, c->max, &h);
        if (r == 0 || (r == 1 && c->in_len - at - FRAME_HEADER < h.len))
            break;
        if (r == 1)
            r = deliver(c, &h, c->in + at);
        if (r >= 0)
            at += FRAME_HEADER + h.len;
    }
    if (c->freed) {
        release(c);
        return false;
    }
    if (r < 0) {
        err_set(&c->why, ERR_PEER, "the peer sent a malformed frame");
        end(c);
    }
    in_consume(c, at);
    if (at && c->in_len <= READ_SIZE && c->in_cap > READ_SIZE)
        in_resize(c, READ_SIZE);
    return true;
}

/* Up to READS_A_TURN reads and their frames. false: the channel is gone. */
static bool pump(struct channel *c)
{
    for (int i = 0; i < READS_A_TURN && !c->ended && !c->paused; i++) {
        int r = read_some(c);

        if (r < 0)
            end(c);
        if (r <= 0)
            break;
        if (!frames(c))
            return false;
        if (r == 1 && !c->accept_fds)
            break; /* nothing more is there: saves a call */
    }
    return true;
}

/* --- writing --- */

static void sent(struct channel *c, size_t n)
{
    c->out_len -= n;
    while (n) {
        struct segment *s = list_item(c->out.next, struct segment, node);
        size_t part = s->len - s->off < n ? s->len - s->off : n;

        if (s->fd >= 0) {
            close(s->fd);
            s->fd = -1;
        }
        s->off += part;
        n -= part;
        if (s->off == s->len)
            segment_free(s);
    }
}

/* One call: the queue up to the next descriptor. As sendmsg. */
static ssize_t send_some(struct channel *c)
{
    struct iovec iov[SEGMENTS_A_CALL];
    struct msghdr m = {.msg_iov = iov};
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};

    list_each(it, &c->out)
    {
        struct segment *s = list_item(it, struct segment, node);

        if (m.msg_iovlen == SEGMENTS_A_CALL || (s->fd >= 0 && m.msg_iovlen))
            break;
        iov[m.msg_iovlen++] =
            (struct iovec){.iov_base = s->data + s->off, .iov_len = s->len - s->off};
        if (s->fd < 0)
            continue;
        m.msg_control = control.space;
        m.msg_controllen = sizeof control.space;
        control.align = (struct cmsghdr){
            .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.align), &s->fd, sizeof(int));
    }
    return sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* The peer is gone, but what it had said before is still to be read. */
static void write_failed(struct channel *c, int sys)
{
    struct err why = {0};

    if (!pump(c) || c->ended)
        return;
    err_sys(&why, sys, "writing to the peer");
    c->why = why;
    end(c);
}

static void flush(void *arg)
{
    struct channel *c = arg;

    while (!list_empty(&c->out)) {
        ssize_t n = send_some(c);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == ENOBUFS)) {
            c->out_blocked = true;
            interest(c);
            return;
        }
        if (n < 0) {
            write_failed(c, errno);
            return;
        }
        sent(c, (size_t)n);
    }
    c->out_blocked = false;
    interest(c);
}

static void append(struct channel *c, const void *p, size_t n, int fd)
{
    struct segment *s = list_empty(&c->out) ? NULL : list_item(c->out.prev, struct segment, node);

    if (fd >= 0 || !s || s->cap - s->len < n) {
        size_t cap = n > SEGMENT_SIZE / 2 ? n : SEGMENT_SIZE;

        if (n <= 512 && !s)
            cap = 1024; /* the usual: one small frame at a time */
        s = xrealloc_array(NULL, 1, sizeof *s + cap);
        *s = (struct segment){.fd = fd, .cap = cap};
        list_append(&c->out, &s->node);
    }
    memcpy(s->data + s->len, p, n);
    s->len += n;
    c->out_len += n;
}

static int send_refused(struct channel *c, const struct buf *b)
{
    if (c->ended)
        return -1;
    if (buf_failed(b))
        err_set(&c->why, ERR_BUG, "a message was over its maximum");
    else
        err_set(&c->why, ERR_LOCAL, "the peer does not read: over %u MiB wait for it",
                QUEUE_MAX >> 20);
    end(c);
    return -1;
}

int channel_send(struct channel *c, const struct buf *b, int fd)
{
    bool refuse = c->ended || buf_failed(b) || b->len > QUEUE_MAX - c->out_len;

    if (refuse || b->len == 0) {
        if (fd >= 0)
            close(fd);
        return refuse ? send_refused(c, b) : 0;
    }
    append(c, b->data, b->len, fd);
    if (!c->out_blocked)
        loop_defer(c->loop, &c->flush, flush, c);
    return 0;
}

/* --- the rest --- */

static void ready(void *arg, int what)
{
    struct channel *c = arg;

    if (what == LOOP_WRITE)
        flush(c);
    else
        pump(c);
}

struct channel *channel_new(struct loop *l, int fd, uint32_t max, const struct channel_handler *h,
                            void *arg)
{
    struct channel *c = xnew(struct channel);
    int flags = fcntl(fd, F_GETFL);

    if (flags >= 0 && !(flags & O_NONBLOCK))
        fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    c->loop = l;
    c->fd = fd;
    c->max = max;
    c->handler = h;
    c->arg = arg;
    c->in_fd = -1;
    list_init(&c->out);
    in_resize(c, READ_SIZE);
    c->watch = watch_new(l, fd, LOOP_READ, ready, c);
    return c;
}

void channel_free(struct channel *c)
{
    if (!c)
        return;
    if (c->busy) {
        c->freed = true;
        c->ended = true;
        return;
    }
    release(c);
}

static void resume(void *arg)
{
    struct channel *c = arg;

    frames(c);
}

void channel_pause(struct channel *c, bool pause)
{
    if (c->paused == pause || c->ended)
        return;
    c->paused = pause;
    interest(c);
    if (pause)
        defer_cancel(&c->resume);
    else /* whole frames may be waiting in the buffer */
        loop_defer(c->loop, &c->resume, resume, c);
}

bool channel_idle(const struct channel *c)
{
    return list_empty(&c->out);
}

void channel_accept_fds(struct channel *c)
{
    c->accept_fds = true;
}

int channel_pair(int ret_fds[2], struct err *e)
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ret_fds) < 0)
        return err_sys(e, errno, "cannot make a socket pair");
    return 0;
}
