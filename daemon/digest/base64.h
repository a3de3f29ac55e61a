/* SPDX-License-Identifier: ISC */
/* Base64 in its three manners, and base32. Decoders append to out, whose maximum bounds them; on -1
 * nothing has been appended (unless out itself failed). */
#ifndef RENEWD_DIGEST_BASE64_H
#define RENEWD_DIGEST_BASE64_H

#include "base/buf.h"

#include <stddef.h>

/* base64url without padding (RFC 4648 section 5, RFC 7515 section 2). */
int base64url_put(struct buf *out, const void *p, size_t n);
char *base64url(const void *p, size_t n); /* the caller frees */
/* Strict: no padding, no white space, no bits left over that are not zero. */
int base64url_decode(struct buf *out, const char *text, size_t n);

/* Standard alphabet, with padding, in lines of `columns` characters ended by LF (0: one piece, no
 * LF). */
int base64_put(struct buf *out, const void *p, size_t n, size_t columns);
/* Standard alphabet, padding needed, white space between. */
int base64_decode(struct buf *out, const char *text, size_t n);
/* What people paste: either alphabet, padding or none, white space, quotes around the whole. */
int base64_decode_lenient(struct buf *out, const char *text, size_t n);

/* RFC 4648 section 6, in lower case, without padding. */
int base32_put(struct buf *out, const void *p, size_t n);

#endif
