/* SPDX-License-Identifier: ISC */
/*
 *     hello_start --> CONNECTING --> ASKING --> ANSWER, until it is whole --> ENDED --> done()
 */
#include "io/hello.h"

#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_MAX 1024

enum answer { ANSWER_PART, ANSWER_YES, ANSWER_NO };

struct kind {
    const char *protocol;
    const char *ask;
    size_t ask_len;
    /* Of n bytes at p; what is behind a whole answer is nobody's who means well. */
    enum answer (*judge)(const uint8_t *p, size_t n, struct err *e);
};

struct hello {
    struct loop *loop;
    const struct kind *kind;
    int fd;
    struct watch *watch;
    struct defer end;
    size_t sent, n;
    uint8_t answer[ANSWER_MAX];
    struct err err;
    hello_done_fn *done;
    void *arg;
};

static enum answer no(struct err *e, const char *what)
{
    err_set(e, ERR_TRANSIENT, "%s", what);
    return ANSWER_NO;
}

/* ---- LDAP ---- */

/* A BER element's length; p is moved behind it. false: not all of it is there, or it is too long.
 */
static bool ber_length(const uint8_t **p, const uint8_t *end, size_t *ret)
{
    if (*p == end)
        return false;
    size_t n = *(*p)++;
    unsigned more = n & 0x80 ? n & 0x7f : 0;
    if (more > 3 || (n & 0x80 && !more) || (size_t)(end - *p) < more)
        return false;
    for (n = more ? 0 : n; more; more--)
        n = n << 8 | *(*p)++;
    *ret = n;
    return true;
}

/* LDAPMessage { messageID 1, [APPLICATION 24] { resultCode, ... } } */
static enum answer judge_ldap(const uint8_t *p, size_t n, struct err *e)
{
    static const uint8_t id_and_tag[] = {0x02, 0x01, 0x01, 0x78};
    static const uint8_t success[] = {0x0a, 0x01, 0x00};
    const uint8_t *end = p + n;
    size_t len;

    if (*p++ != 0x30)
        return no(e, "what answers is no LDAP server");
    if (!ber_length(&p, end, &len) || (size_t)(end - p) < len)
        return n == ANSWER_MAX ? no(e, "the LDAP server's answer is too long") : ANSWER_PART;
    if ((size_t)(end - p) > len)
        return no(e, "the LDAP server says more than was asked before TLS");
    if (len < sizeof id_and_tag || memcmp(p, id_and_tag, sizeof id_and_tag) != 0)
        return no(e, "the LDAP server does not answer StartTLS");
    p += sizeof id_and_tag;
    if (!ber_length(&p, end, &len) || (size_t)(end - p) < sizeof success ||
        memcmp(p, success, sizeof success) != 0)
        return no(e, "the LDAP server refuses StartTLS");
    return ANSWER_YES;
}

/* ---- PostgreSQL: one letter ---- */

static enum answer judge_postgres(const uint8_t *p, size_t n, struct err *e)
{
    if (n == 1 && *p == 'S')
        return ANSWER_YES;
    if (*p == 'N')
        return no(e, "the PostgreSQL server has no TLS: set ssl = on there");
    return no(e, "what answers is no PostgreSQL server");
}

#define BYTES(s) (s), sizeof(s) - 1

static const struct kind kinds[] = {
    {"ldap",
     BYTES("\x30\x1d\x02\x01\x01\x77\x18\x80\x16"
           "1.3.6.1.4.1.1466.20037"),
     judge_ldap},
    {"postgres", BYTES("\x00\x00\x00\x08\x04\xd2\x16\x2f"), judge_postgres},
};

static const struct kind *find_kind(const char *protocol)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (str_eq(kinds[i].protocol, protocol))
            return &kinds[i];
    return NULL;
}

bool hello_knows(const char *protocol)
{
    return find_kind(protocol) != NULL;
}

/* ---- the connection ---- */

void hello_cancel(struct hello *h)
{
    if (!h)
        return;
    watch_free(h->watch);
    defer_cancel(&h->end);
    if (h->fd >= 0)
        close(h->fd);
    free(h);
}

static void run_done(void *arg)
{
    struct hello *h = arg;
    hello_done_fn *done = h->done;
    void *done_arg = h->arg;
    struct err err = h->err;
    int fd = err.cls == ERR_NONE ? h->fd : -1;

    if (fd >= 0)
        h->fd = -1;
    hello_cancel(h);
    done(done_arg, fd, &err);
}

static void end(struct hello *h)
{
    watch_free(h->watch);
    h->watch = NULL;
    loop_defer(h->loop, &h->end, run_done, h);
}

static void broken(struct hello *h, int error)
{
    err_set(&h->err, ERR_TRANSIENT, "%s: %s",
            h->sent ? "the connection broke before TLS" : "cannot connect", strerror(error));
    end(h);
}

static void ask(struct hello *h)
{
    int error = 0;
    socklen_t len = sizeof error;

    if (!h->sent && (getsockopt(h->fd, SOL_SOCKET, SO_ERROR, &error, &len) || error)) {
        broken(h, error ? error : errno);
        return;
    }
    ssize_t n = send(h->fd, h->kind->ask + h->sent, h->kind->ask_len - h->sent,
                     MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        broken(h, errno);
        return;
    }
    h->sent += n > 0 ? (size_t)n : 0;
    if (h->sent == h->kind->ask_len)
        watch_set(h->watch, LOOP_READ);
}

static void hear(struct hello *h)
{
    ssize_t n = recv(h->fd, h->answer + h->n, ANSWER_MAX - h->n, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        broken(h, n < 0 ? errno : ECONNRESET);
        return;
    }
    h->n += (size_t)n;
    if (h->kind->judge(h->answer, h->n, &h->err) != ANSWER_PART)
        end(h);
}

static void ready(void *arg, int what)
{
    struct hello *h = arg;

    if (h->sent < h->kind->ask_len)
        ask(h);
    else if (what & LOOP_READ)
        hear(h);
}

struct hello *hello_start(struct loop *l, const char *protocol, const struct dns_addr *server,
                          hello_done_fn *done, void *arg)
{
    struct hello *h = xnew(struct hello);
    bool v6 = server->sa.ss_family == AF_INET6;

    h->loop = l;
    h->kind = find_kind(protocol);
    h->done = done;
    h->arg = arg;
    h->fd = socket(server->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (h->fd < 0) {
        broken(h, errno);
        return h;
    }
    if (connect(h->fd, (const struct sockaddr *)&server->sa,
                v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in)) < 0 &&
        errno != EINPROGRESS) {
        broken(h, errno);
        return h;
    }
    h->watch = watch_new(l, h->fd, LOOP_WRITE, ready, h);
    return h;
}
