/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "digest/base64.h"
#include "digest/pem.h"
#include "keys/jws.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

struct parts {
    struct json *outer, *header;
    char *payload;
};

static char *decoded(const char *text)
{
    struct buf b;
    buf_init(&b, 65536);
    assert_non_null(text);
    assert_int_equal(base64url_decode(&b, text, strlen(text)), 0);
    return buf_steal(&b);
}

static void take_apart(const struct buf *jws, struct parts *p)
{
    p->outer = json_parse(buf_str(jws), jws->len, NULL);
    assert_non_null(p->outer);
    assert_int_equal(json_len(p->outer), 3);
    CLEANUP_FREE char *header = decoded(json_text(p->outer, "protected"));
    p->header = json_parse(header, strlen(header), NULL);
    assert_non_null(p->header);
    p->payload = decoded(json_text(p->outer, "payload"));
}

static void drop(struct parts *p)
{
    json_free(p->outer);
    json_free(p->header);
    free(p->payload);
}

/* r || s to DER. */
static size_t to_der(const uint8_t *raw, size_t n, uint8_t *der)
{
    ECDSA_SIG *sig = ECDSA_SIG_new();
    ECDSA_SIG_set0(sig, BN_bin2bn(raw, (int)n / 2, NULL), BN_bin2bn(raw + n / 2, (int)n / 2, NULL));
    int len = i2d_ECDSA_SIG(sig, &der);
    ECDSA_SIG_free(sig);
    assert_true(len > 0);
    return (size_t)len;
}

static void assert_signature(const struct pkey *k, const struct parts *p)
{
    uint8_t der[PKEY_SIGNATURE_MAX];
    CLEANUP_BUF struct buf sig;
    buf_init(&sig, 1000);
    const char *text = json_text(p->outer, "signature");
    assert_int_equal(base64url_decode(&sig, text, strlen(text)), 0);
    size_t n = sig.len;
    bool raw = pkey_type(k) <= KEY_ECDSA_P384;
    if (raw)
        n = to_der((const uint8_t *)sig.data, n, der);
    else
        memcpy(der, sig.data, n);
    CLEANUP_FREE char *input =
        xasprintf("%s.%s", json_text(p->outer, "protected"), json_text(p->outer, "payload"));
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    const EVP_MD *md = pkey_type(k) == KEY_ED25519      ? NULL
                       : pkey_type(k) == KEY_ECDSA_P384 ? EVP_sha384()
                                                        : EVP_sha256();
    assert_int_equal(EVP_DigestVerifyInit(ctx, NULL, md, NULL, pkey_evp(k)), 1);
    assert_int_equal(EVP_DigestVerify(ctx, der, n, (const uint8_t *)input, strlen(input)), 1);
    EVP_MD_CTX_free(ctx);
}

static void requests_verify(void **state)
{
    (void)state;
    static const enum key_type types[] = {KEY_ECDSA_P256, KEY_ECDSA_P384, KEY_RSA_2048,
                                          KEY_ED25519};
    static const char *const algs[] = {"ES256", "ES384", "RS256", "EdDSA"};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        CLEANUP_PKEY struct pkey *k = pkey_generate(types[i], NULL);
        const struct jws_protected protect = {.nonce = "n0nce-_",
                                              .url = "https://ca.example/new-order",
                                              .kid = "https://ca.example/a/1"};
        CLEANUP_BUF struct buf out;
        struct parts p;
        buf_init(&out, 65536);
        assert_int_equal(jws_sign(k, &protect, "{\"a\":1}", &out, NULL), 0);
        take_apart(&out, &p);
        assert_string_equal(json_text(p.header, "alg"), algs[i]);
        assert_string_equal(json_text(p.header, "nonce"), "n0nce-_");
        assert_string_equal(json_text(p.header, "url"), protect.url);
        assert_string_equal(json_text(p.header, "kid"), protect.kid);
        assert_int_equal(json_len(p.header), 4);
        assert_string_equal(p.payload, "{\"a\":1}");
        assert_signature(k, &p);
        drop(&p);
    }
}

static void post_as_get_has_the_empty_payload(void **state)
{
    (void)state;
    CLEANUP_PKEY struct pkey *k = pkey_generate(KEY_ECDSA_P256, NULL);
    const struct jws_protected protect = {.nonce = "n", .url = "https://x/", .kid = "https://x/1"};
    CLEANUP_BUF struct buf out;
    struct parts p;
    buf_init(&out, 65536);
    assert_int_equal(jws_sign(k, &protect, NULL, &out, NULL), 0);
    take_apart(&out, &p);
    assert_string_equal(json_text(p.outer, "payload"), "");
    assert_signature(k, &p);
    drop(&p);
}

static void without_kid_the_key_goes_in(void **state)
{
    (void)state;
    CLEANUP_PKEY struct pkey *k = pkey_generate(KEY_ECDSA_P256, NULL);
    const struct jws_protected protect = {.url = "https://x/key-change"};
    CLEANUP_BUF struct buf out;
    struct parts p;
    buf_init(&out, 65536);
    assert_int_equal(jws_sign(k, &protect, "{}", &out, NULL), 0);
    take_apart(&out, &p);
    assert_int_equal(json_len(p.header), 3);
    assert_null(json_get(p.header, "nonce"));
    assert_null(json_get(p.header, "kid"));
    CLEANUP_FREE char *jwk = json_print(json_get(p.header, "jwk"), false);
    assert_string_equal(jwk, pkey_jwk(k));
    assert_signature(k, &p);
    drop(&p);
}

static void texts_are_escaped(void **state)
{
    (void)state;
    static const char url[] = "https://x/\"a\\b\x01\n\x7f/\xc3\xa9?q=\"}";
    CLEANUP_PKEY struct pkey *k = pkey_generate(KEY_ECDSA_P256, NULL);
    const struct jws_protected protect = {.nonce = "\"", .url = url, .kid = "\\"};
    CLEANUP_BUF struct buf out;
    struct parts p;
    buf_init(&out, 65536);
    assert_int_equal(jws_sign(k, &protect, "", &out, NULL), 0);
    take_apart(&out, &p);
    assert_string_equal(json_text(p.header, "url"), url);
    assert_string_equal(json_text(p.header, "nonce"), "\"");
    assert_string_equal(json_text(p.header, "kid"), "\\");
    drop(&p);
}

static void bad_texts_are_refused(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    CLEANUP_PKEY struct pkey *k = pkey_generate(KEY_ECDSA_P256, NULL);
    CLEANUP_BUF struct buf out;
    buf_init(&out, 65536);
    const struct jws_protected bad = {.url = "https://x/\xff"};
    assert_int_equal(jws_sign(k, &bad, "", &out, &e), -1);
    assert_int_equal(e.cls, ERR_PEER);
    const struct jws_protected bad_nonce = {.nonce = "\xff", .url = "https://x/"};
    assert_int_equal(jws_sign(k, &bad_nonce, "", &out, &e), -1);
    const struct jws_protected good = {.url = "https://x/"};
    struct buf small;
    buf_init(&small, 50);
    assert_int_equal(jws_sign(k, &good, "", &small, &e), -1);
    assert_int_equal(e.cls, ERR_LOCAL);
    buf_free(&small);
    CLEANUP_FREE char *huge = xcalloc(400001, 1);
    memset(huge, 'x', 400000);
    buf_free(&out);
    buf_init(&out, 4u << 20);
    assert_int_equal(jws_sign(k, &good, huge, &out, &e), -1);
}

static void bindings_verify(void **state)
{
    (void)state;
    CLEANUP_PKEY struct pkey *k = pkey_generate(KEY_ECDSA_P256, NULL);
    CLEANUP_BUF struct buf out;
    struct parts p;
    buf_init(&out, 65536);
    assert_int_equal(jws_bind_account("kid-1", "https://ca.example/new-account", "secret\0key", 10,
                                      pkey_jwk(k), &out, NULL),
                     0);
    take_apart(&out, &p);
    assert_string_equal(json_text(p.header, "alg"), "HS256");
    assert_string_equal(json_text(p.header, "kid"), "kid-1");
    assert_string_equal(json_text(p.header, "url"), "https://ca.example/new-account");
    assert_int_equal(json_len(p.header), 3);
    assert_string_equal(p.payload, pkey_jwk(k));
    CLEANUP_FREE char *input =
        xasprintf("%s.%s", json_text(p.outer, "protected"), json_text(p.outer, "payload"));
    uint8_t mac[HASH_MAX];
    size_t n = hmac(HASH_SHA256, "secret\0key", 10, input, strlen(input), mac);
    CLEANUP_FREE char *expect = base64url(mac, n);
    assert_string_equal(json_text(p.outer, "signature"), expect);
    drop(&p);
}

/* RFC 7515 appendix A.2's key and signature: PKCS#1 v1.5 has no randomness. */
static void rs256_of_rfc_7515(void **state)
{
    (void)state;
    static const char pem[] = "-----BEGIN PRIVATE KEY-----\n"
                              "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQCh+BYK4uPJtGXO\n"
                              "jS1lYmM2K5J9vinh8CR3/BYlzJChNuOL2TSXxbbqY913EeZ8dCn5VrD7io8ImtxL\n"
                              "aYk8wTM/U+3QGbh3hCUv7JFP5IV3aVlL6kKA0ywPVb9ilE8TA5a8bpvfbr3SvaNn\n"
                              "juygxmj3AbONv/s4yDQs4v5tJ/reSlpIdJed1LnPmt7Ex1sFhSwsD174pcF1A5L5\n"
                              "ROjtZMEQxrZHYJqkeDrrnGya11UxMFBji4NmXG9veoKjlnAqH2QbgtPr8jkiGUkf\n"
                              "toaHLFcW9Qr4NY2ai50Xw0Byj3+H2JoY2PyrZ62EWQwuz3WTOTY8BwNNb2BvniHg\n"
                              "VFbK5emhAgMBAAECggEAEq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyW\n"
                              "PEAeP88vLNO97IjlA7/GQ5sLKMgvfTeXZx9SE+7YwVol2NXOoAJe46sui395IW/G\n"
                              "O+pWJ1O0BkTGoVEn2bKVRUCgu+GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzj\n"
                              "kn439X0M/V51gfpRLI9JYanrC4D4qAdGcopV/0ZHHzQlBjudU2QvXt4ehNYTCBr6\n"
                              "XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl/x/jTj3ccPDVZFD9pIuhLhBOneufuBiB\n"
                              "4cS98l2SR/RQyGWSeWjnczT0QU91p1DhOVRuOopznQKBgQDgHMQQ60imZV1URk0K\n"
                              "pLttoLhyt3SmqdEf/kgHePDdtzEafpAu+cS191R2JiuoF2yzWXnwFDcqGigp5BNr\n"
                              "0AHQfD8/Lk8l1Mk09jxxCfui5nYooNyac8YFjm3vItzVCVDnEd3BbVWG8qf6deqE\n"
                              "lMGAg+C2V0L4oNXnP7LZcPAZRwKBgQC5A8R+CZW2MvRTLLHzwZkUXV866cff7tx6\n"
                              "kqa0finGG0KgeqlaZPxgCZnFp7AeAcCMtiynVlJ7vMVgePsLq6XtON4tB5kP9jAP\n"
                              "rq3rbAOal78eUH5OcED6eNuCV8ixEu1eWcPNCS/l1OW1EnXUEoEHKl54Xrrz2uNw\n"
                              "kgMTP1FZ1wKBgAcCn1dwJKufzBWQxWQp1vsM5fggqPN1qGb5y0MAk3g7/Ls5bkUp\n"
                              "5u9SN0Ai3Ya6hNnvWJMb7sXQX6U/zyO2M/hTip7tUeh7CXgwo59dkpN75gJLVds2\n"
                              "9+DAncu3KXU4f2Fa+7bLNrur53k8KwPOq2bbuTG69QtV7Jr5MR0AHWKNAoGBAIf/\n"
                              "evpitUf+4JYbLpvNXWcY052Mpz22aR84mY3nh3F2LF2mjMJDpTg7FmuyPcVw6EcG\n"
                              "yoAe9fa65iNqCq+jdw6PVNGo2hxfjSiZ8IIzHdsPXI89//pMjZcQK9r+CCoRjaZj\n"
                              "OYiIDktVWZzmevJuv6WywUqd57LE3Zar3dLSIkx1AoGAIYd7DHOhrWvxkwPQsRM2\n"
                              "tOgrjbcrfvtQJipd+DlcxyVuuM9sQLdgjVk2oy26F0EmpScGLq2MowX7fhd/QJQ3\n"
                              "ydy5cY7YIBi87w93IKLEdfnbJtoOPLUW0ITrJReOgo1cq9SbsxYawBgfp/gh6A56\n"
                              "03k2+ZQwVK0JKSHuLFkuQ3U=\n"
                              "-----END PRIVATE KEY-----\n";
    static const char input[] =
        "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQog"
        "Imh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    uint8_t sig[PKEY_SIGNATURE_MAX];
    size_t n;
    CLEANUP_PKEY struct pkey *k = pkey_from_pem(pem, sizeof(pem) - 1, NULL);
    assert_non_null(k);
    assert_int_equal(pkey_sign_jws(k, input, sizeof(input) - 1, sig, &n, NULL), 0);
    CLEANUP_FREE char *text = base64url(sig, n);
    assert_string_equal(
        text,
        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2"
        "Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjt"
        "QBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6"
        "IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw");
}

/* RFC 8037 appendix A.1 and A.4. */
static void eddsa_of_rfc_8037(void **state)
{
    (void)state;
    static const uint8_t head[] = {0x30, 0x2e, 2,    1,    0, 0x30, 5, 6,
                                   3,    0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20};
    static const char d[] = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
    static const char input[] = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    CLEANUP_BUF struct buf der, pem;
    uint8_t sig[PKEY_SIGNATURE_MAX];
    size_t n;
    buf_init(&der, 100);
    buf_init(&pem, 200);
    buf_put(&der, head, sizeof(head));
    assert_int_equal(base64url_decode(&der, d, sizeof(d) - 1), 0);
    pem_put(&pem, "PRIVATE KEY", der.data, der.len);
    CLEANUP_PKEY struct pkey *k = pkey_from_pem(pem.data, pem.len, NULL);
    assert_non_null(k);
    assert_int_equal(pkey_type(k), KEY_ED25519);
    assert_string_equal(pkey_thumbprint(k), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    assert_int_equal(pkey_sign_jws(k, input, sizeof(input) - 1, sig, &n, NULL), 0);
    CLEANUP_FREE char *text = base64url(sig, n);
    assert_string_equal(text, "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsP"
                              "t9g7sVvpAr_MuM0KAg");
}

/* One of r and s begins with a zero octet once in 128 signatures: signs until both have. */
static void ecdsa_keeps_its_width(enum key_type t, size_t width)
{
    CLEANUP_PKEY struct pkey *k = pkey_generate(t, NULL);
    bool r = false, s = false;
    for (int i = 0; i < 20000 && !(r && s); i++) {
        uint8_t sig[PKEY_SIGNATURE_MAX], der[PKEY_SIGNATURE_MAX];
        size_t n;
        assert_int_equal(pkey_sign_jws(k, &i, sizeof(i), sig, &n, NULL), 0);
        assert_int_equal(n, 2 * width);
        if (sig[0] && sig[width])
            continue;
        r = r || !sig[0];
        s = s || !sig[width];
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        const EVP_MD *md = t == KEY_ECDSA_P384 ? EVP_sha384() : EVP_sha256();
        n = to_der(sig, n, der);
        assert_int_equal(EVP_DigestVerifyInit(ctx, NULL, md, NULL, pkey_evp(k)), 1);
        assert_int_equal(EVP_DigestVerify(ctx, der, n, (const uint8_t *)&i, sizeof(i)), 1);
        EVP_MD_CTX_free(ctx);
    }
    assert_true(r && s);
}

static void zeroes_in_front_are_kept(void **state)
{
    (void)state;
    ecdsa_keeps_its_width(KEY_ECDSA_P256, 32);
    ecdsa_keeps_its_width(KEY_ECDSA_P384, 48);
}

/* RFC 8555 section 7.3.5, all of it, inside of the request as the old key signs it. */
static void key_changes_hold_both_keys(void **state)
{
    (void)state;
    static const enum key_type news[] = {KEY_ECDSA_P384, KEY_RSA_2048, KEY_ED25519};
    static const char url[] = "https://ca.example/key-change", account[] = "https://ca.example/a/1";
    CLEANUP_PKEY struct pkey *old = pkey_generate(KEY_ECDSA_P256, NULL);
    for (size_t i = 0; i < ARRAY_LEN(news); i++) {
        CLEANUP_PKEY struct pkey *k = pkey_generate(news[i], NULL);
        CLEANUP_BUF struct buf inner, outer;
        struct parts in, out;
        buf_init(&inner, 65536);
        buf_init(&outer, 65536);
        assert_int_equal(jws_key_change(k, old, account, url, &inner, NULL), 0);
        const struct jws_protected protect = {.nonce = "n", .url = url, .kid = account};
        assert_int_equal(jws_sign(old, &protect, inner.data, &outer, NULL), 0);
        take_apart(&outer, &out);
        assert_signature(old, &out);
        assert_string_equal(out.payload, inner.data);
        take_apart(&inner, &in);
        assert_signature(k, &in);
        assert_int_equal(json_len(in.header), 3);
        assert_string_equal(json_text(in.header, "url"), url);
        CLEANUP_FREE char *jwk = json_print(json_get(in.header, "jwk"), false);
        assert_string_equal(jwk, pkey_jwk(k));
        CLEANUP_FREE char *payload =
            xasprintf("{\"account\":\"%s\",\"oldKey\":%s}", account, pkey_jwk(old));
        assert_string_equal(in.payload, payload);
        drop(&in);
        drop(&out);
    }
}

/* By the certificate's own key: jwk instead of kid. */
static void revocations_by_any_certificates_key(void **state)
{
    (void)state;
    static const enum key_type types[] = {KEY_ECDSA_P256, KEY_ECDSA_P384, KEY_RSA_2048};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        CLEANUP_PKEY struct pkey *k = pkey_generate(types[i], NULL);
        const struct jws_protected protect = {.nonce = "n", .url = "https://ca.example/revoke"};
        CLEANUP_BUF struct buf payload, out;
        struct parts p;
        buf_init(&payload, 1000);
        buf_init(&out, 65536);
        assert_int_equal(jws_revocation("\x30\x03\xff\xfe", 4, 1, &payload, NULL), 0);
        assert_string_equal(buf_str(&payload), "{\"certificate\":\"MAP__g\",\"reason\":1}");
        assert_int_equal(jws_sign(k, &protect, payload.data, &out, NULL), 0);
        take_apart(&out, &p);
        assert_null(json_get(p.header, "kid"));
        CLEANUP_FREE char *jwk = json_print(json_get(p.header, "jwk"), false);
        assert_string_equal(jwk, pkey_jwk(k));
        assert_signature(k, &p);
        drop(&p);
    }
}

static void reasons_are_those_of_rfc_5280(void **state)
{
    (void)state;
    for (int reason = -2; reason < 13; reason++) {
        struct err e = ERR_INIT;
        CLEANUP_BUF struct buf b;
        buf_init(&b, 100);
        bool good = reason >= -1 && reason <= 10 && reason != 7;
        assert_int_equal(jws_revocation("x", 1, reason, &b, &e), good ? 0 : -1);
        if (good)
            assert_int_equal(strstr(buf_str(&b), "reason") != NULL, reason >= 0);
        else
            assert_int_equal(e.cls, ERR_CONFIG);
    }
    struct buf small;
    buf_init(&small, 20);
    assert_int_equal(jws_revocation("0123456789", 10, 0, &small, NULL), -1);
    buf_free(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_verify),
        cmocka_unit_test(post_as_get_has_the_empty_payload),
        cmocka_unit_test(without_kid_the_key_goes_in),
        cmocka_unit_test(texts_are_escaped),
        cmocka_unit_test(bad_texts_are_refused),
        cmocka_unit_test(bindings_verify),
        cmocka_unit_test(rs256_of_rfc_7515),
        cmocka_unit_test(eddsa_of_rfc_8037),
        cmocka_unit_test(zeroes_in_front_are_kept),
        cmocka_unit_test(key_changes_hold_both_keys),
        cmocka_unit_test(revocations_by_any_certificates_key),
        cmocka_unit_test(reasons_are_those_of_rfc_5280),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
