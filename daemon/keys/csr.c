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
#include "base/ip.h"
#include "base/mem.h"

#include <string.h>

enum tag {
    TAG_BIT_STRING = 0x03,
    TAG_OCTET_STRING = 0x04,
    TAG_SEQUENCE = 0x30,
    TAG_SET = 0x31,
    TAG_ATTRIBUTES = 0xa0,
    TAG_DNS_NAME = 0x82,
    TAG_IP_ADDRESS = 0x87,
};

static const uint8_t oid_extension_request[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                                0xf7, 0x0d, 0x01, 0x09, 0x0e};
static const uint8_t oid_subject_alt_name[] = {0x06, 0x03, 0x55, 0x1d, 0x11};
/* A whole Extension: tlsfeature with INTEGER 5, status_request (RFC 7633). */
static const uint8_t must_staple[] = {0x30, 0x11, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07,
                                      0x01, 0x18, 0x04, 0x05, 0x30, 0x03, 0x02, 0x01, 0x05};
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

static void put_name(struct buf *out, const char *name)
{
    uint8_t address[IP_OCTETS];
    size_t n;
    bool ip = ip_parse(name, address, &n);
    if (!ip)
        n = strlen(name);
    put_head(out, ip ? TAG_IP_ADDRESS : TAG_DNS_NAME, n);
    buf_put(out, ip ? (const void *)address : name, n);
}

/* The attributes, from the innermost element outwards. */
static void put_attributes(struct buf *out, const struct csr_want *w)
{
    struct buf at;
    buf_init(&at, CSR_INFO_MAX);
    for (size_t i = 0; i < w->n; i++)
        put_name(&at, w->names[i]);
    enclose(&at, TAG_SEQUENCE, NULL, 0);
    enclose(&at, TAG_OCTET_STRING, NULL, 0);
    enclose(&at, TAG_SEQUENCE, oid_subject_alt_name, sizeof(oid_subject_alt_name));
    if (w->must_staple)
        buf_put(&at, must_staple, sizeof(must_staple));
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

int csr_put_want(struct pkey *key, const struct csr_want *w, struct buf *out, struct err *e)
{
    static const uint8_t no_unused_bits[] = {0};
    CLEANUP_BUF struct buf request, bits;
    uint8_t signature[PKEY_SIGNATURE_MAX];
    size_t spki_n, signature_n;
    const void *spki = pkey_spki_der(key, &spki_n);
    buf_init(&request, CSR_INFO_MAX);
    buf_init(&bits, PKEY_SIGNATURE_MAX + 16);
    if (w->n == 0 || w->n > CSR_NAMES_MAX)
        return err_set(e, ERR_BUG, "a CSR for %zu names", w->n);
    if (!key_type_for_certificate(pkey_type(key)))
        return err_set(e, ERR_CONFIG,
                       "no CA certifies a key of type %s: use an ECDSA or RSA key for certificates",
                       key_type_name(pkey_type(key)));
    buf_put(&request, version_and_subject, sizeof(version_and_subject));
    buf_put(&request, spki, spki_n);
    put_attributes(&request, w);
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

int csr_put(struct pkey *key, const char *const *names, size_t n, struct buf *out, struct err *e)
{
    const struct csr_want w = {.names = names, .n = n};
    return csr_put_want(key, &w, out, e);
}

int csr_read(const void *p, size_t n, struct buf *ret_der, char ***ret_names, size_t *ret_n,
             uint8_t spki[SHA256_LEN], struct err *e)
{
    struct csr_info *c = csr_info_read(p, n, e);
    if (!c)
        return -1;
    int rc = buf_put(ret_der, c->der, c->der_n);
    if (rc == 0) {
        memcpy(spki, c->spki, SHA256_LEN);
        *ret_names = c->names;
        *ret_n = c->n;
        c->names = NULL;
        c->n = 0;
    }
    csr_info_free(c);
    return rc ? err_set(e, ERR_CONFIG, "a CSR is too long") : 0;
}
