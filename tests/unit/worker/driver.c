/* SPDX-License-Identifier: ISC */
#include "worker/driver.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 20000

const char *driver_build(void)
{
    return RENEWD_BUILD_DIR;
}

const char *driver_path(const char *below)
{
    static char path[4][1024];
    static unsigned turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof(path[turn]), "%s/%s", RENEWD_BUILD_DIR, below);
    return path[turn];
}

static pid_t spawn(const char *const *argv, int engine, int keeper)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    int a = engine, b = keeper;
    /* Out of the way first, then into place. */
    a = dup2(a, 60);
    if (b >= 0)
        b = dup2(b, 61);
    dup2(a, WORKER_FD_ENGINE);
    if (b >= 0)
        dup2(b, WORKER_FD_KEEPER);
    close(60);
    close(61);
    execv(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

static bool read_all(int fd, void *p, size_t n)
{
    char *to = p;
    while (n) {
        struct pollfd f = {.fd = fd, .events = POLLIN};
        if (poll(&f, 1, PATIENCE_MS) <= 0)
            return false;
        ssize_t got = read(fd, to, n);
        if (got <= 0)
            return false;
        to += got;
        n -= (size_t)got;
    }
    return true;
}

/* *ret_payload: the caller frees. */
static bool read_frame(int fd, struct frame_head *head, char **ret_payload)
{
    char raw[FRAME_HEADER];
    if (!read_all(fd, raw, sizeof(raw)) || frame_head_read(raw, sizeof(raw), FRAME_MAX, head) != 1)
        return false;
    *ret_payload = xcalloc(1, head->len + 1);
    if (read_all(fd, *ret_payload, head->len))
        return true;
    free(*ret_payload);
    return false;
}

static void send_buf(int fd, struct buf *b)
{
    size_t done = 0;
    while (done < b->len) {
        ssize_t n = send(fd, b->data + done, b->len - done, MSG_NOSIGNAL);
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    buf_free(b);
}

int driver_describe(const char *path, struct worker_descriptor *ret, struct err *e)
{
    int pair[2];
    const char *const argv[] = {driver_path("bin/renewd-worker"), "--describe", path, NULL};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return err_sys(e, errno, "socketpair");
    pid_t pid = spawn(argv, pair[1], -1);
    close(pair[1]);
    struct frame_head head;
    char *payload = NULL;
    int rc = -1, status;
    if (!read_frame(pair[0], &head, &payload))
        err_set(e, ERR_LOCAL, "the worker said nothing");
    else if (head.type == WORKER_FAILED)
        worker_failed_decode(payload, head.len, e);
    else if (head.type == WORKER_DESCRIPTOR)
        rc = worker_descriptor_decode(payload, head.len, ret);
    free(payload);
    close(pair[0]);
    waitpid(pid, &status, 0);
    if (rc == 0 && status != 0)
        rc = err_set(e, ERR_LOCAL, "the worker ended with status %d", status);
    return rc;
}

static int expect(struct driver *d, int fd, enum worker_msg type, char **ret_payload, size_t *ret_n,
                  struct err *e)
{
    struct frame_head head;
    if (!read_frame(fd, &head, ret_payload))
        return err_set(e, ERR_LOCAL, "the worker said nothing (waiting for %d)", type);
    *ret_n = head.len;
    if (head.type == type)
        return 0;
    if (head.type == WORKER_FAILED)
        worker_failed_decode(*ret_payload, head.len, e);
    else
        err_set(e, ERR_LOCAL, "frame %u instead of %d", head.type, type);
    free(*ret_payload);
    (void)d;
    return -1;
}

static void send_config(struct driver *d, const struct driver_option *options)
{
    struct worker_setting s[32];
    uint32_t n = 0;
    for (; options && options[n].name; n++)
        s[n] = (struct worker_setting){options[n].name, options[n].value, options[n].secret};
    struct worker_config c = {.instance = "instance", .settings = s, .n_settings = n, .ttl = 200};
    struct buf b;
    buf_init_secret(&b, WORKER_KEEPER_MAX);
    worker_config_encode(&b, &c);
    send_buf(d->keeper, &b);
}

static int launch(struct driver *d, const char *path, const struct driver_option *options,
                  bool sandbox, struct err *e)
{
    int engine[2], keeper[2];
    const char *const argv[] = {driver_path("bin/renewd-worker"), "--instance", "instance", path,
                                sandbox ? NULL : "--no-sandbox",  NULL};
    memset(d, 0, sizeof(*d));
    d->zone = "example.org";
    d->handle = "";
    d->deadline_ms = 15000;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, engine) != 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, keeper) != 0)
        return err_sys(e, errno, "socketpair");
    d->pid = spawn(argv, engine[1], keeper[1]);
    close(engine[1]);
    close(keeper[1]);
    d->engine = engine[0];
    d->keeper = keeper[0];
    char *payload;
    size_t n;
    if (expect(d, d->keeper, WORKER_READY, &payload, &n, e) != 0)
        goto fail;
    free(payload);
    send_config(d, options);
    if (expect(d, d->keeper, WORKER_CREATED, &payload, &n, e) != 0)
        goto fail;
    free(payload);
    return 0;
fail:
    driver_stop(d);
    return -1;
}

int driver_spawn(struct driver *d, const char *path, const struct driver_option *options,
                 struct err *e)
{
    return launch(d, path, options, true, e);
}

static int greet(struct driver *d, struct err *e)
{
    char *payload = NULL;
    size_t n = 0;
    if (expect(d, d->engine, WORKER_HELLO, &payload, &n, e) != 0)
        goto fail;
    int rc = worker_hello_decode(payload, n, &d->hello);
    free(payload);
    if (rc == 0)
        return 0;
fail:
    driver_stop(d);
    return -1;
}

int driver_start(struct driver *d, const char *path, const struct driver_option *options,
                 struct err *e)
{
    return launch(d, path, options, true, e) == 0 ? greet(d, e) : -1;
}

int driver_start_open(struct driver *d, const char *path, const struct driver_option *options,
                      struct err *e)
{
    return launch(d, path, options, false, e) == 0 ? greet(d, e) : -1;
}

uint32_t driver_send(struct driver *d, const struct worker_change *changes, uint32_t n)
{
    struct worker_op op = {.deadline_ms = d->deadline_ms, .changes = changes, .n = n};
    struct buf b;
    buf_init(&b, WORKER_ENGINE_MAX);
    worker_op_encode(&b, ++d->next_id, &op);
    send_buf(d->engine, &b);
    return d->next_id;
}

void driver_cancel(struct driver *d, uint32_t id)
{
    struct buf b;
    buf_init(&b, 100);
    worker_cancel_encode(&b, id);
    send_buf(d->engine, &b);
}

static void serve_http(struct driver *d, uint32_t id, const void *p, size_t n)
{
    struct worker_http *q;
    struct buf b;
    if (worker_http_decode(p, n, &q) != 0)
        abort();
    struct worker_http_reply r = {.cls = WORKER_E_UNSUPPORTED, .detail = "no http here"};
    if (d->http)
        d->http(d, q, &r);
    buf_init(&b, WORKER_ENGINE_MAX);
    worker_http_reply_encode(&b, id, &r);
    send_buf(d->engine, &b);
    worker_http_free(q);
}

static void serve_exchange(struct driver *d, uint32_t id, const void *p, size_t n)
{
    struct worker_exchange x;
    struct buf b;
    if (worker_exchange_decode(p, n, &x) != 0)
        abort();
    struct worker_exchange_reply r = {.cls = WORKER_E_UNSUPPORTED, .detail = "no dns here"};
    if (d->exchange)
        d->exchange(d, &x, &r);
    buf_init(&b, WORKER_ENGINE_MAX);
    worker_exchange_reply_encode(&b, id, &r);
    send_buf(d->engine, &b);
    worker_exchange_done(&x);
}

static void serve_cache(struct driver *d, const struct frame_head *head, const void *p)
{
    struct worker_cache c;
    if (worker_cache_decode(p, head->len, &c) != 0)
        abort();
    size_t i = 0;
    while (i + 1 < DRIVER_CACHE && d->cache[i].key[0] && !str_eq(d->cache[i].key, c.key))
        i++;
    if (head->type == WORKER_CACHE_PUT) {
        str_copy(d->cache[i].key, sizeof(d->cache[i].key), c.key);
        snprintf(d->cache[i].value, sizeof(d->cache[i].value), "%.*s", (int)c.len,
                 (const char *)c.value);
        return;
    }
    struct buf b;
    buf_init(&b, WORKER_ENGINE_MAX);
    c.value = d->cache[i].value;
    c.len = str_eq(d->cache[i].key, c.key) ? strlen(d->cache[i].value) : 0;
    worker_cache_encode(&b, WORKER_CACHE_REPLY, head->id, &c);
    send_buf(d->engine, &b);
}

static void serve_log(struct driver *d, const struct frame_head *head, const void *p)
{
    struct worker_log l;
    if (worker_log_decode(p, head->len, &l) != 0)
        abort();
    size_t n = strlen(d->log);
    d->n_logs++;
    snprintf(d->log + n, sizeof(d->log) - n, "%s\n", l.text);
}

/* 1: it was the DONE that is waited for. */
static int serve(struct driver *d, uint32_t id, const struct frame_head *head, const void *p,
                 struct worker_done *ret)
{
    switch (head->type) {
    case WORKER_HTTP:
        serve_http(d, head->id, p, head->len);
        return 0;
    case WORKER_EXCHANGE:
        serve_exchange(d, head->id, p, head->len);
        return 0;
    case WORKER_CACHE_GET:
    case WORKER_CACHE_PUT:
        serve_cache(d, head, p);
        return 0;
    case WORKER_LOG:
        serve_log(d, head, p);
        return 0;
    case WORKER_DONE:
        return worker_done_decode(p, head->len, ret) != 0 ? -1 : head->id == id;
    default:
        return -1;
    }
}

int driver_wait(struct driver *d, uint32_t id, struct worker_done *ret)
{
    for (;;) {
        struct frame_head head;
        char *payload;
        if (!read_frame(d->engine, &head, &payload))
            return -1;
        int rc = serve(d, id, &head, payload, ret);
        free(payload);
        if (rc != 0)
            return rc > 0 ? 0 : -1;
    }
}

int driver_batch(struct driver *d, const struct worker_change *changes, uint32_t n,
                 struct worker_done *ret)
{
    return driver_wait(d, driver_send(d, changes, n), ret);
}

int driver_op(struct driver *d, enum worker_op_kind kind, const char *fqdn, const char *value,
              struct worker_done *ret)
{
    struct worker_change c = {
        .kind = kind, .fqdn = fqdn, .value = value, .zone = d->zone, .handle = d->handle};
    return driver_batch(d, &c, 1, ret);
}

int driver_stop(struct driver *d)
{
    int status = 0;
    close(d->engine);
    close(d->keeper);
    for (int i = 0; i < 2000 && waitpid(d->pid, &status, WNOHANG) == 0; i++) {
        struct timespec t = {.tv_nsec = 1000000};
        nanosleep(&t, NULL);
        if (i == 1000)
            kill(d->pid, SIGKILL);
    }
    worker_descriptor_free(&d->hello.descriptor);
    return status;
}
