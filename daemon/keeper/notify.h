/* SPDX-License-Identifier: ISC */
/* What the service manager is told (sd_notify(3)'s protocol): datagrams to NOTIFY_SOCKET. */
#ifndef RENEWD_KEEPER_NOTIFY_H
#define RENEWD_KEEPER_NOTIFY_H

#include <stdint.h>

struct notify {
    int fd;              /* connected; -1: nobody listens */
    int64_t watchdog_ms; /* how often we must be heard of; 0: no watchdog */
};

/* Values of the environment (NULL: not set): NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID. */
void notify_init(struct notify *n, const char *socket, const char *watchdog_usec,
                 const char *watchdog_pid);
void notify_done(struct notify *n);

void notify_ready(const struct notify *n);
void notify_reloading(const struct notify *n);
void notify_stopping(const struct notify *n);
void notify_alive(const struct notify *n);
void notify_status(const struct notify *n, const char *text); /* one line */

#endif
