/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "command.h"
#include "digest/certs.h"
#include "keys/pkcs12.h"

#include <openssl/pkcs12.h>
#include <string.h>
#include <unistd.h>

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

static void passwords_that_will_not_do(void **state)
{
    (void)state;
    static char long_one[PKCS12_PASSWORD_MAX + 2];
    memset(long_one, 'x', sizeof(long_one) - 1);
    static const struct {
        const char *text, *says;
        bool allow_empty;
    } v[] = {{NULL, "password:", false},
             {"", "password:", false},
             {long_one, "shorter", true},
             {"line\n", "one line", true},
             {"\xff", "UTF-8", true}};
    CLEANUP_PKEY struct pkey *k = pkey_generate(KEY_ECDSA_P256, NULL);
    struct cert_chain *chain = make_chain(k);
    for (size_t i = 0; i < ARRAY_LEN(v); i++) {
        struct err e = ERR_INIT;
        CLEANUP_BUF struct buf out;
        struct secret *s = v[i].text ? secret_new(v[i].text, strlen(v[i].text)) : NULL;
        const struct pkcs12_want w = {.password = s, .allow_empty = v[i].allow_empty};
        buf_init_secret(&out, PKCS12_MAX);
        assert_int_equal(pkcs12_put(k, chain, &w, &out, &e), -1);
        assert_int_equal(e.cls, ERR_CONFIG);
        if (!strstr(e.detail, v[i].says))
            fail_msg("\"%s\" says nothing of \"%s\"", e.detail, v[i].says);
        assert_int_equal(out.len, 0);
        secret_free(s);
    }
    cert_chain_free(chain);
}

/* What other programs make of a file of each form. */
struct reader {
    enum pkcs12_form form;
    const char *password;
    const char *shows[4]; /* by openssl pkcs12 -info */
};
static const struct reader readers[] = {
    {PKCS12_MODERN,
     "pass w\xc3\xb6rd",
     {"MAC: sha256, Iteration 10000",
      "PBES2, PBKDF2, AES-256-CBC, Iteration 10000, PRF hmacWithSHA256",
      "friendlyName: www.example.org", "subject=CN = CA"}},
    {PKCS12_LEGACY,
     "password",
     {"MAC: sha1, Iteration 2048", "pbeWithSHA1And3-KeyTripleDES-CBC, Iteration 2048",
      "friendlyName: www.example.org", "subject=CN = CA"}},
};

static char *make_file(const struct reader *r, enum key_type type)
{
    CLEANUP_PKEY struct pkey *k = pkey_generate(type, NULL);
    struct cert_chain *chain = make_chain(k);
    struct secret *password = secret_new(r->password, strlen(r->password));
    const struct pkcs12_want w = {.form = r->form, .password = password, .name = "www.example.org"};
    CLEANUP_BUF struct buf out;
    buf_init_secret(&out, PKCS12_MAX);
    assert_int_equal(pkcs12_put(k, chain, &w, &out, NULL), 0);
    secret_free(password);
    cert_chain_free(chain);
    return command_file(out.data, out.len);
}

/* Spaces around "=" differ between versions of openssl. */
static bool shows(const char *text, const char *what)
{
    for (; *text; text++) {
        const char *a = text, *b = what;
        while (*b) {
            while (*a == ' ')
                a++;
            while (*b == ' ')
                b++;
            if (*a != *b)
                break;
            a++;
            b++;
        }
        if (!*b)
            return true;
    }
    return false;
}

static void openssl_opens_each_form(void **state)
{
    (void)state;
    static const enum key_type types[] = {KEY_ECDSA_P384, KEY_RSA_2048};
    for (size_t i = 0; i < ARRAY_LEN(readers) * ARRAY_LEN(types); i++) {
        const struct reader *r = &readers[i % ARRAY_LEN(readers)];
        CLEANUP_BUF struct buf out;
        buf_init(&out, 1u << 20);
        CLEANUP_FREE char *path = make_file(r, types[i / ARRAY_LEN(readers)]);
        CLEANUP_FREE char *pass = xasprintf("pass:%s", r->password);
        const char *const argv[] = {"openssl", "pkcs12",  "-in", path, "-info",
                                    "-nodes",  "-passin", pass,  NULL};
        int status = command_run(argv, &out);
        unlink(path);
        if (status == 127)
            skip();
        if (status != 0)
            fail_msg("openssl: %s", buf_str(&out));
        assert_non_null(strstr(buf_str(&out), "-----BEGIN PRIVATE KEY-----"));
        for (size_t j = 0; j < ARRAY_LEN(r->shows); j++) {
            if (!shows(buf_str(&out), r->shows[j]))
                fail_msg("no \"%s\" in: %s", r->shows[j], buf_str(&out));
        }
    }
}

static void java_opens_each_form(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
        struct reader r = readers[i];
        CLEANUP_BUF struct buf out;
        buf_init(&out, 1u << 20);
        r.password = "changeit";
        CLEANUP_FREE char *path = make_file(&r, KEY_ECDSA_P256);
        const char *const argv[] = {"keytool",    "-list",    "-v",         "-keystore", path,
                                    "-storepass", r.password, "-storetype", "PKCS12",    NULL};
        int status = command_run(argv, &out);
        unlink(path);
        if (status == 127)
            skip();
        if (status != 0)
            fail_msg("keytool: %s", buf_str(&out));
        assert_non_null(strstr(buf_str(&out), "www.example.org"));
        assert_non_null(strstr(buf_str(&out), "PrivateKeyEntry"));
        assert_non_null(strstr(buf_str(&out), "Certificate chain length: 2"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_open_with_their_password),
        cmocka_unit_test(a_key_that_does_not_match_is_refused),
        cmocka_unit_test(passwords_that_will_not_do),
        cmocka_unit_test(openssl_opens_each_form),
        cmocka_unit_test(java_opens_each_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
