/* SPDX-License-Identifier: ISC */
/* renewd -t, renewd -T: reads the configuration as the daemon would, and says what it thinks. */
#ifndef RENEWD_KEEPER_CHECK_H
#define RENEWD_KEEPER_CHECK_H

#include "conf/load.h"
#include "keeper/programs.h"

#include <stdbool.h>

struct check_options {
    const char *file;
    bool dump; /* -T */
    bool json;
};
/* The exit code. */
int check_run(const struct check_options *o, const struct programs *programs);

/* "FILE:LINE:COLUMN: text". The caller frees. */
char *check_message(const struct conf_message *m);

#endif
