/* SPDX-License-Identifier: ISC */
/* Digests, HMAC and hexadecimal, each in one call. They cannot fail for want of input; when the
 * library has no such digest the program aborts, since nothing of ours works without. */
#ifndef RENEWD_DIGEST_HASH_H
#define RENEWD_DIGEST_HASH_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum hash_alg { HASH_SHA256 = 0, HASH_SHA384, HASH_SHA512 };

#define SHA256_LEN 32
#define SHA256_HEX (2 * SHA256_LEN + 1)
#define HASH_MAX 64

size_t hash_len(enum hash_alg alg); /* octets: 32, 48, 64 */
/* Both return hash_len(alg). */
size_t hash(enum hash_alg alg, const void *p, size_t n, uint8_t out[HASH_MAX]);
size_t hmac(enum hash_alg alg, const void *key, size_t key_n, const void *p, size_t n,
            uint8_t out[HASH_MAX]);
void sha256(const void *p, size_t n, uint8_t out[SHA256_LEN]);
void sha256_hex(const void *p, size_t n, char out[SHA256_HEX]);

/* Lower case; out takes 2 * n + 1 bytes. */
void hex_encode(const void *p, size_t n, char *out);
/* Either case, an even number of digits and nothing else; at most size octets. */
bool hex_decode(const char *text, uint8_t *out, size_t size, size_t *ret_n);

#endif
