/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "digest/alpn_cert.h"
#include "digest/hash.h"
#include "digest/x509.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

#define NOW INT64_C(1763900000000)
#define AUTHORIZATION "token.thumbprint"

static const X509_EXTENSION *find(const X509 *x, const char *oid)
{
    ASN1_OBJECT *o = OBJ_txt2obj(oid, 1);
    int at = X509_get_ext_by_OBJ(x, o, -1);
    assert_int_equal(X509_get_ext_by_OBJ(x, o, at), -1);
    ASN1_OBJECT_free(o);
    return at < 0 ? NULL : X509_get_ext(x, at);
}

/* RFC 8737 section 3: what a CA looks at. */
static void assert_challenge(const struct alpn_cert *c)
{
    uint8_t expect[2 + SHA256_LEN] = {0x04, 0x20};
    const X509 *x = alpn_cert_x509(c);
    const X509_EXTENSION *e = find(x, "1.3.6.1.5.5.7.1.31");
    assert_non_null(e);
    assert_int_equal(X509_EXTENSION_get_critical(e), 1);
    const ASN1_OCTET_STRING *value = X509_EXTENSION_get_data((X509_EXTENSION *)e);
    sha256(AUTHORIZATION, strlen(AUTHORIZATION), expect + 2);
    assert_int_equal(ASN1_STRING_length(value), sizeof(expect));
    assert_memory_equal(ASN1_STRING_get0_data(value), expect, sizeof(expect));
    assert_int_equal(X509_get_version(x), X509_VERSION_3);
    assert_int_equal(X509_NAME_cmp(X509_get_subject_name(x), X509_get_issuer_name(x)), 0);
    assert_int_equal(X509_verify((X509 *)x, alpn_cert_key(c)), 1);
    assert_int_equal(X509_check_private_key(x, alpn_cert_key(c)), 1);
    assert_int_equal(X509_check_purpose((X509 *)x, -1, 0), 1);
}

static struct cert_chain *read_back(const struct alpn_cert *c)
{
    char *text;
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_X509(bio, alpn_cert_x509(c)), 1);
    long n = BIO_get_mem_data(bio, &text);
    struct cert_chain *chain = cert_chain_read(text, (size_t)n, NULL, NULL);
    BIO_free(bio);
    assert_non_null(chain);
    return chain;
}

static void certificates_of_names_and_addresses(void **state)
{
    (void)state;
    static const char *const v[][2] = {{"www.Example.org", "www.example.org"},
                                       {"xn--bcher-kva.example", "xn--bcher-kva.example"},
                                       {"192.0.2.1", "192.0.2.1"},
                                       {"2001:DB8:0::1", "2001:db8::1"}};
    for (size_t i = 0; i < ARRAY_LEN(v); i++) {
        struct err e = ERR_INIT;
        struct alpn_cert *c = alpn_cert_new(v[i][0], AUTHORIZATION, NOW, &e);
        assert_non_null(c);
        assert_challenge(c);
        struct cert_chain *chain = read_back(c);
        const struct cert_info *info = chain->certs[0];
        assert_true(cert_has_names(info, &v[i][1], 1));
        assert_int_equal(info->dns_n, i < 2);
        assert_int_equal(info->ips_n, i >= 2);
        assert_string_equal(info->key_type, "ecdsa-p256");
        assert_true(info->not_before_ms < NOW - 3600 * 1000);
        assert_true(info->not_after_ms > NOW + INT64_C(86400) * 1000);
        cert_chain_free(chain);
        alpn_cert_free(c);
    }
}

static void each_has_a_key_of_its_own(void **state)
{
    (void)state;
    struct alpn_cert *a = alpn_cert_new("example.org", AUTHORIZATION, NOW, NULL);
    struct alpn_cert *b = alpn_cert_new("example.org", AUTHORIZATION, NOW, NULL);
    assert_int_not_equal(EVP_PKEY_eq(alpn_cert_key(a), alpn_cert_key(b)), 1);
    assert_int_not_equal(ASN1_INTEGER_cmp(X509_get0_serialNumber(alpn_cert_x509(a)),
                                          X509_get0_serialNumber(alpn_cert_x509(b))),
                         0);
    alpn_cert_free(a);
    alpn_cert_free(b);
    alpn_cert_free(NULL);
}

static void other_identifiers_are_refused(void **state)
{
    (void)state;
    static const char *const v[] = {
        "", "*.example.org", "exa mple", "b\xc3\xbc.example", "[2001:db8::1]", "a..b"};
    for (size_t i = 0; i < ARRAY_LEN(v); i++) {
        struct err e = ERR_INIT;
        char name[NAME_MAX_TEXT];
        assert_null(alpn_cert_new(v[i], AUTHORIZATION, NOW, &e));
        assert_int_equal(e.cls, ERR_BUG);
        assert_false(alpn_server_name(v[i], name));
    }
}

static void server_names(void **state)
{
    (void)state;
    char name[NAME_MAX_TEXT];
    assert_true(alpn_server_name("WWW.example.org", name));
    assert_string_equal(name, "www.example.org");
    assert_true(alpn_server_name("192.0.2.1", name));
    assert_string_equal(name, "1.2.0.192.in-addr.arpa");
    assert_true(alpn_server_name("2001:db8::1", name));
    assert_string_equal(name,
                        "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(certificates_of_names_and_addresses),
        cmocka_unit_test(each_has_a_key_of_its_own),
        cmocka_unit_test(other_identifiers_are_refused),
        cmocka_unit_test(server_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
