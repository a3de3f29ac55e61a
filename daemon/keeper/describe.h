/* SPDX-License-Identifier: ISC */
/* What plugins say of their options, asked of a throw-away worker each, kept by path, inode and
 * time of change. */
#ifndef RENEWD_KEEPER_DESCRIBE_H
#define RENEWD_KEEPER_DESCRIBE_H

#include "conf/load.h"

struct describer;

/* program: renewd-worker; must live as long. */
struct describer *describer_new(const char *program);
void describer_free(struct describer *d);
/* For conf_plugins.describe, with the describer as ctx. Blocks, for 5 s at most; only for the time
 * of reading a configuration. */
const struct conf_plugin_info *describer_ask(void *ctx, const char *path, struct err *e);

#endif
