/* SPDX-License-Identifier: ISC */
/* The five configurations of the manual: what is refused is what is not yet available, nothing
 * else. */
#include "conf/fixture.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

struct refusal {
    unsigned line, column;
    const char *text;
};

static int setup(void **state)
{
    static const char *const secrets[] = {"cloudflare.token", "aws.key",  "tsig", "tsig.secret",
                                          "google.eab",       "pdns.key", "cf",   "zerossl-eab"};
    struct fixture *f;
    int rc = fixture_setup(state);

    if (rc)
        return rc;
    f = *state;
    for (size_t i = 0; i < ARRAY_LEN(secrets); i++)
        fixture_write(f, secrets[i], "secret\n", 0600);
    fixture_write(f, "corp-root.pem",
                  "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n", 0644);
    return setenv("CREDENTIALS_DIRECTORY", f->dir, 1);
}

static int teardown(void **state)
{
    unsetenv("CREDENTIALS_DIRECTORY");
    return fixture_teardown(state);
}

static void load(struct fixture *f, const char *name)
{
    CLEANUP_FREE char *path = xasprintf("%s/%s", CONF_TEST_DATA, name);

    fixture_copy(f, path, "renewd.yaml");
    fixture_reload(f, NULL);
}

static void check(struct fixture *f, const char *name, const struct refusal *refusals, size_t n)
{
    load(f, name);
    assert_null(f->conf);
    for (size_t i = 0; i < n; i++)
        fixture_says(f, false, "renewd.yaml", refusals[i].line, refusals[i].column,
                     refusals[i].text);
    assert_int_equal(fixture_errors(f), n);
}
#define REFUSED(f, name, ...)                                                                      \
    do {                                                                                           \
        static const struct refusal r[] = {__VA_ARGS__};                                           \
        check(f, name, r, ARRAY_LEN(r));                                                           \
    } while (0)

static void test_home(void **state)
{
    struct fixture *f = *state;
    const struct conf_cert *k;

    load(f, "home.yaml");
    fixture_good(f);
    assert_int_equal(f->conf->n_certs, 1);
    k = &f->conf->certs[0];
    assert_string_equal(k->name, "example.org");
    assert_string_equal(k->names[1].name, "*.example.org");
    assert_string_equal(conf_find_ca(f->conf, "letsencrypt")->email, "me@example.org");
    assert_true(conf_find_ca(f->conf, "letsencrypt")->agree_tos);
    assert_string_equal(secret_bytes(f->conf->providers[0].options[0].secret.value), "secret");
    assert_int_equal(k->deployments[0].n_steps, 2);
    assert_string_equal(k->deployments[0].steps[1].connect.v[0], "localhost:443");
    assert_string_equal(k->deployments[0].steps[1].sni, "");
}

static void test_broker(void **state)
{
    struct fixture *f = *state;
    const struct conf_cert *k;

    load(f, "broker.yaml");
    fixture_good(f);
    k = &f->conf->certs[0];
    assert_int_equal(k->names[0].challenges.n, 1);
    assert_int_equal(k->names[0].challenges.v[0], CONF_HTTP_01);
    assert_int_equal(k->http01.kind, CONF_HTTP01_RUN);
    assert_string_equal(k->http01.argv.v[0], "/usr/local/sbin/push-token");
    assert_int_equal(k->n_deployments, 3);
}

static void test_company(void **state)
{
    REFUSED(*state, "company.yaml", {4, 1, "metrics: not yet available"},
            {5, 1, "notify: not yet available"});
}

static void test_hosting(void **state)
{
    struct fixture *f = *state;
    const struct conf_ca *ca;

    load(f, "hosting.yaml");
    fixture_good(f);
    ca = conf_find_ca(f->conf, "letsencrypt");
    assert_int_equal(ca->orders_limit.n, 3000);
    assert_int_equal(ca->orders_limit.per_ms, 3 * 3600000);
    assert_int_equal(ca->domain_limit.n, 50); /* the published one */
    ca = conf_find_ca(f->conf, "google");
    assert_string_equal(ca->eab_kid, "G1");
    assert_string_equal(secret_bytes(ca->eab_hmac_key.value), "secret");
}

/* company.yaml without what is not yet available. */
static void test_company_rest(void **state)
{
    struct fixture *f = *state;
    CLEANUP_FREE char *path = xasprintf("%s/company.yaml", CONF_TEST_DATA);
    CLEANUP_BUF struct buf b = {0};
    struct err e = ERR_INIT;
    struct stat st;
    char *at;

    buf_init(&b, 1 << 20);
    assert_int_equal(file_read_at(AT_FDCWD, path, true, &b, &st, &e), 0);
    at = strstr(b.data, "metrics:");
    at[0] = 'x';
    at[1] = '-';
    at = strstr(b.data, "notify:");
    at[0] = 'x';
    at[1] = '-';
    fixture_write_bytes(f, "renewd.yaml", b.data, b.len, 0600);
    fixture_reload(f, NULL);
    fixture_good(f);
    assert_string_equal(conf_find_ca(f->conf, "internal-profile")->profile, "tlsserver");
    assert_string_equal(conf_find_ca(f->conf, "internal-profile")->preset, "letsencrypt");
    assert_int_equal(conf_find_ca(f->conf, "internal-profile")->orders_limit.n, 300);
    assert_string_equal(
        conf_find_cert(f->conf, "mail.example.com")->deployments[0].steps[2].starttls, "smtp");
}

static void test_intranet(void **state)
{
    REFUSED(*state, "intranet.yaml", {3, 1, "http_proxy: not yet available"},
            {4, 1, "no_proxy: not yet available"},
            {12, 47,
             "resolvers: https://dns.quad9.net/dns-query: DNS over HTTPS is not yet available"});
}

static void test_customer(void **state)
{
    struct fixture *f = *state;
    CLEANUP_FREE char *path = xasprintf("%s/customer.yaml", CONF_TEST_DATA);

    fixture_copy(f, path, "104711.yaml");
    fixture_load(f, "include: \"1*.yaml\"\nproviders: {z: {plugin: powerdns, url: "
                    "\"https://p.example\", api_key: {file: pdns.key}, zones: [acme.example]}}\n");
    fixture_good(f);
    assert_string_equal(f->conf->certs[0].name, "c104711");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_home),     T(test_broker),   T(test_company),      T(test_hosting),
        T(test_intranet), T(test_customer), T(test_company_rest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
