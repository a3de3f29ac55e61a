/* SPDX-License-Identifier: ISC */
/* What certificate does a server present? A TLS handshake without verification, every address of
 * the host in turn; the leaf as PEM. (libcurl: connect only, certificate info.) */
#ifndef RENEWD_IO_PROBE_H
#define RENEWD_IO_PROBE_H

#include "io/dns.h"
#include "io/http.h"

struct probe;
struct probe_result {
    struct dns_addr addr;
    struct err err;   /* class ERR_NONE when a leaf was read */
    const char *leaf; /* PEM */
};
typedef void probe_done_fn(void *arg, const struct probe_result *results, size_t n,
                           const struct err *err); /* err: the host could not be resolved */
/* connect: "HOST:PORT". */
struct probe *probe_start(struct http *h, const char *connect, const char *sni, int64_t timeout_ms,
                          probe_done_fn *done, void *arg);
void probe_cancel(struct probe *p);

#endif
