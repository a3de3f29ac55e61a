/* SPDX-License-Identifier: ISC */
/*
 * A little Internet for the tests of dns/: a loop on virtual time, authoritative servers with zones
 * and vices, a resolver that remembers absences, and providers that write into those servers. They
 * stand in for loop/loop.h, io/dns.h (dns_ask, dns_cancel, dns_resolve) and dns/provider.h.
 */
#ifndef RENEWD_TEST_DNS_FAKE_H
#define RENEWD_TEST_DNS_FAKE_H

#include "conf/conf.h"
#include "dns/provider.h"
#include "io/dns.h"
#include "loop/loop.h"
#include "store/store.h"

/* loop */
void fake_run_for(struct loop *l, int64_t ms); /* of virtual time; ends early on loop_stop() */
size_t fake_timers(const struct loop *l);      /* armed */

/* dns */
enum fake_mode {
    FAKE_UP,
    FAKE_SILENT, /* every query times out */
    FAKE_LAME,   /* right answers without AA */
    FAKE_REFUSED,
    FAKE_SERVFAIL,
    FAKE_CHALLTEST, /* pebble-challtestsrv: NOTIMP for SOA and NS, no AA, a foreign SOA */
};
struct fake_query {
    char server[64]; /* address, "resolver" */
    char name[NAME_MAX_TEXT];
    enum dns_type type;
    bool recurse;
    int64_t at;
};

struct dns *fake_dns_new(struct loop *l);
void fake_dns_free(struct dns *d);
/* Data are given as "ns.example" for NS and CNAME and DNAME, an address for A and AAAA, text for
 * TXT, "0 issue ca.example" for CAA. */
void fake_zone(struct dns *d, const char *server, const char *apex); /* with a SOA record */
void fake_rr(struct dns *d, const char *server, const char *apex, const char *owner,
             const char *type, const char *data);
void fake_rr_remove(struct dns *d, const char *owner, const char *data); /* everywhere */
bool fake_has(const struct dns *d, const char *server, const char *owner, const char *data);
void fake_mode(struct dns *d, const char *server, enum fake_mode m); /* "resolver": the resolver */
void fake_broken(struct dns *d, const char *zone); /* for the resolver: SERVFAIL; text is kept */
/* TXT records that providers make appear there so much later. */
void fake_lag(struct dns *d, const char *server, int64_t ms);
void fake_ttl(struct dns *d, uint32_t ttl, uint32_t soa_minimum);
size_t fake_queries(const struct dns *d);
const struct fake_query *fake_query(const struct dns *d, size_t i);
/* How many of that kind; NULL or 0: any. */
size_t fake_count(const struct dns *d, const char *server, const char *name, int type);
void fake_forget_queries(struct dns *d);
/* Adds TXT to the deepest zone of fqdn on every server that has it, as each server's lag has it. */
void fake_publish(struct dns *d, const char *fqdn, const char *value);

/* providers */
struct fake_providers {
    struct loop *loop;
    struct dns *dns;
    int64_t delay_ms; /* of each operation */
    int64_t propagation_ms;
    unsigned fail_adds, fail_removes; /* so many to come */
    struct err failure;
    bool no_publish; /* says that it did, but nothing appears */
    unsigned adds, removes, cancelled;
    char
        log[8192]; /* "add FQDN VALUE; remove FQDN VALUE HANDLE; ", shared with the store's tests */
    struct list calls;
};
struct providers *fake_providers_new(struct loop *l, struct dns *d);
struct fake_providers *fake_of(struct providers *p);
void fake_log(struct fake_providers *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A store over another that notes in the providers' log what became durable when ("durable
 * intended+intended; ", "durable deleted; "), fails the next n batches, or holds them back. */
struct store *fake_store_new(struct store *real, struct fake_providers *log);
void fake_store_fail(struct store *s, unsigned n);
void fake_store_hold(struct store *s, bool hold); /* false: those held back complete */

/* configuration: dns_zones[0] and, if suffix is not NULL, [1] */
struct fake_conf {
    struct conf conf;
    struct conf_dns_zone zones[3];
    struct conf_provider providers[3];
    char *zone_texts[3][4];
    char *server_texts[3][8];
    struct conf_cert cert;
    struct conf_name names[2];
};
void fake_conf_init(struct fake_conf *c);
struct conf_dns_zone *fake_conf_zone(struct fake_conf *c, const char *suffix);
void fake_conf_servers(struct conf_dns_zone *z, char **texts, size_t n);
struct conf_provider *fake_conf_provider(struct fake_conf *c, const char *name, const char *zone);

#endif
