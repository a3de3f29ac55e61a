/* SPDX-License-Identifier: ISC */
/* The egress rule: what a provider may not reach unless its options name the host literally. */
#ifndef RENEWD_IO_EGRESS_H
#define RENEWD_IO_EGRESS_H

#include <stdbool.h>
#include <sys/socket.h>

/* Unspecified, loopback, link-local, private, shared, unique local, multicast, reserved; the same
 * behind IPv4-mapped, NAT64 and 6to4 forms. Anything but IPv4 and IPv6 is inside, too. */
bool egress_is_inside(const struct sockaddr *sa);

#endif
