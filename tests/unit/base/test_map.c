/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEYS 300

/* The model: keys in order of insertion. */
struct model {
    int order[KEYS];
    size_t n;
    void *values[KEYS];
};

static uint32_t next(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void model_remove(struct model *m, int key)
{
    size_t kept = 0;
    for (size_t i = 0; i < m->n; i++) {
        if (m->order[i] != key)
            m->order[kept++] = m->order[i];
    }
    m->n = kept;
    m->values[key] = NULL;
}

static void assert_same(const struct map *map, const struct model *m)
{
    const char *key;
    void *value;
    char expect[16];
    size_t n = 0;
    assert_int_equal(map_len(map), m->n);
    for (size_t i = 0; map_next(map, &i, &key, &value); n++) {
        assert_true(n < m->n);
        snprintf(expect, sizeof(expect), "key-%d", m->order[n]);
        assert_string_equal(key, expect);
        assert_ptr_equal(value, m->values[m->order[n]]);
    }
    assert_int_equal(n, m->n);
}

static void agrees_with_a_model(void **state)
{
    (void)state;
    for (uint32_t round = 1; round <= 5; round++) {
        struct map *map = map_new();
        struct model m = {.n = 0};
        uint32_t seed = round * 7919;
        for (size_t step = 1; step <= 6000; step++) {
            char key[16];
            int k = (int)(next(&seed) % KEYS);
            snprintf(key, sizeof(key), "key-%d", k);
            assert_ptr_equal(map_get(map, key), m.values[k]);
            if (next(&seed) % 2) {
                assert_ptr_equal(map_put(map, key, (void *)step), m.values[k]);
                if (!m.values[k])
                    m.order[m.n++] = k;
                m.values[k] = (void *)step;
            } else {
                assert_ptr_equal(map_remove(map, key), m.values[k]);
                model_remove(&m, k);
            }
            if (step % 100 == 0)
                assert_same(map, &m);
        }
        map_free(map);
    }
}

static void an_empty_map_holds_nothing(void **state)
{
    (void)state;
    struct map *map = map_new();
    size_t i = 0;
    assert_null(map_get(map, "x"));
    assert_null(map_remove(map, "x"));
    assert_false(map_next(map, &i, NULL, NULL));
    assert_int_equal(map_len(map), 0);
    map_free(map);
    map_free(NULL);
}

static void keys_are_copied_and_may_be_empty(void **state)
{
    (void)state;
    struct map *map = map_new();
    char key[8] = "abc";
    int one, two;
    map_put(map, key, &one);
    key[0] = '\0';
    map_put(map, key, &two);
    assert_ptr_equal(map_get(map, "abc"), &one);
    assert_ptr_equal(map_get(map, ""), &two);
    map_free(map);
}

static void a_map_that_is_filled_and_emptied_stays_small(void **state)
{
    (void)state;
    struct map *map = map_new();
    int one;
    for (int i = 0; i < 100000; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%d", i);
        map_put(map, key, &one);
        assert_ptr_equal(map_remove(map, key), &one);
    }
    assert_int_equal(map_len(map), 0);
    map_free(map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_model),
        cmocka_unit_test(an_empty_map_holds_nothing),
        cmocka_unit_test(keys_are_copied_and_may_be_empty),
        cmocka_unit_test(a_map_that_is_filled_and_emptied_stays_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
