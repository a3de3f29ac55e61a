/* SPDX-License-Identifier: ISC */
/*
 * Frames between our processes, over a stream socket:
 *
 *     u32 length of the payload | u16 type | u16 zero | u32 id | payload        (little-endian)
 *
 * The payload is a sequence of counted fields in the fixed order that the type defines; there are
 * no optional fields. Reading is strict: a field that does not fit, a text with a NUL, bytes left
 * over are errors, and the connection's other end is then given up, never the reader.
 */
#ifndef RENEWD_BASE_FRAME_H
#define RENEWD_BASE_FRAME_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_HEADER 12
#define FRAME_MAX (4u << 20) /* payload; each reader may state less */

struct frame_head {
    uint32_t len;
    uint16_t type;
    uint32_t id;
};
/* 1: a whole header is in p, n; 0: more bytes are needed; -1: not a frame of ours (len > max). */
int frame_head_read(const void *p, size_t n, uint32_t max, struct frame_head *ret);

/* Writing: frame_begin, puts, frame_end; several frames may follow one another in one buf. */
size_t frame_begin(struct buf *b, uint16_t type, uint32_t id); /* returns a mark for frame_end */
int frame_end(struct buf *b, size_t mark);                     /* -1: the buffer has failed */
void frame_put_u32(struct buf *b, uint32_t v);
void frame_put_u64(struct buf *b, uint64_t v);
void frame_put_i64(struct buf *b, int64_t v);
void frame_put_bool(struct buf *b, bool v);
void frame_put_bytes(struct buf *b, const void *p, size_t n); /* u32 count, bytes */
void frame_put_text(struct buf *b, const char *s);            /* NULL is written as "" */
void frame_put_err(struct buf *b, const struct err *e);

/* Reading. After any failure every getter gives zero / ""; check once with frame_reader_done(). */
struct frame_reader {
    const uint8_t *p, *end;
    bool bad;
};
void frame_reader_init(struct frame_reader *r, const void *payload, size_t n);
uint32_t frame_get_u32(struct frame_reader *r);
uint64_t frame_get_u64(struct frame_reader *r);
int64_t frame_get_i64(struct frame_reader *r);
bool frame_get_bool(struct frame_reader *r); /* anything but 0 and 1 is bad */
/* Points into the payload. */
const void *frame_get_bytes(struct frame_reader *r, size_t max, size_t *ret_n);
/* Copies, the caller frees; "" on failure; a NUL inside, or over max bytes, is bad. */
char *frame_get_text(struct frame_reader *r, size_t max);
/* Into a buffer of the caller's, always terminated. */
void frame_get_text_into(struct frame_reader *r, char *dst, size_t size);
void frame_get_err(struct frame_reader *r, struct err *ret);
/* A count of items to follow, each at least `least` bytes: bounded by what is left. */
uint32_t frame_get_count(struct frame_reader *r, uint32_t max, size_t least);
bool frame_reader_done(const struct frame_reader *r); /* nothing bad, nothing left over */

#endif
