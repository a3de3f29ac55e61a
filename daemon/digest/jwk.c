/* SPDX-License-Identifier: ISC */
#include "digest/jwk.h"
#include "base/mem.h"
#include "base/str.h"
#include "digest/base64.h"
#include "digest/hash.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <string.h>

#define NUMBER_MAX 1024 /* octets: an RSA modulus of 8,192 bits */

static const struct curve {
    const char *group, *alias, *crv;
    int octets;
} curves[] = {
    {"prime256v1", "P-256", "P-256", 32},
    {"secp384r1", "P-384", "P-384", 48},
};

/* A number of the key as base64url; width 0: as short as it is. */
static int put_number(struct buf *out, const EVP_PKEY *key, const char *param, int width)
{
    uint8_t bytes[NUMBER_MAX];
    BIGNUM *bn = NULL;
    int n = -1;
    if (EVP_PKEY_get_bn_param(key, param, &bn)) {
        int len = width ? width : BN_num_bytes(bn);
        if (len <= NUMBER_MAX)
            n = BN_bn2binpad(bn, bytes, len);
    }
    BN_free(bn);
    return n <= 0 ? -1 : base64url_put(out, bytes, (size_t)n);
}

static int put_ec(struct buf *out, const EVP_PKEY *key)
{
    char group[32];
    if (!EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof(group),
                                        NULL))
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(curves); i++) {
        const struct curve *c = &curves[i];
        if (!str_eq(group, c->group) && !str_eq(group, c->alias))
            continue;
        if (buf_putf(out, "{\"crv\":\"%s\",\"kty\":\"EC\",\"x\":\"", c->crv) ||
            put_number(out, key, OSSL_PKEY_PARAM_EC_PUB_X, c->octets) ||
            buf_puts(out, "\",\"y\":\"") ||
            put_number(out, key, OSSL_PKEY_PARAM_EC_PUB_Y, c->octets))
            return -1;
        return buf_puts(out, "\"}");
    }
    return -1;
}

static int put_rsa(struct buf *out, const EVP_PKEY *key)
{
    if (buf_puts(out, "{\"e\":\"") || put_number(out, key, OSSL_PKEY_PARAM_RSA_E, 0) ||
        buf_puts(out, "\",\"kty\":\"RSA\",\"n\":\"") ||
        put_number(out, key, OSSL_PKEY_PARAM_RSA_N, 0))
        return -1;
    return buf_puts(out, "\"}");
}

/* RFC 8037 section 2. */
static int put_okp(struct buf *out, const EVP_PKEY *key)
{
    uint8_t raw[32];
    size_t n = sizeof(raw);
    if (!EVP_PKEY_get_raw_public_key(key, raw, &n) ||
        buf_puts(out, "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"") ||
        base64url_put(out, raw, n))
        return -1;
    return buf_puts(out, "\"}");
}

int jwk_put(struct buf *out, const struct evp_pkey_st *key, struct err *e)
{
    CLEANUP_BUF struct buf text;
    int rc = -1;
    buf_init(&text, 2 * NUMBER_MAX);
    if (EVP_PKEY_is_a(key, "EC"))
        rc = put_ec(&text, key);
    else if (EVP_PKEY_is_a(key, "RSA"))
        rc = put_rsa(&text, key);
    else if (EVP_PKEY_is_a(key, "ED25519"))
        rc = put_okp(&text, key);
    if (rc)
        return err_set(e, ERR_LOCAL, "the key is none of ECDSA P-256, ECDSA P-384, RSA, Ed25519");
    return buf_put(out, buf_str(&text), text.len) ? err_set(e, ERR_LOCAL, "a JWK is too long") : 0;
}

void jwk_thumbprint(const char *jwk, size_t n, char out[JWK_THUMBPRINT])
{
    uint8_t sum[SHA256_LEN];
    sha256(jwk, n, sum);
    CLEANUP_FREE char *text = base64url(sum, sizeof(sum));
    memcpy(out, text, JWK_THUMBPRINT);
}
