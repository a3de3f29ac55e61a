/* SPDX-License-Identifier: ISC */
/*
 * Listening sockets for the engine's responders, which has no right to ports below 1024. Only
 * addresses that the configuration names are opened. What the service manager has opened already
 * (sd_listen_fds(3)) is used where the address is the same.
 */
#ifndef RENEWD_KEEPER_LISTEN_H
#define RENEWD_KEEPER_LISTEN_H

#include "base/err.h"
#include "conf/conf.h"

struct listen_given { /* descriptors that came with the process: first, ..., first + n - 1 */
    int first, n;
};

/* The texts of LISTEN_PID and LISTEN_FDS, or NULL. What is given is marked close-on-exec. */
struct listen_given listen_given(const char *pid, const char *n);

/* addr: ADDR:PORT of http01.listen or tlsalpn01.listen. Returns the socket: non-blocking, IPv6
 * only where it is IPv6. -1: ERR_LOCAL says who has the port and what helps; err.sys EAFNOSUPPORT
 * says that the machine lacks the address family. */
int listen_open(const struct conf *c, const struct listen_given *given, const char *addr,
                struct err *e);

#endif
