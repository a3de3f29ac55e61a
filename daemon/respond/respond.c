/* SPDX-License-Identifier: ISC */
/*
 * An answer waits for two things: its turn in the table (respond/table.h), and the addresses.
 *
 *     address:  OPENING (the keeper is asked) -> OPEN -> closed with the last answer that uses it
 *                  `-> failed: each answer that uses it fails
 */
#include "respond/respond.h"
#include "base/list.h"
#include "base/map.h"
#include "base/str.h"
#include "digest/alpn_cert.h"
#include "respond/http_conn.h"
#include "respond/pool.h"
#include "respond/table.h"
#include "respond/tls_conn.h"

#include <errno.h>
#include <stdlib.h>

#define TURN_LIMIT_MS (10 * 60 * 1000) /* for an answer before it to go */

struct service { /* http-01, tls-alpn-01 */
    struct table *table;
    struct pool *pool;
    struct map *addresses; /* text -> struct address */
};

struct responders {
    struct responders_env env;
    struct service http, alpn;
    struct tls_server *tls; /* from the first answer by tls-alpn-01 on */
};

struct address {
    struct responders *owner;
    struct service *service;
    char *text;
    struct keeper_call *call; /* while it is opened */
    struct acceptor *acceptor;
    struct list uses;
};

struct use { /* of an address by an answer */
    struct list node;
    struct responder *answer;
    struct address *address; /* NULL: this machine lacks the address family */
};

struct responder {
    struct responders *owner;
    struct service *service;
    struct entry entry; /* key NULL: never put into the table */
    char *key, *content;
    struct use *uses;
    size_t n_uses;
    struct err err;
    bool told;
    struct defer tell;
    struct timer turn_limit;
    responder_fn *fn;
    void *arg;
};

static void service_init(struct service *s)
{
    s->table = table_new();
    s->addresses = map_new();
}

static void service_done(struct service *s)
{
    pool_free(s->pool);
    table_free(s->table);
    map_free(s->addresses);
}

struct responders *responders_new(const struct responders_env *env)
{
    struct responders *r = xnew(struct responders);
    r->env = *env;
    service_init(&r->http);
    service_init(&r->alpn);
    r->http.pool = pool_new(env->loop, &http_kind, r->http.table);
    return r;
}

void responders_free(struct responders *r)
{
    if (!r)
        return;
    service_done(&r->http);
    service_done(&r->alpn);
    tls_server_free(r->tls);
    free(r);
}

/* ---- telling the owner ---- */

static bool all_open(const struct responder *a)
{
    for (size_t i = 0; i < a->n_uses; i++) {
        const struct address *at = a->uses[i].address;
        if (at && at->call)
            return false;
    }
    return true;
}

static void leave(struct responder *a);

static void tell(void *arg)
{
    struct responder *a = arg;
    struct err err = a->err; /* fn may drop a */
    a->told = true;
    timer_cancel(&a->turn_limit);
    if (err_is(&err))
        leave(a);
    a->fn(a->arg, &err);
}

static void settle(struct responder *a)
{
    if (!a->told && (err_is(&a->err) || (a->entry.served && all_open(a))))
        loop_defer(a->owner->env.loop, &a->tell, tell, a);
}

static void on_turn(struct entry *e)
{
    settle(CONTAINER_OF(e, struct responder, entry));
}

static void on_turn_limit(void *arg)
{
    struct responder *a = arg;
    if (!err_is(&a->err) && !a->entry.served)
        err_set(&a->err, ERR_TRANSIENT,
                "another order has been proving %s to its CA for 10 minutes, and two cannot be "
                "told apart by tls-alpn-01",
                a->key);
    settle(a);
}

/* ---- addresses ---- */

static void address_free(struct address *at)
{
    keeper_cancel(at->owner->env.keeper, at->call);
    acceptor_free(at->acceptor);
    map_remove(at->service->addresses, at->text);
    free(at->text);
    free(at);
}

static void use_end(struct use *u)
{
    struct address *at = u->address;
    if (!at)
        return;
    u->address = NULL;
    list_remove(&u->node);
    if (list_empty(&at->uses))
        address_free(at);
}

static bool has_address(const struct responder *a)
{
    for (size_t i = 0; i < a->n_uses; i++) {
        if (a->uses[i].address)
            return true;
    }
    return false;
}

/* Without IPv6 on this machine, an answer is served by IPv4 alone. */
static void address_failed(struct address *at, const struct err *why)
{
    bool lacking = why->sys == EAFNOSUPPORT;
    list_each(it, &at->uses)
    {
        struct use *u = list_item(it, struct use, node);
        struct responder *a = u->answer;
        list_remove(&u->node);
        u->address = NULL;
        if (!err_is(&a->err) && (!lacking || !has_address(a)))
            a->err = *why;
        settle(a);
    }
    address_free(at);
}

static void on_listening(void *arg, int fd, const struct err *err)
{
    struct address *at = arg;
    at->call = NULL;
    if (fd < 0) {
        address_failed(at, err);
        return;
    }
    at->acceptor = acceptor_new(at->service->pool, fd);
    list_each(it, &at->uses) settle(list_item(it, struct use, node)->answer);
}

static struct address *address_get(struct responders *r, struct service *s, const char *text)
{
    struct address *at = map_get(s->addresses, text);
    if (at)
        return at;
    at = xnew(struct address);
    at->owner = r;
    at->service = s;
    at->text = xstrdup(text);
    list_init(&at->uses);
    map_put(s->addresses, text, at);
    at->call = r->env.keeper->ops->listen(r->env.keeper, text, on_listening, at);
    return at;
}

/* ---- answers ---- */

static struct responder *make(struct responders *r, const char *content, responder_fn *fn,
                              void *arg)
{
    struct responder *a = xnew(struct responder);
    a->owner = r;
    a->content = xstrdup(content);
    a->fn = fn;
    a->arg = arg;
    return a;
}

static void put(struct responder *a, struct service *s, const struct conf_strs *listen)
{
    struct loop *l = a->owner->env.loop;
    a->service = s;
    a->n_uses = listen->n;
    a->uses = xcalloc(listen->n + 1, sizeof(*a->uses));
    for (size_t i = 0; i < listen->n; i++) {
        struct use *u = &a->uses[i];
        u->answer = a;
        u->address = address_get(a->owner, s, listen->v[i]);
        list_append(&u->address->uses, &u->node);
    }
    a->entry.key = a->key;
    a->entry.content = a->content;
    a->entry.turn = on_turn;
    table_put(s->table, &a->entry);
    if (!a->entry.served)
        timer_after(l, &a->turn_limit, TURN_LIMIT_MS, on_turn_limit, a);
    if (listen->n == 0)
        err_set(&a->err, ERR_BUG, "no address is configured to listen on");
    settle(a);
}

struct responder *responders_http_put(struct responders *r, const struct conf_strs *listen,
                                      const char *token, const char *key_authorization,
                                      responder_fn *fn, void *arg)
{
    struct responder *a = make(r, key_authorization, fn, arg);
    a->key = xstrdup(token);
    put(a, &r->http, listen);
    return a;
}

static int need_tls(struct responders *r, struct err *e)
{
    if (r->tls)
        return 0;
    r->tls = tls_server_new(r->alpn.table, e);
    if (!r->tls)
        return -1;
    r->alpn.pool = pool_new(r->env.loop, &tls_kind, r->tls);
    return 0;
}

struct responder *responders_alpn_put(struct responders *r, const struct conf_strs *listen,
                                      const char *identifier, const char *key_authorization,
                                      responder_fn *fn, void *arg)
{
    struct responder *a = make(r, key_authorization, fn, arg);
    char name[NAME_MAX_TEXT];
    if (need_tls(r, &a->err)) {
        settle(a);
    } else if (!alpn_server_name(identifier, name)) {
        err_set(&a->err, ERR_BUG, "tls-alpn-01 cannot prove %.200s", identifier);
        settle(a);
    } else if (!(a->entry.cert = alpn_cert_new(identifier, key_authorization,
                                               loop_wall_ms(r->env.loop), &a->err))) {
        settle(a);
    } else {
        a->key = xstrdup(name);
        put(a, &r->alpn, listen);
    }
    return a;
}

/* With the last answer go those who still wait for one. */
static void leave(struct responder *a)
{
    struct service *s = a->service;
    if (!s)
        return;
    a->service = NULL;
    for (size_t i = 0; i < a->n_uses; i++)
        use_end(&a->uses[i]);
    table_remove(s->table, &a->entry);
    if (table_empty(s->table))
        pool_close_all(s->pool);
}

void responder_drop(struct responder *a)
{
    if (!a)
        return;
    leave(a);
    defer_cancel(&a->tell);
    timer_cancel(&a->turn_limit);
    alpn_cert_free(a->entry.cert);
    free(a->key);
    free(a->content);
    free(a->uses);
    free(a);
}

unsigned responder_answered(const struct responder *a)
{
    return a->entry.answered;
}
