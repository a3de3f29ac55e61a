/* SPDX-License-Identifier: ISC */
/*
 * HTTP client over libcurl's multi interface. Host names are resolved by io/dns.h (libcurl's own
 * threaded resolver blocks when a transfer is removed), connections are kept, HTTP/2 where asked
 * for. No redirects, https only unless said, every request has one deadline for all of it, bodies
 * are bounded.
 */
#ifndef RENEWD_IO_HTTP_H
#define RENEWD_IO_HTTP_H

#include "base/buf.h"
#include "base/err.h"
#include "loop/loop.h"

struct http;
struct dns;
struct dns_addr;
struct http_call;

struct http *http_new(struct loop *l, struct dns *dns);
void http_free(struct http *h); /* cancels everything */

/* TLS and protocol policy for a set of requests (a CA; a provider instance). Keeps its connections.
 */
struct http_site_spec {
    const char *ca_pem; /* roots; NULL: the system's */
    bool http2; /* one multiplexed connection (CAs); else HTTP/1.1, buffers wiped (providers) */
    bool allow_http;    /* plain http URLs */
    bool no_verify;     /* whoever answers: only to look at what is public */
    bool check_address; /* egress rule: refuse loopback, link-local and private addresses ... */
    const char *const *literal_hosts; /* ... except for these hosts; NULL-terminated */
    unsigned max_connections;         /* 0: 4 */
};
struct http_site;
struct http_site *http_site_new(struct http *h, const struct http_site_spec *s);
void http_site_free(struct http_site *s); /* its calls must have ended or been cancelled */

struct http_request {
    const char *method; /* "GET", "POST", "HEAD", "PUT", "PATCH", "DELETE" */
    const char *url;
    const char *const *headers; /* "Name: value", NULL-terminated; User-Agent is set by us */
    const void *body;           /* copied; NULL: none */
    size_t body_len;
    bool once; /* never sent twice: libcurl otherwise repeats what a kept connection that ends
                  without a reply may have carried to the server */
    /* The connection is a new one and goes to this address and port, whatever the URL's host is;
     * NULL: the host is looked up. Not for sites that check addresses. */
    const struct dns_addr *at;
    int64_t timeout_ms;
    size_t max_body; /* of the reply */
};

struct http_reply {
    int status;
    const char *body; /* NUL-terminated; both live for the callback */
    size_t body_len;
    const struct http_header *headers;
    size_t n_headers;
};
struct http_header {
    const char *name, *value; /* value without surrounding space */
};

/* reply is NULL when err says why there is none (resolving, connecting, TLS, time-out, too large);
 * err->type is HTTP_UNREACHABLE when nobody may be there. */
#define HTTP_UNREACHABLE "unreachable"
typedef void http_done_fn(void *arg, const struct http_reply *reply, const struct err *err);

struct http_call *http_start(struct http_site *s, const struct http_request *r, http_done_fn *done,
                             void *arg);
void http_cancel(struct http_call *c); /* NULL is fine; done() is not called any more */

const char *http_reply_header(const struct http_reply *r, const char *name); /* first; NULL */
int64_t http_reply_date(const struct http_reply *r); /* Date, wall ms; 0: absent or unreadable */
/* Seconds or HTTP-date (RFC 9110 10.2.3) to wall ms, clamped to [now + min_ms, now + max_ms]; 0:
 * absent or unreadable. */
int64_t http_retry_after(const struct http_reply *r, int64_t now_wall_ms, int64_t min_ms,
                         int64_t max_ms);
/* RFC 8288: next target URL with that rel, over all Link headers; *cursor starts at 0. The caller
 * frees; NULL: no more. */
char *http_link(const struct http_reply *r, const char *rel, size_t *cursor);

#endif
