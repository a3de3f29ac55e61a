/* SPDX-License-Identifier: ISC */
#include "base/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SMALL 4096u

static void *checked(void *p)
{
    if (!p) {
        static const char text[] = "renewd: out of memory\n";
        ssize_t n = write(2, text, sizeof(text) - 1);
        (void)n;
        abort();
    }
    return p;
}

/* calloc() of glibc passes by the thread's cache of small blocks, where free() puts them. */
void *xcalloc(size_t n, size_t size)
{
    size_t all;
    if (__builtin_mul_overflow(n, size, &all) || all > SMALL)
        return checked(calloc(n, size));
    void *p = checked(malloc(all ? all : 1));
    return memset(p, 0, all);
}

void *xrealloc_array(void *p, size_t n, size_t size)
{
    return checked(reallocarray(p, n ? n : 1, size ? size : 1));
}

char *xstrdup(const char *s)
{
    return checked(strdup(s));
}

char *xstrndup(const char *s, size_t n)
{
    return checked(strndup(s, n));
}

char *xasprintf(const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    return checked(n < 0 ? NULL : text);
}

void *xmemdup(const void *p, size_t n)
{
    void *copy = checked(malloc(n ? n : 1));
    if (n)
        memcpy(copy, p, n);
    return copy;
}

void cleanup_free(void *pp)
{
    void *p;
    memcpy(&p, pp, sizeof(p));
    free(p);
}

void cleanup_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
