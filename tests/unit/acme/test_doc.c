/* SPDX-License-Identifier: ISC */
#include "acme/doc.h"
#include "acme/download.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_url(void **state)
{
    char long_[ACME_URL_MAX + 2];

    (void)state;
    assert_true(acme_url_ok("https://ca.test/v1/pki/acme/x=="));
    assert_true(acme_url_ok("https://[::1]:14000/a?b&c#d"));
    assert_false(acme_url_ok(NULL));
    assert_false(acme_url_ok(""));
    assert_false(acme_url_ok("https://"));
    assert_false(acme_url_ok("http://ca.test/"));
    assert_false(acme_url_ok("file:///etc/passwd"));
    assert_false(acme_url_ok("https://ca.test/ x"));
    assert_false(acme_url_ok("https://ca.test/\r\nX: y"));
    assert_false(acme_url_ok("https://ca.test/\"x"));
    assert_false(acme_url_ok("https://ca.test/\xc3\xa4"));
    memset(long_, 'a', sizeof(long_));
    memcpy(long_, "https://", 8);
    long_[ACME_URL_MAX] = '\0';
    assert_true(acme_url_ok(long_));
    long_[ACME_URL_MAX] = 'a';
    long_[ACME_URL_MAX + 1] = '\0';
    assert_false(acme_url_ok(long_));
}

#define URLS                                                                                       \
    "\"newNonce\":\"https://c/n\",\"newAccount\":\"https://c/a\",\"newOrder\":\"https://c/o\""

static int read_dir(struct directory_doc *d, const char *text)
{
    struct err e = ERR_INIT;
    int rc = directory_doc_read(d, text, strlen(text), &e);

    assert_int_equal(rc < 0, e.cls == ERR_PEER);
    return rc;
}

static void test_directory(void **state)
{
    struct directory_doc d;

    (void)state;
    assert_int_equal(read_dir(&d, "{" URLS "}"), 0);
    assert_string_equal(d.renewal_info, "");
    assert_string_equal(d.terms, "");
    assert_false(d.eab_required);
    assert_int_equal(d.n_profiles, 0);
    directory_doc_done(&d);

    assert_int_equal(
        read_dir(&d,
                 "{" URLS ",\"renewalInfo\":\"https:\\/\\/c/ari//\",\"x\":{},"
                 "\"meta\":{\"termsOfService\":\"https://c/t\",\"profiles\":"
                 "{\"a\":\"x\",\"b c\":1,\"\":2,\"d\":null},\"externalAccountRequired\":true}}"),
        0);
    assert_string_equal(d.renewal_info, "https://c/ari");
    assert_string_equal(d.terms, "https://c/t");
    assert_true(d.eab_required);
    assert_int_equal(d.n_profiles, 2);
    assert_true(directory_doc_has_profile(&d, "a"));
    assert_true(directory_doc_has_profile(&d, "d"));
    assert_false(directory_doc_has_profile(&d, "b"));
    directory_doc_done(&d);

    assert_int_equal(read_dir(&d, "{" URLS ",\"renewalInfo\":\"ftp://c\",\"meta\":[]}"), 0);
    assert_string_equal(d.renewal_info, "");
    directory_doc_done(&d);
    directory_doc_done(&d); /* of a zeroed one */

    assert_int_equal(read_dir(&d, ""), -1);
    assert_int_equal(read_dir(&d, "[]"), -1);
    assert_int_equal(read_dir(&d, "{}"), -1);
    assert_int_equal(read_dir(&d, "{\"newNonce\":1}"), -1);
    assert_int_equal(read_dir(&d, "{\"newNonce\":\"https://c/n\",\"newAccount\":\"https://c/a\"}"),
                     -1);
    assert_null(d.new_nonce);
}

#define ID(name) "{\"type\":\"dns\",\"value\":\"" name "\"}"

static int read_order(struct order_doc *d, const char *text)
{
    struct err e = ERR_INIT;

    return order_doc_read(d, text, strlen(text), &e);
}

static void test_order(void **state)
{
    struct order_doc d;

    (void)state;
    assert_int_equal(
        read_order(&d,
                   "{\"status\":\"pending\",\"id\":\"x\",\"identifiers\":[" ID("b.example") "," ID(
                       "*.A.example") "],\"authorizations\":[\"https://c/1\",\"https://c/2\"],"
                                      "\"finalize\":\"https://c/f\",\"notBefore\":\"x\"}"),
        0);
    assert_int_equal(d.status, ORDER_PENDING);
    assert_int_equal(d.n_names, 2);
    assert_string_equal(d.names[0], "*.a.example");
    assert_string_equal(d.names[1], "b.example");
    assert_int_equal(d.n_authzs, 2);
    assert_string_equal(d.certificate, "");
    assert_null(d.error);
    order_doc_done(&d);

    assert_int_equal(
        read_order(&d, "{\"status\":\"invalid\",\"identifiers\":[" ID("a") "],\"error\":{}}"), 0);
    assert_non_null(d.error);
    assert_int_equal(d.error->cls, ERR_TRANSIENT);
    order_doc_done(&d);

    assert_int_equal(read_order(&d, "{\"status\":\"ready\",\"identifiers\":[" ID("a") "]}"), -1);
    assert_int_equal(read_order(&d, "{\"status\":\"valid\",\"identifiers\":[]}"), -1);
    assert_int_equal(read_order(&d, "{\"status\":\"valid\"}"), -1);
    assert_int_equal(read_order(&d, "{\"identifiers\":[" ID("a") "]}"), -1);
    assert_int_equal(read_order(&d, "{\"status\":\"valid\",\"identifiers\":[{\"type\":\"ip\","
                                    "\"value\":\"1.2.3\"}]}"),
                     -1);
    assert_int_equal(read_order(&d, "{\"status\":\"valid\",\"identifiers\":[" ID("a b") "]}"), -1);
    assert_int_equal(read_order(&d, "{\"status\":\"valid\",\"identifiers\":[" ID(
                                        "a") "],"
                                             "\"certificate\":\"http://c/\"}"),
                     -1);
    assert_int_equal(
        read_order(&d, "{\"status\":\"valid\",\"identifiers\":[" ID("a") "],"
                                                                         "\"authorizations\":[1]}"),
        -1);
    assert_null(d.names);
}

static int read_authz(struct authz_doc *d, const char *text)
{
    struct err e = ERR_INIT;

    return authz_doc_read(d, text, strlen(text), &e);
}

static void test_authz(void **state)
{
    struct authz_doc d;

    (void)state;
    assert_int_equal(
        read_authz(&d, "{\"status\":\"pending\",\"identifier\":" ID(
                           "A.example") ",\"wildcard\":true,\"challenges\":[{\"type\":\"dns-01\","
                                        "\"url\":\"https://c/1\","
                                        "\"token\":\"0123456789abcdef\",\"status\":\"processing\"},"
                                        "{\"type\":\"dns-01\",\"url\":\"https://c/"
                                        "2\",\"token\":\"0123456789abcdeg\"}]}"),
        0);
    assert_string_equal(d.identifier, "a.example");
    assert_true(d.wildcard);
    const struct challenge_doc *c = authz_doc_challenge(&d, CONF_DNS_01);
    assert_int_equal(d.n_challenges, 1);
    assert_string_equal(c->url, "https://c/1");
    assert_string_equal(c->token, "0123456789abcdef");
    assert_int_equal(c->status, CHALLENGE_PROCESSING);
    authz_doc_done(&d);

    assert_int_equal(
        read_authz(&d, "{\"status\":\"pending\",\"identifier\":" ID("*.a.example") "}"), 0);
    assert_string_equal(d.identifier, "a.example");
    assert_true(d.wildcard);
    assert_int_equal(d.n_challenges, 0);
    authz_doc_done(&d);

    /* tokens: too short, too long, out of the alphabet */
    static const char *const bad[] = {"0123456789abcde", "0123456789abcde=", "0123456789abcd.f",
                                      ""};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CLEANUP_FREE char *text =
            xasprintf("{\"status\":\"pending\",\"identifier\":" ID(
                          "a") ",\"challenges\":[{\"type\":"
                               "\"dns-01\",\"url\":\"https://c/1\",\"token\":\"%s\"}]}",
                      bad[i]);
        assert_int_equal(read_authz(&d, text), 0);
        assert_int_equal(d.n_challenges, 0);
        assert_int_equal(d.unusable, 1u << CONF_DNS_01);
        assert_string_equal(d.offered, "dns-01");
        authz_doc_done(&d);
    }
    assert_int_equal(read_authz(&d, "{\"status\":\"pending\",\"identifier\":" ID("-") "}"), -1);
    assert_int_equal(read_authz(&d, "{\"status\":\"pending\"}"), -1);
    assert_int_equal(read_authz(&d, "{\"status\":\"odd\",\"identifier\":" ID("a") "}"), -1);
    assert_int_equal(read_authz(&d, "{\"status\":\"valid\"}"), 0);
    authz_doc_done(&d);
}

#define HTTP01(more) "{\"type\":\"http-01\",\"url\":\"https://c/h\"," more "}"
#define PERSIST(more) "{\"type\":\"dns-persist-01\",\"url\":\"https://c/p\"," more "}"
#define OF(id, challenges)                                                                         \
    "{\"status\":\"pending\",\"identifier\":" id ",\"challenges\":[" challenges "]}"
#define IP_ID(value) "{\"type\":\"ip\",\"value\":\"" value "\"}"

static void test_types(void **state)
{
    struct authz_doc d;
    const struct challenge_doc *c;

    (void)state;
    assert_int_equal(
        read_authz(
            &d, OF(ID("a"),
                   HTTP01("\"token\":\"0123456789abcdef\",\"status\":\"invalid\","
                          "\"error\":{\"detail\":\"404\"}") "," PERSIST("\"issuer-domain-names\":["
                                                                        "\"ca.test\",\"b.test\"],"
                                                                        "\"accounturi\":\"https://"
                                                                        "ca/acct/1\""))),
        0);
    c = authz_doc_challenge(&d, CONF_HTTP_01);
    assert_int_equal(c->status, CHALLENGE_INVALID);
    assert_non_null(strstr(c->error->detail, "404"));
    assert_non_null(d.error);
    c = authz_doc_challenge(&d, CONF_DNS_PERSIST_01);
    assert_string_equal(c->token, "");
    assert_int_equal(c->n_issuers, 2);
    assert_string_equal(c->issuers[1], "b.test");
    assert_string_equal(c->account_uri, "https://ca/acct/1");
    assert_false(c->hashed);
    assert_null(c->error);
    assert_null(authz_doc_challenge(&d, CONF_DNS_01));
    authz_doc_done(&d);

    assert_int_equal(read_authz(&d, OF(ID("a"), PERSIST("\"issuerDomainNames\":[\"ca.test\"]"))),
                     0);
    assert_true(authz_doc_challenge(&d, CONF_DNS_PERSIST_01)->hashed);
    authz_doc_done(&d);
}

/* A list that is empty or too long must be refused, as must names that are none. */
static void test_persist_issuers(void **state)
{
    static const char *const bad[] = {
        "\"issuer-domain-names\":[]",
        "\"issuer-domain-names\":\"ca.test\"",
        "\"issuerDomainNames\":[]",
        "\"issuer-domain-names\":[\"Ca.test\"]",
        ("\"issuer-domain-names\":[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\",\"j\","
         "\"k\"]"),
        "\"issuer-domain-names\":[\"ca.test\"],\"accounturi\":\"https://ca/ 1\"",
    };
    struct authz_doc d;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CLEANUP_FREE char *text = xasprintf(OF(ID("a"), PERSIST("%s")), bad[i]);
        assert_int_equal(read_authz(&d, text), 0);
        if (d.n_challenges)
            print_error("taken: %s\n", bad[i]);
        assert_int_equal(d.n_challenges, 0);
        assert_int_equal(d.unusable, 1u << CONF_DNS_PERSIST_01);
        authz_doc_done(&d);
    }
}

static void test_addresses(void **state)
{
    struct err e = ERR_INIT;
    struct authz_doc d;
    struct order_doc o;
    static const char order[] = "{\"status\":\"pending\",\"identifiers\":[" IP_ID(
        "2001:DB8:0::1") "," ID("a.test") "," IP_ID("192.0.2.1") "],\"finalize\":\"https://c/f\"}";

    (void)state;
    assert_int_equal(read_authz(&d, OF(IP_ID("2001:DB8:0::1"), "")), 0);
    assert_true(d.ip);
    assert_string_equal(d.identifier, "2001:db8::1");
    authz_doc_done(&d);
    assert_int_equal(read_authz(&d, OF(IP_ID("a.test"), "")), -1);
    assert_int_equal(read_authz(&d, OF(ID("192.0.2.1"), "")), -1);
    assert_int_equal(order_doc_read(&o, order, strlen(order), &e), 0);
    assert_int_equal(o.n_names, 3);
    assert_string_equal(o.names[0], "192.0.2.1");
    assert_string_equal(o.names[1], "2001:db8::1");
    order_doc_done(&o);
}

static void test_many_challenge_types(void **state)
{
    struct buf b CLEANUP_BUF = {0};
    struct authz_doc d;

    (void)state;
    buf_init(&b, 1 << 20);
    buf_puts(&b, "{\"status\":\"pending\",\"identifier\":" ID("a") ",\"challenges\":[");
    for (int i = 0; i < 1000; i++)
        buf_putf(&b, "{\"type\":\"type-%d\\u0007\"},", i);
    buf_puts(&b, "[]]}");
    assert_int_equal(read_authz(&d, buf_str(&b)), 0);
    assert_true(strlen(d.offered) < sizeof(d.offered));
    assert_null(strchr(d.offered, '\a'));
    authz_doc_done(&d);
}

static int read_orders(char ***urls, size_t *n, size_t max, const char *text)
{
    struct err e = ERR_INIT;

    return orders_doc_read(urls, n, max, text, strlen(text), &e);
}

static void test_orders(void **state)
{
    struct err e = ERR_INIT;
    char **urls = NULL, *url;
    size_t n = 0;
    const char *account = "{\"status\":\"valid\",\"orders\":\"https://ca.test/o\"}";

    (void)state;
    assert_int_equal(read_orders(&urls, &n, 3, ""), -1);
    assert_int_equal(read_orders(&urls, &n, 3, "{}"), -1);
    assert_int_equal(read_orders(&urls, &n, 3, "{\"orders\":{}}"), -1);
    assert_int_equal(read_orders(&urls, &n, 3, "{\"orders\":[]}"), 0);
    assert_int_equal(n, 0);
    assert_int_equal(read_orders(&urls, &n, 3, "{\"orders\":[\"https://a/1\",1,\"ftp://a\"]}"), 0);
    assert_int_equal(n, 1);
    assert_int_equal(read_orders(&urls, &n, 3, "[\"https://a/2\"]"), 0);
    assert_int_equal(read_orders(&urls, &n, 3, "[\"https://a/3\",\"https://a/4\"]"), 0);
    assert_int_equal(read_orders(&urls, &n, 3, "[\"https://a/5\"]"), 0);
    assert_int_equal(n, 3);
    assert_string_equal(urls[2], "https://a/3");
    while (n > 0)
        free(urls[--n]);
    free(urls);

    url = account_doc_orders(account, strlen(account), &e);
    assert_string_equal(url, "https://ca.test/o");
    free(url);
    assert_null(account_doc_orders("{}", 2, &e));
    assert_null(account_doc_orders("[]", 2, &e));
    assert_null(account_doc_orders("", 0, &e));
}

static void test_chain_text(void **state)
{
    struct err e = ERR_INIT;
#define CHECK(s) chain_text_check(s, sizeof(s) - 1, &e)

    (void)state;
    assert_int_equal(CHECK("-----BEGIN CERTIFICATE-----\n"), 0);
    assert_int_equal(CHECK("text before\n-----BEGIN CERTIFICATE-----\n"), 0);
    assert_int_equal(CHECK(""), -1);
    assert_int_equal(CHECK("-----BEGIN "), -1);
    assert_int_equal(CHECK("-----BEGIN CERTIFICATE"), -1);
    assert_int_equal(CHECK("-----BEGIN CERTIFICATE-----\n-----BEGIN EC PRIVATE KEY-----\n"), -1);
    assert_int_equal(CHECK("-----BEGIN CERTIFICATE-----\n\0-----"), -1);
    assert_int_equal(CHECK("-----BEGIN CERTIFICATE REQUEST-----\n"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_url),       cmocka_unit_test(test_directory),
        cmocka_unit_test(test_order),     cmocka_unit_test(test_authz),
        cmocka_unit_test(test_types),     cmocka_unit_test(test_persist_issuers),
        cmocka_unit_test(test_addresses), cmocka_unit_test(test_many_challenge_types),
        cmocka_unit_test(test_orders),    cmocka_unit_test(test_chain_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
