/* SPDX-License-Identifier: ISC */
#include "digest/pem.h"
#include "digest/base64.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

void pem_reader_init(struct pem_reader *r, const char *text, size_t n)
{
    *r = (struct pem_reader){.p = text, .end = text + n};
}

static void skip_space(struct pem_reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\r' || *r->p == '\n'))
        r->p++;
}

/* The line "-----WORD LABEL-----" at p; its length or 0. */
static size_t match_line(const struct pem_reader *r, const char *word, const char *label)
{
    char line[80];
    int n = snprintf(line, sizeof(line), "-----%s %s-----", word, label);
    if (n < 0 || (size_t)n >= sizeof(line) || (size_t)n > (size_t)(r->end - r->p))
        return 0;
    return memcmp(r->p, line, (size_t)n) == 0 ? (size_t)n : 0;
}

int pem_next(struct pem_reader *r, const char *label, struct buf *out, struct err *e)
{
    static const char begin[] = "-----BEGIN ";
    skip_space(r);
    if (r->p == r->end)
        return 0;
    size_t n = match_line(r, "BEGIN", label);
    if (n == 0) {
        bool other = (size_t)(r->end - r->p) >= sizeof(begin) - 1 &&
                     memcmp(r->p, begin, sizeof(begin) - 1) == 0;
        return err_set(e, ERR_PEER, "a PEM text holds %s a %s",
                       other ? "a block that is not" : "something that is no part of", label);
    }
    r->p += n;
    if (r->p == r->end || (*r->p != '\n' && *r->p != '\r'))
        return err_set(e, ERR_PEER, "a PEM block's first line is not ended");
    const char *body = r->p;
    const char *stop = memchr(body, '-', (size_t)(r->end - body));
    r->p = stop ? stop : r->end;
    n = match_line(r, "END", label);
    if (n == 0 || r->p == body || (r->p[-1] != '\n' && r->p[-1] != '\r'))
        return err_set(e, ERR_PEER, "a PEM block of a %s is not ended", label);
    if (base64_decode(out, body, (size_t)(r->p - body)) || out->len == 0)
        return err_set(e, ERR_PEER, "a PEM block of a %s is no base64 or too long", label);
    r->p += n;
    return 1;
}

int pem_put(struct buf *out, const char *label, const void *der, size_t n)
{
    buf_putf(out, "-----BEGIN %s-----\n", label);
    base64_put(out, der, n, 64);
    return buf_putf(out, "-----END %s-----\n", label);
}
