/* SPDX-License-Identifier: ISC */
#include "base/heap.h"
#include "base/mem.h"

#include <stdlib.h>

void heap_init(struct heap *h)
{
    *h = (struct heap){0};
}

void heap_free(struct heap *h)
{
    if (!h)
        return;
    for (size_t i = 0; i < h->len; i++)
        h->nodes[i]->at = 0;
    free(h->nodes);
    *h = (struct heap){0};
}

static void place(struct heap *h, size_t at, struct heap_node *n)
{
    h->nodes[at - 1] = n;
    n->at = at;
}

static void sift_up(struct heap *h, struct heap_node *n)
{
    size_t at = n->at;
    while (at > 1 && h->nodes[at / 2 - 1]->key > n->key) {
        place(h, at, h->nodes[at / 2 - 1]);
        at /= 2;
    }
    place(h, at, n);
}

static void sift_down(struct heap *h, struct heap_node *n)
{
    size_t at = n->at;
    for (;;) {
        size_t child = at * 2;
        if (child > h->len)
            break;
        if (child < h->len && h->nodes[child]->key < h->nodes[child - 1]->key)
            child++;
        if (h->nodes[child - 1]->key >= n->key)
            break;
        place(h, at, h->nodes[child - 1]);
        at = child;
    }
    place(h, at, n);
}

void heap_insert(struct heap *h, struct heap_node *n, int64_t key)
{
    n->key = key;
    if (n->at == 0) {
        if (h->len == h->cap) {
            h->cap = h->cap ? h->cap * 2 : 16;
            h->nodes = xrealloc_array(h->nodes, h->cap, sizeof(*h->nodes));
        }
        h->len++;
        place(h, h->len, n);
    }
    sift_up(h, n);
    sift_down(h, n);
}

void heap_remove(struct heap *h, struct heap_node *n)
{
    size_t at = n->at;
    if (at == 0)
        return;
    struct heap_node *last = h->nodes[--h->len];
    n->at = 0;
    if (last == n)
        return;
    place(h, at, last);
    sift_up(h, last);
    sift_down(h, last);
}

struct heap_node *heap_min(const struct heap *h)
{
    return h->len ? h->nodes[0] : NULL;
}
