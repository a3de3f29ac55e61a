/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/list.h"

struct item {
    int value;
    struct list node;
};

static void keeps_order(void **state)
{
    (void)state;
    struct list head;
    struct item items[5];
    list_init(&head);
    assert_true(list_empty(&head));
    for (int i = 0; i < 5; i++) {
        items[i].value = i;
        list_append(&head, &items[i].node);
    }
    int expect = 0;
    list_each(it, &head) assert_int_equal(list_item(it, struct item, node)->value, expect++);
    assert_int_equal(expect, 5);
}

static void items_may_go_while_walking(void **state)
{
    (void)state;
    struct list head;
    struct item items[6];
    list_init(&head);
    for (int i = 0; i < 6; i++) {
        items[i].value = i;
        list_append(&head, &items[i].node);
    }
    list_each(it, &head)
    {
        if (list_item(it, struct item, node)->value % 2)
            list_remove(it);
    }
    int sum = 0;
    list_each(it, &head) sum += list_item(it, struct item, node)->value;
    assert_int_equal(sum, 6);
    list_remove(&items[1].node); /* in none: nothing happens */
    list_each(it, &head) list_remove(it);
    assert_true(list_empty(&head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_order),
        cmocka_unit_test(items_may_go_while_walking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
