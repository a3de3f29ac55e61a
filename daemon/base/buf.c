/* SPDX-License-Identifier: ISC */
#include "base/buf.h"
#include "base/mem.h"
#include "base/secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_init_secret(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max, .wipe = true};
}

static void drop_memory(struct buf *b)
{
    if (b->data && b->wipe)
        secret_wipe(b->data, b->cap);
    free(b->data);
    b->data = NULL;
    b->len = b->cap = 0;
}

void buf_free(struct buf *b)
{
    if (b)
        drop_memory(b);
}

void buf_cleanup(struct buf *b)
{
    buf_free(b);
}

void buf_reset(struct buf *b)
{
    if (b->data) {
        if (b->wipe)
            secret_wipe(b->data, b->cap);
        b->data[0] = '\0';
    }
    b->len = 0;
    b->failed = false;
}

void buf_fail(struct buf *b)
{
    drop_memory(b);
    b->failed = true;
}

/* realloc(3) may leave the old bytes behind, so a secret is moved by hand. */
static char *move(struct buf *b, size_t cap)
{
    if (!b->wipe)
        return realloc(b->data, cap);
    char *data = malloc(cap);
    if (!data)
        return NULL;
    if (b->data) {
        memcpy(data, b->data, b->len + 1);
        secret_wipe(b->data, b->cap);
        free(b->data);
    }
    return data;
}

/* Room for n more bytes and the NUL. */
static int reserve(struct buf *b, size_t n)
{
    if (b->failed)
        return -1;
    if (b->len > b->max || n > b->max - b->len || b->max == SIZE_MAX) {
        buf_fail(b);
        return -1;
    }
    size_t need = b->len + n + 1;
    if (need <= b->cap)
        return 0;
    size_t cap = b->cap < 32 ? 64 : b->cap * 2;
    if (cap > b->max + 1)
        cap = b->max + 1;
    if (cap < need)
        cap = need;
    char *data = move(b, cap);
    if (!data) {
        buf_fail(b);
        return -1;
    }
    b->data = data;
    b->cap = cap;
    return 0;
}

int buf_put(struct buf *b, const void *p, size_t n)
{
    if (reserve(b, n))
        return -1;
    if (n)
        memcpy(b->data + b->len, p, n);
    b->len += n;
    b->data[b->len] = '\0';
    return 0;
}

int buf_puts(struct buf *b, const char *s)
{
    return buf_put(b, s, strlen(s));
}

int buf_putc(struct buf *b, char c)
{
    return buf_put(b, &c, 1);
}

int buf_vputf(struct buf *b, const char *fmt, va_list ap)
{
    if (reserve(b, 0))
        return -1;
    va_list again;
    va_copy(again, ap);
    size_t room = b->cap - b->len;
    int n = vsnprintf(b->data + b->len, room, fmt, ap);
    int rc = 0;
    if (n < 0) {
        buf_fail(b);
        rc = -1;
    } else if ((size_t)n >= room) {
        b->data[b->len] = '\0';
        rc = reserve(b, (size_t)n);
        if (rc == 0)
            vsnprintf(b->data + b->len, b->cap - b->len, fmt, again);
    }
    va_end(again);
    if (rc == 0)
        b->len += (size_t)n;
    return rc;
}

int buf_putf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int rc = buf_vputf(b, fmt, ap);
    va_end(ap);
    return rc;
}

void buf_consume(struct buf *b, size_t n)
{
    if (n > b->len)
        n = b->len;
    if (n == 0)
        return;
    size_t left = b->len - n;
    memmove(b->data, b->data + n, left);
    if (b->wipe)
        secret_wipe(b->data + left, n);
    b->len = left;
    b->data[left] = '\0';
}

bool buf_failed(const struct buf *b)
{
    return b->failed;
}

const char *buf_str(const struct buf *b)
{
    return b->data ? b->data : "";
}

char *buf_steal(struct buf *b)
{
    char *data = b->data ? b->data : xstrdup("");
    b->data = NULL;
    b->len = b->cap = 0;
    return data;
}
