/* SPDX-License-Identifier: ISC */
#include "digest/certs.h"
#include "base/str.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

static void check(bool good)
{
    if (!good)
        abort();
}

EVP_PKEY *cert_key(const char *type)
{
    EVP_PKEY *key = str_eq(type, "RSA")       ? EVP_RSA_gen(2048)
                    : str_eq(type, "ED25519") ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")
                                              : EVP_EC_gen(type);
    check(key != NULL);
    return key;
}

static void add_extension(X509 *x, X509V3_CTX *ctx, int nid, const char *value)
{
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, ctx, nid, value);
    check(e && X509_add_ext(x, e, -1));
    X509_EXTENSION_free(e);
}

static void set_name(X509 *x, const char *cn, int (*set)(X509 *, const X509_NAME *))
{
    X509_NAME *name = X509_NAME_new();
    if (cn)
        check(
            X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const uint8_t *)cn, -1, -1, 0));
    check(set(x, name));
    X509_NAME_free(name);
}

X509 *cert_make(const struct cert_spec *s)
{
    X509 *x = X509_new();
    X509V3_CTX ctx;
    BIGNUM *serial = NULL;
    check(x && X509_set_version(x, X509_VERSION_3));
    check(BN_hex2bn(&serial, s->serial ? s->serial : "01"));
    check(BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(x)) != NULL);
    BN_free(serial);
    check(ASN1_TIME_set_string_X509(X509_getm_notBefore(x),
                                    s->not_before ? s->not_before : "20260101000000Z"));
    check(ASN1_TIME_set_string_X509(X509_getm_notAfter(x),
                                    s->not_after ? s->not_after : "20261231235959Z"));
    set_name(x, s->subject, X509_set_subject_name);
    set_name(x, s->issuer, X509_set_issuer_name);
    check(X509_set_pubkey(x, (EVP_PKEY *)s->key));
    X509V3_set_ctx(&ctx, (X509 *)s->signer_cert, x, NULL, NULL, 0);
    add_extension(x, &ctx, NID_subject_key_identifier, "hash");
    if (s->signer_cert)
        add_extension(x, &ctx, NID_authority_key_identifier, "keyid:always");
    add_extension(x, &ctx, NID_basic_constraints, s->ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
    if (s->san)
        add_extension(x, &ctx, NID_subject_alt_name, s->san);
    if (s->must_staple)
        add_extension(x, &ctx, NID_tlsfeature, "status_request");
    EVP_PKEY *signer = (EVP_PKEY *)(s->signer ? s->signer : s->key);
    check(X509_sign(x, signer, EVP_PKEY_is_a(signer, "ED25519") ? NULL : EVP_sha256()) > 0);
    return x;
}

void cert_put_pem(struct buf *out, const X509 *x)
{
    char *text;
    BIO *bio = BIO_new(BIO_s_mem());
    check(PEM_write_bio_X509(bio, (X509 *)x));
    long n = BIO_get_mem_data(bio, &text);
    check(buf_put(out, text, (size_t)n) == 0);
    BIO_free(bio);
}
