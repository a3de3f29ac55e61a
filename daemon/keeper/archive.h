/* SPDX-License-Identifier: ISC */
/*
 * archive/NAME: sets of files, one for each certificate that was ever installed. A set is written
 * under its final name, meta.json as its last file, and is nobody's until live/NAME leads to it;
 * one without meta.json was cut short and is removed some day.
 */
#ifndef RENEWD_KEEPER_ARCHIVE_H
#define RENEWD_KEEPER_ARCHIVE_H

#include "base/err.h"
#include "base/file.h"
#include "base/secret.h"
#include "digest/x509.h"
#include "keeper/disk.h"
#include "keeper/statedir.h"

struct archive_files {
    const struct buf *key; /* PEM, secret; NULL: its owner has it, we do not */
    const struct buf *cert, *chain, *fullchain;
    const char *meta;
};

extern const struct file_attr archive_open_to_all; /* 0644 */

void archive_stamp(int64_t ms, char out[32]); /* "20261121T204400Z" */
/* Name of the set for this certificate, "until-TIME-FINGERPRINT": the same certificate has always
 * the same, and later ones sort later. */
void archive_set_name(const struct cert_info *leaf, char out[64]);

/* dest: archive/NAME. Idempotent; what is found whole stays. key: mode and owner of privkey.pem. */
int archive_write(int dest, const char *set, const struct archive_files *f,
                  const struct file_attr *key, struct disk_batch *b, struct disk_job *j,
                  struct err *e);
/* A set that is there, durable as it is. */
int archive_keep(int dest, const char *set, struct disk_batch *b, struct disk_job *j,
                 struct err *e);
/* Removes expired sets but the `keep` newest of them, and halves; never the one that live/NAME
 * leads to. Returns how many, -1 on error. */
int archive_prune(const struct statedir *s, int dest, const char *name, uint32_t keep,
                  int64_t now_ms, struct err *e);

/* A new file for a folder that nobody looks at yet, so without a temporary name; not yet durable.
 * fd or -1 */
int archive_put_file(int dirfd, const char *name, const void *p, size_t n,
                     const struct file_attr *a, struct err *e);
/* A folder, of mode 0755 if it is new; not yet durable. fd or -1 */
int archive_make_dir(int dirfd, const char *name, struct err *e);

#endif
