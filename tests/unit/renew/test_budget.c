/* SPDX-License-Identifier: ISC */
#include "base/clock.h"
#include "base/mem.h"
#include "renew/budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define T0 1800000000000
#define HOUR 3600000LL

static const struct conf_limit three_hours = {.n = 300, .per_ms = 3 * HOUR};

static struct budget orders(const char *account)
{
    return (struct budget){BUDGET_ORDERS, &three_hours, account, ""};
}

static bool take(struct budgets *b, const struct budget *of, int64_t now)
{
    struct budget_write w;
    if (!budget_take(b, of, now, &w))
        return false;
    free(w.key);
    free(w.value);
    return true;
}

/* 300 at once, then one every 36 s: Let's Encrypt's new orders. */
static void a_burst_and_then_one_by_one(void **state)
{
    struct budgets *b = budgets_new();
    struct budget of = orders("a");
    (void)state;
    assert_int_equal(budget_left(b, &of, T0), 300);
    for (int i = 0; i < 300; i++) {
        assert_int_equal(budget_free_at(b, &of, T0), 0);
        assert_true(take(b, &of, T0));
    }
    assert_int_equal(budget_left(b, &of, T0), 0);
    assert_int_equal(budget_free_at(b, &of, T0), T0 + 36000);
    assert_int_equal(budget_free_at(b, &of, T0 + 35999), T0 + 36000);
    assert_int_equal(budget_free_at(b, &of, T0 + 36000), 0);
    assert_int_equal(budget_left(b, &of, T0 + HOUR), 100);
    assert_int_equal(budget_left(b, &of, T0 + 4 * HOUR), 300);
    budgets_free(b);
}

static void accounts_and_subjects_are_apart(void **state)
{
    static const struct conf_limit one = {.n = 1, .per_ms = HOUR};
    struct budgets *b = budgets_new();
    struct budget a = {BUDGET_FAILURES, &one, "a", "www.example.org"}, other = a, same = a;
    (void)state;
    other.subject = "example.org";
    same.account = "b";
    assert_true(take(b, &a, T0));
    assert_int_equal(budget_free_at(b, &a, T0), T0 + HOUR);
    assert_int_equal(budget_free_at(b, &other, T0), 0);
    assert_int_equal(budget_free_at(b, &same, T0), 0);
    budgets_free(b);
}

static void no_limit_is_no_budget(void **state)
{
    static const struct conf_limit none = {0};
    struct budgets *b = budgets_new();
    struct budget of = {BUDGET_ORDERS, &none, "a", ""};
    struct budget_write w;
    (void)state;
    assert_false(budget_take(b, &of, T0, &w));
    assert_int_equal(budget_free_at(b, &of, T0), 0);
    budgets_free(b);
}

/* What was stored is what a restart knows; what is whole again is not worth a place. */
static void survives_a_restart(void **state)
{
    struct budgets *b = budgets_new(), *again = budgets_new();
    struct budget of = orders("https://ca.example/dir  main");
    struct budget_write w;
    (void)state;
    for (int i = 0; i < 299; i++)
        assert_true(take(b, &of, T0));
    assert_true(budget_take(b, &of, T0, &w));
    assert_string_equal(w.key, "budget/orders/https://ca.example/dir  main/");
    struct store_item item = {.key = w.key, .value = w.value, .len = strlen(w.value)};
    assert_true(budgets_read(again, &item, T0 + 1000));
    assert_int_equal(budget_free_at(again, &of, T0 + 1000), T0 + 36000);
    assert_false(budgets_read(again, &item, T0 + 3 * HOUR));
    item.value = "{";
    item.len = 1;
    assert_false(budgets_read(again, &item, T0));
    free(w.key);
    free(w.value);
    budgets_free(b);
    budgets_free(again);
}

/* A clock that jumps back for a year, or a limit that was raised, costs one period at most. */
static void never_longer_than_the_period(void **state)
{
    struct budgets *b = budgets_new();
    struct budget of = orders("a");
    (void)state;
    for (int i = 0; i < 1000; i++)
        take(b, &of, T0 + 365 * 24 * HOUR);
    int64_t at = budget_free_at(b, &of, T0);
    assert_true(at > T0 && at <= T0 + 2 * 36000);
    budgets_free(b);
}

/* Of 300, 300 are taken; of 3,000, 2,700 are left then, and of 30 none. */
static void another_limit(void **state)
{
    static const struct conf_limit more = {.n = 3000, .per_ms = 3 * HOUR};
    static const struct conf_limit less = {.n = 30, .per_ms = 3 * HOUR};
    struct budgets *b = budgets_new();
    struct budget of = orders("a");
    (void)state;
    for (int i = 0; i < 300; i++)
        take(b, &of, T0);
    of.limit = &more;
    assert_int_equal(budget_left(b, &of, T0), 2700);
    of.limit = &less;
    assert_int_equal(budget_left(b, &of, T0), 0);
    assert_int_equal(budget_left(b, &of, T0 + HOUR), 0);
    of.limit = &more;
    take(b, &of, T0);
    assert_int_equal(budget_left(b, &of, T0), 2699);
    budgets_free(b);
}

static void whole_ones_are_forgotten(void **state)
{
    struct budgets *b = budgets_new();
    char name[32];
    (void)state;
    for (int i = 0; i < 5000; i++) {
        static const struct conf_limit limit = {.n = 5, .per_ms = HOUR};
        struct budget of = {BUDGET_FAILURES, &limit, "a", name};
        snprintf(name, sizeof(name), "n%d", i);
        take(b, &of, T0 + i * HOUR);
        assert_int_equal(budget_left(b, &of, T0 + i * HOUR), 4);
    }
    budgets_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_and_then_one_by_one),
        cmocka_unit_test(accounts_and_subjects_are_apart),
        cmocka_unit_test(no_limit_is_no_budget),
        cmocka_unit_test(survives_a_restart),
        cmocka_unit_test(never_longer_than_the_period),
        cmocka_unit_test(another_limit),
        cmocka_unit_test(whole_ones_are_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
