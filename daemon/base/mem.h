/* SPDX-License-Identifier: ISC */
/* Allocation of program-sized objects: aborts when memory is out, so callers have no error path.
 * What a peer sizes goes through base/buf.h, which has a maximum and an error. */
#ifndef RENEWD_BASE_MEM_H
#define RENEWD_BASE_MEM_H

#include <stdarg.h>
#include <stddef.h>

void *xcalloc(size_t n, size_t size) __attribute__((malloc, returns_nonnull));
void *xrealloc_array(void *p, size_t n, size_t size) __attribute__((returns_nonnull));
char *xstrdup(const char *s) __attribute__((malloc, returns_nonnull, nonnull));
char *xstrndup(const char *s, size_t n) __attribute__((malloc, returns_nonnull, nonnull));
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2), malloc));
void *xmemdup(const void *p, size_t n);

#define xnew(type) ((type *)xcalloc(1, sizeof(type)))

/* Locals freed at the end of their scope: CLEANUP_FREE char *s = xstrdup("x"); */
void cleanup_free(void *pp);
void cleanup_close(int *fd);
#define CLEANUP_FREE __attribute__((cleanup(cleanup_free)))
#define CLEANUP_CLOSE __attribute__((cleanup(cleanup_close)))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#endif
