/* SPDX-License-Identifier: ISC */
#include "io/dns.h"
#include "io/http.h"

#include "base/str.h"
#include "dns_server.h"
#include "http_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

static struct loop *loop;
static struct dns *dns;
static struct http *http;
static struct http_site *site;
static struct dns_server names;
static struct http_server server;

static struct {
    int calls, status;
    bool replied;
    struct err err;
    char body[256], one[64], two[64];
    size_t body_len, n_headers;
} got;

static const struct http_site_spec plain = {.allow_http = true};

static int setup(void **state)
{
    (void)state;
    loop = loop_new();
    dns = dns_new(loop);
    dns_server_start(&names, loop);
    dns_set_resolvers(dns, &names.addr, 1);
    http_server_start(&server, loop, "127.0.0.1");
    http = http_new(loop, dns);
    site = http_site_new(http, &plain);
    memset(&got, 0, sizeof got);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    http_site_free(site);
    http_free(http);
    http_server_stop(&server);
    dns_server_stop(&names);
    dns_free(dns);
    loop_free(loop);
    return 0;
}

static void stop(void *arg)
{
    (void)arg;
    loop_stop(loop);
}

static void run_for(int ms)
{
    struct timer t = {0};

    timer_after(loop, &t, ms, stop, NULL);
    loop_run(loop);
    timer_cancel(&t);
}

static void done(void *arg, const struct http_reply *r, const struct err *e)
{
    (void)arg;
    got.calls++;
    got.err = *e;
    got.replied = r != NULL;
    if (r) {
        got.status = r->status;
        got.body_len = r->body_len;
        got.n_headers = r->n_headers;
        str_copy(got.body, sizeof got.body, r->body);
        if (http_reply_header(r, "x-one"))
            str_copy(got.one, sizeof got.one, http_reply_header(r, "x-one"));
        if (http_reply_header(r, "X-Two"))
            str_copy(got.two, sizeof got.two, http_reply_header(r, "X-Two"));
        if (http_reply_header(r, "X"))
            str_copy(got.one, sizeof got.one, http_reply_header(r, "X"));
    }
    loop_stop(loop);
}

static struct http_call *begin(const char *host, const char *path, const struct http_request *more)
{
    struct http_request r = more ? *more : (struct http_request){0};
    char url[512];

    snprintf(url, sizeof url, "http://%s:%u%s", host, server.port, path);
    r.url = url;
    if (!r.method)
        r.method = "GET";
    if (!r.max_body)
        r.max_body = 1000;
    if (!r.timeout_ms)
        r.timeout_ms = 5000;
    memset(&got, 0, sizeof got);
    struct http_call *c = http_start(site, &r, done, NULL);
    assert_non_null(c);
    return c;
}

static void request(const char *host, const char *path, const struct http_request *more)
{
    begin(host, path, more);
    assert_int_equal(got.calls, 0);
    loop_run(loop);
    assert_int_equal(got.calls, 1);
}

static void get(const char *path)
{
    request("127.0.0.1", path, NULL);
}

static void fails(const char *path, enum err_class cls, const char *detail)
{
    get(path);
    assert_false(got.replied);
    assert_int_equal(got.err.cls, cls);
    if (!strstr(got.err.detail, detail))
        fail_msg("%s: %s", path, got.err.detail);
}

static void a_reply_is_read(void **state)
{
    (void)state;
    get("/hello");
    assert_int_equal(got.status, 200);
    assert_string_equal(got.body, "hello");
    assert_string_equal(got.one, "1");
    assert_string_equal(got.two, "2");
    assert_int_equal(got.n_headers, 3);
    get("/empty");
    assert_int_equal(got.status, 204);
    get("/problem");
    assert_int_equal(got.status, 429);
    get("/redirect");
    assert_int_equal(got.status, 302);
    get("/early");
    assert_string_equal(got.body, "ok");
    assert_int_equal(got.n_headers, 1);
    get("/fold");
    assert_string_equal(got.one, "a b");
    get("/until-close");
    assert_string_equal(got.body, "all there is");
    assert_int_equal(server.connections, 1);
}

/* Nobody is asked where the name is, and another connection is made each time. */
static void an_address_stands_in_for_the_name(void **state)
{
    struct dns_addr at;
    char text[64];
    struct http_request r = {.at = &at};

    (void)state;
    snprintf(text, sizeof text, "127.0.0.1:%u", server.port);
    assert_true(dns_addr_parse(text, 80, &at));
    request("nowhere.invalid", "/hello", &r);
    assert_int_equal(got.status, 200);
    assert_non_null(strstr(buf_str(&server.last), "Host: nowhere.invalid"));
    request("nowhere.invalid", "/hello", &r);
    assert_int_equal(got.status, 200);
    assert_int_equal(server.connections, 2);
    assert_true(dns_addr_parse("127.0.0.1:1", 80, &at));
    request("nowhere.invalid", "/hello", &r);
    assert_false(got.replied);
}

static void chunks_are_joined_and_trailers_dropped(void **state)
{
    (void)state;
    get("/chunked");
    assert_string_equal(got.body, "abcde");
    assert_int_equal(got.n_headers, 1);
}

static void a_request_is_what_was_asked_for(void **state)
{
    const char *headers[] = {"Content-Type: application/jose+json", "X-Empty:", NULL};
    const char *sent;

    (void)state;
    request("127.0.0.1", "/hello/../a%20b",
            &(struct http_request){
                .method = "POST", .headers = headers, .body = "{\"a\":1}", .body_len = 7});
    sent = buf_str(&server.last);
    assert_true(str_starts(sent, "POST /hello/../a%20b HTTP/1.1\r\n"));
    assert_non_null(strstr(sent, "\r\nUser-Agent: renewd/" RENEWD_VERSION " libcurl/"));
    assert_non_null(strstr(sent, "\r\nContent-Type: application/jose+json\r\n"));
    assert_non_null(strstr(sent, "\r\nX-Empty:\r\n"));
    assert_non_null(strstr(sent, "\r\nContent-Length: 7\r\n"));
    assert_non_null(strstr(sent, "\r\n\r\n{\"a\":1}"));
    assert_null(strcasestr(sent, "\r\nExpect:"));
    assert_null(strcasestr(sent, "\r\nTransfer-Encoding:"));
    assert_null(strcasestr(sent, "\r\nCookie:"));
}

static void every_method_works(void **state)
{
    static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};

    (void)state;
    for (size_t i = 0; i < 5; i++) {
        for (int body = 0; body < 2; body++) {
            request("127.0.0.1", "/hello",
                    &(struct http_request){.method = methods[i],
                                           .body = body ? "xyz" : NULL,
                                           .body_len = 3U * (unsigned)body});
            assert_int_equal(got.status, 200);
            const char *sent = buf_str(&server.last);
            assert_true(str_starts(sent, methods[i]));
            assert_int_equal(strstr(sent, "\r\n\r\nxyz") != NULL, body);
            assert_null(strstr(sent, "x-www-form-urlencoded"));
            if (!body && i >= 1 && i <= 3)
                assert_non_null(strstr(sent, "\r\nContent-Length: 0\r\n"));
        }
    }
    request("127.0.0.1", "/head", &(struct http_request){.method = "HEAD"});
    assert_int_equal(got.status, 200);
    assert_int_equal(got.body_len, 0);
    assert_string_equal(got.one, "y");
}

static void large_bodies_are_sent_without_asking(void **state)
{
    char *big = xcalloc(1, 300000);

    (void)state;
    memset(big, 'b', 300000);
    request("127.0.0.1", "/hello",
            &(struct http_request){.method = "POST", .body = big, .body_len = 300000});
    assert_int_equal(got.status, 200);
    assert_true(server.last.len > 300000);
    assert_null(strcasestr(buf_str(&server.last), "\r\nExpect:"));
    free(big);
}

static void bodies_are_bounded(void **state)
{
    (void)state;
    request("127.0.0.1", "/hello", &(struct http_request){.max_body = 5});
    assert_true(got.replied);
    request("127.0.0.1", "/hello", &(struct http_request){.max_body = 4});
    assert_false(got.replied);
    assert_int_equal(got.err.cls, ERR_PEER);
    assert_non_null(strstr(got.err.detail, "over 4 bytes"));
    fails("/stream", ERR_PEER, "over 1000 bytes");
}

static void heads_are_bounded(void **state)
{
    (void)state;
    fails("/fields", ERR_PEER, "header");
    fails("/wide", ERR_PEER, "header");
}

static void faults_of_the_server_are_errors(void **state)
{
    (void)state;
    fails("/junk", ERR_PEER, "no valid HTTP");
    fails("/close", ERR_TRANSIENT, "without a reply");
    fails("/cut", ERR_TRANSIENT, "cut short");
    fails("/reset", ERR_TRANSIENT, "");
    fails("/badfield", ERR_PEER, "no valid HTTP");
    get("/hello"); /* and afterwards all is well */
    assert_true(got.replied);
}

static void one_deadline_covers_all(void **state)
{
    static const char *const paths[] = {"/slow", "/hang", "/huge", "/endless"};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        int64_t begun = loop_mono_ms(loop);

        request("127.0.0.1", paths[i],
                &(struct http_request){.timeout_ms = 150, .max_body = 1u << 30});
        assert_false(got.replied);
        assert_int_equal(got.err.cls, ERR_TRANSIENT);
        assert_non_null(strstr(got.err.detail, "gave up after 150 ms"));
        int64_t took = loop_mono_ms(loop) - begun;
        assert_true(took >= 150 && took < 1000);
    }
    request("silent.example", "/hello", &(struct http_request){.timeout_ms = 150});
    assert_non_null(strstr(got.err.detail, "looking it up"));
}

static void start_bad(const char *method, const char *url, const char *header, const char *detail)
{
    const char *headers[] = {header, NULL};
    struct http_request r = {.method = method, .url = url, .headers = headers, .max_body = 10};

    memset(&got, 0, sizeof got);
    http_start(site, &r, done, NULL);
    assert_int_equal(got.calls, 0);
    loop_run(loop);
    if (got.replied || got.err.cls != ERR_CONFIG || !strstr(got.err.detail, detail))
        fail_msg("%s %s %s: %s", method, url, header ? header : "", got.err.detail);
}

static void injections_and_bad_urls_are_refused(void **state)
{
    static const char *const headers[] = {
        "X: a\r\nY: b", "X: a\nY: b", "X", "X Y: z", ": x", "X\r\n: y", "X: a\x01", "X : y",
    };
    static const char *const ours[] = {
        "Host: x",       "host: x",           "Content-Length: 5",    "Transfer-Encoding: chunked",
        "User-Agent: x", "Connection: close", "Expect: 100-continue",
    };
    static const char *const urls[] = {
        "http://127.0.0.1/a\r\nX: y",
        "http://127.0.0.1/a b",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "127.0.0.1/",
        "",
        "http://",
        "http://u:p@127.0.0.1/",
        "http://127.0.0.1:99999/",
        "http://example.com./",
        "http://[fe80::1%25eth0]/",
        "http://\xc3\xa4.example/",
        "://",
    };
    static const char ok[] = "http://127.0.0.1:1/";
    char *wide = xcalloc(1, 10000);

    (void)state;
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        start_bad("GET", ok, headers[i], "malformed");
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        start_bad("GET", ok, ours[i], "not the caller's to set");
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++)
        start_bad("GET", urls[i], NULL, "");
    start_bad("GET /\r\nX: y", ok, NULL, "method");
    start_bad("", ok, NULL, "method");
    start_bad("AVERYLONGMETHODINDEED", ok, NULL, "method");
    snprintf(wide, 10000, "http://127.0.0.1/%08000d", 0);
    start_bad("GET", wide, NULL, "over");
    free(wide);
    http_site_free(site);
    site = http_site_new(http, &(struct http_site_spec){0});
    start_bad("GET", ok, NULL, "only https is allowed");
}

static void connections_are_reused(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        get("/hello");
    assert_int_equal(server.connections, 1);
    assert_int_equal(server.requests, 5);
}

static void a_stale_connection_is_replaced(void **state)
{
    (void)state;
    server.close_after = true;
    for (int i = 0; i < 3; i++) {
        get("/hello");
        assert_true(got.replied);
    }
    assert_int_equal(server.connections, 3);
}

static int left;

static void counted(void *arg, const struct http_reply *r, const struct err *e)
{
    (void)arg;
    if (!r)
        fail_msg("%s", e->detail);
    if (--left == 0)
        loop_stop(loop);
}

static void many_at_once_share_few_connections(void **state)
{
    char url[64];

    (void)state;
    snprintf(url, sizeof url, "http://127.0.0.1:%u/hello", server.port);
    left = 50;
    for (int i = 0; i < 50; i++)
        http_start(site, &(struct http_request){.method = "GET", .url = url, .max_body = 10},
                   counted, NULL);
    loop_run(loop);
    assert_int_equal(server.requests, 50);
    assert_true(server.connections <= 4);
}

static void names_are_looked_up_once(void **state)
{
    (void)state;
    request("loop.example", "/hello", NULL);
    assert_int_equal(got.status, 200);
    unsigned before = names.udp_count;
    request("loop.example", "/hello", NULL);
    request("LOOP.example", "/hello", NULL);
    assert_int_equal(names.udp_count, before);
    assert_non_null(strstr(buf_str(&server.last), "\r\nHost: "));
    request("nx.example", "/hello", NULL);
    assert_false(got.replied);
    assert_non_null(strstr(got.err.detail, "nx.example"));
    request("localhost", "/hello", NULL);
    assert_int_equal(got.status, 200);
}

static void a_second_address_is_tried(void **state)
{
    (void)state;
    request("mixed.example", "/hello", NULL); /* 127.0.0.9 refuses */
    assert_int_equal(got.status, 200);
}

/* The server moves away and comes back: the remembered address fails, and is looked up anew. */
static void a_remembered_address_that_fails_is_looked_up_again(void **state)
{
    uint16_t port = server.port;

    (void)state;
    request("loop.example", "/hello", NULL);
    unsigned before = names.udp_count;
    http_server_stop(&server);
    http_server_start(&server, loop, "127.0.0.1");
    uint16_t new_port = server.port;
    server.port = port;
    request("loop.example", "/hello", NULL);
    server.port = new_port;
    assert_false(got.replied);
    assert_int_equal(got.err.cls, ERR_TRANSIENT);
    assert_true(names.udp_count > before);
}

static void the_egress_rule_holds(void **state)
{
    const char *const allowed[] = {"loop.example", NULL};
    struct http_site_spec spec = {.allow_http = true, .check_address = true};

    (void)state;
    http_site_free(site);
    site = http_site_new(http, &spec);
    request("loop.example", "/hello", NULL);
    assert_false(got.replied);
    assert_int_equal(got.err.cls, ERR_CONFIG);
    assert_non_null(strstr(got.err.detail, "not a public one"));
    request("127.0.0.1", "/hello", NULL);
    assert_int_equal(got.err.cls, ERR_CONFIG);
    request("0x7f.1", "/hello", NULL);
    assert_int_equal(got.err.cls, ERR_CONFIG);
    request("[::ffff:127.0.0.1]", "/hello", NULL);
    assert_int_equal(got.err.cls, ERR_CONFIG);
    request("localhost", "/hello", NULL);
    assert_int_equal(got.err.cls, ERR_CONFIG);
    assert_int_equal(server.connections, 0);

    http_site_free(site);
    spec.literal_hosts = allowed;
    site = http_site_new(http, &spec);
    request("loop.example", "/hello", NULL);
    assert_int_equal(got.status, 200);
    request("mixed.example", "/hello", NULL);
    assert_int_equal(got.err.cls, ERR_CONFIG);
}

static void cancelled_calls_are_silent(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "loop.example", "silent.example"};
    static const char *const paths[] = {"/hello", "/slow", "/hang", "/stream"};

    (void)state;
    http_cancel(NULL);
    for (size_t h = 0; h < 3; h++) {
        for (size_t p = 0; p < 4; p++) {
            struct http_request r = {.max_body = 1u << 30};

            http_cancel(begin(hosts[h], paths[p], &r)); /* at once */
            for (int rounds = 0; rounds < 6; rounds++) {
                struct http_call *c = begin(hosts[h], paths[p], &r);

                run_for(rounds);
                if (got.calls == 0)
                    http_cancel(c);
                got.calls = 0;
                run_for(3);
                assert_int_equal(got.calls, 0);
            }
        }
    }
    http_cancel(begin("127.0.0.1", " bad", NULL)); /* an error that waits to be told */
    run_for(3);
    assert_int_equal(got.calls, 0);
}

static void freeing_with_calls_in_flight(void **state)
{
    (void)state;
    begin("127.0.0.1", "/slow", NULL);
    begin("loop.example", "/slow", NULL);
    begin("silent.example", "/slow", NULL);
    begin("127.0.0.1", " bad", NULL);
    run_for(5);
    http_site_free(site);
    site = http_site_new(http, &plain);
    begin("127.0.0.1", "/slow", NULL);
    begin("silent.example", "/slow", NULL);
    run_for(5);
    memset(&got, 0, sizeof got);
    http_free(http); /* before its site, which may still be freed */
    http = NULL;
    run_for(5);
    assert_int_equal(got.calls, 0);
}

static void free_all(void *arg, const struct http_reply *r, const struct err *e)
{
    (void)arg;
    (void)e;
    http_site_free(site);
    site = NULL;
    assert_string_equal(r->body, "hello"); /* lives for the callback all the same */
    loop_stop(loop);
}

static void the_site_is_freed_in_a_callback(void **state)
{
    char url[64];

    (void)state;
    snprintf(url, sizeof url, "http://127.0.0.1:%u/hello", server.port);
    http_start(site, &(struct http_request){.method = "GET", .url = url, .max_body = 10}, free_all,
               NULL);
    http_start(site, &(struct http_request){.method = "GET", .url = url, .max_body = 10}, done,
               NULL);
    loop_run(loop);
    run_for(5);
    assert_true(got.calls <= 1);
}

/* Connections stay, but neither libcurl nor we have a timer left. */
static void idle_is_without_wake_ups(void **state)
{
    struct rusage before, after;

    (void)state;
    get("/hello");
    request("loop.example", "/chunked", NULL);
    request("127.0.0.1", "/hang", &(struct http_request){.timeout_ms = 50});
    run_for(300);
    getrusage(RUSAGE_THREAD, &before);
    run_for(2500);
    getrusage(RUSAGE_THREAD, &after);
    assert_true(after.ru_nvcsw - before.ru_nvcsw <= 2);
}

/* The server has the request, and a kept connection ends: libcurl by itself would ask again. */
static void once_is_once(void **state)
{
    const struct http_request r = {.method = "POST", .body = "{\"a\":1}", .body_len = 7},
                              once = {.method = "POST",
                                      .body = "{\"a\":1}",
                                      .body_len = 7,
                                      .once = true};

    (void)state;
    get("/hello");
    request("127.0.0.1", "/close", &r);
    assert_false(got.replied);
    assert_int_equal(server.requests, 3); /* that is so; if it no longer is, once is in vain */
    get("/hello");
    request("127.0.0.1", "/close", &once);
    assert_false(got.replied);
    assert_int_equal(got.err.cls, ERR_TRANSIENT);
    assert_non_null(strstr(got.err.detail, "the connection ended without a reply"));
    assert_int_equal(server.requests, 5);
    request("127.0.0.1", "/hello", &once);
    assert_int_equal(got.status, 200);
    assert_non_null(strstr(buf_str(&server.last), "\r\nContent-Length: 7\r\n"));
    assert_non_null(strstr(buf_str(&server.last), "\r\n\r\n{\"a\":1}"));
    assert_int_equal(server.requests, 6);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_reply_is_read),
        TEST(an_address_stands_in_for_the_name),
        TEST(chunks_are_joined_and_trailers_dropped),
        TEST(a_request_is_what_was_asked_for),
        TEST(every_method_works),
        TEST(large_bodies_are_sent_without_asking),
        TEST(bodies_are_bounded),
        TEST(heads_are_bounded),
        TEST(faults_of_the_server_are_errors),
        TEST(one_deadline_covers_all),
        TEST(injections_and_bad_urls_are_refused),
        TEST(connections_are_reused),
        TEST(a_stale_connection_is_replaced),
        TEST(once_is_once),
        TEST(many_at_once_share_few_connections),
        TEST(names_are_looked_up_once),
        TEST(a_second_address_is_tried),
        TEST(a_remembered_address_that_fails_is_looked_up_again),
        TEST(the_egress_rule_holds),
        TEST(cancelled_calls_are_silent),
        TEST(freeing_with_calls_in_flight),
        TEST(the_site_is_freed_in_a_callback),
        TEST(idle_is_without_wake_ups),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
