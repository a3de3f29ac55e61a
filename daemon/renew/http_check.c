/* SPDX-License-Identifier: ISC */
/*
 *   RESOLVE -> ROUND: every address that was not good yet -> judged:
 *      ^                 one is wrong:         WAIT -> ROUND, until the time is up: error
 *      |                 none can be reached:  WAIT -> ROUND, for a while: warning
 *      `-- nothing found                       else: done
 *
 * An address: asks -> (redirect -> asks elsewhere)* -> GOOD, WRONG or UNKNOWN
 */
#include "renew/http_check.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ADDRESSES_MAX 16
#define REDIRECTS_MAX 10
#define BODY_MAX 4096
#define REQUEST_MS 10000
#define UNKNOWN_MS 10000 /* so long are unreachable addresses given another chance */
#define WAIT_FIRST_MS 250
#define WAIT_MAX_MS 5000
#define SEEN_MAX 200

enum place_state { ASKING, GOOD, WRONG, UNKNOWN };

struct place {
    struct http_check *check;
    enum place_state state;
    struct dns_addr addr;
    char label[64];
    char seen[SEEN_MAX]; /* what speaks against it */
    unsigned redirects;
    struct http_call *call;
};

struct http_check {
    struct http_check_spec spec;
    char *name, *token, *content;
    struct http_check_handler handler;
    void *arg;
    struct place places[ADDRESSES_MAX];
    size_t n, pending;
    int64_t began, wait_ms; /* boot clock; span */
    struct dns_call *resolving;
    struct err unresolved;
    struct timer timer;
    char told[800];
};

static void round_start(void *arg);

void http_check_cancel(struct http_check *c)
{
    if (!c)
        return;
    dns_cancel(c->resolving);
    timer_cancel(&c->timer);
    for (size_t i = 0; i < c->n; i++)
        http_cancel(c->places[i].call);
    free(c->name);
    free(c->token);
    free(c->content);
    free(c);
}

static void finish(struct http_check *c, const struct err *err, const char *warning)
{
    struct http_check_handler h = c->handler;
    void *arg = c->arg;
    struct err e = *err;
    err_activity(&e, "checking the http-01 answer for %s", c->name);
    http_check_cancel(c);
    h.done(arg, &e, warning);
}

static size_t count(const struct http_check *c, enum place_state s)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++)
        n += c->places[i].state == s;
    return n;
}

/* "192.0.2.1:80 serves ...; ..." */
static void report(const struct http_check *c, enum place_state s, struct buf *out)
{
    for (size_t i = 0; i < c->n; i++) {
        const struct place *p = &c->places[i];
        if (p->state == s)
            buf_putf(out, "%s%s %s", out->len ? "; " : "", p->label, p->seen);
    }
}

static void tell(struct http_check *c)
{
    CLEANUP_BUF struct buf b;
    buf_init(&b, 16384);
    report(c, WRONG, &b);
    report(c, UNKNOWN, &b);
    if (c->n == 0)
        buf_puts(&b, c->unresolved.detail);
    if (b.len == 0 || strncmp(c->told, buf_str(&b), sizeof(c->told) - 1) == 0)
        return;
    str_copy(c->told, sizeof(c->told), buf_str(&b));
    c->handler.changed(c->arg, c->told);
}

static void again(struct http_check *c)
{
    tell(c);
    timer_after(c->spec.loop, &c->timer, c->wait_ms, round_start, c);
    c->wait_ms = c->wait_ms * 2 < WAIT_MAX_MS ? c->wait_ms * 2 : WAIT_MAX_MS;
}

static void time_is_up(struct http_check *c)
{
    struct err e = ERR_INIT;
    CLEANUP_BUF struct buf b;
    buf_init(&b, 16384);
    report(c, WRONG, &b);
    if (c->n == 0)
        e = c->unresolved;
    else
        err_set(&e, ERR_TRANSIENT,
                "http://%s/.well-known/acme-challenge/ is not answered as it should be: %s",
                c->name, buf_str(&b));
    finish(c, &e, "");
}

static void succeed(struct http_check *c)
{
    static const struct err none = ERR_INIT;
    CLEANUP_BUF struct buf b;
    buf_init(&b, 16384);
    report(c, UNKNOWN, &b);
    if (b.len)
        buf_puts(&b, " (not waited for)");
    finish(c, &none, buf_str(&b));
}

static void judge(struct http_check *c)
{
    int64_t age = loop_mono_ms(c->spec.loop) - c->began;
    int64_t patience = c->spec.timeout_ms < UNKNOWN_MS ? c->spec.timeout_ms : UNKNOWN_MS;
    if (c->n == 0 || count(c, WRONG)) {
        if (age >= c->spec.timeout_ms)
            time_is_up(c);
        else
            again(c);
    } else if (count(c, UNKNOWN) && age < patience) {
        again(c);
    } else {
        succeed(c);
    }
}

/* ---- one address ---- */

static void ended(struct place *p, enum place_state s)
{
    struct http_check *c = p->check;
    p->state = s;
    if (--c->pending == 0)
        judge(c);
}

static void wrong(struct place *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void wrong(struct place *p, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(p->seen, sizeof(p->seen), fmt, ap);
    va_end(ap);
    ended(p, WRONG);
}

static void read_body(struct place *p, const struct http_reply *r)
{
    const char *content = p->check->content;
    size_t n = r->body_len, wanted = strlen(content);
    CLEANUP_BUF struct buf b = {0};
    while (n && strchr(" \t\r\n", r->body[n - 1]) && r->body[n - 1])
        n--;
    if (n == wanted && memcmp(r->body, content, n) == 0) {
        ended(p, GOOD);
        return;
    }
    buf_init(&b, 1024);
    str_escape(&b, r->body, n, 60);
    wrong(p, "serves something else: \"%s\"", buf_str(&b));
}

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static void ask(struct place *p, const char *url, bool here);
static void ask_here(struct place *p, const char *path);

/* What CAs follow: http and https at their own ports. */
static bool may_follow(const char *url)
{
    const char *host = str_starts(url, "http://")    ? url + 7
                       : str_starts(url, "https://") ? url + 8
                                                     : NULL;
    if (!host || !*host)
        return false;
    size_t n = strcspn(host, "/?#");
    const char *colon = memrchr(host, ':', n), *bracket = memrchr(host, ']', n);
    if (!colon || (bracket && bracket > colon))
        return true;
    size_t digits = (size_t)(host + n - colon - 1);
    return digits == 0 || (digits == 2 && memcmp(colon + 1, "80", 2) == 0) ||
           (digits == 3 && memcmp(colon + 1, "443", 3) == 0);
}

static void follow(struct place *p, const struct http_reply *r)
{
    const char *to = http_reply_header(r, "Location");
    if (++p->redirects > REDIRECTS_MAX) {
        wrong(p, "redirects more than %d times", REDIRECTS_MAX);
    } else if (to && to[0] == '/' && to[1] != '/') {
        ask_here(p, to);
    } else if (to && may_follow(to)) {
        ask(p, to, false);
    } else {
        CLEANUP_BUF struct buf b;
        buf_init(&b, 1024);
        str_escape(&b, to ? to : "", to ? strlen(to) : 0, 80);
        wrong(p, "redirects to \"%s\", where no CA follows", buf_str(&b));
    }
}

static void on_reply(void *arg, const struct http_reply *r, const struct err *err)
{
    struct place *p = arg;
    p->call = NULL;
    if (!r && p->redirects) {
        wrong(p, "redirects to where nothing answers: %.120s", err->detail);
    } else if (!r) {
        snprintf(p->seen, sizeof(p->seen), "cannot be asked: %.150s", err->detail);
        ended(p, UNKNOWN);
    } else if (is_redirect(r->status)) {
        follow(p, r);
    } else if (r->status != 200) {
        wrong(p, "answers with status %d", r->status);
    } else {
        read_body(p, r);
    }
}

/* here: at this very address; else wherever the URL's host is. */
static void ask(struct place *p, const char *url, bool here)
{
    static const char *const headers[] = {"Accept: */*", NULL};
    const struct http_request r = {.method = "GET",
                                   .url = url,
                                   .headers = headers,
                                   .at = here ? &p->addr : NULL,
                                   .timeout_ms = REQUEST_MS,
                                   .max_body = BODY_MAX};
    p->call = http_start(p->check->spec.site, &r, on_reply, p);
}

/* path begins with a slash. */
static void ask_here(struct place *p, const char *path)
{
    const char *name = p->check->name;
    bool v6 = strchr(name, ':') != NULL;
    CLEANUP_FREE char *url = xasprintf("http://%s%s%s%s", v6 ? "[" : "", name, v6 ? "]" : "", path);
    ask(p, url, true);
}

static void ask_address(struct place *p)
{
    CLEANUP_FREE char *path = xasprintf("/.well-known/acme-challenge/%s", p->check->token);
    p->check->pending++;
    p->state = ASKING;
    p->redirects = 0;
    ask_here(p, path);
}

/* ---- rounds ---- */

static void ask_all(struct http_check *c)
{
    c->pending = 1;
    for (size_t i = 0; i < c->n; i++)
        if (c->places[i].state != GOOD)
            ask_address(&c->places[i]);
    if (--c->pending == 0)
        judge(c);
}

static void on_resolved(void *arg, const struct dns_addr *addrs, size_t n, const struct err *err)
{
    struct http_check *c = arg;
    c->resolving = NULL;
    c->unresolved = err_is(err) ? *err : (struct err)ERR_INIT;
    for (size_t i = 0; i < n && c->n < ADDRESSES_MAX; i++) {
        struct place *p = &c->places[c->n++];
        p->check = c;
        p->addr = addrs[i];
        dns_addr_text(&addrs[i], p->label, sizeof(p->label));
    }
    if (c->n == 0 && !err_is(&c->unresolved))
        err_set(&c->unresolved, ERR_TRANSIENT, "%s has no address", c->name);
    ask_all(c);
}

static void round_start(void *arg)
{
    struct http_check *c = arg;
    if (c->n)
        ask_all(c);
    else
        c->resolving = dns_resolve(c->spec.dns, c->name, 80, REQUEST_MS, on_resolved, c);
}

struct http_check *http_check_start(const struct http_check_spec *s,
                                    const struct http_check_handler *h, void *arg)
{
    struct http_check *c = xnew(struct http_check);
    c->spec = *s;
    c->name = xstrdup(s->name);
    c->token = xstrdup(s->token);
    c->content = xstrdup(s->content);
    c->handler = *h;
    c->arg = arg;
    c->wait_ms = WAIT_FIRST_MS;
    c->began = loop_mono_ms(s->loop);
    timer_after(s->loop, &c->timer, 0, round_start, c);
    return c;
}
