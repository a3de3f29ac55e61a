/* SPDX-License-Identifier: ISC */
#include "conf/fixture.h"

#include <string.h>

#define T(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
#define BASE                                                                                       \
    "providers: {p: {plugin: rfc2136, server: a, key_secret: x}}\n"                                \
    "cas: {corp: {directory: \"https://ca.example/d\"}}\n"
#define CERT(more) BASE "certificates: [{name: c, names: [a.org, b.org]" more "}]\n"

/* The lines of the diff, and nothing else. */
static void check(struct fixture *f, const char *from, const char *to, const char *const *lines)
{
    struct conf *old;
    struct conf_messages m;
    size_t n = 0;

    old = fixture_load(f, from);
    fixture_good(f);
    conf_ref(old);
    fixture_load(f, to);
    fixture_good(f);
    m = conf_diff(old, f->conf);
    for (; lines[n]; n++) {
        bool found = false;

        for (size_t i = 0; i < m.n; i++)
            found |= !strcmp(m.v[i].text, lines[n]);
        if (!found) {
            for (size_t i = 0; i < m.n; i++)
                print_message("  %s\n", m.v[i].text);
            fail_msg("the diff does not say: %s", lines[n]);
        }
    }
    assert_int_equal(m.n, n);
    conf_messages_free(&m);
    conf_unref(old);
}
#define DIFF(f, from, to, ...) check(f, from, to, (const char *const[]){__VA_ARGS__, NULL})

static void test_certificates(void **state)
{
    struct fixture *f = *state;

    DIFF(f, CERT(""), CERT(""), NULL);
    DIFF(f, CERT(""), BASE "certificates: [{name: c, names: [b.org, a.org]}]\n", NULL);
    DIFF(f, CERT(""), BASE "certificates: [{name: c, names: [a.org, x.org]}]\n",
         "certificates: c: names changed (+x.org -b.org): reissued now");
    DIFF(f, CERT(""), BASE,
         "certificates: c: removed: renewal stops, its files stay (renewctl "
         "delete c archives them)",
         "cas: letsencrypt: removed", "cas: letsencrypt-staging: removed");
    DIFF(f, CERT(""), BASE "certificates: [{name: c, names: [a.org, b.org]}, d.org]\n",
         "certificates: d.org: added: issued now");
    DIFF(f, CERT(""), CERT(", key: rsa-2048"), "certificates: c: key changed: at the next renewal");
    DIFF(f, CERT(""), CERT(", profile: x"),
         "certificates: c: profile changed: at the next renewal");
    DIFF(f, CERT(", ca: corp"), CERT(", ca: [corp, letsencrypt]"), "cas: letsencrypt: added",
         "cas: letsencrypt-staging: added",
         "certificates: c: ca changed: at the next renewal (now, if the present certificate is "
         "from a "
         "staging CA)");
    DIFF(f, CERT(", ca: letsencrypt-staging"), CERT(""), "cas: letsencrypt: added",
         "certificates: c: ca changed: the present certificate is from a staging CA: reissued now");
    DIFF(f, CERT(""), CERT(", enabled: false"),
         "certificates: c: disabled: renewal stops, its files stay");
    DIFF(f, CERT(""), CERT(", renew_before: 10d"),
         "certificates: c: renew_before or ari changed: its next renewal is planned anew");
    DIFF(f, CERT(""), CERT(", key_mode: \"0640\""),
         "certificates: c: owner, group or key_mode changed: at the next renewal");
    DIFF(f, CERT(""), CERT(", deploy: [{reload: x}]"),
         "certificates: c: deploy changed: at the next deployment (now: renewctl deploy c)");
    DIFF(f, CERT(""), CERT(", provider: p"),
         "certificates: c: provider changed: from the next order on");
    DIFF(f, CERT(""), CERT(", challenge: [dns-01, http-01]"),
         "certificates: c: challenge changed: from the next order on");
    DIFF(f, CERT(", challenge: http-01"), CERT(", challenge: http-01, http01: {webroot: /x}"),
         "certificates: c: challenge changed: from the next order on");
    DIFF(f, CERT(", challenge: dns-persist-01"),
         CERT(", challenge: dns-persist-01, dns_persist01: {until: 9d}"),
         "certificates: c: challenge changed: from the next order on");
    DIFF(f, CERT(", ca: corp"), CERT(", ca: corp, must_staple: true"),
         "certificates: c: must_staple changed: at the next renewal");
    fixture_write(f, "a.csr", FIXTURE_CSR, 0644);
    DIFF(f, CERT(""), CERT(", csr: a.csr"), "certificates: c: csr changed: at the next renewal");
    DIFF(f, CERT(""), CERT(", key: [ecdsa-p256, rsa-2048]"),
         "certificates: c+rsa-2048: added: issued now");
}

static void test_the_rest(void **state)
{
    struct fixture *f = *state;

    static const char *const p = "providers: {p: {plugin: rfc2136, server: a, key_secret: x}}\n";

    DIFF(f, p, "providers: {p: {plugin: rfc2136, server: a, key_secret: y}}\n",
         "providers: p: changed: its worker is started anew");
    DIFF(f, p, "providers: {q: {plugin: rfc2136, server: a}}\n", "providers: q: added",
         "providers: p: removed");
    DIFF(f, "", "dns: {timeout: 1m}\n", "dns: changed: from the next check on");
    DIFF(f, "", "log_level: warn\n", "log_level: changed");
    DIFF(f, "", "archive_keep: 9\n", "archive_keep: changed from 5 to 9");
    DIFF(f, "", "state_dir: /x\n",
         "state_dir: changed from /var/lib/renewd to /x: takes effect after a restart of renewd");
    DIFF(f, "cas: {zerossl: {timeout: 1m}}\n", "cas: {zerossl: {timeout: 2m}}\n",
         "cas: zerossl: changed: from the next order on");
    DIFF(f, "cas: {zerossl: {}}\n", "cas: {zerossl: {eab: {kid: a, hmac_key: b}}}\n",
         "cas: zerossl: changed: from the next order on");
    DIFF(f, "cas: {letsencrypt: {}}\n", "cas: {letsencrypt: {limits: {orders: 9/1h}}}\n",
         "cas: letsencrypt: changed: from the next order on");
    DIFF(f, "cas: {zerossl: {}}\n", "cas: {zerossl: {account_key: rsa-2048}}\n",
         "cas: zerossl: account_key changed: for an account that is yet to be made (renewctl "
         "account rollover changes the key of one that is there)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {T(test_certificates), T(test_the_rest)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
