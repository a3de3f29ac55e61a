/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/secret.h"
#include "base/str.h"
#include "digest/pem.h"
#include "keys/pkey.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

static void names_of_types(void **state)
{
    (void)state;
    static const char *const names[] = {"ecdsa-p256", "ecdsa-p384", "rsa-2048",
                                        "rsa-3072",   "rsa-4096",   "ed25519"};
    for (int t = 0; t < KEY_TYPES; t++) {
        enum key_type back = KEY_TYPES;
        assert_string_equal(key_type_name((enum key_type)t), names[t]);
        assert_true(key_type_parse(names[t], &back));
        assert_int_equal(back, t);
        assert_int_equal(key_type_for_certificate(back), t != KEY_ED25519);
    }
    enum key_type none;
    assert_false(key_type_parse("rsa", &none));
    assert_false(key_type_parse("", &none));
    assert_non_null(key_type_name(KEY_TYPES));
    assert_false(key_type_for_certificate(KEY_TYPES));
    assert_string_equal(key_type_jws_alg(KEY_ECDSA_P384), "ES384");
    assert_string_equal(key_type_jws_alg(KEY_RSA_3072), "RS256");
    assert_string_equal(key_type_jws_alg(KEY_ED25519), "EdDSA");
}

static bool verifies(const struct pkey *k, const char *text, const uint8_t *sig, size_t n)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    const EVP_MD *md = pkey_type(k) == KEY_ED25519      ? NULL
                       : pkey_type(k) == KEY_ECDSA_P384 ? EVP_sha384()
                                                        : EVP_sha256();
    bool good = EVP_DigestVerifyInit(ctx, NULL, md, NULL, pkey_evp(k)) == 1 &&
                EVP_DigestVerify(ctx, sig, n, (const uint8_t *)text, strlen(text)) == 1;
    EVP_MD_CTX_free(ctx);
    return good;
}

static void keys_come_back_from_pem(void **state)
{
    (void)state;
    static const enum key_type types[] = {KEY_ECDSA_P256, KEY_ECDSA_P384, KEY_RSA_2048,
                                          KEY_ED25519};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct err e = ERR_INIT;
        CLEANUP_BUF struct buf pem, again;
        CLEANUP_PKEY struct pkey *k = pkey_generate(types[i], &e);
        assert_non_null(k);
        assert_int_equal(pkey_type(k), types[i]);
        buf_init_secret(&pem, PKEY_PEM_MAX);
        buf_init_secret(&again, PKEY_PEM_MAX);
        assert_int_equal(pkey_to_pem(k, &pem, &e), 0);
        assert_true(str_starts(buf_str(&pem), "-----BEGIN PRIVATE KEY-----\n"));
        CLEANUP_PKEY struct pkey *back = pkey_from_pem(pem.data, pem.len, &e);
        assert_non_null(back);
        assert_int_equal(pkey_type(back), types[i]);
        assert_string_equal(pkey_jwk(back), pkey_jwk(k));
        assert_string_equal(pkey_thumbprint(back), pkey_thumbprint(k));
        assert_memory_equal(pkey_spki(back), pkey_spki(k), SHA256_LEN);
        assert_int_equal(pkey_to_pem(back, &again, &e), 0);
        assert_string_equal(buf_str(&again), buf_str(&pem));
        uint8_t sig[PKEY_SIGNATURE_MAX];
        size_t n;
        assert_int_equal(pkey_sign_der(back, "text", 4, sig, &n, &e), 0);
        assert_true(verifies(k, "text", sig, n));
        assert_false(verifies(k, "Text", sig, n));
    }
}

/* What openssl's own tools, certbot and acme.sh write. */
/* EC keys are encoded by hand; OpenSSL is asked what it would have written. */
static void encodings_are_those_of_openssl(void **state)
{
    static const enum key_type types[] = {KEY_ECDSA_P256, KEY_ECDSA_P384, KEY_RSA_2048,
                                          KEY_ED25519};
    (void)state;
    for (size_t i = 0; i < 8 * ARRAY_LEN(types); i++) {
        struct err e = ERR_INIT;
        struct buf ours, theirs;
        uint8_t *der = NULL;
        size_t spki_n;
        struct pkey *k = pkey_generate(types[i % ARRAY_LEN(types)], &e);
        assert_non_null(k);
        buf_init_secret(&ours, PKEY_PEM_MAX);
        buf_init_secret(&theirs, PKEY_PEM_MAX);
        assert_int_equal(pkey_to_pem(k, &ours, &e), 0);
        PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(pkey_evp(k));
        int n = i2d_PKCS8_PRIV_KEY_INFO(info, &der);
        pem_put(&theirs, "PRIVATE KEY", der, (size_t)n);
        assert_string_equal(buf_str(&ours), buf_str(&theirs));
        buf_reset(&ours);
        assert_int_equal(pkey_to_der(k, &ours, &e), 0);
        assert_int_equal(ours.len, n);
        assert_memory_equal(ours.data, der, ours.len);
        buf_free(&ours);
        buf_init_secret(&ours, 16);
        assert_int_equal(pkey_to_der(k, &ours, &e), -1);
        assert_int_equal(e.cls, ERR_BUG);
        PKCS8_PRIV_KEY_INFO_free(info);
        OPENSSL_free(der);
        der = NULL;
        n = i2d_PUBKEY(pkey_evp(k), &der);
        const void *spki = pkey_spki_der(k, &spki_n);
        assert_int_equal(spki_n, n);
        assert_memory_equal(spki, der, spki_n);
        OPENSSL_free(der);
        buf_free(&ours);
        buf_free(&theirs);
        pkey_free(k);
    }
}

static void other_forms_are_read(void **state)
{
    (void)state;
    static const enum key_type types[] = {KEY_ECDSA_P256, KEY_RSA_2048};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        char *text;
        BIO *bio = BIO_new(BIO_s_mem());
        CLEANUP_PKEY struct pkey *k = pkey_generate(types[i], NULL);
        if (types[i] == KEY_ECDSA_P256)
            BIO_puts(bio, "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n"
                          "-----END EC PARAMETERS-----\n");
        assert_int_equal(
            PEM_write_bio_PrivateKey_traditional(bio, pkey_evp(k), NULL, NULL, 0, NULL, NULL), 1);
        long n = BIO_get_mem_data(bio, &text);
        CLEANUP_PKEY struct pkey *back = pkey_from_pem(text, (size_t)n, NULL);
        assert_non_null(back);
        assert_memory_equal(pkey_spki(back), pkey_spki(k), SHA256_LEN);
        BIO_free(bio);
    }
}

static void assert_unreadable(const char *text, size_t n)
{
    struct err e = ERR_INIT;
    assert_null(pkey_from_pem(text, n, &e));
    assert_int_equal(e.cls, ERR_LOCAL);
    assert_true(e.detail[0]);
}

static void put_foreign(EVP_PKEY *key, const EVP_CIPHER *cipher, struct buf *out)
{
    char *text;
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, key, cipher, "pass", 4, NULL, NULL), 1);
    long n = BIO_get_mem_data(bio, &text);
    buf_put(out, text, (size_t)n);
    BIO_free(bio);
    EVP_PKEY_free(key);
}

static void what_is_no_key_of_ours_is_refused(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    CLEANUP_BUF struct buf pem;
    buf_init_secret(&pem, 2 * PKEY_PEM_MAX);
    assert_unreadable("", 0);
    assert_unreadable("garbage", 7);
    assert_unreadable("-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n", 58);
    put_foreign(EVP_PKEY_Q_keygen(NULL, NULL, "ED448"), NULL, &pem);
    assert_unreadable(pem.data, pem.len);
    buf_reset(&pem);
    put_foreign(EVP_EC_gen("P-521"), NULL, &pem);
    assert_unreadable(pem.data, pem.len);
    buf_reset(&pem);
    put_foreign(EVP_EC_gen("P-256"), EVP_aes_256_cbc(), &pem); /* never asks for a passphrase */
    assert_unreadable(pem.data, pem.len);
    buf_reset(&pem);
    CLEANUP_PKEY struct pkey *k = pkey_generate(KEY_ECDSA_P256, &e);
    assert_int_equal(pkey_to_pem(k, &pem, &e), 0);
    for (size_t n = 0; n + 25 < pem.len; n++)
        assert_unreadable(pem.data, n);
    while (pem.len <= PKEY_PEM_MAX)
        buf_putc(&pem, '\n');
    assert_unreadable(pem.data, pem.len);
    struct buf small;
    buf_init_secret(&small, 100);
    assert_int_equal(pkey_to_pem(k, &small, &e), -1);
    buf_free(&small);
    pkey_free(NULL);
}

/* r and s keep their width: one signature of 128 has a zero in front of one of them. */
static void signatures_for_jws_have_fixed_width(void **state)
{
    (void)state;
    static const struct {
        enum key_type type;
        const char *alg;
        size_t width;
    } v[] = {
        {KEY_ECDSA_P256, "ES256", 64}, {KEY_ECDSA_P384, "ES384", 96}, {KEY_RSA_2048, "RS256", 256}};
    for (size_t i = 0; i < ARRAY_LEN(v); i++) {
        CLEANUP_PKEY struct pkey *k = pkey_generate(v[i].type, NULL);
        bool zero_seen = v[i].type != KEY_ECDSA_P256;
        assert_string_equal(pkey_jws_alg(k), v[i].alg);
        for (int turn = 0; turn < 5 || (!zero_seen && turn < 10000); turn++) {
            uint8_t sig[PKEY_SIGNATURE_MAX];
            size_t n;
            assert_int_equal(pkey_sign_jws(k, "text", 4, sig, &n, NULL), 0);
            assert_int_equal(n, v[i].width);
            zero_seen = zero_seen || sig[0] == 0 || sig[32] == 0;
        }
        assert_true(zero_seen);
    }
}

/* 1 of 128 keys has a coordinate that begins with a zero octet. */
static void jwks_have_fixed_width(void **state)
{
    (void)state;
    for (int i = 0; i < 600; i++) {
        CLEANUP_PKEY struct pkey *k = pkey_generate(KEY_ECDSA_P256, NULL);
        const char *jwk = pkey_jwk(k);
        assert_int_equal(strlen(jwk), 126); /* 40 of syntax and names, 2 x 43 */
        assert_int_equal(strlen(pkey_thumbprint(k)), 43);
    }
}

/* After this OpenSSL's memory is ours; must be main's first act. */
static void freed_memory_is_wiped(void **state)
{
    (void)state;
    char *p = OPENSSL_malloc(100);
    memset(p, 'x', 100);
    p = OPENSSL_realloc(p, 100000);
    for (int i = 0; i < 100; i++)
        assert_int_equal(p[i], 'x');
    p = OPENSSL_realloc(p, 10);
    for (int i = 0; i < 10; i++)
        assert_int_equal(p[i], 'x');
    assert_null(OPENSSL_realloc(p, 0));
    p = OPENSSL_realloc(NULL, 5);
    assert_non_null(p);
    OPENSSL_free(p);
#ifndef RENEWD_SANITIZE
    /* glibc gives the chunk back as it was left; its first words are the free list's. */
    p = OPENSSL_malloc(200);
    memset(p, 'x', 200);
    OPENSSL_free(p);
    char *volatile same = malloc(200);
    for (int i = 32; i < 200; i++)
        assert_int_not_equal(same[i], 'x');
    free(same);
#endif
}

int main(void)
{
    pkey_wiping_allocator_install();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_types),
        cmocka_unit_test(keys_come_back_from_pem),
        cmocka_unit_test(encodings_are_those_of_openssl),
        cmocka_unit_test(other_forms_are_read),
        cmocka_unit_test(what_is_no_key_of_ours_is_refused),
        cmocka_unit_test(signatures_for_jws_have_fixed_width),
        cmocka_unit_test(jwks_have_fixed_width),
        cmocka_unit_test(freed_memory_is_wiped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
