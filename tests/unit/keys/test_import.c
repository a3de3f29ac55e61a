/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "keys/import.h"

#include <stdlib.h>
#include <string.h>

static struct pkey *import(const char *text, struct err *e)
{
    return pkey_import(text, strlen(text), e);
}

static void assert_refused(const char *text, const char *what)
{
    struct err e = ERR_INIT;
    if (import(text, &e))
        fail_msg("taken: %s", text);
    assert_int_equal(e.cls, ERR_CONFIG);
    if (!strstr(e.detail, what))
        fail_msg("\"%s\" says nothing of \"%s\"", e.detail, what);
}

static void pem_and_der(void **state)
{
    (void)state;
    static const enum key_type types[] = {KEY_ECDSA_P256, KEY_ECDSA_P384, KEY_RSA_2048,
                                          KEY_ED25519};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        CLEANUP_BUF struct buf pem, der;
        CLEANUP_PKEY struct pkey *k = pkey_generate(types[i], NULL);
        buf_init_secret(&pem, PKEY_PEM_MAX);
        buf_init_secret(&der, PKEY_PEM_MAX);
        assert_int_equal(pkey_to_pem(k, &pem, NULL), 0);
        assert_int_equal(pkey_to_der(k, &der, NULL), 0);
        CLEANUP_PKEY struct pkey *a = pkey_import(pem.data, pem.len, NULL);
        CLEANUP_PKEY struct pkey *b = pkey_import(der.data, der.len, NULL);
        assert_non_null(a);
        assert_non_null(b);
        assert_string_equal(pkey_jwk(a), pkey_jwk(k));
        assert_string_equal(pkey_jwk(b), pkey_jwk(k));
    }
}

#define ED25519                                                                                    \
    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"d\":\"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A\","  \
    "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}"
#define EC_X "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define EC_Y "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
#define EC_D "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"

/* RFC 8037 appendix A, RFC 7515 appendix A.3. */
static void jwks_of_the_rfcs(void **state)
{
    (void)state;
    CLEANUP_PKEY struct pkey *ed = import(ED25519, NULL);
    assert_non_null(ed);
    assert_int_equal(pkey_type(ed), KEY_ED25519);
    assert_string_equal(pkey_thumbprint(ed), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    CLEANUP_PKEY struct pkey *ec =
        import(" {\n\"use\": \"sig\", \"key_ops\": [\"sign\", \"verify\"], \"ext\": true,\n"
               "\"kty\": \"EC\", \"crv\": \"P-256\", \"x\": \"" EC_X "\", \"y\": \"" EC_Y
               "\",\r\n\t\"d\": \"" EC_D "\" } \n",
               NULL);
    assert_non_null(ec);
    assert_string_equal(pkey_jwk(ec),
                        "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"}");
}

/* RFC 7515 appendix A.2, in the order of certbot's files. */
#define RSA_N                                                                                      \
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0B"   \
    "m4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5"   \
    "z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7"   \
    "aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
#define RSA_D                                                                                      \
    "Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2N"   \
    "XOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M"   \
    "_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl_x"   \
    "_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ"
static void jwk_as_certbot_keeps_it(void **state)
{
    (void)state;
    static const char text[] =
        "{\"n\": \"" RSA_N "\", \"e\": \"AQAB\", \"d\": \"" RSA_D
        "\", \"p\": \"4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYr"
        "qBdss1l58BQ3KhooKeQTa9AB0Hw_Py5PJdTJNPY8cQn7ouZ2KKDcmnPGBY5t"
        "7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc\", \"q\": "
        "\"uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaew"
        "HgHAjLYsp1ZSe7zFYHj7C6ul7TjeLQeZD_YwD66t62wDmpe_HlB-TnBA-njb"
        "glfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc\", \"dp\": "
        "\"BwKfV3Akq5_MFZDFZCnW-wzl-CCo83WoZvnLQwCTeDv8uzluRSnm71I3QCLd"
        "hrqE2e9YkxvuxdBfpT_PI7Yz-FOKnu1R6HsJeDCjn12Sk3vmAktV2zb34MCd"
        "y7cpdTh_YVr7tss2u6vneTwrA86rZtu5Mbr1C1XsmvkxHQAdYo0\", "
        "\"dq\": \"h_96-mK1R_7glhsum81dZxjTnYynPbZpHziZjeeHcXYsXaaMwkOlODsWa7I9"
        "xXDoRwbKgB719rrmI2oKr6N3Do9U0ajaHF-NKJnwgjMd2w9cjz3_-kyNlxAr"
        "2v4IKhGNpmM5iIgOS1VZnOZ68m6_pbLBSp3nssTdlqvd0tIiTHU\", \"qi\": "
        "\"IYd7DHOhrWvxkwPQsRM2tOgrjbcrfvtQJipd-DlcxyVuuM9sQLdgjVk2oy26"
        "F0EmpScGLq2MowX7fhd_QJQ3ydy5cY7YIBi87w93IKLEdfnbJtoOPLUW0ITr"
        "JReOgo1cq9SbsxYawBgfp_gh6A5603k2-ZQwVK0JKSHuLFkuQ3U\", \"kty\": \"RSA\"}";
    struct err e = ERR_INIT;
    CLEANUP_PKEY struct pkey *k = import(text, &e);
    if (!k)
        fail_msg("%s", e.detail);
    assert_int_equal(pkey_type(k), KEY_RSA_2048);
    assert_string_equal(pkey_jwk(k), "{\"e\":\"AQAB\",\"kty\":\"RSA\",\"n\":\"" RSA_N "\"}");
    for (size_t n = 0; n < sizeof(text) - 1; n += 7) {
        char *cut = xmemdup(text, n + !n);
        assert_null(pkey_import(cut, n, &e));
        free(cut);
    }
}

static void what_cannot_be_used(void **state)
{
    (void)state;
    static const char *const none[] = {
        "",
        "garbage",
        "{}",
        "{",
        "[]",
        "{\"kty\":\"oct\",\"k\":\"AAAA\"}",
        "{\"kty\":\"RSA\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"}", /* public */
        "{\"kty\":\"EC\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\",\"d\":\"" EC_D "\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_X "\",\"d\":\"" EC_D
        "\"}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"d\":\"AAAA\"}",
        "{\"kty\":\"OKP\",\"crv\":\"X25519\",\"d\":\"nWGxne_"
        "9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A\"}",
        "{\"kty\":\"OKP\",\"kty\":\"OKP\",\"crv\":\"Ed25519\","
        "\"d\":\"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A\"}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"d\":\"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="
        "\"}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"d\":\"nWGxne_"
        "9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2\\u0041\"}",
        "{\"key\":" ED25519 "}"};
    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        assert_refused(none[i], "no private key that can be used");
    assert_refused("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n"
                   "-----END ENCRYPTED PRIVATE KEY-----\n",
                   "openssl pkey");
    CLEANUP_FREE char *huge = xcalloc(PKEY_PEM_MAX + 2, 1);
    memset(huge, '{', PKEY_PEM_MAX + 1);
    assert_refused(huge, "no private key");
}

/* The private number of one key with the point of another. */
static void halves_that_do_not_match(void **state)
{
    (void)state;
    assert_refused("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y
                   "\",\"d\":\"AAAAnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI\"}",
                   "do not belong together");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pem_and_der),
        cmocka_unit_test(jwks_of_the_rfcs),
        cmocka_unit_test(jwk_as_certbot_keeps_it),
        cmocka_unit_test(what_cannot_be_used),
        cmocka_unit_test(halves_that_do_not_match),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
