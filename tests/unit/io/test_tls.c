/* SPDX-License-Identifier: ISC */
/* The HTTP client and the probe against openssl's test server. */
#include "io/dns.h"
#include "io/http.h"
#include "io/probe.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/child.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct loop *loop;
static struct dns *dns;
static struct http *http;
static char dir[] = "/tmp/test_tls.XXXXXX";
static struct buf certificate;
static struct child *server;
static int port, input = -1;

static const char *const env[] = {"PATH=/usr/bin:/bin", NULL};

static void child_done(void *arg, const struct child_end *end)
{
    *(int *)arg = end->status;
    loop_stop(loop);
}

static void server_done(void *arg, const struct child_end *end)
{
    (void)arg;
    (void)end;
    fail_msg("the server ended by itself");
}

static void run(const char *script)
{
    const char *argv[] = {"sh", "-c", script, NULL};
    struct child_spec s = {.argv = argv, .env = env, .dir = dir, .uid = (uid_t)-1};
    struct err e = ERR_INIT;
    int status = -1;
    struct child *c = child_start(loop, &s, child_done, &status, &e);

    assert_non_null(c);
    loop_run(loop);
    child_free(c);
    assert_int_equal(status, 0);
}

/* openssl says which port it got. */
static void serve(const char *options)
{
    char *script =
        xasprintf("exec openssl s_server -accept 127.0.0.1:0 -cert cert.pem -key key.pem "
                  "%s <&4 >&3 2>/dev/null",
                  options);
    const char *argv[] = {"sh", "-c", script, NULL};
    char line[4096] = "";
    int p[2], q[2];

    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    assert_int_equal(pipe2(q, O_CLOEXEC), 0); /* it ends with its input */
    input = q[1];
    const int fds[] = {p[1], q[0]};
    struct child_spec s = {.argv = argv,
                           .env = env,
                           .dir = dir,
                           .uid = (uid_t)-1,
                           .fds = fds,
                           .n_fds = 2,
                           .own_group = true,
                           .die_with_parent = true};
    server = child_start(loop, &s, server_done, NULL, NULL);
    assert_non_null(server);
    close(p[1]);
    close(q[0]);
    for (size_t n = 0; n < sizeof line - 1 && !strstr(line, "ACCEPT 127.0.0.1:");) {
        ssize_t r = read(p[0], line + n, sizeof line - 1 - n);

        assert_true(r > 0);
        n += (size_t)r;
    }
    port = atoi(strstr(line, "ACCEPT 127.0.0.1:") + 17);
    assert_true(port > 0);
    free(script);
    close(p[0]);
}

static int setup_group(void **state)
{
    (void)state;
    loop = loop_new();
    assert_non_null(mkdtemp(dir));
    run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem "
        "-out cert.pem -subj /CN=leaf -days 5 -addext subjectAltName=DNS:localhost,IP:127.0.0.1");
    char *path = xasprintf("%s/cert.pem", dir);
    buf_init(&certificate, 65536);
    assert_int_equal(file_read_at(AT_FDCWD, path, true, &certificate, NULL, NULL), 0);
    free(path);
    return 0;
}

static int teardown_group(void **state)
{
    (void)state;
    buf_free(&certificate);
    file_remove_tree_at(AT_FDCWD, dir, NULL);
    loop_free(loop);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    dns = dns_new(loop);
    http = http_new(loop, dns);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    http_free(http);
    dns_free(dns);
    child_free(server);
    server = NULL;
    if (input >= 0)
        close(input);
    input = -1;
    return 0;
}

static struct {
    int status;
    struct err err;
    size_t n;
    struct err probe_err;
    char leaf[4096];
} got;

static void replied(void *arg, const struct http_reply *r, const struct err *e)
{
    (void)arg;
    got.status = r ? r->status : 0;
    got.err = *e;
    loop_stop(loop);
}

static void get(const char *host, const struct http_site_spec *spec)
{
    struct http_site *site = http_site_new(http, spec);
    char url[128];

    snprintf(url, sizeof url, "https://%s:%d/", host, port);
    http_start(site, &(struct http_request){.method = "GET", .url = url, .max_body = 1 << 20},
               replied, NULL);
    loop_run(loop);
    http_site_free(site);
}

static void https_with_a_root_of_our_own(void **state)
{
    (void)state;
    serve("-www");
    get("127.0.0.1", &(struct http_site_spec){.ca_pem = buf_str(&certificate)});
    assert_int_equal(got.status, 200);
    get("localhost", &(struct http_site_spec){.ca_pem = buf_str(&certificate), .http2 = true});
    assert_int_equal(got.status, 200);
}

static void https_that_is_not_trusted(void **state)
{
    (void)state;
    serve("-www");
    get("127.0.0.1", &(struct http_site_spec){0});
    assert_int_equal(got.status, 0);
    assert_int_equal(got.err.cls, ERR_PEER);
    assert_non_null(strstr(got.err.detail, "ca_file"));
    get("127.0.0.2", &(struct http_site_spec){.ca_pem = buf_str(&certificate)});
    assert_int_equal(got.status, 0);
    get("127.0.0.1", &(struct http_site_spec){.ca_pem = "no certificate"});
    assert_int_equal(got.status, 0);
    assert_int_not_equal(got.err.cls, ERR_NONE);
}

static void old_protocols_are_refused(void **state)
{
    (void)state;
    serve("-www -tls1_1 -cipher DEFAULT:@SECLEVEL=0");
    get("127.0.0.1", &(struct http_site_spec){.ca_pem = buf_str(&certificate)});
    assert_int_equal(got.status, 0);
    assert_int_equal(got.err.cls, ERR_TRANSIENT);
}

static void probed(void *arg, const struct probe_result *r, size_t n, const struct err *e)
{
    (void)arg;
    got.n = n;
    got.err = *e;
    got.leaf[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        got.probe_err = r[i].err;
        if (r[i].leaf)
            str_copy(got.leaf, sizeof got.leaf, r[i].leaf);
    }
    loop_stop(loop);
}

static enum probe_key probe_key;

static void probe(const char *host, const char *sni, int ms)
{
    char *connect = xasprintf("%s:%d", host, port);

    memset(&got, 0, sizeof got);
    struct probe_spec s = {.connect = connect, .sni = sni, .key = probe_key, .timeout_ms = ms};
    assert_non_null(probe_start(http, &s, probed, NULL));
    assert_int_equal(got.n, 0);
    loop_run(loop);
    free(connect);
}

/* The server speaks TLS, but not a word of HTTP. */
static void the_leaf_is_shown(void **state)
{
    (void)state;
    serve("");
    probe("127.0.0.1", "www.example.org", 3000);
    assert_int_equal(got.n, 1);
    assert_int_equal(got.probe_err.cls, ERR_NONE);
    assert_true(str_starts(got.leaf, "-----BEGIN CERTIFICATE-----"));
    assert_memory_equal(got.leaf, buf_str(&certificate), 200);
    probe("localhost", NULL, 3000);
    assert_true(got.n >= 1);
    assert_true(got.leaf[0] != '\0');
}

static void the_name_chooses_the_certificate(void **state)
{
    (void)state;
    run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key2.pem "
        "-out cert2.pem -subj /CN=other -days 5");
    serve("-servername other.example -cert2 cert2.pem -key2 key2.pem");
    probe("127.0.0.1", "other.example", 3000);
    assert_true(got.leaf[0] != '\0');
    assert_memory_not_equal(got.leaf, buf_str(&certificate), 200);
    probe("127.0.0.1", "", 3000);
    assert_memory_equal(got.leaf, buf_str(&certificate), 200);
    probe("127.0.0.1", "2001:db8::7", 3000); /* an address is never asked for by name */
    assert_memory_equal(got.leaf, buf_str(&certificate), 200);
}

static void the_kind_of_key_is_chosen(void **state)
{
    (void)state;
    run("openssl req -x509 -newkey rsa:2048 -nodes -keyout rsa-key.pem -out rsa.pem -subj /CN=rsa "
        "-days 5");
    serve("-dcert rsa.pem -dkey rsa-key.pem");
    probe_key = PROBE_ECDSA;
    probe("127.0.0.1", "www.example.org", 3000);
    assert_memory_equal(got.leaf, buf_str(&certificate), 200);
    probe_key = PROBE_RSA;
    probe("127.0.0.1", "www.example.org", 3000);
    probe_key = PROBE_ANY_KEY;
    assert_true(str_starts(got.leaf, "-----BEGIN CERTIFICATE-----"));
    assert_memory_not_equal(got.leaf, buf_str(&certificate), 200);
}

/* What speaks TLS at once speaks neither LDAP nor PostgreSQL. */
static void what_comes_before_tls(void **state)
{
    (void)state;
    serve("");
    CLEANUP_FREE char *connect = xasprintf("127.0.0.1:%d", port);
    struct probe_spec s = {.connect = connect, .timeout_ms = 3000};
    static const struct {
        const char *starttls, *says;
    } cases[] = {
        {"ldap", "no LDAP server"}, {"postgres", "no PostgreSQL server"}, {"ftp", "not known"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        memset(&got, 0, sizeof got);
        s.starttls = cases[i].starttls;
        probe_start(http, &s, probed, NULL);
        loop_run(loop);
        const struct err *e = got.n ? &got.probe_err : &got.err;
        if (!strstr(e->detail, cases[i].says) && !strstr(e->detail, "connection broke"))
            fail_msg("%s: %s", s.starttls, e->detail);
        assert_string_equal(got.leaf, "");
    }
    for (size_t i = 0; i < 2; i++) { /* freed in the middle */
        s.starttls = cases[i].starttls;
        probe_cancel(probe_start(http, &s, probed, NULL));
    }
}

static void probes_that_fail(void **state)
{
    (void)state;
    port = 1;
    probe("127.0.0.1", "x", 1000);
    assert_int_equal(got.n, 1);
    assert_int_equal(got.probe_err.cls, ERR_TRANSIENT);
    assert_string_equal(got.leaf, "");
    probe("no-such-host.example", "x", 1000);
    assert_int_equal(got.n, 0);
    assert_int_not_equal(got.err.cls, ERR_NONE);
    port = 99999;
    probe("127.0.0.1", "x", 1000);
    assert_int_equal(got.err.cls, ERR_CONFIG);
}

static void a_silent_server_and_cancelling(void **state)
{
    struct timer t = {0};
    struct probe *p;
    char *connect;

    (void)state;
    serve("");
    child_kill(server, SIGSTOP); /* the kernel still accepts */
    probe("127.0.0.1", "x", 200);
    assert_int_equal(got.n, 1);
    assert_non_null(strstr(got.probe_err.detail, "within 200 ms"));
    connect = xasprintf("127.0.0.1:%d", port);
    memset(&got, 0, sizeof got);
    probe_cancel(NULL);
    struct probe_spec s = {.connect = connect, .sni = "x", .timeout_ms = 10000};
    probe_cancel(probe_start(http, &s, probed, NULL));
    p = probe_start(http, &s, probed, NULL);
    timer_after(loop, &t, 30, (void (*)(void *))loop_stop, loop);
    loop_run(loop);
    probe_cancel(p);
    assert_int_equal(got.n, 0);
    free(connect);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(https_with_a_root_of_our_own),
        TEST(https_that_is_not_trusted),
        TEST(old_protocols_are_refused),
        TEST(the_leaf_is_shown),
        TEST(the_name_chooses_the_certificate),
        TEST(the_kind_of_key_is_chosen),
        TEST(what_comes_before_tls),
        TEST(probes_that_fail),
        TEST(a_silent_server_and_cancelling),
    };

    return cmocka_run_group_tests(tests, setup_group, teardown_group);
}
