/* SPDX-License-Identifier: ISC */
#include "worker/pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define READ_SIZE 16384

void pipe_init(struct pipe *p, int fd, uint32_t max)
{
    *p = (struct pipe){.fd = fd, .max = max};
    buf_init_secret(&p->in, (size_t)max + FRAME_HEADER + READ_SIZE);
    buf_init_secret(&p->out, 2 * ((size_t)max + FRAME_HEADER));
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0 && (flags & O_NONBLOCK))
        fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
}

void pipe_close(struct pipe *p)
{
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
    buf_free(&p->in);
    buf_free(&p->out);
}

int pipe_flush(struct pipe *p)
{
    if (p->out.failed || p->fd < 0)
        return -1;
    size_t done = 0;
    while (done < p->out.len) {
        ssize_t n = write(p->fd, p->out.data + done, p->out.len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        done += (size_t)n;
    }
    buf_consume(&p->out, done);
    return 0;
}

static int64_t mono_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* 1: something to read; 0: time is up; -1: the end. */
static int wait_readable(const struct pipe *p, int64_t until)
{
    for (;;) {
        int64_t left = until - mono_ms();
        struct pollfd f = {.fd = p->fd, .events = POLLIN};
        int n = poll(&f, 1, left <= 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left);
        if (n > 0)
            return 1;
        if (n < 0 && errno != EINTR)
            return -1;
        if (n == 0 && left <= 0)
            return 0;
    }
}

static int fill(struct pipe *p)
{
    char chunk[READ_SIZE];
    ssize_t n;
    do
        n = read(p->fd, chunk, sizeof(chunk));
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return -1;
    int rc = buf_put(&p->in, chunk, (size_t)n);
    explicit_bzero(chunk, (size_t)n);
    return rc;
}

enum pipe_result pipe_read(struct pipe *p, int64_t timeout_ms, struct frame_head *ret_head,
                           const void **ret_payload)
{
    int64_t until = timeout_ms >= 0 ? mono_ms() + timeout_ms : 0;
    buf_consume(&p->in, p->taken);
    p->taken = 0;
    for (;;) {
        int rc = p->in.len ? frame_head_read(p->in.data, p->in.len, p->max, ret_head) : 0;
        if (rc < 0)
            return PIPE_END;
        if (rc > 0 && p->in.len - FRAME_HEADER >= ret_head->len) {
            *ret_payload = p->in.data + FRAME_HEADER;
            p->taken = FRAME_HEADER + ret_head->len;
            return PIPE_FRAME;
        }
        if (pipe_flush(p) != 0)
            return PIPE_END;
        rc = timeout_ms < 0 ? 1 : wait_readable(p, until);
        if (rc == 0)
            return PIPE_TIMEOUT;
        if (rc < 0 || fill(p) != 0)
            return PIPE_END;
    }
}
