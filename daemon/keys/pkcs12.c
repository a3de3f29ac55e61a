/* SPDX-License-Identifier: ISC */
#include "keys/pkcs12.h"
#include "base/str.h"
#include "digest/crypto_err.h"

#include <openssl/evp.h>
#include <openssl/pkcs12.h>
#include <string.h>

/* What stands in the file of each form; rounds as its readers can bear them. */
static const struct form {
    int cipher, rounds;
    const char *mac;
} forms[] = {
    [PKCS12_MODERN] = {NID_aes_256_cbc, 10000, "SHA256"},
    [PKCS12_LEGACY] = {NID_pbe_WithSHA1And3_Key_TripleDES_CBC, 2048, "SHA1"},
};

static X509 *decode(const struct cert_info *c)
{
    size_t n;
    const uint8_t *p = cert_der(c, &n);
    return d2i_X509(NULL, &p, (long)n);
}

static int check(const struct pkcs12_want *w, struct err *e)
{
    size_t n = w->password ? secret_len(w->password) : 0;
    const char *pass = w->password ? secret_bytes(w->password) : "";
    if (n == 0 && !w->allow_empty)
        return err_set(e, ERR_CONFIG,
                       "a PKCS#12 file holds the private key and needs a password: give the step "
                       "a `password:` that is not empty");
    if (n > PKCS12_PASSWORD_MAX)
        return err_set(e, ERR_CONFIG,
                       "the password of a PKCS#12 file is over %d bytes: use a shorter one",
                       PKCS12_PASSWORD_MAX);
    if (!str_is_utf8(pass, n) || strpbrk(pass, "\r\n"))
        return err_set(e, ERR_CONFIG,
                       "the password of a PKCS#12 file holds a NUL, an end of line, or bytes that "
                       "are no UTF-8: use one line of text");
    if (w->name && (strlen(w->name) > PKCS12_NAME_MAX || !str_is_utf8(w->name, strlen(w->name))))
        return err_set(e, ERR_CONFIG,
                       "the name in a PKCS#12 file must be UTF-8 of at most %d bytes",
                       PKCS12_NAME_MAX);
    return 0;
}

static PKCS12 *make(const struct pkey *key, X509 *leaf, STACK_OF(X509) * rest,
                    const struct pkcs12_want *w)
{
    const struct form *f = &forms[w->form];
    const char *pass = w->password ? secret_bytes(w->password) : "";
    PKCS12 *file = PKCS12_create(pass, w->name, pkey_evp(key), leaf, rest, f->cipher, f->cipher,
                                 f->rounds, -1, 0);
    if (file && !PKCS12_set_mac(file, pass, -1, NULL, 0, f->rounds, EVP_get_digestbyname(f->mac))) {
        PKCS12_free(file);
        return NULL;
    }
    return file;
}

static PKCS12 *make_of_chain(const struct pkey *key, const struct cert_chain *chain,
                             const struct pkcs12_want *w)
{
    X509 *leaf = decode(chain->certs[0]);
    STACK_OF(X509) *rest = sk_X509_new_null();
    bool good = leaf && rest;
    for (size_t i = 1; good && i < chain->n; i++) {
        X509 *x = decode(chain->certs[i]);
        good = x && sk_X509_push(rest, x) > 0;
        if (!good)
            X509_free(x);
    }
    PKCS12 *file = good ? make(key, leaf, rest, w) : NULL;
    X509_free(leaf);
    sk_X509_pop_free(rest, X509_free);
    return file;
}

int pkcs12_put(const struct pkey *key, const struct cert_chain *chain, const struct pkcs12_want *w,
               struct buf *out, struct err *e)
{
    uint8_t *der = NULL;
    if (check(w, e))
        return -1;
    PKCS12 *file = make_of_chain(key, chain, w);
    int n = file ? i2d_PKCS12(file, &der) : -1;
    PKCS12_free(file);
    if (n <= 0)
        return crypto_err(e, ERR_LOCAL, "a PKCS#12 file cannot be made");
    int rc = buf_put(out, der, (size_t)n);
    OPENSSL_clear_free(der, (size_t)n);
    return rc ? err_set(e, ERR_LOCAL, "a PKCS#12 file is too long") : 0;
}
