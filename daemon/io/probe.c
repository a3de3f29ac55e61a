/* SPDX-License-Identifier: ISC */
/*
 *     probe_start --> RESOLVING --> one handshake per address, all at once --> ENDED --> done()
 *
 * A handshake has a handle of its own that may not use another's connection. The server need not
 * speak HTTP: nothing is sent over the connection, and no protocol is offered.
 */
#include "io/probe.h"

#include "base/str.h"
#include "io/http_internal.h"
#include "io/multi.h"
#include "io/transfer.h"

#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 10000
#define ADDRESSES_MAX 16

struct handshake {
    struct probe *probe;
    CURL *easy; /* NULL: ended */
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
        if (p->shakes[i].easy)
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
    if (--p->running == 0)
        probe_end(p);
}

static void shake_start(struct probe *p, size_t i)
{
    struct handshake *s = &p->shakes[i];
    char address[64];
    struct dns_addr bare = p->results[i].addr;
    bool v6 = bare.sa.ss_family == AF_INET6;

    ((struct sockaddr_in *)&bare.sa)->sin_port = 0; /* at the same place in IPv6 */
    dns_addr_text(&bare, address, sizeof address);
    char *url = xasprintf("https://%s:%u/", p->sni, p->port);
    char *to = xasprintf(v6 ? "::[%s]:%u" : "::%s:%u", address, p->port);
    s->probe = p;
    s->connect_to = curl_slist_append(NULL, to);
    s->easy = curl_easy_init();
    if (!s->easy || !s->connect_to)
        abort();
    curl_easy_setopt(s->easy, CURLOPT_URL, url);
    curl_easy_setopt(s->easy, CURLOPT_CONNECT_TO, s->connect_to);
    curl_easy_setopt(s->easy, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(s->easy, CURLOPT_CERTINFO, 1L);
    curl_easy_setopt(s->easy, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(s->easy, CURLOPT_SSL_VERIFYHOST, 0L);
    curl_easy_setopt(s->easy, CURLOPT_SSL_ENABLE_ALPN, 0L);
    curl_easy_setopt(s->easy, CURLOPT_SSL_CIPHER_LIST, "DEFAULT:@SECLEVEL=0");
    curl_easy_setopt(s->easy, CURLOPT_SSL_SESSIONID_CACHE, 0L); /* a resumed one shows no chain */
    curl_easy_setopt(s->easy, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(s->easy, CURLOPT_PROXY, "");
    curl_easy_setopt(s->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(s->easy, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(s->easy, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(s->easy, CURLOPT_ERRORBUFFER, s->error);
    curl_easy_setopt(s->easy, CURLOPT_PRIVATE, s);
    transfer_default_roots(s->easy);
    free(url);
    free(to);
    if (multi_add(p->multi, s->easy))
        abort();
    p->running++;
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

struct probe *probe_start(struct http *h, const char *connect, const char *sni, int64_t timeout_ms,
                          probe_done_fn *done, void *arg)
{
    struct probe *p = xnew(struct probe);

    p->http = h;
    p->done = done;
    p->arg = arg;
    p->timeout_ms = timeout_ms > 0 ? timeout_ms : TIMEOUT_MS;
    p->multi = multi_new(http_loop(h), shaken);
    if (split(p, connect)) {
        probe_end(p);
        return p;
    }
    str_copy(p->sni, sizeof p->sni, sni && sni[0] ? sni : p->host);
    timer_after(http_loop(h), &p->deadline, p->timeout_ms, late, p);
    hosts_find(http_hosts(h), p->host, &p->wait, resolved, p);
    return p;
}
