/* SPDX-License-Identifier: ISC */
/*
 * What a worker takes from itself, in two stages, for good:
 *
 *   sandbox_enter()    before dlopen: no new privileges, not dumpable, limits, Landlock (libraries
 *                      and the plugin's folder may be read, nothing written), seccomp allow-list.
 *   sandbox_complete() after dlopen, for all threads that constructors may have started: a second
 *                      filter without open, executable mappings, and further filters.
 *
 * What the kernel lacks is left out and named in the text; it is an error only if a thread of the
 * plugin evades the second stage.
 */
#ifndef RENEWD_WORKER_SANDBOX_H
#define RENEWD_WORKER_SANDBOX_H

#include "base/err.h"

#include <stddef.h>

struct sandbox {
    char text[160]; /* "landlock 7, seccomp"; what is missing begins with "no " */
    int landlock;   /* ABI, 0: none */
    int seccomp;    /* stages in force */
};

/* plugin_fd: the opened shared object; folder: where it lies. */
void sandbox_enter(struct sandbox *s, int plugin_fd, const char *folder);
int sandbox_complete(struct sandbox *s, struct err *e);

/* The parts. sandbox_landlock() returns the ABI in force or 0; sandbox_seccomp() 0 or -errno, and a
 * positive thread id when that thread could not be included. */
int sandbox_landlock(int plugin_fd, const char *folder);
int sandbox_seccomp(int stage);

#endif
