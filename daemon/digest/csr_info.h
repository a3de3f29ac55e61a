/* SPDX-License-Identifier: ISC */
/* Certificate signing requests (RFC 2986), read: a user's own, and ours when they come back from
 * the disk. Nothing private is in one. Errors are ERR_CONFIG and say what to do. */
#ifndef RENEWD_DIGEST_CSR_INFO_H
#define RENEWD_DIGEST_CSR_INFO_H

#include "base/buf.h"
#include "base/err.h"
#include "digest/hash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CSR_INFO_MAX (512u << 10) /* octets */
#define CSR_NAMES_MAX 1000

struct csr_info {
    /* DNS names as name_host() gives them and addresses as ip_normalise() does, each once:
     * subjectAltName in its order, then the subject's CN if it is a DNS name. */
    char **names;
    size_t n;
    bool cn_alone;     /* the CN is no subjectAltName: some CAs refuse that */
    char key_type[32]; /* as cert_info.key_type */
    bool key_refused;  /* public CAs take RSA of 2,048 to 4,096 bits, P-256 and P-384; it is none */
    uint8_t spki[SHA256_LEN];
    bool must_staple; /* TLS feature status_request (RFC 7633) */
    bool wants_ca;    /* basicConstraints with CA: no ACME server grants it */
    void *der;        /* of exactly the request */
    size_t der_n;
    char *base64url; /* the same, as a finalize request has it */
};

/* PEM (also with text before and after) or DER; its own signature is checked. */
struct csr_info *csr_info_read(const void *p, size_t n, struct err *e);
void csr_info_free(struct csr_info *c);

#endif
