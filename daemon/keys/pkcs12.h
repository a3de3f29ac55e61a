/* SPDX-License-Identifier: ISC */
/* PKCS#12 files for programs that take nothing else. */
#ifndef RENEWD_KEYS_PKCS12_H
#define RENEWD_KEYS_PKCS12_H

#include "base/secret.h"
#include "digest/x509.h"
#include "keys/pkey.h"

/* Key, leaf and the other certificates, under AES-256 and HMAC-SHA-256 from the password, which may
 * be NULL for an empty one; appended to out, which should be a secret buffer. name is shown by
 * those that read the file. */
int pkcs12_put(const struct pkey *key, const struct cert_chain *chain,
               const struct secret *password, const char *name, struct buf *out, struct err *e);

#endif
