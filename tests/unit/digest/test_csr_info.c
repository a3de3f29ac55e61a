/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "digest/base64.h"
#include "digest/csr_info.h"
#include "digest/pem.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

struct spec {
    const char *cn, *san, *constraints, *features; /* as in openssl.cnf; NULL: none */
};

static void add_extension(STACK_OF(X509_EXTENSION) * all, int nid, const char *value)
{
    X509_EXTENSION *e = value ? X509V3_EXT_conf_nid(NULL, NULL, nid, value) : NULL;
    assert_true(!value || e);
    if (e)
        assert_true(sk_X509_EXTENSION_push(all, e) > 0);
}

/* DER of a request as OpenSSL makes it. */
static void make(const struct spec *s, EVP_PKEY *key, struct buf *der)
{
    X509_REQ *req = X509_REQ_new();
    STACK_OF(X509_EXTENSION) *all = sk_X509_EXTENSION_new_null();
    if (s->cn)
        assert_true(X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(req), "CN", MBSTRING_UTF8,
                                               (const uint8_t *)s->cn, -1, -1, 0));
    add_extension(all, NID_subject_alt_name, s->san);
    add_extension(all, NID_basic_constraints, s->constraints);
    add_extension(all, NID_tlsfeature, s->features);
    if (sk_X509_EXTENSION_num(all) > 0)
        assert_true(X509_REQ_add_extensions(req, all));
    assert_true(X509_REQ_set_pubkey(req, key));
    bool pure = EVP_PKEY_is_a(key, "ED25519");
    assert_true(X509_REQ_sign(req, key, pure ? NULL : EVP_sha256()) > 0);
    uint8_t *bytes = NULL;
    int n = i2d_X509_REQ(req, &bytes);
    buf_put(der, bytes, (size_t)n);
    OPENSSL_free(bytes);
    sk_X509_EXTENSION_pop_free(all, X509_EXTENSION_free);
    X509_REQ_free(req);
}

static struct csr_info *read_spec(const struct spec *s, struct err *e)
{
    CLEANUP_BUF struct buf der;
    buf_init(&der, CSR_INFO_MAX);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    make(s, key, &der);
    EVP_PKEY_free(key);
    return csr_info_read(der.data, der.len, e);
}

/* The names, with spaces between. */
static void assert_names(const struct spec *s, const char *names)
{
    struct err e = ERR_INIT;
    CLEANUP_BUF struct buf got;
    buf_init(&got, 2000);
    struct csr_info *c = read_spec(s, &e);
    if (!c)
        fail_msg("%s", e.detail);
    for (size_t i = 0; i < c->n; i++)
        buf_putf(&got, "%s%s", i ? " " : "", c->names[i]);
    assert_string_equal(buf_str(&got), names);
    csr_info_free(c);
}

static void names_are_folded(void **state)
{
    (void)state;
    assert_names(&(struct spec){.san = "DNS:B.example,DNS:*.a.example,IP:192.0.2.1"},
                 "b.example *.a.example 192.0.2.1");
    assert_names(&(struct spec){.san = "IP:2001:DB8:0:0::1,DNS:a.example,DNS:A.EXAMPLE"},
                 "2001:db8::1 a.example");
    assert_names(&(struct spec){.cn = "WWW.example.org"}, "www.example.org");
    assert_names(&(struct spec){.cn = "a.example", .san = "DNS:b.example,DNS:a.example"},
                 "b.example a.example");
    assert_names(&(struct spec){.cn = "a.example", .san = "DNS:b.example"}, "b.example a.example");
    assert_names(&(struct spec){.cn = "Example Ltd", .san = "DNS:b.example"}, "b.example");
    assert_names(&(struct spec){.cn = "server", .san = "DNS:b.example"}, "b.example");
    assert_names(&(struct spec){.cn = "192.0.2.1", .san = "IP:192.0.2.1"}, "192.0.2.1");
}

static void a_lonely_cn_is_told(void **state)
{
    (void)state;
    static const struct {
        struct spec spec;
        bool alone;
    } v[] = {{{.cn = "a.example"}, true},
             {{.cn = "a.example", .san = "DNS:b.example"}, true},
             {{.cn = "A.example", .san = "DNS:b.example,DNS:a.example"}, false},
             {{.san = "DNS:b.example"}, false}};
    for (size_t i = 0; i < ARRAY_LEN(v); i++) {
        struct csr_info *c = read_spec(&v[i].spec, NULL);
        assert_non_null(c);
        assert_int_equal(c->cn_alone, v[i].alone);
        csr_info_free(c);
    }
}

static void wishes_are_told(void **state)
{
    (void)state;
    struct csr_info *c = read_spec(&(struct spec){.san = "DNS:a.example"}, NULL);
    assert_false(c->must_staple || c->wants_ca || c->key_refused);
    csr_info_free(c);
    c = read_spec(&(struct spec){.san = "DNS:a.example", .features = "status_request"}, NULL);
    assert_true(c->must_staple);
    assert_false(c->wants_ca);
    csr_info_free(c);
    c = read_spec(&(struct spec){.san = "DNS:a.example",
                                 .features = "status_request_v2",
                                 .constraints = "critical,CA:TRUE"},
                  NULL);
    assert_false(c->must_staple);
    assert_true(c->wants_ca);
    csr_info_free(c);
    c = read_spec(&(struct spec){.san = "DNS:a.example", .constraints = "CA:FALSE"}, NULL);
    assert_false(c->wants_ca);
    csr_info_free(c);
}

static EVP_PKEY *key_of(const char *type)
{
    if (str_starts(type, "P-"))
        return EVP_EC_gen(type);
    return str_eq(type, "ED25519") ? EVP_PKEY_Q_keygen(NULL, NULL, type)
                                   : EVP_RSA_gen((unsigned)strtoul(type, NULL, 10));
}

static void keys_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *type, *name;
        bool refused;
    } v[] = {{"P-256", "ecdsa-p256", false}, {"P-384", "ecdsa-p384", false},
             {"P-521", "other", true},       {"2048", "rsa-2048", false},
             {"1024", "rsa-1024", true},     {"2560", "rsa-2560", false},
             {"ED25519", "ed25519", true}};
    for (size_t i = 0; i < ARRAY_LEN(v); i++) {
        CLEANUP_BUF struct buf der;
        uint8_t *spki = NULL, sum[SHA256_LEN];
        buf_init(&der, CSR_INFO_MAX);
        EVP_PKEY *key = key_of(v[i].type);
        make(&(struct spec){.san = "DNS:a.example"}, key, &der);
        struct csr_info *c = csr_info_read(der.data, der.len, NULL);
        assert_non_null(c);
        assert_string_equal(c->key_type, v[i].name);
        assert_int_equal(c->key_refused, v[i].refused);
        int n = i2d_PUBKEY(key, &spki);
        sha256(spki, (size_t)n, sum);
        assert_memory_equal(c->spki, sum, SHA256_LEN);
        OPENSSL_free(spki);
        EVP_PKEY_free(key);
        csr_info_free(c);
    }
}

static void any_form_of_file(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf der, text;
    buf_init(&der, CSR_INFO_MAX);
    buf_init(&text, CSR_INFO_MAX);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    make(&(struct spec){.san = "DNS:a.example"}, key, &der);
    EVP_PKEY_free(key);
    CLEANUP_FREE char *base64 = base64url(der.data, der.len);
    static const char *const labels[] = {"CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST", NULL};
    for (size_t i = 0; i < ARRAY_LEN(labels); i++) {
        buf_reset(&text);
        buf_puts(&text, labels[i] ? "Certificate Request:\n    Data: as openssl req -text\n" : "");
        if (labels[i])
            pem_put(&text, labels[i], der.data, der.len);
        else
            buf_put(&text, der.data, der.len);
        buf_puts(&text, "\nand after\n");
        struct csr_info *c = csr_info_read(text.data, text.len, NULL);
        assert_non_null(c);
        assert_int_equal(c->der_n, der.len);
        assert_memory_equal(c->der, der.data, der.len);
        assert_string_equal(c->base64url, base64);
        csr_info_free(c);
    }
}

static void assert_refused(const char *text, size_t n, const char *what)
{
    struct err e = ERR_INIT;
    assert_null(csr_info_read(text, n, &e));
    assert_int_equal(e.cls, ERR_CONFIG);
    if (!strstr(e.detail, what))
        fail_msg("\"%s\" says nothing of \"%s\"", e.detail, what);
}

static void other_files_are_refused_by_name(void **state)
{
    (void)state;
    static const char *const v[][2] = {
        {"", "cannot be decoded"},
        {"garbage", "cannot be decoded"},
        {"-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n", "a private key"},
        {"-----BEGIN EC PRIVATE KEY-----\nMAA=\n-----END EC PRIVATE KEY-----\n", "a private key"},
        {"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", "a certificate"},
        {"-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n",
         "cannot be decoded"},
        {"-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n", "cannot be decoded"},
    };
    for (size_t i = 0; i < ARRAY_LEN(v); i++)
        assert_refused(v[i][0], strlen(v[i][0]), v[i][1]);
    CLEANUP_FREE char *huge = xcalloc(CSR_INFO_MAX + 1, 1);
    assert_refused(huge, CSR_INFO_MAX + 1, "too long");
}

static void names_that_cannot_be_certified(void **state)
{
    (void)state;
    static const struct {
        struct spec spec;
        const char *what;
    } v[] = {
        {{.cn = NULL}, "no names"},
        {{.cn = "Example Ltd"}, "no names"},
        {{.san = "DNS:a.example,email:a@b.example"}, "neither"},
        {{.san = "URI:https://a.example/"}, "neither"},
        {{.san = "DNS:192.0.2.1"}, "IP:"},
        {{.san = "DNS:exa mple"}, "cannot be certified"},
        {{.san = "DNS:a_b.example"}, "cannot be certified"},
        {{.san = "DNS:*.*.example"}, "cannot be certified"},
    };
    for (size_t i = 0; i < ARRAY_LEN(v); i++) {
        CLEANUP_BUF struct buf der;
        buf_init(&der, CSR_INFO_MAX);
        EVP_PKEY *key = EVP_EC_gen("P-256");
        make(&v[i].spec, key, &der);
        EVP_PKEY_free(key);
        assert_refused(der.data, der.len, v[i].what);
    }
}

static void damaged_requests_are_refused(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf der;
    buf_init(&der, CSR_INFO_MAX);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    make(&(struct spec){.cn = "a.example", .san = "DNS:a.example", .features = "status_request"},
         key, &der);
    EVP_PKEY_free(key);
    for (size_t i = 0; i < der.len; i++) {
        der.data[i] = (char)(der.data[i] ^ 1);
        assert_refused(der.data, der.len, "CSR");
        der.data[i] = (char)(der.data[i] ^ 1);
    }
    for (size_t n = 0; n < der.len; n++) {
        char *exact = xmemdup(der.data, n + !n); /* a sanitizer sees reads beyond */
        assert_refused(exact, n, "CSR");
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_folded),
        cmocka_unit_test(a_lonely_cn_is_told),
        cmocka_unit_test(wishes_are_told),
        cmocka_unit_test(keys_are_told),
        cmocka_unit_test(any_form_of_file),
        cmocka_unit_test(other_files_are_refused_by_name),
        cmocka_unit_test(names_that_cannot_be_certified),
        cmocka_unit_test(damaged_requests_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
