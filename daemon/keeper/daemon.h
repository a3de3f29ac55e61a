/* SPDX-License-Identifier: ISC */
/* The keeper as a whole: configuration, engine, services, admin socket, signals. */
#ifndef RENEWD_KEEPER_DAEMON_H
#define RENEWD_KEEPER_DAEMON_H

#include "base/log.h"
#include "keeper/listen.h"
#include "keeper/programs.h"

#include <stdbool.h>

/* Exit codes of renewd(8). */
enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_REFUSED = 4 };

struct daemon_options {
    const char *file;
    bool once, dry_run;
    const char *const *engine_env;
    const char *notify_socket, *watchdog_usec, *watchdog_pid; /* NULL: not set */
    struct listen_given given;
};

/* Until the end; returns the exit code. */
int daemon_run(const struct daemon_options *o, const struct programs *programs, struct log *log);

#endif
