/* SPDX-License-Identifier: ISC */
/* live/ and archive/: what is refused, what lies there, and what a kill at any instant leaves. */
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "keeper/fixture.h"
#include "keeper/install.h"
#include "keeper/killing.h"
#include "keys/pkey.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static int setup(void **state)
{
    struct fixture *f = xnew(struct fixture);
    fixture_open(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_close(*state);
    free(*state);
    return 0;
}

static struct live installed(struct fixture *f)
{
    struct live l;
    struct err e = ERR_INIT;
    if (live_read(&f->dir, "www", &l, &e))
        fail_msg("%s", e.detail);
    return l;
}

static mode_t mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

static void prepare(struct fixture *f, bool fresh)
{
    struct err e = ERR_INIT;
    if (fixture_prepare(f, fresh, &e))
        fail_msg("%s", e.detail);
}

static size_t count_in(const char *path)
{
    size_t n = 0;
    DIR *d = opendir(path);
    assert_non_null(d);
    for (struct dirent *it; (it = readdir(d));)
        n += it->d_name[0] != '.';
    closedir(d);
    return n;
}

/* ---- the ordinary way ---- */

static void test_installs(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct stat st;
    char link[256] = "";
    mode_t old = umask(0);
    if (fixture_install(f, -1, 24 * 90, &e))
        fail_msg("%s", e.detail);
    umask(old);
    assert_true(fixture_live_matches(f));
    assert_int_equal(lstat(fixture_path(f, "live/www"), &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    assert_int_equal(st.st_mode & 07777, 0755);
    assert_int_equal(mode_of(fixture_path(f, "live/www/privkey.pem")), 0600);
    assert_int_equal(mode_of(fixture_path(f, "live/www/cert.pem")), 0644);
    assert_int_equal(mode_of(fixture_path(f, "live/www/chain.pem")), 0644);
    assert_int_equal(mode_of(fixture_path(f, "live/www/fullchain.pem")), 0644);
    assert_int_equal(mode_of(fixture_path(f, "live/www/README")), 0644);
    assert_int_equal(mode_of(fixture_path(f, "pending")), 0700);
    assert_int_equal(mode_of(fixture_path(f, "accounts")), 0700);
    assert_int_equal(mode_of(fixture_path(f, "engine")), 0700);
    assert_true(readlink(fixture_path(f, "live/www/privkey.pem"), link, sizeof(link) - 1) > 0);
    assert_string_equal(link, ".current/privkey.pem");
    assert_int_not_equal(access(fixture_path(f, "pending/www.pem"), F_OK), 0);
}

static void test_tells_what_is_installed(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct live l = installed(f);
    assert_false(l.present);
    assert_string_equal(l.cert_id, "");
    live_done(&l);
    assert_int_equal(fixture_install(f, -1, 24, &e), 0);
    l = installed(f);
    struct keeper_msg_installed_is m = certs_tell(&f->conf, &f->cert, &l, true);
    assert_true(m.present);
    assert_true(m.names_match);
    assert_false(m.staging);
    assert_int_equal(m.not_after_ms, f->now_ms + (int64_t)24 * 3600 * 1000);
    assert_string_equal(m.directory, "https://le.example/directory");
    assert_string_equal(m.account, "https://le.example/acct/1");
    assert_string_equal(m.issuer, "Test CA");
    assert_true(strchr(m.cert_id, '.') != NULL);
    assert_true(str_starts(m.leaf_pem, "-----BEGIN CERTIFICATE-----"));
    assert_int_equal(strlen(m.fingerprint), 64);
    f->cert.n_names = 1;
    assert_false(certs_tell(&f->conf, &f->cert, &l, true).names_match);
    live_done(&l);
}

static void test_again_is_success(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct buf chain;
    prepare(f, false);
    buf_init(&chain, 1 << 20);
    fixture_chain(f, -1, 24, &chain);
    for (int i = 0; i < 3; i++) {
        if (fixture_install_chain(f, &chain, &e))
            fail_msg("%s", e.detail);
        assert_int_equal(count_in(fixture_path(f, "archive/www")), 1);
    }
    buf_free(&chain);
}

static void test_key_mode_and_owner(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct stat st;
    char group[] = "12345", nobody[] = "no-such-user-here";
    f->cert.key_mode = 0640;
    if (geteuid() == 0)
        f->cert.group = group;
    assert_int_equal(fixture_install(f, -1, 24, &e), 0);
    assert_int_equal(stat(fixture_path(f, "live/www/privkey.pem"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    if (geteuid() == 0)
        assert_int_equal(st.st_gid, 12345);
    f->cert.owner = nobody;
    assert_int_equal(fixture_install(f, -1, 24, &e), -1);
    assert_int_equal(e.cls, ERR_CONFIG);
}

static void test_renewal_switches_and_keeps_the_old(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    assert_int_equal(fixture_install(f, -1, 24, &e), 0);
    struct live first = installed(f);
    assert_int_equal(fixture_install(f, 0, 48, &e), 0);
    struct live second = installed(f);
    assert_string_not_equal(first.fingerprint, second.fingerprint);
    assert_string_not_equal(first.spki, second.spki);
    assert_true(fixture_live_matches(f));
    assert_int_equal(count_in(fixture_path(f, "archive/www")), 2);
    live_done(&first);
    live_done(&second);
}

static void test_archive_keep(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    f->conf.archive_keep = 2;
    for (int i = 0; i < 6; i++) {
        f->now_ms += (int64_t)10 * 3600 * 1000;
        if (fixture_install(f, -1, 24, &e))
            fail_msg("%s", e.detail);
    }
    /* 10 h apart, 24 h long: of five old ones two are valid still, two expired ones are kept */
    assert_int_equal(count_in(fixture_path(f, "archive/www")), 1 + 2 + 2);
    assert_true(fixture_live_matches(f));
}

static void test_reuse_key(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    f->cert.reuse_key = true;
    assert_int_equal(fixture_install(f, -1, 24, &e), 0);
    struct live first = installed(f);
    assert_int_equal(fixture_install(f, 0, 48, &e), 0);
    struct live second = installed(f);
    assert_string_equal(first.spki, second.spki);
    live_done(&first);
    live_done(&second);
}

static void test_pending_key_is_kept_until_it_fits_no_more(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    uint8_t first[SHA256_LEN];
    prepare(f, false);
    memcpy(first, pending_get(f->pendings, "www", &e)->spki, SHA256_LEN);
    fixture_reopen(f);
    prepare(f, false);
    assert_memory_equal(pending_get(f->pendings, "www", &e)->spki, first, SHA256_LEN);
    f->cert.n_names = 1;
    prepare(f, false);
    assert_memory_not_equal(pending_get(f->pendings, "www", &e)->spki, first, SHA256_LEN);
    memcpy(first, pending_get(f->pendings, "www", &e)->spki, SHA256_LEN);
    f->cert.key = CONF_KEY_ECDSA_P384;
    prepare(f, false);
    assert_memory_not_equal(pending_get(f->pendings, "www", &e)->spki, first, SHA256_LEN);
    memcpy(first, pending_get(f->pendings, "www", &e)->spki, SHA256_LEN);
    prepare(f, true);
    assert_memory_not_equal(pending_get(f->pendings, "www", &e)->spki, first, SHA256_LEN);
    assert_int_equal(mode_of(fixture_path(f, "pending/www.pem")), 0600);
    assert_int_equal(count_in(fixture_path(f, "pending")), 1);
}

static void test_damaged_pending_is_made_anew(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    prepare(f, false);
    assert_int_equal(truncate(fixture_path(f, "pending/www.pem"), 20), 0);
    fixture_reopen(f);
    assert_null(pending_get(f->pendings, "www", &e));
    assert_int_equal(e.cls, ERR_LOCAL);
    prepare(f, false);
    fixture_reopen(f);
    assert_non_null(pending_get(f->pendings, "www", &e));
}

static void test_rsa_is_left_to_another_process(void **state)
{
    struct fixture *f = *state;
    struct certs_env env = fixture_certs(f);
    struct err e = ERR_INIT;
    struct certs_work *w;
    bool generate = false;
    f->cert.key = CONF_KEY_RSA_2048;
    assert_int_equal(certs_prepare(&env, &f->cert, false, &generate, &w, &e), 0);
    assert_true(generate);
    assert_null(w);
    assert_null(pending_get(f->pendings, "www", &e));
    struct pkey *key = pkey_generate(KEY_RSA_2048, &e);
    assert_int_equal(certs_prepared(&f->cert, key, &f->dir, &w, &e), 0);
    assert_int_equal(fixture_run(f, w, &e), 0);
    certs_work_free(w);
    pkey_free(key);
    assert_int_equal(certs_prepare(&env, &f->cert, false, &generate, &w, &e), 0);
    assert_false(generate);
    assert_null(w);
}

/* ---- refusals ---- */

static void refused(struct fixture *f, const struct testca_leaf *leaf, struct pkey *key,
                    const char *why)
{
    struct err e = ERR_INIT;
    struct buf chain;
    buf_init(&chain, 1 << 20);
    testca_issue(leaf, pkey_evp(key), &chain);
    assert_int_equal(fixture_install_chain(f, &chain, &e), -1);
    assert_int_equal(e.cls, ERR_PEER);
    if (!strstr(e.detail, why))
        fail_msg("\"%s\" lacks \"%s\"", e.detail, why);
    buf_free(&chain);
}

static struct pkey *pending_key(struct fixture *f)
{
    struct err e = ERR_INIT;
    const struct pending *k = pending_get(f->pendings, "www", &e);
    return pkey_from_pem(buf_str(&k->pem), k->pem.len, &e);
}

static void test_refusals(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    const int64_t h = 3600 * 1000;
    prepare(f, false);
    struct pkey *key = pending_key(f), *other = pkey_generate(KEY_ECDSA_P256, &e);
    const struct testca_leaf good = {.names = {"www.example.org", "*.example.org"},
                                     .from_ms = f->now_ms - h,
                                     .to_ms = f->now_ms + 90 * 24 * h};
    struct testca_leaf l = good;
    refused(f, &l, other, "another key");
    l.names[1] = NULL;
    refused(f, &l, key, "names");
    l = good;
    l.names[2] = "evil.example.net";
    refused(f, &l, key, "names");
    l = good;
    l.to_ms = f->now_ms - 1000;
    refused(f, &l, key, "expired");
    l = good;
    l.from_ms = f->now_ms + 49 * h;
    refused(f, &l, key, "valid only from");
    l = good;
    l.bad_signature = true;
    refused(f, &l, key, "signed");
    assert_int_not_equal(access(fixture_path(f, "live/www"), F_OK), 0);
    assert_non_null(pending_get(f->pendings, "www", &e));
    pkey_free(key);
    pkey_free(other);
}

static void test_older_is_refused(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    f->cert.reuse_key = true;
    assert_int_equal(fixture_install(f, -1, 24, &e), 0);
    prepare(f, false);
    struct pkey *key = pending_key(f);
    struct testca_leaf l = {.names = {"www.example.org", "*.example.org"},
                            .from_ms = f->now_ms - (int64_t)2 * 3600 * 1000,
                            .to_ms = f->now_ms + (int64_t)90 * 24 * 3600 * 1000};
    refused(f, &l, key, "older");
    pkey_free(key);
}

static void install_text(struct fixture *f, const char *text, size_t n)
{
    struct err e = ERR_INIT;
    struct buf chain;
    buf_init(&chain, 1 << 20);
    buf_put(&chain, text, n);
    assert_int_equal(fixture_install_chain(f, &chain, &e), -1);
    assert_int_equal(e.cls, ERR_PEER);
    buf_free(&chain);
}

static void test_key_inside_the_chain_is_refused(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct buf chain;
    prepare(f, false);
    buf_init(&chain, 1 << 20);
    fixture_chain(f, -1, 24, &chain);
    buf_puts(&chain, pending_get(f->pendings, "www", &e)->pem.data);
    install_text(f, chain.data, chain.len);
    install_text(f, "", 0);
    install_text(f, "not a chain", 11);
    install_text(f, chain.data, 300);
    buf_free(&chain);
}

static void test_foreign_ca_and_names_are_refused(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct live l;
    bool changed;
    struct buf chain;
    char other[] = "other";
    prepare(f, false);
    buf_init(&chain, 1 << 20);
    fixture_chain(f, -1, 24, &chain);
    struct keeper_msg_install m = {.cert = "nothing",
                                   .ca = "le",
                                   .account_url = "https://a/1",
                                   .chain = {chain.data, chain.len}};
    assert_int_equal(fixture_certs_install(f, &m, &l, &changed, &e), -1);
    assert_int_equal(e.cls, ERR_BUG);
    m.cert = "www";
    m.ca = "no-such";
    assert_int_equal(fixture_certs_install(f, &m, &l, &changed, &e), -1);
    assert_int_equal(e.cls, ERR_DENIED);
    m.ca = "le";
    f->cert_cas[0] = other;
    assert_int_equal(fixture_certs_install(f, &m, &l, &changed, &e), -1);
    assert_int_equal(e.cls, ERR_DENIED);
    f->cert_cas[0] = f->cas[0].name;
    m.account_url = "http://a/1";
    assert_int_equal(fixture_certs_install(f, &m, &l, &changed, &e), -1);
    m.account_url = "https://a/1";
    m.ca = "le-staging";
    assert_int_equal(fixture_certs_install(f, &m, &l, &changed, &e), 0);
    assert_true(l.staging);
    live_done(&l);
    buf_free(&chain);
}

/* ---- what other tools left ---- */

static void put(struct fixture *f, const char *name, const struct buf *b)
{
    struct err e = ERR_INIT;
    const struct file_attr attr = {.mode = 0644, .uid = (uid_t)-1, .gid = (gid_t)-1};
    if (file_create_at(AT_FDCWD, fixture_path(f, "live/www/%s", name), b->data, b->len, &attr, &e))
        fail_msg("%s", e.detail);
}

static void adopt(struct fixture *f)
{
    struct err e = ERR_INIT;
    struct buf chain, pem;
    struct pkey *key = pkey_generate(KEY_ECDSA_P256, &e);
    struct testca_leaf l = {.names = {"www.example.org", "*.example.org"},
                            .from_ms = f->now_ms - 3600 * 1000,
                            .to_ms = f->now_ms + 3600 * 1000};
    buf_init(&chain, 1 << 20);
    buf_init_secret(&pem, PKEY_PEM_MAX);
    testca_issue(&l, pkey_evp(key), &chain);
    pkey_to_pem(key, &pem, &e);
    assert_int_equal(mkdir(fixture_path(f, "live/www"), 0755), 0);
    put(f, "fullchain.pem", &chain);
    put(f, "privkey.pem", &pem);
    put(f, "cert.pem", &chain);
    buf_free(&chain);
    buf_free(&pem);
    pkey_free(key);
}

static void test_adopts(void **state)
{
    struct fixture *f = *state;
    adopt(f);
    struct live l = installed(f);
    assert_true(l.present);
    assert_false(l.ours);
    assert_int_equal(l.not_after_ms, f->now_ms + 3600 * 1000);
    assert_string_equal(l.directory, "");
    assert_true(certs_tell(&f->conf, &f->cert, &l, false).names_match);
    live_done(&l);
}

static void test_adopted_folder_is_moved_to_the_archive(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    adopt(f);
    if (fixture_install(f, 0, 24, &e))
        fail_msg("%s", e.detail);
    assert_true(fixture_live_matches(f));
    struct live l = installed(f);
    assert_true(l.ours);
    live_done(&l);
    assert_int_equal(count_in(fixture_path(f, "archive/www")), 2);
}

static void test_meta_of_another_certificate_is_not_believed(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    char from[256], to[256];
    assert_int_equal(fixture_install(f, -1, 24, &e), 0);
    snprintf(from, sizeof(from), "%s", fixture_path(f, "live/www/.current/meta.json"));
    snprintf(to, sizeof(to), "%s/old-meta", f->top);
    assert_int_equal(link(from, to), 0);
    assert_int_equal(fixture_install(f, 0, 48, &e), 0);
    snprintf(from, sizeof(from), "%s", fixture_path(f, "live/www/.current/meta.json"));
    assert_int_equal(rename(to, from), 0);
    struct live l = installed(f);
    assert_int_equal(l.not_after_ms, f->now_ms + (int64_t)48 * 3600 * 1000);
    assert_string_equal(l.directory, "");
    live_done(&l);
}

/* ---- killed at every instant ---- */

static struct buf the_chain;

static void act_install(struct fixture *f)
{
    struct err e = ERR_INIT;
    if (fixture_install_chain(f, &the_chain, &e)) {
        fprintf(stderr, "%s\n", e.detail);
        _exit(1);
    }
}

static void act_prepare(struct fixture *f)
{
    struct err e = ERR_INIT;
    if (fixture_prepare(f, false, &e))
        _exit(1);
}

static void no_leftovers(struct fixture *f)
{
    static const char *const folders[] = {"live", "archive", "pending", "accounts"};
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        DIR *d = opendir(fixture_path(f, "%s", folders[i]));
        for (struct dirent *it; (it = readdir(d));) {
            if (it->d_name[0] == '.' && !str_eq(it->d_name, ".") && !str_eq(it->d_name, ".."))
                fail_msg("%s was left in %s", it->d_name, folders[i]);
        }
        closedir(d);
    }
}

/* Prepared state, the chain for its key; then at every call: killed, looked at, healed, looked at.
 */
static void sweep(struct fixture *f, void (*begin)(struct fixture *), int at_least)
{
    int n = 0;
    for (bool killed = true; killed; n++) {
        struct err e = ERR_INIT;
        char before[SHA256_HEX];
        fixture_close(f);
        fixture_open(f);
        begin(f);
        struct live l = installed(f);
        memcpy(before, l.fingerprint, sizeof(before));
        bool had = l.present;
        live_done(&l);
        prepare(f, false);
        buf_init(&the_chain, 1 << 20);
        fixture_chain(f, 0, 48, &the_chain);
        killed = kill_before(f, act_install, n);
        assert_int_equal(fixture_live_matches(f) || !had, true);
        fixture_reopen(f);
        assert_int_equal(fixture_live_matches(f) || !had, true);
        /* either the key still waits for its certificate, or that is what is installed */
        if (fixture_install_chain(f, &the_chain, &e))
            fail_msg("killed before call %d: %s", n, e.detail);
        assert_true(fixture_live_matches(f));
        l = installed(f);
        assert_string_not_equal(l.fingerprint, before);
        assert_int_equal(l.not_after_ms, f->now_ms + (int64_t)48 * 3600 * 1000);
        live_done(&l);
        no_leftovers(f);
        assert_int_equal(count_in(fixture_path(f, "pending")), 0);
        buf_free(&the_chain);
    }
    print_message("%d instants\n", n);
    assert_true(n >= at_least);
}

static void begin_empty(struct fixture *f)
{
    (void)f;
}

static void begin_installed(struct fixture *f)
{
    struct err e = ERR_INIT;
    assert_int_equal(fixture_install(f, -1, 24, &e), 0);
}

static void test_killed_at_the_first(void **state)
{
    sweep(*state, begin_empty, 25);
}

static void test_killed_at_a_renewal(void **state)
{
    sweep(*state, begin_installed, 20);
}

static void test_killed_while_adopted_is_replaced(void **state)
{
    sweep(*state, adopt, 25);
}

/* An order that has been prepared may be finished after any kill of prepare: nothing half is used.
 */
static void test_killed_while_preparing(void **state)
{
    struct fixture *f = *state;
    int n = 0;
    for (bool killed = true; killed; n++) {
        struct err e = ERR_INIT;
        fixture_close(f);
        fixture_open(f);
        killed = kill_before(f, act_prepare, n);
        fixture_reopen(f);
        pending_get(f->pendings, "www", &e);
        assert_true(e.cls == ERR_NONE || strstr(e.detail, "not written to its end"));
        prepare(f, false);
        assert_int_equal(fixture_install(f, 0, 48, &e), 0);
        assert_true(fixture_live_matches(f));
        no_leftovers(f);
    }
    assert_true(n >= 5);
}

static void test_one_daemon_a_folder(void **state)
{
    struct fixture *f = *state;
    struct statedir second;
    struct err e = ERR_INIT;
    assert_int_equal(statedir_open(&second, f->path, geteuid(), getegid(), &e), -1);
    assert_string_equal(e.type, STATEDIR_LOCKED);
    assert_non_null(strstr(e.detail, f->path));
    statedir_close(&second);
}

static void test_names_of_folders(void **state)
{
    (void)state;
    assert_true(statedir_name_ok("www.example.org"));
    assert_true(statedir_name_ok("a_b-C9"));
    assert_false(statedir_name_ok(""));
    assert_false(statedir_name_ok("."));
    assert_false(statedir_name_ok(".."));
    assert_false(statedir_name_ok(".new-x"));
    assert_false(statedir_name_ok("a/b"));
    assert_false(statedir_name_ok("*.x"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_installs),
        T(test_tells_what_is_installed),
        T(test_again_is_success),
        T(test_key_mode_and_owner),
        T(test_renewal_switches_and_keeps_the_old),
        T(test_archive_keep),
        T(test_reuse_key),
        T(test_pending_key_is_kept_until_it_fits_no_more),
        T(test_damaged_pending_is_made_anew),
        T(test_rsa_is_left_to_another_process),
        T(test_refusals),
        T(test_older_is_refused),
        T(test_key_inside_the_chain_is_refused),
        T(test_foreign_ca_and_names_are_refused),
        T(test_adopts),
        T(test_adopted_folder_is_moved_to_the_archive),
        T(test_meta_of_another_certificate_is_not_believed),
        T(test_killed_at_the_first),
        T(test_killed_at_a_renewal),
        T(test_killed_while_adopted_is_replaced),
        T(test_killed_while_preparing),
        T(test_one_daemon_a_folder),
        cmocka_unit_test(test_names_of_folders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
