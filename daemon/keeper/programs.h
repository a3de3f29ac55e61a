/* SPDX-License-Identifier: ISC */
/* Where our other executables and the plugins are: beside this one in a build tree, else installed.
 */
#ifndef RENEWD_KEEPER_PROGRAMS_H
#define RENEWD_KEEPER_PROGRAMS_H

#include "base/err.h"

struct programs {
    char *self, *engine, *worker;
    char *plugins; /* folder */
};

/* plugin_dir: --plugin-dir, or NULL. */
void programs_find(struct programs *p, const char *plugin_dir);
void programs_done(struct programs *p);
/* Checks owner and mode, opens it for a worker whose user may not be able to reach it. -1: *e */
int programs_open_plugin(const char *path, struct err *e);

#endif
