/* SPDX-License-Identifier: ISC */
/*
 * c-ares channels on the loop. What a channel may do is fixed at its birth, so that is its key.
 * Channels are kept; the least recently used idle one goes first. An idle one has no socket and no
 * timer.
 */
#ifndef RENEWD_IO_DNS_CHANNEL_H
#define RENEWD_IO_DNS_CHANNEL_H

#include "io/dns.h"

#include <ares.h>

struct channel_key {
    unsigned resolvers; /* generation of the resolvers; 0: the server below */
    struct dns_addr server;
    bool recurse, tcp;
    bool checked; /* c-ares takes a server's refusal for no answer and asks the next */
};

struct dns_channel {
    struct list node;
    struct dns_channels *pool;
    struct channel_key key;
    ares_channel ares;
    struct timer timer;
    struct list socks;
    unsigned in_flight; /* the user counts: queries whose callback is still to come */
    unsigned open;      /* and those of them that somebody waits for */
    struct list waiting;
    struct defer pump;
};

struct dns_channels {
    struct loop *loop;
    struct list list; /* least recently used first */
    size_t n;
};

void dns_channels_init(struct dns_channels *p, struct loop *l);
void dns_channels_done(struct dns_channels *p); /* callbacks of queries in flight are called */
/* servers: those of a new channel, none where it may only read /etc/hosts. Not from within a
 * callback of c-ares: an idle channel may be destroyed. */
struct dns_channel *dns_channel_get(struct dns_channels *p, const struct channel_key *key,
                                    const struct dns_addr *servers, size_t n, struct err *e);
void dns_channel_settle(struct dns_channel *c); /* after each call into c-ares: sets the timer */

#endif
