/* SPDX-License-Identifier: ISC */
/* The text side of certificates: the next block of a strict PEM text (RFC 7468). */
#ifndef RENEWD_DIGEST_PEM_H
#define RENEWD_DIGEST_PEM_H

#include "base/buf.h"
#include "base/err.h"

#include <stddef.h>

struct pem_reader {
    const char *p, *end;
};
void pem_reader_init(struct pem_reader *r, const char *text, size_t n);
/* 1: the next block's DER was appended to out; 0: nothing but white space is left; -1: ERR_PEER.
 * Only blocks of `label` are taken. */
int pem_next(struct pem_reader *r, const char *label, struct buf *out, struct err *e);
int pem_put(struct buf *out, const char *label, const void *der, size_t n);

#endif
