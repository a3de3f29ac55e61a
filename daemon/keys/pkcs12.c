/* SPDX-License-Identifier: ISC */
#include "keys/pkcs12.h"
#include "digest/crypto_err.h"

#include <openssl/pkcs12.h>
#include <string.h>

static X509 *decode(const struct cert_info *c)
{
    size_t n;
    const uint8_t *p = cert_der(c, &n);
    return d2i_X509(NULL, &p, (long)n);
}

static void free_all(X509 *leaf, STACK_OF(X509) * rest)
{
    X509_free(leaf);
    sk_X509_pop_free(rest, X509_free);
}

int pkcs12_put(const struct pkey *key, const struct cert_chain *chain,
               const struct secret *password, const char *name, struct buf *out, struct err *e)
{
    const char *pass = password ? secret_bytes(password) : "";
    if (password && strlen(pass) != secret_len(password))
        return err_set(e, ERR_CONFIG, "the password of a PKCS#12 file holds a NUL");
    X509 *leaf = decode(chain->certs[0]);
    STACK_OF(X509) *rest = sk_X509_new_null();
    bool good = leaf && rest;
    for (size_t i = 1; good && i < chain->n; i++) {
        X509 *x = decode(chain->certs[i]);
        good = x && sk_X509_push(rest, x) > 0;
        if (!good)
            X509_free(x);
    }
    PKCS12 *file =
        good ? PKCS12_create(pass, name, pkey_evp(key), leaf, rest, 0, 0, 0, 0, 0) : NULL;
    free_all(leaf, rest);
    uint8_t *der = NULL;
    int n = file ? i2d_PKCS12(file, &der) : -1;
    PKCS12_free(file);
    if (n <= 0)
        return crypto_err(e, ERR_LOCAL, "a PKCS#12 file cannot be made");
    int rc = buf_put(out, der, (size_t)n);
    OPENSSL_clear_free(der, (size_t)n);
    return rc ? err_set(e, ERR_LOCAL, "a PKCS#12 file is too long") : 0;
}
