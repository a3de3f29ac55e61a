/* SPDX-License-Identifier: ISC */
/*
 *     probe_start --> RESOLVING --> one handshake per address, all at once --> ENDED --> done()
 *                                   (where libcurl cannot ask for it: HELLO first)
 *
 * A handshake has a handle of its own that may not use another's connection. The server need not
 * speak HTTP: nothing is sent over the connection, and no protocol is offered.
 */
#include "io/probe.h"

#include "base/mem.h"
#include "base/str.h"
#include "io/hello.h"
#include "io/http_internal.h"
#include "io/multi.h"
#include "io/transfer.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TIMEOUT_MS 10000
#define ADDRESSES_MAX 16

/* How a server comes to speak TLS: at once, asked in libcurl's words, or in ours. */
struct way {
    const char *starttls, *scheme;
    bool hello;
};
static const struct way ways[] = {
    {"", "https", false},    {"smtp", "smtp", false}, {"imap", "imap", false},
    {"pop3", "pop3", false}, {"ldap", "https", true}, {"postgres", "https", true},
};

struct handshake {
    struct probe *probe;
    struct hello *hello;
    int fd;     /* connected, still to be taken by libcurl; -1 */
    CURL *easy; /* NULL: not begun or ended */
    struct curl_slist *connect_to;
    char error[CURL_ERROR_SIZE];
    char *leaf;
};

struct probe {
    struct http *http;
    struct multi *multi;
    struct timer deadline;
    struct defer end;
    struct host_wait wait;
    char host[NAME_MAX_TEXT], sni[NAME_MAX_TEXT];
    uint16_t port;
    const struct way *way;
    enum probe_key key;
    int64_t timeout_ms;
    struct handshake *shakes;
    struct probe_result *results;
    size_t n, running;
    struct err err;
    probe_done_fn *done;
    void *arg;
};

static void shake_stop(struct handshake *s)
{
    if (s->easy) {
        multi_remove(s->probe->multi, s->easy);
        curl_easy_cleanup(s->easy);
        s->easy = NULL;
    }
    hello_cancel(s->hello);
    s->hello = NULL;
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

static void stop_all(struct probe *p)
{
    for (size_t i = 0; i < p->n; i++)
        shake_stop(&p->shakes[i]);
}

static void probe_free(struct probe *p)
{
    stop_all(p);
    for (size_t i = 0; i < p->n; i++) {
        curl_slist_free_all(p->shakes[i].connect_to);
        free(p->shakes[i].leaf);
    }
    host_wait_cancel(&p->wait);
    timer_cancel(&p->deadline);
    defer_cancel(&p->end);
    multi_free(p->multi);
    free(p->shakes);
    free(p->results);
    free(p);
}

void probe_cancel(struct probe *p)
{
    if (p)
        probe_free(p);
}

/* What p points to must outlive done(), p itself need not be known to the owner any more. */
static void run_done(void *arg)
{
    struct probe *p = arg;

    for (size_t i = 0; i < p->n; i++)
        p->results[i].leaf = p->shakes[i].leaf;
    p->done(p->arg, p->results, p->n, &p->err);
    probe_free(p);
}

static void probe_end(struct probe *p)
{
    timer_cancel(&p->deadline);
    host_wait_cancel(&p->wait);
    loop_defer(http_loop(p->http), &p->end, run_done, p);
}

static void late(void *arg)
{
    struct probe *p = arg;
    char span[32];

    str_from_duration(p->timeout_ms, span, sizeof span);
    for (size_t i = 0; i < p->n; i++)
        if (p->shakes[i].easy || p->shakes[i].hello)
            err_set(&p->results[i].err, ERR_TRANSIENT, "no TLS handshake within %s", span);
    if (p->wait.waiting)
        err_set(&p->err, ERR_TRANSIENT, "%s could not be looked up within %s", p->host, span);
    stop_all(p);
    probe_end(p);
}

/* libcurl gives "Name:value" lists, one per certificate, the leaf's first. */
static char *leaf_of(CURL *easy)
{
    struct curl_certinfo *info = NULL;

    if (curl_easy_getinfo(easy, CURLINFO_CERTINFO, &info) != CURLE_OK || !info ||
        info->num_of_certs < 1)
        return NULL;
    for (const struct curl_slist *l = info->certinfo[0]; l; l = l->next)
        if (str_starts(l->data, "Cert:"))
            return xstrdup(l->data + 5);
    return NULL;
}

static void shake_over(struct probe *p)
{
    if (--p->running == 0)
        probe_end(p);
}

static void shaken(void *priv, CURL *easy, CURLcode result)
{
    struct handshake *s = priv;
    struct probe *p = s->probe;
    struct err *e = &p->results[s - p->shakes].err;

    s->leaf = leaf_of(easy);
    curl_easy_cleanup(easy);
    s->easy = NULL;
    if (!s->leaf) {
        if (result == CURLE_COULDNT_CONNECT)
            err_set(e, ERR_TRANSIENT, "cannot connect: %s", s->error);
        else
            err_set(e, ERR_TRANSIENT, "no TLS handshake: %s",
                    s->error[0] ? s->error : curl_easy_strerror(result));
    }
    shake_over(p);
}

/* The socket on which hello has ended; closed by libcurl from then on. */
static curl_socket_t give_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct handshake *s = arg;
    int fd = s->fd;

    (void)purpose;
    (void)address;
    s->fd = -1;
    return fd >= 0 ? fd : CURL_SOCKET_BAD;
}

static int socket_is_connected(void *arg, curl_socket_t fd, curlsocktype purpose)
{
    (void)arg;
    (void)fd;
    (void)purpose;
    return CURL_SOCKOPT_ALREADY_CONNECTED;
}

static void use_hello(struct handshake *s)
{
    curl_easy_setopt(s->easy, CURLOPT_OPENSOCKETFUNCTION, give_socket);
    curl_easy_setopt(s->easy, CURLOPT_OPENSOCKETDATA, s);
    curl_easy_setopt(s->easy, CURLOPT_SOCKOPTFUNCTION, socket_is_connected);
}

/* Up to TLS 1.2 the cipher says what key the server's certificate has. */
static void use_tls(const struct probe *p, CURL *easy)
{
    static const char *const ciphers[] = {[PROBE_ANY_KEY] = "DEFAULT:@SECLEVEL=0",
                                          [PROBE_ECDSA] = "aECDSA:@SECLEVEL=0",
                                          [PROBE_RSA] = "aRSA:@SECLEVEL=0"};

    curl_easy_setopt(easy, CURLOPT_SSL_CIPHER_LIST, ciphers[p->key]);
    if (p->key != PROBE_ANY_KEY)
        curl_easy_setopt(easy, CURLOPT_SSLVERSION,
                         (long)CURL_SSLVERSION_TLSv1_0 | (long)CURL_SSLVERSION_MAX_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_USE_SSL, (long)CURLUSESSL_ALL);
    curl_easy_setopt(easy, CURLOPT_CERTINFO, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_ENABLE_ALPN, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L); /* a resumed one shows no chain */
    transfer_default_roots(easy);
}

static void use_address(struct handshake *s, const struct dns_addr *addr)
{
    const struct probe *p = s->probe;
    char address[64];
    struct dns_addr bare = *addr;
    bool v6 = bare.sa.ss_family == AF_INET6;

    ((struct sockaddr_in *)&bare.sa)->sin_port = 0; /* at the same place in IPv6 */
    dns_addr_text(&bare, address, sizeof address);
    CLEANUP_FREE char *url = xasprintf(strchr(p->sni, ':') ? "%s://[%s]:%u/" : "%s://%s:%u/",
                                       p->way->scheme, p->sni, p->port);
    CLEANUP_FREE char *to = xasprintf(v6 ? "::[%s]:%u" : "::%s:%u", address, p->port);
    s->connect_to = curl_slist_append(NULL, to);
    if (!s->connect_to)
        abort();
    curl_easy_setopt(s->easy, CURLOPT_URL, url);
    curl_easy_setopt(s->easy, CURLOPT_CONNECT_TO, s->connect_to);
}

static void shake(struct handshake *s)
{
    struct probe *p = s->probe;

    s->easy = curl_easy_init();
    if (!s->easy)
        abort();
    use_address(s, &p->results[s - p->shakes].addr);
    use_tls(p, s->easy);
    if (p->way->hello)
        use_hello(s);
    curl_easy_setopt(s->easy, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(s->easy, CURLOPT_PROTOCOLS_STR, p->way->scheme);
    curl_easy_setopt(s->easy, CURLOPT_PROXY, "");
    curl_easy_setopt(s->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(s->easy, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(s->easy, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(s->easy, CURLOPT_ERRORBUFFER, s->error);
    curl_easy_setopt(s->easy, CURLOPT_PRIVATE, s);
    if (multi_add(p->multi, s->easy))
        abort();
}

static void said_hello(void *arg, int fd, const struct err *err)
{
    struct handshake *s = arg;
    struct probe *p = s->probe;

    s->hello = NULL;
    s->fd = fd;
    if (fd >= 0) {
        shake(s);
        return;
    }
    p->results[s - p->shakes].err = *err;
    shake_over(p);
}

static void shake_start(struct probe *p, size_t i)
{
    struct handshake *s = &p->shakes[i];

    s->probe = p;
    s->fd = -1;
    p->running++;
    if (p->way->hello)
        s->hello =
            hello_start(http_loop(p->http), p->way->starttls, &p->results[i].addr, said_hello, s);
    else
        shake(s);
}

static void resolved(void *arg, const struct dns_addr *addrs, size_t n, const struct err *err)
{
    struct probe *p = arg;

    if (!n) {
        p->err = *err;
        probe_end(p);
        return;
    }
    p->n = n < ADDRESSES_MAX ? n : ADDRESSES_MAX;
    p->shakes = xcalloc(p->n, sizeof *p->shakes);
    p->results = xcalloc(p->n, sizeof *p->results);
    for (size_t i = 0; i < p->n; i++) {
        p->results[i].addr = addrs[i];
        ((struct sockaddr_in *)&p->results[i].addr.sa)->sin_port = htons(p->port);
    }
    for (size_t i = 0; i < p->n; i++)
        shake_start(p, i);
}

/* "HOST:PORT", "192.0.2.1:443", "[2001:db8::1]:443" */
static int split(struct probe *p, const char *connect)
{
    const char *colon = strrchr(connect, ':');
    int64_t port;

    if (!colon || colon == connect || !str_to_i64(colon + 1, 1, UINT16_MAX, &port) ||
        (size_t)(colon - connect) >= sizeof p->host)
        return err_set(&p->err, ERR_CONFIG, "%.100s is not HOST:PORT", connect);
    memcpy(p->host, connect, (size_t)(colon - connect));
    str_lower(p->host);
    p->port = (uint16_t)port;
    return 0;
}

static const struct way *find_way(const char *starttls)
{
    for (size_t i = 0; i < ARRAY_LEN(ways); i++)
        if (str_eq(ways[i].starttls, starttls ? starttls : ""))
            return &ways[i];
    return NULL;
}

struct probe *probe_start(struct http *h, const struct probe_spec *s, probe_done_fn *done,
                          void *arg)
{
    struct probe *p = xnew(struct probe);

    p->http = h;
    p->done = done;
    p->arg = arg;
    p->key = s->key;
    p->way = find_way(s->starttls);
    p->timeout_ms = s->timeout_ms > 0 ? s->timeout_ms : TIMEOUT_MS;
    p->multi = multi_new(http_loop(h), shaken);
    if (!p->way)
        err_set(&p->err, ERR_CONFIG, "starttls: %.30s is not known", s->starttls);
    if (!p->way || split(p, s->connect)) {
        probe_end(p);
        return p;
    }
    str_copy(p->sni, sizeof p->sni, s->sni && s->sni[0] ? s->sni : p->host);
    timer_after(http_loop(h), &p->deadline, p->timeout_ms, late, p);
    hosts_find(http_hosts(h), p->host, &p->wait, resolved, p);
    return p;
}
