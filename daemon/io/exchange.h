/* SPDX-License-Identifier: ISC */
/* One raw DNS message over TCP to one server (RFC 1035 4.2.2) and one answer with the same id: for
 * dynamic updates, which c-ares rewrites. Connections to a server are kept for a few seconds of
 * reuse. */
#ifndef RENEWD_IO_EXCHANGE_H
#define RENEWD_IO_EXCHANGE_H

#include "base/err.h"
#include "io/dns.h"

struct exchange_pool;
struct exchange;

struct exchange_pool *exchange_pool_new(struct loop *l);
void exchange_pool_free(struct exchange_pool *p);
typedef void exchange_done_fn(void *arg, const void *reply, size_t n, const struct err *err);
struct exchange *exchange_start(struct exchange_pool *p, const struct dns_addr *server,
                                const void *message, size_t n, int64_t timeout_ms,
                                exchange_done_fn *done, void *arg);
void exchange_cancel(struct exchange *x);

#endif
