/* SPDX-License-Identifier: ISC */
#include "base/str.h"
#include "base/mem.h"

#include <string.h>

bool str_eq(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

bool str_case_eq(const char *a, const char *b)
{
    if (!a || !b)
        return a == b;
    for (; *a && lower(*a) == lower(*b); a++, b++)
        continue;
    return lower(*a) == lower(*b);
}

bool str_starts(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *s, const char *suffix)
{
    size_t n = strlen(s), k = strlen(suffix);
    return k <= n && memcmp(s + n - k, suffix, k) == 0;
}

bool str_copy(char *dst, size_t size, const char *src)
{
    size_t n = strlen(src);
    if (size == 0)
        return false;
    size_t take = n < size ? n : size - 1;
    memmove(dst, src, take);
    dst[take] = '\0';
    return take == n;
}

void str_lower(char *s)
{
    for (; *s; s++)
        *s = lower(*s);
}

bool str_to_i64(const char *s, int64_t min, int64_t max, int64_t *ret)
{
    bool negative = *s == '-';
    if (negative)
        s++;
    if (!*s)
        return false;
    int64_t v = 0; /* kept negative: that side reaches further */
    for (; *s; s++) {
        if (*s < '0' || *s > '9' || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_sub_overflow(v, *s - '0', &v))
            return false;
    }
    if (!negative) {
        if (v == INT64_MIN)
            return false;
        v = -v;
    }
    if (v < min || v > max)
        return false;
    *ret = v;
    return true;
}

/* Length of the well-formed UTF-8 sequence at p (RFC 3629), 0 if there is none. */
static size_t utf8_sequence(const unsigned char *p, size_t n, uint32_t *ret_code)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (len == 0 || len > n || p[0] > 0xf4)
        return 0;
    uint32_t code = len == 1 ? p[0] : p[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (p[i] & 0x3f);
    }
    if (code < least[len] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return 0;
    *ret_code = code;
    return len;
}

bool str_is_utf8(const char *s, size_t n)
{
    const unsigned char *p = (const unsigned char *)s;
    uint32_t code;
    for (size_t at = 0; at < n;) {
        size_t len = utf8_sequence(p + at, n - at, &code);
        if (len == 0 || code == 0)
            return false;
        at += len;
    }
    return true;
}

/* Controls (C0, DEL, C1), line separators and marks that turn the direction of the text around. */
static bool is_printable(uint32_t c)
{
    if (c < 0x20 || (c >= 0x7f && c < 0xa0) || c == '"' || c == '\\')
        return false;
    return !((c >= 0x200e && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
             (c >= 0x2066 && c <= 0x2069) || c == 0xfeff);
}

int str_escape(struct buf *out, const char *text, size_t n, size_t max)
{
    static const char hex[] = "0123456789abcdef";
    const unsigned char *p = (const unsigned char *)text;
    size_t written = 0, fits = 0; /* fits: length at which "..." may still follow */
    CLEANUP_BUF struct buf line;
    buf_init(&line, max + 8);
    for (size_t at = 0; at < n && written <= max;) {
        uint32_t code;
        size_t len = utf8_sequence(p + at, n - at, &code);
        if (len && is_printable(code)) {
            buf_put(&line, p + at, len);
            written += len;
            at += len;
        } else {
            const char esc[4] = {'\\', 'x', hex[p[at] >> 4], hex[p[at] & 15]};
            buf_put(&line, esc, sizeof(esc));
            written += sizeof(esc);
            at++;
        }
        if (written + 3 <= max)
            fits = written;
    }
    if (written <= max)
        return buf_put(out, buf_str(&line), written);
    if (buf_put(out, buf_str(&line), fits))
        return -1;
    return buf_put(out, "...", max < 3 ? max : 3);
}

#define NEAREST_MAX 64

/* Edit distance in which a swap of neighbours counts once. Both at most NEAREST_MAX long. */
static unsigned distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    unsigned rows[3][NEAREST_MAX + 1];
    unsigned *before = rows[0], *last = rows[1], *now = rows[2];
    for (size_t j = 0; j <= m; j++)
        last[j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            unsigned best = last[j - 1] + (lower(a[i - 1]) != lower(b[j - 1]));
            if (last[j] + 1 < best)
                best = last[j] + 1;
            if (now[j - 1] + 1 < best)
                best = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            now[j] = best;
        }
        unsigned *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[m];
}

const char *str_nearest(const char *word, const char *const *candidates, size_t n)
{
    size_t len = strlen(word);
    const char *nearest = NULL;
    unsigned least = 3;
    if (len > NEAREST_MAX)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        if (strlen(candidates[i]) > NEAREST_MAX)
            continue;
        unsigned d = distance(word, candidates[i]);
        if (d < least && d * 2 < len) {
            least = d;
            nearest = candidates[i];
        }
    }
    return nearest;
}
