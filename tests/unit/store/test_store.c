/* SPDX-License-Identifier: ISC */
/* What every implementation of the store must do; run over SQLite and over memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/str.h"
#include "store/memory.h"
#include "store/sqlite.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fixture {
    struct loop *loop;
    struct store *store;
    char dir[64];
    /* what came back */
    char log[4096]; /* "w0 r1 ..." in the order of completion */
    unsigned pending;
    struct err err;
    struct store_item item;
    char key[128], value[256];
    size_t n;
};

struct tag {
    struct fixture *f;
    int id;
};

static void note(struct fixture *f, const char *what, int id)
{
    size_t n = strlen(f->log);
    snprintf(f->log + n, sizeof(f->log) - n, "%s%d ", what, id);
    if (--f->pending == 0)
        loop_stop(f->loop);
}

static void on_read(void *arg, const struct store_item *items, size_t n, const struct err *err)
{
    struct tag *t = arg;
    t->f->err = *err;
    t->f->n = n;
    if (n) {
        t->f->item = items[0];
        str_copy(t->f->key, sizeof(t->f->key), items[0].key);
        str_copy(t->f->value, sizeof(t->f->value), items[0].value);
    }
    for (size_t i = 1; i < n; i++)
        assert_true(strcmp(items[i - 1].key, items[i].key) < 0);
    note(t->f, "r", t->id);
}

static void on_write(void *arg, const struct err *err)
{
    struct tag *t = arg;
    t->f->err = *err;
    note(t->f, "w", t->id);
}

static void wait_all(struct fixture *f)
{
    if (f->pending)
        loop_run(f->loop);
    assert_int_equal(f->pending, 0);
}

static void put(struct fixture *f, const char *key, const char *value, uint64_t expected)
{
    struct tag t = {f, 0};
    struct store_op op = {
        .key = key, .value = value, .len = value ? strlen(value) : 0, .expected = expected};
    f->pending++;
    store_batch(f->store, &op, 1, on_write, &t);
    wait_all(f);
}

static void get(struct fixture *f, const char *key)
{
    struct tag t = {f, 0};
    f->pending++;
    store_get(f->store, key, on_read, &t);
    wait_all(f);
    assert_int_equal(f->err.cls, ERR_NONE);
}

static int setup_memory(void **state)
{
    struct fixture *f = xnew(struct fixture);
    f->loop = loop_new();
    f->store = store_memory_new(f->loop);
    *state = f;
    return 0;
}

static int setup_sqlite(void **state)
{
    struct fixture *f = xnew(struct fixture);
    f->loop = loop_new();
    snprintf(f->dir, sizeof(f->dir), "/tmp/test_store.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->store = store_sqlite_open(f->loop, f->dir, &f->err);
    assert_non_null(f->store);
    assert_int_equal(f->err.cls, ERR_NONE);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    store_close(f->store);
    loop_free(f->loop);
    if (f->dir[0])
        file_remove_tree_at(AT_FDCWD, f->dir, NULL);
    free(f);
    return 0;
}

static void test_put_get_delete(void **state)
{
    struct fixture *f = *state;
    get(f, "a/b");
    assert_int_equal(f->n, 0);
    put(f, "a/b", "one", STORE_ANY);
    get(f, "a/b");
    assert_int_equal(f->n, 1);
    assert_string_equal(f->key, "a/b");
    assert_string_equal(f->value, "one");
    assert_int_equal(f->item.len, 3);
    assert_int_equal(f->item.revision, 1);
    put(f, "a/b", "", STORE_ANY);
    get(f, "a/b");
    assert_int_equal(f->item.len, 0);
    assert_int_equal(f->item.revision, 2);
    put(f, "a/b", NULL, STORE_ANY);
    assert_int_equal(f->err.cls, ERR_NONE);
    get(f, "a/b");
    assert_int_equal(f->n, 0);
}

static void test_revisions(void **state)
{
    struct fixture *f = *state;
    put(f, "k", "1", 0);
    assert_int_equal(f->err.cls, ERR_NONE);
    put(f, "k", "2", 0);
    assert_int_equal(f->err.cls, ERR_LOCAL);
    assert_string_equal(f->err.type, "conflict");
    put(f, "k", "2", 1);
    assert_int_equal(f->err.cls, ERR_NONE);
    put(f, "k", "3", 1);
    assert_string_equal(f->err.type, "conflict");
    put(f, "k", NULL, 1);
    assert_string_equal(f->err.type, "conflict");
    put(f, "absent", NULL, 7);
    assert_string_equal(f->err.type, "conflict");
    get(f, "k");
    assert_string_equal(f->value, "2");
    assert_int_equal(f->item.revision, 2);
    put(f, "k", NULL, 2);
    assert_int_equal(f->err.cls, ERR_NONE);
}

static void test_batch_is_all_or_nothing(void **state)
{
    struct fixture *f = *state;
    put(f, "x", "old", STORE_ANY);
    struct tag t[] = {{f, 0}, {f, 1}, {f, 2}};
    struct store_op first = {.key = "before", .value = "v", .len = 1, .expected = STORE_ANY};
    struct store_op bad[] = {
        {.key = "x", .value = "new", .len = 3, .expected = STORE_ANY},
        {.key = "y", .value = "new", .len = 3, .expected = 0},
        {.key = "y", .value = "again", .len = 5, .expected = 0},
    };
    struct store_op good[] = {
        {.key = "p", .value = "1", .len = 1, .expected = 0},
        {.key = "p", .value = "2", .len = 1, .expected = 1},
        {.key = "q", .value = "3", .len = 1, .expected = 0},
    };
    f->pending = 3;
    store_batch(f->store, &first, 1, on_write, &t[0]);
    store_batch(f->store, bad, 3, on_write, &t[1]);
    store_batch(f->store, good, 3, on_write, &t[2]);
    wait_all(f);
    assert_string_equal(f->log, "w0 w0 w1 w2 ");
    assert_int_equal(f->err.cls, ERR_NONE);
    get(f, "x");
    assert_string_equal(f->value, "old");
    get(f, "y");
    assert_int_equal(f->n, 0);
    get(f, "before");
    assert_int_equal(f->n, 1);
    get(f, "p");
    assert_string_equal(f->value, "2");
    assert_int_equal(f->item.revision, 2);
}

static void list_is(struct fixture *f, const char *prefix, size_t n, const char *first)
{
    struct tag t = {f, 0};
    f->pending = 1;
    store_list(f->store, prefix, on_read, &t);
    wait_all(f);
    assert_int_equal(f->n, n);
    if (n)
        assert_string_equal(f->key, first);
}

static void test_list(void **state)
{
    struct fixture *f = *state;
    put(f, "b/2", "x", STORE_ANY);
    put(f, "b/10", "x", STORE_ANY);
    put(f, "b", "x", STORE_ANY);
    put(f, "c/1", "x", STORE_ANY);
    put(f, "a_1", "x", STORE_ANY);
    put(f, "a%1", "x", STORE_ANY);
    list_is(f, "b/", 2, "b/10");
    list_is(f, "b", 3, "b");
    list_is(f, "a_", 1, "a_1");
    list_is(f, "", 6, "a%1");
    list_is(f, "d", 0, NULL);
}

static void test_order_of_completion(void **state)
{
    struct fixture *f = *state;
    struct tag t[40];
    char expect[512] = "";
    f->pending = 40;
    for (int i = 0; i < 40; i++) {
        t[i] = (struct tag){f, i};
        if (i % 3 == 1) {
            store_get(f->store, "k", on_read, &t[i]);
        } else if (i % 3 == 2) {
            store_list(f->store, "", on_read, &t[i]);
        } else {
            store_put(f->store, "k", "v", on_write, &t[i]);
        }
        snprintf(expect + strlen(expect), sizeof(expect) - strlen(expect), "%s%d ",
                 i % 3 ? "r" : "w", i);
    }
    assert_string_equal(f->log, ""); /* nothing before the loop runs */
    wait_all(f);
    assert_string_equal(f->log, expect);
    assert_int_equal(f->item.revision, 13); /* a read sees what was written before it */
}

static void test_cancel(void **state)
{
    struct fixture *f = *state;
    struct tag t[] = {{f, 0}, {f, 1}, {f, 2}};
    f->pending = 1;
    struct store_call *w = store_put(f->store, "k", "v", on_write, &t[0]);
    struct store_call *r = store_get(f->store, "k", on_read, &t[1]);
    store_get(f->store, "k", on_read, &t[2]);
    store_cancel(f->store, w);
    store_cancel(f->store, r);
    store_cancel(f->store, NULL);
    wait_all(f);
    assert_string_equal(f->log, "r2 ");
    assert_string_equal(f->value, "v");
}

struct canceller {
    struct tag tag;
    struct store_call *victim;
};

static void on_read_cancel(void *arg, const struct store_item *items, size_t n,
                           const struct err *err)
{
    struct canceller *c = arg;
    store_cancel(c->tag.f->store, c->victim);
    on_read(&c->tag, items, n, err);
}

static void test_cancel_of_one_already_done(void **state)
{
    struct fixture *f = *state;
    struct tag t[] = {{f, 1}, {f, 2}};
    struct canceller c = {.tag = {f, 0}};
    f->pending = 2;
    store_get(f->store, "k", on_read_cancel, &c);
    c.victim = store_get(f->store, "k", on_read, &t[0]);
    store_get(f->store, "k", on_read, &t[1]);
    wait_all(f);
    assert_string_equal(f->log, "r0 r2 ");
}

static void on_read_close(void *arg, const struct store_item *items, size_t n,
                          const struct err *err)
{
    struct tag *t = arg;
    store_close(t->f->store);
    t->f->store = NULL;
    on_read(arg, items, n, err);
}

static void test_close_inside_a_callback(void **state)
{
    struct fixture *f = *state;
    struct tag t[] = {{f, 0}, {f, 1}};
    f->pending = 1;
    store_get(f->store, "k", on_read_close, &t[0]);
    store_get(f->store, "k", on_read, &t[1]);
    store_put(f->store, "k", "v", on_write, &t[1]);
    wait_all(f);
    assert_string_equal(f->log, "r0 ");
}

static void test_no_callback(void **state)
{
    struct fixture *f = *state;
    store_put(f->store, "k", "v", NULL, NULL);
    store_delete(f->store, "k", NULL, NULL);
    store_put(f->store, "k2", "v", NULL, NULL);
    get(f, "k");
    assert_int_equal(f->n, 0);
    get(f, "k2");
    assert_int_equal(f->n, 1);
}

static void test_bounds(void **state)
{
    struct fixture *f = *state;
    size_t big = (1u << 20) + 1;
    char *value = xcalloc(1, big + 1), *key = xcalloc(1, 3000);
    memset(value, 'v', big);
    memset(key, 'k', 2999);
    put(f, "big", value, STORE_ANY);
    assert_int_equal(f->err.cls, ERR_LOCAL);
    get(f, "big");
    assert_int_equal(f->n, 0);
    value[big - 1] = '\0';
    put(f, "big", value, STORE_ANY);
    assert_int_equal(f->err.cls, ERR_NONE);
    get(f, "big");
    assert_int_equal(f->item.len, big - 1);
    put(f, key, "v", STORE_ANY);
    assert_int_equal(f->err.cls, ERR_LOCAL);
    free(value);
    free(key);
}

static void test_hundred_thousand_keys(void **state)
{
    struct fixture *f = *state;
    enum { N = 100000, CHUNK = 1000 };
    struct store_op *ops = xcalloc(CHUNK, sizeof(*ops));
    char(*keys)[32] = xcalloc(CHUNK, 32);
    for (int i = 0; i < N; i += CHUNK) {
        for (int k = 0; k < CHUNK; k++) {
            snprintf(keys[k], 32, "cert/%06d/state", i + k);
            ops[k] =
                (struct store_op){.key = keys[k], .value = "{}", .len = 2, .expected = STORE_ANY};
        }
        store_batch(f->store, ops, CHUNK, NULL, NULL);
    }
    list_is(f, "cert/", N, "cert/000000/state");
    list_is(f, "cert/0999", 100, "cert/099900/state");
    free(ops);
    free(keys);
}

#define BOTH(t)                                                                                    \
    {"memory " #t, t, setup_memory, teardown, NULL},                                               \
    {                                                                                              \
        "sqlite " #t, t, setup_sqlite, teardown, NULL                                              \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_put_get_delete),
        BOTH(test_revisions),
        BOTH(test_batch_is_all_or_nothing),
        BOTH(test_list),
        BOTH(test_order_of_completion),
        BOTH(test_cancel),
        BOTH(test_cancel_of_one_already_done),
        BOTH(test_close_inside_a_callback),
        BOTH(test_no_callback),
        BOTH(test_bounds),
        BOTH(test_hundred_thousand_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
