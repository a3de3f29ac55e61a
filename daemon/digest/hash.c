/* SPDX-License-Identifier: ISC */
#include "digest/hash.h"

#include <limits.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

static const EVP_MD *md_of(enum hash_alg alg)
{
    switch (alg) {
    case HASH_SHA256:
        return EVP_sha256();
    case HASH_SHA384:
        return EVP_sha384();
    case HASH_SHA512:
        return EVP_sha512();
    }
    abort();
}

size_t hash_len(enum hash_alg alg)
{
    return (size_t)EVP_MD_get_size(md_of(alg));
}

size_t hash(enum hash_alg alg, const void *p, size_t n, uint8_t out[HASH_MAX])
{
    unsigned len = 0;
    if (!EVP_Digest(p, n, out, &len, md_of(alg), NULL))
        abort();
    return len;
}

size_t hmac(enum hash_alg alg, const void *key, size_t key_n, const void *p, size_t n,
            uint8_t out[HASH_MAX])
{
    unsigned len = 0;
    if (key_n > INT_MAX || !HMAC(md_of(alg), key_n ? key : "", (int)key_n, p, n, out, &len))
        abort();
    return len;
}

void sha256(const void *p, size_t n, uint8_t out[SHA256_LEN])
{
    uint8_t whole[HASH_MAX];
    hash(HASH_SHA256, p, n, whole);
    memcpy(out, whole, SHA256_LEN);
}

void sha256_hex(const void *p, size_t n, char out[SHA256_HEX])
{
    uint8_t sum[SHA256_LEN];
    sha256(p, n, sum);
    hex_encode(sum, sizeof(sum), out);
}

void hex_encode(const void *p, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *b = p;
    for (size_t i = 0; i < n; i++) {
        *out++ = digits[b[i] >> 4];
        *out++ = digits[b[i] & 15];
    }
    *out = '\0';
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool hex_decode(const char *text, uint8_t *out, size_t size, size_t *ret_n)
{
    size_t n = strlen(text);
    if (n % 2 || n / 2 > size)
        return false;
    for (size_t i = 0; i < n / 2; i++) {
        int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    *ret_n = n / 2;
    return true;
}
