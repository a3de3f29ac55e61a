/* SPDX-License-Identifier: ISC */
/*
 * One HTTP request of a plugin, with the repetitions that the host makes for it:
 *
 *     TRY --429 or 503 with Retry-After, within the deadline--> WAIT --> TRY
 *      |--connection or 5xx, request may be repeated, 3 tries--> WAIT --> TRY
 *      +--everything else--> done()
 */
#ifndef RENEWD_DNS_PROVIDER_HTTP_H
#define RENEWD_DNS_PROVIDER_HTTP_H

#include "dns/provider_reach.h"
#include "io/http.h"
#include "loop/loop.h"
#include "wire/worker_msg.h"

struct provider_http {
    struct loop *loop;
    struct http_site *site;
    const struct reach_list *reach;
    struct worker_http *q; /* NULL: idle */
    char **headers;
    unsigned tries;
    int64_t deadline_ms; /* mono */
    struct http_call *call;
    struct timer again;
    struct defer refused;
    struct err err;
    /* reply lives for the call */
    void (*done)(void *arg, const struct worker_http_reply *reply);
    void *arg;
};

/* Takes q, which was decoded. One at a time. */
void provider_http_start(struct provider_http *p, struct worker_http *q, int64_t deadline_ms,
                         void (*done)(void *arg, const struct worker_http_reply *reply), void *arg);
void provider_http_cancel(struct provider_http *p);

#endif
