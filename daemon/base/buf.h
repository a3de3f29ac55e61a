/* SPDX-License-Identifier: ISC */
/* A growing byte buffer with a maximum stated at birth. Going over the maximum fails the buffer: it
 * is emptied, every later call fails too, and buf_failed() tells. Contents are always followed by a
 * NUL that is not counted. */
#ifndef RENEWD_BASE_BUF_H
#define RENEWD_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    char *data; /* NULL while empty and never grown */
    size_t len, cap, max;
    bool failed;
    bool wipe; /* contents are secret: wiped when freed or moved by growth */
};

void buf_init(struct buf *b, size_t max);
void buf_init_secret(struct buf *b, size_t max);
void buf_free(struct buf *b);  /* also of a zeroed struct; may be used again after buf_init */
void buf_reset(struct buf *b); /* empties, keeps the memory, clears failure */
int buf_put(struct buf *b, const void *p, size_t n); /* 0, or -1 when over the maximum */
int buf_puts(struct buf *b, const char *s);
int buf_putc(struct buf *b, char c);
int buf_putf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int buf_vputf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
void buf_consume(struct buf *b, size_t n); /* drops n bytes from the front */
void buf_fail(struct buf *b);              /* as going over the maximum does */
bool buf_failed(const struct buf *b);
const char *buf_str(const struct buf *b); /* never NULL */
char *buf_steal(struct buf *b); /* the caller frees; the buffer is empty after; never NULL */

/* Initialise it before the first return of the scope. */
void buf_cleanup(struct buf *b);
#define CLEANUP_BUF __attribute__((cleanup(buf_cleanup)))

#endif
