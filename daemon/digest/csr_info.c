/* SPDX-License-Identifier: ISC */
#include "digest/csr_info.h"
#include "base/ip.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/str.h"
#include "digest/base64.h"
#include "digest/crypto_err.h"
#include "digest/pem.h"
#include "digest/x509_private.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

/* What people give in its place. */
static const struct other {
    const char *mark, *what;
} others[] = {
    {"PRIVATE KEY-----", "a private key"},
    {"-----BEGIN CERTIFICATE-----", "a certificate"},
    {"-----BEGIN PUBLIC KEY-----", "a public key"},
};

static int complain(const void *p, size_t n, struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        if (memmem(p, n, others[i].mark, strlen(others[i].mark)))
            return err_set(e, ERR_CONFIG,
                           "the file holds %s, not a CSR: give the file that begins with "
                           "\"-----BEGIN CERTIFICATE REQUEST-----\"",
                           others[i].what);
    }
    return crypto_err(e, ERR_CONFIG,
                      "the CSR cannot be decoded: it must be PEM or DER, as \"openssl req -new\" "
                      "writes it");
}

/* The DER of the PEM block with that label, wherever it stands in the text. */
static bool find_block(const void *p, size_t n, const char *label, struct buf *der)
{
    struct pem_reader r;
    CLEANUP_FREE char *begin = xasprintf("-----BEGIN %s-----", label);
    const char *at = memmem(p, n, begin, strlen(begin));
    if (!at)
        return false;
    pem_reader_init(&r, at, n - (size_t)(at - (const char *)p));
    return pem_next(&r, label, der, NULL) == 1;
}

static X509_REQ *decode(const void *p, size_t n, struct csr_info *c, struct err *e)
{
    CLEANUP_BUF struct buf der;
    buf_init(&der, CSR_INFO_MAX);
    const uint8_t *at = p;
    X509_REQ *req = d2i_X509_REQ(NULL, &at, (long)n);
    if (req) {
        buf_put(&der, p, (size_t)(at - (const uint8_t *)p));
    } else if (find_block(p, n, "CERTIFICATE REQUEST", &der) ||
               find_block(p, n, "NEW CERTIFICATE REQUEST", &der)) {
        at = (const uint8_t *)buf_str(&der);
        req = d2i_X509_REQ(NULL, &at, (long)der.len);
    }
    if (!req) {
        complain(p, n, e);
        return NULL;
    }
    c->der_n = der.len;
    c->base64url = base64url(buf_str(&der), der.len);
    c->der = buf_steal(&der);
    return req;
}

static bool has_name(const struct csr_info *c, const char *name)
{
    for (size_t i = 0; i < c->n; i++) {
        if (str_eq(c->names[i], name))
            return true;
    }
    return false;
}

static void add_name(struct csr_info *c, const char *name)
{
    if (!has_name(c, name))
        c->names[c->n++] = xstrdup(name);
}

static int take_dns(struct csr_info *c, const ASN1_STRING *s, struct err *e)
{
    char name[NAME_MAX_TEXT];
    size_t n = (size_t)ASN1_STRING_length(s);
    CLEANUP_FREE char *text = xstrndup((const char *)ASN1_STRING_get0_data(s), n);
    enum name_problem p = strlen(text) == n ? name_host(text, name) : NAME_CHARACTER;
    if (p == NAME_IP)
        return err_set(e, ERR_CONFIG,
                       "the CSR has an IP address as a DNS name: make it with \"IP:\" instead of "
                       "\"DNS:\" in subjectAltName");
    if (p != NAME_OK)
        return err_set(e, ERR_CONFIG,
                       "the CSR has a DNS name that cannot be certified (%s): make it without that",
                       name_problem_text(p));
    add_name(c, name);
    return 0;
}

static int take_name(struct csr_info *c, const GENERAL_NAME *g, struct err *e)
{
    char text[IP_TEXT];
    if (g->type == GEN_DNS)
        return take_dns(c, g->d.dNSName, e);
    int n = g->type == GEN_IPADD ? ASN1_STRING_length(g->d.iPAddress) : 0;
    if (n != 4 && n != 16)
        return err_set(e, ERR_CONFIG,
                       "the CSR has a name that is neither a DNS name nor an IP address: make it "
                       "with DNS: and IP: in subjectAltName only");
    ip_text(ASN1_STRING_get0_data(g->d.iPAddress), (size_t)n, text);
    add_name(c, text);
    return 0;
}

/* The subject's common name if it is a DNS name of two labels or more: a lone word is a title. */
static bool get_cn(X509_REQ *req, char out[NAME_MAX_TEXT])
{
    char text[NAME_MAX_TEXT + 1]; /* what is cut fills it */
    X509_NAME *subject = X509_REQ_get_subject_name(req);
    int n = X509_NAME_get_text_by_NID(subject, NID_commonName, text, sizeof(text));
    return n > 0 && n < NAME_MAX_TEXT && strlen(text) == (size_t)n &&
           name_host(text, out) == NAME_OK && name_labels(out) > 1;
}

static int take_names(struct csr_info *c, X509_REQ *req, const GENERAL_NAMES *sans, struct err *e)
{
    char cn[NAME_MAX_TEXT];
    int n = sk_GENERAL_NAME_num(sans);
    bool has_cn = get_cn(req, cn);
    if (n > CSR_NAMES_MAX)
        return err_set(e, ERR_CONFIG, "the CSR has %d names: no CA takes more than %d", n,
                       CSR_NAMES_MAX);
    c->names = xcalloc((n > 0 ? (size_t)n : 0) + 1, sizeof(*c->names));
    for (int i = 0; i < n; i++) {
        if (take_name(c, sk_GENERAL_NAME_value(sans, i), e))
            return -1;
    }
    c->cn_alone = has_cn && !has_name(c, cn);
    if (c->cn_alone)
        add_name(c, cn);
    if (c->n == 0)
        return err_set(e, ERR_CONFIG,
                       "the CSR has no names: make it with \"-addext "
                       "subjectAltName=DNS:www.example.org\"");
    return 0;
}

/* The CSR's extensions, decoded; NULL if absent. */
struct extensions {
    GENERAL_NAMES *sans;
    BASIC_CONSTRAINTS *constraints;
    TLS_FEATURE *features;
};

static void *get_extension(STACK_OF(X509_EXTENSION) * all, int nid, bool *ret_bad)
{
    int critical = -1;
    void *value = X509V3_get_d2i(all, nid, &critical, NULL);
    if (!value && critical != -1)
        *ret_bad = true;
    return value;
}

static int take_extensions(struct csr_info *c, X509_REQ *req, struct err *e)
{
    bool bad = false;
    STACK_OF(X509_EXTENSION) *all = X509_REQ_get_extensions(req);
    struct extensions x = {
        .sans = get_extension(all, NID_subject_alt_name, &bad),
        .constraints = get_extension(all, NID_basic_constraints, &bad),
        .features = get_extension(all, NID_tlsfeature, &bad),
    };
    int rc = bad ? crypto_err(e, ERR_CONFIG,
                              "the CSR has an extension twice or one that makes no sense: make it "
                              "again")
                 : take_names(c, req, x.sans, e);
    c->wants_ca = x.constraints && x.constraints->ca;
    c->must_staple = features_staple(x.features);
    GENERAL_NAMES_free(x.sans);
    BASIC_CONSTRAINTS_free(x.constraints);
    TLS_FEATURE_free(x.features);
    sk_X509_EXTENSION_pop_free(all, X509_EXTENSION_free);
    return rc;
}

/* "rsa-3000" and its like are taken by some. */
static bool is_refused(const char *key_type)
{
    int64_t bits;
    if (str_starts(key_type, "rsa-"))
        return !str_to_i64(key_type + 4, 2048, 4096, &bits) || bits % 8 != 0;
    return !str_eq(key_type, "ecdsa-p256") && !str_eq(key_type, "ecdsa-p384");
}

static int take_key(struct csr_info *c, X509_REQ *req, struct err *e)
{
    uint8_t *spki = NULL;
    int n = i2d_X509_PUBKEY(X509_REQ_get_X509_PUBKEY(req), &spki);
    int rc = n > 0 ? spki_key_type(spki, (size_t)n, c->key_type, sizeof(c->key_type)) : -1;
    if (rc == 0) {
        sha256(spki, (size_t)n, c->spki);
        c->key_refused = is_refused(c->key_type);
    }
    OPENSSL_free(spki);
    EVP_PKEY *key = X509_REQ_get0_pubkey(req);
    if (rc || !key)
        return crypto_err(e, ERR_CONFIG, "the CSR's public key cannot be used");
    if (X509_REQ_verify(req, key) != 1)
        return crypto_err(e, ERR_CONFIG,
                          "the CSR's own signature is not good: it was damaged or changed after "
                          "it was made; make it again");
    return 0;
}

struct csr_info *csr_info_read(const void *p, size_t n, struct err *e)
{
    if (n > CSR_INFO_MAX) {
        err_set(e, ERR_CONFIG, "the CSR is too long: %zu bytes, the limit is %u", n, CSR_INFO_MAX);
        return NULL;
    }
    struct csr_info *c = xnew(struct csr_info);
    X509_REQ *req = decode(p, n, c, e);
    bool good = req && take_key(c, req, e) == 0 && take_extensions(c, req, e) == 0;
    X509_REQ_free(req);
    ERR_clear_error();
    if (good)
        return c;
    csr_info_free(c);
    return NULL;
}

void csr_info_free(struct csr_info *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n; i++)
        free(c->names[i]);
    free(c->names);
    free(c->der);
    free(c->base64url);
    free(c);
}
