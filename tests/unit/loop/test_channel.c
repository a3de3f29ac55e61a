/* SPDX-License-Identifier: ISC */
#include "loop/channel.h"

#include "base/str.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define MAX_PAYLOAD (1u << 20)

/* One end under test, the other a bare descriptor or a second channel. */
struct end {
    struct channel *c;
    unsigned frames, closed;
    uint32_t last_id;
    size_t last_len, total;
    int fds, last_fd;
    unsigned fd_with[64]; /* ids that came with a descriptor */
    struct err why;
    unsigned stop_after; /* frames */
    bool refuse, free_in_frame, free_in_closed, pause_in_frame;
};

static struct loop *loop;
static struct end a, b;
static int raw;

static int on_frame(void *arg, const struct frame_head *h, const void *payload, int fd)
{
    struct end *x = arg;

    x->frames++;
    x->last_id = h->id;
    x->last_len = h->len;
    x->total += h->len;
    for (size_t i = 0; i < h->len; i++)
        assert_int_equal(((const unsigned char *)payload)[i], (unsigned char)(h->id + i));
    if (fd >= 0) {
        x->fd_with[x->fds++] = h->id;
        close(fd);
    }
    if (x->pause_in_frame)
        channel_pause(x->c, true);
    if (x->free_in_frame) {
        channel_free(x->c);
        x->c = NULL;
    }
    if (x->frames == x->stop_after)
        loop_stop(loop);
    return x->refuse ? -1 : 0;
}

static void on_closed(void *arg, const struct err *why)
{
    struct end *x = arg;

    x->closed++;
    x->why = *why;
    if (x->free_in_closed) {
        channel_free(x->c);
        x->c = NULL;
    }
    loop_stop(loop);
}

static const struct channel_handler handler = {.frame = on_frame, .closed = on_closed};

static void stop(void *arg)
{
    (void)arg;
    loop_stop(loop);
}

static void run_for(int ms)
{
    struct timer t = {0};

    timer_after(loop, &t, ms, stop, NULL);
    loop_run(loop);
    timer_cancel(&t);
}

static int setup(void **state)
{
    int fds[2];

    (void)state;
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    loop = loop_new();
    assert_int_equal(channel_pair(fds, NULL), 0);
    a.c = channel_new(loop, fds[0], MAX_PAYLOAD, &handler, &a);
    raw = fds[1];
    return 0;
}

static int setup_both(void **state)
{
    setup(state);
    b.c = channel_new(loop, raw, MAX_PAYLOAD, &handler, &b);
    raw = -1;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    channel_free(a.c);
    channel_free(b.c);
    if (raw >= 0)
        close(raw);
    loop_free(loop);
    return 0;
}

static void put(struct buf *f, uint32_t id, size_t n)
{
    size_t mark = frame_begin(f, 7, id);

    for (size_t i = 0; i < n; i++)
        buf_putc(f, (char)(id + i));
    assert_int_equal(frame_end(f, mark), 0);
}

static void send_frame(struct channel *c, uint32_t id, size_t n, int fd)
{
    struct buf f;

    buf_init(&f, FRAME_MAX + FRAME_HEADER);
    put(&f, id, n);
    assert_int_equal(channel_send(c, &f, fd), 0);
    buf_free(&f);
}

static void frames_arrive_byte_by_byte(void **state)
{
    struct buf f;

    (void)state;
    buf_init(&f, 4096);
    put(&f, 1, 0);
    put(&f, 2, 100);
    for (size_t i = 0; i < f.len; i++) {
        assert_int_equal(write(raw, f.data + i, 1), 1);
        run_for(0);
    }
    assert_int_equal(a.frames, 2);
    assert_int_equal(a.last_id, 2);
    assert_int_equal(a.last_len, 100);
    assert_int_equal(a.closed, 0);
    buf_free(&f);
}

static void many_frames_both_ways(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 3000; i++) {
        send_frame(a.c, i, i % 300, -1);
        send_frame(b.c, i, i % 7, -1);
    }
    send_frame(a.c, 9, MAX_PAYLOAD, -1);
    send_frame(a.c, 10, 5, -1);
    assert_false(channel_idle(a.c));
    assert_int_equal(b.frames, 0);
    b.stop_after = 3002;
    loop_run(loop);
    assert_int_equal(a.frames, 3000);
    assert_int_equal(b.last_id, 10);
    run_for(0);
    assert_true(channel_idle(a.c));
}

static void oversized_frame_ends_the_channel_once(void **state)
{
    static const uint8_t head[FRAME_HEADER] = {1, 0, 0x10, 0, 7, 0, 0, 0, 1, 0, 0, 0};

    (void)state;
    assert_int_equal(write(raw, head, sizeof head), sizeof head);
    loop_run(loop);
    run_for(5);
    assert_int_equal(a.closed, 1);
    assert_int_equal(a.frames, 0);
    assert_int_equal(a.why.cls, ERR_PEER);
    /* What is sent now goes nowhere, quietly. */
    struct buf f;
    buf_init(&f, 64);
    put(&f, 1, 0);
    assert_int_equal(channel_send(a.c, &f, -1), -1);
    buf_free(&f);
    run_for(5);
    assert_int_equal(a.closed, 1);
}

static void refused_frame_ends_the_channel(void **state)
{
    (void)state;
    b.refuse = true;
    send_frame(a.c, 1, 1, -1);
    send_frame(a.c, 2, 1, -1);
    loop_run(loop);
    run_for(5);
    assert_int_equal(b.frames, 1);
    assert_int_equal(b.closed, 1);
    assert_int_equal(b.why.cls, ERR_PEER);
}

static void eof_comes_after_the_last_frame(void **state)
{
    (void)state;
    b.free_in_closed = true;
    send_frame(a.c, 1, 10, -1);
    send_frame(a.c, 2, 10, -1);
    run_for(0);
    channel_free(a.c);
    a.c = NULL;
    run_for(5);
    assert_int_equal(b.frames, 2);
    assert_int_equal(b.closed, 1);
    assert_int_equal(b.why.cls, ERR_TRANSIENT);
}

static void eof_within_a_frame_is_told(void **state)
{
    (void)state;
    assert_int_equal(write(raw, "\1\0\0", 3), 3);
    close(raw);
    raw = -1;
    loop_run(loop);
    assert_int_equal(a.closed, 1);
    assert_non_null(strstr(a.why.detail, "within a frame"));
}

static void write_error_delivers_what_was_said_before(void **state)
{
    struct buf f;

    (void)state;
    buf_init(&f, 64);
    put(&f, 5, 3);
    assert_int_equal(write(raw, f.data, f.len), f.len);
    close(raw);
    raw = -1;
    assert_int_equal(channel_send(a.c, &f, -1), 0);
    buf_free(&f);
    loop_run(loop);
    run_for(5);
    assert_int_equal(a.frames, 1);
    assert_int_equal(a.closed, 1);
}

static void the_owner_frees_within_a_frame(void **state)
{
    (void)state;
    b.free_in_frame = true;
    b.stop_after = 1;
    send_frame(a.c, 1, 10, -1);
    send_frame(a.c, 2, 10, -1);
    loop_run(loop);
    run_for(5);
    assert_int_equal(b.frames, 1);
    assert_int_equal(b.closed, 0);
    assert_int_equal(a.closed, 1);
}

static void pause_holds_frames_back(void **state)
{
    (void)state;
    b.pause_in_frame = true;
    for (uint32_t i = 0; i < 5; i++)
        send_frame(a.c, i, 10, -1);
    run_for(5);
    assert_int_equal(b.frames, 1);
    channel_pause(b.c, false);
    assert_int_equal(b.frames, 1);
    run_for(5);
    assert_int_equal(b.frames, 2);
    b.pause_in_frame = false;
    channel_pause(b.c, false);
    run_for(5);
    assert_int_equal(b.frames, 5);
}

static void descriptors_stay_with_their_frames(void **state)
{
    static const unsigned with[] = {2, 3, 7, 20};
    unsigned k = 0;

    (void)state;
    channel_accept_fds(b.c);
    for (uint32_t i = 0; i < 30; i++) {
        bool fd = k < 4 && with[k] == i;

        send_frame(a.c, i, i == 7 ? 200000 : 50, fd ? memfd_create("x", MFD_CLOEXEC) : -1);
        k += fd;
        if (i % 5 == 0)
            run_for(0);
    }
    b.stop_after = 30;
    if (b.frames < 30)
        loop_run(loop);
    assert_int_equal(b.frames, 30);
    assert_int_equal(b.fds, 4);
    for (k = 0; k < 4; k++)
        assert_int_equal(b.fd_with[k], with[k]);
}

static int open_fds(void)
{
    int n = 0;

    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void an_unasked_descriptor_ends_the_channel(void **state)
{
    int before = open_fds();

    (void)state;
    send_frame(a.c, 1, 10, memfd_create("x", MFD_CLOEXEC));
    loop_run(loop);
    assert_int_equal(b.closed, 1);
    assert_int_equal(b.frames, 0);
    assert_int_equal(open_fds(), before);
}

static void two_descriptors_end_the_channel(void **state)
{
    union {
        struct cmsghdr h;
        char space[CMSG_SPACE(2 * sizeof(int))];
    } control = {0};
    struct buf f;
    int fds[2] = {0, 1};
    int before = open_fds();

    (void)state;
    channel_accept_fds(a.c);
    buf_init(&f, 64);
    put(&f, 1, 1);
    struct iovec iov = {.iov_base = f.data, .iov_len = f.len};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof control.space};
    control.h = (struct cmsghdr){
        .cmsg_len = CMSG_LEN(sizeof fds), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(&control.h), fds, sizeof fds);
    assert_int_equal(sendmsg(raw, &m, 0), f.len);
    buf_free(&f);
    loop_run(loop);
    assert_int_equal(a.closed, 1);
    assert_int_equal(a.frames, 0);
    channel_free(a.c);
    a.c = NULL;
    assert_int_equal(open_fds(), before - 1);
}

static void a_peer_that_does_not_read_ends_the_channel(void **state)
{
    struct buf f;
    int i, r = 0;

    (void)state;
    buf_init(&f, FRAME_MAX + FRAME_HEADER);
    put(&f, 1, 1u << 20);
    for (i = 0; i < 100 && r == 0; i++)
        r = channel_send(a.c, &f, -1);
    buf_free(&f);
    assert_int_equal(r, -1);
    assert_true(i > 32);
    assert_int_equal(a.closed, 0); /* told later */
    loop_run(loop);
    assert_int_equal(a.closed, 1);
    assert_int_equal(a.why.cls, ERR_LOCAL);
}

static void a_blocked_writer_goes_on(void **state)
{
    (void)state;
    channel_pause(b.c, true);
    for (uint32_t i = 0; i < 20; i++)
        send_frame(a.c, i, 500000, -1);
    run_for(5);
    assert_false(channel_idle(a.c));
    channel_pause(b.c, false);
    b.stop_after = 20;
    loop_run(loop);
    assert_int_equal(b.total, 20 * 500000);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define TEST_BOTH(f) cmocka_unit_test_setup_teardown(f, setup_both, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(frames_arrive_byte_by_byte),
        TEST_BOTH(many_frames_both_ways),
        TEST(oversized_frame_ends_the_channel_once),
        TEST_BOTH(refused_frame_ends_the_channel),
        TEST_BOTH(eof_comes_after_the_last_frame),
        TEST(eof_within_a_frame_is_told),
        TEST(write_error_delivers_what_was_said_before),
        TEST_BOTH(the_owner_frees_within_a_frame),
        TEST_BOTH(pause_holds_frames_back),
        TEST_BOTH(descriptors_stay_with_their_frames),
        TEST_BOTH(an_unasked_descriptor_ends_the_channel),
        TEST(two_descriptors_end_the_channel),
        TEST(a_peer_that_does_not_read_ends_the_channel),
        TEST_BOTH(a_blocked_writer_goes_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
