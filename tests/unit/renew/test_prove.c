/* SPDX-License-Identifier: ISC */
/* Renewals that prove their names in each way, and fall from one way to the next. */
#include "base/mem.h"
#include "base/str.h"
#include "conf/arena.h"
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static int teardown(void **state)
{
    (void)state;
    if (world_now)
        world_free(world_now);
    return 0;
}

/* The CA asks for types[0]; the others are what may take its place. */
static struct world *make(const enum conf_challenge *types, unsigned n)
{
    struct world *w = world_new(1);
    struct conf_cert *cert = &w->conf->certs[0];
    w->sites[0].n_types = n;
    cert->challenges.n = n;
    for (unsigned i = 0; i < n; i++)
        w->sites[0].types[i] = cert->challenges.v[i] = types[i];
    w->conf->dns_zones[0].timeout_ms = 10 * POLICY_MINUTE;
    return w;
}
#define MAKE(...)                                                                                  \
    make((const enum conf_challenge[]){__VA_ARGS__},                                               \
         sizeof((const enum conf_challenge[]){__VA_ARGS__}) / sizeof(enum conf_challenge))

static bool has_answers(struct world *w)
{
    return w->n_answers > 0;
}

static bool failed_once(struct world *w)
{
    return w->finished_badly > 0;
}

/* Issued by `records` records and so many other answers, and nothing is left. */
static void issues(struct world *w)
{
    world_boot(w);
    assert_true(world_until(w, world_all_ok, 5 * POLICY_MINUTE));
    world_run(w, POLICY_MINUTE);
    assert_int_equal(w->n_answers, 0);
    assert_int_equal(w->alpn, 0);
    assert_int_equal(w->sites[0].installs, 1);
}

static void http_listen(void **state)
{
    (void)state;
    struct world *w = MAKE(CONF_HTTP_01);
    issues(w);
    assert_int_equal(w->requests, 1);
    assert_int_equal(w->n_records, 0);
}

static void http_webroot(void **state)
{
    (void)state;
    struct world *w = MAKE(CONF_HTTP_01);
    w->conf->certs[0].http01.kind = CONF_HTTP01_WEBROOT;
    issues(w);
    assert_int_equal(w->requests, 1);
}

static void tls_alpn(void **state)
{
    (void)state;
    struct world *w = MAKE(CONF_TLS_ALPN_01);
    issues(w);
    assert_int_equal(w->requests, 0);
}

static void each_address_is_asked(void **state)
{
    (void)state;
    struct world *w = MAKE(CONF_HTTP_01);
    w->addresses[1] = "192.0.2.2";
    w->addresses[2] = "192.0.2.3";
    w->wrong = 2; /* are there a moment later */
    issues(w);
    assert_int_equal(w->requests, 5);
}

static void unreachable_address_is_unknown(void **state)
{
    (void)state;
    struct world *w = MAKE(CONF_HTTP_01);
    w->addresses[1] = "192.0.2.2";
    w->unreachable = "192.0.2.2";
    issues(w);
    assert_in_range(w->requests, 3, 20);
}

static void redirect_is_followed(void **state)
{
    (void)state;
    struct world *w = MAKE(CONF_HTTP_01);
    w->redirect = "https://www.example/elsewhere/token-1";
    issues(w);
    assert_int_equal(w->requests, 2);
}

static void redirect_in_circles(void **state)
{
    (void)state;
    struct world *w = MAKE(CONF_HTTP_01);
    w->redirect = "/.well-known/acme-challenge/token-1";
    world_boot(w);
    assert_true(world_until(w, failed_once, 10 * POLICY_MINUTE));
    assert_non_null(strstr(w->last_error.detail, "redirects more than 10 times"));
}

static void redirect_to_another_port(void **state)
{
    (void)state;
    struct world *w = MAKE(CONF_HTTP_01);
    w->redirect = "http://www.example:8080/elsewhere/token-1";
    world_boot(w);
    assert_true(world_until(w, failed_once, 10 * POLICY_MINUTE));
    assert_non_null(strstr(w->last_error.detail, "where no CA follows"));
}

/* Never told to the CA: the order stays as it is. */
static void wrong_content_fails(void **state)
{
    (void)state;
    struct world *w = MAKE(CONF_HTTP_01);
    w->served_instead = "<html>hello\x01";
    world_boot(w);
    assert_true(world_until(w, failed_once, 10 * POLICY_MINUTE));
    assert_non_null(strstr(w->last_error.detail, "192.0.2.1:80 serves something else"));
    assert_non_null(strstr(w->last_error.detail, "<html>hello\\x01"));
    assert_false(w->orders[0].invalid);
    w->served_instead = NULL;
    assert_true(world_until(w, world_all_ok, POLICY_HOUR));
    assert_int_equal(w->n_orders, 1);
}

static void wrong_content_is_a_warning(void **state)
{
    (void)state;
    struct world *w = MAKE(CONF_HTTP_01);
    w->served_instead = "other";
    w->conf->dns_zones[0].check = CONF_CHECK_WARN;
    issues(w);
}

static void no_check(void **state)
{
    (void)state;
    struct world *w = MAKE(CONF_HTTP_01);
    w->served_instead = "other";
    w->conf->dns_zones[0].check = CONF_CHECK_NONE;
    issues(w);
    assert_int_equal(w->requests, 0);
}

static void port_is_taken(void **state)
{
    (void)state;
    struct world *w = MAKE(CONF_HTTP_01, CONF_DNS_01);
    err_set(&w->no_responder, ERR_LOCAL, "port 80 is taken by nginx");
    issues(w);
    assert_int_equal(w->n_orders, 1); /* inside one order */
    assert_int_equal(w->requests, 0);
}

static void records_cannot_be_made(void **state)
{
    (void)state;
    struct world *w = MAKE(CONF_DNS_01, CONF_HTTP_01);
    w->sites[0].fault = FAULT_PUBLISH;
    err_set(&w->sites[0].err, ERR_DENIED, "the key is refused");
    issues(w);
    assert_int_equal(w->n_orders, 1);
    assert_int_equal(w->n_records, 0);
    assert_int_equal(w->requests, 1);
}

static void nothing_else_is_left(void **state)
{
    (void)state;
    struct world *w = MAKE(CONF_TLS_ALPN_01, CONF_HTTP_01);
    err_set(&w->no_responder, ERR_LOCAL, "the port is taken");
    world_boot(w);
    assert_true(world_until(w, failed_once, POLICY_MINUTE));
    assert_string_equal(w->last_error.detail, "the port is taken");
    assert_non_null(strstr(w->last_error.activity, "http-01"));
    assert_int_equal(w->n_answers + w->alpn, 0);
}

/* What the CA found wrong is not tried first by the next order, also after a restart. */
static void refused_type_comes_last(void **state)
{
    (void)state;
    struct world *w = MAKE(CONF_HTTP_01, CONF_DNS_01);
    w->sites[0].fault = FAULT_VALIDATE;
    w->sites[0].times = 1;
    world_boot(w);
    assert_true(world_until(w, failed_once, POLICY_MINUTE));
    assert_int_equal(w->requests, 1);
    world_run(w, 10 * POLICY_SECOND);
    world_crash(w);
    world_boot(w);
    assert_true(world_until(w, world_all_ok, POLICY_HOUR));
    assert_int_equal(w->n_orders, 2);
    assert_int_equal(w->requests, 1); /* by DNS this time */
    world_run(w, POLICY_MINUTE);
    w->sites[0].fault = FAULT_NONE;
    assert_int_equal(renew_start(w->renew, "c0", RENEW_FORCE, &w->last_error), 0);
    world_run(w, POLICY_HOUR);
    assert_int_equal(w->sites[0].installs, 2);
    assert_int_equal(w->requests, 2); /* success forgets it */
}

static void all_types_refused_begin_again(void **state)
{
    (void)state;
    struct world *w = MAKE(CONF_HTTP_01, CONF_DNS_01);
    w->sites[0].fault = FAULT_VALIDATE;
    w->sites[0].times = 2;
    world_boot(w);
    assert_true(world_until(w, world_all_ok, POLICY_DAY));
    assert_int_equal(w->n_orders, 3);
    assert_int_equal(w->requests, 2);
}

/* ---- crashes ---- */

static void file_is_removed_after_a_crash(void **state)
{
    (void)state;
    for (int lost = 0; lost < 2; lost++) {
        struct world *w = MAKE(CONF_HTTP_01);
        w->conf->certs[0].http01.kind = CONF_HTTP01_WEBROOT;
        w->lost_effects = lost;
        w->sites[0].fault = FAULT_CA_HANG;
        w->sites[0].times = 1;
        world_boot(w);
        assert_true(world_until(w, has_answers, POLICY_MINUTE));
        world_run(w, POLICY_SECOND);
        world_crash(w);
        assert_int_equal(w->n_answers, 1);
        w->orders[0].gone = true; /* so that nobody takes it up */
        world_boot(w);
        assert_true(world_until(w, world_all_ok, POLICY_HOUR));
        world_run(w, POLICY_MINUTE);
        assert_int_equal(w->n_answers, 0);
        world_free(w);
    }
}

static void every_instant(void **state)
{
    (void)state;
    for (unsigned at = 1; at < 60; at++) {
        struct world *w = MAKE(CONF_HTTP_01);
        w->conf->certs[0].http01.kind = CONF_HTTP01_WEBROOT;
        w->lost_effects = at & 1;
        world_boot(w);
        while (w->events < at && world_loop_step(w->loop, w->loop->wall + POLICY_MINUTE))
            ;
        world_crash(w);
        world_boot(w);
        assert_true(world_until(w, world_all_ok, POLICY_HOUR));
        world_run(w, 10 * POLICY_MINUTE);
        if (w->n_answers)
            print_error("left after a crash at event %u\n", at);
        assert_int_equal(w->n_answers, 0);
        world_free(w);
    }
}

static bool is_ok_but_full(struct world *w)
{
    return w->sites[0].installs == 1;
}

static void removal_is_tried_again(void **state)
{
    (void)state;
    struct world *w = MAKE(CONF_HTTP_01);
    w->conf->certs[0].http01.kind = CONF_HTTP01_WEBROOT;
    world_boot(w);
    assert_true(world_until(w, has_answers, POLICY_MINUTE));
    w->webroot_fails = true;
    assert_true(world_until(w, is_ok_but_full, POLICY_MINUTE));
    world_run(w, POLICY_SECOND);
    assert_int_equal(w->n_answers, 1);
    w->webroot_fails = false;
    world_run(w, 2 * POLICY_MINUTE);
    assert_int_equal(w->n_answers, 0);
}

/* ---- dns-persist-01 ---- */

#define RECORD "ca.test; accounturi=https://ca/acct/1"

static void persist_is_there(void **state)
{
    (void)state;
    struct world *w = MAKE(CONF_DNS_PERSIST_01);
    w->persisted[0] = "other.test; accounturi=https://ca/acct/1";
    w->persisted[1] = RECORD;
    issues(w);
    assert_int_equal(w->n_records, 0);
}

static void persist_is_written_and_kept(void **state)
{
    (void)state;
    struct world *w = MAKE(CONF_DNS_PERSIST_01);
    w->conf->certs[0].persist.write = true;
    issues(w);
    assert_int_equal(w->n_records, 1);
    assert_string_equal(w->records[0].order, "kept");
}

static void persist_is_absent(void **state)
{
    (void)state;
    struct world *w = MAKE(CONF_DNS_PERSIST_01);
    world_boot(w);
    assert_true(world_until(w, failed_once, POLICY_MINUTE));
    assert_int_equal(world_status(w, "c0").state, RENEW_BLOCKED);
    assert_non_null(strstr(w->last_error.detail, "TXT \"" RECORD "\""));
    world_run(w, 6 * POLICY_HOUR); /* looks, that ask the CA for nothing */
    assert_int_equal(w->n_orders, 1);
    assert_int_equal(w->sites[0].attempts, 1);
    w->persisted[0] = RECORD;
    assert_true(world_until(w, world_all_ok, POLICY_DAY));
    assert_int_equal(w->n_orders, 1);
    assert_int_equal(w->sites[0].attempts, 2);
}

static void persist_is_watched(void **state)
{
    (void)state;
    char soon[128];
    struct world *w = MAKE(CONF_DNS_PERSIST_01);
    w->persisted[0] = RECORD;
    issues(w);
    world_run(w, 3 * POLICY_DAY);
    assert_string_equal(world_status(w, "c0").preflight, "");
    snprintf(soon, sizeof(soon), RECORD "; persistUntil=%lld",
             (long long)(w->loop->wall / 1000 + 20 * 86400));
    w->persisted[0] = soon;
    world_run(w, 2 * POLICY_DAY);
    assert_non_null(strstr(world_status(w, "c0").preflight, "ends on"));
    w->persisted[0] = NULL;
    world_run(w, 2 * POLICY_DAY);
    assert_non_null(strstr(world_status(w, "c0").preflight, "create the record"));
    w->persisted[0] = "ca.test; accounturi=https://ca/acct/2";
    world_run(w, 2 * POLICY_DAY);
    assert_non_null(strstr(world_status(w, "c0").preflight, "acct/2"));
    w->persisted[0] = RECORD;
    world_run(w, 2 * POLICY_DAY);
    assert_string_equal(world_status(w, "c0").preflight, "");
    assert_int_equal(w->n_orders, 1);
}

static void persist_then_dns(void **state)
{
    (void)state;
    struct world *w = MAKE(CONF_DNS_PERSIST_01, CONF_DNS_01);
    issues(w);
    assert_int_equal(w->n_records, 0);
}

#define TEST(f) cmocka_unit_test_teardown(f, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(http_listen),
        TEST(http_webroot),
        TEST(tls_alpn),
        TEST(each_address_is_asked),
        TEST(unreachable_address_is_unknown),
        TEST(redirect_is_followed),
        TEST(redirect_in_circles),
        TEST(redirect_to_another_port),
        TEST(wrong_content_fails),
        TEST(wrong_content_is_a_warning),
        TEST(no_check),
        TEST(port_is_taken),
        TEST(records_cannot_be_made),
        TEST(nothing_else_is_left),
        TEST(refused_type_comes_last),
        TEST(all_types_refused_begin_again),
        TEST(file_is_removed_after_a_crash),
        TEST(every_instant),
        TEST(removal_is_tried_again),
        TEST(persist_is_there),
        TEST(persist_is_written_and_kept),
        TEST(persist_is_absent),
        TEST(persist_is_watched),
        TEST(persist_then_dns),
    };
    return cmocka_run_group_tests_name("prove", tests, NULL, NULL);
}
