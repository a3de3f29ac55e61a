/* SPDX-License-Identifier: ISC */
#include "base/frame.h"
#include "base/mem.h"
#include "base/str.h"

#include <endian.h>
#include <string.h>

static uint32_t load_u32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return le32toh(v);
}

static uint16_t load_u16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof(v));
    return le16toh(v);
}

int frame_head_read(const void *p, size_t n, uint32_t max, struct frame_head *ret)
{
    const uint8_t *b = p;
    if (n < FRAME_HEADER)
        return 0;
    uint32_t len = load_u32(b);
    if (len > max || len > FRAME_MAX || load_u16(b + 6) != 0)
        return -1;
    *ret = (struct frame_head){.len = len, .type = load_u16(b + 4), .id = load_u32(b + 8)};
    return 1;
}

size_t frame_begin(struct buf *b, uint16_t type, uint32_t id)
{
    size_t mark = b->len;
    uint16_t half = htole16(type);
    frame_put_u32(b, 0);
    buf_put(b, &half, sizeof(half));
    half = 0;
    buf_put(b, &half, sizeof(half));
    frame_put_u32(b, id);
    return mark;
}

int frame_end(struct buf *b, size_t mark)
{
    if (b->failed)
        return -1;
    size_t len = b->len - mark - FRAME_HEADER;
    if (len > FRAME_MAX) {
        buf_fail(b);
        return -1;
    }
    uint32_t le = htole32((uint32_t)len);
    memcpy(b->data + mark, &le, sizeof(le));
    return 0;
}

void frame_put_u32(struct buf *b, uint32_t v)
{
    v = htole32(v);
    buf_put(b, &v, sizeof(v));
}

void frame_put_u64(struct buf *b, uint64_t v)
{
    v = htole64(v);
    buf_put(b, &v, sizeof(v));
}

void frame_put_i64(struct buf *b, int64_t v)
{
    frame_put_u64(b, (uint64_t)v);
}

void frame_put_bool(struct buf *b, bool v)
{
    buf_putc(b, v ? 1 : 0);
}

void frame_put_bytes(struct buf *b, const void *p, size_t n)
{
    if (n > FRAME_MAX) {
        buf_fail(b);
        return;
    }
    frame_put_u32(b, (uint32_t)n);
    buf_put(b, p, n);
}

void frame_put_text(struct buf *b, const char *s)
{
    frame_put_bytes(b, s ? s : "", s ? strlen(s) : 0);
}

void frame_put_err(struct buf *b, const struct err *e)
{
    frame_put_u32(b, (uint32_t)e->cls);
    frame_put_u32(b, (uint32_t)e->sys);
    frame_put_u32(b, (uint32_t)e->http);
    frame_put_i64(b, e->retry_at);
    frame_put_text(b, e->type);
    frame_put_text(b, e->activity);
    frame_put_text(b, e->detail);
}

void frame_reader_init(struct frame_reader *r, const void *payload, size_t n)
{
    static const uint8_t none[1];
    r->p = n ? payload : none;
    r->end = r->p + n;
    r->bad = false;
}

/* The next n bytes, or NULL after which the reader is bad. */
static const uint8_t *take(struct frame_reader *r, size_t n)
{
    if (r->bad || n > (size_t)(r->end - r->p)) {
        r->bad = true;
        return NULL;
    }
    const uint8_t *at = r->p;
    r->p += n;
    return at;
}

uint32_t frame_get_u32(struct frame_reader *r)
{
    const uint8_t *p = take(r, 4);
    return p ? load_u32(p) : 0;
}

uint64_t frame_get_u64(struct frame_reader *r)
{
    const uint8_t *p = take(r, 8);
    return p ? load_u32(p) | (uint64_t)load_u32(p + 4) << 32 : 0;
}

int64_t frame_get_i64(struct frame_reader *r)
{
    return (int64_t)frame_get_u64(r);
}

bool frame_get_bool(struct frame_reader *r)
{
    const uint8_t *p = take(r, 1);
    if (p && *p > 1)
        r->bad = true;
    return p && *p == 1;
}

const void *frame_get_bytes(struct frame_reader *r, size_t max, size_t *ret_n)
{
    uint32_t n = frame_get_u32(r);
    if (n > max)
        r->bad = true;
    const uint8_t *p = take(r, n);
    *ret_n = p ? n : 0;
    return p ? (const void *)p : "";
}

/* Bytes without a NUL among them. */
static const char *get_text(struct frame_reader *r, size_t max, size_t *ret_n)
{
    const char *p = frame_get_bytes(r, max, ret_n);
    if (memchr(p, '\0', *ret_n)) {
        r->bad = true;
        *ret_n = 0;
    }
    return p;
}

char *frame_get_text(struct frame_reader *r, size_t max)
{
    size_t n;
    const char *p = get_text(r, max, &n);
    return xstrndup(p, n);
}

void frame_get_text_into(struct frame_reader *r, char *dst, size_t size)
{
    size_t n;
    const char *p = get_text(r, size - 1, &n);
    memcpy(dst, p, n);
    dst[n] = '\0';
}

void frame_get_err(struct frame_reader *r, struct err *ret)
{
    struct err e = ERR_INIT;
    uint32_t cls = frame_get_u32(r);
    if (cls >= ERR_CLASSES)
        r->bad = true;
    e.cls = (enum err_class)cls;
    e.sys = (int)frame_get_u32(r);
    e.http = (int)frame_get_u32(r);
    e.retry_at = frame_get_i64(r);
    frame_get_text_into(r, e.type, sizeof(e.type));
    frame_get_text_into(r, e.activity, sizeof(e.activity));
    frame_get_text_into(r, e.detail, sizeof(e.detail));
    if (r->bad)
        err_clear(&e);
    *ret = e;
}

uint32_t frame_get_count(struct frame_reader *r, uint32_t max, size_t least)
{
    uint32_t n = frame_get_u32(r);
    if (r->bad || n > max || (least && n > (size_t)(r->end - r->p) / least)) {
        r->bad = true;
        return 0;
    }
    return n;
}

bool frame_reader_done(const struct frame_reader *r)
{
    return !r->bad && r->p == r->end;
}
