/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "digest/base64.h"
#include "digest/hash.h"
#include "digest/jwk.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <stdio.h>
#include <string.h>

static EVP_PKEY *build(const char *type, OSSL_PARAM_BLD *bld)
{
    EVP_PKEY *key = NULL;
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
    assert_int_equal(EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params), 1);
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(bld);
    return key;
}

static EVP_PKEY *ec_key(const char *group, const char *x, const char *y)
{
    CLEANUP_BUF struct buf point;
    buf_init(&point, 200);
    buf_putc(&point, 4);
    assert_int_equal(base64url_decode(&point, x, strlen(x)), 0);
    assert_int_equal(base64url_decode(&point, y, strlen(y)), 0);
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, group, 0);
    OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, point.data, point.len);
    EVP_PKEY *key = build("EC", bld);
    return key;
}

static void assert_jwk(EVP_PKEY *key, const char *jwk, const char *thumbprint)
{
    CLEANUP_BUF struct buf b;
    char text[JWK_THUMBPRINT];
    struct err e = ERR_INIT;
    buf_init(&b, 2000);
    buf_puts(&b, ">");
    assert_int_equal(jwk_put(&b, key, &e), 0);
    assert_string_equal(buf_str(&b), jwk);
    jwk_thumbprint(b.data + 1, b.len - 1, text);
    assert_string_equal(text, thumbprint);
    EVP_PKEY_free(key);
}

static void vector_of_rfc_7638(void **state)
{
    (void)state;
    static const char n[] =
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_"
        "BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_"
        "FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-"
        "bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
    CLEANUP_BUF struct buf bytes;
    buf_init(&bytes, 256);
    assert_int_equal(base64url_decode(&bytes, n, strlen(n)), 0);
    BIGNUM *modulus = BN_bin2bn((const uint8_t *)bytes.data, (int)bytes.len, NULL);
    BIGNUM *exponent = BN_new();
    BN_set_word(exponent, 65537);
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, modulus);
    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, exponent);
    CLEANUP_FREE char *jwk = xasprintf(">{\"e\":\"AQAB\",\"kty\":\"RSA\",\"n\":\"%s\"}", n);
    assert_jwk(build("RSA", bld), jwk, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    BN_free(modulus);
    BN_free(exponent);
}

/* RFC 7515 A.3's key, and small multiples of the base points with a zero octet in front of x or y;
 * thumbprints computed with another library. */
static void coordinates_keep_their_zeroes(void **state)
{
    (void)state;
    static const struct {
        const char *group, *crv, *x, *y, *thumbprint;
    } v[] = {
        {"P-256", "P-256", "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
         "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
         "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U"},
        {"prime256v1", "P-256", "mGriUG8f8QTQQjCGHY9LSY9LxMbQCbMPdUTcEpuC0o0",
         "ADzMwKZGDgrjKKTZfTx7YdhvxiicGJ8lJREMRBuwfpc",
         "WZsjbh58q8kl1WsGShqtiycImZtCgGbukDn4RAacMig"},
        {"P-256", "P-256", "AFVDiUrz0A7X10Cr29dclrBod7eH219w7qeLkKjXwAo",
         "u0yFo9jqKe-q-iRAaRLdhNWxTcMr9lbvbGvVil2UP5I",
         "7Yxe6c_3bAa6kiaK1G-BZmi9EeNsUmlcbdnrtLeuK4E"},
        {"P-384", "P-384", "0DqnSPX0jrPgxUtoPyXS4tfX4yASgqlbV6Wf-4-Uz0xDsRB8qUS5IRw1ERLeFu0Y",
         "AAoIxgLcXgAx2tCIwZMF9rJSorw_JF96W4C0hMe5n2mBwyN0xxSnaDJV9TMfZrsG",
         "eHlvCJwnS4D8Ed9sbbTuEHD0Ln22xw8bQ-OvMdNm-JI"},
        {"secp384r1", "P-384", "AE0QSybuVnH3LBDJhoQdPmXSheJRYWG3uqNBsSYxueMrbw1YlthDHFHV2To3y8kO",
         "8RoeP4t7kFOO5CzADuk0puLuJVQWB9j7ZceosR4viGhTiG7vOGXskzIAufJVmfKf",
         "3zGgfCTYC-l6UH4_4PwByXaVX5czHdwQ2j1LDWQQiD0"},
    };
    for (size_t i = 0; i < ARRAY_LEN(v); i++) {
        CLEANUP_FREE char *jwk = xasprintf(
            ">{\"crv\":\"%s\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}", v[i].crv, v[i].x, v[i].y);
        assert_jwk(ec_key(v[i].group, v[i].x, v[i].y), jwk, v[i].thumbprint);
    }
}

/* Appendix A.1 to A.3. */
static void vector_of_rfc_8037(void **state)
{
    (void)state;
    static const char x[] = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    CLEANUP_BUF struct buf raw;
    buf_init(&raw, 32);
    assert_int_equal(base64url_decode(&raw, x, strlen(x)), 0);
    CLEANUP_FREE char *jwk = xasprintf(">{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"%s\"}", x);
    assert_jwk(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, (const uint8_t *)raw.data, 32),
               jwk, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

static void other_keys_are_refused(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b;
    struct err e = ERR_INIT;
    buf_init(&b, 2000);
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED448");
    assert_int_equal(jwk_put(&b, key, &e), -1);
    EVP_PKEY_free(key);
    key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-521");
    assert_int_equal(jwk_put(&b, key, &e), -1);
    EVP_PKEY_free(key);
    assert_int_equal(b.len, 0);
    assert_int_equal(e.cls, ERR_LOCAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vector_of_rfc_7638),
        cmocka_unit_test(vector_of_rfc_8037),
        cmocka_unit_test(coordinates_keep_their_zeroes),
        cmocka_unit_test(other_keys_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
