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
    if (pkey_type(k) <= KEY_ECDSA_P384)
        n = to_der((const uint8_t *)sig.data, n, der);
    else
        memcpy(der, sig.data, n);
    CLEANUP_FREE char *input =
        xasprintf("%s.%s", json_text(p->outer, "protected"), json_text(p->outer, "payload"));
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    const EVP_MD *md = pkey_type(k) == KEY_ECDSA_P384 ? EVP_sha384() : EVP_sha256();
    assert_int_equal(EVP_DigestVerifyInit(ctx, NULL, md, NULL, pkey_evp(k)), 1);
    assert_int_equal(EVP_DigestVerify(ctx, der, n, (const uint8_t *)input, strlen(input)), 1);
    EVP_MD_CTX_free(ctx);
}

static void requests_verify(void **state)
{
    (void)state;
    static const enum key_type types[] = {KEY_ECDSA_P256, KEY_ECDSA_P384, KEY_RSA_2048};
    static const char *const algs[] = {"ES256", "ES384", "RS256"};
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_verify),
        cmocka_unit_test(post_as_get_has_the_empty_payload),
        cmocka_unit_test(without_kid_the_key_goes_in),
        cmocka_unit_test(texts_are_escaped),
        cmocka_unit_test(bad_texts_are_refused),
        cmocka_unit_test(bindings_verify),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
