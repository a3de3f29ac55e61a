/* SPDX-License-Identifier: ISC */
/* tests/servers/fake_cloudflare.py as a child, and blocking HTTP to it. */
#ifndef TESTS_PLUGINS_FAKE_H
#define TESTS_PLUGINS_FAKE_H

#include "worker/driver.h"

#include <sys/types.h>

struct fake {
    pid_t pid;
    int port;
    char url[64]; /* "http://127.0.0.1:PORT/client/v4" */
};

/* args: more of its options, NULL-terminated. Fails the test if it does not start. */
void fake_start(struct fake *f, const char *const *args);
void fake_stop(struct fake *f);
/* Body of the answer in a static buffer; *ret_status if not NULL. headers end with name NULL or
 * NULL. */
const char *fake_call(const struct fake *f, const char *method, const char *target,
                      const struct worker_pair *headers, uint32_t n_headers, const void *body,
                      size_t body_len, int *ret_status, char *ret_retry_after, size_t size);
/* For struct driver's http: d->arg is the struct fake. Nothing is repeated. */
void fake_http(struct driver *d, const struct worker_http *q, struct worker_http_reply *ret);
const char *fake_records(const struct fake *f);
const char *fake_requests(const struct fake *f); /* since the last time */
void fake_fault(const struct fake *f, const char *json);

#endif
