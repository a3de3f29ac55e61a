/* SPDX-License-Identifier: ISC */
#include "conf/fixture.h"

#include "base/mem.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define T(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

static struct conf *load(struct fixture *f, const char *body)
{
    CLEANUP_FREE char *text = xasprintf("providers:\n  p: {%s}\n", body);

    return fixture_load(f, text);
}

static void test_good(void **state)
{
    struct fixture *f = *state;
    struct conf *c =
        load(f, "plugin: rfc2136, server: \"192.0.2.1:53\", zones: [Example.ORG.], ttl: "
                "1m, timeout: 5m, x-note: [a], tcp: true, retries: 7, wait: 3s, key_name: , "
                "key_algorithm: hmac-sha512, key_secret: abc");
    const struct conf_provider *p = &c->providers[0];

    fixture_good(f);
    assert_string_equal(p->plugin, "rfc2136");
    assert_string_equal(p->path + strlen(f->dir), "/plugins/rfc2136.so");
    assert_string_equal(p->zones.v[0], "example.org");
    assert_int_equal(p->ttl, 60);
    assert_int_equal(p->timeout_ms, 300000);
    assert_false(p->allow_exec);
    assert_int_equal(p->n_options, 6);
    assert_string_equal(p->options[0].name, "server");
    assert_string_equal(p->options[0].text, "192.0.2.1:53");
    assert_string_equal(p->options[4].text, "hmac-sha512");
    assert_string_equal(p->options[5].text, "");
    assert_string_equal(secret_bytes(p->options[5].secret.value), "abc");
    assert_int_equal(p->options[0].where.line, 2);
}

static void test_paths(void **state)
{
    struct fixture *f = *state;
    struct conf *c = load(f, "plugin: ./plugins/cloudflare.so, api_token: x");

    fixture_good(f);
    assert_true(c->providers[0].path[0] == '/');
    assert_int_equal(c->providers[0].propagation_s, 30);
    load(f, "plugin: nope");
    fixture_one_error(f, 2, 15, "/plugins/nope.so: No such file or directory");
    load(f, "plugin: \"a b\"");
    fixture_one_error(f, 2, 15, "plugin: \"a b\" is no name");
}

static void test_plugin_refused(void **state)
{
    struct fixture *f = *state;
    CLEANUP_FREE char *file = xasprintf("%s/rfc2136.so", f->plugindir);

    chmod(file, 0666);
    load(f, "plugin: rfc2136, server: a, bogus: x");
    fixture_one_error(f, 2, 15, "rfc2136.so can be written by others (mode 0666): chmod go-w ");
    assert_int_equal(f->described, 0); /* never loaded */
    chmod(file, 0644);
    if (geteuid() == 0) {
        assert_int_equal(chown(file, 12345, (gid_t)-1), 0);
        load(f, "plugin: rfc2136, server: a");
        fixture_one_error(f, 2, 15, "belongs to uid 12345, neither root nor the daemon's user");
        assert_int_equal(f->described, 0);
    }
    fixture_write(f, "plugins/other.so", "", 0644);
    load(f, "plugin: other");
    fixture_one_error(f, 2, 15, "plugin: other: ");
}

static void test_options(void **state)
{
    struct fixture *f = *state;

    load(f, "plugin: rfc2136, server: a, key_nam: x");
    fixture_one_error(f, 2, 35,
                      "key_nam: the plugin rfc2136 has no such option; did you mean "
                      "key_name?");
    load(f, "plugin: rfc2136, server: a, zone: x");
    fixture_one_error(f, 2, 35, "did you mean zones?");
    load(f, "plugin: cloudflare");
    fixture_one_error(f, 2, 3, "api_token: missing in provider p: an API token with DNS:Edit");
    load(f, "plugin: rfc2136, server: [a]");
    fixture_one_error(f, 2, 32, "server: must be one value, this is a list");
    load(f, "plugin: rfc2136, server: a, retries: x");
    fixture_one_error(f, 2, 44, "retries: x: write a whole number");
    load(f, "plugin: rfc2136, server: a, tcp: yes");
    fixture_one_error(f, 2, 40, "tcp: yes: write true");
    load(f, "plugin: rfc2136, server: a, wait: 5");
    fixture_one_error(f, 2, 41, "wait: 5 has no unit");
    load(f, "plugin: rfc2136, server: a, key_algorithm: hmac-md5");
    fixture_one_error(f, 2, 50,
                      "key_algorithm: hmac-md5: write hmac-sha256, hmac-sha384 or "
                      "hmac-sha512");
    load(f, "plugin: rfc2136, server: \"a b\"");
    fixture_one_error(f, 2, 32, "server: a b: write a host or an address");
    load(f, "plugin: powerdns, url: pdns.example, api_key: x");
    fixture_one_error(f, 2, 30, "url: pdns.example is no URL");
}

static void test_host_keys(void **state)
{
    struct fixture *f = *state;
    struct conf *c;

    load(f, "server: a");
    fixture_one_error(f, 2, 6, "plugin: missing");
    fixture_load(f, "providers: {p: }\n");
    fixture_one_error(f, 1, 13, "plugin: missing in provider p");
    load(f, "plugin: rfc2136, server: a, allow: [root]");
    fixture_one_error(f, 2, 43, "allow: root: only exec can be allowed");
    load(f, "plugin: rfc2136, server: a, zones: [\"*.a\"]");
    fixture_one_error(f, 2, 43, "zones: *.a is no domain");
    load(f, "plugin: shell");
    fixture_one_error(f, 2, 15, "plugin: shell runs programs: write allow: [exec] if it may");
    c = load(f, "plugin: shell, allow: [exec], run_as: root");
    fixture_good(f);
    assert_true(c->providers[0].allow_exec);
    assert_string_equal(c->providers[0].run_as, "root");
}

static void test_no_cascade(void **state)
{
    struct fixture *f = *state;

    fixture_load(f, "providers: {p: {plugin: nope}}\ncertificates:\n"
                    "  - {names: [a.example.org], provider: p}\n");
    assert_int_equal(fixture_errors(f), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_good),    T(test_paths),     T(test_plugin_refused),
        T(test_options), T(test_host_keys), T(test_no_cascade),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
