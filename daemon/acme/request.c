/* SPDX-License-Identifier: ISC */
#include "acme/request.h"

#include "acme/ca.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

#define NONCE_TRIES 20

static const char *const json_headers[] = {"Content-Type: application/jose+json",
                                           "Accept: application/json", "Accept-Language: en", NULL};
static const char *const pem_headers[] = {"Content-Type: application/jose+json",
                                          "Accept: application/pem-certificate-chain",
                                          "Accept-Language: en", NULL};

struct request {
    struct ca *ca;
    struct request_spec spec;
    request_done_fn *done;
    void *arg;
    char *url;
    char nonce[NONCE_SIZE];
    unsigned bad_nonces;
    bool moved, recovered; /* the directory was read again; the account was looked for */
    unsigned changes;      /* of the account when it was last used */
    struct retry retry;
    struct err first; /* what made us look at the directory or the account again */
    struct directory_wait directory;
    struct account_wait account;
    struct nonce_wait wait;
    struct gate_pass pass;
    struct keeper_call *sign;
    struct http_call *post;
    struct timer timer;
};

static void begin(void *arg);

static void request_free(struct request *r)
{
    directory_wait_cancel(&r->directory);
    account_wait_cancel(&r->account);
    nonce_wait_cancel(&r->wait);
    gate_leave(&r->pass);
    keeper_cancel(r->ca->env->keeper, r->sign);
    http_cancel(r->post);
    timer_cancel(&r->timer);
    ca_unref(r->ca);
    free(r->url);
    free(r);
}

void request_cancel(struct request *r)
{
    if (r)
        request_free(r);
}

static void finish(struct request *r, const struct http_reply *reply, const struct err *err)
{
    request_done_fn *done = r->done;
    struct ca *ca = ca_ref(r->ca);
    struct err e = ERR_INIT;
    void *arg = r->arg;

    if (err_is(err)) {
        e = *err;
        err_activity(&e, "%s %s", r->spec.doing, r->spec.about ? r->spec.about : ca->cf->name);
        ca->last_error = e;
    }
    request_free(r);
    done(arg, reply, e.cls ? &e : NULL); /* err may have lived in the request */
    ca_unref(ca);
}

/* Repeats the request if that helps, else ends it. */
static void failed(struct request *r, const struct http_reply *reply, const struct err *err,
                   bool posted)
{
    const struct acme_env *env = r->ca->env;
    int64_t delay;

    /* 429: the CA has done nothing, whatever was asked. */
    bool repeatable = !posted || !r->spec.once || err->http == 429;
    if (!repeatable || !retry_next(&r->retry, err, loop_wall_ms(env->loop), env->rng, &delay)) {
        finish(r, reply, err);
        return;
    }
    timer_after(env->loop, &r->timer, delay, begin, r);
    if (r->spec.waits)
        r->spec.waits(r->arg, err, delay);
}

/* --- what a refusal may be mended by --- */

static void directory_again(void *arg, const struct directory_doc *doc, const struct err *err)
{
    struct request *r = arg;
    const char *url =
        doc ? (r->spec.target == REQUEST_NEW_ORDER ? doc->new_order : doc->new_account) : NULL;

    (void)err;
    if (!url || str_eq(url, r->url))
        finish(r, NULL, &r->first);
    else
        begin(r);
}

static void account_again(void *arg, const struct err *err)
{
    struct request *r = arg;

    if (err_is(err))
        finish(r, NULL, err);
    else if (r->ca->account.changes == r->changes)
        finish(r, NULL, &r->first);
    else
        begin(r);
}

static bool own_account(const struct request *r)
{
    return !r->spec.task && r->spec.what != KEEPER_NEW_ACCOUNT &&
           r->spec.what != KEEPER_FIND_ACCOUNT;
}

/* accountDoesNotExist is RFC 8555's; some servers give a bare 401, or 403 about the account. */
static bool account_in_doubt(const struct request *r, const struct err *e)
{
    if (!own_account(r) || r->recovered)
        return false;
    return str_eq(e->type, "accountDoesNotExist") || e->http == 401 ||
           (e->http == 403 && str_eq(e->type, "unauthorized") && strstr(e->detail, "ccount ") &&
            !(r->spec.flags & KEEPER_F_REPLACES));
}

static bool mend(struct request *r, const struct err *e)
{
    if (r->spec.target != REQUEST_URL && !r->moved && (e->http == 404 || e->http == 405)) {
        r->moved = true;
        r->first = *e;
        directory_expire(r->ca->server);
        directory_get(r->ca->server, &r->directory, directory_again, r);
        return true;
    }
    if (account_in_doubt(r, e)) {
        r->recovered = true;
        r->first = *e;
        account_lost(&r->ca->account, r->changes, &r->account, account_again, r);
        return true;
    }
    return false;
}

/* --- the way of a request --- */

static void bad_nonce(struct request *r, const char *fresh, const struct http_reply *reply,
                      struct err *e)
{
    if (++r->bad_nonces == NONCE_TRIES) {
        e->retry_at = 0;
        err_prefix(e, "%d nonces were refused one after the other", NONCE_TRIES);
        finish(r, reply, e);
    } else {
        if (nonce_ok(fresh)) /* the one that MUST be used, RFC 8555 6.5 */
            str_copy(r->nonce, sizeof(r->nonce), fresh);
        begin(r);
    }
}

static void posted(void *arg, const struct http_reply *reply, const struct err *err)
{
    struct request *r = arg;
    struct server *s = r->ca->server;
    struct err e = ERR_INIT;

    r->post = NULL;
    if (r->spec.unanswered)
        *r->spec.unanswered = !reply || reply->status == 408 || reply->status >= 500;
    if (!reply) {
        failed(r, NULL, err, true);
        return;
    }
    const char *fresh = http_reply_header(reply, "Replay-Nonce");
    if (reply->status >= 200 && reply->status < 300) {
        nonce_put(&s->nonces, fresh);
        finish(r, reply, NULL);
        return;
    }
    problem_from_reply(&e, r->spec.where, reply, loop_wall_ms(r->ca->env->loop));
    /* Of what limits its work on orders it tells with other requests. */
    if (r->spec.what == KEEPER_READ)
        gate_heard(s->gate, reply, &e);
    if (str_eq(e.type, "badNonce")) {
        bad_nonce(r, fresh, reply, &e);
        return;
    }
    nonce_put(&s->nonces, fresh);
    if (!mend(r, &e))
        failed(r, reply, &e, true);
}

static void have_signature(void *arg, const char *jws, size_t n, const struct err *err)
{
    struct request *r = arg;
    struct http_request h = {.method = "POST",
                             .url = r->url,
                             .headers = r->spec.pem ? pem_headers : json_headers,
                             .body = jws,
                             .body_len = n,
                             .once = r->spec.once,
                             .timeout_ms = r->ca->cf->timeout_ms * (r->spec.slow ? 4 : 1),
                             .max_body = r->spec.max_body};

    r->sign = NULL;
    r->nonce[0] = '\0';
    if (err_is(err)) {
        finish(r, NULL, err);
        return;
    }
    if (r->spec.unanswered)
        *r->spec.unanswered = true;
    r->post = http_start(r->ca->server->site, &h, posted, r);
}

static void sign(struct request *r)
{
    struct keeper *k = r->ca->env->keeper;
    struct keeper_sign_request q = {.what = r->spec.what,
                                    .flags = r->spec.flags,
                                    .ca = r->ca->cf->name,
                                    .cert = r->spec.cert ? r->spec.cert : "",
                                    .url = r->url,
                                    .nonce = r->nonce,
                                    .task = r->spec.task};

    r->changes = r->ca->account.changes;
    r->sign = k->ops->sign(k, &q, have_signature, r);
}

static void have_nonce(void *arg, const char *nonce, const struct err *err)
{
    struct request *r = arg;

    if (err_is(err)) {
        failed(r, NULL, err, false);
        return;
    }
    timer_cancel(&r->timer);
    str_copy(r->nonce, sizeof(r->nonce), nonce);
    begin(r);
}

static void passed(void *arg)
{
    struct request *r = arg;
    struct server *s = r->ca->server;

    timer_cancel(&r->timer);
    if (r->nonce[0] || nonce_take(&s->nonces, r->nonce)) {
        sign(r);
    } else { /* others were faster */
        gate_back(s->gate);
        nonce_wait(&s->nonces, &r->wait, have_nonce, r);
    }
}

static void tell_closed(void *arg)
{
    struct request *r = arg;
    const struct gate *g = r->ca->server->gate;
    struct err why = g->why;

    if (gate_closed_ms(g) > 0 && r->spec.waits)
        r->spec.waits(r->arg, &why, gate_closed_ms(g));
}

/* Through the door with a nonce: none is taken before, and none fetched while others wait who can
 * use one. */
static void go(struct request *r)
{
    struct server *s = r->ca->server;
    enum gate_rank rank = r->nonce[0] ? GATE_NONCE_IN_HAND : GATE_REQUEST;

    if (!r->nonce[0] && !nonce_here(&s->nonces) && list_empty(&s->gate->lines[GATE_REQUEST])) {
        nonce_wait(&s->nonces, &r->wait, have_nonce, r);
    } else if (gate_enter(s->gate, &r->pass, rank, passed, r)) {
        passed(r);
        return;
    }
    if (gate_closed_ms(s->gate) > 0)
        timer_after(r->ca->env->loop, &r->timer, 0, tell_closed, r);
}

static void have_account(void *arg, const struct err *err)
{
    struct request *r = arg;

    if (err_is(err))
        finish(r, NULL, err);
    else
        begin(r);
}

static void have_directory(void *arg, const struct directory_doc *doc, const struct err *err)
{
    struct request *r = arg;

    (void)doc;
    if (err_is(err))
        finish(r, NULL, err);
    else
        begin(r);
}

/* Goes on from whatever is still missing; also the beginning of every repetition. */
static void begin(void *arg)
{
    struct request *r = arg;
    struct server *s = r->ca->server;

    if (r->spec.target != REQUEST_URL) {
        const struct directory_doc *doc = directory_now(s);
        if (!doc) {
            directory_get(s, &r->directory, have_directory, r);
            return;
        }
        free(r->url);
        r->url = xstrdup(r->spec.target == REQUEST_NEW_ORDER ? doc->new_order : doc->new_account);
    }
    if (own_account(r) && !account_ready(&r->ca->account))
        account_get(&r->ca->account, &r->account, have_account, r);
    else
        go(r);
}

struct request *request_start(struct ca *ca, const struct request_spec *s, request_done_fn *done,
                              void *arg)
{
    struct request *r = xnew(struct request);

    r->ca = ca_ref(ca);
    r->spec = *s;
    r->done = done;
    r->arg = arg;
    r->url = s->url ? xstrdup(s->url) : NULL;
    r->spec.url = NULL;
    begin(r); /* every way from there leads through the loop */
    return r;
}
