/* SPDX-License-Identifier: ISC */
/*
 * Keys that are being ordered for, with their CSRs, durable before anything is sent, and kept in
 * memory (wiped when freed) until they are installed. One file each, since what it costs is how
 * often the disk is waited for: pending/NAME.pem holds a line of JSON, the key, the CSR. It is
 * written in place; one that a crash cut short ends without its CSR and is made anew.
 */
#ifndef RENEWD_KEEPER_PENDING_H
#define RENEWD_KEEPER_PENDING_H

#include "base/buf.h"
#include "base/err.h"
#include "conf/conf.h"
#include "digest/hash.h"
#include "keeper/disk.h"
#include "keeper/statedir.h"
#include "keys/pkey.h"

struct pending {
    struct buf pem; /* secret; empty: the CSR is the user's own */
    char *csr;      /* base64url of the DER */
    char **names;
    size_t n_names;
    enum key_type type;
    bool must_staple;
    uint8_t spki[SHA256_LEN];
};

struct pendings;
struct pendings *pendings_new(const struct statedir *s); /* s must live as long */
void pendings_free(struct pendings *p);

/* NULL and class ERR_NONE: there is none. NULL and another class: it cannot be read. Valid until
 * it is put or removed. */
const struct pending *pending_get(struct pendings *p, const char *name, struct err *e);
/* The same of a configured certificate. With a CSR of the user's own there is always one, without
 * a key and without a file; it is valid until the next call for that certificate. */
const struct pending *pending_of(struct pendings *p, const struct conf_cert *cert, struct err *e);
/* Its names, key type and extensions are what the configuration says now. */
bool pending_fits(const struct pending *k, const struct conf_cert *cert);
/* Makes the CSR; *ret_text (initialised here, secret) is what pending_write() takes. */
struct pending *pending_make(const struct conf_cert *cert, struct pkey *key, struct buf *ret_text,
                             struct err *e);
void pending_free(struct pending *k);
/* Once it is durable: takes k in the place of what was there. NULL: what was there is no more. */
void pending_put(struct pendings *p, const char *name, struct pending *k);

/* Of a job of keeper/disk.h. */
int pending_write(const struct statedir *s, const char *name, const struct buf *text,
                  struct disk_batch *b, struct disk_job *j, struct err *e);
/* Not made durable: one that comes back is known by being installed. */
void pending_remove(const struct statedir *s, const char *name);

/* The configured names as an array of texts; the caller frees the array. */
const char **pending_names(const struct conf_cert *cert);

#endif
