/* SPDX-License-Identifier: ISC */
/* Certificates made on the spot, good ones and bad ones. */
#ifndef RENEWD_TESTS_CERTS_H
#define RENEWD_TESTS_CERTS_H

#include "base/buf.h"

#include <openssl/types.h>
#include <stdbool.h>
#include <stdint.h>

struct cert_spec {
    const char *subject, *issuer; /* CN; NULL: none */
    const EVP_PKEY *key, *signer; /* signer NULL: key */
    const X509 *signer_cert;      /* gives the authority key identifier; NULL: none */
    const char *san;              /* as in openssl.cnf; NULL: none */
    bool ca, must_staple;
    const char *serial;                 /* hexadecimal; NULL: "01" */
    const char *not_before, *not_after; /* "20260101000000Z"; NULL: 2026 */
};

X509 *cert_make(const struct cert_spec *s);
void cert_put_pem(struct buf *out, const X509 *x);
EVP_PKEY *cert_key(const char *type); /* "P-256", "P-384", "RSA", "ED25519" */

#endif
