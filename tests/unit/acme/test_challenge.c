/* SPDX-License-Identifier: ISC */
/* Which challenge is met, what its answer consists of, and what comes after one that fails. */
#include "run.h"

#include "acme/eab.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void offer(struct fake *f, const char *const *types, size_t n)
{
    for (size_t i = 0; i < n; i++)
        f->types[i] = types[i];
}

static void want(struct run *r, const enum conf_challenge *v, size_t n)
{
    struct conf_challenges *c = &r->conf->certs->challenges;

    memcpy(c->v, v, n * sizeof(*v));
    c->n = n;
}
#define OFFER(f, ...)                                                                              \
    offer(f, (const char *const[]){__VA_ARGS__}, sizeof((const char *[]){__VA_ARGS__}) / 8)
#define WANT(r, ...)                                                                               \
    want(r, (const enum conf_challenge[]){__VA_ARGS__},                                            \
         sizeof((const enum conf_challenge[]){__VA_ARGS__}) / sizeof(enum conf_challenge))

static void begin(struct fake *f, struct run *r, const char *const *names, size_t n)
{
    fake_init(f);
    for (size_t i = 0; i < n; i++)
        f->names[i] = names[i];
    run_init(r, f, names, n);
}

static void end(struct fake *f, struct run *r)
{
    assert_int_equal(r->done, 1);
    assert_int_equal(r->late, 0);
    assert_int_equal(r->answered, r->challenges > 0);
    run_done(r);
    fake_done(f);
}

static const char *const one[] = {"example.org"};

static void test_preference(void **state)
{
    struct fake f;
    struct run r;

    (void)state;
    begin(&f, &r, one, 1);
    OFFER(&f, "dns-01", "http-01", "tls-alpn-01");
    f.bad_type = "none";
    WANT(&r, CONF_DNS_ACCOUNT_01, CONF_TLS_ALPN_01, CONF_DNS_01);
    run_start(&r, "", false);
    fake_run(&f, 0);
    assert_int_equal(r.err.cls, ERR_NONE);
    assert_string_equal(f.answered, "tls-alpn-01");
    end(&f, &r);
}

/* draft-ietf-acme-dns-account-label-03 */
static void test_account_label(void **state)
{
    struct fake f;
    struct run r;

    (void)state;
    begin(&f, &r, one, 1);
    OFFER(&f, "dns-01", "dns-account-01");
    f.bad_type = "none";
    WANT(&r, CONF_DNS_ACCOUNT_01);
    run_start(&r, "", false);
    fake_run(&f, 0);
    assert_int_equal(r.err.cls, ERR_NONE);
    assert_true(str_starts(r.owners, "_"));
    assert_true(str_ends(r.owners, "._acme-challenge.example.org"));
    assert_int_equal(strlen(r.owners), 17 + strlen("._acme-challenge.example.org"));
    assert_int_equal(strlen(r.values), 43);
    end(&f, &r);
}

static void test_wildcards_by_dns_only(void **state)
{
    static const char *const both[] = {"*.example.org", "example.org"};
    struct fake f;
    struct run r;

    (void)state;
    begin(&f, &r, both, 2);
    OFFER(&f, "dns-01", "http-01");
    f.bad_type = "none";
    WANT(&r, CONF_HTTP_01, CONF_DNS_01);
    run_start(&r, "", false);
    fake_run(&f, 0);
    assert_int_equal(r.err.cls, ERR_NONE);
    assert_int_equal(r.n_challenges, 2);
    assert_non_null(strstr(r.owners, "_acme-challenge.example.org"));
    assert_non_null(strstr(r.owners, "token-"));
    end(&f, &r);
}

static void test_name_has_its_own(void **state)
{
    static const char *const names[] = {"a.example.org", "b.example.org"};
    struct fake f;
    struct run r;

    (void)state;
    begin(&f, &r, names, 2);
    OFFER(&f, "dns-01", "http-01");
    f.bad_type = "none";
    WANT(&r, CONF_DNS_01);
    r.conf->certs->names[1].challenges = (struct conf_challenges){{CONF_HTTP_01}, 1};
    run_start(&r, "", false);
    fake_run(&f, 0);
    assert_int_equal(r.err.cls, ERR_NONE);
    assert_non_null(strstr(r.owners, "_acme-challenge.a.example.org"));
    assert_null(strstr(r.owners, "_acme-challenge.b.example.org"));
    end(&f, &r);
}

static void test_none_is_offered(void **state)
{
    struct fake f;
    struct run r;

    (void)state;
    begin(&f, &r, one, 1);
    OFFER(&f, "http-01", "tls-alpn-01");
    WANT(&r, CONF_DNS_ACCOUNT_01, CONF_DNS_01);
    run_start(&r, "", false);
    fake_run(&f, 0);
    assert_int_equal(r.err.cls, ERR_CONFIG);
    assert_non_null(strstr(r.err.detail, "no dns-account-01, dns-01 challenge for example.org, "
                                         "only: http-01, tls-alpn-01"));
    assert_int_equal(r.challenges, 0);
    end(&f, &r);
}

static void test_avoided_comes_last(void **state)
{
    const struct acme_avoid avoid[] = {{"other.org", 1u << CONF_HTTP_01},
                                       {"example.org", 1u << CONF_DNS_01}};
    struct fake f;
    struct run r;

    (void)state;
    begin(&f, &r, one, 1);
    OFFER(&f, "dns-01", "http-01");
    f.bad_type = "none";
    WANT(&r, CONF_DNS_01, CONF_HTTP_01);
    r.avoid = avoid;
    r.n_avoid = 2;
    run_start(&r, "", false);
    fake_run(&f, 0);
    assert_string_equal(f.answered, "http-01");
    end(&f, &r);

    begin(&f, &r, one, 1);
    OFFER(&f, "dns-01", "tls-alpn-01");
    f.bad_type = "none";
    WANT(&r, CONF_DNS_01, CONF_HTTP_01);
    r.avoid = avoid;
    r.n_avoid = 2;
    run_start(&r, "", false);
    fake_run(&f, 0);
    assert_string_equal(f.answered, "dns-01"); /* nothing else will do */
    end(&f, &r);
}

static void test_cannot_be_met(void **state)
{
    struct fake f;
    struct run r;

    (void)state;
    begin(&f, &r, one, 1);
    OFFER(&f, "dns-01", "http-01", "tls-alpn-01");
    f.bad_type = "none";
    WANT(&r, CONF_DNS_01, CONF_HTTP_01, CONF_TLS_ALPN_01);
    r.unmet = 2;
    run_start(&r, "", false);
    fake_run(&f, 0);
    assert_string_equal(f.answered, "tls-alpn-01");
    assert_int_equal(f.counts[NEW], 1);
    assert_int_equal(f.counts[CHALL], 1);
    end(&f, &r);
}

static void test_nothing_takes_its_place(void **state)
{
    struct fake f;
    struct run r;

    (void)state;
    begin(&f, &r, one, 1);
    OFFER(&f, "dns-01", "http-01");
    f.bad_type = "none";
    WANT(&r, CONF_DNS_01, CONF_TLS_ALPN_01);
    r.unmet = 1;
    run_start(&r, "", false);
    fake_run(&f, 0);
    assert_int_equal(r.unmet_failed, 1);
    assert_string_equal(f.answered, "dns-01"); /* which stays where it was */
    end(&f, &r);
}

/* RFC 8555 7.1.6: the authorization is dead, the owner learns by which type. */
static void test_invalid(void **state)
{
    struct fake f;
    struct run r;

    (void)state;
    begin(&f, &r, one, 1);
    OFFER(&f, "dns-01", "http-01");
    f.bad_type = "http-01";
    f.authz_end = "invalid";
    WANT(&r, CONF_HTTP_01, CONF_DNS_01);
    run_start(&r, "", false);
    fake_run(&f, 0);
    assert_int_equal(r.err.cls, ERR_TRANSIENT);
    assert_string_equal(r.refused, "example.org:http-01");
    assert_int_equal(r.challenges, 1);
    assert_false(r.resumable);
    end(&f, &r);
}

/* smallstep leaves it pending, with an error: another of its challenges will do. */
static void test_pending_with_an_error(void **state)
{
    struct fake f;
    struct run r;

    (void)state;
    begin(&f, &r, one, 1);
    OFFER(&f, "dns-01", "http-01");
    f.bad_type = "http-01";
    f.authz_end = "pending";
    f.chall_status = "pending";
    WANT(&r, CONF_HTTP_01, CONF_DNS_01);
    run_start(&r, "", false);
    fake_run(&f, 0);
    assert_int_equal(r.err.cls, ERR_NONE);
    assert_string_equal(f.answered, "dns-01");
    assert_int_equal(r.challenges, 2);
    assert_int_equal(f.counts[NEW], 1);
    end(&f, &r);
}

/* ---- dns-persist-01 ---- */

#define PERSIST(more)                                                                              \
    "{\"type\":\"dns-persist-01\",\"url\":\"https://ca.test/chall/0/"                              \
    "0\",\"status\":\"pending\"," more "}"

static void persist(const char *challenge, const char *meta, struct fake *f, struct run *r)
{
    begin(f, r, one, 1);
    f->challenges = challenge;
    f->meta = meta;
    WANT(r, CONF_DNS_PERSIST_01);
    run_start(r, "", false);
    fake_run(f, 0);
}

static void test_persist_00(void **state)
{
    struct fake f;
    struct run r;

    (void)state;
    persist(PERSIST("\"issuer-domain-names\":[\"ca.test\",\"ca2.test\"]"), NULL, &f, &r);
    assert_int_equal(r.err.cls, ERR_NONE);
    assert_string_equal(r.owners, "_validation-persist.example.org");
    assert_string_equal(r.persist, "ca.test ca2.test | https://ca.test/acct/1");
    end(&f, &r);
    persist(PERSIST("\"issuer-domain-names\":[\"ca.test\"],\"accounturi\":\"https://ca.test/o\""),
            NULL, &f, &r);
    assert_string_equal(r.persist, "ca.test | https://ca.test/o");
    end(&f, &r);
}

static void test_persist_02(void **state)
{
    static const char meta[] =
        "{\"accountHashPrefix\":\"https://ca.test/h/\",\"issuerDomainNames\":[\"ca9.test\"]}";
    struct fake f;
    struct run r;

    (void)state;
    persist(PERSIST("\"issuerDomainNames\":[\"ca.test\"]"), meta, &f, &r);
    assert_int_equal(r.err.cls, ERR_NONE);
    assert_non_null(strstr(r.persist, "ca.test | https://ca.test/h/sha-256/"));
    end(&f, &r);
    persist(PERSIST("\"x\":1"), meta, &f, &r);
    assert_int_equal(r.err.cls, ERR_NONE);
    assert_true(str_starts(r.persist, "ca9.test | https://ca.test/h/sha-256/"));
    end(&f, &r);
    persist(PERSIST("\"issuerDomainNames\":[\"ca.test\"]"), "{}", &f, &r);
    assert_int_equal(r.err.cls, ERR_PEER);
    assert_non_null(strstr(r.err.detail, "accountHashPrefix"));
    end(&f, &r);
}

static void test_persist_refused(void **state)
{
    struct fake f;
    struct run r;

    (void)state;
    persist(PERSIST("\"issuer-domain-names\":[]"), NULL, &f, &r);
    assert_int_equal(r.err.cls, ERR_PEER);
    end(&f, &r);
}

/* ---- addresses ---- */

static void test_address(void **state)
{
    static const char *const names[] = {"192.0.2.7"};
    struct fake f;
    struct run r;

    (void)state;
    begin(&f, &r, names, 1);
    OFFER(&f, "dns-01", "http-01", "tls-alpn-01");
    f.bad_type = "none";
    f.ip = true;
    r.conf->certs->names[0].ip = true;
    WANT(&r, CONF_DNS_01, CONF_HTTP_01);
    run_start(&r, "", false);
    fake_run(&f, 0);
    assert_int_equal(r.err.cls, ERR_NONE);
    assert_string_equal(f.answered, "http-01");
    assert_string_equal(r.names, "192.0.2.7");
    end(&f, &r);
}

/* ---- external accounts ---- */

static void eab_answer(const char *text, enum err_class cls, const char *kid)
{
    struct err e = ERR_INIT;
    struct json *j CLEANUP_JSON = NULL;
    const char *got = "", *key = "";
    int r = eab_answer_read(text, strlen(text), &j, &got, &key, &e);

    assert_int_equal(r, cls == ERR_NONE ? 0 : -1);
    assert_int_equal(e.cls, cls);
    assert_string_equal(got, kid);
}

static void test_eab_answers(void **state)
{
    (void)state;
    eab_answer("{\"success\":1,\"eab_kid\":\"k\",\"eab_hmac_key\":\"h\"}", ERR_NONE, "k");
    eab_answer("{\"success\":true,\"eab_kid\":\"k\",\"eab_hmac_key\":\"h\"}", ERR_NONE, "k");
    eab_answer("{\"success\":1,\"eab_kid\":\"k\"}", ERR_PEER, "");
    eab_answer("<html>", ERR_PEER, "");
    eab_answer("{\"success\":false,\"error\":{\"code\":2900,\"type\":\"missing_email\"}}",
               ERR_CONFIG, "");
    eab_answer("{\"success\":0,\"error\":{\"code\":2903,\"type\":\"too_many\"}}", ERR_RATE_LIMITED,
               "");
}

/* A binding may be good for one use only. */
static void bind_account(bool has_key, int made, const char *log)
{
    static char kid[] = "kid";
    struct fake f;
    struct run r;

    begin(&f, &r, one, 1);
    r.conf->cas->eab_kid = kid;
    f.has_key = has_key;
    f.accounts_made = made;
    run_start(&r, "", false);
    fake_run(&f, 0);
    assert_int_equal(r.err.cls, ERR_NONE);
    assert_string_equal(f.account_log, log);
    end(&f, &r);
}

static void test_bindings(void **state)
{
    (void)state;
    bind_account(false, 0, "new+eab");
    bind_account(true, 0, "find new+eab");
    bind_account(true, 1, "find");
}

/* The answer is lost: the account is found by the next attempt, the binding is not sent again. */
static void test_binding_is_sent_once(void **state)
{
    static char kid[] = "kid";
    static const struct rule lost[] = {{.at = ACCT, .from = 1, .effect = true}};
    struct fake f;
    struct run r;

    (void)state;
    begin(&f, &r, one, 1);
    r.conf->cas->eab_kid = kid;
    f.rules = lost;
    f.n_rules = 1;
    run_start(&r, "", false);
    fake_run(&f, 0);
    assert_int_equal(r.done, 1);
    assert_int_equal(r.err.cls, ERR_TRANSIENT);
    assert_string_equal(f.account_log, "new+eab");
    acme_order_free(r.order);
    r.done = 0;
    r.err = (struct err)ERR_INIT;
    run_start(&r, "", false);
    fake_run(&f, 0);
    assert_int_equal(r.err.cls, ERR_NONE);
    assert_string_equal(f.account_log, "new+eab find");
    end(&f, &r);
}

static void test_eab_urls(void **state)
{
    CLEANUP_FREE char *own = eab_url("https://acme.zerossl.com/v2/DV90");
    CLEANUP_FREE char *other = eab_url("https://127.0.0.1:14000/dir");

    (void)state;
    assert_string_equal(own, "https://api.zerossl.com/acme/eab-credentials-email");
    assert_string_equal(other, "https://127.0.0.1:14000/acme/eab-credentials-email");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_preference),
        cmocka_unit_test(test_account_label),
        cmocka_unit_test(test_wildcards_by_dns_only),
        cmocka_unit_test(test_name_has_its_own),
        cmocka_unit_test(test_none_is_offered),
        cmocka_unit_test(test_avoided_comes_last),
        cmocka_unit_test(test_cannot_be_met),
        cmocka_unit_test(test_nothing_takes_its_place),
        cmocka_unit_test(test_invalid),
        cmocka_unit_test(test_pending_with_an_error),
        cmocka_unit_test(test_persist_00),
        cmocka_unit_test(test_persist_02),
        cmocka_unit_test(test_persist_refused),
        cmocka_unit_test(test_address),
        cmocka_unit_test(test_eab_answers),
        cmocka_unit_test(test_bindings),
        cmocka_unit_test(test_binding_is_sent_once),
        cmocka_unit_test(test_eab_urls),
    };
    return cmocka_run_group_tests_name("challenge", tests, NULL, NULL);
}
