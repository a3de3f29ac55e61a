/* SPDX-License-Identifier: ISC */
/*
 * The certificate with which a server answers tls-alpn-01 (RFC 8737 section 3, RFC 8738 section 6):
 * self-signed, by a P-256 key made for it, exactly one SAN, and the critical extension
 * acmeIdentifier with the SHA-256 of the key authorization. No key of an account or of a
 * certificate has to do with it.
 */
#ifndef RENEWD_DIGEST_ALPN_CERT_H
#define RENEWD_DIGEST_ALPN_CERT_H

#include "base/err.h"
#include "base/name.h"

#include <stdbool.h>
#include <stdint.h>

#define ALPN_PROTOCOL "acme-tls/1"

struct x509_st; /* OpenSSL's X509 */
struct evp_pkey_st;

struct alpn_cert;

/* identifier: a host name without "*.", or an address, as the order has it. Valid from a day ago
 * for a week, since clocks differ. ERR_BUG for what can be no such identifier. */
struct alpn_cert *alpn_cert_new(const char *identifier, const char *key_authorization,
                                int64_t now_ms, struct err *e);
void alpn_cert_free(struct alpn_cert *c);
/* Both stay the object's; SSL_CTX_use_certificate() and its like take references of their own. */
struct x509_st *alpn_cert_x509(const struct alpn_cert *c);
struct evp_pkey_st *alpn_cert_key(const struct alpn_cert *c);

/* The server name with which a CA asks for an identifier: the name itself in lower case, or an
 * address's reverse name. False for what is neither. */
bool alpn_server_name(const char *identifier, char out[NAME_MAX_TEXT]);

#endif
