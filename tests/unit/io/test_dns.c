/* SPDX-License-Identifier: ISC */
#include "io/dns.h"

#include "dns_server.h"

#include <arpa/inet.h>
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
static struct dns_server server;

/* What the last answer held; records are copied as far as the tests look. */
static struct {
    int calls, rcode;
    bool answered, aa;
    size_t n;
    struct dns_record first, last;
    char text[256];
    size_t n_addrs;
    struct dns_addr addrs[8];
    struct err err;
} got;

static int setup(void **state)
{
    (void)state;
    loop = loop_new();
    dns = dns_new(loop);
    dns_server_start(&server, loop);
    memset(&got, 0, sizeof got);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    dns_free(dns);
    dns_server_stop(&server);
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

static void done(void *arg, const struct dns_reply *r, const struct err *e)
{
    (void)arg;
    got.calls++;
    got.answered = r != NULL;
    got.err = *e;
    if (r) {
        got.rcode = r->rcode;
        got.aa = r->aa;
        got.n = r->n;
        if (r->n) {
            got.first = r->records[0];
            got.last = r->records[r->n - 1];
            if (got.first.text)
                memcpy(got.text, got.first.text, got.first.text_len);
        }
    }
    loop_stop(loop);
}

static void ask_more(const char *name, enum dns_type type, const struct dns_query *more)
{
    struct dns_query q = *more;

    q.name = name;
    q.type = type;
    memset(&got, 0, sizeof got);
    assert_non_null(dns_ask(dns, &q, done, NULL));
    assert_int_equal(got.calls, 0);
    loop_run(loop);
    assert_int_equal(got.calls, 1);
}

static void ask(const char *name, enum dns_type type)
{
    ask_more(name, type, &(struct dns_query){.server = &server.addr});
}

static void each_type_is_read(void **state)
{
    char text[64];

    (void)state;
    ask("a.example", DNS_A);
    assert_true(got.answered && got.aa);
    assert_int_equal(got.n, 1);
    assert_string_equal(got.first.owner, "a.example");
    assert_int_equal(got.first.ttl, 300);
    assert_string_equal(dns_addr_text(&got.first.addr, text, sizeof text), "192.0.2.1");
    ask("aaaa.example", DNS_AAAA);
    assert_string_equal(dns_addr_text(&got.first.addr, text, sizeof text), "2001:db8::1");
    ask("txt.example", DNS_TXT);
    assert_int_equal(got.first.text_len, 11);
    assert_memory_equal(got.text, "hello w\0rld", 11);
    ask("ns.example", DNS_NS);
    assert_string_equal(got.first.name, "ns.example");
    ask("soa.example", DNS_SOA);
    assert_string_equal(got.first.name, "ns.example");
    assert_int_equal(got.first.soa_minimum, 60);
    ask("cname.example", DNS_CNAME);
    assert_string_equal(got.first.name, "target.cname.example");
    ask("none.example", DNS_TXT);
    assert_true(got.answered);
    assert_int_equal(got.n, 0);
}

static void direct_questions_say_rd_0_and_edns(void **state)
{
    (void)state;
    ask("a.example", DNS_A);
    assert_false(server.last_rd);
    assert_int_equal(server.edns_size, 1232);
    ask_more("a.example", DNS_A, &(struct dns_query){.server = &server.addr, .recurse = true});
    assert_true(server.last_rd);
}

static void refusals_are_replies(void **state)
{
    (void)state;
    ask("nx.example", DNS_A);
    assert_true(got.answered);
    assert_int_equal(got.rcode, 3);
    assert_int_equal(got.first.section, DNS_AUTHORITY);
    assert_int_equal(got.first.type, DNS_SOA);
    ask("servfail.example", DNS_A);
    assert_true(got.answered);
    assert_int_equal(got.rcode, 2);
    ask("refused.example", DNS_A);
    assert_int_equal(got.rcode, 5);
    assert_string_equal(dns_rcode_name(got.rcode), "REFUSED");
}

static void truncation_falls_back_to_tcp(void **state)
{
    (void)state;
    ask("big.example", DNS_TXT);
    assert_int_equal(got.n, 60);
    assert_int_equal(got.last.text_len, 29);
    assert_int_equal(server.udp_count, 1);
    assert_int_equal(server.tcp_count, 1);
    ask_more("txt.example", DNS_TXT, &(struct dns_query){.server = &server.addr, .tcp = true});
    assert_int_equal(server.udp_count, 1);
    assert_int_equal(got.n, 1);
}

static void no_answer_is_an_error_in_time(void **state)
{
    static const char *const names[] = {"silent.example", "wrongid.example", "wrongq.example"};
    int64_t begun = loop_mono_ms(loop);

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        ask_more(names[i], DNS_A, &(struct dns_query){.server = &server.addr, .timeout_ms = 150});
        assert_false(got.answered);
        assert_int_equal(got.err.cls, ERR_TRANSIENT);
        assert_non_null(strstr(got.err.detail, "127.0.0.1"));
    }
    assert_true(loop_mono_ms(loop) - begun >= 450);
    assert_true(loop_mono_ms(loop) - begun < 2000);
}

static void a_lost_packet_is_sent_again(void **state)
{
    (void)state;
    ask("late.example", DNS_TXT);
    assert_true(got.answered);
    assert_int_equal(server.udp_count, 2);
}

static void a_malformed_reply_is_an_error(void **state)
{
    (void)state;
    ask_more("short.example", DNS_TXT,
             &(struct dns_query){.server = &server.addr, .timeout_ms = 500});
    assert_false(got.answered);
    assert_int_not_equal(got.err.cls, ERR_NONE);
}

static void records_with_odd_names_are_left_out(void **state)
{
    (void)state;
    ask("odd.example", DNS_CNAME);
    assert_int_equal(got.n, 1);
    assert_string_equal(got.first.name, "fit.example");
}

static void a_closed_port_is_told_at_once(void **state)
{
    struct dns_addr closed;
    int64_t begun = loop_mono_ms(loop);

    (void)state;
    assert_true(dns_addr_parse("127.0.0.1:1", 53, &closed));
    ask_more("a.example", DNS_A, &(struct dns_query){.server = &closed, .tcp = true});
    assert_false(got.answered);
    assert_int_equal(got.err.cls, ERR_TRANSIENT);
    assert_true(loop_mono_ms(loop) - begun < 4000);
}

static void bad_names_and_missing_resolvers(void **state)
{
    char name[400];

    (void)state;
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    ask(name, DNS_A);
    assert_int_equal(got.err.cls, ERR_CONFIG);
    ask("a\\.b.example", DNS_A);
    assert_int_equal(got.err.cls, ERR_CONFIG);
    ask("a..example", DNS_A);
    assert_int_equal(got.err.cls, ERR_CONFIG);
    ask_more("a.example", DNS_A, &(struct dns_query){.recurse = true});
    assert_int_equal(got.err.cls, ERR_CONFIG);
    assert_non_null(strstr(got.err.detail, "dns.resolvers"));
}

static void resolved(void *arg, const struct dns_addr *addrs, size_t n, const struct err *e)
{
    (void)arg;
    got.calls++;
    got.err = *e;
    got.n_addrs = n;
    for (size_t i = 0; i < n && i < 8; i++)
        got.addrs[i] = addrs[i];
    loop_stop(loop);
}

static void resolve(const char *host)
{
    memset(&got, 0, sizeof got);
    assert_non_null(dns_resolve(dns, host, 443, 2000, resolved, NULL));
    assert_int_equal(got.calls, 0);
    loop_run(loop);
    assert_int_equal(got.calls, 1);
}

static void resolvers_are_asked(void **state)
{
    (void)state;
    dns_set_resolvers(dns, &server.addr, 1);
    ask_more("txt.example", DNS_TXT, &(struct dns_query){.recurse = true});
    assert_true(got.answered);
    assert_true(server.last_rd);
    ask_more("servfail.example", DNS_TXT, &(struct dns_query){.recurse = true});
    assert_true(got.answered);
    assert_int_equal(got.rcode, 2);
    ask_more("nx.example", DNS_TXT, &(struct dns_query){.recurse = true});
    assert_int_equal(got.rcode, 3);
}

static void a_resolver_that_refuses_is_not_the_last_word(void **state)
{
    struct dns_server other;
    struct dns_addr both[2];
    struct dns_query q = {.recurse = true, .timeout_ms = 400};

    (void)state;
    dns_server_start(&other, loop);
    server.refuse = true;
    both[0] = server.addr;
    both[1] = other.addr;
    dns_set_resolvers(dns, both, 2);
    ask_more("txt.example", DNS_TXT, &q);
    assert_true(got.answered);
    assert_int_equal(got.rcode, 0);
    assert_int_equal(got.n, 1);
    ask_more("silent.example", DNS_TXT, &q);
    assert_true(got.answered);
    assert_int_equal(got.rcode, 5);
    resolve("both.example");
    assert_int_equal(got.n_addrs, 2);
    dns_server_stop(&other);
}

static void new_resolvers_replace_the_old(void **state)
{
    struct dns_addr closed;
    struct dns_query q = {
        .name = "silent.example", .type = DNS_A, .recurse = true, .timeout_ms = 100};

    (void)state;
    dns_set_resolvers(dns, &server.addr, 1);
    dns_ask(dns, &q, done, NULL); /* in flight through the old ones */
    assert_true(dns_addr_parse("127.0.0.1:1", 53, &closed));
    dns_set_resolvers(dns, &closed, 1);
    loop_run(loop);
    assert_int_equal(got.calls, 1);
    unsigned before = server.udp_count;
    ask_more("a.example", DNS_A, &(struct dns_query){.recurse = true, .timeout_ms = 300});
    assert_false(got.answered);
    assert_int_equal(server.udp_count, before);
}

static void hosts_are_resolved(void **state)
{
    char text[64];
    bool v4 = false, v6 = false;

    (void)state;
    dns_set_resolvers(dns, &server.addr, 1);
    resolve("both.example");
    assert_int_equal(got.n_addrs, 2);
    for (int i = 0; i < 2; i++) {
        dns_addr_text(&got.addrs[i], text, sizeof text);
        v4 = v4 || strcmp(text, "192.0.2.1:443") == 0;
        v6 = v6 || strcmp(text, "[2001:db8::1]:443") == 0;
    }
    assert_true(v4 && v6);
    resolve("nx.example");
    assert_int_equal(got.n_addrs, 0);
    assert_int_equal(got.err.cls, ERR_TRANSIENT);
    assert_non_null(strstr(got.err.detail, "nx.example"));
}

static void literals_and_localhost_need_no_resolver(void **state)
{
    char text[64];

    (void)state;
    resolve("192.0.2.9");
    assert_string_equal(dns_addr_text(&got.addrs[0], text, sizeof text), "192.0.2.9:443");
    resolve("2001:db8::9");
    assert_string_equal(dns_addr_text(&got.addrs[0], text, sizeof text), "[2001:db8::9]:443");
    resolve("[::1]");
    assert_string_equal(dns_addr_text(&got.addrs[0], text, sizeof text), "[::1]:443");
    resolve("localhost");
    assert_true(got.n_addrs >= 1);
    assert_int_equal(server.udp_count, 0);
    resolve("a.example");
    assert_int_equal(got.n_addrs, 0);
    assert_int_equal(got.err.cls, ERR_CONFIG);
}

static void cancelled_calls_are_silent(void **state)
{
    struct dns_query q = {.name = "txt.example", .type = DNS_TXT, .server = &server.addr};
    struct dns_call *c;

    (void)state;
    dns_set_resolvers(dns, &server.addr, 1);
    dns_cancel(NULL);
    dns_cancel(dns_ask(dns, &q, done, NULL)); /* at once */
    dns_cancel(dns_resolve(dns, "both.example", 1, 0, resolved, NULL));
    dns_cancel(dns_resolve(dns, "127.0.0.1", 1, 0, resolved, NULL));
    run_for(20);
    q.name = "silent.example";
    c = dns_ask(dns, &q, done, NULL); /* in flight */
    run_for(5);
    dns_cancel(c);
    q.name = "";
    for (int i = 0; i < 10; i++)
        dns_ask(dns, &q, done, NULL);
    dns_ask(dns,
            &(struct dns_query){.name = "silent.example", .type = DNS_A, .server = &server.addr},
            done, NULL);
    dns_resolve(dns, "silent.example", 1, 0, resolved, NULL);
    dns_free(dns); /* with calls in flight and others deferred */
    dns = NULL;
    run_for(5);
    assert_int_equal(got.calls, 0);
}

static int outstanding;

static void counted(void *arg, const struct dns_reply *r, const struct err *e)
{
    (void)arg;
    (void)e;
    assert_non_null(r);
    if (--outstanding == 0)
        loop_stop(loop);
}

static void many_servers_and_questions(void **state)
{
    (void)state;
    for (int i = 0; i < 300; i++) { /* more than channels are kept */
        struct dns_addr a = server.addr;

        ((struct sockaddr_in *)&a.sa)->sin_addr.s_addr = htonl(0x7f000001u);
        outstanding = 3;
        for (int k = 0; k < 3; k++)
            dns_ask(dns,
                    &(struct dns_query){
                        .name = "txt.example", .type = DNS_TXT, .server = &a, .recurse = k & 1},
                    counted, NULL);
        if (i % 100 == 0) {
            /* Others that do not answer: nobody listens there. */
            for (unsigned n = 2; n < 150; n++) {
                ((struct sockaddr_in *)&a.sa)->sin_addr.s_addr = htonl(0x7f000000u + n);
                dns_cancel(dns_ask(
                    dns, &(struct dns_query){.name = "txt.example", .type = DNS_TXT, .server = &a},
                    counted, NULL));
            }
        }
        loop_run(loop);
    }
}

/* After the last answer no timer of c-ares is left. */
static unsigned burst_left, burst_bad;

static void burst_done(void *arg, const struct dns_reply *reply, const struct err *err)
{
    (void)arg;
    (void)err;
    burst_bad += !reply;
    if (--burst_left == 0)
        loop_stop(loop);
}

/* More than its socket holds: what it drops would come again after a second. */
static void a_server_is_not_flooded(void **state)
{
    struct dns_query q = {.name = "a.example.test", .type = DNS_A, .server = &server.addr};
    int64_t begun = loop_mono_ms(loop);
    (void)state;

    burst_left = 2000;
    burst_bad = 0;
    for (unsigned i = burst_left; i > 0; i--)
        assert_non_null(dns_ask(dns, &q, burst_done, NULL));
    loop_run(loop);
    assert_int_equal(burst_bad, 0);
    assert_in_range(server.udp_count, 2000, 2000);
    assert_true(loop_mono_ms(loop) - begun < 5000);
}

static void idle_is_without_wake_ups(void **state)
{
    struct rusage before, after;

    (void)state;
    dns_set_resolvers(dns, &server.addr, 1);
    ask("txt.example", DNS_TXT);
    ask("big.example", DNS_TXT);
    resolve("both.example");
    run_for(50); /* TCP connections end */
    getrusage(RUSAGE_THREAD, &before);
    run_for(2500);
    getrusage(RUSAGE_THREAD, &after);
    assert_true(after.ru_nvcsw - before.ru_nvcsw <= 2);
}

static void addresses_as_text(void **state)
{
    static const struct {
        const char *in, *out;
    } good[] = {
        {"1.2.3.4", "1.2.3.4"},
        {"1.2.3.4:53", "1.2.3.4"},
        {"1.2.3.4:5353", "1.2.3.4:5353"},
        {"::1", "::1"},
        {"[::1]", "::1"},
        {"[::1]:5353", "[::1]:5353"},
        {"2001:DB8::1", "2001:db8::1"},
    };
    static const char *const bad[] = {
        "",          "x",    "1.2.3",         "1.2.3.4:",     "1.2.3.4:0",  "1.2.3.4:65536",
        "1.2.3.4:x", "[::1", "[::1]x",        "[1.2.3.4]:53", "1.2.3.4:+5", "example.com",
        "[::1]:",    ":53",  "1.2.3.4:53:53", "[]:53",
    };
    struct dns_addr a, b;
    char text[64];

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(dns_addr_parse(good[i].in, 53, &a));
        assert_string_equal(dns_addr_text(&a, text, sizeof text), good[i].out);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (dns_addr_parse(bad[i], 53, &a))
            fail_msg("%s was read as an address", bad[i]);
    dns_addr_parse("1.2.3.4", 53, &a);
    dns_addr_parse("1.2.3.4:54", 53, &b);
    assert_false(dns_addr_eq(&a, &b));
    dns_addr_parse("1.2.3.4:53", 1, &b);
    assert_true(dns_addr_eq(&a, &b));
    dns_addr_parse("::1", 53, &b);
    assert_false(dns_addr_eq(&a, &b));
    assert_string_equal(dns_type_name(DNS_TXT), "TXT");
    assert_string_equal(dns_rcode_name(99), "unknown rcode");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_type_is_read),
        TEST(direct_questions_say_rd_0_and_edns),
        TEST(refusals_are_replies),
        TEST(truncation_falls_back_to_tcp),
        TEST(no_answer_is_an_error_in_time),
        TEST(a_lost_packet_is_sent_again),
        TEST(a_malformed_reply_is_an_error),
        TEST(records_with_odd_names_are_left_out),
        TEST(a_closed_port_is_told_at_once),
        TEST(bad_names_and_missing_resolvers),
        TEST(resolvers_are_asked),
        TEST(a_resolver_that_refuses_is_not_the_last_word),
        TEST(new_resolvers_replace_the_old),
        TEST(hosts_are_resolved),
        TEST(literals_and_localhost_need_no_resolver),
        TEST(cancelled_calls_are_silent),
        TEST(many_servers_and_questions),
        TEST(a_server_is_not_flooded),
        TEST(idle_is_without_wake_ups),
        cmocka_unit_test(addresses_as_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
