/* SPDX-License-Identifier: ISC */
/* Binary min-heap of intrusive nodes keyed by int64_t; removal from the middle is O(log n). */
#ifndef RENEWD_BASE_HEAP_H
#define RENEWD_BASE_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct heap_node {
    int64_t key;
    size_t at; /* 1-based place in the heap, 0: in none */
};
struct heap {
    struct heap_node **nodes;
    size_t len, cap;
};

void heap_init(struct heap *h);
void heap_free(struct heap *h);                                     /* nodes are the caller's */
void heap_insert(struct heap *h, struct heap_node *n, int64_t key); /* moves it if already there */
void heap_remove(struct heap *h, struct heap_node *n);              /* no-op if in none */
struct heap_node *heap_min(const struct heap *h);                   /* NULL if empty */

#endif
