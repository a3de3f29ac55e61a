/* SPDX-License-Identifier: ISC */
/* DNS replies (RFC 1035 4.1) to plain records. c-ares 1.18 shows neither sections nor flags, so
 * header and record frames are read here; names are expanded by c-ares. */
#ifndef RENEWD_IO_DNS_MESSAGE_H
#define RENEWD_IO_DNS_MESSAGE_H

#include "io/dns.h"

/* Reads a reply to the question (name, type). A message that is cut, inconsistent or answers
 * something else is ERR_PEER. Records whose names hold unusual bytes are left out, as are other
 * classes. */
int dns_message_read(const void *msg, size_t n, const char *name, enum dns_type type,
                     struct dns_reply *ret, struct err *e);
void dns_reply_done(struct dns_reply *r); /* frees the records; also of a zeroed one */

#endif
