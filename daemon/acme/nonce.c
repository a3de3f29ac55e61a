/* SPDX-License-Identifier: ISC */
#include "acme/nonce.h"

#include "acme/problem.h"
#include "acme/server.h"
#include "base/str.h"

#include <string.h>

#define LIFE_MS (5 * 60 * 1000LL)
#define TOKEN_MS 100

static const char *const headers[] = {"Accept-Language: en", NULL};

static void fetch_more(struct nonces *p);

void nonces_init(struct nonces *p, struct server *s)
{
    p->server = s;
    p->tokens = NONCE_FETCHES;
    list_init(&p->waiters);
    for (unsigned i = 0; i < NONCE_FETCHES; i++)
        p->fetches[i].nonces = p;
}

void nonces_done(struct nonces *p)
{
    for (unsigned i = 0; i < NONCE_FETCHES; i++)
        http_cancel(p->fetches[i].call);
    directory_wait_cancel(&p->directory);
    gate_leave(&p->pass);
    timer_cancel(&p->timer);
}

bool nonce_ok(const char *text)
{
    static const char chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t n = text ? strlen(text) : 0;

    return n > 0 && n < NONCE_SIZE && strspn(text, chars) == n;
}

/* The one who has waited longest, taken out of the line; NULL: nobody waits. */
static struct nonce_wait *next_waiter(struct nonces *p)
{
    struct nonce_wait *w;

    if (list_empty(&p->waiters))
        return NULL;
    w = list_item(p->waiters.next, struct nonce_wait, node);
    nonce_wait_cancel(w);
    return w;
}

void nonce_put(struct nonces *p, const char *text)
{
    struct nonce_wait *w;
    unsigned at;

    if (!nonce_ok(text))
        return;
    w = next_waiter(p);
    if (w) {
        w->fn(w->arg, text, NULL);
        return;
    }
    if (p->n == NONCE_POOL) {
        p->first = (p->first + 1) % NONCE_POOL;
        p->n--;
    }
    at = (p->first + p->n++) % NONCE_POOL;
    str_copy(p->pool[at].text, NONCE_SIZE, text);
    p->pool[at].born = loop_mono_ms(p->server->env->loop);
}

static unsigned newest(const struct nonces *p)
{
    return (p->first + p->n - 1) % NONCE_POOL;
}

bool nonce_here(struct nonces *p)
{
    if (p->n > 0 && loop_mono_ms(p->server->env->loop) - p->pool[newest(p)].born > LIFE_MS)
        p->n = 0; /* the others are older still */
    return p->n > 0;
}

bool nonce_take(struct nonces *p, char out[NONCE_SIZE])
{
    unsigned at;

    if (!nonce_here(p))
        return false;
    at = newest(p);
    p->n--;
    memcpy(out, p->pool[at].text, NONCE_SIZE);
    return true;
}

/* One request that failed is one waiter's failure; the rest have theirs under way. */
static void fetch_failed(struct nonces *p, struct err *e)
{
    struct nonce_wait *w = next_waiter(p);

    if (!w)
        return;
    err_activity(e, "getting a nonce");
    w->fn(w->arg, NULL, e);
}

static void fetched(void *arg, const struct http_reply *reply, const struct err *err)
{
    struct nonce_fetch *f = arg;
    struct nonces *p = f->nonces;
    struct server *s = server_ref(p->server);
    const char *nonce = reply ? http_reply_header(reply, "Replay-Nonce") : NULL;
    struct err e = ERR_INIT;

    f->call = NULL;
    p->n_fetches--;
    if (reply && (reply->status < 200 || reply->status >= 300)) {
        problem_from_reply(&e, ACME_AT_NONCE, reply, loop_wall_ms(s->env->loop));
        gate_heard(s->gate, reply, &e);
    }
    if (nonce_ok(nonce)) {
        p->moved = false;
        nonce_put(p, nonce);
    } else if (reply && (reply->status == 404 || reply->status == 405) && !p->moved) {
        p->moved = true;
        directory_expire(s);
    } else if (!reply) {
        e = *err;
        fetch_failed(p, &e);
    } else if (err_is(&e)) {
        p->moved = false;
        fetch_failed(p, &e);
    } else {
        err_set(&e, ERR_PEER,
                "the CA's answer has no usable Replay-Nonce header; Vault and OpenBao need it "
                "listed in the mount's allowed_response_headers (with Location and Link)");
        fetch_failed(p, &e);
    }
    if (s->refs > 1)
        fetch_more(p);
    server_unref(s);
}

static void fetch(struct nonces *p, const char *url)
{
    struct server *s = p->server;
    struct http_request r = {.method = "HEAD",
                             .url = url,
                             .headers = headers,
                             .timeout_ms = s->timeout_ms,
                             .max_body = 64u << 10};

    for (unsigned i = 0; i < NONCE_FETCHES; i++) {
        if (!p->fetches[i].call) {
            p->fetches[i].call = http_start(s->site, &r, fetched, &p->fetches[i]);
            p->n_fetches++;
            return;
        }
    }
}

static void have_directory(void *arg, const struct directory_doc *doc, const struct err *err)
{
    struct nonces *p = arg;

    if (doc) {
        fetch_more(p);
        return;
    }
    struct server *s = server_ref(p->server);
    for (unsigned n = p->n_waiters; n > 0 && p->n_waiters > 0; n--) {
        struct err e = *err;
        fetch_failed(p, &e);
    }
    server_unref(s);
}

static void refill(struct nonces *p)
{
    int64_t now = loop_mono_ms(p->server->env->loop);
    int64_t n = (now - p->tokens_at) / TOKEN_MS;

    if (n >= NONCE_FETCHES - p->tokens) {
        p->tokens = NONCE_FETCHES;
        p->tokens_at = now;
    } else {
        p->tokens += (unsigned)n;
        p->tokens_at += n * TOKEN_MS;
    }
}

static void token_came(void *arg)
{
    fetch_more(arg);
}

static bool wanted(const struct nonces *p)
{
    return p->n_fetches < p->n_waiters && p->n_fetches < NONCE_FETCHES;
}

static void passed(void *arg)
{
    struct nonces *p = arg;
    const struct directory_doc *doc = directory_now(p->server);

    if (doc && wanted(p) && p->tokens > 0) {
        p->tokens--;
        fetch(p, doc->new_nonce);
    } else {
        gate_back(p->server->gate);
    }
    fetch_more(p);
}

static void fetch_more(struct nonces *p)
{
    const struct directory_doc *doc = directory_now(p->server);

    if (!wanted(p) || p->pass.gate)
        return;
    if (!doc) {
        if (!p->directory.waiting)
            directory_get(p->server, &p->directory, have_directory, p);
        return;
    }
    refill(p);
    for (; wanted(p) && p->tokens > 0; p->tokens--) {
        if (!gate_enter(p->server->gate, &p->pass, GATE_DOOR, passed, p))
            return;
        fetch(p, doc->new_nonce);
    }
    if (p->tokens == 0 && p->n_fetches < p->n_waiters && !timer_armed(&p->timer))
        timer_after(p->server->env->loop, &p->timer, TOKEN_MS, token_came, p);
}

void nonce_wait(struct nonces *p, struct nonce_wait *w, nonce_fn *fn, void *arg)
{
    nonce_wait_cancel(w);
    w->fn = fn;
    w->arg = arg;
    w->nonces = p;
    list_append(&p->waiters, &w->node);
    p->n_waiters++;
    fetch_more(p);
}

void nonce_wait_cancel(struct nonce_wait *w)
{
    if (!w->nonces)
        return;
    w->nonces->n_waiters--;
    w->nonces = NULL;
    list_remove(&w->node);
}
