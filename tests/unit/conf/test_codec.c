/* SPDX-License-Identifier: ISC */
#include "conf/fixture.h"

#include "base/buf.h"
#include "conf/codec.h"

#include <stdlib.h>
#include <string.h>

#define T(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

static const char rich[] =
    "defaults: {deploy: [web, {run: [x, \"%d\"], once: true}], agree_tos: true}\n"
    "cas: {corp: {directory: \"https://ca.example/d\", staging: letsencrypt-staging,\n"
    "  limits: {orders: 9/1h, failures: 2/1d, requests: 20/1s}, account_key: ed25519},\n"
    "  google: {eab: {kid: K1, hmac_key: topsecret}}}\n"
    "dns: {check: warn, zones: {a: {servers: [192.0.2.1]}, b.a: {ask: resolvers}}}\n"
    "providers:\n"
    "  p: {plugin: rfc2136, server: 192.0.2.53, zones: [example.org], key_secret: topsecret}\n"
    "deployments:\n"
    "  web: [{file: /x/%n, content: [cert, chain], owner: root}, {verify: {connect: \"a:1\", "
    "starttls: ldap}},\n"
    "    {file: /y/%n, content: [pkcs12], password: topsecret}]\n"
    "  idle: []\n"
    "certificates:\n"
    "  - a.example.org\n"
    "  - b.example.org\n"
    "  - {names: [c.example.org, {name: d.example.org, provider: p}], deploy: [idle, web], ca: "
    "[corp,"
    " google], key: [rsa-3072, ecdsa-p384], renew_before: 5d, profile: {name: x, on_missing: "
    "default}}\n"
    "  - {names: [e.example.org], deploy: []}\n"
    "  - {names: [b\303\274cher.example, {name: \"*.h.example\", challenge: [dns-persist-01]},\n"
    "     192.0.2.5], challenge: [dns-account-01, http-01], deploy: [], http01: {run: [x, y]},\n"
    "     dns_persist01: {write: true, until: 90d}, ca: corp, must_staple: true}\n"
    "  - {names: [i.example.org], challenge: tls-alpn-01, tlsalpn01: {listen: [\"[::1]:4\"]}, "
    "deploy: []}\n"
    "  - {names: [j.example.org], csr: a.csr, deploy: []}\n";

static struct conf *rich_load(struct fixture *f)
{
    fixture_write(f, "a.csr", FIXTURE_CSR, 0644);
    return fixture_load(f, rich);
}

static struct conf *turn(const struct conf *c)
{
    struct buf b;
    struct err e = ERR_INIT;
    struct conf *copy;

    buf_init(&b, 64 << 20);
    assert_int_equal(conf_encode(c, &b), 0);
    assert_null(memmem(b.data, b.len, "topsecret", 9));
    copy = conf_decode(b.data, b.len, &e);
    assert_non_null(copy);
    buf_free(&b);
    return copy;
}

static void check_members(const struct conf *c)
{
    const struct conf_cert *k = conf_find_cert(c, "c.example.org+ecdsa-p384");
    const struct conf_ca *ca = conf_find_ca(c, "corp");

    assert_string_equal(k->base, "c.example.org");
    assert_string_equal(k->variant, "ecdsa-p384");
    assert_ptr_equal(conf_next_variant(c, k - 1), k);
    assert_null(conf_next_variant(c, k));
    assert_int_equal(ca->orders_limit.n, 9);
    assert_int_equal(ca->failures_limit.per_ms, 86400000);
    assert_int_equal(ca->requests_limit.n, 20);
    assert_int_equal(ca->account_key, CONF_ACCOUNT_ED25519);
    assert_string_equal(conf_find_ca(c, "google")->eab_kid, "K1");
    assert_null(conf_find_ca(c, "google")->eab_hmac_key.value);
    assert_true(conf_find_ca(c, "google")->no_ocsp);
    assert_string_equal(conf_find_ca(c, "google")->preset, "google");
    k = conf_find_cert(c, "xn--bcher-kva.example");
    assert_string_equal(k->names[0].unicode, "b\303\274cher.example");
    assert_string_equal(k->names[0].domain, "xn--bcher-kva.example");
    assert_true(k->names[2].ip);
    assert_int_equal(k->names[2].challenges.n, 1);
    assert_int_equal(k->names[2].challenges.v[0], CONF_HTTP_01);
    assert_int_equal(k->http01.kind, CONF_HTTP01_RUN);
    assert_string_equal(k->http01.argv.v[1], "y");
    assert_true(k->persist.write && k->persist.wildcard && k->must_staple);
    assert_int_equal(k->persist.days_ms, 90 * (int64_t)86400000);
    k = conf_find_cert(c, "i.example.org");
    assert_string_equal(k->alpn_listen.v[0], "[::1]:4");
    assert_string_equal(k->http01.listen.v[1], "[::]:80");
    k = conf_find_cert(c, "j.example.org");
    assert_non_null(strstr(k->csr_pem, "CERTIFICATE REQUEST"));
    assert_string_equal(c->certs[0].alpn_listen.v[0], "0.0.0.0:443");
    assert_string_equal(conf_find_cert(c, "a.example.org")->deployments[0].steps[1].starttls,
                        "ldap");
}

static void test_round_trip(void **state)
{
    struct fixture *f = *state;
    struct conf *c = rich_load(f), *copy;
    char *a, *b;

    fixture_good(f);
    copy = turn(c);
    a = conf_dump(c);
    b = conf_dump(copy);
    assert_string_equal(a, b);
    assert_int_equal(copy->generation, c->generation);
    assert_string_equal(copy->file, c->file);
    assert_string_equal(copy->certs[2].where.file, c->certs[2].where.file);
    assert_int_equal(copy->certs[2].where.line, 15);
    check_members(copy);
    assert_null(copy->providers[0].options[1].secret.value);
    assert_int_equal(copy->providers[0].options[1].secret.kind, CONF_SECRET_TEXT);
    assert_non_null(conf_find_cert(copy, "e.example.org"));
    /* what was shared is shared again */
    assert_ptr_equal(copy->certs[0].deployments, copy->certs[1].deployments);
    assert_ptr_equal(copy->certs[0].deployments[0].steps, copy->deployments[0].steps);
    conf_unref(copy);
    free(a);
    free(b);
}

/* No prefix and no single changed byte may do worse than be refused or read. */
static void test_damaged(void **state)
{
    struct fixture *f = *state;
    struct conf *c = rich_load(f), *copy;
    struct buf b;
    struct err e;
    size_t refused = 0;

    buf_init(&b, 1 << 20);
    assert_int_equal(conf_encode(c, &b), 0);
    for (size_t n = 0; n < b.len; n++) {
        char *cut = malloc(n + 1); /* so that a sanitizer sees the end */

        memcpy(cut, b.data, n);
        assert_null(conf_decode(cut, n, &e));
        free(cut);
    }
    for (size_t i = 0; i < b.len; i++) {
        b.data[i] ^= 0x55;
        copy = conf_decode(b.data, b.len, &e);
        refused += !copy;
        conf_unref(copy);
        b.data[i] ^= 0x55;
    }
    assert_true(refused > b.len / 4);
    buf_putc(&b, 0);
    assert_null(conf_decode(b.data, b.len, &e));
    buf_free(&b);
}

static void test_too_small(void **state)
{
    struct fixture *f = *state;
    struct conf *c = rich_load(f);
    struct buf b;

    buf_init(&b, 100);
    assert_int_equal(conf_encode(c, &b), -1);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {T(test_round_trip), T(test_damaged), T(test_too_small)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
