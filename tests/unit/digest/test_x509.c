/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "digest/certs.h"
#include "digest/pem.h"
#include "digest/x509.h"

#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A root, an intermediate and keys, made once. */
struct pki {
    EVP_PKEY *root_key, *int_key, *leaf_key, *other_key;
    X509 *root, *intermediate, *leaf;
    struct buf leaf_pem, int_pem, root_pem;
};

static const char sans[] = "DNS:Example.ORG,DNS:*.example.org,IP:192.0.2.1,IP:2001:db8::1";

static int make_pki(void **state)
{
    struct pki *p = xnew(struct pki);
    p->root_key = cert_key("P-384");
    p->int_key = cert_key("P-256");
    p->leaf_key = cert_key("P-256");
    p->other_key = cert_key("P-256");
    p->root = cert_make(&(struct cert_spec){
        .subject = "Root X", .issuer = "Root X", .key = p->root_key, .ca = true, .serial = "00"});
    p->intermediate = cert_make(&(struct cert_spec){.subject = "Int Y",
                                                    .issuer = "Root X",
                                                    .key = p->int_key,
                                                    .signer = p->root_key,
                                                    .signer_cert = p->root,
                                                    .ca = true,
                                                    .serial = "7F"});
    p->leaf = cert_make(&(struct cert_spec){.subject = "Example.org",
                                            .issuer = "Int Y",
                                            .key = p->leaf_key,
                                            .signer = p->int_key,
                                            .signer_cert = p->intermediate,
                                            .san = sans,
                                            .serial = "87654321"});
    buf_init(&p->leaf_pem, 8192);
    buf_init(&p->int_pem, 8192);
    buf_init(&p->root_pem, 8192);
    cert_put_pem(&p->leaf_pem, p->leaf);
    cert_put_pem(&p->int_pem, p->intermediate);
    cert_put_pem(&p->root_pem, p->root);
    *state = p;
    return 0;
}

static int free_pki(void **state)
{
    struct pki *p = *state;
    EVP_PKEY_free(p->root_key);
    EVP_PKEY_free(p->int_key);
    EVP_PKEY_free(p->leaf_key);
    EVP_PKEY_free(p->other_key);
    X509_free(p->root);
    X509_free(p->intermediate);
    X509_free(p->leaf);
    buf_free(&p->leaf_pem);
    buf_free(&p->int_pem);
    buf_free(&p->root_pem);
    free(p);
    return 0;
}

static struct cert_chain *read_text(const char *text, struct cert_cache *cache)
{
    struct err e = ERR_INIT;
    struct cert_chain *c = cert_chain_read(text, strlen(text), cache, &e);
    if (!c)
        assert_int_equal(e.cls, ERR_PEER);
    return c;
}

/* The chain of these, or NULL when it is refused. */
static struct cert_chain *read_certs(const X509 *a, const X509 *b, const X509 *c,
                                     struct cert_cache *cache)
{
    CLEANUP_BUF struct buf text;
    buf_init(&text, 65536);
    cert_put_pem(&text, a);
    if (b)
        cert_put_pem(&text, b);
    if (c)
        cert_put_pem(&text, c);
    return read_text(buf_str(&text), cache);
}

static void fields_agree_with_openssl(void **state)
{
    struct pki *p = *state;
    struct cert_chain *chain = read_certs(p->leaf, p->intermediate, p->root, NULL);
    assert_non_null(chain);
    assert_int_equal(chain->n, 3);
    const struct cert_info *c = chain->certs[0];
    char text[32];
    assert_string_equal(str_from_time(c->not_before_ms, text, sizeof(text)),
                        "2026-01-01T00:00:00Z");
    assert_string_equal(str_from_time(c->not_after_ms, text, sizeof(text)), "2026-12-31T23:59:59Z");
    assert_string_equal(c->serial, "87654321");
    assert_string_equal(c->subject_cn, "Example.org");
    assert_string_equal(c->issuer_cn, "Int Y");
    assert_string_equal(c->key_type, "ecdsa-p256");
    assert_false(c->is_ca);
    assert_int_equal(c->dns_n, 2);
    assert_string_equal(c->dns[0], "example.org");
    assert_string_equal(c->dns[1], "*.example.org");
    assert_int_equal(c->ips_n, 2);
    assert_string_equal(c->ips[0], "192.0.2.1");
    assert_string_equal(c->ips[1], "2001:db8::1");
    assert_false(c->must_staple);
    assert_string_equal(c->aki, chain->certs[1]->ski);
    assert_string_equal(chain->certs[1]->aki, chain->certs[2]->ski);
    assert_string_equal(chain->certs[2]->aki, "");
    const ASN1_OCTET_STRING *id = X509_get0_subject_key_id(p->leaf);
    char ski[64];
    hex_encode(ASN1_STRING_get0_data(id), (size_t)ASN1_STRING_length(id), ski);
    assert_string_equal(c->ski, ski);
    uint8_t digest[SHA256_LEN];
    unsigned n;
    char hex[SHA256_HEX];
    X509_digest(p->leaf, EVP_sha256(), digest, &n);
    hex_encode(digest, n, hex);
    assert_string_equal(c->fingerprint, hex);
    uint8_t *spki = NULL;
    int spki_n = i2d_PUBKEY(p->leaf_key, &spki);
    sha256(spki, (size_t)spki_n, digest);
    OPENSSL_free(spki);
    assert_memory_equal(c->spki, digest, SHA256_LEN);
    assert_true(chain->certs[1]->is_ca);
    assert_string_equal(chain->certs[2]->key_type, "ecdsa-p384");
    assert_string_equal(chain->certs[2]->serial, "00");
    assert_string_equal(chain->certs[2]->cert_id, "");
    assert_string_equal(chain->certs[2]->aki, "");
    cert_chain_free(chain);
}

static void cert_id_of_rfc_9773(void **state)
{
    (void)state;
    static const uint8_t aki[] = {0x69, 0x88, 0x5b, 0x6b, 0x87, 0x46, 0x40, 0x41, 0xe1, 0xb3,
                                  0x7b, 0x84, 0x7b, 0xa0, 0xae, 0x2c, 0xde, 0x01, 0xc8, 0xd4};
    static const uint8_t serial[] = {0x00, 0x87, 0x65, 0x43, 0x21};
    CLEANUP_FREE char *id = ari_cert_id(aki, sizeof(aki), serial, sizeof(serial));
    assert_string_equal(id, "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE");
}

static void cert_id_has_the_serials_sign_octet(void **state)
{
    struct pki *p = *state;
    struct cert_chain *chain = read_certs(p->leaf, p->intermediate, NULL, NULL);
    const ASN1_OCTET_STRING *id = X509_get0_authority_key_id(p->leaf);
    char hex[64];
    hex_encode(ASN1_STRING_get0_data(id), (size_t)ASN1_STRING_length(id), hex);
    assert_string_equal(chain->certs[0]->aki, hex);
    assert_true(str_ends(chain->certs[0]->cert_id, ".AIdlQyE"));
    assert_true(str_ends(chain->certs[1]->cert_id, ".fw")); /* 7f: no octet before */
    cert_chain_free(chain);
}

static void kinds_of_keys(void **state)
{
    struct pki *p = *state;
    static const char *const types[][2] = {
        {"P-384", "ecdsa-p384"}, {"RSA", "rsa-2048"}, {"ED25519", "ed25519"}, {"P-521", "other"}};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        EVP_PKEY *key = cert_key(types[i][0]);
        X509 *x = cert_make(&(struct cert_spec){
            .subject = "x", .issuer = "Int Y", .key = key, .signer = p->int_key});
        struct cert_chain *c = read_certs(x, p->intermediate, NULL, NULL);
        assert_string_equal(c->certs[0]->key_type, types[i][1]);
        assert_int_equal(cert_chain_verify_links(c, NULL), 0);
        cert_chain_free(c);
        X509_free(x);
        EVP_PKEY_free(key);
    }
}

static void any_issuers_key_verifies(void **state)
{
    struct pki *p = *state;
    static const char *const types[] = {"RSA", "P-384", "ED25519"};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        EVP_PKEY *key = cert_key(types[i]);
        X509 *ca =
            cert_make(&(struct cert_spec){.subject = "CA", .issuer = "CA", .key = key, .ca = true});
        X509 *x = cert_make(
            &(struct cert_spec){.subject = "x", .issuer = "CA", .key = p->leaf_key, .signer = key});
        struct cert_chain *c = read_certs(x, ca, NULL, NULL);
        assert_int_equal(cert_chain_verify_links(c, NULL), 0);
        cert_chain_free(c);
        X509_free(x);
        X509_free(ca);
        EVP_PKEY_free(key);
    }
}

static void odd_certificates_are_read(void **state)
{
    struct pki *p = *state;
    X509 *x = cert_make(&(struct cert_spec){.key = p->leaf_key,
                                            .signer = p->int_key,
                                            .issuer = "Int Y",
                                            .san = "email:a@example.org,URI:https://example.org/",
                                            .not_before = "19500101000000Z",
                                            .not_after = "99991231235959Z",
                                            .serial = "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"});
    struct cert_chain *c = read_certs(x, NULL, NULL, NULL);
    assert_non_null(c);
    assert_string_equal(c->certs[0]->subject_cn, "");
    assert_int_equal(c->certs[0]->dns_n, 0);
    assert_int_equal(c->certs[0]->other_names, 2);
    assert_true(c->certs[0]->not_before_ms == INT64_C(-631152000000));
    assert_true(c->certs[0]->not_after_ms == INT64_C(253402300799000));
    assert_string_equal(c->certs[0]->serial, "ffffffffffffffffffffffffffffffffffffffff");
    assert_false(cert_has_names(c->certs[0], NULL, 0));
    cert_chain_free(c);
    X509_free(x);
}

static void good_links_verify(void **state)
{
    struct pki *p = *state;
    struct err e = ERR_INIT;
    struct cert_chain *c = read_certs(p->leaf, p->intermediate, p->root, NULL);
    assert_int_equal(cert_chain_verify_links(c, &e), 0);
    assert_int_equal(cert_chain_verify_links(c, &e), 0);
    cert_chain_free(c);
    c = read_certs(p->leaf, NULL, NULL, NULL);
    assert_int_equal(cert_chain_verify_links(c, &e), 0);
    cert_chain_free(c);
}

static void assert_links_refused(const X509 *a, const X509 *b, const X509 *c,
                                 struct cert_cache *cache)
{
    struct err e = ERR_INIT;
    struct cert_chain *chain = read_certs(a, b, c, cache);
    assert_non_null(chain);
    assert_int_equal(cert_chain_verify_links(chain, &e), -1);
    assert_int_equal(e.cls, ERR_PEER);
    cert_chain_free(chain);
}

static void bad_links_are_refused(void **state)
{
    struct pki *p = *state;
    struct cert_cache *cache = cert_cache_new();
    struct cert_chain *good = read_certs(p->leaf, p->intermediate, p->root, cache);
    assert_int_equal(cert_chain_verify_links(good, NULL), 0);
    cert_chain_free(good);
    /* The wrong order, a missing link. */
    assert_links_refused(p->leaf, p->root, p->intermediate, cache);
    assert_links_refused(p->leaf, p->root, NULL, cache);
    /* The issuer's name with another key. */
    X509 *twin = cert_make(&(struct cert_spec){.subject = "Int Y",
                                               .issuer = "Root X",
                                               .key = p->other_key,
                                               .signer = p->root_key,
                                               .ca = true});
    assert_links_refused(p->leaf, twin, p->root, cache);
    X509 *root_twin = cert_make(&(struct cert_spec){
        .subject = "Root X", .issuer = "Root X", .key = p->other_key, .ca = true});
    assert_links_refused(p->leaf, p->intermediate, root_twin, cache);
    /* Right key, wrong name. */
    X509 *renamed = cert_make(&(struct cert_spec){.subject = "Int Z",
                                                  .issuer = "Root X",
                                                  .key = p->int_key,
                                                  .signer = p->root_key,
                                                  .ca = true});
    assert_links_refused(p->leaf, renamed, NULL, cache);
    X509_free(twin);
    X509_free(root_twin);
    X509_free(renamed);
    cert_cache_free(cache);
}

static void a_changed_signature_is_refused(void **state)
{
    struct pki *p = *state;
    CLEANUP_BUF struct buf text;
    uint8_t *der = NULL;
    int n = i2d_X509(p->leaf, &der);
    der[n - 1] ^= 1;
    buf_init(&text, 8192);
    pem_put(&text, "CERTIFICATE", der, (size_t)n);
    buf_puts(&text, buf_str(&p->int_pem));
    OPENSSL_free(der);
    struct cert_chain *c = read_text(buf_str(&text), NULL);
    assert_non_null(c);
    assert_int_equal(cert_chain_verify_links(c, NULL), -1);
    cert_chain_free(c);
}

static void the_cache_shares_intermediates(void **state)
{
    struct pki *p = *state;
    struct cert_cache *cache = cert_cache_new();
    struct cert_chain *a = read_certs(p->leaf, p->intermediate, p->root, cache);
    struct cert_chain *b = read_certs(p->leaf, p->intermediate, p->root, cache);
    assert_ptr_not_equal(a->certs[0], b->certs[0]);
    assert_ptr_equal(a->certs[1], b->certs[1]);
    assert_ptr_equal(a->certs[2], b->certs[2]);
    assert_int_equal(cert_chain_verify_links(a, NULL), 0);
    assert_int_equal(cert_chain_verify_links(b, NULL), 0);
    cert_cache_free(cache);
    cert_chain_free(a);
    assert_string_equal(b->certs[1]->subject_cn, "Int Y"); /* still there */
    cert_chain_free(b);
    cert_cache_free(NULL);
    cert_chain_free(NULL);
}

static void the_cache_is_bounded(void **state)
{
    struct pki *p = *state;
    struct cert_cache *cache = cert_cache_new();
    struct cert_chain *first = NULL;
    for (int i = 0; i < 300; i++) {
        char cn[16];
        snprintf(cn, sizeof(cn), "CA %d", i);
        X509 *ca = cert_make(
            &(struct cert_spec){.subject = cn, .issuer = cn, .key = p->int_key, .ca = true});
        struct cert_chain *c = read_certs(p->leaf, ca, NULL, cache);
        assert_string_equal(c->certs[1]->subject_cn, cn);
        if (first)
            cert_chain_free(c);
        else
            first = c;
        X509_free(ca);
    }
    assert_string_equal(first->certs[1]->subject_cn, "CA 0");
    cert_chain_free(first);
    cert_cache_free(cache);
}

static void assert_refused(const char *text)
{
    struct cert_chain *c = read_text(text, NULL);
    if (c)
        fail_msg("accepted: %s", text);
}

static void bad_texts_are_refused(void **state)
{
    struct pki *p = *state;
    const char *leaf = buf_str(&p->leaf_pem), *inter = buf_str(&p->int_pem);
    static const char key[] = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
    static const char *const formats[] = {"%s%sx",       "# comment\n%s%s", "%.0s%.0s",
                                          " \n%.0s%.0s", "%s\nx\n%s",       "subject=CN\n%s%s"};
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        char text[16384];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(text, sizeof(text), formats[i], leaf, inter);
#pragma GCC diagnostic pop
        assert_refused(text);
    }
    CLEANUP_FREE char *between = xasprintf("%s%s%s", leaf, key, inter);
    CLEANUP_FREE char *before = xasprintf("%s%s", key, leaf);
    CLEANUP_FREE char *after = xasprintf("%s%s", leaf, key);
    CLEANUP_FREE char *half = xasprintf("%s%.*s", leaf, 100, inter);
    assert_refused(between);
    assert_refused(before);
    assert_refused(after);
    assert_refused(half);
    assert_refused("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n");
    assert_refused("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n");
}

static void the_leaf_comes_first_and_alone(void **state)
{
    struct pki *p = *state;
    assert_null(read_certs(p->intermediate, p->leaf, NULL, NULL));
    assert_null(read_certs(p->intermediate, p->root, NULL, NULL));
    assert_null(read_certs(p->leaf, p->leaf, NULL, NULL));
    struct cert_chain *own = read_certs(p->root, NULL, NULL, NULL); /* self-signed, alone */
    assert_non_null(own);
    cert_chain_free(own);
}

static void sixteen_are_enough(void **state)
{
    struct pki *p = *state;
    CLEANUP_BUF struct buf text;
    buf_init(&text, CERT_PEM_MAX + 10);
    buf_puts(&text, buf_str(&p->leaf_pem));
    for (int i = 1; i < CERT_CHAIN_MAX; i++)
        buf_puts(&text, buf_str(&p->int_pem));
    struct cert_chain *c = read_text(buf_str(&text), NULL);
    assert_non_null(c);
    assert_int_equal(c->n, CERT_CHAIN_MAX);
    cert_chain_free(c);
    buf_puts(&text, buf_str(&p->int_pem));
    assert_refused(buf_str(&text));
    buf_reset(&text);
    buf_puts(&text, buf_str(&p->leaf_pem));
    while (text.len < CERT_PEM_MAX)
        buf_putc(&text, '\n');
    c = read_text(buf_str(&text), NULL);
    assert_non_null(c);
    cert_chain_free(c);
    buf_putc(&text, '\n');
    assert_refused(buf_str(&text));
}

/* Every octet of a certificate changed: never a crash; what is read must be freed whole. */
static void damaged_certificates_do_no_harm(void **state)
{
    struct pki *p = *state;
    uint8_t *der = NULL;
    int n = i2d_X509(p->leaf, &der);
    for (int i = 0; i < n; i++) {
        static const uint8_t flips[] = {0x01, 0x80, 0xff};
        for (size_t f = 0; f < ARRAY_LEN(flips); f++) {
            CLEANUP_BUF struct buf text;
            buf_init(&text, 8192);
            der[i] ^= flips[f];
            pem_put(&text, "CERTIFICATE", der, (size_t)n);
            der[i] ^= flips[f];
            struct cert_chain *c = read_text(buf_str(&text), NULL);
            if (c)
                cert_chain_verify_links(c, NULL);
            cert_chain_free(c);
        }
    }
    for (int i = 1; i < n; i++) {
        CLEANUP_BUF struct buf text;
        buf_init(&text, 8192);
        pem_put(&text, "CERTIFICATE", der, (size_t)i);
        assert_refused(buf_str(&text));
    }
    OPENSSL_free(der);
}

static void trailing_octets_are_refused(void **state)
{
    struct pki *p = *state;
    CLEANUP_BUF struct buf text, der;
    uint8_t *bytes = NULL;
    int n = i2d_X509(p->leaf, &bytes);
    buf_init(&der, 8192);
    buf_init(&text, 8192);
    buf_put(&der, bytes, (size_t)n);
    buf_putc(&der, 0);
    OPENSSL_free(bytes);
    pem_put(&text, "CERTIFICATE", der.data, der.len);
    assert_refused(buf_str(&text));
}

static void bad_names_are_refused(void **state)
{
    struct pki *p = *state;
    X509 *x =
        cert_make(&(struct cert_spec){.issuer = "x", .key = p->leaf_key, .san = "DNS:example.org"});
    uint8_t *der = NULL;
    int n = i2d_X509(x, &der);
    uint8_t *at = memmem(der, (size_t)n, "example.org", 11);
    assert_non_null(at);
    for (int c = 0; c < 256; c++) {
        CLEANUP_BUF struct buf text;
        buf_init(&text, 8192);
        at[3] = (uint8_t)c;
        pem_put(&text, "CERTIFICATE", der, (size_t)n);
        struct cert_chain *chain = read_text(buf_str(&text), NULL);
        assert_true((chain != NULL) == (c > 0x20 && c < 0x7f));
        cert_chain_free(chain);
    }
    OPENSSL_free(der);
    X509_free(x);
}

static void splits_and_normalises(void **state)
{
    struct pki *p = *state;
    CLEANUP_BUF struct buf text, leaf, rest, full;
    buf_init(&text, 65536);
    buf_init(&leaf, 65536);
    buf_init(&rest, 65536);
    buf_init(&full, 65536);
    for (const char *s = buf_str(&p->leaf_pem); *s; s++) {
        if (*s == '\n')
            buf_putc(&text, '\r');
        buf_putc(&text, *s);
    }
    buf_puts(&text, "\n\n\n");
    buf_puts(&text, buf_str(&p->int_pem));
    buf_puts(&text, buf_str(&p->root_pem));
    struct cert_chain *c = read_text(buf_str(&text), NULL);
    assert_non_null(c);
    assert_int_equal(cert_chain_split(c, &leaf, &rest, &full), 0);
    assert_string_equal(buf_str(&leaf), buf_str(&p->leaf_pem));
    CLEANUP_FREE char *others = xasprintf("%s%s", buf_str(&p->int_pem), buf_str(&p->root_pem));
    assert_string_equal(buf_str(&rest), others);
    CLEANUP_FREE char *all = xasprintf("%s%s", buf_str(&p->leaf_pem), others);
    assert_string_equal(buf_str(&full), all);
    struct buf small;
    buf_init(&small, 100);
    assert_int_equal(cert_chain_put_pem(c, 0, 1, &small), -1);
    buf_free(&small);
    cert_chain_free(c);
}

static void fingerprint_of_a_text(void **state)
{
    struct pki *p = *state;
    char hex[SHA256_HEX];
    struct err e = ERR_INIT;
    struct cert_chain *c = read_text(buf_str(&p->leaf_pem), NULL);
    CLEANUP_FREE char *both = xasprintf("%s%s", buf_str(&p->leaf_pem), buf_str(&p->int_pem));
    assert_int_equal(cert_pem_fingerprint(both, strlen(both), hex, &e), 0);
    assert_string_equal(hex, c->certs[0]->fingerprint);
    assert_int_equal(cert_pem_fingerprint("", 0, hex, &e), -1);
    assert_int_equal(cert_pem_fingerprint("x", 1, hex, &e), -1);
    cert_chain_free(c);
}

static void names_are_compared_as_sets(void **state)
{
    struct pki *p = *state;
    X509 *x = cert_make(&(struct cert_spec){
        .issuer = "x", .key = p->leaf_key, .san = "DNS:B.example,DNS:a.example,DNS:a.example"});
    struct cert_chain *c = read_certs(x, NULL, NULL, NULL);
    const char *const same[] = {"a.example", "b.example"};
    const char *const more[] = {"a.example", "b.example", "c.example"};
    const char *const twice[] = {"b.example", "a.example", "b.example"};
    const char *const other[] = {"a.example", "c.example"};
    assert_true(cert_has_names(c->certs[0], same, 2));
    assert_true(cert_has_names(c->certs[0], twice, 3));
    assert_false(cert_has_names(c->certs[0], same, 1));
    assert_false(cert_has_names(c->certs[0], more, 3));
    assert_false(cert_has_names(c->certs[0], other, 2));
    assert_false(cert_has_names(c->certs[0], NULL, 0));
    cert_chain_free(c);
    X509_free(x);
    c = read_certs(p->leaf, NULL, NULL, NULL); /* has IP addresses */
    const char *const dns_only[] = {"example.org", "*.example.org"};
    const char *const all[] = {"2001:db8::1", "example.org", "*.example.org", "192.0.2.1"};
    const char *const wrong[] = {"2001:db8::2", "example.org", "*.example.org", "192.0.2.1"};
    assert_false(cert_has_names(c->certs[0], dns_only, 2));
    assert_true(cert_has_names(c->certs[0], all, 4));
    assert_false(cert_has_names(c->certs[0], all, 3));
    assert_false(cert_has_names(c->certs[0], wrong, 4));
    cert_chain_free(c);
    x = cert_make(&(struct cert_spec){.issuer = "x", .key = p->leaf_key, .san = "DNS:192.0.2.1"});
    c = read_certs(x, NULL, NULL, NULL);
    const char *const address[] = {"192.0.2.1"};
    assert_false(cert_has_names(c->certs[0], address, 1)); /* it is a DNS name there */
    cert_chain_free(c);
    X509_free(x);
}

static void stapling_is_noticed(void **state)
{
    struct pki *p = *state;
    X509 *x =
        cert_make(&(struct cert_spec){.issuer = "x", .key = p->leaf_key, .must_staple = true});
    struct cert_chain *c = read_certs(x, NULL, NULL, NULL);
    assert_true(c->certs[0]->must_staple);
    cert_chain_free(c);
    X509_free(x);
}

/* "aabb" as "AA:BB". */
static char *with_colons(const char *hex)
{
    CLEANUP_BUF struct buf b;
    buf_init(&b, 200);
    for (size_t i = 0; hex[i]; i++) {
        if (i && i % 2 == 0)
            buf_putc(&b, ':');
        buf_putc(&b, hex[i] >= 'a' ? (char)(hex[i] - 32) : hex[i]);
    }
    return buf_steal(&b);
}

static void preferred_chains_without_the_root(void **state)
{
    struct pki *p = *state;
    struct cert_chain *c = read_certs(p->leaf, p->intermediate, NULL, NULL);
    struct cert_chain *root = read_certs(p->root, NULL, NULL, NULL);
    CLEANUP_FREE char *ski = with_colons(root->certs[0]->ski);
    assert_int_equal(cert_chain_match(c, "Root X"), CHAIN_MATCH_TOP);
    assert_int_equal(cert_chain_match(c, "root x"), CHAIN_MATCH_TOP);
    assert_int_equal(cert_chain_match(c, root->certs[0]->ski), CHAIN_MATCH_TOP);
    assert_int_equal(cert_chain_match(c, ski), CHAIN_MATCH_TOP);
    assert_int_equal(cert_chain_match(c, "Int Y"), CHAIN_MATCH_WITHIN);
    assert_int_equal(cert_chain_match(c, c->certs[1]->ski), CHAIN_MATCH_WITHIN);
    assert_int_equal(cert_chain_match(c, c->certs[1]->fingerprint), CHAIN_MATCH_WITHIN);
    /* the root's fingerprint cannot be known, and the leaf is no issuer */
    const char *const none[] = {root->certs[0]->fingerprint,
                                c->certs[0]->fingerprint,
                                c->certs[0]->ski,
                                "Root",
                                "Example.org",
                                "",
                                ":",
                                "ab",
                                "not hexadecimal"};
    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        assert_int_equal(cert_chain_match(c, none[i]), CHAIN_MATCH_NONE);
    CLEANUP_FREE char *top = cert_chain_top(c);
    CLEANUP_FREE char *expect = xasprintf("Root X (key identifier %s)", root->certs[0]->ski);
    assert_string_equal(top, expect);
    cert_chain_free(root);
    cert_chain_free(c);
}

static void preferred_chains_with_the_root_or_crossed(void **state)
{
    struct pki *p = *state;
    struct cert_chain *c = read_certs(p->leaf, p->intermediate, p->root, NULL);
    CLEANUP_FREE char *fingerprint = with_colons(c->certs[2]->fingerprint);
    assert_int_equal(cert_chain_match(c, "Root X"), CHAIN_MATCH_TOP);
    assert_int_equal(cert_chain_match(c, c->certs[2]->ski), CHAIN_MATCH_TOP);
    assert_int_equal(cert_chain_match(c, fingerprint), CHAIN_MATCH_TOP);
    CLEANUP_FREE char *top = cert_chain_top(c);
    assert_true(str_starts(top, "Root X (key identifier "));
    cert_chain_free(c);
    /* A longer chain, whose top is another root: the shorter one is to be taken for "Root X". */
    X509 *old = cert_make(&(struct cert_spec){
        .subject = "Old Z", .issuer = "Old Z", .key = p->other_key, .ca = true});
    X509 *cross = cert_make(&(struct cert_spec){.subject = "Root X",
                                                .issuer = "Old Z",
                                                .key = p->root_key,
                                                .signer = p->other_key,
                                                .signer_cert = old,
                                                .ca = true});
    c = read_certs(p->leaf, p->intermediate, cross, NULL);
    assert_int_equal(cert_chain_match(c, "Root X"), CHAIN_MATCH_WITHIN);
    assert_int_equal(cert_chain_match(c, c->certs[2]->ski), CHAIN_MATCH_WITHIN);
    assert_int_equal(cert_chain_match(c, "Old Z"), CHAIN_MATCH_TOP);
    cert_chain_free(c);
    X509_free(cross);
    X509_free(old);
}

static void der_of_a_text(void **state)
{
    struct pki *p = *state;
    uint8_t *der = NULL;
    struct err e = ERR_INIT;
    CLEANUP_BUF struct buf out;
    buf_init(&out, 65536);
    CLEANUP_FREE char *both = xasprintf("%s%s", buf_str(&p->leaf_pem), buf_str(&p->int_pem));
    assert_int_equal(cert_pem_to_der(both, strlen(both), &out, &e), 0);
    int n = i2d_X509(p->leaf, &der);
    assert_int_equal(out.len, n);
    assert_memory_equal(out.data, der, out.len);
    OPENSSL_free(der);
    assert_int_equal(cert_pem_to_der("x", 1, &out, &e), -1);
    assert_int_equal(e.cls, ERR_PEER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_agree_with_openssl),
        cmocka_unit_test(cert_id_of_rfc_9773),
        cmocka_unit_test(stapling_is_noticed),
        cmocka_unit_test(preferred_chains_without_the_root),
        cmocka_unit_test(preferred_chains_with_the_root_or_crossed),
        cmocka_unit_test(der_of_a_text),
        cmocka_unit_test(cert_id_has_the_serials_sign_octet),
        cmocka_unit_test(kinds_of_keys),
        cmocka_unit_test(any_issuers_key_verifies),
        cmocka_unit_test(odd_certificates_are_read),
        cmocka_unit_test(good_links_verify),
        cmocka_unit_test(bad_links_are_refused),
        cmocka_unit_test(a_changed_signature_is_refused),
        cmocka_unit_test(the_cache_shares_intermediates),
        cmocka_unit_test(the_cache_is_bounded),
        cmocka_unit_test(bad_texts_are_refused),
        cmocka_unit_test(the_leaf_comes_first_and_alone),
        cmocka_unit_test(sixteen_are_enough),
        cmocka_unit_test(damaged_certificates_do_no_harm),
        cmocka_unit_test(trailing_octets_are_refused),
        cmocka_unit_test(bad_names_are_refused),
        cmocka_unit_test(splits_and_normalises),
        cmocka_unit_test(fingerprint_of_a_text),
        cmocka_unit_test(names_are_compared_as_sets),
    };
    return cmocka_run_group_tests(tests, make_pki, free_pki);
}
