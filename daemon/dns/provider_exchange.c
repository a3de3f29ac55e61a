/* SPDX-License-Identifier: ISC */
#include "dns/provider_exchange.h"
#include "base/name.h"
#include "base/str.h"
#include "dns/provider_error.h"
#include "io/egress.h"

#include <stdio.h>
#include <string.h>

#define ONE_TRY_MS 10000
#define REMEMBER_MS 60000

static void try_next(struct provider_exchange *p);

void provider_exchange_cancel(struct provider_exchange *p)
{
    dns_cancel(p->asking);
    p->asking = NULL;
    if (p->exchange)
        exchange_cancel(p->exchange);
    p->exchange = NULL;
    defer_cancel(&p->refused);
    buf_free(&p->message);
    p->busy = false;
}

static void finish(struct provider_exchange *p, const struct worker_exchange_reply *reply)
{
    buf_free(&p->message);
    p->busy = false;
    p->done(p->arg, reply);
}

static void finish_err(struct provider_exchange *p, const struct err *e)
{
    struct worker_exchange_reply reply = {.cls = provider_error_class(e->cls)};
    str_copy(reply.detail, sizeof(reply.detail), e->detail);
    finish(p, &reply);
}

static void on_refused(void *arg)
{
    struct provider_exchange *p = arg;
    finish_err(p, &p->err);
}

static void on_answer(void *arg, const void *answer, size_t n, const struct err *err)
{
    struct provider_exchange *p = arg;
    p->exchange = NULL;
    if (err->cls == ERR_NONE) {
        struct worker_exchange_reply reply = {.message = answer, .len = n};
        finish(p, &reply);
        return;
    }
    p->err = *err;
    p->at++;
    try_next(p);
}

static void try_next(struct provider_exchange *p)
{
    int64_t left = p->deadline_ms - loop_mono_ms(p->loop);
    if (p->at >= p->server.n || left <= 0) {
        finish_err(p, &p->err);
        return;
    }
    p->exchange = exchange_start(p->pool, &p->server.addrs[p->at], p->message.data, p->message.len,
                                 left < ONE_TRY_MS ? left : ONE_TRY_MS, on_answer, p);
}

static struct provider_server *find_known(struct provider_exchange *p)
{
    for (size_t i = 0; i < EXCHANGE_REMEMBERED; i++)
        if (str_eq(p->known[i].key, p->key) && p->known[i].until_ms > loop_mono_ms(p->loop))
            return &p->known[i];
    return NULL;
}

static void set_addresses(struct provider_exchange *p, const struct dns_addr *addrs, size_t n)
{
    p->server.n = n < EXCHANGE_ADDRS ? n : EXCHANGE_ADDRS;
    memcpy(p->server.addrs, addrs, p->server.n * sizeof(*addrs));
    str_copy(p->server.key, sizeof(p->server.key), p->key);
    p->server.until_ms = loop_mono_ms(p->loop) + REMEMBER_MS;
    p->known[p->turn++ % EXCHANGE_REMEMBERED] = p->server;
}

static void on_named(void *arg, const struct dns_addr *addrs, size_t n, const struct err *err)
{
    struct provider_exchange *p = arg;
    p->asking = NULL;
    if (n == 0) {
        struct err e = *err;
        finish_err(p, &e);
        return;
    }
    set_addresses(p, addrs, n);
    try_next(p);
}

/* The primary comes from DNS and not from the user: public addresses only. */
static void on_primary(void *arg, const struct dns_addr *addrs, size_t n, const struct err *err)
{
    struct provider_exchange *p = arg;
    struct dns_addr good[EXCHANGE_ADDRS];
    size_t n_good = 0;
    p->asking = NULL;
    for (size_t i = 0; i < n && n_good < EXCHANGE_ADDRS; i++)
        if (!egress_is_inside((const struct sockaddr *)&addrs[i].sa))
            good[n_good++] = addrs[i];
    if (n_good) {
        set_addresses(p, good, n_good);
        try_next(p);
        return;
    }
    struct err e = *err;
    if (n)
        err_set(
            &e, ERR_CONFIG,
            "the zone's primary server has an address that is not public: name it in the option "
            "`server`");
    finish_err(p, &e);
}

static void on_soa(void *arg, const struct dns_reply *reply, const struct err *err)
{
    struct provider_exchange *p = arg;
    p->asking = NULL;
    const char *zone = p->key + strlen("zone ");
    for (size_t i = 0; reply && i < reply->n; i++) {
        const struct dns_record *r = &reply->records[i];
        if (r->type == DNS_SOA && r->section == DNS_ANSWER && str_eq(r->owner, zone)) {
            p->asking = dns_resolve(p->dns, r->name, 53, ONE_TRY_MS, on_primary, p);
            return;
        }
    }
    struct err e = *err;
    if (reply)
        err_set(&e, ERR_CONFIG,
                "there is no SOA record of %s: name the zone's primary in the option "
                "`server`",
                zone);
    finish_err(p, &e);
}

/* HOST[:PORT] of an option, not an address. */
static void resolve_server(struct provider_exchange *p, const char *server)
{
    char host[300];
    int64_t port = 53;
    str_copy(host, sizeof(host), server);
    char *colon = strrchr(host, ':');
    if (colon && str_to_i64(colon + 1, 1, 65535, &port))
        *colon = '\0';
    p->asking = dns_resolve(p->dns, host, (uint16_t)port, ONE_TRY_MS, on_named, p);
}

static void refuse(struct provider_exchange *p)
{
    loop_defer(p->loop, &p->refused, on_refused, p);
}

static void find_server(struct provider_exchange *p, const struct worker_exchange *x)
{
    char zone[NAME_MAX_TEXT];
    struct dns_addr literal;
    const struct provider_server *known;
    if (x->server[0] && !reach_list_server(p->reach, x->server)) {
        err_set(&p->err, ERR_CONFIG, "the plugin asks server %.100s, which no option names",
                x->server);
        refuse(p);
        return;
    }
    if (!x->server[0] && name_owner(x->zone, zone) != NAME_OK) {
        err_set(&p->err, ERR_CONFIG, "the plugin names neither a server nor a zone");
        refuse(p);
        return;
    }
    snprintf(p->key, sizeof(p->key), "%s%s", x->server[0] ? "" : "zone ",
             x->server[0] ? x->server : zone);
    known = find_known(p);
    if (known) {
        p->server = *known;
        try_next(p);
    } else if (!x->server[0]) {
        struct dns_query q = {.name = zone, .type = DNS_SOA, .recurse = true};
        p->asking = dns_ask(p->dns, &q, on_soa, p);
    } else if (dns_addr_parse(x->server, 53, &literal)) {
        set_addresses(p, &literal, 1);
        try_next(p);
    } else {
        resolve_server(p, x->server);
    }
}

void provider_exchange_start(struct provider_exchange *p, const struct worker_exchange *x,
                             int64_t deadline_ms,
                             void (*done)(void *arg, const struct worker_exchange_reply *reply),
                             void *arg)
{
    p->busy = true;
    p->deadline_ms = deadline_ms;
    p->done = done;
    p->arg = arg;
    p->at = 0;
    err_clear(&p->err);
    err_set(&p->err, ERR_TRANSIENT, "the deadline is over");
    buf_init(&p->message, 65536);
    buf_put(&p->message, x->message, x->len);
    if (x->len < 12 || deadline_ms <= loop_mono_ms(p->loop)) {
        if (x->len < 12)
            err_set(&p->err, ERR_CONFIG, "the plugin sends no DNS message");
        refuse(p);
        return;
    }
    find_server(p, x);
}
