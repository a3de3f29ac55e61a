/* SPDX-License-Identifier: ISC */
#include "base/mem.h"
#include "base/str.h"
#include "digest/alpn_cert.h"
#include "respond/pool.h"
#include "respond/setup.h"
#include "respond/tls_hello.h"

#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONTENT TOKEN "." THUMB
#define CROWD 2000u

static struct world w;

static int set_up(void **state)
{
    (void)state;
    world_init(&w);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    world_done(&w);
    return 0;
}

static struct responder *put(const char *identifier, const char *content, struct told *t)
{
    *t = (struct told){.loop = w.loop};
    return responders_alpn_put(w.responders, &w.listen, identifier, content, world_told, t);
}

static struct responder *served(const char *identifier, struct told *t)
{
    struct responder *a = put(identifier, CONTENT, t);
    world_run(&w);
    assert_int_equal(t->times, 1);
    assert_false(err_is(&t->err));
    return a;
}

/* ---- a CA's side ---- */

struct hello {
    const char *name;     /* NULL: no SNI */
    const char *protocol; /* with lengths before each; NULL: none */
    int max_version;      /* 0: the newest */
    const char *groups;
    /* what came of it */
    bool shaken;
    int alert; /* its description, -1: none came */
    int version;
    X509 *cert;
    char chosen[32];
};

static void on_info(const SSL *ssl, int where, int value)
{
    struct hello *h = SSL_get_app_data(ssl);
    if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT)
        h->alert = value & 0xff;
}

static void shake(void *arg)
{
    struct hello *h = arg;
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    int fd = client_connect(&w, NULL);
    if (h->max_version)
        SSL_CTX_set_max_proto_version(ctx, h->max_version);
    SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
    if (h->max_version && h->max_version < TLS1_2_VERSION)
        SSL_CTX_set_cipher_list(ctx, "ALL:@SECLEVEL=0");
    if (h->groups)
        SSL_CTX_set1_groups_list(ctx, h->groups);
    SSL *ssl = SSL_new(ctx);
    h->alert = -1;
    SSL_set_app_data(ssl, h);
    SSL_set_info_callback(ssl, on_info);
    if (h->name)
        SSL_set_tlsext_host_name(ssl, h->name);
    if (h->protocol)
        SSL_set_alpn_protos(ssl, (const unsigned char *)h->protocol, (unsigned)strlen(h->protocol));
    SSL_set_fd(ssl, fd);
    h->shaken = SSL_connect(ssl) == 1;
    if (h->shaken) {
        const unsigned char *chosen;
        unsigned n;
        char byte;
        SSL_get0_alpn_selected(ssl, &chosen, &n);
        snprintf(h->chosen, sizeof(h->chosen), "%.*s", (int)n, chosen);
        h->cert = SSL_get1_peer_certificate(ssl);
        h->version = SSL_version(ssl);
        h->shaken = SSL_read(ssl, &byte, 1) <= 0 && (SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN);
    }
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(fd);
}

#define ACME                                                                                       \
    "\x0a"                                                                                         \
    "acme-tls/1"

static struct hello ask(const char *name, const char *protocol)
{
    struct hello h = {.name = name, .protocol = protocol};
    world_client(&w, shake, &h);
    return h;
}

/* The certificate is the one that RFC 8737 asks for; its contents are digest's affair. */
static void check_cert(const struct hello *h, const char *host, const char *ip)
{
    ASN1_OBJECT *oid = OBJ_txt2obj("1.3.6.1.5.5.7.1.31", 1);
    assert_non_null(h->cert);
    int at = X509_get_ext_by_OBJ(h->cert, oid, -1);
    assert_in_range(at, 0, 20);
    assert_true(X509_EXTENSION_get_critical(X509_get_ext(h->cert, at)));
    if (host)
        assert_int_equal(
            X509_check_host(h->cert, host, 0, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL), 1);
    if (ip)
        assert_int_equal(X509_check_ip_asc(h->cert, ip, 0), 1);
    ASN1_OBJECT_free(oid);
    X509_free(h->cert);
}

static void test_the_name_that_is_proved(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct told t;
    struct responder *a = served("www.example.org", &t);
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        struct hello h = {.name = "www.Example.ORG", .protocol = ACME, .max_version = versions[i]};
        world_client(&w, shake, &h);
        assert_true(h.shaken);
        assert_int_equal(h.version, versions[i]);
        assert_string_equal(h.chosen, "acme-tls/1");
        check_cert(&h, "www.example.org", NULL);
        assert_int_equal(responder_answered(a), i + 1);
    }
    responder_drop(a);
    assert_false(port_is_open(w.port));
}

static void test_addresses(void **state)
{
    struct told t;
    struct responder *four = served("192.0.2.7", &t), *six = served("2001:db8::1", &t);
    (void)state;
    struct hello h = ask("7.2.0.192.in-addr.arpa", ACME);
    assert_true(h.shaken);
    check_cert(&h, NULL, "192.0.2.7");
    h = ask("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", ACME);
    assert_true(h.shaken);
    check_cert(&h, NULL, "2001:db8::1");
    responder_drop(four);
    responder_drop(six);
}

static void test_all_else_gets_an_alert(void **state)
{
    enum { NO_PROTOCOL = 120, NO_NAME = 112, VERSION = 70 };
    struct told t;
    struct responder *a = served("www.example.org", &t);
    (void)state;
    assert_int_equal(ask("www.example.org", NULL).alert, NO_PROTOCOL);
    assert_int_equal(ask("www.example.org", "\x02h2").alert, NO_PROTOCOL);
    assert_int_equal(ask("www.example.org", ACME "\x02h2").alert, NO_PROTOCOL);
    assert_int_equal(ask("www.example.org", "\x0a"
                                            "acme-tls/2")
                         .alert,
                     NO_PROTOCOL);
    assert_int_equal(ask("example.org", ACME).alert, NO_NAME);
    assert_int_equal(ask(NULL, ACME).alert, NO_NAME);
    struct hello old = {.name = "www.example.org", .protocol = ACME, .max_version = TLS1_1_VERSION};
    world_client(&w, shake, &old);
    assert_false(old.shaken);
    assert_int_equal(old.alert, VERSION);
    assert_int_equal(responder_answered(a), 0);
    responder_drop(a);
}

/* Whose key shares are all unknown to us would make us ask again. */
static void test_no_second_hello(void **state)
{
    struct told t;
    struct responder *a = served("www.example.org", &t);
    struct hello h = {.name = "www.example.org", .protocol = ACME, .groups = "ffdhe2048:P-256"};
    (void)state;
    world_client(&w, shake, &h);
    assert_false(h.shaken);
    h = (struct hello){.name = "www.example.org", .protocol = ACME, .groups = "X448:P-256"};
    world_client(&w, shake, &h);
    assert_false(h.shaken);
    assert_int_equal(responder_answered(a), 0);
    responder_drop(a);
}

static void test_identifiers_that_cannot_be(void **state)
{
    static const char *const bad[] = {"*.example.org", "", "a b", "_x.example.org"};
    struct told t;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct responder *a = put(bad[i], CONTENT, &t);
        world_run(&w);
        assert_int_equal(t.times, 1);
        assert_true(err_is(&t.err));
        responder_drop(a);
    }
    assert_int_equal(w.open_calls, 0);
}

static void test_two_orders_of_one_name(void **state)
{
    struct told first, second;
    struct responder *a = served("www.example.org", &first);
    struct responder *b = put("www.example.org", "x." THUMB, &second);
    (void)state;
    world_wait(&w, 50);
    assert_int_equal(second.times, 0);
    responder_drop(a);
    world_run(&w);
    assert_int_equal(second.times, 1);
    assert_false(err_is(&second.err));
    assert_int_equal(w.open_calls, 1);
    responder_drop(b);
}

/* ---- hellos as bytes ---- */

static void test_hellos_are_looked_at_first(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
        int is;
    } cases[] = {
        {"\x16\x03\x01\x00\x05\x01\x00\x00\x01!", 10, 1},
        {"\x16\x03\x01\x00\x05\x01\x00\x00\x01", 9, 0},
        {"\x16\x03\x01\x00\x06\x01\x00\x00\x01!", 10, 0},
        {"\x16", 1, 0},
        {"\x16\x03", 2, 0},
        {"G", 1, -1},
        {"\x16\x02", 2, -1},
        {"\x17\x03\x03\x00\x05\x01\x00\x00\x01!", 10, -1}, /* another type of record */
        {"\x16\x03\x01\x00\x05\x02\x00\x00\x01!", 10, -1}, /* another message */
        {"\x16\x03\x01\x00\x03\x01\x00\x00\x01!", 10, -1}, /* too small for its own length */
        {"\x16\x03\x01\x40\x01\x01\x00\x00\x01!", 10, -1}, /* over 16 KiB */
        {"\x16\x03\x01\x00\x05\x01\x01\x00\x00!", 10, -1}, /* announces 64 KiB */
        {"\x16\x03\x01\x00\x05\x01\x00\x40\x00!", 10, -1}, /* and 16 KiB */
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *copy = xmemdup(cases[i].bytes, cases[i].n);
        if (tls_hello_check(copy, cases[i].n) != cases[i].is)
            fail_msg("case %zu", i);
        free(copy);
    }
}

static void test_names_and_protocols_as_bytes(void **state)
{
    char name[NAME_MAX_TEXT];
    (void)state;
#define U(s) (const unsigned char *)(s), sizeof(s) - 1
    assert_true(tls_hello_name(U("\0\6\0\0\3a.B"), name));
    assert_string_equal(name, "a.b");
    assert_false(tls_hello_name(U(""), name));
    assert_false(tls_hello_name(U("\0\3\0\0\0"), name));
    assert_false(tls_hello_name(U("\0\6\1\0\3a.B"), name)); /* no host name */
    assert_false(tls_hello_name(U("\0\7\0\0\3a.B"), name));
    assert_false(tls_hello_name(U("\0\6\0\0\4a.B"), name));
    assert_false(tls_hello_name(U("\0\6\0\0\2a.B"), name)); /* and another after it */
    assert_false(tls_hello_name(U("\0\6\0\0\3a\0B"), name));
    assert_true(tls_hello_offers_only(U("\0\2\1x"), "x"));
    assert_false(tls_hello_offers_only(U("\0\4\1x\1y"), "x"));
    assert_false(tls_hello_offers_only(U("\0\2\2x"), "x"));
    assert_false(tls_hello_offers_only(U(""), "x"));
}

/* ---- strangers ---- */

struct crowd {
    const char *say;
    size_t n;
    int *fds;
};

static void gather(void *arg)
{
    struct crowd *c = arg;
    for (unsigned i = 0; i < CROWD; i++) {
        char from[32];
        snprintf(from, sizeof(from), "127.0.%u.1", 1 + i % 8);
        c->fds[i] = client_connect(&w, from);
        if (c->fds[i] >= 0)
            send(c->fds[i], c->say, c->n, MSG_NOSIGNAL);
    }
}

static void check_crowd(const char *say, size_t n, long room_kb)
{
    struct told t;
    if (!world_room_for(CROWD + 1000))
        skip();
    struct responder *a = served("www.example.org", &t);
    struct crowd c = {.say = say, .n = n, .fds = xcalloc(CROWD, sizeof(int))};
    struct hello h = ask("www.example.org", ACME);
    X509_free(h.cert);
    long before = world_rss_kb();
    world_client(&w, gather, &c);
    h = ask("www.example.org", ACME);
    long grown = world_rss_kb() - before;
    print_message("%ld KiB more\n", grown);
    assert_true(h.shaken);
    X509_free(h.cert);
    assert_true(!WORLD_MEASURED || grown < room_kb);
    responder_drop(a);
    for (unsigned i = 0; i < CROWD; i++) {
        if (c.fds[i] >= 0)
            close(c.fds[i]);
    }
    free(c.fds);
}

static void test_idle_crowd(void **state)
{
    (void)state;
    check_crowd("", 0, WORLD_RSS_ROOM_KB);
}

/* Hellos that announce 16 KiB and stop before their end. */
static void test_half_asking_crowd(void **state)
{
    static const char half[] = "\x16\x03\x01\x3f\xff\x01\x00\x3f\xfb\x03\x03 and nothing more";
    (void)state;
    check_crowd(half, sizeof(half) - 1, WORLD_RSS_ROOM_KB);
}

/* Whole hellos with the right name, of clients that never answer. */
static void test_stalling_crowd(void **state)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(ctx);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    char *hello;
    (void)state;
    SSL_set_bio(ssl, in, out);
    SSL_set_tlsext_host_name(ssl, "www.example.org");
    SSL_set_alpn_protos(ssl, (const unsigned char *)ACME, sizeof(ACME) - 1);
    SSL_connect(ssl);
    long n = BIO_get_mem_data(out, &hello);
    assert_true(n > 100);
    check_crowd(hello, (size_t)n, 24 << 10);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_the_name_that_is_proved),
        TEST(test_addresses),
        TEST(test_all_else_gets_an_alert),
        TEST(test_no_second_hello),
        TEST(test_identifiers_that_cannot_be),
        TEST(test_two_orders_of_one_name),
        cmocka_unit_test(test_hellos_are_looked_at_first),
        cmocka_unit_test(test_names_and_protocols_as_bytes),
        TEST(test_idle_crowd),
        TEST(test_half_asking_crowd),
        TEST(test_stalling_crowd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
