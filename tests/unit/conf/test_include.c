/* SPDX-License-Identifier: ISC */
#include "conf/fixture.h"

#include "base/mem.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROVIDER "providers: {p: {plugin: rfc2136, server: 192.0.2.1}}\n"

static int setup(void **state)
{
    struct fixture *f;
    int rc = fixture_setup(state);

    if (rc)
        return rc;
    f = *state;
    CLEANUP_FREE char *dir = xasprintf("%s/conf.d", f->dir);

    return mkdir(dir, 0755);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, fixture_teardown)

static void test_files(void **state)
{
    struct fixture *f = *state;
    struct conf *c;

    fixture_write(f, "conf.d/b.yaml", "certificates: [b.example.org]\n", 0644);
    fixture_write(f, "conf.d/a.yaml", "certificates: [a.example.org]\n", 0644);
    fixture_write(f, "conf.d/none.yml", "bad: 1\n", 0644);
    fixture_write(f, "conf.d/empty.yaml", "", 0644);
    c = fixture_load(f, "include: [conf.d/*.yaml, absent/*.yaml, {files: \"conf.d/a*\"}]\n" PROVIDER
                        "certificates: [z.example.org]\n");
    fixture_good(f);
    assert_int_equal(c->n_certs, 3); /* the main file's first, then sorted; each file once */
    assert_string_equal(c->certs[0].name, "z.example.org");
    assert_string_equal(c->certs[1].name, "a.example.org");
    assert_string_equal(c->certs[2].name, "b.example.org");
    assert_string_equal(c->certs[2].where.file + strlen(f->dir), "/conf.d/b.yaml");
}

static void test_defaults(void **state)
{
    struct fixture *f = *state;
    struct conf *c;

    fixture_write(
        f, "conf.d/a.yaml",
        "defaults: {key: rsa-2048, ca: corp, email: a@example.org}\n"
        "cas: {corp: {directory: \"https://ca.example/d\"}}\ncertificates: [a.example.org]\n",
        0644);
    fixture_write(f, "conf.d/b.yaml", "certificates: [b.example.org]\n", 0644);
    c = fixture_load(f, "include: conf.d/*.yaml\ndefaults: {ari: false, key: rsa-4096, email: "
                        "m@example.org, agree_tos: true}\n" PROVIDER
                        "certificates: [z.example.org]\n");
    fixture_good(f);
    assert_int_equal(conf_find_cert(c, "z.example.org")->key, CONF_KEY_RSA_4096);
    assert_int_equal(conf_find_cert(c, "a.example.org")->key, CONF_KEY_RSA_2048);
    assert_false(conf_find_cert(c, "a.example.org")->ari); /* key by key */
    assert_string_equal(conf_find_cert(c, "a.example.org")->cas.v[0], "corp");
    assert_int_equal(conf_find_cert(c, "b.example.org")->key, CONF_KEY_RSA_4096);
    assert_string_equal(conf_find_cert(c, "b.example.org")->cas.v[0], "letsencrypt");
    assert_string_equal(conf_find_ca(c, "corp")->email, "a@example.org");
    assert_true(conf_find_ca(c, "corp")->agree_tos);
    assert_string_equal(conf_find_ca(c, "letsencrypt")->email, "m@example.org");
}

static void test_across(void **state)
{
    struct fixture *f = *state;
    struct conf *c;

    fixture_write(f, "conf.d/a.yaml", PROVIDER "deployments: {web: [{reload: nginx}]}\n", 0644);
    fixture_write(f, "conf.d/b.yaml",
                  "certificates:\n  - {names: [b.example.org], deploy: [web]}\n", 0644);
    c = fixture_load(f, "include: conf.d/*.yaml\ncertificates:\n"
                        "  - {names: [z.example.org], provider: p, deploy: [web]}\n");
    fixture_good(f);
    assert_string_equal(c->certs[0].deployments[0].name, "web");
    assert_ptr_equal(c->certs[0].deployments[0].steps, c->certs[1].deployments[0].steps);
}

static void test_refused(void **state)
{
    struct fixture *f = *state;

    fixture_write(f, "conf.d/a.yaml", "state_dir: /x\ninclude: b\nnames: [a]\n", 0644);
    fixture_write(f, "conf.d/b.yaml", PROVIDER "certificates: [z.example.org]\n", 0644);
    fixture_load(f, "include: conf.d/*.yaml\n" PROVIDER "certificates: [z.example.org]\n");
    assert_null(f->conf);
    assert_int_equal(fixture_errors(f), 5);
    fixture_says(f, false, "a.yaml", 1, 1, "state_dir: belongs in the main file");
    fixture_says(f, false, "a.yaml", 2, 1, "include: belongs in the main file");
    fixture_says(f, false, "a.yaml", 3, 1, "names: unknown key");
    fixture_says(f, false, "b.yaml", 1, 13, "providers: p is written twice: also at ");
    fixture_says(f, false, "b.yaml", 2, 16, "renewd.yaml:3:16: give one of them another name");
}

static void test_bad_include(void **state)
{
    struct fixture *f = *state;

    fixture_load(f, "include: {file: x}\n");
    fixture_one_error(f, 1, 11, "file: unknown key; did you mean files?");
    fixture_load(f, "include: {files: x, on_error: skip}\n");
    fixture_one_error(f, 1, 31, "on_error: skip: write fail or keep");
    fixture_load(f, "include: [[x]]\n");
    fixture_one_error(f, 1, 11, "include: must be one value");
}

static const char keep[] =
    "include: {files: conf.d/*.yaml, on_error: keep}\n" PROVIDER "certificates: [z.example.org]\n";
static const char good[] = "deployments: {d: [{run: [x]}]}\ncas: {corp: {directory: "
                           "\"https://ca.example/\"}}\ncertificates:\n  - {names: [a.example.org], "
                           "ca: corp, deploy: [d]}\n";

static void test_keep(void **state)
{
    struct fixture *f = *state;
    struct conf *c;

    fixture_write(f, "conf.d/b.yaml", "certificates:\n  - {names: [b.example.org], deploy: [d]}\n",
                  0644);
    fixture_write(f, "conf.d/a.yaml", good, 0644);
    fixture_load(f, keep);
    fixture_good(f);
    fixture_write(f, "conf.d/a.yaml", "certificates: [\n", 0644);
    c = fixture_reload(f, f->conf);
    fixture_good(f);
    assert_int_equal(c->generation, 2);
    assert_int_equal(c->n_certs, 3);
    assert_string_equal(conf_find_cert(c, "a.example.org")->deployments[0].steps[0].argv.v[0], "x");
    assert_string_equal(conf_find_ca(c, "corp")->directory, "https://ca.example/");
    fixture_says(f, true, "a.yaml", 1, 1, "its last good version stays (1 certificate)");
    fixture_write(f, "conf.d/a.yaml", "certificates: [a.example.org, 192.0.2.1]\n", 0644);
    c = fixture_reload(f, f->conf); /* the copy of a copy */
    fixture_good(f);
    assert_string_equal(conf_find_cert(c, "a.example.org")->cas.v[0], "corp");
    fixture_says(f, true, "a.yaml", 1, 31, "is an IP address");
}

static void test_keep_first_time(void **state)
{
    struct fixture *f = *state;
    struct conf *c;

    fixture_write(f, "conf.d/a.yaml",
                  "deployments: {d: [{reload: x}]}\ncertificates: "
                  "[a.example.org, a.example.org]\n",
                  0644);
    fixture_write(f, "conf.d/b.yaml", "providers: {p: {plugin: nope}}\n", 0644);
    fixture_write(f, "conf.d/c.yaml", "certificates: [a.example.org]\n", 0644);
    c = fixture_load(f, keep);
    fixture_good(f);
    assert_int_equal(c->n_certs, 2);
    assert_string_equal(c->certs[1].where.file + strlen(f->dir), "/conf.d/c.yaml");
    assert_int_equal(c->n_providers, 1);
    fixture_says(f, true, "a.yaml", 1, 1, "this file has errors and is left out");
    fixture_says(f, true, "b.yaml", 1, 13, "providers: p is written twice");
}

static void test_keep_lost(void **state)
{
    struct fixture *f = *state;
    struct conf *c;

    fixture_write(f, "conf.d/a.yaml", "certificates:\n  - {names: [a.example.org], provider: p}\n",
                  0644);
    fixture_load(f, keep);
    fixture_good(f);
    fixture_write(f, "conf.d/a.yaml", "x", 0644);
    c = fixture_load_after(f,
                           "include: {files: conf.d/*.yaml, on_error: keep}\nproviders: {q: "
                           "{plugin: rfc2136, server: a}}\n",
                           f->conf);
    fixture_good(f);
    assert_int_equal(c->n_certs, 0);
    fixture_says(f, true, "a.yaml", 1, 1, "cannot stay: what it needs is gone");
}

static void test_keep_secret(void **state)
{
    struct fixture *f = *state;
    struct conf *c;

    fixture_write(f, "conf.d/a.yaml", "providers: {cf: {plugin: cloudflare, api_token: abc}}\n",
                  0600);
    fixture_load(f, "include: {files: conf.d/*.yaml, on_error: keep}\n");
    fixture_good(f);
    fixture_write(f, "conf.d/a.yaml",
                  "providers: {cf: {plugin: cloudflare, api_token: def, zone: x}}\n", 0600);
    c = fixture_reload(f, f->conf);
    fixture_good(f);
    assert_string_equal(secret_bytes(c->providers[0].options[0].secret.value), "abc");
}

/* All that a certificate and a CA can hold comes along, also a copy of the copy. */
static void test_keep_everything(void **state)
{
    struct fixture *f = *state;
    struct conf_messages m;
    struct conf *first;

    fixture_write(f, "conf.d/a.csr", FIXTURE_CSR, 0644);
    fixture_write(
        f, "conf.d/a.yaml",
        "cas: {google: {eab: {kid: G, hmac_key: YWJj}}, zerossl: {email: a@b.c},\n"
        "  le: {preset: letsencrypt, limits: {orders: 9/1h}, account_key: rsa-2048}}\n"
        "deployments: {d: [{file: /x/%n, content: [pkcs12], password: pw},\n"
        "  {verify: {connect: \"a:25\", starttls: smtp}}]}\n"
        "certificates:\n"
        "  - {names: [m\303\274nchen.example, {name: a.example.net, challenge: http-01}], key: "
        "[rsa-2048, ecdsa-p384], deploy: [d], ca: [google, le]}\n"
        "  - {names: [198.51.100.7], challenge: [tls-alpn-01, http-01], http01: {run: [x]},\n"
        "     tlsalpn01: {listen: [\"[::1]:4\"]}, profile: shortlived}\n"
        "  - {names: [\"*.c.example\"], challenge: dns-persist-01, dns_persist01: {until: 9d}}\n"
        "  - {names: [d.example.net], csr: a.csr, ca: zerossl}\n",
        0600);
    fixture_load(f, keep);
    fixture_good(f);
    first = conf_ref(f->conf);
    for (int i = 0; i < 2; i++) {
        fixture_write(f, "conf.d/a.yaml", "certificates: [\n", 0644);
        fixture_reload(f, f->conf);
        fixture_good(f);
    }
    m = conf_diff(first, f->conf);
    for (size_t i = 0; i < m.n; i++)
        print_message("%s\n", m.v[i].text);
    assert_int_equal(m.n, 0);
    assert_int_equal(f->conf->n_certs, first->n_certs);
    conf_messages_free(&m);
    assert_true(conf_find_ca(f->conf, "zerossl")->eab_by_email);
    assert_string_equal(secret_bytes(conf_find_ca(f->conf, "google")->eab_hmac_key.value), "YWJj");
    assert_string_equal(conf_find_cert(f->conf, "xn--mnchen-3ya.example+ecdsa-p384")->base,
                        "xn--mnchen-3ya.example");
    assert_string_equal(conf_find_cert(f->conf, "xn--mnchen-3ya.example")->names[0].unicode,
                        "m\303\274nchen.example");
    assert_string_equal(conf_find_cert(f->conf, "d.example.net")->csr_pem, FIXTURE_CSR);
    assert_int_equal(conf_find_cert(f->conf, "198.51.100.7")->names[0].challenges.n, 2);
    conf_unref(first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_files),           T(test_defaults),    T(test_across),
        T(test_refused),         T(test_bad_include), T(test_keep),
        T(test_keep_first_time), T(test_keep_lost),   T(test_keep_secret),
        T(test_keep_everything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
