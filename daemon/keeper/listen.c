/* SPDX-License-Identifier: ISC */
#include "keeper/listen.h"
#include "base/mem.h"
#include "base/str.h"
#include "keeper/port_holder.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 1024
#define GIVEN_FIRST 3 /* SD_LISTEN_FDS_START */
#define GIVEN_MAX 64
#define ADDR_TEXT 64

union address {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_storage any;
};

static bool parse(const char *text, union address *ret)
{
    char host[ADDR_TEXT];
    const char *colon = strrchr(text, ':');
    int64_t port;
    union address a = {.any = {0}};
    if (!colon || !str_to_i64(colon + 1, 1, 65535, &port) || (size_t)(colon - text) >= sizeof(host))
        return false;
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    size_t n = strlen(host);
    if (n > 2 && host[0] == '[' && host[n - 1] == ']') {
        host[n - 1] = '\0';
        a.in6.sin6_family = AF_INET6;
        a.in6.sin6_port = htons((uint16_t)port);
        if (inet_pton(AF_INET6, host + 1, &a.in6.sin6_addr) != 1)
            return false;
    } else {
        a.in.sin_family = AF_INET;
        a.in.sin_port = htons((uint16_t)port);
        if (inet_pton(AF_INET, host, &a.in.sin_addr) != 1)
            return false;
    }
    *ret = a;
    return true;
}

static socklen_t length(const union address *a)
{
    return a->sa.sa_family == AF_INET6 ? sizeof(a->in6) : sizeof(a->in);
}

static uint16_t port_of(const union address *a)
{
    return ntohs(a->sa.sa_family == AF_INET6 ? a->in6.sin6_port : a->in.sin_port);
}

static bool same(const union address *a, const union address *b)
{
    if (a->sa.sa_family != b->sa.sa_family || port_of(a) != port_of(b))
        return false;
    if (a->sa.sa_family == AF_INET6)
        return memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof(a->in6.sin6_addr)) == 0;
    return a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
}

/* ---- which addresses may be opened ---- */

static bool names(const struct conf_strs *list, const char *addr)
{
    for (size_t i = 0; i < list->n; i++) {
        if (str_eq(list->v[i], addr))
            return true;
    }
    return false;
}

static bool is_used(const struct conf_challenges *list, enum conf_challenge type)
{
    for (size_t i = 0; i < list->n; i++) {
        if (list->v[i] == type)
            return true;
    }
    return false;
}

/* By the certificate, or by one of its names. */
static bool uses(const struct conf_cert *cert, enum conf_challenge type)
{
    for (size_t i = 0; i < cert->n_names; i++) {
        if (is_used(&cert->names[i].challenges, type))
            return true;
    }
    return is_used(&cert->challenges, type);
}

/* What the address is for, or NULL. */
static const char *purpose(const struct conf *c, const char *addr)
{
    for (size_t i = 0; i < c->n_certs; i++) {
        const struct conf_cert *cert = &c->certs[i];
        if (cert->http01.kind == CONF_HTTP01_LISTEN && names(&cert->http01.listen, addr) &&
            uses(cert, CONF_HTTP_01))
            return "http-01";
        if (names(&cert->alpn_listen, addr) && uses(cert, CONF_TLS_ALPN_01))
            return "tls-alpn-01";
    }
    return NULL;
}

/* ---- opening ---- */

struct listen_given listen_given(const char *pid, const char *n)
{
    int64_t process, count;
    if (!pid || !n || !str_to_i64(pid, 1, INT32_MAX, &process) || process != getpid() ||
        !str_to_i64(n, 1, GIVEN_MAX, &count))
        return (struct listen_given){0};
    for (int fd = GIVEN_FIRST; fd < GIVEN_FIRST + (int)count; fd++)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    return (struct listen_given){GIVEN_FIRST, (int)count};
}

/* -1: none of them. */
static int take_given(const struct listen_given *given, const union address *wanted)
{
    for (int fd = given->first; fd < given->first + given->n; fd++) {
        union address a = {.any = {0}};
        socklen_t n = sizeof(a.any);
        int listens = 0;
        socklen_t size = sizeof(listens);
        if (getsockname(fd, &a.sa, &n) || !same(&a, wanted) ||
            getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) || !listens)
            continue;
        int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (own >= 0)
            fcntl(own, F_SETFL, fcntl(own, F_GETFL) | O_NONBLOCK);
        return own;
    }
    return -1;
}

static int explain(const char *addr, const union address *a, const char *what, int sys,
                   struct err *e)
{
    static const char webroot[] = "let that server pass the files on (http01: {webroot: PATH})";
    static const char other[] = "use another challenge";
    const char *instead = str_eq(what, "http-01") ? webroot : other;
    char who[PORT_HOLDER_TEXT];
    if (sys == EADDRINUSE)
        err_set(e, ERR_LOCAL,
                "port %u is taken by %s, so %s cannot listen on %s: %s, or listen on a port that "
                "port %s is forwarded to",
                port_of(a), port_holder(&a->sa, who), what, addr, instead,
                str_eq(what, "http-01") ? "80" : "443");
    else if (sys == EADDRNOTAVAIL)
        err_set(e, ERR_CONFIG, "cannot listen on %s for %s: this machine has no such address", addr,
                what);
    else if (sys == EACCES)
        err_set(e, ERR_CONFIG,
                "cannot listen on %s for %s: ports below 1024 need root or CAP_NET_BIND_SERVICE",
                addr, what);
    else
        return err_sys(e, sys, "cannot listen on %s for %s", addr, what);
    e->sys = sys;
    return -1;
}

static int open_socket(const union address *a)
{
    const int on = 1;
    int fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
        (a->sa.sa_family != AF_INET6 ||
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0) &&
        bind(fd, &a->sa, length(a)) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int sys = errno;
    close(fd);
    errno = sys;
    return -1;
}

int listen_open(const struct conf *c, const struct listen_given *given, const char *addr,
                struct err *e)
{
    const char *what = purpose(c, addr);
    union address a;
    if (!what)
        return err_set(e, ERR_BUG, "the configuration does not say that we listen on %s", addr);
    if (!parse(addr, &a))
        return err_set(e, ERR_CONFIG, "\"%s\" is no address to listen on: write ADDR:PORT", addr);
    int fd = take_given(given, &a);
    if (fd < 0)
        fd = open_socket(&a);
    return fd < 0 ? explain(addr, &a, what, errno, e) : fd;
}
