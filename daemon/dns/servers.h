/* SPDX-License-Identifier: ISC */
/* Sets of servers to ask (a zone's name servers, or resolvers), and the memory of which addresses
 * do not answer, so that one dead server is waited for once a minute and not by every order. */
#ifndef RENEWD_DNS_SERVERS_H
#define RENEWD_DNS_SERVERS_H

#include "base/name.h"
#include "conf/conf.h"
#include "io/dns.h"

#define SERVERS_MAX 64u             /* addresses of one set that are asked; the rest is counted */
#define SERVERS_QUERY_MS 2000       /* a direct query, all its tries */
#define SERVERS_RESOLVE_MS 5000     /* a query through resolvers */
#define SERVERS_DOWN_MS (60 * 1000) /* how long an address is held to be unreachable */

struct server {
    struct dns_addr addr;
    bool system;   /* the resolvers that io/dns.h knows; addr is not used */
    char *label;   /* "ns2.example.org (192.0.2.2)", "192.0.2.2" */
    char text[64]; /* the address alone */
};

/* Counted; not changed once others see it. */
struct server_set {
    unsigned refs;
    char zone[NAME_MAX_TEXT]; /* "" for resolvers */
    bool resolvers;           /* asked with RD, AA is not expected */
    bool configured;          /* from dns.zones, not from an NS set */
    struct server *v;
    size_t n;
    unsigned left_out; /* addresses over SERVERS_MAX */
};

struct server_set *server_set_new(const char *zone);
struct server_set *server_set_ref(struct server_set *s);
void server_set_unref(struct server_set *s);
/* host "" or the name server's name. An address that is there already is not added again. */
void server_set_add(struct server_set *s, const char *host, const struct dns_addr *addr);
/* The same servers for another zone (a child served by its parent's servers). */
struct server_set *server_set_for_zone(const struct server_set *s, const char *zone);
/* From dns.zones: NULL when none are written there. */
struct server_set *server_set_configured(const struct conf_dns_zone *z);
/* The resolvers for names under z's suffix: its own, else those of the whole configuration, else
 * the system's as one entry. */
struct server_set *server_set_resolvers(const struct conf *c, const struct conf_dns_zone *z);

/* Asks server i of the set, with RD and time-out as its kind wants them. */
struct dns_call *server_ask(struct dns *d, const struct server_set *s, size_t i, const char *name,
                            enum dns_type type, dns_done_fn *done, void *arg);

struct reach;
struct reach *reach_new(struct loop *l);
void reach_free(struct reach *r);
void reach_failed(struct reach *r, const struct server *s);
void reach_answered(struct reach *r, const struct server *s);
bool reach_is_down(const struct reach *r, const struct server *s);

#endif
