/* SPDX-License-Identifier: ISC */
/*
 * A call:
 *
 *     http_start --> RESOLVING --> TRANSFER --> ENDED -- from the loop --> done()
 *                        ^            | connecting to remembered addresses failed: once
 *                        +------------+
 *
 * Each site has a multi of its own, for libcurl would share connections among sites that trust
 * other roots or have other credentials. One deadline covers all of it.
 */
#include "io/http.h"

#include "base/str.h"
#include "io/egress.h"
#include "io/hosts.h"
#include "io/http_internal.h"
#include "io/multi.h"
#include "io/transfer.h"

#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 30000
#define CONNECTIONS 4
#define IDLE_HANDLES 64 /* some 10 KiB each */

struct http {
    struct loop *loop;
    struct hosts *hosts;
    struct list sites;
    char *user_agent;
};

/* Requests under way at once over an HTTP/2 connection; the rest wait here. It keeps a server busy,
 * and no server under siege (CAs have limits of their own; Pebble can lock up under hundreds). */
#define STREAMS_MAX 64

struct http_site {
    struct list node;
    struct http *http; /* NULL: freed before us */
    struct http_site_spec spec;
    char *ca_pem;
    char **literal_hosts;
    struct multi *multi;
    struct transfer_origin origin;
    struct list calls;
    CURL *idle[IDLE_HANDLES];
    size_t n_idle;
};

struct http_call {
    struct list node;
    struct http_site *site;
    struct transfer transfer;
    CURL *easy; /* in the site's multi; NULL: none */
    struct host_wait wait;
    struct dns_addr own; /* where the host is an address itself */
    struct timer deadline;
    struct defer end;
    bool remembered; /* the addresses were not looked up for us */
    int64_t timeout_ms, begun_ms;
    int status;
    struct err err;
    http_done_fn *done;
    void *arg;
};

/* --- handles --- */

static CURL *handle_get(struct http_site *s)
{
    CURL *easy = s->n_idle ? s->idle[--s->n_idle] : curl_easy_init();

    if (!easy)
        abort();
    return easy;
}

static void handle_put(struct http_site *s, CURL *easy)
{
    if (s->n_idle == IDLE_HANDLES) {
        curl_easy_cleanup(easy);
        return;
    }
    curl_easy_reset(easy); /* it points to what is freed now */
    s->idle[s->n_idle++] = easy;
}

/* --- calls --- */

/* Out of every queue; the transfer's memory stays. */
static void call_detach(struct http_call *c)
{
    list_remove(&c->node);
    host_wait_cancel(&c->wait);
    timer_cancel(&c->deadline);
    defer_cancel(&c->end);
    if (c->easy) {
        multi_remove(c->site->multi, c->easy);
        handle_put(c->site, c->easy);
        c->easy = NULL;
    }
}

void http_cancel(struct http_call *c)
{
    if (!c)
        return;
    call_detach(c);
    transfer_done(&c->transfer);
    free(c);
}

static void run_done(void *arg)
{
    struct http_call *c = arg;
    struct http_header room[TRANSFER_FIELDS_MAX];
    struct http_reply reply;
    bool good = c->err.cls == ERR_NONE;

    call_detach(c);
    if (good)
        transfer_reply(&c->transfer, c->status, room, &reply);
    c->done(c->arg, good ? &reply : NULL, &c->err);
    transfer_done(&c->transfer);
    free(c);
}

static void call_end(struct http_call *c)
{
    timer_cancel(&c->deadline);
    host_wait_cancel(&c->wait);
    loop_defer(c->site->http->loop, &c->end, run_done, c);
}

static void call_late(void *arg)
{
    struct http_call *c = arg;
    const char *doing = c->wait.waiting ? "looking it up" : "waiting for its reply";
    char span[32];

    err_set(&c->err, ERR_TRANSIENT, "%s: gave up after %s of %s", c->transfer.host,
            str_from_duration(c->timeout_ms, span, sizeof span), doing);
    str_copy(c->err.type, sizeof c->err.type, HTTP_UNREACHABLE);
    if (c->easy) {
        multi_remove(c->site->multi, c->easy);
        handle_put(c->site, c->easy);
        c->easy = NULL;
    }
    call_end(c);
}

static void call_transfer(struct http_call *c)
{
    struct http_site *s = c->site;
    int64_t left = c->timeout_ms - (loop_mono_ms(s->http->loop) - c->begun_ms);

    c->easy = handle_get(s);
    /* Less than all, so that a second address still has a chance: libcurl halves what is left. */
    transfer_setup(&c->transfer, c->easy, s->ca_pem, s->http->user_agent,
                   left > 3 ? left * 2 / 3 : 1);
    curl_easy_setopt(c->easy, CURLOPT_PRIVATE, c);
    if (multi_add(s->multi, c->easy) == 0)
        return;
    err_set(&c->err, ERR_LOCAL, "%s: libcurl refuses the request", c->transfer.host);
    handle_put(s, c->easy);
    c->easy = NULL;
    call_end(c);
}

/* Those that the egress rule lets through. */
static void call_connect(struct http_call *c, const struct dns_addr *addrs, size_t n)
{
    struct dns_addr good[16];
    size_t n_good = 0;

    for (size_t i = 0; i < n && n_good < ARRAY_LEN(good); i++)
        if (!c->transfer.check_address || !egress_is_inside((const struct sockaddr *)&addrs[i].sa))
            good[n_good++] = addrs[i];
    if (n_good) {
        if (addrs != &c->own)
            transfer_set_addresses(&c->transfer, good, n_good);
        call_transfer(c);
        return;
    }
    c->transfer.refused_address = true;
    transfer_result(&c->transfer, CURLE_COULDNT_CONNECT, &c->err);
    call_end(c);
}

static void call_found(void *arg, const struct dns_addr *addrs, size_t n, const struct err *err)
{
    struct http_call *c = arg;

    if (n) {
        call_connect(c, addrs, n);
        return;
    }
    c->err = *err;
    call_end(c);
}

static void call_resolve(struct http_call *c)
{
    struct hosts *hosts = c->site->http->hosts;
    const struct dns_addr *addrs;
    size_t n;

    if (c->transfer.connect_to) {
        call_transfer(c);
        return;
    }
    if (dns_addr_parse(c->transfer.host, c->transfer.port, &c->own)) {
        call_connect(c, &c->own, 1);
        return;
    }
    addrs = hosts_known(hosts, c->transfer.host, &n);
    c->remembered = addrs != NULL;
    if (addrs)
        call_connect(c, addrs, n);
    else
        hosts_find(hosts, c->transfer.host, &c->wait, call_found, c);
}

/* From the multi: the handle is out of it. */
static void transferred(void *priv, CURL *easy, CURLcode result)
{
    struct http_call *c = priv;
    bool again = c->remembered && result == CURLE_COULDNT_CONNECT;
    long status = 0;

    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    c->status = (int)status;
    c->easy = NULL;
    if (result == CURLE_SEND_FAIL_REWIND) /* libcurl 8.14 fails the handle's next request, too */
        curl_easy_cleanup(easy);
    else
        handle_put(c->site, easy);
    if (result == CURLE_COULDNT_CONNECT)
        hosts_forget(c->site->http->hosts, c->transfer.host);
    if (again) {
        call_resolve(c); /* forgotten, so it is looked up now */
        return;
    }
    transfer_result(&c->transfer, result, &c->err);
    call_end(c);
}

static bool is_literal_host(const struct http_site *s, const char *host)
{
    for (char **l = s->literal_hosts; l && *l; l++)
        if (str_case_eq(*l, host))
            return true;
    return false;
}

struct http_call *http_start(struct http_site *s, const struct http_request *r, http_done_fn *done,
                             void *arg)
{
    struct http_call *c = xnew(struct http_call);

    c->site = s;
    c->done = done;
    c->arg = arg;
    c->timeout_ms = r->timeout_ms > 0 ? r->timeout_ms : TIMEOUT_MS;
    c->begun_ms = loop_mono_ms(s->http->loop);
    list_append(&s->calls, &c->node);
    if (transfer_init(&c->transfer, &s->spec, &s->origin, r, &c->err)) {
        call_end(c);
        return c;
    }
    c->transfer.check_address = s->spec.check_address && !is_literal_host(s, c->transfer.host);
    timer_after(s->http->loop, &c->deadline, c->timeout_ms, call_late, c);
    call_resolve(c);
    return c;
}

/* --- sites --- */

static char **copy_list(const char *const *list)
{
    size_t n = 0;

    while (list && list[n])
        n++;
    char **copy = xcalloc(n + 1, sizeof *copy);
    for (size_t i = 0; i < n; i++)
        copy[i] = xstrdup(list[i]);
    return copy;
}

struct http_site *http_site_new(struct http *h, const struct http_site_spec *spec)
{
    struct http_site *s = xnew(struct http_site);
    unsigned connections = spec->max_connections ? spec->max_connections : CONNECTIONS;

    s->http = h;
    s->spec = *spec;
    s->ca_pem = spec->ca_pem ? xstrdup(spec->ca_pem) : NULL;
    s->literal_hosts = copy_list(spec->literal_hosts);
    s->spec.ca_pem = NULL;
    s->spec.literal_hosts = NULL;
    s->multi = multi_new(h->loop, transferred);
    curl_multi_setopt(multi_handle(s->multi), CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
    curl_multi_setopt(multi_handle(s->multi), CURLMOPT_MAX_HOST_CONNECTIONS, (long)connections);
    curl_multi_setopt(multi_handle(s->multi), CURLMOPT_MAXCONNECTS, (long)connections * 2);
    curl_multi_setopt(multi_handle(s->multi), CURLMOPT_MAX_CONCURRENT_STREAMS, (long)STREAMS_MAX);
    list_init(&s->calls);
    list_append(&h->sites, &s->node);
    return s;
}

static void site_shut(struct http_site *s)
{
    while (!list_empty(&s->calls))
        http_cancel(list_item(s->calls.next, struct http_call, node));
    while (s->n_idle)
        curl_easy_cleanup(s->idle[--s->n_idle]);
    multi_free(s->multi);
    s->multi = NULL;
    s->http = NULL;
    list_remove(&s->node);
}

void http_site_free(struct http_site *s)
{
    if (!s)
        return;
    site_shut(s);
    for (char **l = s->literal_hosts; *l; l++)
        free(*l);
    free(s->literal_hosts);
    free(s->ca_pem);
    free(s);
}

/* --- the client --- */

struct http *http_new(struct loop *l, struct dns *dns)
{
    struct http *h = xnew(struct http);

    curl_begin();
    h->loop = l;
    h->hosts = hosts_new(l, dns);
    h->user_agent = xasprintf("renewd/%s libcurl/%s", RENEWD_VERSION,
                              curl_version_info(CURLVERSION_NOW)->version);
    list_init(&h->sites);
    return h;
}

void http_free(struct http *h)
{
    if (!h)
        return;
    while (!list_empty(&h->sites))
        site_shut(list_item(h->sites.next, struct http_site, node));
    hosts_free(h->hosts);
    free(h->user_agent);
    free(h);
    curl_end();
}

struct loop *http_loop(const struct http *h)
{
    return h->loop;
}

struct hosts *http_hosts(const struct http *h)
{
    return h->hosts;
}
