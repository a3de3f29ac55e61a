/* SPDX-License-Identifier: ISC */
#include "digest/base64.h"
#include "base/secret.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static const char alphabet_std[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char alphabet_url[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* One group of at most three octets; returns the characters written, padding not among them. */
static size_t encode_group(const char *alphabet, const uint8_t *p, size_t n, char out[4])
{
    uint32_t v = (uint32_t)p[0] << 16 | (n > 1 ? (uint32_t)p[1] << 8 : 0) | (n > 2 ? p[2] : 0);
    for (int i = 0; i < 4; i++)
        out[i] = alphabet[v >> (18 - 6 * i) & 63];
    return n >= 3 ? 4 : n + 1;
}

int base64url_put(struct buf *out, const void *p, size_t n)
{
    const uint8_t *b = p;
    char chunk[1024];
    size_t used = 0;
    int rc = 0;
    for (size_t at = 0; at < n && rc == 0; at += 3) {
        used += encode_group(alphabet_url, b + at, n - at, chunk + used);
        if (used > sizeof(chunk) - 4 || n - at <= 3) {
            rc = buf_put(out, chunk, used);
            used = 0;
        }
    }
    if (out->wipe)
        secret_wipe(chunk, sizeof(chunk));
    return rc;
}

char *base64url(const void *p, size_t n)
{
    CLEANUP_BUF struct buf out;
    buf_init(&out, n * 2 + 4);
    base64url_put(&out, p, n);
    return buf_steal(&out);
}

int base64_put(struct buf *out, const void *p, size_t n, size_t columns)
{
    const uint8_t *b = p;
    char group[4];
    size_t column = 0;
    int rc = 0;
    for (size_t at = 0; at < n && rc == 0; at += 3) {
        size_t used = encode_group(alphabet_std, b + at, n - at, group);
        memset(group + used, '=', sizeof(group) - used);
        rc = buf_put(out, group, sizeof(group));
        column += sizeof(group);
        if (rc == 0 && columns && (column >= columns || n - at <= 3)) {
            rc = buf_putc(out, '\n');
            column = 0;
        }
    }
    secret_wipe(group, sizeof(group));
    return rc;
}

int base32_put(struct buf *out, const void *p, size_t n)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
    const uint8_t *b = p;
    uint32_t bits = 0;
    unsigned held = 0; /* bits of it that are not yet written */
    for (size_t i = 0; i < n; i++) {
        bits = bits << 8 | b[i];
        for (held += 8; held >= 5; held -= 5)
            buf_putc(out, alphabet[bits >> (held - 5) & 31]);
    }
    if (held > 0)
        buf_putc(out, alphabet[bits << (5 - held) & 31]);
    return buf_failed(out) ? -1 : 0;
}

struct manner {
    bool std, url, space;
    enum { PAD_NONE, PAD_NEEDED, PAD_ANY } pad;
};

static int value_of(const struct manner *m, char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if ((c == '+' && m->std) || (c == '-' && m->url))
        return 62;
    return (c == '/' && m->std) || (c == '_' && m->url) ? 63 : -1;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Whether a text of `chars` letters and `pads` signs is whole, its last bits being `rest`. */
static bool is_whole(const struct manner *m, size_t chars, size_t pads, uint32_t rest)
{
    size_t over = chars % 4, wanted = (4 - over) % 4;
    if (over == 1 || (over == 2 && (rest & 15)) || (over == 3 && (rest & 3)))
        return false;
    if (m->pad == PAD_NONE)
        return pads == 0;
    return pads == wanted || (pads == 0 && m->pad == PAD_ANY);
}

static int decode(const struct manner *m, struct buf *out, const char *text, size_t n)
{
    CLEANUP_BUF struct buf bytes;
    size_t chars = 0, pads = 0;
    uint32_t bits = 0;
    buf_init_secret(&bytes, n / 4 * 3 + 3);
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (m->space && is_space(c))
            continue;
        if (c == '=' && m->pad != PAD_NONE) {
            pads++;
            continue;
        }
        int v = value_of(m, c);
        if (v < 0 || pads)
            return -1;
        bits = bits << 6 | (uint32_t)v;
        if (++chars % 4 == 0) {
            const uint8_t three[3] = {(uint8_t)(bits >> 16), (uint8_t)(bits >> 8), (uint8_t)bits};
            buf_put(&bytes, three, sizeof(three));
        }
    }
    if (!is_whole(m, chars, pads, bits))
        return -1;
    if (chars % 4 == 2)
        buf_putc(&bytes, (char)(bits >> 4));
    if (chars % 4 == 3) {
        buf_putc(&bytes, (char)(bits >> 10));
        buf_putc(&bytes, (char)(bits >> 2));
    }
    return buf_put(out, buf_str(&bytes), bytes.len);
}

int base64url_decode(struct buf *out, const char *text, size_t n)
{
    static const struct manner strict = {.url = true, .pad = PAD_NONE};
    return decode(&strict, out, text, n);
}

int base64_decode(struct buf *out, const char *text, size_t n)
{
    static const struct manner standard = {.std = true, .space = true, .pad = PAD_NEEDED};
    return decode(&standard, out, text, n);
}

int base64_decode_lenient(struct buf *out, const char *text, size_t n)
{
    static const struct manner any = {.std = true, .url = true, .space = true, .pad = PAD_ANY};
    while (n > 0 && is_space(text[0])) {
        text++;
        n--;
    }
    while (n > 0 && is_space(text[n - 1]))
        n--;
    if (n >= 2 && (text[0] == '"' || text[0] == '\'') && text[n - 1] == text[0]) {
        text++;
        n -= 2;
    }
    return decode(&any, out, text, n);
}
