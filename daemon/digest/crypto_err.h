/* SPDX-License-Identifier: ISC */
#ifndef RENEWD_DIGEST_CRYPTO_ERR_H
#define RENEWD_DIGEST_CRYPTO_ERR_H

#include "base/err.h"

/* err_set with OpenSSL's own reason appended, and its error queue emptied. Returns -1. */
int crypto_err(struct err *e, enum err_class cls, const char *what);

#endif
