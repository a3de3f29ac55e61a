/* SPDX-License-Identifier: ISC */
/* What the files that make up digest/x509.h share. */
#ifndef RENEWD_DIGEST_X509_PRIVATE_H
#define RENEWD_DIGEST_X509_PRIVATE_H

#include "digest/x509.h"

#include <openssl/x509v3.h>

struct cert_private {
    unsigned refs; /* chains and the cache */
    uint8_t *der;
    size_t der_n;
    uint8_t *spki_der;
    size_t spki_n;
    X509_NAME *issuer, *subject;
    size_t tbs_at, tbs_n; /* what is signed, in der */
    X509_ALGOR *alg;      /* of the signature; NULL: it cannot be good */
    ASN1_BIT_STRING *signature;
    EVP_PKEY *key;                /* decoded when first needed */
    char verified_by[SHA256_HEX]; /* fingerprint of the issuer whose signature was found good; "" */
};

/* One certificate; the caller has one reference. fingerprint is that of the DER. */
struct cert_info *cert_info_read(const void *der, size_t n, const char *fingerprint, struct err *e);
void cert_info_unref(const struct cert_info *c);
const struct cert_info *cert_info_ref(const struct cert_info *c);

/* key_type of the octets of a SubjectPublicKeyInfo, as cert_info has it. -1: it is none. */
int spki_key_type(const void *der, size_t n, char *out, size_t size);
/* Whether status_request (RFC 6066) is among the features (RFC 7633); NULL: no. */
bool features_staple(const TLS_FEATURE *features);

/* A reference for the caller, or NULL; cache may be NULL. */
const struct cert_info *cert_cache_find(struct cert_cache *c, const char *fingerprint);
void cert_cache_keep(struct cert_cache *c, const struct cert_info *info);

#endif
