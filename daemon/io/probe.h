/* SPDX-License-Identifier: ISC */
/* What certificate does a server present? A TLS handshake without verification, at every address of
 * the host; the leaf as PEM. (libcurl: connect only, certificate info.) */
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
/* A server may have certificates of several kinds of key: which one is to be shown. */
enum probe_key { PROBE_ANY_KEY, PROBE_ECDSA, PROBE_RSA };
struct probe_spec {
    const char *connect;  /* "HOST:PORT" */
    const char *sni;      /* NULL, "": the host */
    const char *starttls; /* NULL, "", "smtp", "imap", "pop3", "ldap", "postgres" */
    enum probe_key key;
    int64_t timeout_ms; /* 0: 10 s */
};
struct probe *probe_start(struct http *h, const struct probe_spec *s, probe_done_fn *done,
                          void *arg);
void probe_cancel(struct probe *p);

#endif
