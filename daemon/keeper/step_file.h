/* SPDX-License-Identifier: ISC */
/* The step that copies parts of a certificate to a file of another program. */
#ifndef RENEWD_KEEPER_STEP_FILE_H
#define RENEWD_KEEPER_STEP_FILE_H

#include "base/buf.h"
#include "conf/conf.h"
#include "keeper/statedir.h"

/* %n, %d and %% of a text of the configuration; d is the live folder. The caller frees. */
char *step_expand(const char *text, const char *name, const char *dir);
/* Replaced at once, durable, never more readable than the step says. *ret_path is what was written
 * (the caller frees), set on success. */
int step_file_write(const struct statedir *s, const struct conf_step *step,
                    const struct conf_cert *cert, char **ret_path, struct err *e);

#endif
