/* SPDX-License-Identifier: ISC */
/* The HMAC key of an external account binding, as CAs hand it out and users paste it. */
#ifndef RENEWD_KEYS_EAB_H
#define RENEWD_KEYS_EAB_H

#include "base/err.h"
#include "base/secret.h"

/* base64url or base64, padded or not, with white space or quotes around. NULL and ERR_CONFIG, whose
 * text says what to do and shows nothing of the key, when it is neither or shorter than 8 octets.
 * For jws_bind_account(). */
struct secret *eab_key_decode(const struct secret *text, struct err *e);

#endif
