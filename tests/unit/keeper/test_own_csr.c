/* SPDX-License-Identifier: ISC */
/* CSRs of users' own: which are taken, and what stands on the disk without their key. */
#include "base/mem.h"
#include "base/str.h"
#include "digest/pem.h"
#include "keeper/fixture.h"
#include "keeper/own_csr.h"
#include "keys/csr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct subject {
    struct fixture f;
    struct pkey *key; /* the user's */
    struct buf csr;   /* PEM */
};

static void request(struct subject *s, const char *const *names, size_t n)
{
    struct err e = ERR_INIT;
    CLEANUP_BUF struct buf der;
    buf_init(&der, 65536);
    assert_int_equal(csr_put(s->key, names, n, &der, &e), 0);
    buf_free(&s->csr);
    buf_init(&s->csr, 65536);
    assert_int_equal(pem_put(&s->csr, "CERTIFICATE REQUEST", der.data, der.len), 0);
    s->f.cert.csr = "own.csr";
    s->f.cert.csr_pem = (char *)buf_str(&s->csr);
}

static const char *const both[] = {"*.example.org", "www.example.org"};

static int setup(void **state)
{
    struct err e = ERR_INIT;
    struct subject *s = xnew(struct subject);
    fixture_open(&s->f);
    buf_init(&s->csr, 65536);
    s->key = pkey_generate(KEY_ECDSA_P256, &e);
    assert_non_null(s->key);
    request(s, both, 2);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct subject *s = *state;
    fixture_close(&s->f);
    pkey_free(s->key);
    buf_free(&s->csr);
    free(s);
    return 0;
}

static void refused(struct subject *s, const char *text)
{
    struct err e = ERR_INIT;
    bool staple;
    assert_int_equal(own_csr_check(NULL, &s->f.cert, &staple, &e), -1);
    assert_int_equal(e.cls, ERR_CONFIG);
    if (!strstr(e.detail, text))
        fail_msg("\"%s\" is not in \"%s\"", text, e.detail);
}

static void test_names_must_be_the_configured_ones(void **state)
{
    static const char *const more[] = {"www.example.org", "*.example.org", "a.example.org"};
    struct subject *s = *state;
    struct err e = ERR_INIT;
    bool staple = true;
    if (own_csr_check(NULL, &s->f.cert, &staple, &e))
        fail_msg("%s", e.detail);
    assert_false(staple);
    request(s, both, 1);
    refused(s, "lacks www.example.org");
    request(s, more, 3);
    refused(s, "a.example.org, too");
    s->f.cert.csr_pem =
        "-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n";
    refused(s, "decoded");
}

static void install(struct subject *s, int from_h)
{
    struct err e = ERR_INIT;
    struct fixture *f = &s->f;
    struct testca_leaf leaf = {.names = {"www.example.org", "*.example.org"},
                               .from_ms = f->now_ms + from_h * 3600000LL,
                               .to_ms = f->now_ms + 48 * 3600000LL};
    CLEANUP_BUF struct buf chain;
    buf_init(&chain, 65536);
    testca_issue(&leaf, pkey_evp(s->key), &chain);
    if (fixture_install_chain(f, &chain, &e))
        fail_msg("%s", e.detail);
}

static bool there(struct subject *s, const char *path)
{
    struct stat st;
    return lstat(fixture_path(&s->f, "%s", path), &st) == 0;
}

static void test_installed_without_a_key(void **state)
{
    struct subject *s = *state;
    struct err e = ERR_INIT;
    struct live l;
    assert_int_equal(fixture_prepare(&s->f, true, &e), 0);
    assert_false(there(s, "pending/www.pem"));
    install(s, -2);
    assert_false(there(s, "live/www/privkey.pem"));
    assert_false(there(s, "live/www/.current/privkey.pem"));
    assert_true(there(s, "live/www/fullchain.pem"));
    fixture_reopen(&s->f); /* the order goes on without anything on the disk */
    install(s, -1);
    assert_int_equal(live_read(&s->f.dir, "www", &l, &e), 0);
    assert_true(l.present && l.ours);
    live_done(&l);
}

static void test_certificate_for_another_key(void **state)
{
    struct subject *s = *state;
    struct err e = ERR_INIT;
    struct pkey *other = pkey_generate(KEY_ECDSA_P256, &e);
    struct testca_leaf leaf = {.names = {"www.example.org", "*.example.org"},
                               .from_ms = s->f.now_ms - 3600000,
                               .to_ms = s->f.now_ms + 3600000};
    CLEANUP_BUF struct buf chain;
    buf_init(&chain, 65536);
    testca_issue(&leaf, pkey_evp(other), &chain);
    assert_int_equal(fixture_install_chain(&s->f, &chain, &e), -1);
    assert_int_equal(e.cls, ERR_PEER);
    assert_non_null(strstr(e.detail, "another key"));
    pkey_free(other);
}

static void test_from_key_to_request_and_back(void **state)
{
    struct subject *s = *state;
    struct err e = ERR_INIT;
    struct conf_cert with = s->f.cert;
    s->f.cert.csr = s->f.cert.csr_pem = "";
    if (fixture_install(&s->f, -5, 24, &e))
        fail_msg("%s", e.detail);
    assert_true(fixture_live_matches(&s->f));
    s->f.cert = with;
    install(s, -4);
    assert_false(there(s, "live/www/privkey.pem"));
    /* What is known of the request is no key of ours. */
    s->f.cert.csr = s->f.cert.csr_pem = "";
    assert_null(pending_of(s->f.pendings, &s->f.cert, &e));
    if (fixture_install(&s->f, -3, 24, &e))
        fail_msg("%s", e.detail);
    assert_true(fixture_live_matches(&s->f));
}

static void test_must_staple_makes_another_request(void **state)
{
    struct subject *s = *state;
    struct err e = ERR_INIT;
    s->f.cert.csr = s->f.cert.csr_pem = "";
    for (int round = 0; round < 2; round++) {
        assert_int_equal(fixture_prepare(&s->f, false, &e), 0);
        fixture_reopen(&s->f); /* as it stands on the disk */
        const struct pending *k = pending_of(s->f.pendings, &s->f.cert, &e);
        assert_non_null(k);
        assert_true(pending_fits(k, &s->f.cert));
        s->f.cert.must_staple = !s->f.cert.must_staple;
        assert_false(pending_fits(k, &s->f.cert));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_names_must_be_the_configured_ones, setup, teardown),
        cmocka_unit_test_setup_teardown(test_installed_without_a_key, setup, teardown),
        cmocka_unit_test_setup_teardown(test_certificate_for_another_key, setup, teardown),
        cmocka_unit_test_setup_teardown(test_from_key_to_request_and_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_must_staple_makes_another_request, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
