/* SPDX-License-Identifier: ISC */
#include "io/dns_channel.h"

#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#define CHANNELS_MAX 128
#define RETRANSMIT_MS 1000 /* then twice that, and so on */
#define TRIES 3
#define EDNS_SIZE 1232

struct sock {
    struct list node;
    struct dns_channel *channel;
    ares_socket_t fd;
    struct watch *watch;
};

static void channel_process(struct dns_channel *c, ares_socket_t read_fd, ares_socket_t write_fd)
{
    ares_process_fd(c->ares, read_fd, write_fd);
    dns_channel_settle(c);
}

static void channel_time(void *arg)
{
    channel_process(arg, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

void dns_channel_settle(struct dns_channel *c)
{
    struct timeval room;
    const struct timeval *tv = ares_timeout(c->ares, NULL, &room);

    if (tv)
        timer_after(c->pool->loop, &c->timer, tv->tv_sec * 1000 + tv->tv_usec / 1000 + 1,
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
    s->watch = watch_new(c->pool->loop, fd, what, sock_ready, s);
    list_append(&c->socks, &s->node);
}

/* --- channels --- */

static void channel_free(struct dns_channel *c)
{
    list_remove(&c->node);
    c->pool->n--;
    ares_destroy(c->ares);
    while (!list_empty(&c->socks))
        sock_free(list_item(c->socks.next, struct sock, node));
    timer_cancel(&c->timer);
    defer_cancel(&c->pump);
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

    if (!c->key.checked)
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

static void evict(struct dns_channels *p)
{
    list_each(it, &p->list)
    {
        struct dns_channel *c = list_item(it, struct dns_channel, node);

        if (p->n < CHANNELS_MAX)
            return;
        if (c->in_flight == 0 && list_empty(&c->waiting))
            channel_free(c);
    }
}

static bool key_eq(const struct channel_key *a, const struct channel_key *b)
{
    return a->resolvers == b->resolvers && a->recurse == b->recurse && a->tcp == b->tcp &&
           a->checked == b->checked && (a->resolvers || dns_addr_eq(&a->server, &b->server));
}

struct dns_channel *dns_channel_get(struct dns_channels *p, const struct channel_key *key,
                                    const struct dns_addr *servers, size_t n, struct err *e)
{
    for (struct list *it = p->list.prev; it != &p->list; it = it->prev) {
        struct dns_channel *c = list_item(it, struct dns_channel, node);

        if (key_eq(&c->key, key)) {
            list_remove(&c->node);
            list_append(&p->list, &c->node);
            return c;
        }
    }
    evict(p);
    struct dns_channel *c = xnew(struct dns_channel);
    c->pool = p;
    c->key = *key;
    list_init(&c->socks);
    list_init(&c->waiting);
    int r = channel_init(c, servers, n);
    if (r != ARES_SUCCESS) {
        err_set(e, ERR_LOCAL, "cannot set up DNS queries: %s", ares_strerror(r));
        free(c);
        return NULL;
    }
    list_append(&p->list, &c->node);
    p->n++;
    return c;
}

void dns_channels_init(struct dns_channels *p, struct loop *l)
{
    if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
        abort();
    *p = (struct dns_channels){.loop = l};
    list_init(&p->list);
}

void dns_channels_done(struct dns_channels *p)
{
    while (!list_empty(&p->list))
        channel_free(list_item(p->list.next, struct dns_channel, node));
    ares_library_cleanup();
}
