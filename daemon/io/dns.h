/* SPDX-License-Identifier: ISC */
/*
 * DNS queries over c-ares: one channel per server set, kept. Two kinds of question: to given
 * servers directly (authoritative: RD=0, no search, no cache), or through resolvers. Replies are
 * parsed here into plain records; nobody else sees wire format.
 */
#ifndef RENEWD_IO_DNS_H
#define RENEWD_IO_DNS_H

#include "base/err.h"
#include "base/name.h"
#include "loop/loop.h"

#include <netinet/in.h>
#include <sys/socket.h>

struct dns;
struct dns_call;

struct dns_addr {
    struct sockaddr_storage sa; /* AF_INET or AF_INET6, port set */
};
bool dns_addr_parse(const char *text, uint16_t default_port,
                    struct dns_addr *ret); /* "1.2.3.4:53", "[::1]" */
const char *dns_addr_text(const struct dns_addr *a, char *buf,
                          size_t size); /* port only if not 53 */
bool dns_addr_eq(const struct dns_addr *a, const struct dns_addr *b);

struct dns *dns_new(struct loop *l);
void dns_free(struct dns *d);
/* The resolvers that dns_ask(NULL...) and dns_resolve use. May be called again. */
void dns_set_resolvers(struct dns *d, const struct dns_addr *servers, size_t n);

enum dns_type {
    DNS_A = 1,
    DNS_NS = 2,
    DNS_CNAME = 5,
    DNS_SOA = 6,
    DNS_TXT = 16,
    DNS_AAAA = 28,
    DNS_CAA = 257
};
enum dns_section { DNS_ANSWER, DNS_AUTHORITY, DNS_ADDITIONAL };

struct dns_record {
    enum dns_section section;
    char owner[NAME_MAX_TEXT]; /* lower case, no final dot */
    uint16_t type;
    uint32_t ttl;
    /* NS, CNAME, SOA (mname): name; TXT: the strings joined, text_len bytes, escaped nothing;
     * CAA: text is the RDATA as it came; A, AAAA: addr with port 0; others: nothing. */
    char name[NAME_MAX_TEXT];
    char *text;
    size_t text_len;
    struct dns_addr addr;
    uint32_t soa_minimum;
};
struct dns_reply {
    int rcode; /* 0 NOERROR, 2 SERVFAIL, 3 NXDOMAIN, 5 REFUSED, ... */
    bool aa;
    const struct dns_record *records; /* at most 512 are read */
    size_t n;
};
/* reply NULL: no answer (time-out, unreachable, malformed); err says which. The call is gone when
 * this is entered, as for dns_resolved_fn. When a resolver refuses (SERVFAIL, ...) the others are
 * asked. */
typedef void dns_done_fn(void *arg, const struct dns_reply *reply, const struct err *err);

struct dns_query {
    const char *name; /* absolute, no final dot */
    enum dns_type type;
    const struct dns_addr *server; /* NULL: the resolvers */
    bool recurse;                  /* RD; must be true for resolvers */
    bool tcp;                      /* TCP from the start; truncation always falls back to TCP */
    int64_t timeout_ms;            /* over all tries; 0: 5 s */
};
struct dns_call *dns_ask(struct dns *d, const struct dns_query *q, dns_done_fn *done, void *arg);
void dns_cancel(struct dns_call *c);

/* Addresses of a host, A and AAAA, for connecting; literal addresses come back at once (but
 * deferred). */
typedef void dns_resolved_fn(void *arg, const struct dns_addr *addrs, size_t n,
                             const struct err *err);
struct dns_call *dns_resolve(struct dns *d, const char *host, uint16_t port, int64_t timeout_ms,
                             dns_resolved_fn *done, void *arg);

const char *dns_rcode_name(int rcode);
const char *dns_type_name(enum dns_type t);

#endif
