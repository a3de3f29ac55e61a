/* SPDX-License-Identifier: ISC */
/*
 * Host names as people write them: U-labels (IDNA2008 by libidn2, UTS #46 mapping without the
 * transitional exceptions), A-labels, any case. ASCII is stored, what people read is derived.
 */
#ifndef RENEWD_CONF_HOST_H
#define RENEWD_CONF_HOST_H

#include "conf/arena.h"

#include <stdbool.h>

struct host {
    char *ascii;   /* lower case, A-labels, no dot at the end */
    char *unicode; /* U-labels; the same pointer as ascii when there are none */
    bool doubtful; /* an A-label that decodes, of characters that IDNA2008 does not allow */
};

/* A host name of a certificate, "*." allowed. -1: *why says what is wrong, in arena a. An address
 * is no host name. */
int host_read(struct arena *a, const char *text, struct host *ret, const char **why);
/* The same of any owner name of DNS: underscores allowed, no wildcard. */
int host_read_owner(struct arena *a, const char *text, struct host *ret, const char **why);
/* The end of an A-label name that somebody can register, by the Public Suffix List; NULL when there
 * is none. */
char *host_domain(char *ascii);
/* HOST, HOST:PORT, ADDR or ADDR:PORT with HOST in A-labels, else as written; NULL when it is none
 * of these. */
char *host_port_normal(struct arena *a, const char *text, bool port_needed);
/* An IPv4 or IPv6 address, brackets allowed, in its one form (RFC 5952); NULL when it is none. */
char *host_ip(struct arena *a, const char *text);
/* An address that no public CA certifies: private, link-local, loopback. */
bool host_ip_is_private(const char *ip);

#endif
