/* SPDX-License-Identifier: ISC */
#include "base/secret.h"
#include "base/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct secret {
    char *bytes; /* pages of their own, so that they can be kept out of core dumps */
    size_t len, mapped;
};

struct secret *secret_new(const void *p, size_t n)
{
    if (n > SIZE_MAX - 4096)
        abort();
    struct secret *s = xnew(struct secret);
    s->len = n;
    s->mapped = (n + 1 + 4095) / 4096 * 4096;
    s->bytes = mmap(NULL, s->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (s->bytes == MAP_FAILED)
        abort();
    madvise(s->bytes, s->mapped, MADV_DONTDUMP);
    if (n)
        memcpy(s->bytes, p, n);
    return s;
}

struct secret *secret_dup(const struct secret *s)
{
    return secret_new(s->bytes, s->len);
}

void secret_free(struct secret *s)
{
    if (!s)
        return;
    secret_wipe(s->bytes, s->len);
    munmap(s->bytes, s->mapped);
    free(s);
}

const char *secret_bytes(const struct secret *s)
{
    return s->bytes;
}

size_t secret_len(const struct secret *s)
{
    return s->len;
}

bool secret_eq(const struct secret *s, const void *p, size_t n)
{
    const unsigned char *a = (const unsigned char *)s->bytes, *b = p;
    unsigned char diff = s->len != n;
    for (size_t i = 0; i < n; i++)
        diff |= (unsigned char)(b[i] ^ a[i < s->len ? i : s->len]);
    return diff == 0;
}

void secret_wipe(void *p, size_t n)
{
    if (p && n)
        explicit_bzero(p, n);
}
