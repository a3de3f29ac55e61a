/* SPDX-License-Identifier: ISC */
/* What good files mean. */
#include "conf/fixture.h"

#include "base/buf.h"
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#define T(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

static void test_empty(void **state)
{
    struct fixture *f = *state;
    struct conf *c = fixture_load(f, "");

    fixture_good(f);
    assert_int_equal(c->generation, 1);
    assert_string_equal(c->file, f->main);
    assert_string_equal(c->state_dir, "/var/lib/renewd");
    assert_string_equal(c->control_socket, "/run/renewd/control.sock");
    assert_string_equal(c->control_group, "");
    assert_int_equal(c->log_level, LOG_LEVEL_INFO);
    assert_int_equal(c->archive_keep, 5);
    assert_false(c->user_set);
    assert_int_equal(c->n_certs, 0);
    assert_int_equal(c->n_cas, 0);
    assert_int_equal(c->n_dns_zones, 1);
    assert_string_equal(c->dns_zones[0].resolvers.v[0], "192.0.2.1");
    assert_int_equal(c->dns_zones[0].timeout_ms, 600000);
}

static void test_commented_default(void **state)
{
    struct fixture *f = *state;

    fixture_copy(f, CONF_TEST_DEFAULT, "renewd.yaml");
    fixture_reload(f, NULL);
    fixture_good(f);
}

static void test_cert_defaults(void **state)
{
    struct fixture *f = *state;
    struct conf *c = fixture_load(f, WITH_PROVIDER "  - \"*.Example.ORG.\"\n");
    const struct conf_cert *k = &c->certs[0];

    fixture_good(f);
    assert_string_equal(k->name, "example.org");
    assert_int_equal(k->n_names, 1);
    assert_string_equal(k->names[0].name, "*.example.org");
    assert_string_equal(k->names[0].provider, "");
    assert_true(k->enabled);
    assert_true(k->ari);
    assert_false(k->reuse_key);
    assert_int_equal(k->cas.n, 1);
    assert_string_equal(k->cas.v[0], "letsencrypt");
    assert_int_equal(k->fallback_after, 3);
    assert_int_equal(k->key, CONF_KEY_ECDSA_P256);
    assert_int_equal(k->key_mode, 0600);
    assert_int_equal(k->renew_before_ms, 0);
    assert_int_equal(k->renew_before_percent, 0);
    assert_string_equal(k->owner, "");
    assert_int_equal(k->n_deployments, 0);
    assert_int_equal(k->where.line, 3);
    assert_int_equal(k->where.column, 5);
}

static void test_replace(void **state)
{
    struct fixture *f = *state;
    struct conf *c = fixture_load(
        f,
        "defaults: {ca: [letsencrypt, zerossl], email: a@b.c, key: rsa-4096, ari: false, deploy: "
        "[{reload: a}],\n"
        "  renew_before: 40%, profile: {name: tlsserver, on_missing: default}, provider: "
        "p}\n" WITH_PROVIDER "  - a.example.org\n"
        "  - {names: [b.example.org], ca: letsencrypt, key: [ecdsa-p384], ari: true, deploy: [],\n"
        "     renew_before: 2w, profile: classic, enabled: false, reuse_key: true}\n"
        "  - {names: [c.example.org], key: , deploy: ~, ca: null}\n");

    fixture_good(f);
    assert_int_equal(c->certs[0].cas.n, 2);
    assert_int_equal(c->certs[0].key, CONF_KEY_RSA_4096);
    assert_int_equal(c->certs[0].renew_before_percent, 40);
    assert_true(c->certs[0].profile_or_default);
    assert_string_equal(c->certs[0].provider, "p");
    assert_string_equal(c->certs[0].deployments[0].steps[0].unit, "a");
    assert_string_equal(c->certs[0].deployments[0].name, "#1");
    assert_int_equal(c->certs[1].cas.n, 1);
    assert_int_equal(c->certs[1].key, CONF_KEY_ECDSA_P384);
    assert_true(c->certs[1].ari);
    assert_int_equal(c->certs[1].n_deployments, 0);
    assert_int_equal(c->certs[1].renew_before_ms, 1209600000);
    assert_int_equal(c->certs[1].renew_before_percent, 0);
    assert_string_equal(c->certs[1].profile, "classic");
    assert_false(c->certs[1].profile_or_default);
    assert_false(c->certs[1].enabled);
    assert_true(c->certs[1].reuse_key);
    assert_int_equal(c->certs[2].key, CONF_KEY_RSA_4096); /* an empty key is absent */
    assert_int_equal(c->certs[2].n_deployments, 1);
    assert_int_equal(c->certs[2].cas.n, 2);
}

static void test_merge_keys(void **state)
{
    struct fixture *f = *state;
    struct conf *c = fixture_load(
        f, "x-t: &t {key: rsa-2048, ari: false}\nx-u: &u {key: rsa-3072, reuse_key: true}\n"
           "x-n: &n a.example.org\n" WITH_PROVIDER
           "  - {<<: *t, names: [*n]}\n  - {names: [b.example.org], <<: [*t, *u], ari: true}\n");

    fixture_good(f);
    assert_string_equal(c->certs[0].name, "a.example.org");
    assert_int_equal(c->certs[0].key, CONF_KEY_RSA_2048);
    assert_false(c->certs[0].ari);
    assert_int_equal(c->certs[1].key, CONF_KEY_RSA_2048); /* the earlier of the list wins */
    assert_true(c->certs[1].reuse_key);
    assert_true(c->certs[1].ari); /* what is written wins */
}

static void test_cas(void **state)
{
    struct fixture *f = *state;

    fixture_write(f, "root.pem", "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n",
                  0644);
    struct conf *c = fixture_load(
        f, "defaults: {email: me@example.org, agree_tos: true, ca: [corp, short]}\ncas:\n"
           "  corp: {directory: \"https://ca.example/dir\", ca_file: root.pem, agree_tos: false,\n"
           "    account: other, timeout: 2m, max_orders: 7, staging: test, preferred_chain: R X1}\n"
           "  test: {directory: \"https://test.example/dir\", email: you@example.org}\n"
           "  short: {preset: letsencrypt, profile: shortlived}\n"
           "  letsencrypt: {directory: \"https://localhost:14000/dir\"}\n"
           "  unused: {preset: zerossl}\n" WITH_PROVIDER "  - {names: [wiki], ca: corp}\n");
    const struct conf_ca *ca = conf_find_ca(c, "corp");

    fixture_good(f);
    assert_string_equal(ca->email, "me@example.org");
    assert_false(ca->agree_tos);
    assert_string_equal(ca->account, "other");
    assert_int_equal(ca->timeout_ms, 120000);
    assert_int_equal(ca->max_orders, 7);
    assert_string_equal(ca->staging, "test");
    assert_string_equal(ca->preferred_chain, "R X1");
    assert_true(ca->ca_file[0] == '/');
    assert_non_null(strstr(ca->ca_pem, "BEGIN CERTIFICATE"));
    ca = conf_find_ca(c, "test");
    assert_string_equal(ca->email, "you@example.org");
    assert_true(ca->agree_tos);
    ca = conf_find_ca(c, "short");
    assert_string_equal(ca->directory, "https://acme-v02.api.letsencrypt.org/directory");
    assert_string_equal(ca->staging, "letsencrypt-staging");
    assert_string_equal(ca->profile, "shortlived");
    ca = conf_find_ca(c, "letsencrypt");
    assert_string_equal(ca->directory, "https://localhost:14000/dir");
    assert_string_equal(ca->staging, "");
    assert_non_null(conf_find_ca(c, "unused"));
    assert_string_equal(c->certs[0].name, "wiki");
}

static void test_deploy(void **state)
{
    struct fixture *f = *state;
    struct conf *c = fixture_load(
        f,
        "deployments:\n  gw: [{run: [/bin/push, \"%n\", \"%d\", \"100%%\"], timeout: 2m, user: "
        "root, once: true}]\n  none: []\n" WITH_PROVIDER
        "  - names: [a.example.org]\n    deploy:\n      - reload: nginx.service\n      - gw\n"
        "      - {file: out/%n.pem, content: [privkey, fullchain], mode: \"0640\", group: root}\n"
        "      - {file: /etc/x.pem}\n      - {file: /etc/k.pem, content: [privkey]}\n"
        "      - {verify: {connect: [\"localhost:443\", \"[::1]:8443\"], sni: A.example.org}}\n");
    const struct conf_cert *k = &c->certs[0];
    const struct conf_step *s;

    fixture_good(f);
    assert_int_equal(c->n_deployments, 2);
    assert_int_equal(k->n_deployments, 2);
    assert_string_equal(k->deployments[0].name, "gw");
    s = &k->deployments[0].steps[0];
    assert_int_equal(s->kind, CONF_STEP_RUN);
    assert_int_equal(s->argv.n, 4);
    assert_string_equal(s->argv.v[3], "100%%");
    assert_int_equal(s->timeout_ms, 120000);
    assert_true(s->once);
    assert_string_equal(k->deployments[1].name, "#1");
    assert_int_equal(k->deployments[1].n_steps, 5);
    s = k->deployments[1].steps;
    assert_int_equal(s[0].kind, CONF_STEP_RELOAD);
    assert_string_equal(s[0].unit, "nginx.service");
    assert_int_equal(s[0].timeout_ms, 60000);
    assert_string_equal(s[1].path + strlen(f->dir), "/out/%n.pem");
    assert_int_equal(s[1].mode, 0640);
    assert_int_equal(s[1].content[0], CONF_PRIVKEY);
    assert_string_equal(s[1].group, "root");
    assert_int_equal(s[2].mode, 0644);
    assert_int_equal(s[2].content[0], CONF_FULLCHAIN);
    assert_int_equal(s[3].mode, 0600);
    assert_int_equal(s[4].kind, CONF_STEP_VERIFY);
    assert_string_equal(s[4].connect.v[1], "[::1]:8443");
    assert_string_equal(s[4].sni, "a.example.org");
}

static void test_users(void **state)
{
    struct fixture *f = *state;
    struct conf *c = fixture_load(f, "user: root\n");

    fixture_good(f);
    assert_string_equal(c->user, "root");
    assert_true(c->user_set);
    assert_false(c->worker_user_set);
    if (geteuid() == 0 && !getpwnam("renewd-worker")) {
        assert_string_equal(c->worker_user, "nobody");
        fixture_says(f, true, "renewd.yaml", 1, 1, "worker_user: there is no user renewd-worker");
    } else {
        assert_string_equal(c->worker_user, "renewd-worker");
    }
}

static void test_warnings(void **state)
{
    struct fixture *f = *state;

    fixture_load(f, WITH_PROVIDER "  - names: [a.example.org]\n    key_mode: \"0644\"\n"
                                  "    owner: renewd-no-such-user\n");
    fixture_good(f);
    fixture_says(f, true, NULL, 4, 15, "0644 lets everyone read the private key");
    fixture_says(f, true, NULL, 5, 12, "there is no user renewd-no-such-user here");
    fixture_load(f, WITH_PROVIDER "  - names: [a.org]\n    http01: {webroot: /x}\n"
                                  "    tlsalpn01: {listen: [\"[::1]:443\"]}\n"
                                  "    dns_persist01: {until: 90d}\n");
    fixture_good(f);
    fixture_says(f, true, NULL, 4, 13, "http01: no name of this certificate is proved by http-01");
    fixture_says(f, true, NULL, 5, 16, "tlsalpn01: no name of this certificate is proved by tls-");
    fixture_says(f, true, NULL, 6, 20, "write challenge: dns-persist-01");
    fixture_load(f, WITH_PROVIDER "  - {names: [192.0.2.7], challenge: http-01}\n"
                                  "  - {names: [198.51.100.7], challenge: http-01, profile: x}\n");
    fixture_good(f);
    fixture_says(f, true, NULL, 3, 14, "certifies addresses with the profile shortlived only");
    fixture_load(f, WITH_PROVIDER
                 "  - names: [a1.example, a2.example, a3.example, a4.example, a5.example,\n"
                 "      a6.example, a7.example, a8.example, a9.example, b1.example, b2.example,\n"
                 "      b3.example, b4.example, b5.example, b6.example, b7.example, b8.example,\n"
                 "      b9.example, c1.example, c2.example, c3.example, c4.example, c5.example,\n"
                 "      c6.example, c7.example, c8.example]\n    profile: tlsserver\n");
    fixture_good(f);
    fixture_says(f, true, NULL, 3, 12,
                 "names: there are 26: Let's Encrypt takes at most 25 in one");
    fixture_load(f, WITH_PROVIDER "  - xn--i-7iq.example\n");
    fixture_good(f);
    fixture_says(f, true, NULL, 3, 5, "a character that IDNA2008 does not allow");
    fixture_write(f, "renewd.yaml", "version: 1\n", 0666);
    fixture_reload(f, NULL);
    fixture_good(f);
    fixture_says(f, true, NULL, 1, 1, "everyone can write this file: chmod o-w ");
}

static void test_resolvers(void **state)
{
    struct fixture *f = *state;
    struct conf *c;

    fixture_write(f, "resolv.conf",
                  "#nameserver 192.0.2.8\nnameserver\t192.0.2.3 # x\n  nameserver fe80::1%eth0\n"
                  "nameservers 192.0.2.4\nnameserver nonsense\nnameserver ::1\r\n",
                  0644);
    c = fixture_load(f, "");
    assert_int_equal(c->dns_zones[0].resolvers.n, 3);
    assert_string_equal(c->dns_zones[0].resolvers.v[0], "192.0.2.3");
    assert_string_equal(c->dns_zones[0].resolvers.v[1], "[fe80::1%eth0]");
    assert_string_equal(c->dns_zones[0].resolvers.v[2], "[::1]");
    fixture_write(f, "resolv.conf", "search x\n", 0644);
    c = fixture_load(f, "");
    fixture_good(f);
    assert_string_equal(c->dns_zones[0].resolvers.v[0], "127.0.0.1");
    fixture_says(f, true, "renewd.yaml", 1, 1, "resolv.conf names no server: 127.0.0.1 is asked");
}

static void test_many(void **state)
{
    struct fixture *f = *state;
    struct buf b;
    struct conf *c;

    buf_init(&b, 16 << 20);
    buf_puts(&b, WITH_PROVIDER);
    for (int i = 0; i < 20000; i++)
        buf_putf(&b, "  - {name: c%d, names: [h%d.example.org, \"*.h%d.example.org\"]}\n", i, i, i);
    c = fixture_load(f, buf_str(&b));
    fixture_good(f);
    assert_int_equal(c->n_certs, 20000);
    assert_string_equal(conf_find_cert(c, "c19999")->names[0].name, "h19999.example.org");
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_empty),         T(test_commented_default),
        T(test_cert_defaults), T(test_replace),
        T(test_merge_keys),    T(test_cas),
        T(test_deploy),        T(test_users),
        T(test_warnings),      T(test_resolvers),
        T(test_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
