/* SPDX-License-Identifier: ISC */
/* What a plugin was handed during one callback; all of it is wiped and freed when it returns. */
#ifndef RENEWD_WORKER_ARENA_H
#define RENEWD_WORKER_ARENA_H

#include <stddef.h>

struct arena_item;
struct arena {
    struct arena_item *first; /* zeroed is valid: empty */
};

void *arena_alloc(struct arena *a, size_t n); /* zeroed, never NULL */
char *arena_text(struct arena *a, const char *s);
void *arena_copy(struct arena *a, const void *p, size_t n); /* followed by a NUL */
/* fn(p) is called when the arena is emptied, last kept first. */
void arena_keep(struct arena *a, void *p, void (*fn)(void *p));
void arena_empty(struct arena *a);

#endif
