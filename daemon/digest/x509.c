/* SPDX-License-Identifier: ISC */
/*
 * One certificate's DER into a struct cert_info.
 *
 * d2i_X509() of OpenSSL 3.0 also builds the public key, through its slow decoders. Here the fields
 * are read by OpenSSL's template engine with the key left as it stands; the key is built only for
 * an issuer whose signature must be checked (chain.c).
 */
#include "base/ip.h"
#include "base/mem.h"
#include "base/str.h"
#include "digest/base64.h"
#include "digest/crypto_err.h"
#include "digest/x509_private.h"

#include <openssl/asn1t.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/tls1.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERIAL_MAX 64 /* octets; RFC 5280 allows 20 */
#define NAMES_MAX 1000
#define CN_MAX 256

/* clang-format off */
struct spki {
    X509_ALGOR *alg;
    ASN1_BIT_STRING *key;
};
ASN1_SEQUENCE(SPKI) = {
    ASN1_SIMPLE(struct spki, alg, X509_ALGOR),
    ASN1_SIMPLE(struct spki, key, ASN1_BIT_STRING),
} static_ASN1_SEQUENCE_END_name(struct spki, SPKI)

struct rsa_public {
    ASN1_INTEGER *n, *e;
};
ASN1_SEQUENCE(RSA_PUBLIC) = {
    ASN1_SIMPLE(struct rsa_public, n, ASN1_INTEGER),
    ASN1_SIMPLE(struct rsa_public, e, ASN1_INTEGER),
} static_ASN1_SEQUENCE_END_name(struct rsa_public, RSA_PUBLIC)

struct tbs {
    ASN1_INTEGER *version, *serial;
    X509_ALGOR *alg;
    X509_NAME *issuer, *subject;
    X509_VAL *validity;
    ASN1_TYPE *spki;
    ASN1_BIT_STRING *issuer_uid, *subject_uid;
    STACK_OF(X509_EXTENSION) *extensions;
};
ASN1_SEQUENCE(TBS) = {
    ASN1_EXP_OPT(struct tbs, version, ASN1_INTEGER, 0),
    ASN1_SIMPLE(struct tbs, serial, ASN1_INTEGER),
    ASN1_SIMPLE(struct tbs, alg, X509_ALGOR),
    ASN1_SIMPLE(struct tbs, issuer, X509_NAME),
    ASN1_SIMPLE(struct tbs, validity, X509_VAL),
    ASN1_SIMPLE(struct tbs, subject, X509_NAME),
    ASN1_SIMPLE(struct tbs, spki, ASN1_ANY),
    ASN1_IMP_OPT(struct tbs, issuer_uid, ASN1_BIT_STRING, 1),
    ASN1_IMP_OPT(struct tbs, subject_uid, ASN1_BIT_STRING, 2),
    ASN1_EXP_SEQUENCE_OF_OPT(struct tbs, extensions, X509_EXTENSION, 3),
} static_ASN1_SEQUENCE_END_name(struct tbs, TBS)

struct outer {
    struct tbs *tbs;
    X509_ALGOR *alg;
    ASN1_BIT_STRING *signature;
};
ASN1_SEQUENCE(OUTER) = {
    ASN1_SIMPLE(struct outer, tbs, TBS),
    ASN1_SIMPLE(struct outer, alg, X509_ALGOR),
    ASN1_SIMPLE(struct outer, signature, ASN1_BIT_STRING),
} static_ASN1_SEQUENCE_END_name(struct outer, OUTER)
    /* clang-format on */

    static int read_time(const ASN1_TIME *t, int64_t *ret_ms)
{
    struct tm tm;
    char text[80];
    if (!ASN1_TIME_to_tm(t, &tm))
        return -1;
    snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900, tm.tm_mon + 1,
             tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    return str_to_time(text, ret_ms) ? 0 : -1;
}

static char *hex_text(const uint8_t *p, size_t n)
{
    char *text = xcalloc(2 * n + 1, 1);
    hex_encode(p, n, text);
    return text;
}

/* The serial as text, and its content octets, which a positive number with its top bit set begins
 * with a zero. */
static int read_serial(const ASN1_INTEGER *a, char **ret_text, uint8_t octets[SERIAL_MAX + 1],
                       size_t *ret_n)
{
    int n = ASN1_STRING_length(a);
    const uint8_t *p = ASN1_STRING_get0_data(a);
    if (n < 1 || n > SERIAL_MAX || ASN1_STRING_type(a) == V_ASN1_NEG_INTEGER)
        return -1;
    bool pad = p[0] & 0x80;
    octets[0] = 0;
    memcpy(octets + pad, p, (size_t)n);
    *ret_n = (size_t)n + pad;
    *ret_text = hex_text(p, (size_t)n);
    return 0;
}

static char *read_cn(const X509_NAME *name)
{
    int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
    unsigned char *utf8 = NULL;
    int n = -1;
    if (at >= 0)
        n = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
    char *cn = n > 0 && n <= CN_MAX && str_is_utf8((const char *)utf8, (size_t)n)
                   ? xstrndup((const char *)utf8, (size_t)n)
                   : xstrdup("");
    OPENSSL_free(utf8);
    return cn;
}

static void add_name(char ***list, size_t *n, char *name)
{
    *list = xrealloc_array(*list, *n + 1, sizeof(**list));
    (*list)[(*n)++] = name;
}

static int add_dns(struct cert_info *c, const ASN1_STRING *s)
{
    const char *p = (const char *)ASN1_STRING_get0_data(s);
    size_t n = (size_t)ASN1_STRING_length(s);
    if (n == 0 || n > 255)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (p[i] <= 0x20 || p[i] >= 0x7f)
            return -1;
    }
    char *name = xstrndup(p, n);
    str_lower(name);
    add_name(&c->dns, &c->dns_n, name);
    return 0;
}

static int add_ip(struct cert_info *c, const ASN1_STRING *s)
{
    char text[IP_TEXT];
    int n = ASN1_STRING_length(s);
    if (n != 4 && n != 16)
        return -1;
    ip_text(ASN1_STRING_get0_data(s), (size_t)n, text);
    add_name(&c->ips, &c->ips_n, xstrdup(text));
    return 0;
}

static int add_general_name(struct cert_info *c, const GENERAL_NAME *g)
{
    if (g->type == GEN_DNS)
        return add_dns(c, g->d.dNSName);
    if (g->type == GEN_IPADD)
        return add_ip(c, g->d.iPAddress);
    c->other_names++;
    return 0;
}

/* An extension's decoded value, NULL if absent; *ret_bad when it is there twice or malformed. */
static void *get_extension(const struct tbs *t, int nid, bool *ret_bad)
{
    int critical;
    void *value = X509V3_get_d2i(t->extensions, nid, &critical, NULL);
    if (!value && critical != -1)
        *ret_bad = true;
    return value;
}

static int read_names(struct cert_info *c, const struct tbs *t)
{
    bool bad = false;
    GENERAL_NAMES *names = get_extension(t, NID_subject_alt_name, &bad);
    int n = sk_GENERAL_NAME_num(names);
    if (n > NAMES_MAX)
        bad = true;
    for (int i = 0; i < n && !bad; i++)
        bad = add_general_name(c, sk_GENERAL_NAME_value(names, i)) != 0;
    GENERAL_NAMES_free(names);
    return bad ? -1 : 0;
}

static int read_basic_constraints(struct cert_info *c, const struct tbs *t)
{
    bool bad = false;
    BASIC_CONSTRAINTS *bc = get_extension(t, NID_basic_constraints, &bad);
    c->is_ca = bc && bc->ca;
    BASIC_CONSTRAINTS_free(bc);
    return bad ? -1 : 0;
}

bool features_staple(const TLS_FEATURE *features)
{
    for (int i = 0; i < sk_ASN1_INTEGER_num(features); i++) {
        if (ASN1_INTEGER_get(sk_ASN1_INTEGER_value(features, i)) == TLSEXT_TYPE_status_request)
            return true;
    }
    return false;
}

static int read_features(struct cert_info *c, const struct tbs *t)
{
    bool bad = false;
    TLS_FEATURE *features = get_extension(t, NID_tlsfeature, &bad);
    c->must_staple = features_staple(features);
    TLS_FEATURE_free(features);
    return bad ? -1 : 0;
}

static int read_own_id(struct cert_info *c, const struct tbs *t)
{
    bool bad = false;
    ASN1_OCTET_STRING *id = get_extension(t, NID_subject_key_identifier, &bad);
    c->ski = id ? hex_text(ASN1_STRING_get0_data(id), (size_t)ASN1_STRING_length(id)) : xstrdup("");
    ASN1_OCTET_STRING_free(id);
    return bad ? -1 : 0;
}

static int read_ids(struct cert_info *c, const struct tbs *t)
{
    uint8_t serial[SERIAL_MAX + 1];
    size_t n = 0;
    bool bad = false;
    if (read_serial(t->serial, &c->serial, serial, &n))
        return -1;
    AUTHORITY_KEYID *id = get_extension(t, NID_authority_key_identifier, &bad);
    if (id && id->keyid) {
        const uint8_t *p = ASN1_STRING_get0_data(id->keyid);
        size_t len = (size_t)ASN1_STRING_length(id->keyid);
        c->aki = hex_text(p, len);
        c->cert_id = ari_cert_id(p, len, serial, n);
    } else {
        c->aki = xstrdup("");
        c->cert_id = xstrdup("");
    }
    AUTHORITY_KEYID_free(id);
    return bad ? -1 : 0;
}

static unsigned rsa_bits(const ASN1_BIT_STRING *key)
{
    const uint8_t *p = ASN1_STRING_get0_data(key);
    ASN1_VALUE *v = ASN1_item_d2i(NULL, &p, ASN1_STRING_length(key), ASN1_ITEM_rptr(RSA_PUBLIC));
    if (!v)
        return 0;
    BIGNUM *n = ASN1_INTEGER_to_BN(((struct rsa_public *)v)->n, NULL);
    unsigned bits = n ? (unsigned)BN_num_bits(n) : 0;
    BN_free(n);
    ASN1_item_free(v, ASN1_ITEM_rptr(RSA_PUBLIC));
    return bits;
}

static void name_key_type(const struct spki *s, char *out, size_t size)
{
    const ASN1_OBJECT *alg;
    const void *param;
    int type;
    X509_ALGOR_get0(&alg, &type, &param, s->alg);
    int nid = OBJ_obj2nid(alg);
    int curve = nid == EVP_PKEY_EC && type == V_ASN1_OBJECT ? OBJ_obj2nid(param) : NID_undef;
    if (nid == EVP_PKEY_RSA)
        snprintf(out, size, "rsa-%u", rsa_bits(s->key));
    else if (curve == NID_X9_62_prime256v1)
        snprintf(out, size, "ecdsa-p256");
    else if (curve == NID_secp384r1)
        snprintf(out, size, "ecdsa-p384");
    else
        snprintf(out, size, "%s", nid == EVP_PKEY_ED25519 ? "ed25519" : "other");
}

int spki_key_type(const void *der, size_t n, char *out, size_t size)
{
    const uint8_t *p = der;
    ASN1_VALUE *v = ASN1_item_d2i(NULL, &p, (long)n, ASN1_ITEM_rptr(SPKI));
    if (!v)
        return -1;
    name_key_type((struct spki *)v, out, size);
    ASN1_item_free(v, ASN1_ITEM_rptr(SPKI));
    return 0;
}

static int read_key(struct cert_info *c, const struct tbs *t)
{
    if (t->spki->type != V_ASN1_SEQUENCE)
        return -1;
    const ASN1_STRING *whole = t->spki->value.sequence;
    const uint8_t *p = ASN1_STRING_get0_data(whole);
    size_t n = (size_t)ASN1_STRING_length(whole);
    c->priv->spki_der = xmemdup(p, n);
    c->priv->spki_n = n;
    sha256(p, n, c->spki);
    return spki_key_type(p, n, c->key_type, sizeof(c->key_type));
}

static int fill(struct cert_info *c, struct tbs *t)
{
    if (read_time(t->validity->notBefore, &c->not_before_ms) ||
        read_time(t->validity->notAfter, &c->not_after_ms) || read_ids(c, t) || read_own_id(c, t) ||
        read_names(c, t) || read_basic_constraints(c, t) || read_features(c, t) || read_key(c, t))
        return -1;
    c->issuer_cn = read_cn(t->issuer);
    c->subject_cn = read_cn(t->subject);
    c->priv->issuer = t->issuer;
    c->priv->subject = t->subject;
    t->issuer = t->subject = NULL;
    return 0;
}

/* X.509 wants the algorithm to be named twice, alike (RFC 5280, section 4.1.1.2); one of which that
 * is not true has no good signature. */
static void take_signature(struct cert_info *c, struct outer *o)
{
    struct cert_private *x = c->priv;
    const uint8_t *p = x->der, *tbs;
    long n;
    int tag, class;
    if (X509_ALGOR_cmp(o->alg, o->tbs->alg) != 0 || (o->signature->flags & 7) != 0)
        return;
    ASN1_get_object(&p, &n, &tag, &class, (long)x->der_n);
    tbs = p;
    ASN1_get_object(&p, &n, &tag, &class, (long)(x->der_n - (size_t)(p - x->der)));
    x->tbs_at = (size_t)(tbs - x->der);
    x->tbs_n = (size_t)(p + n - tbs);
    x->alg = o->alg;
    x->signature = o->signature;
    o->alg = NULL;
    o->signature = NULL;
}

struct cert_info *cert_info_read(const void *der, size_t n, const char *fingerprint, struct err *e)
{
    const uint8_t *p = der;
    ASN1_VALUE *v = ASN1_item_d2i(NULL, &p, (long)n, ASN1_ITEM_rptr(OUTER));
    if (!v || p != (const uint8_t *)der + n) {
        ASN1_item_free(v, ASN1_ITEM_rptr(OUTER));
        crypto_err(e, ERR_PEER, "a certificate cannot be decoded");
        return NULL;
    }
    struct cert_info *c = xnew(struct cert_info);
    c->priv = xnew(struct cert_private);
    c->priv->refs = 1;
    c->priv->der = xmemdup(der, n);
    c->priv->der_n = n;
    str_copy(c->fingerprint, sizeof(c->fingerprint), fingerprint);
    int rc = fill(c, ((struct outer *)v)->tbs);
    if (rc == 0)
        take_signature(c, (struct outer *)v);
    ASN1_item_free(v, ASN1_ITEM_rptr(OUTER));
    if (rc) {
        crypto_err(e, ERR_PEER, "a certificate has a field that makes no sense");
        cert_info_unref(c);
        return NULL;
    }
    ERR_clear_error();
    return c;
}

const struct cert_info *cert_info_ref(const struct cert_info *c)
{
    c->priv->refs++;
    return c;
}

static void free_names(char **names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    free(names);
}

void cert_info_unref(const struct cert_info *info)
{
    if (!info || --info->priv->refs > 0)
        return;
    struct cert_info *c = (struct cert_info *)info;
    X509_NAME_free(c->priv->issuer);
    X509_NAME_free(c->priv->subject);
    X509_ALGOR_free(c->priv->alg);
    ASN1_BIT_STRING_free(c->priv->signature);
    EVP_PKEY_free(c->priv->key);
    free(c->priv->der);
    free(c->priv->spki_der);
    free(c->priv);
    free_names(c->dns, c->dns_n);
    free_names(c->ips, c->ips_n);
    free(c->serial);
    free(c->subject_cn);
    free(c->issuer_cn);
    free(c->aki);
    free(c->ski);
    free(c->cert_id);
    free(c);
}

char *ari_cert_id(const void *aki, size_t aki_n, const void *serial, size_t serial_n)
{
    CLEANUP_FREE char *a = base64url(aki, aki_n);
    CLEANUP_FREE char *s = base64url(serial, serial_n);
    return xasprintf("%s.%s", a, s);
}
