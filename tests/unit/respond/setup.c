/* SPDX-License-Identifier: ISC */
#include "respond/setup.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

struct keeper_call {
    struct world *world;
    struct list node;
    struct defer defer;
    char addr[64];
    keeper_listen_fn *fn;
    void *arg;
};

static struct sockaddr_in address(const char *text)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    char host[64];
    str_copy(host, sizeof(host), text);
    char *colon = strrchr(host, ':');
    if (colon) {
        *colon = '\0';
        a.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    }
    assert_int_equal(inet_pton(AF_INET, host, &a.sin_addr), 1);
    return a;
}

static int open_listening(const char *text)
{
    struct sockaddr_in a = address(text);
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(fd, 1024), 0);
    return fd;
}

static void answer(void *arg)
{
    struct keeper_call *c = arg;
    struct world *w = c->world;
    struct err none = ERR_INIT;
    list_remove(&c->node);
    if (w->refuse_addr && str_eq(c->addr, w->refuse_addr)) {
        c->fn(c->arg, -1, &w->refuse);
    } else {
        w->opened++;
        c->fn(c->arg, open_listening(c->addr), &none);
    }
    free(c);
}

static struct keeper_call *do_listen(struct keeper *k, const char *addr, keeper_listen_fn *fn,
                                     void *arg)
{
    struct keeper_call *c = xnew(struct keeper_call);
    c->world = CONTAINER_OF(k, struct world, keeper);
    c->world->open_calls++;
    str_copy(c->addr, sizeof(c->addr), addr);
    c->fn = fn;
    c->arg = arg;
    list_append(&c->world->calls, &c->node);
    loop_defer(c->world->loop, &c->defer, answer, c);
    return c;
}

static void do_cancel(struct keeper_call *c)
{
    list_remove(&c->node);
    defer_cancel(&c->defer);
    free(c);
}

static unsigned short free_port(void)
{
    struct sockaddr_in a = address("127.0.0.1:0");
    socklen_t n = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    close(fd);
    return ntohs(a.sin_port);
}

void world_init(struct world *w)
{
    static const struct keeper_ops ops = {.listen = do_listen, .cancel = do_cancel};
    *w = (struct world){.loop = loop_new(), .keeper = {&ops}, .port = free_port()};
    list_init(&w->calls);
    snprintf(w->addr, sizeof(w->addr), "127.0.0.1:%u", w->port);
    w->listen.v = xcalloc(2, sizeof(char *));
    w->listen.v[0] = w->addr;
    w->listen.n = 1;
    w->responders = responders_new(&(struct responders_env){.loop = w->loop, .keeper = &w->keeper});
}

void world_done(struct world *w)
{
    responders_free(w->responders);
    assert_true(list_empty(&w->calls));
    loop_free(w->loop);
    free(w->listen.v);
}

void world_told(void *arg, const struct err *err)
{
    struct told *t = arg;
    t->times++;
    t->err = *err;
    loop_stop(t->loop);
}

static void too_long(void *arg)
{
    (void)arg;
    fail_msg("nothing has happened for 30 s");
}

void world_run(struct world *w)
{
    struct timer limit = {0};
    timer_after(w->loop, &limit, 30000, too_long, NULL);
    assert_int_equal(loop_run(w->loop), 0);
    timer_cancel(&limit);
}

static void stop(void *arg)
{
    loop_stop(arg);
}

void world_wait(struct world *w, int64_t ms)
{
    struct timer t = {0};
    timer_after(w->loop, &t, ms, stop, w->loop);
    assert_int_equal(loop_run(w->loop), 0);
}

struct client {
    void (*fn)(void *);
    void *arg;
    struct wake *wake;
};

static void *client_main(void *arg)
{
    struct client *c = arg;
    c->fn(c->arg);
    wake_send(c->wake);
    return NULL;
}

void world_client(struct world *w, void (*fn)(void *arg), void *arg)
{
    struct client c = {.fn = fn, .arg = arg, .wake = wake_new(w->loop, stop, w->loop)};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, client_main, &c), 0);
    world_run(w);
    pthread_join(thread, NULL);
    wake_free(c.wake);
}

int client_connect(const struct world *w, const char *from)
{
    struct sockaddr_in to = address(w->addr);
    struct timeval limit = {.tv_sec = 15};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (from) {
        struct sockaddr_in source = address(from);
        bind(fd, (struct sockaddr *)&source, sizeof(source));
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
        return fd;
    close(fd);
    return -1;
}

bool port_is_open(unsigned short port)
{
    struct sockaddr_in to = address("127.0.0.1");
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    to.sin_port = htons(port);
    bool open = connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0;
    close(fd);
    return open;
}

long world_rss_kb(void)
{
    char line[256];
    long kb = 0;
    FILE *f = fopen("/proc/self/status", "re");
    while (f && fgets(line, sizeof(line), f)) {
        if (str_starts(line, "VmRSS:"))
            kb = strtol(line + 6, NULL, 10);
    }
    if (f)
        fclose(f);
    return kb;
}

bool world_room_for(unsigned files)
{
    struct rlimit r;
    getrlimit(RLIMIT_NOFILE, &r);
    if (r.rlim_max != RLIM_INFINITY && r.rlim_max < files)
        return false;
    r.rlim_cur = r.rlim_cur < files ? files : r.rlim_cur;
    return setrlimit(RLIMIT_NOFILE, &r) == 0;
}
