/* SPDX-License-Identifier: ISC */
/* Bytes that must not reach a log, a core dump, argv or the environment. No formatter takes this
 * type; memory is wiped when freed. */
#ifndef RENEWD_BASE_SECRET_H
#define RENEWD_BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>

struct secret;

struct secret *secret_new(const void *p, size_t n); /* copies; the caller wipes its own */
struct secret *secret_dup(const struct secret *s);
void secret_free(struct secret *s);
const char *
secret_bytes(const struct secret *s); /* NUL-terminated for convenience; may hold NULs */
size_t secret_len(const struct secret *s);
bool secret_eq(const struct secret *s, const void *p, size_t n); /* constant time in n */
void secret_wipe(void *p, size_t n);                             /* explicit_bzero */

#endif
