/* SPDX-License-Identifier: ISC */
/* JSON Web Keys of public keys (RFC 7517, 7518 section 6, 8037) and their thumbprints (RFC 7638).
 */
#ifndef RENEWD_DIGEST_JWK_H
#define RENEWD_DIGEST_JWK_H

#include "base/buf.h"
#include "base/err.h"

#define JWK_THUMBPRINT 44 /* 43 characters and a NUL */

struct evp_pkey_st; /* OpenSSL's EVP_PKEY */

/* The public half of an RSA, P-256, P-384 or Ed25519 key in canonical form: only the required
 * members, in lexicographic order, no white space. EC coordinates are of fixed width. Appends to
 * out. */
int jwk_put(struct buf *out, const struct evp_pkey_st *key, struct err *e);
/* Of a JWK in canonical form. */
void jwk_thumbprint(const char *jwk, size_t n, char out[JWK_THUMBPRINT]);

#endif
