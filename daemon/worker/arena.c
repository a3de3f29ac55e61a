/* SPDX-License-Identifier: ISC */
#include "worker/arena.h"
#include "base/mem.h"
#include "base/secret.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct arena_item {
    struct arena_item *next;
    void (*fn)(void *p);
    void *p;
    size_t n;
    _Alignas(max_align_t) char data[];
};

static struct arena_item *push(struct arena *a, size_t n)
{
    if (n > SIZE_MAX / 2)
        n = SIZE_MAX / 2; /* cannot be had: xcalloc aborts, the worker ends */
    struct arena_item *i = xcalloc(1, sizeof(*i) + n);
    i->n = n;
    i->next = a->first;
    a->first = i;
    return i;
}

void *arena_alloc(struct arena *a, size_t n)
{
    return push(a, n)->data;
}

void *arena_copy(struct arena *a, const void *p, size_t n)
{
    char *copy = arena_alloc(a, n + 1);
    if (n)
        memcpy(copy, p, n);
    return copy;
}

char *arena_text(struct arena *a, const char *s)
{
    return arena_copy(a, s, strlen(s));
}

void arena_keep(struct arena *a, void *p, void (*fn)(void *p))
{
    struct arena_item *i = push(a, 0);
    i->p = p;
    i->fn = fn;
}

void arena_empty(struct arena *a)
{
    while (a->first) {
        struct arena_item *i = a->first;
        a->first = i->next;
        if (i->fn)
            i->fn(i->p);
        secret_wipe(i->data, i->n);
        free(i);
    }
}
