/* SPDX-License-Identifier: ISC */
/*
 * The words that come before TLS on a connection where libcurl does not know them: LDAP's StartTLS
 * (RFC 4511 4.14) and PostgreSQL's SSLRequest. Ends with a connected socket on which the next byte
 * is the client's hello of TLS.
 */
#ifndef RENEWD_IO_HELLO_H
#define RENEWD_IO_HELLO_H

#include "io/dns.h"

struct hello;
/* fd: the callee's from then on; -1 and *err. The hello is gone when this is entered. */
typedef void hello_done_fn(void *arg, int fd, const struct err *err);

bool hello_knows(const char *protocol); /* "ldap", "postgres" */
/* No time limit of its own: cancel it. */
struct hello *hello_start(struct loop *l, const char *protocol, const struct dns_addr *server,
                          hello_done_fn *done, void *arg);
void hello_cancel(struct hello *h); /* NULL is fine */

#endif
