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
    int bits;     /* of an RSA modulus, 0: none */
    size_t width; /* octets of an ECDSA coordinate */
    enum hash_alg hash;
} types[KEY_TYPES] = {
    [KEY_ECDSA_P256] = {"ecdsa-p256", "P-256", "ES256", 0, 32, HASH_SHA256},
    [KEY_ECDSA_P384] = {"ecdsa-p384", "P-384", "ES384", 0, 48, HASH_SHA384},
    [KEY_RSA_2048] = {"rsa-2048", NULL, "RS256", 2048, 0, HASH_SHA256},
    [KEY_RSA_3072] = {"rsa-3072", NULL, "RS256", 3072, 0, HASH_SHA256},
    [KEY_RSA_4096] = {"rsa-4096", NULL, "RS256", 4096, 0, HASH_SHA256},
    [KEY_ED25519] = {"ed25519", NULL, "EdDSA", 0, 0, HASH_SHA512},
};

struct pkey {
    enum key_type type;
    EVP_PKEY *evp;
    EVP_PKEY_CTX *signer; /* made when first needed: to make one costs a fifth of a signature */
    uint8_t *spki_der;    /* OpenSSL's memory */
    size_t spki_n;
    uint8_t spki[SHA256_LEN];
    char *jwk;
    char thumbprint[JWK_THUMBPRINT];
};

const char *key_type_name(enum key_type t)
{
    return (unsigned)t < KEY_TYPES ? types[t].name : "unknown";
}

bool key_type_for_certificate(enum key_type t)
{
    return (unsigned)t < KEY_ED25519;
}

const char *key_type_jws_alg(enum key_type t)
{
    return types[t].jws;
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
    if (EVP_PKEY_is_a(evp, "ED25519")) {
        *ret = KEY_ED25519;
        return true;
    }
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

/* What stands in an EC key's encodings before the public point and the private number.
 * OpenSSL 3.0's encoders take 65 us for one of them, three times as long as the key's generation.
 */
static const uint8_t p256_public[] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                                      0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                                      0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00};
static const uint8_t p384_public[] = {0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86,
                                      0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b,
                                      0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00};
static const uint8_t p256_private[] = {0x30, 0x81, 0x87, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06,
                                       0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
                                       0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
                                       0x04, 0x6d, 0x30, 0x6b, 0x02, 0x01, 0x01, 0x04, 0x20};
static const uint8_t p384_private[] = {0x30, 0x81, 0xb6, 0x02, 0x01, 0x00, 0x30, 0x10, 0x06,
                                       0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
                                       0x05, 0x2b, 0x81, 0x04, 0x00, 0x22, 0x04, 0x81, 0x9e,
                                       0x30, 0x81, 0x9b, 0x02, 0x01, 0x01, 0x04, 0x30};

static const struct ec_form {
    const uint8_t *public, *private;
    size_t public_n, private_n;
    uint8_t middle[4]; /* between private number and public point: [1] { BIT STRING { 0 */
} ec_forms[] = {
    [KEY_ECDSA_P256] = {p256_public,
                        p256_private,
                        sizeof(p256_public),
                        sizeof(p256_private),
                        {0xa1, 0x44, 0x03, 0x42}},
    [KEY_ECDSA_P384] = {p384_public,
                        p384_private,
                        sizeof(p384_public),
                        sizeof(p384_private),
                        {0xa1, 0x64, 0x03, 0x62}},
};

#define POINT_MAX 97

/* The public point, not compressed; its length, or 0: it is one that has no such form. */
static size_t get_point(const EVP_PKEY *evp, enum key_type t, uint8_t out[POINT_MAX])
{
    size_t n = 0, want = 1 + 2 * types[t].width;
    if (want == 1 ||
        !EVP_PKEY_get_octet_string_param(evp, OSSL_PKEY_PARAM_PUB_KEY, out, POINT_MAX, &n))
        return 0;
    return n == want && out[0] == 4 ? n : 0;
}

static int put_public(struct pkey *k)
{
    uint8_t point[POINT_MAX];
    size_t n = get_point(k->evp, k->type, point);
    if (n == 0) {
        int encoded = i2d_PUBKEY(k->evp, &k->spki_der);
        k->spki_n = encoded > 0 ? (size_t)encoded : 0;
        return encoded > 0 ? 0 : -1;
    }
    const struct ec_form *form = &ec_forms[k->type];
    k->spki_n = form->public_n + n;
    k->spki_der = OPENSSL_malloc(k->spki_n);
    if (!k->spki_der)
        return -1;
    memcpy(k->spki_der, form->public, form->public_n);
    memcpy(k->spki_der + form->public_n, point, n);
    return 0;
}

/* Takes evp. */
static struct pkey *wrap(EVP_PKEY *evp, struct err *e)
{
    struct pkey *k = xnew(struct pkey);
    k->evp = evp;
    if (!find_type(evp, &k->type)) {
        err_set(e, ERR_LOCAL,
                "a private key is of none of the types ecdsa-p256, ecdsa-p384, "
                "rsa-2048, rsa-3072, rsa-4096, ed25519: make one of these");
        pkey_free(k);
        return NULL;
    }
    if (put_public(k)) {
        crypto_err(e, ERR_LOCAL, "a public key cannot be encoded");
        pkey_free(k);
        return NULL;
    }
    sha256(k->spki_der, k->spki_n, k->spki);
    return k;
}

struct pkey *pkey_generate(enum key_type t, struct err *e)
{
    const struct type *type = &types[t];
    EVP_PKEY *evp = type->group  ? EVP_EC_gen(type->group)
                    : type->bits ? EVP_RSA_gen((unsigned)type->bits)
                                 : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
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

/* PKCS#8 around SEC 1, RFC 5915. -1: it is of another form. */
static int put_ec_private(const struct pkey *k, struct buf *der)
{
    uint8_t point[POINT_MAX], number[POINT_MAX / 2];
    size_t n = get_point(k->evp, k->type, point), width = types[k->type].width;
    BIGNUM *private = NULL;
    if (n == 0 || !EVP_PKEY_get_bn_param(k->evp, OSSL_PKEY_PARAM_PRIV_KEY, &private))
        return -1;
    bool fits = BN_bn2binpad(private, number, (int)width) == (int)width;
    const struct ec_form *form = &ec_forms[k->type];
    if (fits) {
        buf_put(der, form->private, form->private_n);
        buf_put(der, number, width);
        buf_put(der, form->middle, sizeof(form->middle));
        buf_putc(der, 0);
        buf_put(der, point, n);
    }
    BN_clear_free(private);
    secret_wipe(number, sizeof(number));
    return fits ? 0 : -1;
}

int pkey_to_der(const struct pkey *k, struct buf *out, struct err *e)
{
    uint8_t *der = NULL;
    if (put_ec_private(k, out) == 0)
        return buf_failed(out) ? err_set(e, ERR_BUG, "no room for a private key") : 0;
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(k->evp);
    int n = info ? i2d_PKCS8_PRIV_KEY_INFO(info, &der) : -1;
    PKCS8_PRIV_KEY_INFO_free(info);
    if (n <= 0)
        return crypto_err(e, ERR_LOCAL, "a private key cannot be encoded");
    int rc = buf_put(out, der, (size_t)n);
    OPENSSL_clear_free(der, (size_t)n);
    return rc ? err_set(e, ERR_BUG, "no room for a private key") : 0;
}

int pkey_to_pem(const struct pkey *k, struct buf *out, struct err *e)
{
    CLEANUP_BUF struct buf der;
    buf_init_secret(&der, PKEY_PEM_MAX);
    if (pkey_to_der(k, &der, e))
        return -1;
    if (pem_put(out, "PRIVATE KEY", der.data, der.len))
        return err_set(e, ERR_BUG, "no room for a private key");
    return 0;
}

void pkey_free(struct pkey *k)
{
    if (!k)
        return;
    EVP_PKEY_CTX_free(k->signer);
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
    return key_type_jws_alg(k->type);
}

struct evp_pkey_st *pkey_evp(const struct pkey *k)
{
    return k->evp;
}

static EVP_PKEY_CTX *make_signer(const struct pkey *k)
{
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_pkey(NULL, k->evp, NULL);
    bool good = c && EVP_PKEY_sign_init(c) == 1;
    if (types[k->type].bits) /* PKCS#1 v1.5 names the digest inside of the signature */
        good = good && EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PADDING) == 1 &&
               EVP_PKEY_CTX_set_signature_md(c, EVP_sha256()) == 1;
    if (good)
        return c;
    EVP_PKEY_CTX_free(c);
    return NULL;
}

/* Ed25519 signs the text, not a digest of it. */
static int sign_pure(struct pkey *k, const void *p, size_t n, uint8_t *out, size_t *ret_n,
                     struct err *e)
{
    size_t len = PKEY_SIGNATURE_MAX;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, k->evp) == 1 &&
                EVP_DigestSign(ctx, out, &len, p, n) == 1;
    EVP_MD_CTX_free(ctx);
    if (!good)
        return crypto_err(e, ERR_LOCAL, "cannot sign");
    *ret_n = len;
    return 0;
}

int pkey_sign_der(struct pkey *k, const void *p, size_t n, uint8_t out[PKEY_SIGNATURE_MAX],
                  size_t *ret_n, struct err *e)
{
    uint8_t digest[HASH_MAX];
    if (k->type == KEY_ED25519)
        return sign_pure(k, p, n, out, ret_n, e);
    size_t len = PKEY_SIGNATURE_MAX, digest_n = hash(types[k->type].hash, p, n, digest);
    if (!k->signer)
        k->signer = make_signer(k);
    if (!k->signer || EVP_PKEY_sign(k->signer, out, &len, digest, digest_n) != 1)
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
