/* SPDX-License-Identifier: ISC */
/* CAs: what presets know, what entries share, bindings, limits; keys and requests. */
#include "conf/fixture.h"

#include <string.h>

#define T(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
#define HOUR (INT64_C(3600000))

static void limit(const struct conf_limit *l, uint32_t n, int64_t per_ms)
{
    assert_int_equal(l->n, n);
    assert_int_equal(l->per_ms, per_ms);
}

static void test_presets(void **state)
{
    struct fixture *f = *state;
    const struct conf *c =
        fixture_load(f, "cas:\n  other: {preset: letsencrypt, account: b}\n"
                        "  near: {preset: letsencrypt-staging}\n"
                        "  google: {directory: \"https://localhost/d\"}\n" WITH_PROVIDER
                        "  - a.example.org\n  - {names: [b.example.org], ca: google}\n");
    const struct conf_ca *ca;

    fixture_good(f);
    ca = conf_find_ca(c, "letsencrypt");
    assert_string_equal(ca->preset, "letsencrypt");
    assert_true(ca->no_ocsp);
    assert_int_equal(ca->account_key, CONF_ACCOUNT_ES256);
    limit(&ca->orders_limit, 300, 3 * HOUR);
    limit(&ca->same_names_limit, 5, 7 * 24 * HOUR);
    limit(&ca->domain_limit, 50, 7 * 24 * HOUR);
    limit(&ca->failures_limit, 5, HOUR);
    limit(&ca->requests_limit, 18, 1000);
    ca = conf_find_ca(c, "near");
    assert_string_equal(ca->preset, "letsencrypt-staging");
    limit(&ca->orders_limit, 1500, 3 * HOUR);
    limit(&ca->requests_limit, 18, 1000);
    /* at another address it is another CA: nothing is known of it */
    ca = conf_find_ca(c, "google");
    assert_string_equal(ca->preset, "");
    assert_false(ca->no_ocsp);
    limit(&ca->orders_limit, 0, 0);
    assert_string_equal(ca->eab_kid, "");
    assert_int_equal(ca->eab_hmac_key.kind, CONF_SECRET_NONE);
}

static void test_budgets_are_shared(void **state)
{
    struct fixture *f = *state;
    const struct conf *c = fixture_load(
        f,
        "cas:\n  letsencrypt: {limits: {orders: 3000/3h}}\n  tls: {preset: letsencrypt, profile: "
        "tlsserver, account_key: rsa-2048}\n  apart: {preset: letsencrypt, account: apart}\n"
        "  corp: {directory: \"https://ca.example/d\", limits: {failures: 3/1d}}\n");
    const struct conf_ca *ca = conf_find_ca(c, "tls");

    fixture_good(f);
    limit(&ca->orders_limit, 3000, 3 * HOUR);
    limit(&ca->domain_limit, 50, 7 * 24 * HOUR);
    assert_int_equal(conf_find_ca(c, "letsencrypt")->account_key, CONF_ACCOUNT_RS256_2048);
    limit(&conf_find_ca(c, "apart")->orders_limit, 300, 3 * HOUR);
    assert_int_equal(conf_find_ca(c, "apart")->account_key, CONF_ACCOUNT_ES256);
    limit(&conf_find_ca(c, "corp")->failures_limit, 3, 24 * HOUR);
    limit(&conf_find_ca(c, "corp")->orders_limit, 0, 0);
}

/* Two accounts at one server come by one door. */
static void test_requests_are_of_the_directory(void **state)
{
    struct fixture *f = *state;
    const struct conf *c =
        fixture_load(f, "cas:\n  letsencrypt: {limits: {requests: 100/1s, orders: 9/1h}}\n"
                        "  apart: {preset: letsencrypt, account: apart}\n"
                        "  corp: {directory: \"https://ca.example/d\"}\n");

    fixture_good(f);
    limit(&conf_find_ca(c, "apart")->requests_limit, 100, 1000);
    limit(&conf_find_ca(c, "apart")->orders_limit, 300, 3 * HOUR);
    limit(&conf_find_ca(c, "corp")->requests_limit, 0, 0);
    fixture_load(f, "cas:\n  letsencrypt: {limits: {requests: 100/1s}}\n"
                    "  apart: {preset: letsencrypt, account: apart, limits: {requests: 99/1s}}\n");
    fixture_says(f, false, "renewd.yaml", 3, 3,
                 "limits: apart has the directory of letsencrypt, at ");
}

static void test_bindings(void **state)
{
    struct fixture *f = *state;
    const struct conf *c;
    const struct conf_ca *ca;

    fixture_write(f, "key", "c2VjcmV0-_==\n", 0600);
    c = fixture_load(
        f, "defaults: {email: me@example.org}\ncas:\n"
           "  google: {eab: {kid: G1, hmac_key: {file: key}}}\n  g2: {preset: google, profile: x}\n"
           "  g3: {preset: google, account: z, eab: {kid: G3, hmac_key: YWJj}}\n" WITH_PROVIDER
           "  - {names: [a.example.org], ca: [google, g2, g3, zerossl]}\n");
    fixture_good(f);
    ca = conf_find_ca(c, "g2");
    assert_string_equal(ca->eab_kid, "G1");
    assert_string_equal(secret_bytes(ca->eab_hmac_key.value), "c2VjcmV0-_==");
    assert_string_equal(conf_find_ca(c, "g3")->eab_kid, "G3");
    assert_false(ca->eab_by_email);
    ca = conf_find_ca(c, "zerossl");
    assert_true(ca->eab_by_email);
    assert_string_equal(ca->email, "me@example.org");
    c = fixture_load(
        f, "cas: {zerossl: {email: a@b.c}, z: {preset: zerossl, account: q, eab: {kid: "
           "a, hmac_key: b}}}\n" WITH_PROVIDER "  - {names: [a.example.org], ca: [z, zerossl]}\n");
    fixture_good(f);
    assert_true(conf_find_ca(c, "zerossl")->eab_by_email);
    assert_false(conf_find_ca(c, "z")->eab_by_email);
}

/* A file that may be bad takes nothing of the others with it. */
static void test_missing_binding_in_kept_file(void **state)
{
    struct fixture *f = *state;

    fixture_write(f, "a.part", "certificates: [{names: [a.example.org], ca: sectigo}]\n", 0600);
    fixture_load(f, "include: {files: \"*.part\", on_error: keep}\n" WITH_PROVIDER
                    "  - b.example.org\n");
    fixture_good(f);
    assert_int_equal(f->conf->n_certs, 1);
    fixture_says(f, true, "a.part", 1, 45, "ca: sectigo wants its accounts bound");
}

static void test_conflict_with_kept_file(void **state)
{
    static const char main_file[] = "include: {files: \"*.part\", on_error: keep}\n"
                                    "cas: {letsencrypt: {limits: {orders: 8/1h}, account_key: "
                                    "rsa-2048}}\n";
    struct fixture *f = *state;

    fixture_write(f, "a.part",
                  "cas: {x: {preset: letsencrypt, limits: {orders: 9/1h}, account_key: "
                  "rsa-4096}}\n",
                  0600);
    fixture_load(f, main_file);
    fixture_good(f);
    fixture_says(f, true, "a.part", 1, 7, "limits: x has the account of letsencrypt");
    fixture_says(f, true, "a.part", 1, 7, "another kind of key: write it once (this one is left");
    limit(&conf_find_ca(f->conf, "x")->orders_limit, 8, HOUR);
    assert_int_equal(conf_find_ca(f->conf, "x")->account_key, CONF_ACCOUNT_RS256_2048);
}

static void test_several_keys(void **state)
{
    struct fixture *f = *state;
    const struct conf *c = fixture_load(
        f, "deployments: {web: [{file: \"/x/%n.pem\"}]}\n" WITH_PROVIDER
           "  - {names: [a.example.org], key: [ecdsa-p256, rsa-2048, rsa-4096], deploy: [web]}\n"
           "  - {names: [b.example.org], key: [rsa-3072]}\n");
    const struct conf_cert *k;

    fixture_good(f);
    assert_int_equal(c->n_certs, 4);
    k = conf_find_cert(c, "a.example.org");
    assert_string_equal(k->base, "a.example.org");
    assert_string_equal(k->variant, "");
    assert_int_equal(k->key, CONF_KEY_ECDSA_P256);
    k = conf_next_variant(c, k);
    assert_ptr_equal(k, conf_find_cert(c, "a.example.org+rsa-2048"));
    assert_string_equal(k->base, "a.example.org");
    assert_string_equal(k->variant, "rsa-2048");
    assert_int_equal(k->key, CONF_KEY_RSA_2048);
    assert_ptr_equal(k->deployments, c->certs[0].deployments);
    k = conf_next_variant(c, k);
    assert_string_equal(k->name, "a.example.org+rsa-4096");
    assert_null(conf_next_variant(c, k));
    k = conf_find_cert(c, "b.example.org");
    assert_int_equal(k->key, CONF_KEY_RSA_3072);
    assert_null(conf_next_variant(c, k));
}

static void test_request(void **state)
{
    struct fixture *f = *state;
    const struct conf *c;

    fixture_write(f, "a.csr", FIXTURE_CSR, 0644);
    c = fixture_load(f, "defaults: {key: [rsa-2048, ecdsa-p256], reuse_key: true}\n" WITH_PROVIDER
                        "  - {names: [a.example.org], csr: a.csr, deploy: [{file: /x.pem}]}\n"
                        "  - {names: [b.example.org]}\n");
    fixture_good(f);
    assert_int_equal(c->n_certs, 3);
    assert_string_equal(c->certs[0].csr + strlen(f->dir), "/a.csr");
    assert_string_equal(c->certs[0].csr_pem, FIXTURE_CSR);
    assert_string_equal(c->certs[1].csr, "");
    assert_string_equal(c->certs[1].csr_pem, "");
}

static void test_pkcs12(void **state)
{
    struct fixture *f = *state;
    const struct conf *c;
    const struct conf_step *s;

    fixture_write(f, "pw", "swordfish\n", 0600);
    c = fixture_load(
        f, "defaults: {deploy: [{file: /d.p12, content: [pkcs12-legacy], password: {file: pw}}]}\n"
           "deployments: {win: [{file: /a.pfx, content: [pkcs12], password: {file: pw}},\n"
           "  {file: /k.der, content: [privkey-der]}, {file: /c.der, content: "
           "[cert-der]}]}\n" WITH_PROVIDER
           "  - {names: [a.example.org], deploy: [win]}\n  - b.example.org\n"
           "  - {names: [c.example.org], deploy: [win]}\n"
           "  - {names: [d.example.org], must_staple: true, ca: corp}\n"
           "cas: {corp: {directory: \"https://ca.example/d\"}}\n");
    fixture_good(f);
    s = c->certs[0].deployments[0].steps;
    assert_int_equal(s[0].content[0], CONF_PKCS12);
    assert_int_equal(s[0].mode, 0600);
    assert_string_equal(secret_bytes(s[0].password.value), "swordfish");
    assert_int_equal(s[1].mode, 0600);
    assert_int_equal(s[2].mode, 0644);
    assert_int_equal(c->certs[1].deployments[0].steps[0].content[0], CONF_PKCS12_LEGACY);
    assert_true(c->certs[3].must_staple);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_presets),
        T(test_budgets_are_shared),
        T(test_requests_are_of_the_directory),
        T(test_bindings),
        T(test_missing_binding_in_kept_file),
        T(test_conflict_with_kept_file),
        T(test_several_keys),
        T(test_request),
        T(test_pkcs12),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
