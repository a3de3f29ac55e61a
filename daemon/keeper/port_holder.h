/* SPDX-License-Identifier: ISC */
/* Which program listens on a TCP port of this machine and so is in our way, as /proc tells. */
#ifndef RENEWD_KEEPER_PORT_HOLDER_H
#define RENEWD_KEEPER_PORT_HOLDER_H

#include <sys/socket.h>

#define PORT_HOLDER_TEXT 64

/* a: IPv4 or IPv6, where we would listen. "nginx (process 123)" into out; "another program" when it
 * cannot be seen. Returns out. */
const char *port_holder(const struct sockaddr *a, char out[PORT_HOLDER_TEXT]);

#endif
