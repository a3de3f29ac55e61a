/* SPDX-License-Identifier: ISC */
/* A program whose output is a secret: no shell, nothing on stdin, a time limit, a size limit. */
#ifndef RENEWD_CONF_COMMAND_H
#define RENEWD_CONF_COMMAND_H

#include "base/buf.h"
#include "base/err.h"

/* argv ends with NULL. Blocks for at most timeout_ms, then the whole process group is killed. out's
 * maximum bounds the output. 0 only if the program exits with 0. */
int command_run(char *const argv[], int64_t timeout_ms, struct buf *out, struct err *e);

#endif
