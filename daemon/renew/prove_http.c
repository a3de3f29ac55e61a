/* SPDX-License-Identifier: ISC */
/*
 * http-01 and tls-alpn-01.
 *
 *   listen:           responder --+
 *   webroot, run:     mark -------+--> own check (http-01, unless dns.check is none) --> ready
 */
#include "base/mem.h"
#include "base/str.h"
#include "renew/http_check.h"
#include "renew/prove_marks.h"
#include "renew/prove_parts.h"

#include <stdlib.h>

#define CHECK_MAX_MS 60000

struct solving_http {
    struct solving solving; /* first */
    struct item *item;
    struct prover *prover;
    struct responder *responder;
    struct mark *mark;
    struct http_check *check;
};

/* ---- the own check ---- */

static const struct conf_dns_zone *policy_of(const struct item *i)
{
    return conf_dns_for(i->proof->conf, i->identifier);
}

static void on_changed(void *arg, const char *text)
{
    struct solving_http *s = arg;
    item_says(s->item, "asking for the answer over HTTP", text);
}

static void on_checked(void *arg, const struct err *err, const char *warning)
{
    struct solving_http *s = arg;
    s->check = NULL;
    if (!err_is(err)) {
        item_ready(s->item, warning);
    } else if (policy_of(s->item)->check == CONF_CHECK_WARN) {
        CLEANUP_FREE char *text = xasprintf("went on although %s", err->detail);
        item_ready(s->item, text);
    } else {
        item_broken(s->item, err);
    }
}

static void check(struct solving_http *s)
{
    static const struct http_check_handler handler = {on_changed, on_checked};
    const struct item *i = s->item;
    const struct prover *prover = i->proof->prover;
    const struct conf_dns_zone *policy = policy_of(i);
    const struct http_check_spec spec = {
        .loop = prover->env.loop,
        .dns = prover->env.dns,
        .site = prover->site,
        .name = i->identifier,
        .token = i->token,
        .content = i->key_authorization,
        .timeout_ms = policy->timeout_ms < CHECK_MAX_MS ? policy->timeout_ms : CHECK_MAX_MS,
    };
    if (policy->check == CONF_CHECK_NONE)
        item_ready(s->item, "");
    else
        s->check = http_check_start(&spec, &handler, s);
}

static void on_up(void *arg, const struct err *err)
{
    struct solving_http *s = arg;
    struct err e = ERR_INIT;
    if (err_is(err)) {
        e = *err;
        err_activity(&e, "serving the %s answer for %s", conf_challenge_name(s->item->type),
                     s->item->identifier);
        item_broken(s->item, &e);
    } else if (s->item->type == CONF_HTTP_01) {
        check(s);
    } else {
        item_ready(s->item, "");
    }
}

/* ---- putting it up, and away ---- */

static struct solving_http *solving_new(struct item *i)
{
    struct solving_http *s = xnew(struct solving_http);
    s->item = i;
    s->prover = i->proof->prover;
    return s;
}

static struct solving *start_http(struct item **items, size_t n)
{
    struct solving_http *s = solving_new(items[0]);
    struct item *i = items[0];
    struct proof *p = i->proof;
    (void)n;
    if (p->cert->http01.kind == CONF_HTTP01_LISTEN) {
        s->responder = responders_http_put(p->prover->env.responders, &p->cert->http01.listen,
                                           i->token, i->key_authorization, on_up, s);
    } else {
        const struct mark_spec spec = {.cert = p->cert->name,
                                       .ca = p->ca,
                                       .name = i->identifier,
                                       .token = i->token,
                                       .order = p->order};
        s->mark = mark_add(p->prover->marks, &spec, on_up, s);
    }
    return &s->solving;
}

static struct solving *start_alpn(struct item **items, size_t n)
{
    struct solving_http *s = solving_new(items[0]);
    struct proof *p = items[0]->proof;
    (void)n;
    s->responder = responders_alpn_put(p->prover->env.responders, &p->cert->alpn_listen,
                                       items[0]->identifier, items[0]->key_authorization, on_up, s);
    return &s->solving;
}

static void stop(struct solving_http *s)
{
    http_check_cancel(s->check);
    responder_drop(s->responder);
    s->check = NULL;
    s->responder = NULL;
}

static void drop(struct solving *solving)
{
    struct solving_http *s = CONTAINER_OF(solving, struct solving_http, solving);
    stop(s);
    if (s->mark)
        mark_drop(s->mark);
    free(s);
}

static void clean(struct solving *solving, prove_done_fn *done, void *arg)
{
    struct solving_http *s = CONTAINER_OF(solving, struct solving_http, solving);
    stop(s);
    if (s->mark)
        mark_remove(s->mark, done, arg);
    else
        prover_done_later(s->prover, done, arg);
    free(s);
}

const struct solver solver_http = {.start = start_http, .drop = drop, .clean = clean};
const struct solver solver_alpn = {.start = start_alpn, .drop = drop, .clean = clean};
