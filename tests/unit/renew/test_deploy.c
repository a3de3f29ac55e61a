/* SPDX-License-Identifier: ISC */
/* What happens to an installed certificate. */
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

static void rule(struct world *w, const char *key, unsigned fail, bool hang)
{
    w->rules[w->n_rules++] = (struct step_rule){key, fail, hang};
}

static unsigned runs(const struct world *w, const char *key)
{
    unsigned n = 0;
    for (size_t i = 0; i < w->n_steps && i < ARRAY_LEN(w->steps); i++)
        n += str_starts(w->steps[i], key);
    return n;
}

static enum renew_state state_of(struct world *w, const char *name)
{
    return world_status(w, name).state;
}

static bool a_deployment_failed(struct world *w)
{
    return state_of(w, "c0") == RENEW_DEPLOY_FAILED;
}

static bool finished_badly(struct world *w)
{
    return w->finished_badly > 0;
}

static void steps_run_in_order(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    world_step(w->conf, 0, "a", CONF_STEP_FILE, "/etc/x.pem");
    world_step(w->conf, 0, "a", CONF_STEP_RUN, "/hook");
    world_step(w->conf, 0, "a", CONF_STEP_RELOAD, "nginx");
    world_boot(w);
    assert_true(world_until(w, world_all_ok, POLICY_MINUTE));
    assert_int_equal(w->n_steps, 3);
    assert_string_equal(w->steps[0], "a/0 c0");
    assert_string_equal(w->steps[1], "a/1 c0");
    assert_string_equal(w->steps[2], "a/2 c0");
    assert_int_equal(w->finished, 1);
    assert_string_equal(w->last_event, "c0: deployed");
}

static void failure_resumes_at_its_step(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    world_step(w->conf, 0, "a", CONF_STEP_RUN, "/copy");
    world_step(w->conf, 0, "a", CONF_STEP_RUN, "/restart");
    rule(w, "a/1", 3, false);
    world_boot(w);
    assert_true(world_until(w, finished_badly, POLICY_MINUTE));
    assert_int_equal(state_of(w, "c0"), RENEW_DEPLOY_FAILED);
    assert_non_null(strstr(world_status(w, "c0").why, "exit status 1"));
    assert_true(world_until(w, world_all_ok, 2 * POLICY_HOUR));
    assert_int_equal(runs(w, "a/0"), 1);
    assert_int_equal(runs(w, "a/1"), 4);
    assert_int_equal(w->sites[0].orders, 1);
}

static void failure_resumes_after_a_restart(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    world_step(w->conf, 0, "a", CONF_STEP_RUN, "/copy");
    world_step(w->conf, 0, "a", CONF_STEP_RUN, "/restart");
    rule(w, "a/1", 2, false);
    world_boot(w);
    assert_true(world_until(w, a_deployment_failed, POLICY_MINUTE));
    world_crash(w);
    world_boot(w);
    assert_int_equal(state_of(w, "c0"), RENEW_DEPLOY_FAILED);
    assert_non_null(strstr(world_status(w, "c0").why, "exit status 1"));
    assert_true(world_until(w, world_all_ok, POLICY_HOUR));
    assert_int_equal(runs(w, "a/0"), 1);
    assert_int_equal(runs(w, "a/1"), 3);
    world_crash(w);
    world_boot(w);
    world_run(w, POLICY_DAY);
    assert_int_equal(w->n_steps, 4);
}

static void deployments_are_independent(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    world_step(w->conf, 0, "gw1", CONF_STEP_RUN, "/gw1");
    world_step(w->conf, 0, "gw2", CONF_STEP_RUN, "/gw2");
    world_step(w->conf, 0, "gw3", CONF_STEP_RUN, "/gw3");
    rule(w, "gw1", 3, false);
    rule(w, "gw2", 0, true);
    world_boot(w);
    world_run(w, 5000);
    assert_int_equal(runs(w, "gw3"), 1);
    world_run(w, 5 * POLICY_HOUR);
    assert_int_equal(runs(w, "gw1"), 4);
    assert_int_equal(runs(w, "gw3"), 1);
    assert_in_range(runs(w, "gw2"), 5, 8);
    assert_int_equal(state_of(w, "c0"), RENEW_DEPLOY_FAILED);
    w->rules[1].hang = false;
    assert_true(world_until(w, world_all_ok, 2 * POLICY_HOUR));
    assert_int_equal(runs(w, "gw1"), 4);
}

static void failing_deployment_is_tried_hourly_and_orders_nothing(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    world_step(w->conf, 0, "a", CONF_STEP_RUN, "/hook");
    rule(w, "a/0", 1000000, false);
    world_boot(w);
    world_run(w, 2 * POLICY_DAY);
    assert_in_range(w->n_steps, 45, 65);
    assert_int_equal(w->sites[0].orders, 1);
    world_run(w, 60 * POLICY_DAY); /* a renewal that becomes due meanwhile happens */
    assert_int_equal(w->sites[0].orders, 2);
    assert_int_equal(state_of(w, "c0"), RENEW_DEPLOY_FAILED);
    w->rules[0].fail = 0;
    assert_true(world_until(w, world_all_ok, 2 * POLICY_HOUR));
}

static void reloads_are_merged(void **state)
{
    (void)state;
    struct world *w = world_new(40);
    for (size_t i = 0; i < 40; i++) {
        world_step(w->conf, i, i % 2 ? "#1" : "web", CONF_STEP_RELOAD, "nginx");
        world_step(w->conf, i, "edge", CONF_STEP_RUN, "/push")->once = true;
        world_step(w->conf, i, "own", CONF_STEP_RUN, "/hook");
    }
    world_boot(w);
    assert_true(world_until(w, world_all_ok, POLICY_MINUTE));
    assert_in_range(runs(w, "web/0") + runs(w, "#1/0"), 1, 2); /* the unit counts */
    assert_in_range(runs(w, "edge/0"), 1, 2);
    assert_int_equal(w->n_steps - runs(w, "web/0") - runs(w, "#1/0") - runs(w, "edge/0"), 40);
}

static void different_reloads_are_not_merged(void **state)
{
    (void)state;
    struct world *w = world_new(2);
    world_step(w->conf, 0, "a", CONF_STEP_RELOAD, "nginx");
    world_step(w->conf, 1, "a", CONF_STEP_RELOAD, "postfix");
    world_boot(w);
    assert_true(world_until(w, world_all_ok, POLICY_MINUTE));
    assert_int_equal(w->n_steps, 2);
}

static void merged_failure_is_everyones(void **state)
{
    (void)state;
    struct world *w = world_new(5);
    for (size_t i = 0; i < 5; i++)
        world_step(w->conf, i, "a", CONF_STEP_RELOAD, "nginx");
    rule(w, "a/0", 1, false);
    world_boot(w);
    world_run(w, 20 * POLICY_SECOND);
    assert_int_equal(w->finished_badly, 5);
    assert_true(world_until(w, world_all_ok, 2 * POLICY_MINUTE));
    assert_in_range(w->n_steps, 2, 6);
}

static void slow_order_does_not_hold_up_a_merge(void **state)
{
    (void)state;
    struct world *w = world_new(2);
    world_step(w->conf, 0, "a", CONF_STEP_RELOAD, "nginx");
    w->sites[1].fault = FAULT_HANG;
    world_boot(w);
    world_run(w, 6000);
    assert_int_equal(state_of(w, "c0"), RENEW_OK);
}

static void waits_for_the_server_to_reload(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    world_step(w->conf, 0, "a", CONF_STEP_RELOAD, "nginx");
    world_step(w->conf, 0, "a", CONF_STEP_VERIFY, "localhost:443");
    w->served_after = 4;
    world_boot(w);
    assert_true(world_until(w, world_all_ok, POLICY_MINUTE));
    assert_int_equal(w->finished_badly, 0);
    assert_int_equal(w->n_steps, 1);
}

static void old_worker_is_not_missed(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    world_step(w->conf, 0, "a", CONF_STEP_VERIFY, "localhost:443");
    w->blip = 2; /* the first one has already met the new worker */
    world_boot(w);
    assert_true(world_until(w, world_all_ok, POLICY_MINUTE));
    assert_int_equal(w->probes, 4);
    assert_int_equal(w->finished_badly, 0);
}

static void says_what_is_served_instead(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    world_step(w->conf, 0, "a", CONF_STEP_RELOAD, "nginx");
    world_step(w->conf, 0, "a", CONF_STEP_VERIFY, "localhost:443");
    w->served = "another";
    world_boot(w);
    int64_t began = w->loop->wall;
    assert_true(world_until(w, a_deployment_failed, 2 * POLICY_MINUTE));
    assert_in_range(w->loop->wall - began, 45 * POLICY_SECOND, 65 * POLICY_SECOND);
    const char *why = world_status(w, "c0").why;
    assert_non_null(strstr(why, "192.0.2.1:443 serves the one of serial 0bad"));
    assert_non_null(strstr(why, "2026-07-20"));
    w->served = NULL;
    assert_true(world_until(w, world_all_ok, 2 * POLICY_MINUTE));
    assert_int_equal(w->n_steps, 1); /* only the verification was repeated */
}

static void deploys_again_when_asked(void **state)
{
    (void)state;
    struct world *w = world_new(2);
    struct err e = ERR_INIT;
    world_step(w->conf, 0, "a", CONF_STEP_RUN, "/hook");
    world_boot(w);
    world_run(w, POLICY_MINUTE);
    assert_int_equal(w->n_steps, 1);
    unsigned finished = w->finished;
    assert_int_equal(renew_deploy(w->renew, "c0", &e), 0);
    assert_int_equal(state_of(w, "c0"), RENEW_DEPLOYING);
    world_run(w, POLICY_MINUTE);
    assert_int_equal(w->n_steps, 2);
    assert_int_equal(w->finished, finished + 1);
    assert_int_equal(renew_deploy(w->renew, "c1", &e), -1); /* nothing to do */
    assert_int_equal(e.cls, ERR_CONFIG);
}

static void renewed_while_a_step_runs(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    struct err e = ERR_INIT;
    world_step(w->conf, 0, "a", CONF_STEP_RUN, "/slow");
    rule(w, "a/0", 0, true);
    world_boot(w);
    world_run(w, 4000);
    assert_int_equal(state_of(w, "c0"), RENEW_DEPLOYING);
    assert_int_equal(renew_start(w->renew, "c0", RENEW_FORCE, &e), 0);
    world_run(w, 10000);
    assert_int_equal(w->sites[0].installs, 2);
    w->rules[0].hang = false;
    assert_true(world_until(w, world_all_ok, POLICY_MINUTE + 5000));
    assert_int_equal(w->n_steps, 2); /* never two at a time */
}

static void reload_of_the_configuration_meanwhile(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    world_step(w->conf, 0, "a", CONF_STEP_RUN, "/one");
    world_step(w->conf, 0, "a", CONF_STEP_RUN, "/two");
    rule(w, "a/1", 1, false);
    world_boot(w);
    assert_true(world_until(w, a_deployment_failed, POLICY_MINUTE));
    struct conf *next = world_conf(1);
    world_step(next, 0, "a", CONF_STEP_RUN, "/one");
    world_step(next, 0, "a", CONF_STEP_RUN, "/two");
    world_step(next, 0, "new", CONF_STEP_RUN, "/new");
    renew_configure(w->renew, next, NULL, NULL);
    conf_unref(next);
    assert_true(world_until(w, world_all_ok, 2 * POLICY_MINUTE));
    assert_int_equal(runs(w, "a/0"), 1);
    assert_int_equal(runs(w, "a/1"), 2);
    assert_int_equal(runs(w, "new"), 0); /* from the next certificate on */
}

static void configuration_changes_while_a_step_runs(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    world_step(w->conf, 0, "a", CONF_STEP_RUN, "/slow");
    world_step(w->conf, 0, "a", CONF_STEP_RUN, "/two");
    rule(w, "a/0", 0, true);
    world_boot(w);
    world_run(w, 4000);
    struct conf *next = world_conf(1);
    world_step(next, 0, "b", CONF_STEP_RUN, "/other");
    renew_configure(w->renew, next, NULL, NULL);
    conf_unref(next);
    assert_true(world_until(w, world_all_ok, 2 * POLICY_MINUTE));
    assert_int_equal(runs(w, "a/0"), 1);
    assert_int_equal(runs(w, "a/1"), 0); /* the keeper does not know it any more */
}

static void on_stopped(void *arg)
{
    *(bool *)arg = true;
}

static void stopping_lets_a_step_end(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    bool stopped = false;
    world_step(w->conf, 0, "a", CONF_STEP_RUN, "/slow");
    world_step(w->conf, 0, "a", CONF_STEP_RUN, "/two");
    rule(w, "a/0", 0, true);
    world_boot(w);
    world_run(w, 4000);
    renew_stop(w->renew, 5000, on_stopped, &stopped);
    world_run(w, 4000);
    assert_false(stopped);
    world_run(w, 2000);
    assert_true(stopped);
    assert_int_equal(runs(w, "a/1"), 0);
}

#define T(f) cmocka_unit_test_teardown(f, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(steps_run_in_order),
        T(failure_resumes_at_its_step),
        T(failure_resumes_after_a_restart),
        T(deployments_are_independent),
        T(failing_deployment_is_tried_hourly_and_orders_nothing),
        T(reloads_are_merged),
        T(different_reloads_are_not_merged),
        T(merged_failure_is_everyones),
        T(slow_order_does_not_hold_up_a_merge),
        T(waits_for_the_server_to_reload),
        T(old_worker_is_not_missed),
        T(says_what_is_served_instead),
        T(deploys_again_when_asked),
        T(renewed_while_a_step_runs),
        T(reload_of_the_configuration_meanwhile),
        T(configuration_changes_while_a_step_runs),
        T(stopping_lets_a_step_end),
    };
    return cmocka_run_group_tests_name("deploy", tests, NULL, NULL);
}
