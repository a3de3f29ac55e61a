/* SPDX-License-Identifier: ISC */
/* Certificate signing requests (RFC 2986): empty subject, the names as SAN, nothing else. */
#ifndef RENEWD_KEYS_CSR_H
#define RENEWD_KEYS_CSR_H

#include "base/buf.h"
#include "base/err.h"
#include "keys/pkey.h"

#include <stddef.h>

#define CSR_NAMES_MAX 1000

/* DER, appended to out; base64url_put() makes it ready for a finalize request. names: dNSNames as
 * name_host() gives them, 1 to CSR_NAMES_MAX. */
int csr_put(struct pkey *key, const char *const *names, size_t n, struct buf *out, struct err *e);

/* The names of a user's own CSR (DER or PEM), for `csr:`: signature checked. SHA-256 of its key's
 * SubjectPublicKeyInfo into spki; dNSNames, lower case, each allocated, the array as well. */
int csr_read(const void *p, size_t n, struct buf *ret_der, char ***ret_names, size_t *ret_n,
             uint8_t spki[SHA256_LEN], struct err *e);

#endif
