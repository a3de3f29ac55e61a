/* SPDX-License-Identifier: ISC */
#include "base/mem.h"
#include "base/str.h"
#include "respond/pool.h"
#include "respond/setup.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PATH "/.well-known/acme-challenge/"
#define MANY 10000u

static struct world w;

static int set_up(void **state)
{
    (void)state;
    world_init(&w);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    world_done(&w);
    return 0;
}

static struct responder *put(const char *token, struct told *t)
{
    *t = (struct told){.loop = w.loop};
    return responders_http_put(w.responders, &w.listen, token, TOKEN "." THUMB, world_told, t);
}

static struct responder *served(struct told *t)
{
    struct responder *a = put(TOKEN, t);
    assert_int_equal(t->times, 0);
    world_run(&w);
    assert_int_equal(t->times, 1);
    assert_false(err_is(&t->err));
    return a;
}

/* ---- clients ---- */

struct exchange {
    const char *from;
    const char *request;
    size_t n; /* 0: strlen */
    char answer[2048];
    int got; /* -1: reset or timed out */
};

static void read_answer(int fd, struct exchange *x)
{
    ssize_t n;
    x->got = 0;
    while ((n = recv(fd, x->answer + x->got, sizeof(x->answer) - 1 - (size_t)x->got, 0)) > 0)
        x->got += (int)n;
    x->answer[x->got] = '\0';
    if (n < 0)
        x->got = -1;
}

static void exchange(void *arg)
{
    struct exchange *x = arg;
    int fd = client_connect(&w, x->from);
    size_t n = x->n ? x->n : strlen(x->request), sent = 0;
    x->got = -1;
    if (fd < 0)
        return;
    while (sent < n) {
        ssize_t did = send(fd, x->request + sent, n - sent, MSG_NOSIGNAL);
        if (did <= 0)
            break;
        sent += (size_t)did;
    }
    read_answer(fd, x);
    close(fd);
}

static const char *ask(const char *request)
{
    static struct exchange x;
    x = (struct exchange){.request = request};
    world_client(&w, exchange, &x);
    return x.answer;
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: example.org\r\n\r\n"

/* ---- what is served ---- */

static void test_only_the_token(void **state)
{
    static const char *const others[] = {
        GET(PATH),
        GET(PATH TOKEN "x"),
        GET(PATH TOKEN "/"),
        GET(PATH TOKEN "?a"),
        GET(PATH "../acme-challenge/" TOKEN),
        GET("//.well-known/acme-challenge/" TOKEN),
        GET("/.well-known/acme-challenge/%65vaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"),
        GET("http://example.org" PATH TOKEN),
        GET("/"),
    };
    struct told t;
    struct responder *a = served(&t);
    (void)state;
    const char *got = ask(GET(PATH TOKEN));
    assert_true(str_starts(got, "HTTP/1.1 200 OK\r\n"));
    assert_true(str_ends(got, "\r\n\r\n" TOKEN "." THUMB));
    assert_non_null(strstr(got, "\r\nContent-Type: application/octet-stream\r\n"));
    assert_non_null(strstr(got, "\r\nContent-Length: 87\r\n"));
    assert_non_null(strstr(got, "\r\nConnection: close\r\n"));
    assert_int_equal(responder_answered(a), 1);
    got = ask("HEAD " PATH TOKEN " HTTP/1.0\r\n\r\n");
    assert_true(str_ends(got, "\r\n\r\n"));
    assert_non_null(strstr(got, "\r\nContent-Length: 87\r\n"));
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_true(str_starts(ask(others[i]), "HTTP/1.1 404 Not Found\r\n"));
    assert_true(str_starts(ask("DELETE " PATH TOKEN " HTTP/1.1\r\n\r\n"), "HTTP/1.1 405 "));
    assert_true(str_starts(ask("\x16\x03\x01\r\n\r\n"), "HTTP/1.1 400 "));
    assert_int_equal(responder_answered(a), 2);
    responder_drop(a);
}

static void test_one_request_a_connection(void **state)
{
    struct told t;
    struct responder *a = served(&t);
    (void)state;
    const char *got = ask(GET(PATH TOKEN) GET(PATH TOKEN));
    assert_ptr_equal(strstr(got, "HTTP/1.1"), got);
    assert_null(strstr(got + 1, "HTTP/1.1"));
    assert_int_equal(responder_answered(a), 1);
    responder_drop(a);
}

static void test_too_much_is_cut(void **state)
{
    struct told t;
    struct responder *a = served(&t);
    struct exchange x = {.n = 1 << 20};
    CLEANUP_FREE char *much = xcalloc(1, x.n);
    (void)state;
    memset(much, 'a', x.n);
    memcpy(much, "GET " PATH TOKEN " HTTP/1.1\r\nX: ", strlen(PATH TOKEN) + 18);
    x.request = much;
    x.n = 9000;
    world_client(&w, exchange, &x);
    assert_true(str_starts(x.answer, "HTTP/1.1 431 "));
    /* An endless sender is cut off, before or after it has read that. */
    x.n = 1 << 20;
    world_client(&w, exchange, &x);
    assert_int_equal(responder_answered(a), 0);
    assert_true(str_starts(ask(GET(PATH TOKEN)), "HTTP/1.1 200 "));
    responder_drop(a);
}

/* ---- listening ---- */

static void test_one_socket_for_all(void **state)
{
    struct told t[3];
    struct responder *a[3];
    (void)state;
    assert_false(port_is_open(w.port));
    a[0] = put(TOKEN, &t[0]);
    a[1] = put("another-token-of-another-order", &t[1]);
    a[2] = put(TOKEN, &t[2]);
    while (t[0].times + t[1].times + t[2].times < 3)
        world_run(&w);
    assert_int_equal(w.open_calls, 1);
    responder_drop(a[0]);
    assert_true(str_starts(ask(GET(PATH TOKEN)), "HTTP/1.1 200 "));
    responder_drop(a[2]);
    assert_true(str_starts(ask(GET(PATH TOKEN)), "HTTP/1.1 404 "));
    assert_true(str_starts(ask(GET(PATH "another-token-of-another-order")), "HTTP/1.1 200 "));
    responder_drop(a[1]);
    assert_false(port_is_open(w.port));
    a[0] = served(&t[0]);
    assert_int_equal(w.open_calls, 2);
    responder_drop(a[0]);
}

static void test_dropped_while_it_waits(void **state)
{
    struct told t;
    struct responder *a = put(TOKEN, &t);
    (void)state;
    responder_drop(a);
    responder_drop(NULL);
    world_wait(&w, 20);
    assert_int_equal(t.times, 0);
    assert_int_equal(w.opened, 0);
}

static void test_a_taken_port_is_told(void **state)
{
    char second[] = "127.0.0.2:80";
    struct told t;
    (void)state;
    w.listen.v[1] = second;
    w.listen.n = 2;
    w.refuse_addr = second;
    err_set(&w.refuse, ERR_LOCAL, "port 80 is taken by nginx");
    w.refuse.sys = EADDRINUSE;
    struct responder *a = put(TOKEN, &t);
    world_run(&w);
    assert_int_equal(t.times, 1);
    assert_string_equal(t.err.detail, "port 80 is taken by nginx");
    assert_false(port_is_open(w.port)); /* the other address is not kept either */
    responder_drop(a);
    w.refuse_addr = NULL;
    w.listen.n = 1;
    responder_drop(served(&t));
}

static void test_a_lacking_family_is_left_out(void **state)
{
    char second[] = "[::]:80";
    struct told t;
    (void)state;
    w.listen.v[1] = second;
    w.listen.n = 2;
    w.refuse_addr = second;
    err_set(&w.refuse, ERR_LOCAL, "no IPv6");
    w.refuse.sys = EAFNOSUPPORT;
    struct responder *a = served(&t);
    assert_true(str_starts(ask(GET(PATH TOKEN)), "HTTP/1.1 200 "));
    responder_drop(a);
    w.listen.v[0] = second;
    w.listen.n = 1;
    a = put(TOKEN, &t);
    world_run(&w);
    assert_string_equal(t.err.detail, "no IPv6");
    responder_drop(a);
}

/* ---- strangers ---- */

struct crowd {
    int *fds;
    unsigned n, connected;
    const char *say; /* of each, once connected */
};

static void gather(void *arg)
{
    struct crowd *c = arg;
    for (unsigned i = 0; i < c->n; i++) {
        char from[32];
        snprintf(from, sizeof(from), "127.0.%u.1", 1 + i % 8);
        c->fds[i] = client_connect(&w, from);
        c->connected += c->fds[i] >= 0;
        if (c->fds[i] >= 0 && c->say)
            send(c->fds[i], c->say, strlen(c->say), MSG_NOSIGNAL);
    }
}

static void part(struct crowd *c)
{
    for (unsigned i = 0; i < c->n; i++) {
        if (c->fds[i] >= 0)
            close(c->fds[i]);
    }
    free(c->fds);
}

/* How many of them are still connected, seen from their side. */
static unsigned alive(const struct crowd *c)
{
    unsigned n = 0;
    for (unsigned i = 0; i < c->n; i++) {
        struct pollfd p = {.fd = c->fds[i], .events = POLLIN | POLLRDHUP};
        n += p.fd >= 0 && poll(&p, 1, 0) == 0;
    }
    return n;
}

/* Idle, or in the middle of a request: they are bounded, and who asks is answered meanwhile. */
static void check_crowd(const char *say)
{
    struct told t;
    struct responder *a = served(&t);
    struct crowd c = {.n = MANY, .say = say};
    struct exchange x = {.from = "127.0.0.9", .request = GET(PATH TOKEN)};
    long before;
    if (!world_room_for(MANY + 1000))
        skip();
    c.fds = xcalloc(c.n, sizeof(*c.fds));
    before = world_rss_kb();
    world_client(&w, gather, &c);
    world_client(&w, exchange, &x);
    long grown = world_rss_kb() - before;
    assert_int_equal(c.connected, MANY);
    assert_true(str_starts(x.answer, "HTTP/1.1 200 "));
    unsigned left = alive(&c);
    print_message("%u of %u are left, %ld KiB more\n", left, c.connected, grown);
    assert_in_range(left, 1, POOL_CONNS);
    assert_true(!WORLD_MEASURED || grown < WORLD_RSS_ROOM_KB);
    responder_drop(a);
    assert_int_equal(alive(&c), 0);
    part(&c);
}

static void test_idle_crowd(void **state)
{
    (void)state;
    check_crowd(NULL);
}

static void test_half_asking_crowd(void **state)
{
    (void)state;
    check_crowd("GET " PATH TOKEN " HTTP/1.1\r\nHost: example.org\r\nX-Long: aaaaaaaaaaaaaaaaaaa");
}

/* A host with few connections keeps them while others flood us. */
static void hold_on(void *arg)
{
    struct exchange *x = arg;
    struct crowd c = {.n = 3 * POOL_CONNS};
    int fd = client_connect(&w, "127.0.0.9");
    send(fd, x->request, 10, MSG_NOSIGNAL);
    c.fds = xcalloc(c.n, sizeof(*c.fds));
    gather(&c);
    send(fd, x->request + 10, strlen(x->request) - 10, MSG_NOSIGNAL);
    read_answer(fd, x);
    close(fd);
    part(&c);
}

static void test_the_crowded_source_goes_first(void **state)
{
    struct told t;
    struct responder *a = served(&t);
    struct exchange x = {.request = GET(PATH TOKEN)};
    (void)state;
    world_client(&w, hold_on, &x);
    assert_true(str_starts(x.answer, "HTTP/1.1 200 "));
    responder_drop(a);
}

struct slow {
    int64_t idle_ms, drip_ms;
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* One says nothing, one a byte now and then, one has closed its half. */
static void be_slow(void *arg)
{
    struct slow *s = arg;
    int64_t start = now_ms();
    int idle = client_connect(&w, NULL), drip = client_connect(&w, NULL);
    while (!s->idle_ms || !s->drip_ms) {
        struct pollfd p[2] = {{.fd = s->idle_ms ? -1 : idle, .events = POLLIN | POLLRDHUP},
                              {.fd = s->drip_ms ? -1 : drip, .events = POLLIN | POLLRDHUP}};
        if (poll(p, 2, 100) == 0)
            send(drip, "G", 1, MSG_NOSIGNAL);
        if (p[0].revents)
            s->idle_ms = now_ms() - start;
        if (p[1].revents)
            s->drip_ms = now_ms() - start;
    }
    close(idle);
    close(drip);
}

static void test_time_is_bounded_whatever_drips(void **state)
{
    struct told t;
    struct responder *a = served(&t);
    struct slow s = {0};
    (void)state;
    world_client(&w, be_slow, &s);
    assert_in_range(s.idle_ms, POOL_LIMIT_MS - 100, POOL_LIMIT_MS + 1500);
    assert_in_range(s.drip_ms, POOL_LIMIT_MS - 100, POOL_LIMIT_MS + 1500);
    responder_drop(a);
}

static int64_t cpu_ms(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (int64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000 +
           (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000;
}

static void test_no_spinning_without_descriptors(void **state)
{
    struct told t;
    struct responder *a = served(&t);
    struct rlimit r, none;
    struct exchange x = {0};
    (void)state;
    int fd = client_connect(&w, NULL), probe = dup(0);
    send(fd, GET(PATH TOKEN), strlen(GET(PATH TOKEN)), MSG_NOSIGNAL);
    getrlimit(RLIMIT_NOFILE, &r);
    none = r;
    none.rlim_cur = (rlim_t)probe; /* the lowest that is free */
    close(probe);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int64_t before = cpu_ms();
    world_wait(&w, 400);
    int64_t spent = cpu_ms() - before;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &r), 0);
    assert_int_equal(responder_answered(a), 0);
    assert_true(spent < 100);
    world_wait(&w, POOL_PAUSE_MS);
    assert_int_equal(responder_answered(a), 1);
    read_answer(fd, &x);
    assert_true(str_starts(x.answer, "HTTP/1.1 200 "));
    close(fd);
    responder_drop(a);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_only_the_token),
        TEST(test_one_request_a_connection),
        TEST(test_too_much_is_cut),
        TEST(test_one_socket_for_all),
        TEST(test_dropped_while_it_waits),
        TEST(test_a_taken_port_is_told),
        TEST(test_a_lacking_family_is_left_out),
        TEST(test_idle_crowd),
        TEST(test_half_asking_crowd),
        TEST(test_the_crowded_source_goes_first),
        TEST(test_time_is_bounded_whatever_drips),
        TEST(test_no_spinning_without_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
