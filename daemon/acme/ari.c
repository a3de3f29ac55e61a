/* SPDX-License-Identifier: ISC */
/* Renewal information (RFC 9773 section 4): an unsigned GET. */
#include "acme/ca.h"
#include "acme/problem.h"
#include "acme/registry.h"
#include "acme/retry.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

#define MINUTE_MS 60000LL
#define POLL_MIN_MS MINUTE_MS
#define POLL_MAX_MS (24 * 60 * MINUTE_MS)
#define LONG_TERM_MS (6 * 60 * MINUTE_MS) /* section 4.3.3 */
#define BODY_MAX (16u << 10)
#define CERT_ID_MAX 200

static const char *const headers[] = {"Accept: application/json", "Accept-Language: en", NULL};

struct acme_call {
    struct ca *ca; /* NULL: no such entry */
    struct loop *loop;
    char *cert_id;
    char *url;
    acme_ari_fn *done;
    void *arg;
    struct directory_wait directory;
    struct gate_pass pass;
    struct http_call *get;
    struct retry retry;
    struct timer timer;
    struct defer defer;
};

void acme_call_cancel(struct acme_call *c)
{
    if (!c)
        return;
    directory_wait_cancel(&c->directory);
    gate_leave(&c->pass);
    http_cancel(c->get);
    timer_cancel(&c->timer);
    defer_cancel(&c->defer);
    ca_unref(c->ca);
    free(c->cert_id);
    free(c->url);
    free(c);
}

static void finish(struct acme_call *c, const struct acme_ari *ari, const struct err *err)
{
    acme_ari_fn *done = c->done;
    void *arg = c->arg;
    struct err e = ERR_INIT;

    if (err_is(err)) {
        e = *err;
        err_activity(&e, "asking for renewal information");
    }
    acme_call_cancel(c);
    done(arg, ari, e.cls ? &e : NULL);
}

/* What lasts: asked again in six hours, unless the CA has named a time. */
static void failed(struct acme_call *c, const struct err *err)
{
    int64_t now = loop_wall_ms(c->loop);
    int64_t delay = err->retry_at > now ? err->retry_at - now : LONG_TERM_MS;
    struct acme_ari ari = {.supported = true, .explanation = ""};

    if (delay < POLL_MIN_MS)
        delay = POLL_MIN_MS;
    ari.retry_at_ms = now + (delay < POLL_MAX_MS ? delay : POLL_MAX_MS);
    finish(c, &ari, err);
}

static void enter(void *arg);

static void have_reply(void *arg, const struct http_reply *reply, const struct err *err)
{
    struct acme_call *c = arg;
    int64_t now = loop_wall_ms(c->loop), delay;
    struct window_doc window;
    struct acme_ari ari = {.supported = true, .explanation = ""};
    struct err e = ERR_INIT;

    c->get = NULL;
    if (reply && reply->status == 200) {
        ari.retry_at_ms = http_retry_after(reply, now, POLL_MIN_MS, POLL_MAX_MS);
        if (window_doc_read(&window, reply->body, reply->body_len, &e) < 0) {
            failed(c, &e);
            return;
        }
        if (!ari.retry_at_ms)
            ari.retry_at_ms = now + LONG_TERM_MS;
        ari.start_ms = window.start_ms;
        ari.end_ms = window.end_ms;
        ari.explanation = window.explanation;
        finish(c, &ari, NULL);
        return;
    }
    if (reply)
        problem_from_reply(&e, ACME_AT_RENEWAL_INFO, reply, now);
    else
        e = *err;
    if (e.http == 405)
        directory_expire(c->ca->server);
    if (retry_next(&c->retry, &e, now, c->ca->env->rng, &delay))
        timer_after(c->loop, &c->timer, delay, enter, c);
    else
        failed(c, &e);
}

static void get(void *arg)
{
    struct acme_call *c = arg;
    struct http_request r = {.method = "GET",
                             .url = c->url,
                             .headers = headers,
                             .timeout_ms = c->ca->cf->timeout_ms,
                             .max_body = BODY_MAX};

    c->get = http_start(c->ca->server->site, &r, have_reply, c);
}

static void enter(void *arg)
{
    struct acme_call *c = arg;

    if (gate_enter(c->ca->server->gate, &c->pass, GATE_QUESTION, get, c))
        get(c);
}

static void have_directory(void *arg, const struct directory_doc *doc, const struct err *err)
{
    struct acme_call *c = arg;
    struct acme_ari ari = {.explanation = ""};

    if (err_is(err)) {
        failed(c, err);
    } else if (!*doc->renewal_info) {
        ari.retry_at_ms = loop_wall_ms(c->loop) + POLL_MAX_MS;
        finish(c, &ari, NULL);
    } else {
        c->url = xasprintf("%s/%s", doc->renewal_info, c->cert_id);
        enter(c);
    }
}

static bool cert_id_ok(const char *id)
{
    static const char chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
    size_t n = strlen(id);

    return n > 0 && n <= CERT_ID_MAX && strspn(id, chars) == n;
}

static void refuse(void *arg)
{
    struct acme_call *c = arg;
    struct acme_ari ari = {.supported = true, .explanation = ""};
    struct err e = ERR_INIT;

    ari.retry_at_ms = loop_wall_ms(c->loop) + POLL_MAX_MS;
    if (!c->ca)
        err_set(&e, ERR_CONFIG, "there is no such CA entry in the configuration");
    else
        err_set(&e, ERR_LOCAL, "the certificate has no identifier for renewal information");
    finish(c, &ari, &e);
}

struct acme_call *acme_ari_get(struct acme *a, const char *ca, const char *cert_id,
                               acme_ari_fn *done, void *arg)
{
    struct acme_call *c = xnew(struct acme_call);
    struct ca *found = acme_find_ca(a, ca);

    c->loop = acme_get_env(a)->loop;
    c->ca = found ? ca_ref(found) : NULL;
    c->cert_id = xstrdup(cert_id);
    c->done = done;
    c->arg = arg;
    if (!found || !cert_id_ok(cert_id))
        loop_defer(c->loop, &c->defer, refuse, c);
    else
        directory_get(found->server, &c->directory, have_directory, c);
    return c;
}
