/* SPDX-License-Identifier: ISC */
/* Accounts and what is signed with them. */
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "digest/base64.h"
#include "keeper/fixture.h"
#include "keys/csr.h"
#include "link/keeper.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define ACCOUNT_URL "https://le.example/acct/1"

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

/* ---- a signed request, taken apart ---- */

struct parts {
    struct json *head;
    struct json *payload; /* NULL: POST-as-GET */
    char text[4096];
};

static struct json *decode(const struct json *jws, const char *key, char text[4096])
{
    struct buf b;
    struct err e = ERR_INIT;
    const char *coded = json_text(jws, key);
    assert_non_null(coded);
    buf_init(&b, 1 << 20);
    assert_int_equal(base64url_decode(&b, coded, strlen(coded)), 0);
    str_copy(text, 4096, buf_str(&b));
    struct json *j = b.len ? json_parse(b.data, b.len, &e) : NULL;
    buf_free(&b);
    return j;
}

static void parts_done(struct parts *p)
{
    json_free(p->head);
    json_free(p->payload);
}

static int ask(struct fixture *f, const struct keeper_msg_sign *m, struct parts *ret, struct err *e)
{
    struct sign_env env = fixture_sign(f);
    struct buf out;
    buf_init(&out, KEEPER_MSG_JWS_MAX);
    int rc = sign_request(&env, m, &out, e);
    if (rc == 0) {
        struct json *jws = json_parse(out.data, out.len, e);
        assert_non_null(jws);
        ret->head = decode(jws, "protected", ret->text);
        ret->payload = decode(jws, "payload", ret->text);
        assert_true(strlen(json_text(jws, "signature")) >= 86);
        json_free(jws);
    }
    buf_free(&out);
    return rc;
}

static struct keeper_msg_sign request(enum keeper_sign what, unsigned flags)
{
    return (struct keeper_msg_sign){.what = what,
                                    .flags = flags,
                                    .ca = "le",
                                    .cert = "www",
                                    .url = "https://le.example/x/1",
                                    .nonce = "abc-_9"};
}

static struct parts must(struct fixture *f, enum keeper_sign what, unsigned flags)
{
    struct keeper_msg_sign m = request(what, flags);
    struct parts p = {0};
    struct err e = ERR_INIT;
    if (ask(f, &m, &p, &e))
        fail_msg("%s", e.detail);
    assert_string_equal(json_text(p.head, "url"), m.url);
    assert_string_equal(json_text(p.head, "nonce"), m.nonce);
    assert_string_equal(json_text(p.head, "alg"), "ES256");
    return p;
}

static void register_account(struct fixture *f)
{
    struct err e = ERR_INIT;
    struct parts p = must(f, KEEPER_NEW_ACCOUNT, 0);
    parts_done(&p);
    struct account *a = accounts_get(f->accounts, &f->cas[0], &e);
    assert_int_equal(accounts_set_url(f->accounts, a, &f->cas[0], ACCOUNT_URL, &e), 0);
}

static void prepare(struct fixture *f)
{
    struct err e = ERR_INIT;
    assert_int_equal(fixture_prepare(f, false, &e), 0);
}

/* ---- accounts ---- */

static void test_new_account_makes_a_durable_key(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct stat st;
    mode_t old = umask(0);
    struct account *a = accounts_get(f->accounts, &f->cas[0], &e);
    assert_null(a->key);
    struct parts p = must(f, KEEPER_NEW_ACCOUNT, 0);
    umask(old);
    assert_non_null(json_get(p.head, "jwk"));
    assert_null(json_get(p.head, "kid"));
    assert_string_equal(p.text, "{}");
    parts_done(&p);
    assert_non_null(a->key);
    assert_int_equal(stat(fixture_path(f, "accounts/%s", a->id), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(stat(fixture_path(f, "accounts/%s/key.pem", a->id), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    char *thumbprint = xstrdup(pkey_thumbprint(a->key));
    fixture_reopen(f);
    a = accounts_get(f->accounts, &f->cas[0], &e);
    assert_string_equal(pkey_thumbprint(a->key), thumbprint);
    assert_string_equal(a->url, "");
    free(thumbprint);
}

static void test_account_url_is_kept(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct stat st;
    register_account(f);
    fixture_reopen(f);
    struct account *a = accounts_get(f->accounts, &f->cas[0], &e);
    assert_string_equal(a->url, ACCOUNT_URL);
    assert_int_equal(stat(fixture_path(f, "accounts/%s/account.json", a->id), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(accounts_set_url(f->accounts, a, &f->cas[0], "", &e), 0);
    fixture_reopen(f);
    assert_string_equal(accounts_get(f->accounts, &f->cas[0], &e)->url, "");
    assert_non_null(accounts_get(f->accounts, &f->cas[0], &e)->key);
}

static void test_accounts_are_shared_by_directory_and_name(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct conf_ca twin = f->cas[0], other = f->cas[0];
    char twin_name[] = "twin", other_account[] = "second";
    twin.name = twin_name;
    other.account = other_account;
    struct account *a = accounts_get(f->accounts, &f->cas[0], &e);
    assert_ptr_equal(accounts_get(f->accounts, &twin, &e), a);
    assert_ptr_not_equal(accounts_get(f->accounts, &other, &e), a);
    assert_ptr_not_equal(accounts_get(f->accounts, &f->cas[1], &e), a);
}

static void test_damaged_account_key_is_an_error_not_a_new_key(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    register_account(f);
    char *id = xstrdup(accounts_get(f->accounts, &f->cas[0], &e)->id);
    assert_int_equal(truncate(fixture_path(f, "accounts/%s/key.pem", id), 30), 0);
    fixture_reopen(f);
    struct keeper_msg_sign m = request(KEEPER_NEW_ACCOUNT, 0);
    assert_int_equal(ask(f, &m, NULL, &e), -1);
    assert_int_equal(e.cls, ERR_LOCAL);
    assert_non_null(strstr(e.detail, id));
    free(id);
}

static void test_contact_and_terms(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    char mail[] = "admin@example.org";
    struct keeper_msg_sign m = request(KEEPER_NEW_ACCOUNT, KEEPER_F_TERMS);
    f->cas[0].email = mail;
    assert_int_equal(ask(f, &m, NULL, &e), -1);
    assert_int_equal(e.cls, ERR_CONFIG);
    assert_non_null(strstr(e.detail, "agree_tos: true"));
    assert_non_null(strstr(e.detail, "le"));
    /* and no key was made for it */
    assert_null(accounts_get(f->accounts, &f->cas[0], &e)->key);
    f->cas[0].agree_tos = true;
    struct parts p = must(f, KEEPER_NEW_ACCOUNT, KEEPER_F_TERMS);
    assert_true(json_bool(p.payload, "termsOfServiceAgreed", false));
    assert_string_equal(json_as_text(json_at(json_get(p.payload, "contact"), 0)),
                        "mailto:admin@example.org");
    parts_done(&p);
    p = must(f, KEEPER_NEW_ACCOUNT, 0);
    assert_null(json_get(p.payload, "termsOfServiceAgreed"));
    parts_done(&p);
    m.flags = KEEPER_F_EAB;
    assert_int_equal(ask(f, &m, NULL, &e), -1);
    assert_int_equal(e.cls, ERR_CONFIG);
}

/* A binding names the key and the URL, is made with the CA's key, and has an account of its own. */
static void test_external_account(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    static char kid[] = "kid-1";
    char text[4096], id[33], *none = f->cas[0].eab_kid;
    static const char mac[] = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
    str_copy(id, sizeof(id), accounts_get(f->accounts, &f->cas[0], &e)->id);
    f->cas[0].eab_kid = kid;
    f->cas[0].eab_hmac_key.value = secret_new(mac, strlen(mac));
    struct parts p = must(f, KEEPER_NEW_ACCOUNT, KEEPER_F_EAB);
    const struct json *binding = json_get(p.payload, "externalAccountBinding");
    struct json *head = decode(binding, "protected", text);
    assert_string_equal(json_text(head, "alg"), "HS256");
    assert_string_equal(json_text(head, "kid"), "kid-1");
    assert_string_equal(json_text(head, "url"), "https://le.example/x/1");
    assert_null(json_get(head, "nonce"));
    json_free(head);
    struct json *key = decode(binding, "payload", text);
    assert_string_equal(json_text(key, "x"), json_text(json_get(p.head, "jwk"), "x"));
    json_free(key);
    parts_done(&p);
    assert_string_not_equal(accounts_get(f->accounts, &f->cas[0], &e)->id, id);
    secret_free(f->cas[0].eab_hmac_key.value);
    f->cas[0].eab_hmac_key.value = NULL;
    f->cas[0].eab_kid = none;
}

/* What the CA gave out for an address: kept over restarts, private. */
static void test_external_account_by_address(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct stat st;
    char text[4096];
    struct account *a = accounts_get(f->accounts, &f->cas[0], &e);
    struct keeper_msg_sign m = request(KEEPER_NEW_ACCOUNT, KEEPER_F_EAB);
    assert_int_equal(ask(f, &m, NULL, &e), -1);
    assert_string_equal(e.type, KEEPER_NO_BINDING);
    assert_int_equal(accounts_set_eab(f->accounts, a, "kid-7", "c2VjcmV0LXNlY3JldA", &e), 0);
    assert_int_equal(stat(fixture_path(f, "accounts/%s/eab.json", a->id), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    accounts_free(f->accounts);
    f->accounts = accounts_new(&f->dir);
    struct parts p = must(f, KEEPER_NEW_ACCOUNT, KEEPER_F_EAB);
    struct json *head = decode(json_get(p.payload, "externalAccountBinding"), "protected", text);
    assert_string_equal(json_text(head, "kid"), "kid-7");
    json_free(head);
    parts_done(&p);
}

static void test_order_of_an_address(void **state)
{
    struct fixture *f = *state;
    char *name = f->cert.names[0].name, address[] = "192.0.2.7";
    register_account(f);
    f->cert.names[0].name = address;
    f->cert.names[0].ip = true;
    prepare(f);
    struct parts p = must(f, KEEPER_NEW_ORDER, 0);
    const struct json *ids = json_get(p.payload, "identifiers");
    assert_string_equal(json_text(json_at(ids, 0), "type"), "ip");
    assert_string_equal(json_text(json_at(ids, 0), "value"), "192.0.2.7");
    assert_string_equal(json_text(json_at(ids, 1), "type"), "dns");
    parts_done(&p);
    f->cert.names[0].name = name;
}

static void test_find_account(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct keeper_msg_sign m = request(KEEPER_FIND_ACCOUNT, 0);
    assert_int_equal(ask(f, &m, NULL, &e), -1);
    register_account(f);
    struct parts p = must(f, KEEPER_FIND_ACCOUNT, 0);
    assert_true(json_bool(p.payload, "onlyReturnExisting", false));
    assert_non_null(json_get(p.head, "jwk"));
    parts_done(&p);
}

/* ---- orders ---- */

static void test_read_and_answer(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct keeper_msg_sign m = request(KEEPER_READ, 0);
    assert_int_equal(ask(f, &m, NULL, &e), -1);
    assert_int_equal(e.cls, ERR_LOCAL);
    register_account(f);
    struct parts p = must(f, KEEPER_READ, 0);
    assert_null(p.payload);
    assert_string_equal(p.text, "");
    assert_string_equal(json_text(p.head, "kid"), ACCOUNT_URL);
    assert_null(json_get(p.head, "jwk"));
    parts_done(&p);
    p = must(f, KEEPER_ANSWER, 0);
    assert_string_equal(p.text, "{}");
    parts_done(&p);
}

static void test_new_order(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    char profile[] = "shortlived";
    register_account(f);
    struct keeper_msg_sign m = request(KEEPER_NEW_ORDER, 0);
    assert_int_equal(ask(f, &m, NULL, &e), -1); /* nothing prepared */
    prepare(f);
    f->cert.profile = profile;
    struct parts p = must(f, KEEPER_NEW_ORDER, 0);
    const struct json *ids = json_get(p.payload, "identifiers");
    assert_int_equal(json_len(ids), 2);
    assert_string_equal(json_text(json_at(ids, 0), "type"), "dns");
    assert_string_equal(json_text(json_at(ids, 0), "value"), "www.example.org");
    assert_string_equal(json_text(json_at(ids, 1), "value"), "*.example.org");
    assert_null(json_get(p.payload, "profile"));
    assert_null(json_get(p.payload, "replaces"));
    parts_done(&p);
    p = must(f, KEEPER_NEW_ORDER, KEEPER_F_PROFILE | KEEPER_F_REPLACES);
    assert_string_equal(json_text(p.payload, "profile"), "shortlived");
    assert_null(json_get(p.payload, "replaces"));
    parts_done(&p);
}

static void test_replaces_only_of_the_same_account(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct live l;
    register_account(f);
    assert_int_equal(fixture_install(f, -1, 24, &e), 0);
    prepare(f);
    assert_int_equal(live_read(&f->dir, "www", &l, &e), 0);
    struct parts p = must(f, KEEPER_NEW_ORDER, KEEPER_F_REPLACES);
    assert_string_equal(json_text(p.payload, "replaces"), l.cert_id);
    parts_done(&p);
    p = must(f, KEEPER_NEW_ORDER, 0);
    assert_null(json_get(p.payload, "replaces"));
    parts_done(&p);
    struct account *a = accounts_get(f->accounts, &f->cas[0], &e);
    accounts_set_url(f->accounts, a, &f->cas[0], "https://le.example/acct/2", &e);
    p = must(f, KEEPER_NEW_ORDER, KEEPER_F_REPLACES);
    assert_null(json_get(p.payload, "replaces"));
    parts_done(&p);
    live_done(&l);
}

static void test_finalize_sends_the_stored_csr(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct buf der, again;
    char **names;
    size_t n;
    uint8_t spki[SHA256_LEN];
    register_account(f);
    prepare(f);
    fixture_reopen(f);
    struct parts p = must(f, KEEPER_FINALIZE, 0);
    const char *csr = json_text(p.payload, "csr");
    buf_init(&der, 1 << 20);
    buf_init(&again, 1 << 20);
    assert_int_equal(base64url_decode(&der, csr, strlen(csr)), 0);
    assert_int_equal(csr_read(der.data, der.len, &again, &names, &n, spki, &e), 0);
    assert_int_equal(n, 2);
    assert_memory_equal(spki, pending_get(f->pendings, "www", &e)->spki, SHA256_LEN);
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    free(names);
    buf_free(&der);
    buf_free(&again);
    parts_done(&p);
}

static void test_deactivation_spares_the_account(void **state)
{
    static const char *const bad[] = {
        ACCOUNT_URL,
        ACCOUNT_URL "/",
        ACCOUNT_URL "?x",
        ACCOUNT_URL "#x",
        "https://LE.example/acct/1",
        "https://le.example/acct/%31",
        "https://le.example//acct/1",
        "https://le.example/./acct/1",
        "https://le.example/a/../acct/1",
        "https://x@le.example/acct/1",
    };
    struct fixture *f = *state;
    register_account(f);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct keeper_msg_sign m = request(KEEPER_DEACTIVATE_AUTHZ, 0);
        struct err e = ERR_INIT;
        m.url = bad[i];
        if (ask(f, &m, NULL, &e) == 0)
            fail_msg("signed for %s", bad[i]);
        assert_int_equal(e.cls, ERR_DENIED);
    }
    struct parts p = must(f, KEEPER_DEACTIVATE_AUTHZ, 0);
    assert_string_equal(json_text(p.payload, "status"), "deactivated");
    parts_done(&p);
}

/* ---- refusals ---- */

static void refused(struct fixture *f, const struct keeper_msg_sign *m, enum err_class cls)
{
    struct err e = ERR_INIT;
    assert_int_equal(ask(f, m, NULL, &e), -1);
    assert_int_equal(e.cls, cls);
    assert_true(e.detail[0] != '\0');
}

static void test_refusals(void **state)
{
    static const char *const urls[] = {"",
                                       "http://le.example/x",
                                       "ftp://le.example/",
                                       "https://",
                                       "https://le.example/a b",
                                       "https://le.example/\n",
                                       "https://le.example/\xc3\xa4",
                                       "HTTPS://le.example/"};
    static const char *const nonces[] = {"", "a b", "a=", "a\n", "a\"", "\xc3\xa4"};
    struct fixture *f = *state;
    struct keeper_msg_sign m;
    char foreign[] = "foreign";
    register_account(f);
    prepare(f);
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        m = request(KEEPER_READ, 0);
        m.url = urls[i];
        refused(f, &m, ERR_PEER);
    }
    for (size_t i = 0; i < ARRAY_LEN(nonces); i++) {
        m = request(KEEPER_READ, 0);
        m.nonce = nonces[i];
        refused(f, &m, ERR_PEER);
    }
    m = request(KEEPER_READ, 0);
    m.ca = "nothing";
    refused(f, &m, ERR_BUG);
    m = request(KEEPER_NEW_ORDER, 0);
    m.cert = "nothing";
    refused(f, &m, ERR_BUG);
    m = request(KEEPER_NEW_ORDER, 0);
    f->cert_cas[0] = foreign;
    refused(f, &m, ERR_DENIED);
    m = request(KEEPER_READ, 0);
    m.what = 99;
    refused(f, &m, ERR_BUG);
}

/* From memory: no file is opened for a signature. */
static void test_is_fast(void **state)
{
    struct fixture *f = *state;
    struct sign_env env = fixture_sign(f);
    struct keeper_msg_sign m = request(KEEPER_FINALIZE, 0);
    struct timespec from, to;
    struct err e = ERR_INIT;
    register_account(f);
    prepare(f);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
    for (int i = 0; i < 200; i++) {
        struct buf out;
        buf_init(&out, KEEPER_MSG_JWS_MAX);
        assert_int_equal(sign_request(&env, &m, &out, &e), 0);
        buf_free(&out);
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
    double us =
        ((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec)) / 200e3;
    print_message("a signed request takes %.1f us\n", us);
#ifndef RENEWD_SANITIZE
    assert_true(us < 1000);
#endif
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_new_account_makes_a_durable_key),
        T(test_external_account),
        T(test_external_account_by_address),
        T(test_order_of_an_address),
        T(test_account_url_is_kept),
        T(test_accounts_are_shared_by_directory_and_name),
        T(test_damaged_account_key_is_an_error_not_a_new_key),
        T(test_contact_and_terms),
        T(test_find_account),
        T(test_read_and_answer),
        T(test_new_order),
        T(test_replaces_only_of_the_same_account),
        T(test_finalize_sends_the_stored_csr),
        T(test_deactivation_spares_the_account),
        T(test_refusals),
        T(test_is_fast),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
