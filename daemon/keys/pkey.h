/* SPDX-License-Identifier: ISC */
/* Private keys. An object belongs to one thread; what it computes once (JWK, thumbprint) it keeps.
 * Key material lives in OpenSSL's memory and in secret buffers only; see
 * pkey_wiping_allocator_install. */
#ifndef RENEWD_KEYS_PKEY_H
#define RENEWD_KEYS_PKEY_H

#include "base/buf.h"
#include "base/err.h"
#include "digest/hash.h"
#include "digest/jwk.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In the order of the configuration's `key`, and of `account_key` as far as that goes. */
enum key_type {
    KEY_ECDSA_P256 = 0,
    KEY_ECDSA_P384,
    KEY_RSA_2048,
    KEY_RSA_3072,
    KEY_RSA_4096,
    KEY_ED25519, /* of accounts only */
    KEY_TYPES
};
const char *key_type_name(enum key_type t); /* "ecdsa-p256", as cert_info.key_type */
bool key_type_parse(const char *text, enum key_type *ret);
bool key_type_for_certificate(enum key_type t); /* false: no public CA certifies such a key */
const char *key_type_jws_alg(enum key_type t);  /* "ES256", "ES384", "RS256", "EdDSA" */

#define PKEY_PEM_MAX 16384
#define PKEY_SIGNATURE_MAX 512

struct pkey;

/* Every memory that OpenSSL frees or moves is wiped first. To be called before anything else of
 * OpenSSL, first thing in main; aborts when it is too late. (Its secure heap alone leaves copies.)
 */
void pkey_wiping_allocator_install(void);

/* RSA takes 0.1 to 1 s and more: not on an event loop. NULL on error (ERR_LOCAL). */
struct pkey *pkey_generate(enum key_type t, struct err *e);
/* PKCS#8, SEC 1 or PKCS#1, not encrypted. NULL on error: ERR_LOCAL. Other types than ours likewise.
 */
struct pkey *pkey_from_pem(const char *pem, size_t n, struct err *e);
/* PKCS#8; out must have been made by buf_init_secret(), with PKEY_PEM_MAX or more. */
int pkey_to_pem(const struct pkey *k, struct buf *out, struct err *e);
int pkey_to_der(const struct pkey *k, struct buf *out, struct err *e); /* likewise, in DER */
void pkey_free(struct pkey *k);

enum key_type pkey_type(const struct pkey *k);
const char *pkey_jwk(struct pkey *k);        /* canonical; valid as long as the key */
const char *pkey_thumbprint(struct pkey *k); /* RFC 7638, base64url; likewise */
/* SHA-256 of the SubjectPublicKeyInfo, to compare with cert_info.spki. */
const uint8_t *pkey_spki(const struct pkey *k);
const void *pkey_spki_der(const struct pkey *k, size_t *ret_n); /* valid as long as the key */

/* DER encoding for ECDSA (X.509), PKCS#1 v1.5 for RSA; SHA-384 with P-384, else SHA-256. Pure
 * Ed25519. */
int pkey_sign_der(struct pkey *k, const void *p, size_t n, uint8_t out[PKEY_SIGNATURE_MAX],
                  size_t *ret_n, struct err *e);
/* As JWS wants it (RFC 7518 section 3): r and s of fixed width for ECDSA. */
int pkey_sign_jws(struct pkey *k, const void *p, size_t n, uint8_t out[PKEY_SIGNATURE_MAX],
                  size_t *ret_n, struct err *e);
const char *pkey_jws_alg(const struct pkey *k); /* key_type_jws_alg() of its type */

struct evp_pkey_st *pkey_evp(const struct pkey *k); /* for keys/ itself; stays the key's */

void pkey_cleanup(struct pkey **k);
#define CLEANUP_PKEY __attribute__((cleanup(pkey_cleanup)))

#endif
