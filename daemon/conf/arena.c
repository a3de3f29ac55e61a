/* SPDX-License-Identifier: ISC */
#include "conf/arena.h"

#include "base/mem.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK ((size_t)64 << 10)

struct chunk {
    struct chunk *next;
    size_t used, size;
    alignas(max_align_t) char data[];
};

struct arena {
    struct chunk *chunks; /* the one that is being filled first */
};

struct arena *arena_new(void)
{
    return xnew(struct arena);
}

void arena_free(struct arena *a)
{
    if (!a)
        return;
    for (struct chunk *c = a->chunks, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    free(a);
}

static struct chunk *chunk_new(size_t size)
{
    struct chunk *c = xcalloc(1, sizeof *c + size);

    c->size = size;
    return c;
}

static void *take(struct arena *a, size_t n, size_t align)
{
    struct chunk *c = a->chunks;
    size_t at = c ? (c->used + align - 1) & ~(align - 1) : 0;

    if (c && at <= c->size && n <= c->size - at) {
        c->used = at + n;
        return c->data + at;
    }
    if (n > CHUNK / 4 && c) { /* a large piece gets a chunk of its own, the open one stays in use */
        struct chunk *own = chunk_new(n);

        own->used = n;
        own->next = c->next;
        c->next = own;
        return own->data;
    }
    c = chunk_new(n > CHUNK ? n : CHUNK);
    c->used = n;
    c->next = a->chunks;
    a->chunks = c;
    return c->data;
}

void *arena_alloc(struct arena *a, size_t n, size_t size)
{
    size_t total;

    if (__builtin_mul_overflow(n, size, &total))
        abort();
    return take(a, total, alignof(max_align_t));
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
    char *copy = take(a, n + 1, 1);

    memcpy(copy, s, n);
    copy[n] = '\0';
    return copy;
}

char *arena_strdup(struct arena *a, const char *s)
{
    return arena_strndup(a, s, strlen(s));
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        abort();
    char *s = take(a, (size_t)n + 1, 1);

    va_start(ap, fmt);
    vsnprintf(s, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return s;
}

void *arena_copy(struct arena *a, const void *items, size_t n, size_t size)
{
    if (!n)
        return NULL;
    void *copy = arena_alloc(a, n, size);

    memcpy(copy, items, n * size);
    return copy;
}
