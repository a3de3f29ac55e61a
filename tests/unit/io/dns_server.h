/* SPDX-License-Identifier: ISC */
/* A DNS server on the loop of the test, UDP and TCP on one port of 127.0.0.1. The first label of
 * the question's name says how it behaves; see dns_server.c. */
#ifndef RENEWD_TESTS_DNS_SERVER_H
#define RENEWD_TESTS_DNS_SERVER_H

#include "io/dns.h"

struct dns_server {
    struct loop *loop;
    struct dns_addr addr;
    int udp, tcp, peers[16];
    struct watch *udp_watch, *tcp_watch, *peer_watch[16];
    unsigned udp_count, tcp_count, connections;
    bool last_rd;       /* of the last query */
    bool refuse;        /* every question */
    bool close_after;   /* close each TCP connection after its first reply */
    bool close_at_once; /* close TCP connections as they come */
    bool echo;          /* TCP: the message itself comes back, as a reply */
    uint16_t edns_size; /* that the last query announced; 0: none */
};

void dns_server_start(struct dns_server *s, struct loop *l);
void dns_server_stop(struct dns_server *s);

#endif
