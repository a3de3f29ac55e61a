/* SPDX-License-Identifier: ISC */
/* What a CA says in its ClientHello (RFC 8737 section 3, RFC 6066 section 3, RFC 7301). */
#ifndef RENEWD_RESPOND_TLS_HELLO_H
#define RENEWD_RESPOND_TLS_HELLO_H

#include "base/name.h"

#include <stdbool.h>
#include <stddef.h>

#define TLS_RECORD_HEAD 5u
#define TLS_RECORD_MAX (16u << 10)

/* 1: p begins with a whole record with (the begin of) a ClientHello that is at most a record long;
 * 0: what has come so far may become one; -1: it cannot. Before this is known no TLS library is
 * asked, which would take memory for whatever length the peer announces. */
int tls_hello_check(const void *p, size_t n);

/* The contents of the extensions. Name: exactly one host name, into out in lower case. */
bool tls_hello_name(const unsigned char *p, size_t n, char out[NAME_MAX_TEXT]);
/* The list is this one protocol and nothing else. */
bool tls_hello_offers_only(const unsigned char *p, size_t n, const char *protocol);

#endif
