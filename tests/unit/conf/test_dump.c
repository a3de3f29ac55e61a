/* SPDX-License-Identifier: ISC */
#include "conf/fixture.h"

#include "base/json.h"

#include <stdlib.h>
#include <string.h>

#define T(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

static const char rich[] =
    "control_group: root\nlog_level: debug\narchive_keep: 2\n"
    "defaults: {deploy: [web, {run: [\"a b\", \"%d\", \"true\", \"x: y\", \"q\\\"\\\\\"], once: "
    "true}]}\n"
    "cas: {corp: {directory: \"https://ca.example/d\", preferred_chain: \"R: 'X' 1\", timeout: "
    "90s,\n"
    "  eab: {kid: K, hmac_key: dG9wc2VjcmV0}, limits: {domain: 5/1d}, account_key: rsa-3072}}\n"
    "dns: {check: warn, zones: {a: {servers: [192.0.2.1]}, b.a: {ask: resolvers}}}\n"
    "providers:\n"
    "  p: {plugin: rfc2136, server: 192.0.2.53, zones: [example.org], key_secret: topsecret, ttl: "
    "2m,\n"
    "      timeout: 5m, retries: 4, tcp: false}\n"
    "  cf: {plugin: cloudflare, api_token: {file: token}, zones: [a]}\n"
    "  sh: {plugin: shell, allow: [exec], run_as: root, zones: [b]}\n"
    "deployments:\n"
    "  web: [{file: /x/%n, content: [cert, chain], owner: root}, {verify: {connect: \"a:1\"}}]\n"
    "certificates:\n"
    "  - a.example.org\n"
    "  - {names: [\"*.c.org\", {name: c.org, provider: p}], deploy: [web, {reload: x}], ca: "
    "[corp],\n"
    "     renew_before: 36h, profile: {name: x, on_missing: default}, key_mode: \"0640\", group: "
    "root}\n"
    "  - {names: [e.example.org], deploy: [], renew_before: 20%, profile: y, enabled: false}\n"
    "  - {names: [m\303\274nchen.example, {name: f.example, challenge: [http-01]}, "
    "\"2001:db8::1\"],\n"
    "     challenge: [tls-alpn-01, dns-01], http01: {webroot: \"/w w\"}, ca: corp, must_staple: "
    "true,\n"
    "     key: [rsa-2048, ecdsa-p384], deploy: [{file: /x/%n.pfx, content: [pkcs12], password: "
    "pw}]}\n"
    "  - {names: [g.example], challenge: dns-persist-01, dns_persist01: {write: true, until: 5d},\n"
    "     deploy: [{verify: {connect: \"a:25\", starttls: smtp}}], provider: p}\n";

/* What it prints it reads, and then prints the same. */
static void test_loads_again(void **state)
{
    struct fixture *f = *state;
    struct conf *c;
    char *first, *second;

    fixture_write(f, "token", "x", 0600);
    c = fixture_load(f, rich);
    fixture_good(f);
    first = conf_dump(c);
    c = fixture_load(f, first);
    fixture_good(f);
    second = conf_dump(c);
    assert_string_equal(first, second);
    assert_string_equal(c->certs[0].deployments[1].steps[0].argv.v[4], "q\"\\");
    assert_string_equal(c->certs[0].deployments[1].steps[0].argv.v[3], "x: y");
    assert_int_equal(c->certs[1].renew_before_ms, 129600000);
    assert_non_null(conf_find_cert(c, "xn--mnchen-3ya.example+ecdsa-p384"));
    assert_non_null(strstr(first, "\n    key: [rsa-2048, ecdsa-p384]\n"));
    assert_non_null(strstr(first, "\n        challenge: http-01\n"));
    assert_non_null(strstr(first, "\n      webroot: \"/w w\"\n"));
    assert_non_null(strstr(first, "\n      domain: \"5/1d\"\n"));
    assert_non_null(strstr(first, "\n      until: \"5d\"\n"));
    free(first);
    free(second);
}

static void test_secrets(void **state)
{
    struct fixture *f = *state;
    char *text;

    fixture_write(f, "token", "tokenbytes", 0600);
    fixture_load(f, rich);
    fixture_good(f);
    text = conf_dump(f->conf);
    assert_null(strstr(text, "topsecret"));
    assert_null(strstr(text, "tokenbytes"));
    assert_null(strstr(text, "dG9wc2VjcmV0"));
    assert_non_null(strstr(text, "      hmac_key: \"***\"\n"));
    assert_non_null(strstr(text, "        password: \"***\"\n"));
    assert_non_null(strstr(text, "    key_secret: \"***\"\n"));
    assert_non_null(strstr(text, "    api_token:\n      file: /"));
    free(text);
}

static void test_json(void **state)
{
    struct fixture *f = *state;
    struct json *j;
    const struct json *cert;

    fixture_load(f, WITH_PROVIDER "  - {names: [a.example.org], renew_before: 25%}\n");
    fixture_good(f);
    j = conf_dump_json(f->conf);
    assert_int_equal(json_int(j, "version", 0), 1);
    cert = json_at(json_get(j, "certificates"), 0);
    assert_string_equal(json_text(cert, "name"), "a.example.org");
    assert_string_equal(json_text(cert, "renew_before"), "25%");
    assert_string_equal(json_text(cert, "key_mode"), "0600");
    assert_true(json_bool(cert, "enabled", false));
    json_free(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {T(test_loads_again), T(test_secrets), T(test_json)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
