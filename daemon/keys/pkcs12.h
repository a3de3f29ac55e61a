/* SPDX-License-Identifier: ISC */
/* PKCS#12 files for programs that take nothing else. */
#ifndef RENEWD_KEYS_PKCS12_H
#define RENEWD_KEYS_PKCS12_H

#include "base/secret.h"
#include "digest/x509.h"
#include "keys/pkey.h"

#include <stdbool.h>

#define PKCS12_PASSWORD_MAX 256 /* octets of UTF-8 */
#define PKCS12_NAME_MAX 255
#define PKCS12_MAX (2u << 20)

enum pkcs12_form {
    PKCS12_MODERN, /* PBES2 with AES-256-CBC, MAC with HMAC-SHA-256 */
    PKCS12_LEGACY, /* 3DES and a MAC with SHA-1, which Windows Server 2016 and Java 8 need */
};

struct pkcs12_want {
    enum pkcs12_form form;
    const struct secret *password; /* NULL: none was given, an error that says what to do */
    bool allow_empty;              /* a NULL or empty password is meant so */
    const char *name;              /* friendlyName, which readers show and Java uses as alias */
};

/* Key, leaf and the other certificates; appended to out, which must have been made by
 * buf_init_secret(). ERR_CONFIG for a password or name that cannot be used. */
int pkcs12_put(const struct pkey *key, const struct cert_chain *chain, const struct pkcs12_want *w,
               struct buf *out, struct err *e);

#endif
