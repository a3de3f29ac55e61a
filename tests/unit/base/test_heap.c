/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/heap.h"
#include "base/mem.h"

#include <stdlib.h>

#define NODES 200

static uint32_t next(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void assert_is_heap(const struct heap *h)
{
    for (size_t at = 1; at <= h->len; at++) {
        assert_int_equal(h->nodes[at - 1]->at, at);
        if (at > 1)
            assert_true(h->nodes[at / 2 - 1]->key <= h->nodes[at - 1]->key);
    }
}

static const struct heap_node *least(const struct heap_node *nodes)
{
    const struct heap_node *best = NULL;
    for (size_t i = 0; i < NODES; i++) {
        if (nodes[i].at && (!best || nodes[i].key < best->key))
            best = &nodes[i];
    }
    return best;
}

static void agrees_with_a_model(void **state)
{
    (void)state;
    for (uint32_t round = 1; round <= 20; round++) {
        struct heap h;
        struct heap_node nodes[NODES] = {0};
        uint32_t seed = round;
        size_t in = 0;
        heap_init(&h);
        for (int step = 0; step < 1500; step++) {
            struct heap_node *n = &nodes[next(&seed) % NODES];
            if (next(&seed) % 3) {
                in += n->at == 0;
                heap_insert(&h, n, (int64_t)(next(&seed) % 100) - 50);
            } else {
                in -= n->at != 0;
                heap_remove(&h, n);
            }
            assert_int_equal(h.len, in);
            const struct heap_node *expect = least(nodes);
            if (expect)
                assert_true(heap_min(&h)->key == expect->key);
            else
                assert_null(heap_min(&h));
            if (step % 50 == 0)
                assert_is_heap(&h);
        }
        heap_free(&h);
        for (size_t i = 0; i < NODES; i++)
            assert_int_equal(nodes[i].at, 0);
    }
}

static void comes_out_in_order(void **state)
{
    (void)state;
    struct heap h;
    struct heap_node nodes[NODES] = {0};
    heap_init(&h);
    uint32_t seed = 42;
    for (size_t i = 0; i < NODES; i++)
        heap_insert(&h, &nodes[i], (int64_t)next(&seed) - (1 << 23));
    int64_t last = INT64_MIN;
    for (struct heap_node *n; (n = heap_min(&h));) {
        assert_true(n->key >= last);
        last = n->key;
        heap_remove(&h, n);
    }
    heap_free(&h);
}

static void extremes_are_keys_too(void **state)
{
    (void)state;
    struct heap h;
    struct heap_node a = {0}, b = {0}, c = {0};
    heap_init(&h);
    heap_insert(&h, &a, INT64_MAX);
    heap_insert(&h, &b, 0);
    heap_insert(&h, &c, INT64_MIN);
    assert_ptr_equal(heap_min(&h), &c);
    heap_insert(&h, &c, INT64_MAX);
    assert_ptr_equal(heap_min(&h), &b);
    heap_free(&h);
    heap_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_model),
        cmocka_unit_test(comes_out_in_order),
        cmocka_unit_test(extremes_are_keys_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
