/* SPDX-License-Identifier: ISC */
/* Responders, HTTP servers and DNS as a proof meets them. */
#include "base/mem.h"
#include "base/str.h"
#include "dns/publish.h"
#include "io/dns.h"
#include "io/http.h"
#include "respond/respond.h"
#include "world.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

unsigned world_proved(const struct world *w, const char *order)
{
    CLEANUP_FREE char *token = xasprintf("token-%s", strrchr(order, '/') + 1);
    unsigned found = w->alpn;
    for (size_t i = 0; i < w->n_records; i++)
        found += str_eq(w->records[i].order, order) || str_eq(w->records[i].order, "kept");
    for (size_t i = 0; i < w->n_answers; i++)
        found += str_eq(w->answers[i].token, token);
    for (size_t i = 0; i < ARRAY_LEN(w->persisted); i++)
        found += w->persisted[i] != NULL;
    return found;
}

/* ---- the responder ---- */

struct responder {
    struct world *world;
    char token[32]; /* "": tls-alpn-01 */
    bool up;
    responder_fn *fn;
    void *arg;
    struct call *call;
};

static void told_up(struct call *c)
{
    struct responder *a = c->arg;
    struct world *w = c->world;
    a->call = NULL;
    a->up = w->no_responder.cls == ERR_NONE;
    if (a->up && a->token[0]) {
        struct answer *n = &w->answers[w->n_answers++];
        str_copy(n->token, sizeof(n->token), a->token);
        snprintf(n->content, sizeof(n->content), "%s.thumbprint", a->token);
        n->file = false;
    } else if (a->up) {
        w->alpn++;
    }
    a->fn(a->arg, &w->no_responder);
}

static struct responder *put(const char *token, responder_fn *fn, void *arg)
{
    struct responder *a = xnew(struct responder);
    a->world = world_now;
    str_copy(a->token, sizeof(a->token), token);
    a->fn = fn;
    a->arg = arg;
    a->call = world_call(world_now, 1, NULL, told_up, NULL, a);
    return a;
}

struct responder *responders_http_put(struct responders *r, const struct conf_strs *listen,
                                      const char *token, const char *key_authorization,
                                      responder_fn *fn, void *arg)
{
    (void)r;
    (void)listen;
    (void)key_authorization;
    return put(token, fn, arg);
}

struct responder *responders_alpn_put(struct responders *r, const struct conf_strs *listen,
                                      const char *identifier, const char *key_authorization,
                                      responder_fn *fn, void *arg)
{
    (void)r;
    (void)listen;
    (void)identifier;
    (void)key_authorization;
    return put("", fn, arg);
}

void responder_drop(struct responder *a)
{
    if (!a)
        return;
    struct world *w = a->world;
    size_t kept = 0;
    world_call_cancel(a->call);
    for (size_t i = 0; a->up && i < w->n_answers; i++)
        if (w->answers[i].file || !str_eq(w->answers[i].token, a->token))
            w->answers[kept++] = w->answers[i];
    if (a->up && a->token[0])
        w->n_answers = kept;
    else if (a->up)
        w->alpn--;
    free(a);
}

/* ---- addresses and HTTP ---- */

static void told_resolved(struct call *c)
{
    struct world *w = c->world;
    struct dns_addr addrs[4] = {0};
    size_t n = 0;
    for (; n < ARRAY_LEN(addrs) && w->addresses[n]; n++) {
        struct sockaddr_in *in = (struct sockaddr_in *)&addrs[n].sa;
        in->sin_family = AF_INET;
        in->sin_port = htons(80);
        inet_pton(AF_INET, w->addresses[n], &in->sin_addr);
    }
    if (n == 0)
        err_set(&c->err, ERR_TRANSIENT, "the name has no address");
    ((dns_resolved_fn *)c->fn)(c->arg, addrs, n, &c->err);
}

struct dns_call *dns_resolve(struct dns *d, const char *host, uint16_t port, int64_t timeout_ms,
                             dns_resolved_fn *done, void *arg)
{
    (void)d;
    (void)host;
    (void)port;
    (void)timeout_ms;
    return (struct dns_call *)world_call(world_now, 3, NULL, told_resolved, (void (*)(void))done,
                                         arg);
}

void dns_cancel(struct dns_call *c)
{
    world_call_cancel((struct call *)c);
}

const char *dns_addr_text(const struct dns_addr *a, char *buf, size_t size)
{
    char host[INET_ADDRSTRLEN] = "192.0.2.1";
    const struct sockaddr_in *in = (const struct sockaddr_in *)&a->sa;
    if (in->sin_port)
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
    snprintf(buf, size, "%s:%d", host, in->sin_port ? ntohs(in->sin_port) : 443);
    return buf;
}

struct http_site *http_site_new(struct http *h, const struct http_site_spec *s)
{
    (void)h;
    (void)s;
    return NULL;
}

void http_site_free(struct http_site *s)
{
    (void)s;
}

static const char *body_of(const struct world *w, const char *url)
{
    const char *token = strrchr(url, '/') + 1;
    if (w->served_instead)
        return w->served_instead;
    for (size_t i = 0; i < w->n_answers; i++)
        if (str_eq(w->answers[i].token, token))
            return w->answers[i].content;
    return NULL;
}

static void told_reply(struct call *c)
{
    struct world *w = c->world;
    const struct http_header location = {"Location", w->redirect};
    struct http_reply r = {.status = 200, .body = ""};
    w->requests++;
    if (c->flag) {
        err_set(&c->err, ERR_TRANSIENT, "connection refused");
        ((http_done_fn *)c->fn)(c->arg, NULL, &c->err);
        return;
    }
    const char *body = body_of(w, c->text);
    if (w->redirect && !strstr(c->text, "/elsewhere/")) {
        r.status = 301;
        r.headers = &location;
        r.n_headers = 1;
    } else if (w->wrong || !body) {
        r.status = 404;
        w->wrong -= w->wrong > 0;
    } else {
        r.body = body;
        r.body_len = strlen(body);
    }
    ((http_done_fn *)c->fn)(c->arg, &r, &c->err);
}

struct http_call *http_start(struct http_site *s, const struct http_request *r, http_done_fn *done,
                             void *arg)
{
    struct call *c = world_call(world_now, 5, NULL, told_reply, (void (*)(void))done, arg);
    char text[64];
    (void)s;
    str_copy(c->text, sizeof(c->text), r->url);
    if (r->at && world_now->unreachable)
        c->flag = str_starts(dns_addr_text(r->at, text, sizeof(text)), world_now->unreachable);
    return (struct http_call *)c;
}

void http_cancel(struct http_call *c)
{
    world_call_cancel((struct call *)c);
}

const char *http_reply_header(const struct http_reply *r, const char *name)
{
    return r->n_headers && str_eq(name, r->headers->name) ? r->headers->value : NULL;
}

/* ---- records that are there ---- */

struct publish_find {
    struct publish_find_spec spec;
    void *arg;
    struct call *call;
};

static void told_found(struct call *c)
{
    struct publish_find *f = c->arg;
    struct publish_find_spec spec = f->spec;
    void *arg = f->arg;
    bool fits = false;
    for (size_t i = 0; i < ARRAY_LEN(c->world->persisted); i++) {
        const char *text = c->world->persisted[i];
        fits |= text && spec.fits(arg, text, strlen(text));
    }
    free(f);
    if (!fits) {
        err_set(&c->err, ERR_BLOCKED, "ns1 lacks it");
        str_copy(c->err.type, sizeof(c->err.type), "absent");
    }
    spec.done(arg, &c->err, "");
}

struct publish_find *publish_find_start(struct publisher *p, const struct publish_find_spec *s,
                                        void *arg)
{
    struct publish_find *f = xnew(struct publish_find);
    f->spec = *s;
    f->arg = arg;
    f->call = world_call(p->world, 4, NULL, told_found, NULL, f);
    return f;
}

void publish_find_cancel(struct publish_find *f)
{
    if (!f)
        return;
    world_call_cancel(f->call);
    free(f);
}
