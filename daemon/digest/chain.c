/* SPDX-License-Identifier: ISC */
#include "base/ip.h"
#include "base/mem.h"
#include "base/str.h"
#include "digest/crypto_err.h"
#include "digest/pem.h"
#include "digest/x509_private.h"

#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

static const char label[] = "CERTIFICATE";

/* Intermediates come from the cache and go there; leaves are read once and never again. */
static const struct cert_info *obtain(const struct buf *der, bool leaf, struct cert_cache *cache,
                                      struct err *e)
{
    char fingerprint[SHA256_HEX];
    sha256_hex(buf_str(der), der->len, fingerprint);
    const struct cert_info *c = leaf ? NULL : cert_cache_find(cache, fingerprint);
    if (c)
        return c;
    c = cert_info_read(buf_str(der), der->len, fingerprint, e);
    if (c && !leaf && c->is_ca)
        cert_cache_keep(cache, c);
    return c;
}

static int check_order(const struct cert_chain *c, struct err *e)
{
    if (c->n == 0)
        return err_set(e, ERR_PEER, "a chain without a certificate");
    if (c->n > 1 && c->certs[0]->is_ca)
        return err_set(e, ERR_PEER,
                       "a chain that does not begin with the end entity's certificate");
    for (size_t i = 1; i < c->n; i++) {
        if (!c->certs[i]->is_ca)
            return err_set(e, ERR_PEER, "certificate %zu of a chain is not one of a CA", i + 1);
    }
    return 0;
}

static int read_all(struct cert_chain *c, const char *pem, size_t n, struct cert_cache *cache,
                    struct err *e)
{
    struct pem_reader r;
    CLEANUP_BUF struct buf der;
    buf_init(&der, CERT_PEM_MAX);
    pem_reader_init(&r, pem, n);
    for (;;) {
        buf_reset(&der);
        int got = pem_next(&r, label, &der, e);
        if (got < 0)
            return -1;
        if (got == 0)
            return check_order(c, e);
        if (c->n == CERT_CHAIN_MAX)
            return err_set(e, ERR_PEER, "a chain of more than %d certificates", CERT_CHAIN_MAX);
        c->certs[c->n] = obtain(&der, c->n == 0, cache, e);
        if (!c->certs[c->n])
            return -1;
        c->n++;
    }
}

struct cert_chain *cert_chain_read(const char *pem, size_t n, struct cert_cache *cache,
                                   struct err *e)
{
    if (n > CERT_PEM_MAX) {
        err_set(e, ERR_PEER, "a chain of %zu bytes is over the limit of %u", n, CERT_PEM_MAX);
        return NULL;
    }
    struct cert_chain *c = xnew(struct cert_chain);
    if (read_all(c, pem, n, cache, e) == 0)
        return c;
    cert_chain_free(c);
    return NULL;
}

void cert_chain_free(struct cert_chain *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n; i++)
        cert_info_unref(c->certs[i]);
    free(c);
}

static EVP_PKEY *key_of(const struct cert_info *c)
{
    const uint8_t *p = c->priv->spki_der;
    if (!c->priv->key)
        c->priv->key = d2i_PUBKEY(NULL, &p, (long)c->priv->spki_n);
    return c->priv->key;
}

/* Over the octets as they came, which need no second decoding. 1 good, 0 bad, -1 not an algorithm
 * that is told by key and digest alone. */
static int verify_octets(const struct cert_private *child, EVP_PKEY *key)
{
    const ASN1_OBJECT *oid;
    int md, type;
    if (!child->alg)
        return 0;
    X509_ALGOR_get0(&oid, NULL, NULL, child->alg);
    if (!OBJ_find_sigid_algs(OBJ_obj2nid(oid), &md, &type) || md == NID_undef)
        return -1;
    const char *name = type == EVP_PKEY_EC ? "EC" : type == EVP_PKEY_RSA ? "RSA" : NULL;
    const EVP_MD *digest = EVP_get_digestbynid(md);
    if (!name || !digest)
        return -1;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int good = ctx && EVP_PKEY_is_a(key, name) &&
               EVP_DigestVerifyInit(ctx, NULL, digest, NULL, key) == 1 &&
               EVP_DigestVerify(ctx, ASN1_STRING_get0_data(child->signature),
                                (size_t)ASN1_STRING_length(child->signature),
                                child->der + child->tbs_at, child->tbs_n) == 1;
    EVP_MD_CTX_free(ctx);
    return good;
}

static int verify_whole(const struct cert_private *child, EVP_PKEY *key)
{
    const uint8_t *p = child->der;
    X509 *x = d2i_X509(NULL, &p, (long)child->der_n);
    int good = x ? X509_verify(x, key) : 0;
    X509_free(x);
    return good;
}

static int verify_link(const struct cert_info *child, const struct cert_info *issuer, struct err *e)
{
    if (X509_NAME_cmp(child->priv->issuer, issuer->priv->subject) != 0)
        return err_set(e, ERR_PEER, "the issuer of a certificate is not the next in the chain");
    if (str_eq(child->priv->verified_by, issuer->fingerprint))
        return 0;
    EVP_PKEY *key = key_of(issuer);
    if (!key)
        return crypto_err(e, ERR_PEER, "the key of a CA's certificate cannot be used");
    int good = verify_octets(child->priv, key);
    if (good < 0)
        good = verify_whole(child->priv, key);
    if (good != 1)
        return crypto_err(e, ERR_PEER, "a certificate of the chain is not signed by the next");
    str_copy(child->priv->verified_by, SHA256_HEX, issuer->fingerprint);
    return 0;
}

int cert_chain_verify_links(const struct cert_chain *c, struct err *e)
{
    for (size_t i = 0; i + 1 < c->n; i++) {
        if (verify_link(c->certs[i], c->certs[i + 1], e))
            return -1;
    }
    return 0;
}

int cert_chain_put_pem(const struct cert_chain *c, size_t first, size_t end, struct buf *out)
{
    for (size_t i = first; i < end && i < c->n; i++)
        pem_put(out, label, c->certs[i]->priv->der, c->certs[i]->priv->der_n);
    return buf_failed(out) ? -1 : 0;
}

int cert_chain_split(const struct cert_chain *c, struct buf *leaf, struct buf *rest,
                     struct buf *full)
{
    if (cert_chain_put_pem(c, 0, 1, leaf) || cert_chain_put_pem(c, 1, c->n, rest) ||
        cert_chain_put_pem(c, 0, c->n, full))
        return -1;
    return 0;
}

const void *cert_der(const struct cert_info *c, size_t *ret_n)
{
    *ret_n = c->priv->der_n;
    return c->priv->der;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A sorted copy without doubles; the texts are the caller's. */
static const char **sorted(const char *const *names, size_t n, size_t *ret_n)
{
    const char **copy = xcalloc(n, sizeof(*copy));
    size_t kept = 0;
    if (n)
        memcpy(copy, names, n * sizeof(*copy));
    qsort(copy, n, sizeof(*copy), compare_texts);
    for (size_t i = 0; i < n; i++) {
        if (kept == 0 || !str_eq(copy[kept - 1], copy[i]))
            copy[kept++] = copy[i];
    }
    *ret_n = kept;
    return copy;
}

static bool same_names(char *const *names, size_t n, const char *const *wanted, size_t wanted_n)
{
    size_t an, bn;
    CLEANUP_FREE const char **a = sorted((const char *const *)names, n, &an);
    CLEANUP_FREE const char **b = sorted(wanted, wanted_n, &bn);
    bool same = an == bn;
    for (size_t i = 0; same && i < an; i++)
        same = str_eq(a[i], b[i]);
    return same;
}

/* An address that stands among the DNS names is not that address. */
bool cert_has_names(const struct cert_info *c, const char *const *names, size_t n)
{
    size_t dns_n = 0, ips_n = 0;
    CLEANUP_FREE const char **dns = xcalloc(n, sizeof(*dns));
    CLEANUP_FREE const char **ips = xcalloc(n, sizeof(*ips));
    for (size_t i = 0; i < n; i++) {
        if (ip_is(names[i]))
            ips[ips_n++] = names[i];
        else
            dns[dns_n++] = names[i];
    }
    return c->other_names == 0 && same_names(c->dns, c->dns_n, dns, dns_n) &&
           same_names(c->ips, c->ips_n, ips, ips_n);
}

/* Hexadecimal as people copy it, made plain; "" when it is something else. */
static void plain_hex(const char *text, char out[SHA256_HEX])
{
    size_t n = 0;
    for (const char *p = text; *p && n < SHA256_HEX; p++) {
        if (*p != ':' && *p != ' ')
            out[n++] = *p;
    }
    out[n < SHA256_HEX ? n : 0] = '\0';
    uint8_t octets[SHA256_LEN];
    if (!hex_decode(out, octets, sizeof(octets), &n) || n < 8)
        out[0] = '\0';
    str_lower(out);
}

static bool is_self_issued(const struct cert_info *c)
{
    return X509_NAME_cmp(c->priv->issuer, c->priv->subject) == 0;
}

/* The key identifier of who issued c: a root may be silent about its own issuer, which it is. */
static const char *issuer_id(const struct cert_info *c)
{
    return c->aki[0] || !is_self_issued(c) ? c->aki : c->ski;
}

static bool is_issued_by(const struct cert_info *c, const char *text, const char *hex)
{
    if (text[0] && str_case_eq(c->issuer_cn, text))
        return true;
    return hex[0] &&
           (str_eq(issuer_id(c), hex) || (is_self_issued(c) && str_eq(c->fingerprint, hex)));
}

enum chain_match cert_chain_match(const struct cert_chain *c, const char *text)
{
    char hex[SHA256_HEX];
    plain_hex(text, hex);
    if (is_issued_by(c->certs[c->n - 1], text, hex))
        return CHAIN_MATCH_TOP;
    for (size_t i = 0; i + 1 < c->n; i++) {
        if (is_issued_by(c->certs[i], text, hex) || str_eq(c->certs[i + 1]->fingerprint, hex))
            return CHAIN_MATCH_WITHIN;
    }
    return CHAIN_MATCH_NONE;
}

char *cert_chain_top(const struct cert_chain *c)
{
    const struct cert_info *last = c->certs[c->n - 1];
    const char *id = issuer_id(last);
    const char *cn = last->issuer_cn[0] ? last->issuer_cn : "an issuer without a common name";
    return id[0] ? xasprintf("%s (key identifier %s)", cn, id) : xstrdup(cn);
}

int cert_pem_to_der(const char *pem, size_t n, struct buf *out, struct err *e)
{
    struct pem_reader r;
    pem_reader_init(&r, pem, n);
    int got = pem_next(&r, label, out, e);
    if (got == 0)
        return err_set(e, ERR_PEER, "a text without a certificate");
    return got < 0 ? -1 : 0;
}

int cert_pem_fingerprint(const char *pem, size_t n, char out[SHA256_HEX], struct err *e)
{
    CLEANUP_BUF struct buf der;
    buf_init(&der, CERT_PEM_MAX);
    if (cert_pem_to_der(pem, n, &der, e))
        return -1;
    sha256_hex(buf_str(&der), der.len, out);
    return 0;
}
