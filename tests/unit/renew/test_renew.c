/* SPDX-License-Identifier: ISC */
/* Whole renewals of one certificate or two, in virtual time. */
#include "base/mem.h"
#include "base/str.h"
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static int teardown(void **state)
{
    (void)state;
    if (world_now)
        world_free(world_now);
    return 0;
}

static struct renew_status status(struct world *w)
{
    return world_status(w, "c0");
}

static bool failed_once(struct world *w)
{
    return w->finished_badly > 0;
}

static bool renewed_once(struct world *w)
{
    return w->sites[0].installs == 2;
}

static void first_certificate(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    world_boot(w);
    assert_true(w->ready);
    assert_int_equal(status(w).state, RENEW_MISSING);
    assert_true(world_until(w, world_all_ok, POLICY_MINUTE));
    struct renew_status s = status(w);
    assert_int_equal(w->sites[0].orders, 1);
    assert_int_equal(w->sites[0].installs, 1);
    assert_int_equal(w->finished, 1);
    assert_int_equal(w->finished_badly, 0);
    assert_int_equal(s.not_after_ms, w->sites[0].not_after);
    assert_string_equal(s.ca, "one");
    world_run(w, POLICY_MINUTE);
    assert_int_equal(w->n_records, 0);
    assert_int_equal(w->sites[0].polls, 1);
    s = status(w);
    assert_true(s.ari);
    assert_in_range(s.next_ms, s.not_after_ms - 31 * POLICY_DAY, s.not_after_ms - 29 * POLICY_DAY);
}

static void renews_at_the_instant_drawn(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    world_boot(w);
    world_run(w, POLICY_DAY);
    int64_t next = status(w).next_ms;
    world_run(w, next - w->loop->wall - 1);
    assert_int_equal(w->sites[0].orders, 1);
    world_run(w, POLICY_MINUTE);
    assert_int_equal(w->sites[0].orders, 2);
    assert_int_equal(w->sites[0].installs, 2);
    assert_true(w->orders[1].replaces);
    assert_false(w->orders[0].replaces);
}

static void instant_survives_a_restart(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    world_boot(w);
    world_run(w, POLICY_DAY);
    int64_t next = status(w).next_ms;
    for (int i = 0; i < 5; i++) {
        world_crash(w);
        world_boot(w);
        world_run(w, POLICY_HOUR);
        assert_int_equal(status(w).next_ms, next);
    }
}

static void adopts_and_orders_nothing(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    world_step(w->conf, 0, "a", CONF_STEP_RUN, "/hook");
    world_install(w, 0, 10 * POLICY_DAY);
    world_boot(w);
    assert_int_equal(status(w).state, RENEW_OK);
    world_run(w, 20 * POLICY_DAY);
    assert_int_equal(w->sites[0].orders, 0);
    assert_int_equal(w->n_steps, 0); /* deployed already, wherever it came from */
    world_run(w, 40 * POLICY_DAY);
    assert_int_equal(w->sites[0].orders, 1);
    assert_int_equal(w->n_steps, 1);
}

static void window_moved_to_the_past(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    world_boot(w);
    world_run(w, POLICY_DAY);
    assert_int_equal(w->sites[0].orders, 1);
    w->sites[0].ari_start = w->loop->wall - POLICY_HOUR;
    w->sites[0].ari_end = w->loop->wall - POLICY_HOUR / 2;
    assert_true(world_until(w, renewed_once, 6 * POLICY_HOUR + POLICY_MINUTE)); /* the next poll */
    assert_true(w->orders[1].replaces);
    w->sites[0].ari_end = 0;
    world_run(w, 40 * POLICY_DAY);
    assert_int_equal(w->sites[0].orders, 2);
    assert_int_equal(w->finished_badly, 0);
}

static void window_that_stays_in_the_past(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    w->sites[0].ari_start = w->loop->wall - POLICY_HOUR;
    w->sites[0].ari_end = w->loop->wall - POLICY_HOUR / 2;
    world_boot(w);
    world_run(w, POLICY_DAY);
    assert_in_range(w->sites[0].orders, 4, 5);
    world_run(w, 10 * POLICY_DAY);
    assert_in_range(w->sites[0].orders, 12, 16);
    assert_int_equal(w->finished_badly, 0);
}

static void no_polls_without_ari(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    w->conf->certs[0].ari = false;
    world_install(w, 0, POLICY_DAY);
    world_boot(w);
    unsigned long fired = w->loop->fired;
    world_run(w, POLICY_HOUR);
    assert_int_equal(w->loop->fired, fired);
    world_run(w, 57 * POLICY_DAY);
    assert_int_equal(w->sites[0].polls, 0);
    assert_int_equal(w->sites[0].orders, 0);
    world_run(w, 3 * POLICY_DAY);
    assert_int_equal(w->sites[0].orders, 1);
    assert_false(w->orders[0].replaces);
}

static void ca_without_ari_is_asked_once(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    w->sites[0].no_ari = true;
    world_boot(w);
    world_run(w, 50 * POLICY_DAY);
    assert_int_equal(w->sites[0].polls, 1);
    assert_false(status(w).ari);
}

static void expired_is_not_asked_about(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    world_install(w, 0, 91 * POLICY_DAY);
    w->sites[0].fault = FAULT_NEW_ORDER;
    err_set(&w->sites[0].err, ERR_TRANSIENT, "no");
    world_boot(w);
    world_run(w, 10 * POLICY_DAY);
    assert_int_equal(w->sites[0].polls, 0);
    assert_int_equal(status(w).state, RENEW_EXPIRED);
    w->sites[0].fault = FAULT_NONE;
    assert_true(world_until(w, world_all_ok, 2 * POLICY_DAY));
}

/* ---- failures ---- */

static void attempts_in(struct world *w, int64_t span, unsigned min, unsigned max)
{
    unsigned before = w->sites[0].attempts;
    world_run(w, span);
    assert_in_range(w->sites[0].attempts - before, min, max);
}

static void transient_failures_back_off(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    struct site *s = &w->sites[0];
    s->fault = FAULT_NEW_ORDER;
    err_set(&s->err, ERR_TRANSIENT, "503 for now");
    world_boot(w);
    attempts_in(w, 30 * POLICY_SECOND, 1, 1);
    assert_int_equal(status(w).state, RENEW_FAILED);
    assert_int_equal(status(w).failures, 1);
    assert_non_null(strstr(status(w).why, "503 for now"));
    attempts_in(w, POLICY_MINUTE, 1, 1);
    attempts_in(w, 10 * POLICY_MINUTE, 1, 1);
    attempts_in(w, 100 * POLICY_MINUTE, 1, 1);
    attempts_in(w, 10 * POLICY_DAY, 10, 13);
    s->fault = FAULT_NONE;
    assert_true(world_until(w, world_all_ok, POLICY_DAY));
    assert_int_equal(status(w).failures, 0);
}

static void count_survives_a_restart(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    w->sites[0].fault = FAULT_NEW_ORDER;
    err_set(&w->sites[0].err, ERR_TRANSIENT, "no");
    world_boot(w);
    for (int i = 0; i < 40; i++) { /* a restart every hour is no reason to ask more often */
        world_run(w, POLICY_HOUR);
        world_crash(w);
        world_boot(w);
    }
    assert_in_range(w->sites[0].attempts, 4, 7);
    assert_non_null(strstr(status(w).why, "no"));
}

static void retry_after_is_obeyed(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    struct site *s = &w->sites[0];
    s->fault = FAULT_NEW_ORDER;
    s->times = 1;
    err_set(&s->err, ERR_RATE_LIMITED, "too many certificates");
    s->err.retry_at = w->loop->wall + 30 * POLICY_HOUR;
    world_boot(w);
    attempts_in(w, 29 * POLICY_HOUR, 1, 1);
    assert_int_equal(status(w).next_ms, s->err.retry_at);
    world_run(w, 2 * POLICY_HOUR);
    assert_true(world_all_ok(w));
}

static void denied_is_looked_at_daily(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    struct site *s = &w->sites[0];
    s->fault = FAULT_NEW_ORDER;
    err_set(&s->err, ERR_DENIED, "rejectedIdentifier");
    world_boot(w);
    attempts_in(w, 12 * POLICY_HOUR, 1, 1);
    attempts_in(w, 10 * POLICY_DAY, 9, 13);
}

static void new_configuration_mends(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    struct site *s = &w->sites[0];
    s->fault = FAULT_PUBLISH;
    err_set(&s->err, ERR_CONFIG, "no provider for c0.example");
    world_boot(w);
    world_run(w, POLICY_HOUR);
    assert_int_equal(s->attempts, 1);
    s->fault = FAULT_NONE;
    struct conf *next = world_conf(1);
    renew_configure(w->renew, next, NULL, NULL);
    conf_unref(next);
    assert_true(world_until(w, world_all_ok, 2 * POLICY_MINUTE));
    assert_int_equal(s->orders, 1); /* the order that was made before */
}

static void each_fault_is_overcome(void **state)
{
    (void)state;
    static const enum fault faults[] = {FAULT_PREPARE, FAULT_NEW_ORDER, FAULT_VALIDATE,
                                        FAULT_PUBLISH, FAULT_HANG,      FAULT_CA_HANG,
                                        FAULT_INSTALL};
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        struct world *w = world_new(1);
        w->sites[0].fault = faults[i];
        w->sites[0].times = 1;
        err_set(&w->sites[0].err, ERR_TRANSIENT, "once");
        world_boot(w);
        assert_true(world_until(w, failed_once, 2 * POLICY_DAY));
        assert_int_equal(status(w).state, RENEW_FAILED);
        if (!world_until(w, world_all_ok, 2 * POLICY_DAY))
            fail_msg("fault %d is not overcome: %s", faults[i], status(w).why);
        world_run(w, POLICY_MINUTE);
        assert_int_equal(w->n_records, 0);
        assert_int_equal(w->jobs_now, 0);
        /* one order is enough unless the CA has spoilt it */
        assert_int_equal(w->sites[0].orders, faults[i] == FAULT_VALIDATE ? 2 : 1);
        world_free(w);
    }
}

static void wrong_chain_is_dropped_with_its_order(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    w->sites[0].fault = FAULT_INSTALL;
    w->sites[0].times = 1;
    err_set(&w->sites[0].err, ERR_PEER, "a name is missing in the certificate");
    world_boot(w);
    assert_true(world_until(w, world_all_ok, POLICY_HOUR));
    assert_int_equal(w->sites[0].orders, 2);
}

static void fresh_but_due_is_no_storm(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    w->sites[0].fault = FAULT_SHORT; /* one second is left of each */
    w->sites[0].no_ari = true;
    world_boot(w);
    world_run(w, 2 * POLICY_HOUR);
    assert_in_range(w->sites[0].orders, 3, 4);
    world_run(w, 10 * POLICY_DAY);
    assert_in_range(w->sites[0].orders, 10, 17);
    w->sites[0].fault = FAULT_NONE;
    assert_true(world_until(w, world_all_ok, 2 * POLICY_DAY));
    unsigned orders = w->sites[0].orders;
    world_run(w, 30 * POLICY_DAY);
    assert_in_range(w->sites[0].orders, orders, orders + 1);
}

static void ten_thousand_failures(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    w->sites[0].fault = FAULT_NEW_ORDER;
    err_set(&w->sites[0].err, ERR_TRANSIENT, "never");
    world_boot(w);
    unsigned before = 0;
    while (w->sites[0].attempts < 10000) {
        world_run(w, POLICY_DAY);
        assert_in_range(w->sites[0].attempts - before, 1, 10);
        before = w->sites[0].attempts;
    }
    assert_in_range(status(w).failures, 9990, 10001);
    w->sites[0].fault = FAULT_NONE;
    assert_true(world_until(w, world_all_ok, 2 * POLICY_DAY));
}

/* ---- CAs ---- */

static void falls_back_to_the_next_ca(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    world_add_ca(w->conf, 0, "two");
    w->sites[0].fault = FAULT_NEW_ORDER;
    w->sites[0].only_ca = "one";
    err_set(&w->sites[0].err, ERR_RATE_LIMITED, "too many");
    w->sites[0].err.retry_at = w->loop->wall + 5 * POLICY_MINUTE;
    world_boot(w);
    assert_true(world_until(w, world_all_ok, 30 * POLICY_MINUTE));
    assert_int_equal(w->sites[0].attempts, 4);
    assert_string_equal(w->sites[0].directory, "https://two/directory");
    assert_string_equal(status(w).ca, "two");
    world_run(w, POLICY_DAY);
    assert_int_equal(w->sites[0].polls, 4); /* at the CA that issued it */
    w->sites[0].fault = FAULT_NONE;
    world_run(w, 62 * POLICY_DAY); /* the next cycle begins with the first again */
    assert_string_equal(w->sites[0].directory, "https://one/directory");
    assert_false(w->orders[w->n_orders - 1].replaces);
}

static void broken_provider_is_no_reason_for_another_ca(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    world_add_ca(w->conf, 0, "two");
    w->sites[0].fault = FAULT_PUBLISH;
    err_set(&w->sites[0].err, ERR_TRANSIENT, "provider down");
    world_boot(w);
    world_run(w, 10 * POLICY_DAY);
    assert_int_equal(w->sites[0].orders, 2); /* the first was kept for seven days */
    assert_true(str_starts(w->orders[1].url, "https://one/"));
}

static void all_cas_refuse(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    world_add_ca(w->conf, 0, "two");
    w->sites[0].fault = FAULT_NEW_ORDER;
    err_set(&w->sites[0].err, ERR_DENIED, "caa");
    world_boot(w);
    world_run(w, POLICY_DAY);
    assert_in_range(w->sites[0].attempts, 6, 9); /* each had its turn on the first day */
    attempts_in(w, 20 * POLICY_DAY, 18, 26);
}

static void long_wait_goes_to_the_next_ca_at_once(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    world_add_ca(w->conf, 0, "two");
    w->sites[0].fault = FAULT_NEW_ORDER;
    w->sites[0].only_ca = "one";
    err_set(&w->sites[0].err, ERR_RATE_LIMITED, "too many certificates this week");
    w->sites[0].err.retry_at = w->loop->wall + 5 * POLICY_DAY;
    world_boot(w);
    assert_true(world_until(w, world_all_ok, 2 * POLICY_MINUTE));
    assert_int_equal(w->sites[0].attempts, 2);
}

/* ---- blocked ---- */

static void blocked_looks_and_does_not_order(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    struct site *s = &w->sites[0];
    s->fault = FAULT_PUBLISH;
    s->look_fails = true;
    err_set(&s->err, ERR_BLOCKED, "add a CNAME");
    world_boot(w);
    world_run(w, 3 * POLICY_DAY);
    assert_int_equal(status(w).state, RENEW_BLOCKED);
    assert_int_equal(s->attempts, 1);
    assert_int_equal(s->orders, 1);
    assert_int_equal(w->n_records, 0);
    world_crash(w);
    world_boot(w);
    world_run(w, POLICY_HOUR);
    assert_int_equal(status(w).state, RENEW_BLOCKED);
    assert_int_equal(s->attempts, 1);
    s->fault = FAULT_NONE;
    s->look_fails = false;
    assert_true(world_until(w, world_all_ok, 25 * POLICY_HOUR));
    assert_int_equal(s->orders, 1);
}

static void mended_at_once_is_seen_in_a_minute(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    w->sites[0].fault = FAULT_PUBLISH;
    w->sites[0].times = 1;
    err_set(&w->sites[0].err, ERR_BLOCKED, "add a CNAME");
    world_boot(w);
    assert_true(world_until(w, world_all_ok, 2 * POLICY_MINUTE));
}

/* ---- preflights ---- */

static void preflight_spends_no_order(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    struct site *s = &w->sites[0];
    s->preflight_fails = s->look_fails = true;
    world_boot(w);
    world_run(w, 2 * POLICY_DAY);
    assert_int_equal(status(w).state, RENEW_BLOCKED);
    assert_non_null(strstr(status(w).why, "has no CNAME"));
    assert_int_equal(s->orders, 0);
    assert_int_equal(w->n_orders, 0);
    world_crash(w);
    world_boot(w);
    world_run(w, POLICY_HOUR);
    assert_int_equal(s->orders, 0);
    s->preflight_fails = s->look_fails = false;
    assert_true(world_until(w, world_all_ok, 25 * POLICY_HOUR));
    assert_int_equal(s->orders, 1);
}

/* Once in a life without fault, daily with one; the certificate stays as it is meanwhile. */
static void looks_ahead_of_time(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    struct site *s = &w->sites[0];
    world_boot(w);
    assert_true(world_until(w, world_all_ok, POLICY_HOUR));
    int64_t due = status(w).next_ms;
    world_run(w, due - 8 * POLICY_DAY - w->loop->wall);
    assert_int_equal(s->preflights, 0);
    world_run(w, 2 * POLICY_DAY);
    assert_int_equal(s->preflights, 1);
    assert_string_equal(status(w).preflight, "");
    world_run(w, 3 * POLICY_DAY);
    assert_int_equal(s->preflights, 1);
    world_run(w, 30 * POLICY_DAY);
    assert_int_equal(s->installs, 2);
    due = status(w).next_ms;
    s->preflight_fails = true;
    world_run(w, due - 4 * POLICY_DAY - w->loop->wall);
    assert_int_equal(status(w).state, RENEW_OK);
    assert_non_null(strstr(status(w).preflight, "has no CNAME"));
    unsigned before = s->preflights;
    assert_true(before >= 4 && before <= 6);
    world_run(w, POLICY_DAY);
    assert_int_equal(s->preflights, before + 1);
    s->preflight_fails = false;
    world_run(w, POLICY_DAY + POLICY_HOUR);
    assert_string_equal(status(w).preflight, "");
    before = s->preflights;
    world_run(w, 10 * POLICY_DAY);
    assert_int_equal(s->preflights, before);
    assert_int_equal(s->installs, 3);
}

/* ---- short lives ---- */

static void short_lives_never_expire(void **state)
{
    (void)state;
    static const int64_t lives[] = {160 * POLICY_HOUR, 6 * POLICY_HOUR, 10 * POLICY_MINUTE};
    for (size_t i = 0; i < ARRAY_LEN(lives); i++) {
        struct world *w = world_new(1);
        w->lifetime = lives[i];
        w->sites[0].no_ari = i % 2;
        world_boot(w);
        assert_true(world_until(w, world_all_ok, POLICY_MINUTE));
        for (unsigned n = 0; n < 400; n++) {
            world_run(w, lives[i] / 8);
            assert_true(w->sites[0].not_after > w->loop->wall);
        }
        unsigned lived = 400 / 8;
        assert_in_range(w->sites[0].orders, lived * 3 / 2 - 2, lived * 5 / 2);
        world_free(w);
    }
}

static void short_life_survives_an_outage(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    w->lifetime = 160 * POLICY_HOUR;
    world_boot(w);
    world_run(w, POLICY_HOUR);
    w->sites[0].fault = FAULT_NEW_ORDER;
    err_set(&w->sites[0].err, ERR_TRANSIENT, "out");
    world_run(w, 140 * POLICY_HOUR); /* 19 h are left */
    w->sites[0].fault = FAULT_NONE;
    assert_true(world_until(w, world_all_ok, 17 * POLICY_HOUR));
    assert_int_equal(w->sites[0].orders, 2);
}

/* ---- asked for ---- */

static void not_due_is_refused_without_force(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    struct err e = ERR_INIT;
    world_install(w, 0, POLICY_DAY);
    world_boot(w);
    assert_int_equal(renew_start(w->renew, "c0", 0, &e), -1);
    assert_int_equal(e.cls, ERR_DENIED);
    assert_string_equal(e.type, "not-due");
    assert_int_equal(renew_start(w->renew, "nobody", RENEW_FORCE, &e), -1);
    assert_int_equal(renew_start(w->renew, "c0", RENEW_FORCE, &e), 0);
    assert_int_equal(status(w).state, RENEW_DUE);
    world_run(w, POLICY_MINUTE);
    assert_int_equal(w->sites[0].installs, 1);
    assert_int_equal(w->finished, 1);
}

static void asked_for_ignores_the_back_off(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    struct err e = ERR_INIT;
    w->sites[0].fault = FAULT_NEW_ORDER;
    w->sites[0].times = 3;
    err_set(&w->sites[0].err, ERR_TRANSIENT, "no");
    world_boot(w);
    world_run(w, 20 * POLICY_MINUTE);
    assert_int_equal(w->finished_badly, 3);
    assert_int_equal(renew_start(w->renew, "c0", 0, &e), 0);
    assert_true(world_until(w, world_all_ok, POLICY_MINUTE));
}

static void forced_in_vain_changes_nothing(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    struct err e = ERR_INIT;
    world_install(w, 0, POLICY_DAY);
    world_boot(w);
    world_run(w, POLICY_MINUTE);
    int64_t next = status(w).next_ms;
    w->sites[0].fault = FAULT_PUBLISH;
    err_set(&w->sites[0].err, ERR_TRANSIENT, "provider down");
    assert_int_equal(renew_start(w->renew, "c0", RENEW_FORCE, &e), 0);
    world_run(w, POLICY_DAY);
    assert_int_equal(w->finished_badly, 1);
    assert_non_null(strstr(w->last_error.detail, "provider down"));
    assert_int_equal(status(w).state, RENEW_OK);
    assert_int_equal(status(w).next_ms, next);
    assert_int_equal(w->sites[0].attempts, 1);
}

static void disabled_while_it_waits_for_its_turn(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    struct err e = ERR_INIT;
    world_boot(w);
    assert_int_equal(renew_start(w->renew, "c0", 0, &e), 0);
    struct conf *next = world_conf(1);
    next->certs[0].enabled = false;
    renew_configure(w->renew, next, NULL, NULL);
    conf_unref(next);
    world_run(w, POLICY_DAY);
    assert_int_equal(w->sites[0].attempts, 0);
    assert_int_equal(status(w).state, RENEW_DISABLED);
}

static void disabled_rests(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    struct err e = ERR_INIT;
    w->conf->certs[0].enabled = false;
    world_boot(w);
    world_run(w, POLICY_DAY);
    assert_int_equal(status(w).state, RENEW_DISABLED);
    assert_int_equal(w->sites[0].attempts, 0);
    assert_int_equal(renew_start(w->renew, "c0", RENEW_FORCE, &e), -1);
}

/* ---- reload ---- */

static void reconfigure(struct world *w, struct conf *next)
{
    renew_configure(w->renew, next, NULL, NULL);
    conf_unref(next);
    world_run(w, POLICY_MINUTE);
}

static void changed_names_are_reissued(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    world_boot(w);
    world_run(w, POLICY_MINUTE);
    assert_int_equal(w->sites[0].orders, 1);
    struct conf *next = world_conf(1);
    next->certs[0].names[1] =
        (struct conf_name){.name = next->certs[0].name, .provider = next->certs[0].provider};
    next->certs[0].n_names = 2;
    w->sites[0].names_match = false;
    reconfigure(w, next);
    assert_int_equal(w->sites[0].orders, 2);
    assert_true(world_all_ok(w));
    reconfigure(w, world_conf(1)); /* one name again, and the keeper says so */
    assert_int_equal(w->sites[0].orders, 2);
}

static void names_change_while_an_order_runs(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    world_boot(w);
    world_run(w, 1000); /* records are being waited for */
    assert_int_equal(status(w).state, RENEW_RENEWING);
    struct conf *next = world_conf(1);
    next->certs[0].names[1] =
        (struct conf_name){.name = next->certs[0].name, .provider = next->certs[0].provider};
    next->certs[0].n_names = 2;
    reconfigure(w, next);
    assert_true(world_all_ok(w));
    assert_int_equal(w->sites[0].orders, 2);
    assert_int_equal(w->sites[0].installs, 1);
    assert_int_equal(w->n_records, 0);
}

static void staging_certificate_under_a_new_ca(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    w->conf->certs[0].cas.v[0] = w->conf->cas[2].name;
    world_install(w, 0, POLICY_DAY);
    w->sites[0].staging = true;
    str_copy(w->sites[0].directory, sizeof(w->sites[0].directory), "https://staging/directory");
    world_boot(w);
    world_run(w, POLICY_MINUTE);
    assert_int_equal(w->sites[0].orders, 0);
    reconfigure(w, world_conf(1));
    assert_int_equal(w->sites[0].orders, 1);
    assert_string_equal(w->sites[0].directory, "https://one/directory");
}

static void added_and_removed(void **state)
{
    (void)state;
    struct world *w = world_new(2);
    struct conf *both = w->conf;
    w->conf = world_conf(1);
    world_boot(w);
    world_run(w, POLICY_MINUTE);
    assert_int_equal(w->sites[1].attempts, 0);
    renew_configure(w->renew, both, NULL, NULL);
    world_run(w, 1000);
    assert_int_equal(world_status(w, "c1").state, RENEW_RENEWING);
    assert_int_equal(w->n_records, 1);
    reconfigure(w, world_conf(1)); /* while its order runs */
    assert_null(world_status(w, "c1").name);
    assert_int_equal(w->n_records, 0);
    assert_int_equal(w->sites[1].installs, 0);
    assert_int_equal(w->jobs_now, 0);
    renew_configure(w->renew, both, NULL, NULL);
    conf_unref(both);
    world_run(w, POLICY_MINUTE);
    assert_true(world_all_ok(w));
}

/* ---- the clock ---- */

static void waits_for_the_clock(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    w->loop->wall = 10 * POLICY_DAY; /* January 1970 */
    world_boot(w);
    world_run(w, POLICY_DAY);
    assert_int_equal(w->sites[0].attempts, 0);
    w->loop->wall = WORLD_T0;
    world_run(w, POLICY_MINUTE);
    assert_true(world_all_ok(w));
}

static void survives_steps_of_the_clock(void **state)
{
    (void)state;
    static const int64_t steps[] = {POLICY_HOUR, -POLICY_DAY, 90 * POLICY_DAY, -120 * POLICY_DAY,
                                    3650 * POLICY_DAY};
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct world *w = world_new(1);
        world_boot(w);
        world_run(w, POLICY_DAY);
        w->loop->wall += steps[i];
        world_run(w, 3 * POLICY_DAY);
        unsigned orders = w->sites[0].orders;
        assert_in_range(orders, 1, 2);
        w->loop->wall = WORLD_T0 + 4 * POLICY_DAY; /* and back */
        world_run(w, 70 * POLICY_DAY);
        assert_in_range(w->sites[0].orders, orders, orders + 2);
        assert_true(w->sites[0].not_after > w->loop->wall);
        world_free(w);
    }
}

/* ---- once ---- */

static void on_once(void *arg, unsigned failed)
{
    *(int *)arg = (int)failed;
}

static int run_once(struct world *w, int64_t limit)
{
    int failed = -1;
    renew_once(w->renew, on_once, &failed);
    int64_t until = w->loop->wall + limit;
    while (failed < 0 && world_loop_step(w->loop, until))
        ;
    return failed;
}

static void once_does_what_is_due(void **state)
{
    (void)state;
    struct world *w = world_new(2);
    world_step(w->conf, 0, "a", CONF_STEP_RUN, "/hook");
    world_install(w, 1, POLICY_DAY);
    world_boot(w);
    assert_int_equal(run_once(w, POLICY_MINUTE), 0);
    assert_int_equal(w->sites[0].installs, 1);
    assert_int_equal(w->sites[1].installs, 0);
    assert_int_equal(w->n_steps, 1);
    assert_int_equal(w->n_records, 0);
}

static void once_tries_once(void **state)
{
    (void)state;
    struct world *w = world_new(2);
    w->sites[0].fault = FAULT_NEW_ORDER;
    err_set(&w->sites[0].err, ERR_TRANSIENT, "no");
    world_boot(w);
    assert_int_equal(run_once(w, POLICY_MINUTE), 1);
    assert_int_equal(w->sites[0].attempts, 1);
    assert_int_equal(w->sites[1].installs, 1);
    world_crash(w);
    world_boot(w);
    assert_int_equal(run_once(w, POLICY_MINUTE), 1); /* the next cron run tries again */
    assert_int_equal(w->sites[0].attempts, 2);
}

static void once_waits_no_longer_than_a_quarter(void **state)
{
    (void)state;
    struct world *w = world_new(2);
    w->sites[0].fault = FAULT_HANG;
    world_boot(w);
    assert_int_equal(run_once(w, 16 * POLICY_MINUTE), 1);
    assert_int_equal(w->sites[1].installs, 1);
    world_crash(w);
    w->sites[0].fault = FAULT_NEW_ORDER;
    err_set(&w->sites[0].err, ERR_RATE_LIMITED, "tomorrow");
    w->sites[0].err.retry_at = w->loop->wall + POLICY_DAY;
    world_boot(w);
    w->orders[0].gone = true;
    assert_int_equal(run_once(w, POLICY_MINUTE), 1);
    unsigned attempts = w->sites[0].attempts;
    world_crash(w);
    world_boot(w);
    assert_int_equal(run_once(w, POLICY_MINUTE), 1); /* refused without asking */
    assert_int_equal(w->sites[0].attempts, attempts);
}

/* ---- explain ---- */

static void on_explained(void *arg, struct json *j, const struct err *err)
{
    struct json **to = arg;
    assert_int_equal(err->cls, ERR_NONE);
    *to = j;
}

static void explains_the_last_runs(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    w->sites[0].fault = FAULT_VALIDATE;
    w->sites[0].times = 2;
    world_step(w->conf, 0, "a", CONF_STEP_RUN, "/hook");
    world_boot(w);
    world_run(w, POLICY_HOUR);
    world_crash(w);
    world_boot(w);
    struct json *j = NULL;
    renew_explain(w->renew, "c0", on_explained, &j);
    world_run(w, 1000);
    assert_non_null(j);
    const struct json *runs = json_get(j, "runs");
    assert_int_equal(json_len(runs), 3);
    assert_string_equal(json_text(json_at(runs, 0), "outcome"), "deployed");
    assert_string_equal(json_text(json_at(runs, 1), "outcome"), "failed");
    assert_non_null(strstr(json_text(json_at(runs, 1), "error"), "incorrect TXT record"));
    assert_true(json_len(json_get(json_at(runs, 0), "steps")) >= 5);
    assert_string_equal(json_text(j, "state"), "ok");
    json_free(j);
    world_run(w, 700 * POLICY_DAY); /* more than is kept */
    renew_explain(w->renew, "c0", on_explained, &j);
    world_run(w, 1000);
    assert_int_equal(json_len(json_get(j, "runs")), 5);
    json_free(j);
}

#define T(f) cmocka_unit_test_teardown(f, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(first_certificate),
        T(renews_at_the_instant_drawn),
        T(instant_survives_a_restart),
        T(adopts_and_orders_nothing),
        T(window_moved_to_the_past),
        T(window_that_stays_in_the_past),
        T(no_polls_without_ari),
        T(ca_without_ari_is_asked_once),
        T(expired_is_not_asked_about),
        T(transient_failures_back_off),
        T(count_survives_a_restart),
        T(retry_after_is_obeyed),
        T(denied_is_looked_at_daily),
        T(new_configuration_mends),
        T(each_fault_is_overcome),
        T(wrong_chain_is_dropped_with_its_order),
        T(fresh_but_due_is_no_storm),
        T(ten_thousand_failures),
        T(falls_back_to_the_next_ca),
        T(broken_provider_is_no_reason_for_another_ca),
        T(long_wait_goes_to_the_next_ca_at_once),
        T(all_cas_refuse),
        T(blocked_looks_and_does_not_order),
        T(mended_at_once_is_seen_in_a_minute),
        T(short_lives_never_expire),
        T(short_life_survives_an_outage),
        T(not_due_is_refused_without_force),
        T(asked_for_ignores_the_back_off),
        T(forced_in_vain_changes_nothing),
        T(disabled_while_it_waits_for_its_turn),
        T(disabled_rests),
        T(changed_names_are_reissued),
        T(names_change_while_an_order_runs),
        T(staging_certificate_under_a_new_ca),
        T(added_and_removed),
        T(waits_for_the_clock),
        T(survives_steps_of_the_clock),
        T(preflight_spends_no_order),
        T(looks_ahead_of_time),
        T(once_does_what_is_due),
        T(once_tries_once),
        T(once_waits_no_longer_than_a_quarter),
        T(explains_the_last_runs),
    };
    return cmocka_run_group_tests_name("renew", tests, NULL, NULL);
}
