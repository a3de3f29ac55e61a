/* SPDX-License-Identifier: ISC */
/* Other people's programs, to look at what was made; and files for them. */
#ifndef RENEWD_TESTS_COMMAND_H
#define RENEWD_TESTS_COMMAND_H

#include "base/buf.h"

/* Runs argv (ended by NULL, found in PATH) with empty input; both its outputs are appended to out.
 * Its exit status, 127 when there is no such program. */
int command_run(const char *const *argv, struct buf *out);
/* A file of mode 0600 with these octets; unlink it and free the name. */
char *command_file(const void *p, size_t n);

#endif
