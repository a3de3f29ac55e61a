/* SPDX-License-Identifier: ISC */
/* Memory of one snapshot (or of one file's tree): taken piece by piece, given back all at once.
 * What it gives is zeroed and aligned for any type. Size is bounded by what the callers read (files
 * of at most 16 MiB, frames of a stated maximum). */
#ifndef RENEWD_CONF_ARENA_H
#define RENEWD_CONF_ARENA_H

#include <stddef.h>

struct arena;

struct arena *arena_new(void);
void arena_free(struct arena *a); /* NULL is fine */
void *arena_alloc(struct arena *a, size_t n, size_t size) __attribute__((returns_nonnull));
char *arena_strndup(struct arena *a, const char *s, size_t n) __attribute__((returns_nonnull));
char *arena_strdup(struct arena *a, const char *s) __attribute__((returns_nonnull));
char *arena_printf(struct arena *a, const char *fmt, ...)
    __attribute__((returns_nonnull, format(printf, 2, 3)));
/* A copy of n items; NULL when n is 0. */
void *arena_copy(struct arena *a, const void *items, size_t n, size_t size);

#define arena_new_of(a, type) ((type *)arena_alloc((a), 1, sizeof(type)))

#endif
