/* SPDX-License-Identifier: ISC */
#include "acme/directory.h"

#include "acme/problem.h"
#include "acme/server.h"

#include <string.h>

#define FRESH_MS (24 * 3600 * 1000LL)
#define AGAIN_MS (10 * 60 * 1000LL) /* after a refresh that failed */
#define BODY_MAX (256u << 10)

static const char *const headers[] = {"Accept: application/json", "Accept-Language: en", NULL};

static void fetch(void *arg);

void directory_init(struct directory *d)
{
    list_init(&d->waiters);
}

void directory_done(struct directory *d)
{
    gate_leave(&d->pass);
    http_cancel(d->call);
    timer_cancel(&d->timer);
    directory_doc_done(&d->doc);
}

static void answer(struct server *s, const struct err *err)
{
    struct directory *d = &s->directory;
    struct list all;

    /* Who begins to wait from here on waits for the next one. */
    list_init(&all);
    while (!list_empty(&d->waiters)) {
        struct list *node = d->waiters.next;
        list_remove(node);
        list_append(&all, node);
    }
    server_ref(s);
    while (!list_empty(&all)) {
        struct directory_wait *w = list_item(all.next, struct directory_wait, node);
        directory_wait_cancel(w);
        w->fn(w->arg, err_is(err) ? NULL : &d->doc, err);
    }
    server_unref(s);
}

/* With a thousand certificates, each would ask. */
static void note_refusal(struct server *s, const struct err *e)
{
    struct directory *d = &s->directory;
    int64_t asked = e->retry_at ? e->retry_at - loop_wall_ms(s->env->loop) : 0;

    if (asked <= 0)
        return;
    d->refusal = *e;
    d->refused_until = loop_mono_ms(s->env->loop) + (asked < AGAIN_MS ? asked : AGAIN_MS);
}

static void failed(struct server *s, struct err *e)
{
    struct directory *d = &s->directory;
    int64_t delay;

    if (retry_next(&d->retry, e, loop_wall_ms(s->env->loop), s->env->rng, &delay)) {
        timer_after(s->env->loop, &d->timer, delay, fetch, s);
        return;
    }
    if (d->have) {
        d->stale_at = loop_mono_ms(s->env->loop) + AGAIN_MS;
        answer(s, NULL);
        return;
    }
    err_activity(e, "reading the directory of the CA at %s", s->url);
    note_refusal(s, e);
    answer(s, e);
}

static void fetched(void *arg, const struct http_reply *reply, const struct err *err)
{
    struct server *s = arg;
    struct directory *d = &s->directory;
    struct directory_doc doc;
    struct err e = ERR_INIT;

    d->call = NULL;
    if (!reply) {
        e = *err;
        failed(s, &e);
        return;
    }
    nonce_put(&s->nonces, http_reply_header(reply, "Replay-Nonce"));
    if (reply->status != 200) {
        problem_from_reply(&e, ACME_AT_DIRECTORY, reply, loop_wall_ms(s->env->loop));
        gate_heard(s->gate, reply, &e);
        failed(s, &e);
        return;
    }
    if (directory_doc_read(&doc, reply->body, reply->body_len, &e) < 0) {
        failed(s, &e);
        return;
    }
    int64_t date = http_reply_date(reply);
    d->ahead_ms = date ? date - loop_wall_ms(s->env->loop) : 0;
    directory_doc_done(&d->doc);
    d->doc = doc;
    d->have = true;
    d->stale_at = loop_mono_ms(s->env->loop) + FRESH_MS;
    answer(s, NULL);
}

static void get(void *arg)
{
    struct server *s = arg;
    struct http_request r = {.method = "GET",
                             .url = s->url,
                             .headers = headers,
                             .timeout_ms = s->timeout_ms,
                             .max_body = BODY_MAX};

    s->directory.call = http_start(s->site, &r, fetched, s);
}

static void fetch(void *arg)
{
    struct server *s = arg;

    if (gate_enter(s->gate, &s->directory.pass, GATE_DOOR, get, s))
        get(s);
}

const struct directory_doc *directory_now(const struct server *s)
{
    const struct directory *d = &s->directory;

    return d->have && loop_mono_ms(s->env->loop) < d->stale_at ? &d->doc : NULL;
}

/* What is known also comes by way of the loop: the timer fires at once. */
static void answer_now(void *arg)
{
    struct server *s = arg;
    struct err e = s->directory.refusal;

    answer(s, directory_now(s) ? NULL : &e);
}

void directory_get(struct server *s, struct directory_wait *w, directory_fn *fn, void *arg)
{
    struct directory *d = &s->directory;

    directory_wait_cancel(w);
    w->fn = fn;
    w->arg = arg;
    w->waiting = true;
    list_append(&d->waiters, &w->node);
    if (d->call || d->pass.gate || timer_armed(&d->timer))
        return;
    memset(&d->retry, 0, sizeof(d->retry));
    if (directory_now(s) || loop_mono_ms(s->env->loop) < d->refused_until)
        timer_after(s->env->loop, &d->timer, 0, answer_now, s);
    else
        fetch(s);
}

void directory_wait_cancel(struct directory_wait *w)
{
    if (!w->waiting)
        return;
    w->waiting = false;
    list_remove(&w->node);
}

void directory_expire(struct server *s)
{
    s->directory.stale_at = 0;
}
