/* SPDX-License-Identifier: ISC */
/* acme/acme.h over a CA that remembers its orders. */
#include "acme/acme.h"
#include "base/mem.h"
#include "base/str.h"
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct acme_order {
    struct world *world;
    struct site *site;
    const struct conf_cert *cert;
    char ca[32], url[64];
    bool replaces, resumed, find, asked;
    struct acme_order_handler h;
    void *arg;
    struct call *call;
    struct acme_challenge challenge;
    char token[32], key_authorization[64];
    struct err err;
};

/* The number of an order is in its URL, from 1. */
struct ca_order *world_order(struct world *w, const char *url)
{
    const char *slash = strrchr(url, '/');
    size_t i = slash ? strtoul(slash + 1, NULL, 10) : 0;
    return i && i <= w->n_orders && str_eq(w->orders[i - 1].url, url) ? &w->orders[i - 1] : NULL;
}

static struct ca_order *order_at(struct world *w, const char *url)
{
    struct ca_order *o = world_order(w, url);
    return o && !o->gone ? o : NULL;
}

static void next(struct acme_order *o, int64_t ms, void (*effect)(struct call *),
                 void (*callback)(struct call *))
{
    o->call = world_call(o->world, ms, effect, callback, NULL, o);
    o->call->site = o->site;
    str_copy(o->call->text, sizeof(o->call->text), o->url);
    str_copy(o->call->text2, sizeof(o->call->text2), o->ca);
    o->call->flag = o->replaces;
    o->call->number = o->find;
}

static void fail(struct acme_order *o, bool resumable, const struct err *err)
{
    o->err = *err;
    o->h.done(o->arg, NULL, 0, NULL, resumable, &o->err);
}

/* ---- finalize, download ---- */

static void issue(struct call *c)
{
    struct world *w = c->world;
    struct ca_order *o = order_at(w, c->text);
    if (o->valid)
        return;
    bool brief = world_fails(c->site, FAULT_SHORT, c->text2);
    o->valid = true;
    o->key = c->site->pending;
    o->not_before = w->loop->wall - (brief ? w->lifetime - 1000 : 0);
    o->not_after = o->not_before + w->lifetime;
}

static void told_chain(struct call *c)
{
    struct acme_order *o = c->arg;
    o->call = NULL;
    o->h.done(o->arg, o->url, strlen(o->url), "https://ca/acct/1", false, NULL);
}

static void told_answered(struct call *c)
{
    struct acme_order *o = c->arg;
    o->call = NULL;
    o->h.answered(o->arg);
    if (c->err.cls != ERR_NONE) {
        o->h.refused(o->arg, o->challenge.name, o->challenge.type);
        fail(o, false, &c->err);
    } else
        next(o, 3, issue, told_chain);
}

static void validate(struct call *c)
{
    struct world *w = c->world;
    struct ca_order *o = order_at(w, c->text);
    unsigned found = world_proved(w, c->text);
    if (world_fails(c->site, FAULT_VALIDATE, c->text2) || !found) {
        o->invalid = true;
        err_set(&c->err, ERR_TRANSIENT, "%s", found ? "incorrect TXT record" : "no TXT record");
    }
}

static void told_nothing(struct call *c)
{
    ((struct acme_order *)c->arg)->call = NULL;
}

void acme_order_answer(struct acme_order *o)
{
    if (world_fails(o->site, FAULT_CA_HANG, o->ca))
        next(o, 3650 * POLICY_DAY, NULL, told_nothing);
    else
        next(o, 5, validate, told_answered);
}

/* ---- challenges ---- */

static void set_challenge(struct acme_order *o)
{
    static const char *const issuers[] = {"ca.test"}, *const uris[] = {"https://ca/acct/1"};
    const struct site *s = o->site;
    const struct conf_name *name = &o->cert->names[0];
    enum conf_challenge type = s->n_types ? s->types[s->type] : CONF_DNS_01;
    snprintf(o->token, sizeof(o->token), "token-%s", strrchr(o->url, '/') + 1);
    snprintf(o->key_authorization, sizeof(o->key_authorization), "%s.thumbprint", o->token);
    o->challenge = (struct acme_challenge){
        .name = name,
        .identifier = name->name,
        .type = type,
        .owner = "_acme-challenge.example",
        .value = "value",
        .token = o->token,
        .key_authorization = o->key_authorization,
        .issuers = issuers,
        .n_issuers = 1,
        .account_uris = uris,
        .n_account_uris = 1,
    };
}

static void told_challenges(struct call *c)
{
    struct acme_order *o = c->arg;
    o->call = NULL;
    set_challenge(o);
    o->asked = true;
    o->h.progress(o->arg, ACME_AUTHORIZE, "");
    o->h.challenges(o->arg, &o->challenge, 1);
}

bool acme_order_instead(struct acme_order *o, size_t i)
{
    struct site *s = o->site;
    if (i || s->type + 1 >= s->n_types)
        return false;
    s->type++;
    set_challenge(o);
    return true;
}

void acme_order_continue(struct acme_order *o)
{
    next(o, 2, NULL, told_challenges);
}

/* ---- new, or taken up ---- */

static void create(struct call *c)
{
    struct world *w = c->world;
    struct site *s = c->site;
    for (size_t i = 0; c->number && i < w->n_orders; i++) { /* find */
        const struct ca_order *o = &w->orders[i];
        if (str_eq(o->cert, s->name) && str_eq(o->ca, c->text2) && !o->valid && !o->invalid &&
            !o->gone) {
            str_copy(c->text, sizeof(c->text), o->url);
            return;
        }
    }
    if (world_fails(s, FAULT_NEW_ORDER, c->text2)) {
        c->err = s->err;
        return;
    }
    s->orders++;
    w->orders = xrealloc_array(w->orders, w->n_orders + 1, sizeof(*w->orders));
    struct ca_order *o = &w->orders[w->n_orders++];
    *o = (struct ca_order){.replaces = c->flag};
    snprintf(o->url, sizeof(o->url), "https://%.20s/order/%zu", c->text2, w->n_orders);
    str_copy(o->cert, sizeof(o->cert), s->name);
    str_copy(o->ca, sizeof(o->ca), c->text2);
    str_copy(c->text, sizeof(c->text), o->url);
    if (world_fails(s, FAULT_UNANSWERED, c->text2))
        err_set(&c->err, ERR_TRANSIENT, "the connection was closed");
}

static void told_created(struct call *c)
{
    struct acme_order *o = c->arg;
    o->call = NULL;
    if (c->err.cls != ERR_NONE) {
        fail(o, c->err.cls == ERR_TRANSIENT, &c->err);
        return;
    }
    str_copy(o->url, sizeof(o->url), c->text);
    o->h.created(o->arg, o->url);
}

static void told_resumed(struct call *c)
{
    struct acme_order *o = c->arg;
    const struct ca_order *at = order_at(o->world, o->url);
    struct err err = ERR_INIT;
    o->call = NULL;
    o->h.progress(o->arg, ACME_RESUME, "");
    if (!at) {
        err_set(&err, ERR_DENIED, "no such order");
        err.http = 404;
        fail(o, false, &err);
    } else if (at->other) {
        err_set(&err, ERR_PEER, "the CA's order is for other names");
        fail(o, false, &err);
    } else if (at->invalid) {
        o->h.progress(o->arg, ACME_VALIDATE, "");
        err_set(&err, ERR_TRANSIENT, "the order is invalid");
        fail(o, false, &err);
    } else if (at->valid) {
        next(o, 2, NULL, told_chain);
    } else {
        told_challenges(c);
    }
}

struct acme_order *acme_order_start(struct acme *a, const struct acme_order_spec *s,
                                    const struct acme_order_handler *h, void *arg)
{
    struct world *w = a->world;
    struct acme_order *o = xnew(struct acme_order);
    o->world = w;
    o->site = world_site(w, s->cert->name);
    o->site->type = 0;
    for (size_t i = 0; i < s->n_avoid; i++)
        while (o->site->type + 1 < o->site->n_types &&
               s->avoid[i].types >> o->site->types[o->site->type] & 1)
            o->site->type++;
    o->cert = s->cert;
    o->h = *h;
    o->arg = arg;
    o->replaces = s->replaces;
    o->find = s->find;
    o->resumed = s->url[0] != '\0';
    str_copy(o->ca, sizeof(o->ca), s->ca);
    str_copy(o->url, sizeof(o->url), s->url);
    w->jobs_now++;
    w->jobs_most = w->jobs_now > w->jobs_most ? w->jobs_now : w->jobs_most;
    if (o->resumed)
        next(o, 2, NULL, told_resumed);
    else
        next(o, 2, create, told_created);
    return o;
}

void acme_order_free(struct acme_order *o)
{
    if (!o)
        return;
    o->world->jobs_now--;
    world_call_cancel(o->call);
    free(o);
}

const char *acme_order_state_name(enum acme_order_state s)
{
    return s == ACME_AUTHORIZE ? "AUTHORIZE" : "STATE";
}

/* ---- renewal information ---- */

static void told_ari(struct call *c)
{
    struct world *w = c->world;
    struct site *s = c->site;
    int64_t life = s->not_after - s->not_before, ideal = s->not_after - life / 3;
    struct acme_ari ari = {
        .supported = !s->no_ari,
        .start_ms = s->ari_end ? s->ari_start : ideal - life / 100,
        .end_ms = s->ari_end ? s->ari_end : ideal + life / 100,
        .retry_at_ms = w->loop->wall + 6 * POLICY_HOUR,
        .explanation = s->ari_end ? "https://ca/incident" : "",
    };
    if (life < 2 * POLICY_DAY)
        ari.retry_at_ms = w->loop->wall + POLICY_MINUTE;
    ((void (*)(void *, const struct acme_ari *, const struct err *))c->fn)(c->arg, &ari, &c->err);
}

struct acme_call *
acme_ari_get(struct acme *a, const char *ca, const char *cert_id,
             void (*done)(void *arg, const struct acme_ari *ari, const struct err *err), void *arg)
{
    struct world *w = a->world;
    struct call *c = world_call(w, 4, NULL, told_ari, (void (*)(void))done, arg);
    (void)ca;
    c->site = world_site(w, cert_id);
    c->site->polls++;
    return (struct acme_call *)c;
}

void acme_call_cancel(struct acme_call *c)
{
    world_call_cancel((struct call *)c);
}
