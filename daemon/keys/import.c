/* SPDX-License-Identifier: ISC */
#include "keys/import.h"
#include "base/mem.h"
#include "digest/base64.h"
#include "digest/pem.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>
#include <string.h>

#define NUMBER_MAX 1024 /* octets */

/* A JWK is read here and not by base/json.h, which leaves copies of what it reads. */
enum member { KTY, CRV, N, E, D, P, Q, DP, DQ, QI, X, Y, MEMBERS };
static const char *const member_names[MEMBERS] = {"kty", "crv", "n",  "e",  "d", "p",
                                                  "q",   "dp",  "dq", "qi", "x", "y"};

struct text {
    const char *p;
    size_t n;
};

struct jwk {
    struct text members[MEMBERS];
};

struct cursor {
    const char *p, *end;
};

static bool take(struct cursor *c, char wanted)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\t' || *c->p == '\r' || *c->p == '\n'))
        c->p++;
    if (c->p == c->end || *c->p != wanted)
        return false;
    c->p++;
    return true;
}

/* A string without escapes: no member of a key needs one. */
static bool take_string(struct cursor *c, struct text *ret)
{
    if (!take(c, '"'))
        return false;
    const char *close = memchr(c->p, '"', (size_t)(c->end - c->p));
    if (!close || memchr(c->p, '\\', (size_t)(close - c->p)))
        return false;
    *ret = (struct text){c->p, (size_t)(close - c->p)};
    c->p = close + 1;
    return true;
}

/* What is no string: key_ops and the like, which do not matter. */
static bool skip_value(struct cursor *c)
{
    bool list = take(c, '[');
    const char *start = c->p;
    while (c->p < c->end && (list ? *c->p != ']' : !strchr(",}]\"[{", *c->p)))
        c->p++;
    return list ? take(c, ']') : c->p > start;
}

static bool is(const struct text *t, const char *word)
{
    return t->n == strlen(word) && memcmp(t->p, word, t->n) == 0;
}

static bool keep(struct jwk *j, const struct text *key, const struct text *value)
{
    for (int m = 0; m < MEMBERS; m++) {
        if (!is(key, member_names[m]))
            continue;
        if (j->members[m].p)
            return false;
        j->members[m] = *value;
    }
    return true;
}

static bool read_object(struct cursor *c, struct jwk *j)
{
    struct text key, value;
    if (!take(c, '{'))
        return false;
    do {
        if (!take_string(c, &key) || !take(c, ':'))
            return false;
        if (take_string(c, &value) ? !keep(j, &key, &value) : !skip_value(c))
            return false;
    } while (take(c, ','));
    return take(c, '}') && !take(c, ',');
}

static const struct part {
    enum member member;
    const char *param;
} rsa_parts[] = {
    {N, OSSL_PKEY_PARAM_RSA_N},          {E, OSSL_PKEY_PARAM_RSA_E},
    {D, OSSL_PKEY_PARAM_RSA_D},          {P, OSSL_PKEY_PARAM_RSA_FACTOR1},
    {Q, OSSL_PKEY_PARAM_RSA_FACTOR2},    {DP, OSSL_PKEY_PARAM_RSA_EXPONENT1},
    {DQ, OSSL_PKEY_PARAM_RSA_EXPONENT2}, {QI, OSSL_PKEY_PARAM_RSA_COEFFICIENT1},
};

static bool decode(const struct jwk *j, enum member m, struct buf *out)
{
    const struct text *t = &j->members[m];
    return t->p && t->n > 0 && base64url_decode(out, t->p, t->n) == 0;
}

static BIGNUM *number(const struct jwk *j, enum member m)
{
    CLEANUP_BUF struct buf bytes;
    buf_init_secret(&bytes, NUMBER_MAX);
    if (!decode(j, m, &bytes))
        return NULL;
    return BN_bin2bn((const uint8_t *)bytes.data, (int)bytes.len, NULL);
}

static EVP_PKEY *build(const char *type, OSSL_PARAM_BLD *bld)
{
    EVP_PKEY *key = NULL;
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
    EVP_PKEY_CTX *ctx = params ? EVP_PKEY_CTX_new_from_name(NULL, type, NULL) : NULL;
    if (ctx && EVP_PKEY_fromdata_init(ctx) == 1)
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params);
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return key;
}

static EVP_PKEY *build_rsa(const struct jwk *j)
{
    BIGNUM *numbers[ARRAY_LEN(rsa_parts)];
    size_t n = 0;
    EVP_PKEY *key = NULL;
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    bool good = bld != NULL;
    for (; good && n < ARRAY_LEN(rsa_parts); n++) {
        numbers[n] = number(j, rsa_parts[n].member);
        good = numbers[n] && OSSL_PARAM_BLD_push_BN(bld, rsa_parts[n].param, numbers[n]);
    }
    if (good)
        key = build("RSA", bld);
    while (n > 0)
        BN_clear_free(numbers[--n]);
    OSSL_PARAM_BLD_free(bld);
    return key;
}

static EVP_PKEY *build_ec(const struct jwk *j)
{
    CLEANUP_BUF struct buf point, group;
    EVP_PKEY *key = NULL;
    buf_init(&point, 200);
    buf_init(&group, 16);
    buf_put(&group, j->members[CRV].p, j->members[CRV].n);
    buf_putc(&point, 4);
    if (!decode(j, X, &point) || !decode(j, Y, &point))
        return NULL;
    BIGNUM *d = number(j, D);
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    if (d && bld &&
        OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, buf_str(&group), 0) &&
        OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, point.data, point.len) &&
        OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_PRIV_KEY, d))
        key = build("EC", bld);
    OSSL_PARAM_BLD_free(bld);
    BN_clear_free(d);
    return key;
}

static EVP_PKEY *build_okp(const struct jwk *j)
{
    CLEANUP_BUF struct buf seed;
    buf_init_secret(&seed, NUMBER_MAX);
    if (!is(&j->members[CRV], "Ed25519") || !decode(j, D, &seed))
        return NULL;
    return EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, (const uint8_t *)seed.data,
                                        seed.len);
}

static EVP_PKEY *build_key(const struct jwk *j)
{
    const struct text *type = &j->members[KTY];
    if (!type->p || !j->members[D].p)
        return NULL;
    if (is(type, "RSA"))
        return build_rsa(j);
    return !j->members[CRV].p ? NULL : is(type, "EC") ? build_ec(j) : build_okp(j);
}

static EVP_PKEY *from_jwk(const void *p, size_t n)
{
    struct cursor c = {.p = p, .end = (const char *)p + n};
    struct jwk j = {0};
    return read_object(&c, &j) ? build_key(&j) : NULL;
}

/* Into the one form that pkey_from_pem() takes; evp is freed. */
static struct pkey *wrap(EVP_PKEY *evp, struct err *e)
{
    uint8_t *der = NULL;
    CLEANUP_BUF struct buf pem;
    buf_init_secret(&pem, PKEY_PEM_MAX);
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(evp);
    int n = info ? i2d_PKCS8_PRIV_KEY_INFO(info, &der) : -1;
    if (n > 0)
        pem_put(&pem, "PRIVATE KEY", der, (size_t)n);
    OPENSSL_clear_free(der, n > 0 ? (size_t)n : 0);
    PKCS8_PRIV_KEY_INFO_free(info);
    EVP_PKEY_free(evp);
    return pkey_from_pem(buf_str(&pem), pem.len, e);
}

static EVP_PKEY *from_der(const void *p, size_t n)
{
    const uint8_t *at = p;
    PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &at, (long)n);
    EVP_PKEY *key = info ? EVP_PKCS82PKEY(info) : NULL;
    PKCS8_PRIV_KEY_INFO_free(info);
    return key;
}

static bool is_consistent(const struct pkey *k)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey_evp(k), NULL);
    bool good = ctx && EVP_PKEY_pairwise_check(ctx) == 1;
    EVP_PKEY_CTX_free(ctx);
    return good;
}

static int complain(const void *p, size_t n, struct err *e)
{
    ERR_clear_error();
    if (memmem(p, n, "ENCRYPTED", 9))
        return err_set(e, ERR_CONFIG,
                       "the private key is encrypted: decrypt it first, as \"openssl pkey -in FILE "
                       "-out NEW\" does");
    return err_set(e, ERR_CONFIG,
                   "the file holds no private key that can be used: it must be PEM, PKCS#8 in DER "
                   "or a private JWK, of type ECDSA P-256 or P-384, RSA 2048, 3072 or 4096, or "
                   "Ed25519");
}

struct pkey *pkey_import(const void *p, size_t n, struct err *e)
{
    struct pkey *k = NULL;
    EVP_PKEY *evp = n > PKEY_PEM_MAX ? NULL : from_der(p, n);
    if (!evp && n <= PKEY_PEM_MAX)
        evp = from_jwk(p, n);
    if (evp)
        k = wrap(evp, NULL);
    else
        k = pkey_from_pem(p, n, NULL);
    if (k && is_consistent(k)) {
        ERR_clear_error();
        return k;
    }
    if (k)
        err_set(e, ERR_CONFIG, "the two halves of the private key do not belong together");
    else
        complain(p, n, e);
    pkey_free(k);
    ERR_clear_error();
    return NULL;
}
