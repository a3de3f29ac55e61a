/* SPDX-License-Identifier: ISC */
#include "conf/fixture.h"

#include "base/err.h"

#include <string.h>

#define T(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

static const char several[] =
    "providers:\n"
    "  one: {plugin: rfc2136, server: 192.0.2.1, zones: [example.org, a.example.net]}\n"
    "  two: {plugin: rfc2136, server: 192.0.2.2, zones: [sub.example.org]}\n"
    "  three: {plugin: rfc2136, server: 192.0.2.3}\n"
    "certificates:\n"
    "  - www.example.org\n"
    "  - {names: [b.example.org, {name: c.example.org, provider: two}], name: x, provider: "
    "three}\n";

static const char *provider_of(const struct conf *c, const char *cert, size_t name,
                               const char *final)
{
    const struct conf_cert *k = conf_find_cert(c, cert);
    static struct err e;
    const struct conf_provider *p = conf_provider_for(c, k, &k->names[name], final, &e);

    assert_true(p || e.cls == ERR_CONFIG);
    return p ? p->name : e.detail;
}

static void test_provider_for(void **state)
{
    struct fixture *f = *state;
    struct conf *c = fixture_load(f, several);

    fixture_good(f);
    assert_string_equal(provider_of(c, "www.example.org", 0, "_acme-challenge.www.example.org"),
                        "one");
    assert_string_equal(provider_of(c, "www.example.org", 0, "w.sub.example.org"), "two");
    assert_string_equal(provider_of(c, "www.example.org", 0, "sub.example.org"), "two");
    assert_string_equal(provider_of(c, "www.example.org", 0, "xsub.example.org"), "one");
    assert_string_equal(provider_of(c, "x", 0, "w.sub.example.org"), "three");
    assert_string_equal(provider_of(c, "x", 1, "w.example.org"), "two");
    assert_non_null(strstr(provider_of(c, "www.example.org", 0, "w.example.com"),
                           "no provider serves w.example.com"));
}

static void test_only_provider(void **state)
{
    struct fixture *f = *state;
    struct conf *c = fixture_load(f, "providers: {p: {plugin: rfc2136, server: a, zones: [b]}}\n"
                                     "certificates: [www.example.org]\n");

    fixture_good(f);
    assert_string_equal(provider_of(c, "www.example.org", 0, "www.example.org"), "p");
}

static void test_dns_for(void **state)
{
    struct fixture *f = *state;
    struct conf *c = fixture_load(
        f, "dns:\n  ask: resolvers\n  timeout: 3m\n  resolvers: [192.0.2.9, \"[2001:DB8::1]:53\", "
           "\"::1\"]\n  zones:\n    Example.org.: {check: off}\n"
           "    a.example.org: {servers: [\"192.0.2.5:5353\"], ask: authoritative, timeout: 1m}\n");
    const struct conf_dns_zone *z;

    fixture_good(f);
    assert_int_equal(c->n_dns_zones, 3);
    z = conf_dns_for(c, "www.example.com");
    assert_string_equal(z->suffix, "");
    assert_int_equal(z->resolvers.n, 3);
    assert_string_equal(z->resolvers.v[1], "[2001:db8::1]:53");
    assert_string_equal(z->resolvers.v[2], "[::1]");
    assert_int_equal(z->check, CONF_CHECK_REQUIRE);
    z = conf_dns_for(c, "b.example.org");
    assert_string_equal(z->suffix, "example.org");
    assert_int_equal(z->check, CONF_CHECK_NONE);
    assert_int_equal(z->ask, CONF_ASK_RESOLVERS);
    assert_int_equal(z->timeout_ms, 180000);
    assert_int_equal(z->resolvers.n, 3);
    z = conf_dns_for(c, "a.example.org");
    assert_string_equal(z->servers.v[0], "192.0.2.5:5353");
    assert_int_equal(z->ask, CONF_ASK_AUTHORITATIVE);
    assert_int_equal(z->timeout_ms, 60000);
}

static void test_find(void **state)
{
    struct fixture *f = *state;
    struct conf *c = fixture_load(f, several), *again;

    assert_null(conf_find_cert(c, "nope"));
    assert_null(conf_find_ca(c, "google"));
    assert_null(conf_find_provider(c, "four"));
    assert_string_equal(conf_find_ca(c, "letsencrypt")->staging, "letsencrypt-staging");
    assert_non_null(conf_find_ca(c, "letsencrypt-staging"));
    assert_string_equal(conf_key_name(CONF_KEY_RSA_3072), "rsa-3072");
    again = conf_ref(c);
    conf_unref(again);
    assert_non_null(conf_find_cert(c, "x"));
    conf_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {T(test_provider_for), T(test_only_provider), T(test_dns_for),
                                       T(test_find)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
