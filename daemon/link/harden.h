/* SPDX-License-Identifier: ISC */
/* What a process that holds secrets does to itself before anything else. */
#ifndef RENEWD_LINK_HARDEN_H
#define RENEWD_LINK_HARDEN_H

#include "base/err.h"

/* Not dumpable (so not traced by its own user), no core file, umask 077, SIGPIPE ignored. First
 * thing in main; children that are to write cores or read /proc/self must exec. */
int harden_process(struct err *e);

#endif
