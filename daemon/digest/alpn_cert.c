/* SPDX-License-Identifier: ISC */
#include "digest/alpn_cert.h"
#include "base/ip.h"
#include "base/mem.h"
#include "base/str.h"
#include "digest/crypto_err.h"
#include "digest/hash.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#define DAY_S 86400
#define BEFORE_S DAY_S
#define AFTER_S (7 * DAY_S)

struct alpn_cert {
    X509 *x509;
    EVP_PKEY *key;
};

/* The DNS name or the octets of the address as the one GeneralName there is. */
static bool add_san(X509 *x, const char *identifier)
{
    uint8_t address[IP_OCTETS];
    size_t n;
    bool ip = ip_parse(identifier, address, &n);
    ASN1_STRING *text = ASN1_STRING_type_new(ip ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING);
    GENERAL_NAME *name = GENERAL_NAME_new();
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    bool good = text && name && names &&
                ASN1_STRING_set(text, ip ? (const void *)address : identifier, ip ? (int)n : -1);
    if (good) {
        GENERAL_NAME_set0_value(name, ip ? GEN_IPADD : GEN_DNS, text);
        text = NULL;
        good = sk_GENERAL_NAME_push(names, name) > 0;
        if (good)
            name = NULL;
    }
    good = good && X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, 0) == 1;
    ASN1_STRING_free(text);
    GENERAL_NAME_free(name);
    GENERAL_NAMES_free(names);
    return good;
}

static bool add_acme_identifier(X509 *x, const char *key_authorization)
{
    uint8_t value[2 + SHA256_LEN] = {V_ASN1_OCTET_STRING, SHA256_LEN};
    sha256(key_authorization, strlen(key_authorization), value + 2);
    ASN1_OBJECT *oid = OBJ_txt2obj("1.3.6.1.5.5.7.1.31", 1);
    ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();
    X509_EXTENSION *extension = NULL;
    if (oid && octets && ASN1_OCTET_STRING_set(octets, value, sizeof(value)))
        extension = X509_EXTENSION_create_by_OBJ(NULL, oid, 1, octets);
    bool good = extension && X509_add_ext(x, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(octets);
    ASN1_OBJECT_free(oid);
    return good;
}

static bool set_serial(X509 *x)
{
    uint8_t bytes[16];
    if (RAND_bytes(bytes, sizeof(bytes)) != 1)
        return false;
    bytes[0] = (uint8_t)((bytes[0] & 0x7f) | 0x40); /* positive, of full length */
    BIGNUM *bn = BN_bin2bn(bytes, sizeof(bytes), NULL);
    bool good = bn && BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(x));
    BN_free(bn);
    return good;
}

/* Its own issuer: RFC 8737 wants it self-signed. */
static bool set_names(X509 *x)
{
    static const uint8_t cn[] = "ACME tls-alpn-01";
    X509_NAME *name = X509_NAME_new();
    bool good = name &&
                X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8, cn, -1, -1, 0) &&
                X509_set_subject_name(x, name) && X509_set_issuer_name(x, name);
    X509_NAME_free(name);
    return good;
}

static bool make(struct alpn_cert *c, const char *identifier, const char *key_authorization,
                 time_t now)
{
    c->key = EVP_EC_gen("P-256");
    c->x509 = X509_new();
    X509 *x = c->x509;
    return c->key && x && X509_set_version(x, X509_VERSION_3) && set_serial(x) && set_names(x) &&
           ASN1_TIME_set(X509_getm_notBefore(x), now - BEFORE_S) &&
           ASN1_TIME_set(X509_getm_notAfter(x), now + AFTER_S) && X509_set_pubkey(x, c->key) &&
           add_san(x, identifier) && add_acme_identifier(x, key_authorization) &&
           X509_sign(x, c->key, EVP_sha256()) > 0;
}

/* As the certificate has it: lower case, and an address in one form. */
static bool normalise(const char *identifier, char out[NAME_MAX_TEXT])
{
    return ip_normalise(identifier, out) ||
           (name_host(identifier, out) == NAME_OK && !name_is_wildcard(out));
}

struct alpn_cert *alpn_cert_new(const char *identifier, const char *key_authorization,
                                int64_t now_ms, struct err *e)
{
    char name[NAME_MAX_TEXT];
    if (!normalise(identifier, name)) {
        err_set(e, ERR_BUG, "tls-alpn-01 for what is neither a host name nor an address");
        return NULL;
    }
    struct alpn_cert *c = xnew(struct alpn_cert);
    if (make(c, name, key_authorization, (time_t)(now_ms / 1000)))
        return c;
    crypto_err(e, ERR_LOCAL, "cannot make a certificate for tls-alpn-01");
    alpn_cert_free(c);
    return NULL;
}

void alpn_cert_free(struct alpn_cert *c)
{
    if (!c)
        return;
    X509_free(c->x509);
    EVP_PKEY_free(c->key);
    free(c);
}

struct x509_st *alpn_cert_x509(const struct alpn_cert *c)
{
    return c->x509;
}

struct evp_pkey_st *alpn_cert_key(const struct alpn_cert *c)
{
    return c->key;
}

bool alpn_server_name(const char *identifier, char out[NAME_MAX_TEXT])
{
    return ip_reverse(identifier, out) ||
           (name_host(identifier, out) == NAME_OK && !name_is_wildcard(out));
}
