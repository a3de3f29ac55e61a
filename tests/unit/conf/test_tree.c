/* SPDX-License-Identifier: ISC */
#include "conf/fixture.h"

#include "base/buf.h"
#include "conf/tree.h"

#include <string.h>

struct tree {
    struct arena *arena;
    struct diag diag;
    const struct node *root;
    int rc;
};

static int setup(void **state)
{
    static struct tree t;

    t = (struct tree){.arena = arena_new()};
    *state = &t;
    return 0;
}

static int teardown(void **state)
{
    struct tree *t = *state;

    arena_free(t->arena);
    diag_free(&t->diag);
    return 0;
}

static const struct node *parse(struct tree *t, const char *text)
{
    t->root = NULL;
    t->rc = tree_parse(t->arena, "f", text, strlen(text), &t->diag, &t->root);
    return t->root;
}

static void test_marks(void **state)
{
    const struct node *n = parse(*state, "a: \xc3\xa4 b\nlist:\n  - {x: \"y\"}\n");
    const struct node *list = node_get(n, "list");

    assert_int_equal(n->kind, NODE_MAP);
    assert_int_equal(n->n, 2);
    assert_string_equal(node_get(n, "a")->text, "\xc3\xa4 b");
    assert_int_equal(node_get(n, "a")->line, 1);
    assert_int_equal(node_get(n, "a")->column, 4);
    assert_int_equal(list->kind, NODE_LIST);
    assert_int_equal(list->items[0]->line, 3);
    assert_int_equal(list->items[0]->column, 5);
    n = node_get(list->items[0], "x");
    assert_false(n->plain);
    assert_int_equal(n->column, 9);
    assert_string_equal(node_where(n).file, "f");
    assert_string_equal(node_kind_name(list), "a list");
}

static void test_nothing(void **state)
{
    struct tree *t = *state;

    assert_null(parse(t, ""));
    assert_int_equal(t->rc, 0);
    assert_null(parse(t, "# only this\n"));
    assert_int_equal(t->rc, 0);
    assert_null(parse(t, "---\n...\n"));
    assert_int_equal(t->rc, 0);
    assert_int_equal(t->diag.n, 0);
}

static void test_null(void **state)
{
    const struct node *n = parse(*state, "a:\nb: ~\nc: null\nd: \"\"\ne: \"null\"\nf: nil\n");

    for (uint32_t i = 0; i < n->n; i++)
        assert_int_equal(node_is_null(n->pairs[i].value), i < 3);
    assert_null(node_get(n, "g"));
}

static void test_alias(void **state)
{
    struct tree *t = *state;
    const struct node *n = parse(t, "a: &x {k: v}\nb: *x\nc: &x [1]\nd: *x\n");

    assert_ptr_equal(node_get(n, "a"), node_get(n, "b"));
    assert_ptr_equal(node_get(n, "c"), node_get(n, "d"));
    n = parse(t, "a: &x {k: v, l: w}\nb: {l: z, <<: *x}\nc: {\"<<\": q}\n");
    assert_string_equal(node_get(node_get(n, "b"), "l")->text, "z");
    assert_string_equal(node_get(node_get(n, "b"), "k")->text, "v");
    assert_string_equal(node_get(node_get(n, "c"), "<<")->text, "q");
}

static void test_many_keys(void **state)
{
    struct tree *t = *state;
    struct buf b;

    buf_init(&b, 1 << 20);
    for (int i = 0; i < 1000; i++)
        buf_putf(&b, "k%d: %d\n", i, i);
    assert_int_equal(parse(t, buf_str(&b))->n, 1000);
    buf_puts(&b, "k7: x\n");
    assert_null(parse(t, buf_str(&b)));
    assert_int_equal(t->rc, -1);
    assert_string_equal(t->diag.v[0].text, "k7: written twice; it stands in line 8 already");
    assert_int_equal(t->diag.v[0].line, 1001);
    buf_free(&b);
}

static void test_control_characters(void **state)
{
    struct tree *t = *state;

    parse(t, "\"a\\n\\e[31m\": 1\n\"a\\n\\e[31m\": 2\n");
    assert_int_equal(t->diag.n, 1);
    assert_null(strpbrk(t->diag.v[0].text, "\n\x1b"));
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_marks), T(test_nothing),   T(test_null),
        T(test_alias), T(test_many_keys), T(test_control_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
