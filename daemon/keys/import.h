/* SPDX-License-Identifier: ISC */
/* Private keys as other ACME clients keep them. */
#ifndef RENEWD_KEYS_IMPORT_H
#define RENEWD_KEYS_IMPORT_H

#include "base/err.h"
#include "keys/pkey.h"

#include <stddef.h>

/* PEM (PKCS#8, SEC 1, PKCS#1), PKCS#8 in DER, or a JWK with its private members (RFC 7517;
 * certbot's private_key.json). The key's halves are checked to belong together. NULL and
 * ERR_CONFIG, which says what to do, for anything else. The caller wipes the text. */
struct pkey *pkey_import(const void *p, size_t n, struct err *e);

#endif
