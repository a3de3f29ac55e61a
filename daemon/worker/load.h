/* SPDX-License-Identifier: ISC */
/* Finding out whether a shared object may be loaded, loading it, reading its table. */
#ifndef RENEWD_WORKER_LOAD_H
#define RENEWD_WORKER_LOAD_H

#include "base/err.h"
#include "renewd/plugin.h"

#include <limits.h>

/* Opens it (unless fd is not -1: then that is it) and checks: a regular file, owned by root or by
 * us, writable by no one else. folder: where it lies, links followed where they can be. Returns the
 * descriptor or -1. */
int load_open(const char *path, int fd, char folder[PATH_MAX], struct err *e);
/* dlopen (RTLD_NOW | RTLD_LOCAL, for ever) through the descriptor, or by path when path is not NULL
 * (for debuggers); the table is copied up to the size that we know, the rest zeroed. */
int load_plugin(int fd, const char *path, struct renewd_plugin *ret, struct err *e);

#endif
