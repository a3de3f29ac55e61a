/* SPDX-License-Identifier: ISC */
/* Which program listens on a TCP port of this machine, as /proc tells. */
#ifndef RENEWD_KEEPER_PORT_HOLDER_H
#define RENEWD_KEEPER_PORT_HOLDER_H

#include <stdint.h>

#define PORT_HOLDER_TEXT 64

/* "nginx (process 123)" into out; "another program" when it cannot be seen. Returns out. */
const char *port_holder(uint16_t port, char out[PORT_HOLDER_TEXT]);

#endif
