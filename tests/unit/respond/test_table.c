/* SPDX-License-Identifier: ISC */
#include "base/mem.h"
#include "respond/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static unsigned turns;

static void on_turn(struct entry *e)
{
    assert_true(e->served);
    turns++;
}

static void test_same_contents_are_served_together(void **state)
{
    struct table *t = table_new();
    struct entry a = {.key = "k", .content = "1", .turn = on_turn}, b = a;
    (void)state;
    table_put(t, &a);
    table_put(t, &b);
    assert_true(a.served && b.served);
    table_answered(t, "k");
    table_answered(t, "other");
    assert_int_equal(a.answered + b.answered, 2);
    table_remove(t, &a);
    assert_ptr_equal(table_find(t, "k"), &b);
    assert_null(table_find(t, "other"));
    table_remove(t, &b);
    assert_null(table_find(t, "k"));
    assert_true(table_empty(t));
    table_free(t);
}

static void test_other_contents_take_turns(void **state)
{
    struct table *t = table_new();
    struct entry a = {.key = "k", .content = "1", .turn = on_turn}, b = a, c = a, d = a;
    (void)state;
    b.content = "2";
    c.content = "3";
    d.content = "2";
    turns = 0;
    table_put(t, &a);
    table_put(t, &b);
    table_put(t, &c);
    table_put(t, &d);
    assert_true(a.served && !b.served && !c.served && !d.served);
    table_remove(t, &a);
    assert_true(b.served && !c.served && d.served);
    assert_int_equal(turns, 2);
    table_remove(t, &c);
    table_answered(t, "k");
    assert_int_equal(b.answered, 1);
    table_remove(t, &b);
    table_remove(t, &d);
    assert_int_equal(turns, 2);
    assert_true(table_empty(t));
    table_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_contents_are_served_together),
        cmocka_unit_test(test_other_contents_take_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
