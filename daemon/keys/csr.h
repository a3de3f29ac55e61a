/* SPDX-License-Identifier: ISC */
/* Certificate signing requests (RFC 2986): empty subject, the names as SAN, and nothing else but
 * what is asked for. */
#ifndef RENEWD_KEYS_CSR_H
#define RENEWD_KEYS_CSR_H

#include "base/buf.h"
#include "base/err.h"
#include "digest/csr_info.h"
#include "keys/pkey.h"

#include <stddef.h>

struct csr_want {
    const char *const *names; /* DNS names as name_host() gives them, addresses as text */
    size_t n;                 /* 1 to CSR_NAMES_MAX */
    bool must_staple;         /* TLS feature status_request (RFC 7633) */
};

/* DER, appended to out; base64url_put() makes it ready for a finalize request. ERR_CONFIG for a key
 * that is not for certificates. */
int csr_put_want(struct pkey *key, const struct csr_want *w, struct buf *out, struct err *e);
int csr_put(struct pkey *key, const char *const *names, size_t n, struct buf *out, struct err *e);

/* What csr_info_read() finds, in pieces: DER into ret_der, names, each allocated, the array as
 * well, SHA-256 of the SubjectPublicKeyInfo into spki. */
int csr_read(const void *p, size_t n, struct buf *ret_der, char ***ret_names, size_t *ret_n,
             uint8_t spki[SHA256_LEN], struct err *e);

#endif
