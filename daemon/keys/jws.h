/* SPDX-License-Identifier: ISC */
/* JSON Web Signatures in flattened JSON, as ACME wants them (RFC 7515, RFC 8555 section 6.2). All
 * functions append one JSON text to out; on -1 nothing useful is there. */
#ifndef RENEWD_KEYS_JWS_H
#define RENEWD_KEYS_JWS_H

#include "base/buf.h"
#include "base/err.h"
#include "keys/pkey.h"

#include <stddef.h>

struct jws_protected {
    const char *nonce; /* NULL: none (the inner object of a key change) */
    const char *url;   /* byte for byte as the server gave it */
    const char *kid;   /* account URL; NULL: the public key is put in as jwk */
};

/* payload NULL: POST-as-GET (the empty payload). */
int jws_sign(struct pkey *key, const struct jws_protected *protect, const char *payload,
             struct buf *out, struct err *e);

/* External account binding (RFC 8555 section 7.3.4): HS256 over the account's JWK. url is that of
 * newAccount; mac_key is the key that the CA gave, eab_key_decode()d. */
int jws_bind_account(const char *kid, const char *url, const void *mac_key, size_t mac_key_n,
                     const char *jwk, struct buf *out, struct err *e);

/* The payload of a key change (RFC 8555 section 7.3.5): {"account", "oldKey"} signed by the new
 * key. url is that of keyChange, as in the request around it, which the old key signs with
 * jws_sign().
 */
int jws_key_change(struct pkey *new_key, struct pkey *old_key, const char *account_url,
                   const char *url, struct buf *out, struct err *e);

/* The payload of revokeCert (RFC 8555 section 7.6). reason: of RFC 5280 section 5.3.1, or -1 for
 * none; ERR_CONFIG for one that there is not. The request is signed by the account's key with kid,
 * or by the certificate's own without. */
int jws_revocation(const void *cert_der, size_t n, int reason, struct buf *out, struct err *e);

#endif
