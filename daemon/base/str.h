/* SPDX-License-Identifier: ISC */
#ifndef RENEWD_BASE_STR_H
#define RENEWD_BASE_STR_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool str_eq(const char *a, const char *b);      /* NULL equals only NULL */
bool str_case_eq(const char *a, const char *b); /* ASCII */
bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);
/* Copy, always terminated; returns false when it was cut. */
bool str_copy(char *dst, size_t size, const char *src);
void str_lower(char *s); /* ASCII, in place */
/* Whole string is a decimal number in [min, max]. */
bool str_to_i64(const char *s, int64_t min, int64_t max, int64_t *ret);
bool str_is_utf8(const char *s, size_t n); /* strict; NUL is refused */
/* Text of a peer made fit for a log line: control characters, quotes and bytes that are no UTF-8 as
 * \xNN, cut to at most max output bytes with "..." (text may hold NULs; n counts). */
int str_escape(struct buf *out, const char *text, size_t n, size_t max);
/* The candidate nearest to word (edit distance at most 2, and less than half its length), or NULL.
 */
const char *str_nearest(const char *word, const char *const *candidates, size_t n);

/* Durations as users write them: "90s", "10m", "24h", "7d", "2w"; bare numbers are refused.
 * Milliseconds. */
bool str_to_duration(const char *s, int64_t *ret_ms);
/* "3 d 4 h", "59 s": two units at most, for people. buf of 32 is enough. Returns buf. */
const char *str_from_duration(int64_t ms, char *buf, size_t size);
/* RFC 3339 in UTC, seconds: "2026-11-21T20:44:00Z"; buf of 32. Input: wall ms. Returns buf. */
const char *str_from_time(int64_t wall_ms, char *buf, size_t size);
/* RFC 3339 with fraction and offset allowed. */
bool str_to_time(const char *s, int64_t *ret_wall_ms);

#endif
