/* SPDX-License-Identifier: ISC */
/*
 * A call and the c-ares query that works for it are two objects: c-ares cannot cancel one query, so
 * a call that is cancelled or late leaves its query behind, which ends without telling anyone.
 *
 *     dns_ask -- ares_query --> WAITING -- reply, failure, deadline --> ENDED -- from the loop -->
 * done()
 *
 * Channels are kept, the least recently used idle one goes first. What each may do is fixed at its
 * birth, so (server, RD, TCP) is its key; new resolvers make new channels, old ones run dry.
 */
#include "io/dns.h"

#include "base/str.h"
#include "io/dns_message.h"

#include <ares.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#define CHANNELS_MAX 128
#define ADDRESSES_MAX 32
#define TIMEOUT_MS 5000
#define RETRANSMIT_MS 1000 /* then twice that, and so on */
#define TRIES 3
#define EDNS_SIZE 1232

struct channel_key {
    unsigned resolvers; /* generation of the resolvers; 0: the server below */
    struct dns_addr server;
    bool recurse, tcp;
};

struct dns_channel {
    struct list node;
    struct dns *dns;
    struct channel_key key;
    ares_channel ares;
    struct timer timer;
    struct list socks;
    unsigned in_flight;
};

struct sock {
    struct list node;
    struct dns_channel *channel;
    ares_socket_t fd;
    struct watch *watch;
};

struct dns {
    struct loop *loop;
    struct list channels; /* least recently used first */
    size_t n_channels;
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
    struct dns *dns;
    struct query *query; /* NULL once ended */
    struct timer deadline;
    struct defer end;
    struct err err;
    char name[NAME_MAX_TEXT];
    char whom[64]; /* "192.0.2.1", "the resolvers" */
    int64_t timeout_ms;
    enum dns_type type;
    struct dns_reply reply;
    dns_done_fn *done;
    struct dns_addr *addrs;
    size_t n_addrs;
    uint16_t port;
    dns_resolved_fn *resolved;
    void *arg;
};

/* --- c-ares on the loop --- */

static void channel_settle(struct dns_channel *c);

static void channel_process(struct dns_channel *c, ares_socket_t read_fd, ares_socket_t write_fd)
{
    ares_process_fd(c->ares, read_fd, write_fd);
    channel_settle(c);
}

static void channel_time(void *arg)
{
    channel_process(arg, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

static void channel_settle(struct dns_channel *c)
{
    struct timeval room;
    const struct timeval *tv = ares_timeout(c->ares, NULL, &room);

    if (tv)
        timer_after(c->dns->loop, &c->timer, tv->tv_sec * 1000 + tv->tv_usec / 1000 + 1,
                    channel_time, c);
    else
        timer_cancel(&c->timer);
}

static void sock_ready(void *arg, int what)
{
    struct sock *s = arg; /* may be freed by what follows */
    ares_socket_t fd = s->fd;

    channel_process(s->channel, what == LOOP_READ ? fd : ARES_SOCKET_BAD,
                    what == LOOP_WRITE ? fd : ARES_SOCKET_BAD);
}

static void sock_free(struct sock *s)
{
    list_remove(&s->node);
    watch_free(s->watch);
    free(s);
}

static struct sock *sock_find(struct dns_channel *c, ares_socket_t fd)
{
    list_each(it, &c->socks)
    {
        struct sock *s = list_item(it, struct sock, node);

        if (s->fd == fd)
            return s;
    }
    return NULL;
}

static void sock_state(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct dns_channel *c = arg;
    struct sock *s = sock_find(c, fd);
    int what = (readable ? LOOP_READ : 0) | (writable ? LOOP_WRITE : 0);

    if (!what) {
        if (s)
            sock_free(s);
        return;
    }
    if (s) {
        watch_set(s->watch, what);
        return;
    }
    s = xnew(struct sock);
    s->channel = c;
    s->fd = fd;
    s->watch = watch_new(c->dns->loop, fd, what, sock_ready, s);
    list_append(&c->socks, &s->node);
}

/* --- channels --- */

static void channel_free(struct dns_channel *c)
{
    list_remove(&c->node);
    c->dns->n_channels--;
    ares_destroy(c->ares);
    while (!list_empty(&c->socks))
        sock_free(list_item(c->socks.next, struct sock, node));
    timer_cancel(&c->timer);
    free(c);
}

static int set_servers(ares_channel ares, const struct dns_addr *servers, size_t n)
{
    struct ares_addr_port_node *nodes = xcalloc(n, sizeof *nodes);

    for (size_t i = 0; i < n; i++) {
        const struct sockaddr_in *v4 = (const void *)&servers[i].sa;
        const struct sockaddr_in6 *v6 = (const void *)&servers[i].sa;

        nodes[i].next = i + 1 < n ? &nodes[i + 1] : NULL;
        nodes[i].family = servers[i].sa.ss_family;
        if (nodes[i].family == AF_INET) {
            nodes[i].addr.addr4 = v4->sin_addr;
            nodes[i].udp_port = nodes[i].tcp_port = ntohs(v4->sin_port);
        } else {
            memcpy(&nodes[i].addr.addr6, &v6->sin6_addr, sizeof v6->sin6_addr);
            nodes[i].udp_port = nodes[i].tcp_port = ntohs(v6->sin6_port);
        }
    }
    int r = ares_set_servers_ports(ares, nodes);
    free(nodes);
    return r;
}

/* A single server's refusal is what we want to hear; of several resolvers the next is asked. No
 * file of the system is read but /etc/hosts, by ares_getaddrinfo. */
static int channel_init(struct dns_channel *c, const struct dns_addr *servers, size_t n)
{
    static char no_file[] = "/dev/null", both[] = "fb", files[] = "f";
    struct ares_options o = {
        .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_EDNS,
        .timeout = RETRANSMIT_MS,
        .tries = TRIES,
        .ednspsz = EDNS_SIZE,
        .lookups = n ? both : files,
        .resolvconf_path = no_file,
        .sock_state_cb = sock_state,
        .sock_state_cb_data = c,
    };
    int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_EDNSPSZ |
               ARES_OPT_LOOKUPS | ARES_OPT_RESOLVCONF | ARES_OPT_SOCK_STATE_CB | ARES_OPT_DOMAINS |
               ARES_OPT_NOROTATE;

    if (!c->key.resolvers)
        o.flags |= ARES_FLAG_NOCHECKRESP;
    if (!c->key.recurse)
        o.flags |= ARES_FLAG_NORECURSE;
    if (c->key.tcp)
        o.flags |= ARES_FLAG_USEVC;
#ifdef ARES_OPT_QUERY_CACHE
    o.qcache_max_ttl = 0;
    mask |= ARES_OPT_QUERY_CACHE;
#endif
    int r = ares_init_options(&c->ares, &o, mask);
    if (r == ARES_SUCCESS && n) {
        r = set_servers(c->ares, servers, n);
        if (r != ARES_SUCCESS)
            ares_destroy(c->ares);
    }
    return r;
}

static void evict(struct dns *d)
{
    list_each(it, &d->channels)
    {
        struct dns_channel *c = list_item(it, struct dns_channel, node);

        if (d->n_channels < CHANNELS_MAX)
            return;
        if (c->in_flight == 0)
            channel_free(c);
    }
}

static bool key_eq(const struct channel_key *a, const struct channel_key *b)
{
    return a->resolvers == b->resolvers && a->recurse == b->recurse && a->tcp == b->tcp &&
           (a->resolvers || dns_addr_eq(&a->server, &b->server));
}

static struct dns_channel *channel_get(struct dns *d, const struct channel_key *key, struct err *e)
{
    for (struct list *it = d->channels.prev; it != &d->channels; it = it->prev) {
        struct dns_channel *c = list_item(it, struct dns_channel, node);

        if (key_eq(&c->key, key)) {
            list_remove(&c->node);
            list_append(&d->channels, &c->node);
            return c;
        }
    }
    evict(d);
    struct dns_channel *c = xnew(struct dns_channel);
    c->dns = d;
    c->key = *key;
    list_init(&c->socks);
    int r = channel_init(c, key->resolvers ? d->resolvers : &key->server,
                         key->resolvers ? d->n_resolvers : 1);
    if (r != ARES_SUCCESS) {
        err_set(e, ERR_LOCAL, "cannot set up DNS queries: %s", ares_strerror(r));
        free(c);
        return NULL;
    }
    list_append(&d->channels, &c->node);
    d->n_channels++;
    return c;
}

/* --- calls --- */

static void call_free(struct dns_call *c)
{
    if (c->query)
        c->query->call = NULL;
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
        c->query->call = NULL;
    c->query = NULL;
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
    str_copy(c->whom, sizeof c->whom, "the resolvers");
    if (!str_copy(c->name, sizeof c->name, name) || strchr(name, '\\'))
        err_set(&c->err, ERR_CONFIG, "%.64s... is no name that DNS can be asked about", name);
    return c;
}

/* NULL: the call has an error and ends by itself. */
static struct query *call_launch(struct dns_call *c, const struct channel_key *key)
{
    struct dns_channel *channel = c->err.cls == ERR_NONE ? channel_get(c->dns, key, &c->err) : NULL;

    if (!channel) {
        call_end(c);
        return NULL;
    }
    struct query *q = xnew(struct query);
    q->channel = channel;
    q->call = c;
    c->query = q;
    channel->in_flight++;
    timer_after(c->dns->loop, &c->deadline, c->timeout_ms, call_late, c);
    return q;
}

/* Called by c-ares, possibly before ares_query has returned. Gives the call that waits, or NULL. */
static struct dns_call *query_done(struct query *q)
{
    struct dns_call *c = q->call;

    q->channel->in_flight--;
    if (c)
        c->query = NULL;
    free(q);
    return c;
}

/* Resolvers' refusals come as a status only. */
static int rcode_of(int status)
{
    switch (status) {
    case ARES_EFORMERR:
        return 1;
    case ARES_ESERVFAIL:
        return 2;
    case ARES_ENOTIMP:
        return 4;
    case ARES_EREFUSED:
        return 5;
    default:
        return -1;
    }
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
    } else if (rcode_of(status) >= 0) {
        c->reply.rcode = rcode_of(status);
    } else {
        call_failed(c, status);
    }
    call_end(c);
}

struct dns_call *dns_ask(struct dns *d, const struct dns_query *q, dns_done_fn *done, void *arg)
{
    struct dns_call *c = call_new(d, q->name, q->timeout_ms, arg);
    struct channel_key key = {.recurse = q->recurse, .tcp = q->tcp};

    c->done = done;
    c->type = q->type;
    if (q->server) {
        key.server = *q->server;
        dns_addr_text(q->server, c->whom, sizeof c->whom);
    } else {
        key.resolvers = d->generation;
        key.recurse = true;
        if (!d->n_resolvers)
            err_set(&c->err, ERR_CONFIG, "no DNS resolver is known; set dns.resolvers");
    }
    struct query *query = call_launch(c, &key);
    if (query) {
        struct dns_channel *channel = query->channel;

        ares_query(channel->ares, c->name, 1, (int)q->type, answered, query);
        channel_settle(channel);
    }
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
        if (!c->n_addrs)
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
    struct channel_key key = {.resolvers = d->generation, .recurse = true};
    struct dns_addr literal;

    c->resolved = done;
    c->port = port;
    if (c->err.cls == ERR_NONE && is_literal(host, port, &literal)) {
        c->addrs = xcalloc(1, sizeof *c->addrs);
        addr_add(c, (struct sockaddr *)&literal.sa);
        call_end(c);
        return c;
    }
    struct query *query = call_launch(c, &key);
    if (query) {
        struct dns_channel *channel = query->channel;

        ares_getaddrinfo(channel->ares, c->name, NULL, &hints, resolved, query);
        channel_settle(channel);
    }
    return c;
}

/* --- the client --- */

struct dns *dns_new(struct loop *l)
{
    struct dns *d = xnew(struct dns);

    if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
        abort();
    d->loop = l;
    d->generation = 1;
    list_init(&d->channels);
    list_init(&d->calls);
    return d;
}

void dns_free(struct dns *d)
{
    if (!d)
        return;
    while (!list_empty(&d->calls))
        call_free(list_item(d->calls.next, struct dns_call, node));
    while (!list_empty(&d->channels))
        channel_free(list_item(d->channels.next, struct dns_channel, node));
    free(d->resolvers);
    free(d);
    ares_library_cleanup();
}

void dns_set_resolvers(struct dns *d, const struct dns_addr *servers, size_t n)
{
    free(d->resolvers);
    d->resolvers = n ? xmemdup(servers, n * sizeof *servers) : NULL;
    d->n_resolvers = n;
    d->generation++;
}
