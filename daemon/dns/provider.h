/* SPDX-License-Identifier: ISC */
/*
 * Provider instances, the engine's side of the workers: starts a worker through the keeper when
 * there is work, queues operations by the plugin's update model (on the final owner name, over all
 * certificates and CAs), performs the HTTP requests and DNS exchanges that the plugin asks for
 * (egress rule, rate, 429 and 5xx handling, redirects refused), bounds every operation in time,
 * kills and restarts what hangs.
 */
#ifndef RENEWD_DNS_PROVIDER_H
#define RENEWD_DNS_PROVIDER_H

#include "base/err.h"
#include "base/log.h"
#include "conf/conf.h"
#include "io/dns.h"
#include "io/http.h"
#include "link/keeper.h"
#include "loop/loop.h"

struct providers; /* all instances of the present configuration */
struct provider_call;
struct exchange_pool;
struct store;

struct providers_env {
    struct loop *loop;
    struct http *http;
    struct dns *dns;
    struct exchange_pool *exchange;
    struct keeper *keeper;
    struct store *store;   /* plugins' caches and state */
    const struct log *log; /* plugins' own lines, at debug; NULL: they are dropped */
    int64_t idle_ms;       /* a worker without work is ended after it; 0: 30 s */
};
struct providers *providers_new(const struct providers_env *env);
void providers_free(struct providers *p);
/* A new generation: instances whose entry changed are replaced when their running calls have ended.
 */
void providers_configure(struct providers *p, const struct conf *c);

struct provider_txt {
    const char *fqdn; /* final owner name: alias chain followed, lower case, no final dot */
    const char *value;
    const char *zone;   /* zone cut above fqdn, a hint */
    const char *handle; /* remove: what add returned, or "" */
};
/* handle: "" or the plugin's text (at most 512 bytes), for the ledger. */
typedef void provider_done_fn(void *arg, const char *handle, const struct err *err);

/* Values present among the TXT values of fqdn, others kept; idempotent. deadline_ms: from now. */
struct provider_call *provider_add(struct providers *p, const char *provider,
                                   const struct provider_txt *txt, int64_t deadline_ms,
                                   provider_done_fn *done, void *arg);
struct provider_call *provider_remove(struct providers *p, const char *provider,
                                      const struct provider_txt *txt, int64_t deadline_ms,
                                      provider_done_fn *done, void *arg);
/* Credentials and zone, without writing (value is ""). A plugin that cannot tell: no error, and the
 * handle is PROVIDER_UNCHECKED. */
#define PROVIDER_UNCHECKED "unchecked"
struct provider_call *provider_check(struct providers *p, const char *provider,
                                     const struct provider_txt *txt, int64_t deadline_ms,
                                     provider_done_fn *done, void *arg);
/* The callback is not called any more; an operation that a worker has begun is finished or killed.
 */
void provider_cancel(struct provider_call *c);

struct provider_status { /* for renewctl */
    const char *name, *plugin;
    bool running; /* a worker is up */
    int pid;
    unsigned restarts;     /* of workers that died unasked */
    char sandbox[160];     /* "landlock 7, seccomp" or what is missing */
    struct err last_error; /* class ERR_NONE: none */
};
/* Calls fn for each instance. */
void providers_status(const struct providers *p,
                      void (*fn)(void *arg, const struct provider_status *), void *arg);
/* How long the plugin says that publication takes, typically; ms, 0: not said (or not yet known).
 */
int64_t provider_propagation_ms(const struct providers *p, const char *provider);

#endif
