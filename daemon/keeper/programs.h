/* SPDX-License-Identifier: ISC */
/* Where our other executables and the plugins are: beside this one in a build tree, else installed.
 */
#ifndef RENEWD_KEEPER_PROGRAMS_H
#define RENEWD_KEEPER_PROGRAMS_H

struct programs {
    char *self, *engine, *worker;
    char *plugins; /* folder */
};

/* plugin_dir: --plugin-dir, or NULL. */
void programs_find(struct programs *p, const char *plugin_dir);
void programs_done(struct programs *p);

#endif
