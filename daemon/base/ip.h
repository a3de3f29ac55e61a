/* SPDX-License-Identifier: ISC */
/* IP addresses as identifiers (RFC 8738): text without brackets, port or zone. */
#ifndef RENEWD_BASE_IP_H
#define RENEWD_BASE_IP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IP_OCTETS 16
#define IP_TEXT 46    /* an address as text and its NUL */
#define IP_REVERSE 73 /* its reverse name and a NUL */

/* False: text is no address. *ret_n: 4 or 16 octets. */
bool ip_parse(const char *text, uint8_t ret[IP_OCTETS], size_t *ret_n);
bool ip_is(const char *text);
/* n is 4 or 16; the form of RFC 5952. */
void ip_text(const uint8_t *octets, size_t n, char out[IP_TEXT]);
/* "2001:DB8:0::1" becomes "2001:db8::1". */
bool ip_normalise(const char *text, char out[IP_TEXT]);
/* "1.2.0.192.in-addr.arpa", or 32 nibbles below ip6.arpa; lower case, no dot at the end. */
bool ip_reverse(const char *text, char out[IP_REVERSE]);

#endif
