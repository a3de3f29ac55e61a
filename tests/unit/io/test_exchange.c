/* SPDX-License-Identifier: ISC */
#include "io/exchange.h"

#include "dns_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

static struct loop *loop;
static struct exchange_pool *pool;
static struct dns_server server;
static int calls;
static size_t got_len;
static unsigned char got[65535];
static struct err got_err;

/* A query "txt.example TXT". */
static const char query[] = "\x12\x34\0\0\0\1\0\0\0\0\0\0\3txt\7example\0\0\x10\0\1";
#define QUERY_LEN (sizeof query - 1)

static int setup(void **state)
{
    (void)state;
    loop = loop_new();
    pool = exchange_pool_new(loop);
    dns_server_start(&server, loop);
    calls = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    exchange_pool_free(pool);
    dns_server_stop(&server);
    loop_free(loop);
    return 0;
}

static void done(void *arg, const void *reply, size_t n, const struct err *e)
{
    (void)arg;
    calls++;
    got_len = n;
    got_err = *e;
    if (reply)
        memcpy(got, reply, n);
    loop_stop(loop);
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

static void exchange(const void *msg, size_t n)
{
    calls = 0;
    got_len = 0;
    exchange_start(pool, &server.addr, msg, n, 1000, done, NULL);
    assert_int_equal(calls, 0);
    loop_run(loop);
    assert_int_equal(calls, 1);
}

static void an_answer_comes_and_the_connection_is_kept(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        exchange(query, QUERY_LEN);
        assert_int_equal(got_err.cls, ERR_NONE);
        assert_memory_equal(got, "\x12\x34\x84", 3);
        assert_true(got_len > QUERY_LEN);
    }
    assert_int_equal(server.connections, 1);
    assert_int_equal(server.tcp_count, 3);
}

static void several_at_once_take_a_connection_each(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        exchange_start(pool, &server.addr, query, QUERY_LEN, 1000, done, NULL);
    while (calls < 3)
        loop_run(loop);
    assert_int_equal(got_err.cls, ERR_NONE);
    assert_int_equal(server.connections, 3);
}

static void large_messages_pass(void **state)
{
    static unsigned char big[65535] = {9, 9};

    (void)state;
    server.echo = true;
    exchange(big, 30000);
    assert_int_equal(got_err.cls, ERR_NONE);
    assert_int_equal(got_len, 30000);
}

static void a_connection_that_was_closed_is_replaced(void **state)
{
    (void)state;
    server.close_after = true;
    exchange(query, QUERY_LEN);
    assert_int_equal(got_err.cls, ERR_NONE);
    /* The loop has not yet seen the end of the first one. */
    exchange(query, QUERY_LEN);
    assert_int_equal(got_err.cls, ERR_NONE);
    run_for(5);
    exchange(query, QUERY_LEN);
    assert_int_equal(got_err.cls, ERR_NONE);
    assert_int_equal(server.connections, 3);
}

static void a_fresh_connection_that_closes_is_an_error(void **state)
{
    (void)state;
    server.close_at_once = true;
    exchange(query, QUERY_LEN);
    assert_int_equal(got_err.cls, ERR_TRANSIENT);
    assert_int_equal(server.connections, 1);
}

static void no_answer_ends_at_the_deadline(void **state)
{
    static const char silent[] = "\x12\x34\0\0\0\1\0\0\0\0\0\0\6silent\7example\0\0\x10\0\1";

    (void)state;
    exchange_start(pool, &server.addr, silent, sizeof silent - 1, 100, done, NULL);
    loop_run(loop);
    assert_int_equal(got_err.cls, ERR_TRANSIENT);
    assert_non_null(strstr(got_err.detail, "within 100 ms"));
    exchange(query, QUERY_LEN); /* over a connection of its own */
    assert_int_equal(got_err.cls, ERR_NONE);
    assert_int_equal(server.connections, 2);
}

static void another_id_is_refused(void **state)
{
    static const char other[] = "\x12\x34\0\0\0\1\0\0\0\0\0\0\7wrongid\7example\0\0\x10\0\1";

    (void)state;
    exchange(other, sizeof other - 1);
    assert_int_equal(got_err.cls, ERR_PEER);
}

static void nobody_listens(void **state)
{
    struct dns_addr closed;

    (void)state;
    dns_addr_parse("127.0.0.1:1", 53, &closed);
    exchange_start(pool, &closed, query, QUERY_LEN, 1000, done, NULL);
    loop_run(loop);
    assert_int_equal(got_err.cls, ERR_TRANSIENT);
    assert_non_null(strstr(got_err.detail, "refused"));
}

static void sizes_are_checked(void **state)
{
    static char big[70000];

    (void)state;
    exchange(big, sizeof big);
    assert_int_equal(got_err.cls, ERR_BUG);
    exchange(big, 5);
    assert_int_equal(got_err.cls, ERR_BUG);
}

static void cancelled_ones_are_silent(void **state)
{
    struct exchange *x;

    (void)state;
    exchange_cancel(NULL);
    exchange_cancel(exchange_start(pool, &server.addr, query, QUERY_LEN, 0, done, NULL));
    exchange_cancel(exchange_start(pool, &server.addr, query, 3, 0, done, NULL));
    x = exchange_start(pool, &server.addr, query, QUERY_LEN, 0, done, NULL);
    run_for(0);
    if (calls == 0)
        exchange_cancel(x);
    calls = 0;
    for (int i = 0; i < 3; i++)
        exchange_start(pool, &server.addr, query, QUERY_LEN, 0, done, NULL);
    exchange_pool_free(pool);
    pool = NULL;
    run_for(10);
    assert_int_equal(calls, 0);
}

static void a_kept_connection_ends_after_five_seconds(void **state)
{
    (void)state;
    exchange(query, QUERY_LEN);
    assert_non_null(server.peer_watch[0]);
    run_for(4800);
    assert_non_null(server.peer_watch[0]);
    run_for(500);
    assert_null(server.peer_watch[0]);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_answer_comes_and_the_connection_is_kept),
        TEST(several_at_once_take_a_connection_each),
        TEST(large_messages_pass),
        TEST(a_connection_that_was_closed_is_replaced),
        TEST(a_fresh_connection_that_closes_is_an_error),
        TEST(no_answer_ends_at_the_deadline),
        TEST(another_id_is_refused),
        TEST(nobody_listens),
        TEST(sizes_are_checked),
        TEST(cancelled_ones_are_silent),
        TEST(a_kept_connection_ends_after_five_seconds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
