/* SPDX-License-Identifier: ISC */
/* Names in every spelling, addresses, and which challenges are left for each. */
#include "conf/fixture.h"

#include "base/mem.h"
#include "conf/meant.h"

#include <stdio.h>
#include <string.h>

#define T(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

#define MUENCHEN "m\xc3\xbcnchen"
#define FAUL "fa\xc3\x9f" /* with sharp s: IDNA2008 keeps it, IDNA2003 made ss of it */

static void test_spellings(void **state)
{
    static const struct {
        const char *written, *ascii, *unicode;
    } cases[] = {
        {"WWW.Example.ORG.", "www.example.org", "www.example.org"},
        {MUENCHEN ".example", "xn--mnchen-3ya.example", MUENCHEN ".example"},
        {"*." MUENCHEN ".example", "*.xn--mnchen-3ya.example", "*." MUENCHEN ".example"},
        {"M\xc3\x9c"
         "NCHEN.example",
         "xn--mnchen-3ya.example", MUENCHEN ".example"},
        {"mu\xcc\x88"
         "nchen.example",
         "xn--mnchen-3ya.example", MUENCHEN ".example"},
        {"XN--MNCHEN-3YA.example", "xn--mnchen-3ya.example", MUENCHEN ".example"},
        {"*.xn--mnchen-3ya.example", "*.xn--mnchen-3ya.example", "*." MUENCHEN ".example"},
        {FAUL ".example", "xn--fa-hia.example", FAUL ".example"},
        {"\xe4\xbe\x8b\xe5\xad\x90\xe3\x80\x82"
         "example",
         "xn--fsqu00a.example", "\xe4\xbe\x8b\xe5\xad\x90.example"},
        {"a--b.example", "a--b.example", "a--b.example"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char yaml[300];
        const struct conf_name *n;

        snprintf(yaml, sizeof yaml, WITH_PROVIDER "  - \"%s\"\n", cases[i].written);
        fixture_load(f, yaml);
        fixture_good(f);
        n = &f->conf->certs[0].names[0];
        assert_string_equal(n->name, cases[i].ascii);
        assert_string_equal(n->unicode, cases[i].unicode);
        assert_false(n->ip);
        assert_string_equal(f->conf->certs[0].name,
                            cases[i].ascii[0] == '*' ? cases[i].ascii + 2 : cases[i].ascii);
    }
}

/* What is typed at renewctl, and what it means. */
static void test_what_is_meant(void **state)
{
    static const struct {
        const char *text, *name; /* NULL: nothing */
        size_t n;
    } cases[] = {
        {"xn--mnchen-3ya.example", "xn--mnchen-3ya.example", 2},
        {MUENCHEN ".example", "xn--mnchen-3ya.example", 2},
        {"*." MUENCHEN ".EXAMPLE.", "xn--mnchen-3ya.example", 2},
        {MUENCHEN ".example+rsa-2048", "xn--mnchen-3ya.example+rsa-2048", 1},
        {"xn--mnchen-3ya.example+rsa-2048", "xn--mnchen-3ya.example+rsa-2048", 1},
        {"xn--mnchen-3ya.example+ecdsa-p256", "xn--mnchen-3ya.example", 1},
        {"xn--mnchen-3ya.example+rsa-4096", NULL, 0},
        {"shop", "shop", 1},
        {"shop+ecdsa-p256", "shop", 1},
        {"Shop", NULL, 0},
        {"b.example", NULL, 0}, /* a host of an entry with a name of its own */
        {"WWW.example.", "www.example", 1},
        {"+", NULL, 0},
        {"", NULL, 0},
    };
    struct fixture *f = *state;
    const struct conf *c =
        fixture_load(f, WITH_PROVIDER "  - {names: [\"*." MUENCHEN ".example\", \"" MUENCHEN
                                      ".example\"], key: [ecdsa-p256, rsa-2048]}\n"
                                      "  - {names: [b.example], name: shop}\n  - www.example\n");

    fixture_good(f);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t n = 9;
        const struct conf_cert *k = conf_meant(c, cases[i].text, &n);

        assert_int_equal(n, cases[i].n);
        if (cases[i].name)
            assert_string_equal(k->name, cases[i].name);
        else
            assert_null(k);
    }
}

/* What CAs count certificates by. */
static void test_registered_domains(void **state)
{
    static const struct {
        const char *name, *domain;
    } cases[] = {
        {"example.org", "example.org"},
        {"a.b.example.org", "example.org"},
        {"*.example.org", "example.org"},
        {"*.www.example.co.uk", "example.co.uk"},
        {"someone.github.io", "someone.github.io"},
        {"a.someone.github.io", "someone.github.io"},
        {"" MUENCHEN ".de", "xn--mnchen-3ya.de"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char yaml[300];

        snprintf(yaml, sizeof yaml, WITH_PROVIDER "  - \"%s\"\n", cases[i].name);
        fixture_load(f, yaml);
        fixture_good(f);
        assert_string_equal(f->conf->certs[0].names[0].domain, cases[i].domain);
    }
}

/* Everywhere else that a host is written. */
static void test_idn_elsewhere(void **state)
{
    struct fixture *f = *state;
    const struct conf *c =
        fixture_load(f, "dns: {zones: {\"" MUENCHEN ".example\": {timeout: 1m}}}\n"
                        "providers: {p: {plugin: rfc2136, server: \"ns." MUENCHEN
                        ".example:53\", zones: [\"_x." MUENCHEN ".example\"]}}\n"
                        "certificates:\n  - names: [a.example.org]\n"
                        "    deploy: [{verify: {connect: [\"" MUENCHEN
                        ".example:443\", \"Local:1\"], sni: \"" FAUL ".example\"}}]\n");
    const struct conf_step *s;

    fixture_good(f);
    assert_string_equal(c->dns_zones[1].suffix, "xn--mnchen-3ya.example");
    assert_string_equal(c->providers[0].zones.v[0], "_x.xn--mnchen-3ya.example");
    assert_string_equal(c->providers[0].options[0].text, "ns.xn--mnchen-3ya.example:53");
    s = &c->certs[0].deployments[0].steps[0];
    assert_string_equal(s->connect.v[0], "xn--mnchen-3ya.example:443");
    assert_string_equal(s->connect.v[1], "Local:1");
    assert_string_equal(s->sni, "xn--fa-hia.example");
}

static void test_addresses(void **state)
{
    static const struct {
        const char *written, *text, *cert;
    } cases[] = {
        {"192.0.2.7", "192.0.2.7", "192.0.2.7"},
        {"2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1", "2001_db8__1_0_0_1"},
        {"[2001:db8::A]", "2001:db8::a", "2001_db8__a"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char yaml[300];
        const struct conf_cert *k;

        snprintf(yaml, sizeof yaml,
                 "certificates:\n  - {names: [\"%s\"], challenge: [dns-01, tls-alpn-01, http-01], "
                 "profile: shortlived}\n",
                 cases[i].written);
        fixture_load(f, yaml);
        fixture_good(f);
        k = &f->conf->certs[0];
        assert_string_equal(k->name, cases[i].cert);
        assert_true(k->names[0].ip);
        assert_string_equal(k->names[0].name, cases[i].text);
        assert_string_equal(k->names[0].unicode, cases[i].text);
        assert_int_equal(k->names[0].challenges.n, 2);
        assert_int_equal(k->names[0].challenges.v[0], CONF_TLS_ALPN_01);
    }
    fixture_load(f, "cas: {corp: {directory: \"https://ca.example/d\"}}\n"
                    "certificates: [{names: [10.0.0.1, \"::1\", wiki], ca: corp, challenge: "
                    "http-01}]\n");
    fixture_good(f);
    assert_int_equal(f->conf->certs[0].n_names, 3);
}

/* Each name has those of the list that fit, or its own; a provider is needed for DNS only. */
static void test_challenges(void **state)
{
    struct fixture *f = *state;
    const struct conf *c = fixture_load(
        f, WITH_PROVIDER "  - names: [a.example.org, \"*.b.example.org\", 192.0.2.1,\n"
                         "      {name: c.example.org, challenge: dns-persist-01}]\n"
                         "    challenge: [http-01, dns-account-01]\n    profile: shortlived\n"
                         "  - a.example.net\n");
    const struct conf_cert *k = &c->certs[0];

    fixture_good(f);
    assert_int_equal(k->challenges.n, 2);
    assert_int_equal(k->names[0].challenges.n, 2);
    assert_int_equal(k->names[0].challenges.v[1], CONF_DNS_ACCOUNT_01);
    assert_int_equal(k->names[1].challenges.n, 1);
    assert_int_equal(k->names[1].challenges.v[0], CONF_DNS_ACCOUNT_01);
    assert_int_equal(k->names[2].challenges.n, 1);
    assert_int_equal(k->names[2].challenges.v[0], CONF_HTTP_01);
    assert_int_equal(k->names[3].challenges.v[0], CONF_DNS_PERSIST_01);
    assert_false(k->persist.wildcard); /* the wildcard is proved otherwise */
    assert_int_equal(c->certs[1].challenges.n, 1);
    assert_int_equal(c->certs[1].names[0].challenges.v[0], CONF_DNS_01);
    fixture_load(f, "certificates:\n  - {names: [\"*.a.example\", b.example], challenge: "
                    "dns-persist-01, dns_persist01: {until: 90d}}\n");
    fixture_good(f);
    k = &f->conf->certs[0];
    assert_true(k->persist.wildcard);
    assert_false(k->persist.write);
    assert_int_equal(k->persist.days_ms, 90 * (int64_t)86400000);
}

static void test_listeners(void **state)
{
    struct fixture *f = *state;
    const struct conf *c = fixture_load(
        f, "defaults: {challenge: http-01, http01: {webroot: www}}\ncertificates:\n"
           "  - a.example.org\n"
           "  - {names: [b.example.org], http01: {listen: [\"127.0.0.1:5002\", \"[0::1]:80\"]}}\n"
           "  - {names: [c.example.org], http01: {run: [push, \"50%\"]}}\n"
           "  - {names: [d.example.org], challenge: tls-alpn-01, tlsalpn01: {listen: "
           "[\"127.0.0.1:5001\"]}}\n");

    fixture_good(f);
    assert_int_equal(f->m.n, c->user_set ? 0 : f->m.n); /* no warning about defaults' http01 */
    assert_int_equal(c->certs[0].http01.kind, CONF_HTTP01_WEBROOT);
    assert_string_equal(c->certs[0].http01.webroot + strlen(f->dir), "/www");
    assert_int_equal(c->certs[1].http01.kind, CONF_HTTP01_LISTEN);
    assert_string_equal(c->certs[1].http01.listen.v[0], "127.0.0.1:5002");
    assert_string_equal(c->certs[1].http01.listen.v[1], "[::1]:80");
    assert_int_equal(c->certs[2].http01.kind, CONF_HTTP01_RUN);
    assert_string_equal(c->certs[2].http01.argv.v[1], "50%");
    assert_int_equal(c->certs[2].http01.listen.n, 0);
    assert_string_equal(c->certs[3].alpn_listen.v[0], "127.0.0.1:5001");
    assert_string_equal(c->certs[2].alpn_listen.v[1], "[::]:443");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_spellings), T(test_what_is_meant), T(test_registered_domains), T(test_idn_elsewhere),
        T(test_addresses), T(test_challenges),    T(test_listeners)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
