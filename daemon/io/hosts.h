/* SPDX-License-Identifier: ISC */
/* Addresses of hosts, remembered for a minute; several who ask for one host share a look-up. */
#ifndef RENEWD_IO_HOSTS_H
#define RENEWD_IO_HOSTS_H

#include "io/dns.h"

struct hosts;

/* Embedded in who waits; zeroed is idle. */
struct host_wait {
    struct list node;
    bool waiting;
    dns_resolved_fn *done; /* ports of the addresses are 0 */
    void *arg;
};

struct hosts *hosts_new(struct loop *l, struct dns *d);
void hosts_free(struct hosts *h); /* nobody waits any more */
/* NULL: not known, or no longer. Lives until the next call of any hosts_ function. */
const struct dns_addr *hosts_known(struct hosts *h, const char *host, size_t *ret_n);
void hosts_find(struct hosts *h, const char *host, struct host_wait *w, dns_resolved_fn *done,
                void *arg);
void host_wait_cancel(struct host_wait *w);
void hosts_forget(struct hosts *h, const char *host); /* did not answer: look again next time */

#endif
