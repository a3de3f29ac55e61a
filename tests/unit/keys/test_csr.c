/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "command.h"
#include "digest/pem.h"
#include "keys/csr.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void assert_csr(struct pkey *k, const char *const *names, size_t n)
{
    CLEANUP_BUF struct buf der;
    struct err e = ERR_INIT;
    buf_init(&der, 1 << 20);
    assert_int_equal(csr_put(k, names, n, &der, &e), 0);
    const uint8_t *p = (const uint8_t *)der.data;
    X509_REQ *req = d2i_X509_REQ(NULL, &p, (long)der.len);
    assert_non_null(req);
    assert_ptr_equal(p, der.data + der.len);
    assert_int_equal(X509_REQ_verify(req, pkey_evp(k)), 1);
    assert_int_equal(X509_REQ_get_version(req), 0);
    assert_int_equal(X509_NAME_entry_count(X509_REQ_get_subject_name(req)), 0);
    assert_int_equal(EVP_PKEY_eq(X509_REQ_get0_pubkey(req), pkey_evp(k)), 1);
    STACK_OF(X509_EXTENSION) *extensions = X509_REQ_get_extensions(req);
    assert_int_equal(sk_X509_EXTENSION_num(extensions), 1);
    GENERAL_NAMES *sans = X509V3_get_d2i(extensions, NID_subject_alt_name, NULL, NULL);
    assert_int_equal(sk_GENERAL_NAME_num(sans), n);
    for (size_t i = 0; i < n; i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(sans, (int)i);
        assert_int_equal(g->type, GEN_DNS);
        assert_string_equal((const char *)ASN1_STRING_get0_data(g->d.dNSName), names[i]);
    }
    /* As OpenSSL writes it, octet for octet. */
    uint8_t *again = NULL;
    int again_n = i2d_X509_REQ(req, &again);
    assert_int_equal(again_n, der.len);
    assert_memory_equal(again, der.data, der.len);
    OPENSSL_free(again);
    GENERAL_NAMES_free(sans);
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    X509_REQ_free(req);
}

static void every_type_of_key_signs(void **state)
{
    (void)state;
    static const char *const names[] = {"example.org", "*.example.org", "www.example.net"};
    static const enum key_type types[] = {KEY_ECDSA_P256, KEY_ECDSA_P384, KEY_RSA_2048};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        CLEANUP_PKEY struct pkey *k = pkey_generate(types[i], NULL);
        assert_csr(k, names, ARRAY_LEN(names));
    }
}

/* Lengths of one, two and three octets, and each border between them. */
static void any_number_and_length_of_names(void **state)
{
    (void)state;
    CLEANUP_PKEY struct pkey *k = pkey_generate(KEY_ECDSA_P256, NULL);
    static char store[CSR_NAMES_MAX][254];
    const char *names[CSR_NAMES_MAX];
    for (size_t len = 1; len <= 253; len++) {
        memset(store[0], 'a', len);
        store[0][len] = '\0';
        names[0] = store[0];
        assert_csr(k, names, 1);
    }
    for (size_t i = 0; i < CSR_NAMES_MAX; i++) {
        snprintf(store[i], sizeof(store[i]), "%0*zu", (int)(100 + i % 150), i);
        names[i] = store[i];
    }
    static const size_t counts[] = {2, 100, 400, 700, CSR_NAMES_MAX};
    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        assert_csr(k, names, counts[i]);
    struct err e = ERR_INIT;
    CLEANUP_BUF struct buf out;
    buf_init(&out, 100);
    assert_int_equal(csr_put(k, names, 0, &out, &e), -1);
    assert_int_equal(csr_put(k, names, CSR_NAMES_MAX + 1, &out, &e), -1);
    assert_int_equal(csr_put(k, names, 2, &out, &e), -1);
    assert_int_equal(e.cls, ERR_LOCAL);
}

static int read_csr(const struct buf *text, char ***names, size_t *n, struct err *e)
{
    CLEANUP_BUF struct buf der;
    uint8_t spki[SHA256_LEN];
    buf_init(&der, 65536);
    return csr_read(buf_str(text), text->len, &der, names, n, spki, e);
}

static void users_requests_are_read(void **state)
{
    (void)state;
    static const char *const names[] = {"example.org", "*.example.org"};
    CLEANUP_PKEY struct pkey *k = pkey_generate(KEY_ECDSA_P384, NULL);
    CLEANUP_BUF struct buf der, pem;
    buf_init(&der, 65536);
    buf_init(&pem, 65536);
    assert_int_equal(csr_put(k, names, 2, &der, NULL), 0);
    pem_put(&pem, "CERTIFICATE REQUEST", der.data, der.len);
    const struct buf *forms[] = {&der, &pem};
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        CLEANUP_BUF struct buf back;
        uint8_t spki[SHA256_LEN];
        char **got;
        size_t n;
        buf_init(&back, 65536);
        assert_int_equal(csr_read(forms[i]->data, forms[i]->len, &back, &got, &n, spki, NULL), 0);
        assert_int_equal(back.len, der.len);
        assert_memory_equal(back.data, der.data, der.len);
        assert_memory_equal(spki, pkey_spki(k), SHA256_LEN);
        assert_int_equal(n, 2);
        assert_string_equal(got[0], names[0]);
        assert_string_equal(got[1], names[1]);
        free(got[0]);
        free(got[1]);
        free(got);
    }
}

static void bad_requests_are_refused(void **state)
{
    (void)state;
    static const char *const bad_names[] = {"exa mple.org", "example..org", "x\xff"};
    CLEANUP_PKEY struct pkey *k = pkey_generate(KEY_ECDSA_P256, NULL);
    CLEANUP_BUF struct buf der;
    struct err e = ERR_INIT;
    char **names;
    size_t n;
    buf_init(&der, 65536);
    for (size_t i = 0; i < ARRAY_LEN(bad_names); i++) {
        const char *const two[] = {"example.org", bad_names[i]};
        buf_reset(&der);
        assert_int_equal(csr_put(k, two, 2, &der, NULL), 0);
        assert_int_equal(read_csr(&der, &names, &n, &e), -1);
        assert_int_equal(e.cls, ERR_CONFIG);
    }
    const char *const good[] = {"example.org"};
    buf_reset(&der);
    assert_int_equal(csr_put(k, good, 1, &der, NULL), 0);
    for (size_t i = 0; i < der.len; i++) { /* damage: a bad signature or worse */
        der.data[i] = (char)(der.data[i] ^ 1);
        if (read_csr(&der, &names, &n, &e) == 0)
            fail_msg("octet %zu does not matter", i);
        der.data[i] = (char)(der.data[i] ^ 1);
    }
    while (der.len > 0) {
        der.len--;
        assert_int_equal(read_csr(&der, &names, &n, &e), -1);
    }
}

static void assert_info(struct pkey *k, const struct csr_want *w)
{
    CLEANUP_BUF struct buf der;
    struct err e = ERR_INIT;
    buf_init(&der, 65536);
    assert_int_equal(csr_put_want(k, w, &der, &e), 0);
    struct csr_info *c = csr_info_read(der.data, der.len, &e);
    assert_non_null(c);
    assert_int_equal(c->n, w->n);
    for (size_t i = 0; i < w->n; i++)
        assert_string_equal(c->names[i], w->names[i]);
    assert_int_equal(c->must_staple, w->must_staple);
    assert_false(c->wants_ca || c->cn_alone || c->key_refused);
    assert_string_equal(c->key_type, key_type_name(pkey_type(k)));
    assert_memory_equal(c->spki, pkey_spki(k), SHA256_LEN);
    csr_info_free(c);
    const uint8_t *p = (const uint8_t *)der.data; /* as OpenSSL writes it, octet for octet */
    X509_REQ *req = d2i_X509_REQ(NULL, &p, (long)der.len);
    uint8_t *again = NULL;
    assert_int_equal(i2d_X509_REQ(req, &again), der.len);
    assert_memory_equal(again, der.data, der.len);
    OPENSSL_free(again);
    X509_REQ_free(req);
}

static void addresses_and_stapling(void **state)
{
    (void)state;
    static const char *const names[] = {"192.0.2.1", "example.org", "2001:db8::1"};
    static const enum key_type types[] = {KEY_ECDSA_P256, KEY_ECDSA_P384, KEY_RSA_2048};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        CLEANUP_PKEY struct pkey *k = pkey_generate(types[i], NULL);
        assert_info(k, &(struct csr_want){.names = names, .n = 3});
        assert_info(k, &(struct csr_want){.names = names, .n = 3, .must_staple = true});
        assert_info(k, &(struct csr_want){.names = names, .n = 1, .must_staple = true});
    }
}

static void openssl_reads_them(void **state)
{
    (void)state;
    static const char *const names[] = {"example.org", "192.0.2.1", "2001:db8::1"};
    static const char *const shown[] = {
        "DNS:example.org, IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1", "TLS Feature",
        "status_request", "verify OK"};
    CLEANUP_PKEY struct pkey *k = pkey_generate(KEY_ECDSA_P256, NULL);
    CLEANUP_BUF struct buf der, out;
    buf_init(&der, 65536);
    buf_init(&out, 65536);
    const struct csr_want w = {.names = names, .n = 3, .must_staple = true};
    assert_int_equal(csr_put_want(k, &w, &der, NULL), 0);
    CLEANUP_FREE char *path = command_file(der.data, der.len);
    const char *const argv[] = {"openssl", "req",    "-in",     path,    "-inform",
                                "DER",     "-noout", "-verify", "-text", NULL};
    int status = command_run(argv, &out);
    unlink(path);
    if (status == 127)
        skip();
    assert_int_equal(status, 0);
    for (size_t i = 0; i < ARRAY_LEN(shown); i++) {
        if (!strstr(buf_str(&out), shown[i]))
            fail_msg("no \"%s\" in: %s", shown[i], buf_str(&out));
    }
}

static void keys_of_accounts_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"example.org"};
    CLEANUP_PKEY struct pkey *k = pkey_generate(KEY_ED25519, NULL);
    CLEANUP_BUF struct buf der;
    struct err e = ERR_INIT;
    buf_init(&der, 65536);
    assert_int_equal(csr_put(k, names, 1, &der, &e), -1);
    assert_int_equal(e.cls, ERR_CONFIG);
    assert_non_null(strstr(e.detail, "ed25519"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_of_key_signs),
        cmocka_unit_test(any_number_and_length_of_names),
        cmocka_unit_test(users_requests_are_read),
        cmocka_unit_test(bad_requests_are_refused),
        cmocka_unit_test(addresses_and_stapling),
        cmocka_unit_test(openssl_reads_them),
        cmocka_unit_test(keys_of_accounts_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
