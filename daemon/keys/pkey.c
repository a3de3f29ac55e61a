/* SPDX-License-Identifier: ISC */
#include "keys/pkey.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/str.h"
#include "digest/crypto_err.h"
#include "digest/pem.h"

#include <malloc.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

static const struct type {
    const char *name, *group, *jws;
    int bits;     /* of an RSA modulus */
    size_t width; /* octets of an ECDSA coordinate */
} types[KEY_TYPES] = {
    [KEY_ECDSA_P256] = {"ecdsa-p256", "P-256", "ES256", 0, 32},
    [KEY_ECDSA_P384] = {"ecdsa-p384", "P-384", "ES384", 0, 48},
    [KEY_RSA_2048] = {"rsa-2048", NULL, "RS256", 2048, 0},
    [KEY_RSA_3072] = {"rsa-3072", NULL, "RS256", 3072, 0},
    [KEY_RSA_4096] = {"rsa-4096", NULL, "RS256", 4096, 0},
};

struct pkey {
    enum key_type type;
    EVP_PKEY *evp;
    uint8_t *spki_der; /* OpenSSL's memory */
    size_t spki_n;
    uint8_t spki[SHA256_LEN];
    char *jwk;
    char thumbprint[JWK_THUMBPRINT];
};

const char *key_type_name(enum key_type t)
{
    return (unsigned)t < KEY_TYPES ? types[t].name : "unknown";
}

bool key_type_parse(const char *text, enum key_type *ret)
{
    for (int t = 0; t < KEY_TYPES; t++) {
        if (str_eq(text, types[t].name)) {
            *ret = (enum key_type)t;
            return true;
        }
    }
    return false;
}

static void *wiping_malloc(size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return malloc(n);
}

static void wiping_free(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    if (p)
        secret_wipe(p, malloc_usable_size(p));
    free(p);
}

static void *wiping_realloc(void *p, size_t n, const char *file, int line)
{
    if (!p)
        return malloc(n);
    if (n == 0) {
        wiping_free(p, file, line);
        return NULL;
    }
    size_t had = malloc_usable_size(p);
    void *moved = malloc(n);
    if (!moved)
        return NULL;
    memcpy(moved, p, had < n ? had : n);
    wiping_free(p, file, line);
    return moved;
}

void pkey_wiping_allocator_install(void)
{
    if (!CRYPTO_set_mem_functions(wiping_malloc, wiping_realloc, wiping_free))
        abort();
}

static bool find_type(const EVP_PKEY *evp, enum key_type *ret)
{
    char group[32] = "";
    if (EVP_PKEY_is_a(evp, "EC"))
        EVP_PKEY_get_group_name(evp, group, sizeof(group), NULL);
    else if (!EVP_PKEY_is_a(evp, "RSA"))
        return false;
    if (str_eq(group, "prime256v1"))
        str_copy(group, sizeof(group), "P-256");
    if (str_eq(group, "secp384r1"))
        str_copy(group, sizeof(group), "P-384");
    int bits = group[0] ? 0 : EVP_PKEY_get_bits(evp);
    for (int t = 0; t < KEY_TYPES; t++) {
        if (group[0] ? str_eq(group, types[t].group) : bits == types[t].bits) {
            *ret = (enum key_type)t;
            return true;
        }
    }
    return false;
}

/* Takes evp. */
static struct pkey *wrap(EVP_PKEY *evp, struct err *e)
{
    struct pkey *k = xnew(struct pkey);
    k->evp = evp;
    if (!find_type(evp, &k->type)) {
        err_set(e, ERR_LOCAL,
                "a private key is of none of the types ecdsa-p256, ecdsa-p384, "
                "rsa-2048, rsa-3072, rsa-4096");
        pkey_free(k);
        return NULL;
    }
    int n = i2d_PUBKEY(evp, &k->spki_der);
    if (n <= 0) {
        crypto_err(e, ERR_LOCAL, "a public key cannot be encoded");
        pkey_free(k);
        return NULL;
    }
    k->spki_n = (size_t)n;
    sha256(k->spki_der, k->spki_n, k->spki);
    return k;
}

struct pkey *pkey_generate(enum key_type t, struct err *e)
{
    const struct type *type = &types[t];
    EVP_PKEY *evp = type->group ? EVP_EC_gen(type->group) : EVP_RSA_gen((unsigned)type->bits);
    if (!evp) {
        crypto_err(e, ERR_LOCAL, "cannot generate a key");
        return NULL;
    }
    return wrap(evp, e);
}

static int no_passphrase(char *text, int size, int writing, void *arg)
{
    (void)text;
    (void)size;
    (void)writing;
    (void)arg;
    return -1;
}

/* The form that we write; much quicker than the general reader. */
static EVP_PKEY *read_pkcs8(const char *pem, size_t n)
{
    struct pem_reader r;
    CLEANUP_BUF struct buf der;
    buf_init_secret(&der, PKEY_PEM_MAX);
    pem_reader_init(&r, pem, n);
    if (pem_next(&r, "PRIVATE KEY", &der, NULL) != 1)
        return NULL;
    const uint8_t *p = (const uint8_t *)der.data;
    PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &p, (long)der.len);
    EVP_PKEY *evp = info ? EVP_PKCS82PKEY(info) : NULL;
    PKCS8_PRIV_KEY_INFO_free(info);
    return evp;
}

struct pkey *pkey_from_pem(const char *pem, size_t n, struct err *e)
{
    if (n > PKEY_PEM_MAX) {
        err_set(e, ERR_LOCAL, "a private key of %zu bytes is over the limit of %d", n,
                PKEY_PEM_MAX);
        return NULL;
    }
    EVP_PKEY *evp = read_pkcs8(pem, n);
    if (!evp) {
        BIO *bio = BIO_new_mem_buf(pem, (int)n);
        evp = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
        BIO_free(bio);
    }
    if (!evp) {
        crypto_err(e, ERR_LOCAL, "a private key cannot be read");
        return NULL;
    }
    ERR_clear_error(); /* of the first reader */
    return wrap(evp, e);
}

int pkey_to_pem(const struct pkey *k, struct buf *out, struct err *e)
{
    uint8_t *der = NULL;
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(k->evp);
    int n = info ? i2d_PKCS8_PRIV_KEY_INFO(info, &der) : -1;
    PKCS8_PRIV_KEY_INFO_free(info);
    if (n <= 0)
        return crypto_err(e, ERR_LOCAL, "a private key cannot be encoded");
    int rc = pem_put(out, "PRIVATE KEY", der, (size_t)n);
    OPENSSL_clear_free(der, (size_t)n);
    return rc ? err_set(e, ERR_BUG, "no room for a private key") : 0;
}

void pkey_free(struct pkey *k)
{
    if (!k)
        return;
    EVP_PKEY_free(k->evp);
    OPENSSL_free(k->spki_der);
    free(k->jwk);
    free(k);
}

void pkey_cleanup(struct pkey **k)
{
    pkey_free(*k);
}

enum key_type pkey_type(const struct pkey *k)
{
    return k->type;
}

const char *pkey_jwk(struct pkey *k)
{
    if (!k->jwk) {
        CLEANUP_BUF struct buf text;
        buf_init(&text, PKEY_PEM_MAX);
        if (jwk_put(&text, k->evp, NULL))
            abort(); /* wrap() lets only keys in that have one */
        jwk_thumbprint(buf_str(&text), text.len, k->thumbprint);
        k->jwk = buf_steal(&text);
    }
    return k->jwk;
}

const char *pkey_thumbprint(struct pkey *k)
{
    pkey_jwk(k);
    return k->thumbprint;
}

const uint8_t *pkey_spki(const struct pkey *k)
{
    return k->spki;
}

const void *pkey_spki_der(const struct pkey *k, size_t *ret_n)
{
    *ret_n = k->spki_n;
    return k->spki_der;
}

const char *pkey_jws_alg(const struct pkey *k)
{
    return types[k->type].jws;
}

struct evp_pkey_st *pkey_evp(const struct pkey *k)
{
    return k->evp;
}

int pkey_sign_der(struct pkey *k, const void *p, size_t n, uint8_t out[PKEY_SIGNATURE_MAX],
                  size_t *ret_n, struct err *e)
{
    const char *md = k->type == KEY_ECDSA_P384 ? "SHA384" : "SHA256";
    size_t len = PKEY_SIGNATURE_MAX;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = ctx && EVP_DigestSignInit_ex(ctx, NULL, md, NULL, NULL, k->evp, NULL) &&
                EVP_DigestSign(ctx, out, &len, p, n) == 1;
    EVP_MD_CTX_free(ctx);
    if (!good)
        return crypto_err(e, ERR_LOCAL, "cannot sign");
    *ret_n = len;
    return 0;
}

int pkey_sign_jws(struct pkey *k, const void *p, size_t n, uint8_t out[PKEY_SIGNATURE_MAX],
                  size_t *ret_n, struct err *e)
{
    uint8_t der[PKEY_SIGNATURE_MAX];
    size_t len, width = types[k->type].width;
    if (width == 0)
        return pkey_sign_der(k, p, n, out, ret_n, e);
    if (pkey_sign_der(k, p, n, der, &len, e))
        return -1;
    const uint8_t *at = der;
    const BIGNUM *r, *s;
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, (long)len);
    if (!sig)
        return crypto_err(e, ERR_BUG, "a signature cannot be decoded");
    ECDSA_SIG_get0(sig, &r, &s);
    bool good =
        BN_bn2binpad(r, out, (int)width) > 0 && BN_bn2binpad(s, out + width, (int)width) > 0;
    ECDSA_SIG_free(sig);
    if (!good)
        return crypto_err(e, ERR_BUG, "a signature is too wide");
    *ret_n = 2 * width;
    return 0;
}
