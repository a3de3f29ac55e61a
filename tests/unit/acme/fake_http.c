/* SPDX-License-Identifier: ISC */
/* io/http.h without a network: each request is answered by ca_answer() after the fake's latency. */
#include "fake.h"

#include "base/str.h"

#include <stdlib.h>
#include <string.h>

struct http {
    struct fake *fake;
};
struct http_site {
    struct http *http;
    int calls;
};
struct http_call {
    struct http_site *site;
    struct timer timer;
    http_done_fn *done;
    void *arg;
    struct answer answer;
    bool post;
};

struct http *http_fake_new(struct fake *f)
{
    struct http *h = xnew(struct http);

    h->fake = f;
    return h;
}

void http_fake_free(struct http *h)
{
    free(h);
}

struct http_site *http_site_new(struct http *h, const struct http_site_spec *s)
{
    struct http_site *site = xnew(struct http_site);

    (void)s;
    site->http = h;
    return site;
}

void http_site_free(struct http_site *s)
{
    if (!s)
        return;
    if (s->calls)
        s->http->fake->violations++;
    free(s);
}

static void call_free(struct http_call *c)
{
    struct fake *f = c->site->http->fake;

    f->posts_in_flight -= c->post;
    f->http_calls--;
    c->site->calls--;
    timer_cancel(&c->timer);
    answer_done(&c->answer);
    free(c);
}

static void call_done(void *arg)
{
    struct http_call *c = arg;
    http_done_fn *done = c->done;
    void *done_arg = c->arg;
    struct answer a = c->answer;
    struct err e = ERR_INIT;
    struct http_reply r = {.status = a.status,
                           .body = buf_str(&a.body),
                           .body_len = a.body.len,
                           .headers = a.headers,
                           .n_headers = a.n_headers};

    memset(&c->answer, 0, sizeof(c->answer));
    call_free(c);
    if (a.status) {
        done(done_arg, &r, &e);
    } else {
        err_set(&e, ERR_TRANSIENT, "the connection was closed");
        done(done_arg, NULL, &e);
    }
    answer_done(&a);
}

struct http_call *http_start(struct http_site *s, const struct http_request *r, http_done_fn *done,
                             void *arg)
{
    struct fake *f = s->http->fake;
    struct http_call *c = xnew(struct http_call);

    c->site = s;
    c->done = done;
    c->arg = arg;
    c->post = str_eq(r->method, "POST");
    s->calls++;
    f->http_calls++;
    f->posts_in_flight += c->post;
    if (f->posts_in_flight > f->most_posts)
        f->most_posts = f->posts_in_flight;
    ca_answer(f, r, &c->answer);
    timer_after(f->loop, &c->timer, c->answer.status ? f->latency_ms : r->timeout_ms, call_done, c);
    return c;
}

void http_cancel(struct http_call *c)
{
    if (c)
        call_free(c);
}
