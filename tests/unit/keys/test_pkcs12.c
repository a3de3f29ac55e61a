/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "digest/certs.h"
#include "keys/pkcs12.h"

#include <openssl/pkcs12.h>
#include <string.h>

static struct cert_chain *make_chain(const struct pkey *leaf_key)
{
    CLEANUP_BUF struct buf pem;
    EVP_PKEY *key = cert_key("P-256");
    X509 *ca =
        cert_make(&(struct cert_spec){.subject = "CA", .issuer = "CA", .key = key, .ca = true});
    X509 *leaf = cert_make(&(struct cert_spec){.subject = "x",
                                               .issuer = "CA",
                                               .key = pkey_evp(leaf_key),
                                               .signer = key,
                                               .signer_cert = ca});
    buf_init(&pem, 65536);
    cert_put_pem(&pem, leaf);
    cert_put_pem(&pem, ca);
    X509_free(ca);
    X509_free(leaf);
    EVP_PKEY_free(key);
    return cert_chain_read(buf_str(&pem), pem.len, NULL, NULL);
}

static void assert_opens(const struct buf *file, const char *password, const struct pkey *k)
{
    const uint8_t *p = (const uint8_t *)file->data;
    PKCS12 *p12 = d2i_PKCS12(NULL, &p, (long)file->len);
    EVP_PKEY *key = NULL;
    X509 *leaf = NULL;
    STACK_OF(X509) *rest = NULL;
    assert_non_null(p12);
    assert_int_equal(PKCS12_parse(p12, "wrong", &key, &leaf, &rest), 0);
    assert_int_equal(PKCS12_parse(p12, password, &key, &leaf, &rest), 1);
    assert_int_equal(EVP_PKEY_eq(key, pkey_evp(k)), 1);
    assert_int_equal(sk_X509_num(rest), 1);
    int n;
    assert_memory_equal(X509_alias_get0(leaf, &n), "example.org", 11);
    EVP_PKEY_free(key);
    X509_free(leaf);
    sk_X509_pop_free(rest, X509_free);
    PKCS12_free(p12);
}

static void files_open_with_their_password(void **state)
{
    (void)state;
    CLEANUP_PKEY struct pkey *k = pkey_generate(KEY_ECDSA_P256, NULL);
    struct cert_chain *chain = make_chain(k);
    struct secret *password = secret_new("pass", 4);
    CLEANUP_BUF struct buf out;
    struct err e = ERR_INIT;
    buf_init_secret(&out, 65536);
    struct pkcs12_want w = {.password = password, .name = "example.org"};
    assert_int_equal(pkcs12_put(k, chain, &w, &out, &e), 0);
    assert_opens(&out, "pass", k);
    buf_reset(&out);
    w = (struct pkcs12_want){.allow_empty = true, .name = "example.org"};
    assert_int_equal(pkcs12_put(k, chain, &w, &out, &e), 0);
    assert_opens(&out, "", k);
    struct secret *nul = secret_new("pa\0ss", 5);
    w.password = nul;
    assert_int_equal(pkcs12_put(k, chain, &w, &out, &e), -1);
    assert_int_equal(e.cls, ERR_CONFIG);
    struct buf small;
    buf_init_secret(&small, 100);
    w.password = password;
    assert_int_equal(pkcs12_put(k, chain, &w, &small, &e), -1);
    buf_free(&small);
    secret_free(nul);
    secret_free(password);
    cert_chain_free(chain);
}

static void a_key_that_does_not_match_is_refused(void **state)
{
    (void)state;
    CLEANUP_PKEY struct pkey *k = pkey_generate(KEY_ECDSA_P256, NULL);
    CLEANUP_PKEY struct pkey *other = pkey_generate(KEY_ECDSA_P256, NULL);
    struct cert_chain *chain = make_chain(k);
    CLEANUP_BUF struct buf out;
    struct err e = ERR_INIT;
    const struct pkcs12_want w = {.allow_empty = true};
    buf_init_secret(&out, 65536);
    assert_int_equal(pkcs12_put(other, chain, &w, &out, &e), -1);
    assert_int_equal(e.cls, ERR_LOCAL);
    cert_chain_free(chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_open_with_their_password),
        cmocka_unit_test(a_key_that_does_not_match_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
