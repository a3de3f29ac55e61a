/* SPDX-License-Identifier: ISC */
/* Files: bounded reads, durable writes. Everything is opened O_CLOEXEC | O_NOFOLLOW. */
#ifndef RENEWD_BASE_FILE_H
#define RENEWD_BASE_FILE_H

#include "base/buf.h"
#include "base/err.h"

#include <sys/stat.h>
#include <sys/types.h>

/* Whole file into out (already initialised; its max bounds the read). Follows links when follow. */
int file_read_at(int dirfd, const char *path, bool follow, struct buf *out, struct stat *ret_st,
                 struct err *e);

/* All n bytes, however many write(2) takes at once; -1 and errno on failure. */
int file_write_whole(int fd, const void *data, size_t n);

struct file_attr {
    mode_t mode;
    uid_t uid; /* (uid_t)-1: leave */
    gid_t gid; /* (gid_t)-1: leave */
};
/* A new file of that name, created O_EXCL with its final mode from the first instant (umask
 * ignored), written and fsynced; an error leaves nothing. */
int file_create_at(int dirfd, const char *name, const void *p, size_t n, const struct file_attr *a,
                   struct err *e);
/* Temporary file beside it, fsync, rename over the name, fsync of the folder. The SELinux context
 * of what was there is kept. */
int file_replace_at(int dirfd, const char *name, const void *p, size_t n, const struct file_attr *a,
                    struct err *e);
/* symlink(target, temporary), rename over name, fsync of the folder: the switch is atomic. */
int file_switch_link_at(int dirfd, const char *target, const char *name, struct err *e);
int file_mkdir_at(int dirfd, const char *name, mode_t mode,
                  struct err *e);                                 /* exists: fine; fsyncs */
int file_open_dir_at(int dirfd, const char *name, struct err *e); /* fd or -1 */
int file_fsync_dir(int dirfd, struct err *e);
int file_remove_tree_at(int dirfd, const char *name,
                        struct err *e); /* absent: fine; no links followed */
/* Names of temporary files that a crash left behind (".NAME.XXXXXX.tmp") are removed. */
int file_sweep_at(int dirfd, struct err *e);

#endif
