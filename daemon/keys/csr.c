/* SPDX-License-Identifier: ISC */
/*
 * Composed by hand: through X509_REQ, OpenSSL 3.0 spends five times as long as on the signature.
 *
 *     CertificationRequest ::= SEQUENCE {
 *       SEQUENCE { version 0, subject {}, SubjectPublicKeyInfo,
 *                  [0] { SEQUENCE { extensionRequest, SET { SEQUENCE {
 *                          SEQUENCE { subjectAltName, OCTET STRING { SEQUENCE { [2] name ... } } }
 * } } } } }, signatureAlgorithm, BIT STRING }
 */
#include "keys/csr.h"
#include "base/mem.h"
#include "base/name.h"
#include "digest/crypto_err.h"
#include "digest/pem.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#define CSR_MAX (512u << 10)

enum tag {
    TAG_BIT_STRING = 0x03,
    TAG_OCTET_STRING = 0x04,
    TAG_SEQUENCE = 0x30,
    TAG_SET = 0x31,
    TAG_ATTRIBUTES = 0xa0,
    TAG_DNS_NAME = 0x82,
};

static const uint8_t oid_extension_request[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                                0xf7, 0x0d, 0x01, 0x09, 0x0e};
static const uint8_t oid_subject_alt_name[] = {0x06, 0x03, 0x55, 0x1d, 0x11};
static const uint8_t version_and_subject[] = {0x02, 0x01, 0x00, 0x30, 0x00};

/* Whole AlgorithmIdentifiers (RFC 5758, RFC 4055). */
static const uint8_t ecdsa_with_sha256[] = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                            0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
static const uint8_t ecdsa_with_sha384[] = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                            0x48, 0xce, 0x3d, 0x04, 0x03, 0x03};
static const uint8_t rsa_with_sha256[] = {0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                          0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00};

static void put_head(struct buf *out, enum tag tag, size_t n)
{
    buf_putc(out, (char)tag);
    if (n < 0x80) {
        buf_putc(out, (char)n);
        return;
    }
    int octets = n > 0xffff ? 3 : n > 0xff ? 2 : 1;
    buf_putc(out, (char)(0x80 | octets));
    while (octets-- > 0)
        buf_putc(out, (char)(n >> (8 * octets)));
}

/* inner becomes the contents of a new element. */
static void enclose(struct buf *inner, enum tag tag, const void *before, size_t before_n)
{
    struct buf outer;
    buf_init(&outer, inner->max);
    put_head(&outer, tag, before_n + inner->len);
    buf_put(&outer, before, before_n);
    buf_put(&outer, buf_str(inner), inner->len);
    if (buf_failed(inner))
        buf_fail(&outer);
    buf_free(inner);
    *inner = outer;
}

/* The attributes, from the innermost element outwards. */
static void put_attributes(struct buf *out, const char *const *names, size_t n)
{
    struct buf at;
    buf_init(&at, CSR_MAX);
    for (size_t i = 0; i < n; i++) {
        put_head(&at, TAG_DNS_NAME, strlen(names[i]));
        buf_puts(&at, names[i]);
    }
    enclose(&at, TAG_SEQUENCE, NULL, 0);
    enclose(&at, TAG_OCTET_STRING, NULL, 0);
    enclose(&at, TAG_SEQUENCE, oid_subject_alt_name, sizeof(oid_subject_alt_name));
    enclose(&at, TAG_SEQUENCE, NULL, 0);
    enclose(&at, TAG_SET, NULL, 0);
    enclose(&at, TAG_SEQUENCE, oid_extension_request, sizeof(oid_extension_request));
    enclose(&at, TAG_ATTRIBUTES, NULL, 0);
    if (buf_failed(&at))
        buf_fail(out);
    buf_put(out, buf_str(&at), at.len);
    buf_free(&at);
}

static void put_algorithm(struct buf *out, enum key_type t)
{
    if (t == KEY_ECDSA_P256)
        buf_put(out, ecdsa_with_sha256, sizeof(ecdsa_with_sha256));
    else if (t == KEY_ECDSA_P384)
        buf_put(out, ecdsa_with_sha384, sizeof(ecdsa_with_sha384));
    else
        buf_put(out, rsa_with_sha256, sizeof(rsa_with_sha256));
}

int csr_put(struct pkey *key, const char *const *names, size_t n, struct buf *out, struct err *e)
{
    static const uint8_t no_unused_bits[] = {0};
    CLEANUP_BUF struct buf request, bits;
    uint8_t signature[PKEY_SIGNATURE_MAX];
    size_t spki_n, signature_n;
    const void *spki = pkey_spki_der(key, &spki_n);
    buf_init(&request, CSR_MAX);
    buf_init(&bits, PKEY_SIGNATURE_MAX + 16);
    if (n == 0 || n > CSR_NAMES_MAX)
        return err_set(e, ERR_BUG, "a CSR for %zu names", n);
    buf_put(&request, version_and_subject, sizeof(version_and_subject));
    buf_put(&request, spki, spki_n);
    put_attributes(&request, names, n);
    enclose(&request, TAG_SEQUENCE, NULL, 0);
    if (buf_failed(&request))
        return err_set(e, ERR_LOCAL, "a CSR is too long");
    if (pkey_sign_der(key, request.data, request.len, signature, &signature_n, e))
        return -1;
    put_algorithm(&request, pkey_type(key));
    buf_put(&bits, signature, signature_n);
    enclose(&bits, TAG_BIT_STRING, no_unused_bits, sizeof(no_unused_bits));
    buf_put(&request, buf_str(&bits), bits.len);
    enclose(&request, TAG_SEQUENCE, NULL, 0);
    if (buf_failed(&request) || buf_put(out, request.data, request.len))
        return err_set(e, ERR_LOCAL, "a CSR is too long");
    return 0;
}

static X509_REQ *decode(const void *p, size_t n, struct buf *der, struct err *e)
{
    struct pem_reader r;
    const uint8_t *at = p;
    X509_REQ *req = d2i_X509_REQ(NULL, &at, (long)n);
    if (req) {
        buf_put(der, p, (size_t)(at - (const uint8_t *)p));
        return req;
    }
    pem_reader_init(&r, p, n);
    int got = pem_next(&r, "CERTIFICATE REQUEST", der, NULL);
    if (got != 1) {
        pem_reader_init(&r, p, n);
        got = pem_next(&r, "NEW CERTIFICATE REQUEST", der, NULL);
    }
    at = (const uint8_t *)buf_str(der);
    req = got == 1 ? d2i_X509_REQ(NULL, &at, (long)der->len) : NULL;
    if (!req)
        crypto_err(e, ERR_CONFIG, "a CSR cannot be decoded; it must be PEM or DER");
    return req;
}

static int take_name(const GENERAL_NAME *g, char **ret, struct err *e)
{
    char name[NAME_MAX_TEXT];
    if (g->type != GEN_DNS)
        return err_set(e, ERR_CONFIG, "a CSR has a name that is no DNS name");
    size_t n = (size_t)ASN1_STRING_length(g->d.dNSName);
    CLEANUP_FREE char *text = xstrndup((const char *)ASN1_STRING_get0_data(g->d.dNSName), n);
    enum name_problem p = strlen(text) == n ? name_host(text, name) : NAME_CHARACTER;
    if (p != NAME_OK)
        return err_set(e, ERR_CONFIG, "a CSR has a name that cannot be certified: %s",
                       name_problem_text(p));
    *ret = xstrdup(name);
    return 0;
}

static int take_names(X509_REQ *req, char ***ret_names, size_t *ret_n, struct err *e)
{
    STACK_OF(X509_EXTENSION) *extensions = X509_REQ_get_extensions(req);
    GENERAL_NAMES *sans = X509V3_get_d2i(extensions, NID_subject_alt_name, NULL, NULL);
    int n = sk_GENERAL_NAME_num(sans), rc = 0;
    if (n < 1 || n > CSR_NAMES_MAX)
        rc = err_set(e, ERR_CONFIG, "a CSR needs 1 to %d names as subjectAltName", CSR_NAMES_MAX);
    char **names = xcalloc(n > 0 ? (size_t)n : 1, sizeof(*names));
    size_t kept = 0;
    for (int i = 0; i < n && rc == 0; i++) {
        rc = take_name(sk_GENERAL_NAME_value(sans, i), &names[kept], e);
        kept += rc == 0;
    }
    GENERAL_NAMES_free(sans);
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    if (rc == 0) {
        *ret_names = names;
        *ret_n = kept;
        return 0;
    }
    while (kept > 0)
        free(names[--kept]);
    free(names);
    return rc;
}

int csr_read(const void *p, size_t n, struct buf *ret_der, char ***ret_names, size_t *ret_n,
             uint8_t spki[SHA256_LEN], struct err *e)
{
    CLEANUP_BUF struct buf der;
    buf_init(&der, CSR_MAX);
    if (n > CSR_MAX)
        return err_set(e, ERR_CONFIG, "a CSR of %zu bytes is too long", n);
    X509_REQ *req = decode(p, n, &der, e);
    if (!req)
        return -1;
    EVP_PKEY *key = X509_REQ_get0_pubkey(req);
    uint8_t *bytes = NULL;
    int rc = -1, spki_n = key ? i2d_PUBKEY(key, &bytes) : -1;
    if (spki_n <= 0 || X509_REQ_verify(req, key) != 1)
        crypto_err(e, ERR_CONFIG, "a CSR's own signature is not good");
    else
        rc = take_names(req, ret_names, ret_n, e);
    if (rc == 0) {
        sha256(bytes, (size_t)spki_n, spki);
        buf_put(ret_der, der.data, der.len);
    }
    OPENSSL_free(bytes);
    X509_REQ_free(req);
    ERR_clear_error();
    return rc;
}
