/* SPDX-License-Identifier: ISC */
/* The certificate of a valid order (RFC 8555 7.4.2), by preference with another chain: then the
 * alternates of the first reply are fetched one after the other until the topmost issuer's name
 * fits. */
#ifndef RENEWD_ACME_DOWNLOAD_H
#define RENEWD_ACME_DOWNLOAD_H

#include "acme/ca.h"

/* pem lives for the call; NULL with err. */
typedef void download_fn(void *arg, const char *pem, size_t n, const struct err *err);
struct download;
struct download *download_start(struct ca *ca, const char *url, const char *about,
                                const char *preferred_chain, download_fn *done, void *arg);
void download_cancel(struct download *d); /* NULL is fine */

/* Nothing but certificates: any other PEM block is an attack (RFC 8555 11.4). */
int chain_text_check(const char *pem, size_t n, struct err *e);

#endif
