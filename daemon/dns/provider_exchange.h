/* SPDX-License-Identifier: ISC */
/*
 * One DNS exchange of a plugin, to a server that an option names or to the zone's primary:
 *
 *     [SOA of the zone --> MNAME] --> ADDRESSES --> TRY each until one answers --> done()
 *
 * Addresses are remembered for a minute.
 */
#ifndef RENEWD_DNS_PROVIDER_EXCHANGE_H
#define RENEWD_DNS_PROVIDER_EXCHANGE_H

#include "dns/provider_reach.h"
#include "io/dns.h"
#include "io/exchange.h"
#include "loop/loop.h"
#include "wire/worker_msg.h"

#define EXCHANGE_ADDRS 8
#define EXCHANGE_REMEMBERED 8

struct provider_server { /* remembered */
    char key[600];       /* server's text, or "zone ZONE" */
    struct dns_addr addrs[EXCHANGE_ADDRS];
    size_t n;
    int64_t until_ms; /* mono */
};

struct provider_exchange {
    struct loop *loop;
    struct dns *dns;
    struct exchange_pool *pool;
    const struct reach_list *reach;
    struct provider_server known[EXCHANGE_REMEMBERED];
    size_t turn; /* the next to be overwritten */

    bool busy;
    char key[600];
    struct buf message;
    struct provider_server server;
    size_t at; /* address being tried */
    int64_t deadline_ms;
    struct dns_call *asking;
    struct exchange *exchange;
    struct defer refused;
    struct err err;
    void (*done)(void *arg, const struct worker_exchange_reply *reply);
    void *arg;
};

/* x is copied. One at a time. */
void provider_exchange_start(struct provider_exchange *p, const struct worker_exchange *x,
                             int64_t deadline_ms,
                             void (*done)(void *arg, const struct worker_exchange_reply *reply),
                             void *arg);
void provider_exchange_cancel(struct provider_exchange *p);

#endif
