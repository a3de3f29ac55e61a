/* SPDX-License-Identifier: ISC */
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/secret.h"
#include "digest/base64.h"
#include "digest/hash.h"
#include "worker/service.h"

#include <ctype.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#define NONCE 12
#define TAG 16

void service_random(struct renewd_ctx *ctx, void *p, uint64_t n)
{
    (void)ctx;
    rng_system.fill(&rng_system, p, n);
}

static bool sha2(uint32_t alg, enum hash_alg *ret)
{
    static const enum hash_alg map[] = {[RENEWD_SHA256] = HASH_SHA256,
                                        [RENEWD_SHA384] = HASH_SHA384,
                                        [RENEWD_SHA512] = HASH_SHA512};
    if (alg < RENEWD_SHA256 || alg > RENEWD_SHA512)
        return false;
    *ret = map[alg];
    return true;
}

uint32_t service_hash(uint32_t alg, const void *p, uint64_t n, void *ret)
{
    enum hash_alg a;
    unsigned len = 0;
    if (sha2(alg, &a))
        return (uint32_t)hash(a, p, n, ret);
    return alg == RENEWD_SHA1 && EVP_Digest(p, n, ret, &len, EVP_sha1(), NULL) ? len : 0;
}

uint32_t service_hmac(uint32_t alg, const void *key, uint64_t key_len, const void *p, uint64_t n,
                      void *ret)
{
    enum hash_alg a;
    unsigned len = 0;
    if (key_len > INT_MAX)
        return 0;
    if (sha2(alg, &a))
        return (uint32_t)hmac(a, key, key_len, p, n, ret);
    return alg == RENEWD_SHA1 && HMAC(EVP_sha1(), key, (int)key_len, p, n, ret, &len) ? len : 0;
}

const char *service_encode(struct renewd_ctx *ctx, uint32_t codec, const void *p, uint64_t n)
{
    struct host *h = host_of(ctx);
    CLEANUP_BUF struct buf b = {0};
    buf_init_secret(&b, 2 * n + 8);
    if (codec == RENEWD_BASE64) {
        base64_put(&b, p, n, 0);
    } else if (codec == RENEWD_BASE64URL) {
        base64url_put(&b, p, n);
    } else if (codec == RENEWD_HEX) {
        char *text = arena_alloc(&h->arena, 2 * n + 1);
        hex_encode(p, n, text);
        return text;
    } else {
        return NULL;
    }
    return arena_text(&h->arena, buf_str(&b));
}

static int decode_hex(struct buf *out, const char *text)
{
    char pair[3] = "";
    size_t have = 0;
    for (; *text; text++) {
        if (isspace((unsigned char)*text))
            continue;
        pair[have++] = *text;
        uint8_t octet;
        size_t n;
        if (have == 2) {
            if (!hex_decode(pair, &octet, 1, &n) || buf_putc(out, (char)octet) != 0)
                return -1;
            have = 0;
        }
    }
    return have ? -1 : 0;
}

const void *service_decode(struct renewd_ctx *ctx, uint32_t codec, const char *text,
                           uint64_t *ret_n)
{
    size_t n = strlen(text);
    CLEANUP_BUF struct buf b = {0};
    buf_init_secret(&b, n + 8);
    int rc = codec == RENEWD_BASE64 || codec == RENEWD_BASE64URL
                 ? base64_decode_lenient(&b, text, n)
             : codec == RENEWD_HEX ? decode_hex(&b, text)
                                   : -1;
    if (rc != 0)
        return NULL;
    *ret_n = b.len;
    return arena_copy(&host_of(ctx)->arena, buf_str(&b), b.len);
}

int32_t service_same(const void *a, const void *b, uint64_t n)
{
    return CRYPTO_memcmp(a, b, n) == 0;
}

/* The key depends on every secret option, so that caches die with a changed secret. */
void service_cache_init(struct host *h)
{
    static const char label[] = "renewd plugin cache 0";
    CLEANUP_BUF struct buf b = {0};
    buf_init_secret(&b, 8u << 20);
    for (uint32_t i = 0; i < h->config->n_settings; i++) {
        const struct worker_setting *s = &h->config->settings[i];
        if (s->secret) {
            buf_put(&b, s->name, strlen(s->name) + 1);
            buf_put(&b, s->value, strlen(s->value) + 1);
        }
    }
    uint8_t key[HASH_MAX];
    hmac(HASH_SHA256, label, sizeof(label) - 1, buf_str(&b), b.len, key);
    memcpy(h->cache_key, key, sizeof(h->cache_key));
    secret_wipe(key, sizeof(key));
}

/* in -> out under nonce and additional data; encrypting writes the tag, decrypting checks it. */
static bool gcm(const struct host *h, bool encrypt, const uint8_t *nonce, const char *key,
                const void *in, size_t n, uint8_t *out, uint8_t *tag)
{
    int len;
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    bool ok = c && n < INT_MAX &&
              EVP_CipherInit_ex(c, EVP_aes_256_gcm(), NULL, h->cache_key, nonce, encrypt) == 1 &&
              (encrypt || EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, TAG, tag) == 1) &&
              EVP_CipherUpdate(c, NULL, &len, (const uint8_t *)key, (int)strlen(key)) == 1 &&
              EVP_CipherUpdate(c, out, &len, in, (int)n) == 1 &&
              EVP_CipherFinal_ex(c, out + len, &len) == 1 &&
              (!encrypt || EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, TAG, tag) == 1);
    EVP_CIPHER_CTX_free(c);
    return ok;
}

const char *service_seal(struct host *h, const char *key, const char *value)
{
    size_t n = strlen(value);
    uint8_t *sealed = arena_alloc(&h->arena, NONCE + n + TAG);
    service_random(&h->ctx, sealed, NONCE);
    if (!gcm(h, true, sealed, key, value, n, sealed + NONCE, sealed + NONCE + n))
        return NULL;
    return service_encode(&h->ctx, RENEWD_BASE64URL, sealed, NONCE + n + TAG);
}

const char *service_unseal(struct host *h, const char *key, const char *sealed, size_t n)
{
    char *text = arena_copy(&h->arena, sealed, n);
    uint64_t len;
    uint8_t *raw = (uint8_t *)(uintptr_t)service_decode(&h->ctx, RENEWD_BASE64URL, text, &len);
    if (!raw || len < NONCE + TAG)
        return NULL;
    len -= NONCE + TAG;
    char *value = arena_alloc(&h->arena, len + 1);
    if (!gcm(h, false, raw, key, raw + NONCE, len, (uint8_t *)value, raw + NONCE + len) ||
        memchr(value, '\0', len))
        return NULL;
    return value;
}
