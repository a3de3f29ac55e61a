/* SPDX-License-Identifier: ISC */
#include "base/mem.h"
#include "renew/history.h"
#include "renew/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define T0 (POLICY_EPOCH + POLICY_DAY)

static const char *step_text(const struct json *j, size_t i)
{
    return json_text(json_at(json_get(j, "steps"), i), "text");
}

static void keeps_what_was_lacking(void **state)
{
    (void)state;
    struct history *h = history_new(T0, "because", "one");
    history_step(h, T0, "PUBLISH", "publishing the records");
    history_note(h, T0, "PUBLISH", "ns2 lacks 1 of 1 for 1 s");
    history_note(h, T0 + 1, "PUBLISH", "ns2 lacks 1 of 1 for 12 s");
    history_note(h, T0 + 2, "PUBLISH", "2 of 2 have the value");
    struct json *j = history_json(h);
    assert_int_equal(json_len(json_get(j, "steps")), 3);
    assert_string_equal(step_text(j, 1), "ns2 lacks 1 of 1 for 12 s");
    assert_string_equal(step_text(j, 2), "2 of 2 have the value");
    assert_string_equal(json_text(j, "outcome"), "running");
    json_free(j);
    history_free(h);
}

static void is_bounded(void **state)
{
    (void)state;
    struct history *h = history_new(T0, "because", "one");
    char text[2000];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    for (unsigned i = 0; i < 1000; i++) {
        text[i] = 'a';
        history_note(h, T0 + i, "PUBLISH", text);
    }
    history_step(h, T0, "INSTALL", "the end is kept for all these notes");
    struct json *j = history_json(h);
    assert_int_equal(json_len(json_get(j, "steps")), HISTORY_NOTES + 1);
    assert_string_equal(step_text(j, HISTORY_NOTES), "the end is kept for all these notes");
    assert_int_equal(strlen(step_text(j, 0)), HISTORY_TEXT);
    json_free(j);
    for (unsigned i = 0; i < 1000; i++)
        history_step(h, T0, "X", text);
    char *stored = history_text(h);
    assert_true(strlen(stored) < 32768);
    j = json_parse(stored, strlen(stored), NULL);
    assert_int_equal(json_int(j, "steps_left_out", 0), 1000 + HISTORY_NOTES + 1 - HISTORY_STEPS);
    free(stored);
    json_free(j);
    history_free(h);
}

static void says_how_it_ended(void **state)
{
    (void)state;
    struct history *h = history_new(T0, "because", "one");
    struct err e = ERR_INIT;
    err_set(&e, ERR_TRANSIENT, "no answer");
    err_activity(&e, "asking");
    history_order(h, "https://ca/order/1");
    history_end(h, T0 + 1000, "failed", &e, T0 + 60000);
    struct json *j = history_json(h);
    assert_string_equal(json_text(j, "error"), "asking: no answer");
    assert_string_equal(json_text(j, "order"), "https://ca/order/1");
    assert_string_equal(json_text(j, "next"), "2026-01-02T00:01:00Z");
    json_free(j);
    history_end(h, T0 + 2000, "renewed", NULL, 0); /* the last word counts */
    j = history_json(h);
    assert_string_equal(json_text(j, "outcome"), "renewed");
    assert_null(json_text(j, "error"));
    json_free(j);
    history_free(h);
}

static void slots_take_turns(void **state)
{
    (void)state;
    for (unsigned run = 0; run < 2 * HISTORY_RUNS; run++) {
        CLEANUP_FREE char *key = history_key("example.org", run);
        char want[64];
        snprintf(want, sizeof(want), "history/example.org/%u", run % HISTORY_RUNS);
        assert_string_equal(key, want);
    }
    history_step(NULL, T0, "X", "no run, no note");
    history_end(NULL, T0, "", NULL, 0);
    history_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_what_was_lacking),
        cmocka_unit_test(is_bounded),
        cmocka_unit_test(says_how_it_ended),
        cmocka_unit_test(slots_take_turns),
    };
    return cmocka_run_group_tests_name("history", tests, NULL, NULL);
}
