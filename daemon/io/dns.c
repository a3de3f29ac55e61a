/* SPDX-License-Identifier: ISC */
/*
 * A call and the c-ares query that works for it are two objects: c-ares cannot cancel one query, so
 * a call that is cancelled or late leaves its query behind, which ends without telling anyone.
 *
 *     dns_ask --> WAITING -- reply, failure, deadline --> ENDED -- from the loop --> done()
 *                  ^   | a resolver refuses, another is left
 *                  +---+
 *
 * A server's socket holds some 250 questions that it has not read yet and drops the rest, so no
 * more than OPEN_MAX are open with one; the others stand in its channel's line, where their time
 * runs, too.
 *
 * New resolvers make new channels; those of the old ones run dry.
 */
#include "io/dns.h"

#include "base/str.h"
#include "io/dns_channel.h"
#include "io/dns_message.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ADDRESSES_MAX 32
#define OPEN_MAX 100
#define TIMEOUT_MS 5000

struct dns {
    struct loop *loop;
    struct dns_channels channels;
    struct list calls;
    struct dns_addr *resolvers;
    size_t n_resolvers;
    unsigned generation; /* from 1 */
};

struct query {
    struct dns_channel *channel;
    struct dns_call *call; /* NULL: nobody waits any more */
};

struct dns_call {
    struct list node;
    struct list line; /* of the channel's waiting ones, or of none */
    struct dns *dns;
    struct query *query; /* NULL once ended */
    struct timer deadline;
    struct defer end;
    struct err err;
    char name[NAME_MAX_TEXT];
    char whom[64]; /* "192.0.2.1", "the resolvers" */
    int64_t timeout_ms;
    enum dns_type type;
    bool tcp;
    size_t next_resolver; /* to ask alone, after a refusal; SIZE_MAX: none */
    int refusal;          /* rcode of one, 0: none */
    struct dns_reply reply;
    dns_done_fn *done;
    struct dns_addr *addrs;
    size_t n_addrs;
    uint16_t port;
    dns_resolved_fn *resolved;
    void *arg;
};

/* --- calls --- */

static void pump(void *arg);

/* Nobody waits for it any more: another's turn. */
static void query_leave(struct query *q)
{
    struct dns_channel *channel = q->channel;

    q->call = NULL;
    channel->open--;
    if (!list_empty(&channel->waiting)) /* not from within c-ares */
        loop_defer(channel->pool->loop, &channel->pump, pump, channel);
}

static void call_free(struct dns_call *c)
{
    if (c->query)
        query_leave(c->query);
    list_remove(&c->line);
    list_remove(&c->node);
    timer_cancel(&c->deadline);
    defer_cancel(&c->end);
    dns_reply_done(&c->reply);
    free(c->addrs);
    free(c);
}

static void run_done(void *arg)
{
    struct dns_call *c = arg;
    bool failed = c->err.cls != ERR_NONE;
    struct dns_call mine = *c; /* the call ends before its owner is told */

    c->reply = (struct dns_reply){0};
    c->addrs = NULL;
    call_free(c);
    if (mine.done)
        mine.done(mine.arg, failed ? NULL : &mine.reply, &mine.err);
    else
        mine.resolved(mine.arg, mine.addrs, mine.n_addrs, &mine.err);
    dns_reply_done(&mine.reply);
    free(mine.addrs);
}

static void call_end(struct dns_call *c)
{
    if (c->query)
        query_leave(c->query);
    c->query = NULL;
    list_remove(&c->line);
    if (c->refusal && c->err.cls != ERR_NONE) { /* better than no answer */
        err_clear(&c->err);
        c->reply.rcode = c->refusal;
    }
    timer_cancel(&c->deadline);
    loop_defer(c->dns->loop, &c->end, run_done, c);
}

static void call_late(void *arg)
{
    struct dns_call *c = arg;
    char span[32];

    err_set(&c->err, ERR_TRANSIENT, "no answer about %s from %s within %s", c->name, c->whom,
            str_from_duration(c->timeout_ms, span, sizeof span));
    call_end(c);
}

/* c-ares' own words for what is no reply. */
static void call_failed(struct dns_call *c, int status)
{
    switch (status) {
    case ARES_ETIMEOUT:
        err_set(&c->err, ERR_TRANSIENT, "no answer about %s from %s", c->name, c->whom);
        return;
    case ARES_ECONNREFUSED:
        err_set(&c->err, ERR_TRANSIENT, "%s cannot be reached (asked about %s)", c->whom, c->name);
        return;
    case ARES_EBADRESP:
        err_set(&c->err, ERR_PEER, "%s sent a malformed reply about %s", c->whom, c->name);
        return;
    case ARES_EBADNAME:
        err_set(&c->err, ERR_CONFIG, "%s is no name that DNS can be asked about", c->name);
        return;
    case ARES_ENODATA:
    case ARES_ENOTFOUND:
        err_set(&c->err, ERR_TRANSIENT, "%s has no address; check the name and its DNS", c->name);
        return;
    default:
        err_set(&c->err, ERR_TRANSIENT, "asking %s about %s: %s", c->whom, c->name,
                ares_strerror(status));
    }
}

static struct dns_call *call_new(struct dns *d, const char *name, int64_t timeout_ms, void *arg)
{
    struct dns_call *c = xnew(struct dns_call);

    c->dns = d;
    c->arg = arg;
    c->timeout_ms = timeout_ms > 0 ? timeout_ms : TIMEOUT_MS;
    list_append(&d->calls, &c->node);
    list_init(&c->line);
    str_copy(c->whom, sizeof c->whom, "the resolvers");
    if (!str_copy(c->name, sizeof c->name, name) || strchr(name, '\\'))
        err_set(&c->err, ERR_CONFIG, "%.64s... is no name that DNS can be asked about", name);
    return c;
}

/* NULL: the call has an error and ends by itself. */
static struct dns_channel *call_channel(struct dns_call *c, const struct channel_key *key)
{
    struct dns *d = c->dns;
    struct dns_channel *channel = NULL;

    if (c->err.cls == ERR_NONE)
        channel = dns_channel_get(&d->channels, key, key->resolvers ? d->resolvers : &key->server,
                                  key->resolvers ? d->n_resolvers : 1, &c->err);
    if (!channel)
        call_end(c);
    else if (!timer_armed(&c->deadline))
        timer_after(c->dns->loop, &c->deadline, c->timeout_ms, call_late, c);
    return channel;
}

static struct query *query_new(struct dns_call *c, struct dns_channel *channel)
{
    struct query *q = xnew(struct query);

    q->channel = channel;
    q->call = c;
    c->query = q;
    channel->in_flight++;
    channel->open++;
    return q;
}

/* Called by c-ares, possibly before ares_query has returned. Gives the call that waits, or NULL. */
static struct dns_call *query_done(struct query *q)
{
    struct dns_call *c = q->call;

    q->channel->in_flight--;
    if (c) {
        query_leave(q);
        c->query = NULL;
    }
    free(q);
    return c;
}

static void ask_next(void *arg);

/* FORMERR, SERVFAIL, NOTIMP, REFUSED of the resolver that came first: others may know better. */
static bool try_next(struct dns_call *c)
{
    static const unsigned refusals = 1 << 1 | 1 << 2 | 1 << 4 | 1 << 5;

    if (!(1u << c->reply.rcode & refusals) || c->dns->n_resolvers < 2 ||
        c->next_resolver >= c->dns->n_resolvers)
        return false;
    c->refusal = c->reply.rcode;
    dns_reply_done(&c->reply);
    loop_defer(c->dns->loop, &c->end, ask_next, c); /* not from within c-ares */
    return true;
}

static void answered(void *arg, int status, int timeouts, unsigned char *msg, int len)
{
    struct dns_call *c = query_done(arg);

    (void)timeouts;
    if (!c)
        return;
    if (msg && len > 0) {
        if (dns_message_read(msg, (size_t)len, c->name, c->type, &c->reply, &c->err))
            err_prefix(&c->err, "%s", c->whom);
        else if (try_next(c))
            return;
    } else {
        call_failed(c, status);
    }
    call_end(c);
}

static void send_query(struct dns_call *c, struct dns_channel *channel)
{
    ares_query(channel->ares, c->name, 1, (int)c->type, answered, query_new(c, channel));
    dns_channel_settle(channel);
}

static void pump(void *arg)
{
    struct dns_channel *channel = arg;

    while (channel->open < OPEN_MAX && !list_empty(&channel->waiting)) {
        struct dns_call *c = list_item(channel->waiting.next, struct dns_call, line);

        list_remove(&c->line);
        send_query(c, channel);
    }
}

static void ask(struct dns_call *c, const struct channel_key *key)
{
    struct dns_channel *channel = call_channel(c, key);

    if (channel && (channel->open >= OPEN_MAX || !list_empty(&channel->waiting)))
        list_append(&channel->waiting, &c->line);
    else if (channel)
        send_query(c, channel);
}

static void ask_next(void *arg)
{
    struct dns_call *c = arg;

    if (c->next_resolver >= c->dns->n_resolvers) { /* they were changed meanwhile */
        c->reply.rcode = c->refusal;
        call_end(c);
        return;
    }
    ask(c, &(struct channel_key){
               .server = c->dns->resolvers[c->next_resolver++], .recurse = true, .tcp = c->tcp});
}

struct dns_call *dns_ask(struct dns *d, const struct dns_query *q, dns_done_fn *done, void *arg)
{
    struct dns_call *c = call_new(d, q->name, q->timeout_ms, arg);
    struct channel_key key = {.recurse = q->recurse, .tcp = q->tcp};

    c->done = done;
    c->type = q->type;
    c->tcp = q->tcp;
    if (q->server) {
        c->next_resolver = SIZE_MAX;
        key.server = *q->server;
        dns_addr_text(q->server, c->whom, sizeof c->whom);
    } else {
        key.resolvers = d->generation;
        key.recurse = true;
        if (!d->n_resolvers)
            err_set(&c->err, ERR_CONFIG, "no DNS resolver is known; set dns.resolvers");
    }
    ask(c, &key);
    return c;
}

void dns_cancel(struct dns_call *c)
{
    if (c)
        call_free(c);
}

/* --- addresses of hosts --- */

static void addr_add(struct dns_call *c, const struct sockaddr *sa)
{
    struct dns_addr *a = &c->addrs[c->n_addrs++];

    if (sa->sa_family == AF_INET) {
        memcpy(&a->sa, sa, sizeof(struct sockaddr_in));
        ((struct sockaddr_in *)&a->sa)->sin_port = htons(c->port);
    } else {
        memcpy(&a->sa, sa, sizeof(struct sockaddr_in6));
        ((struct sockaddr_in6 *)&a->sa)->sin6_port = htons(c->port);
    }
}

static void resolved(void *arg, int status, int timeouts, struct ares_addrinfo *ai)
{
    struct dns_call *c = query_done(arg);

    (void)timeouts;
    if (c) {
        c->addrs = xcalloc(ADDRESSES_MAX, sizeof *c->addrs);
        for (const struct ares_addrinfo_node *n = ai ? ai->nodes : NULL;
             n && c->n_addrs < ADDRESSES_MAX; n = n->ai_next)
            if (n->ai_family == AF_INET || n->ai_family == AF_INET6)
                addr_add(c, n->ai_addr);
        if (!c->n_addrs && !c->dns->n_resolvers)
            err_set(&c->err, ERR_CONFIG, "%s cannot be looked up: no DNS resolver is known; %s",
                    c->name, "set dns.resolvers");
        else if (!c->n_addrs)
            call_failed(c, status == ARES_SUCCESS ? ARES_ENODATA : status);
        call_end(c);
    }
    if (ai)
        ares_freeaddrinfo(ai);
}

/* "192.0.2.1", "2001:db8::1", "[2001:db8::1]", but none with a port. */
static bool is_literal(const char *host, uint16_t port, struct dns_addr *ret)
{
    const char *colon = strchr(host, ':');

    if (strstr(host, "]:") || (colon && colon == strrchr(host, ':')))
        return false;
    return dns_addr_parse(host, port, ret);
}

struct dns_call *dns_resolve(struct dns *d, const char *host, uint16_t port, int64_t timeout_ms,
                             dns_resolved_fn *done, void *arg)
{
    static const struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC,
                                                     .ai_socktype = SOCK_STREAM};
    struct dns_call *c = call_new(d, host, timeout_ms, arg);
    struct channel_key key = {.resolvers = d->generation, .recurse = true, .checked = true};
    struct dns_addr literal;

    c->resolved = done;
    c->port = port;
    if (c->err.cls == ERR_NONE && is_literal(host, port, &literal)) {
        c->addrs = xcalloc(1, sizeof *c->addrs);
        addr_add(c, (struct sockaddr *)&literal.sa);
        call_end(c);
        return c;
    }
    struct dns_channel *channel = call_channel(c, &key);
    if (channel) {
        ares_getaddrinfo(channel->ares, c->name, NULL, &hints, resolved, query_new(c, channel));
        dns_channel_settle(channel);
    }
    return c;
}

/* --- the client --- */

struct dns *dns_new(struct loop *l)
{
    struct dns *d = xnew(struct dns);

    d->loop = l;
    d->generation = 1;
    dns_channels_init(&d->channels, l);
    list_init(&d->calls);
    return d;
}

void dns_free(struct dns *d)
{
    if (!d)
        return;
    while (!list_empty(&d->calls))
        call_free(list_item(d->calls.next, struct dns_call, node));
    dns_channels_done(&d->channels);
    free(d->resolvers);
    free(d);
}

void dns_set_resolvers(struct dns *d, const struct dns_addr *servers, size_t n)
{
    free(d->resolvers);
    d->resolvers = n ? xmemdup(servers, n * sizeof *servers) : NULL;
    d->n_resolvers = n;
    d->generation++;
}
