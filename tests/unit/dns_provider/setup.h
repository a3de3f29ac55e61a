/* SPDX-License-Identifier: ISC */
/* Provider instances with everything real below them (loop, HTTP, DNS, workers, plugins), but for
 * the keeper: a stand-in that starts workers as the keeper does, without changing users. */
#ifndef TESTS_DNS_PROVIDER_SETUP_H
#define TESTS_DNS_PROVIDER_SETUP_H

#include "dns/provider.h"
#include "io/exchange.h"
#include "store/store.h"
#include "worker/driver.h"

#define MAX_WORKERS 64

struct setup_option {
    const char *name, *value;
    bool secret;
};

struct setup_provider {
    const char *name;
    const char *so; /* below the build: "plugins/rfc2136.so" */
    struct setup_option options[8];
};

struct fake_keeper {
    struct keeper keeper;
    struct loop *loop;
    const struct setup_provider *providers;
    size_t n_providers;
    struct driver workers[MAX_WORKERS];
    const char *names[MAX_WORKERS];
    size_t n_workers; /* that were ever started */
    unsigned kills;
    struct err refuse; /* class not NONE: worker() fails with it */
};

struct setup {
    struct loop *loop;
    struct dns *dns;
    struct http *http;
    struct exchange_pool *exchange;
    struct store *store;
    struct fake_keeper keeper;
    struct providers *providers;
    struct conf conf;
};

#define SETUP_IDLE_MS 300
void setup_start(struct setup *s, const struct setup_provider *v, size_t n);
/* Another generation. */
void setup_configure(struct setup *s, const struct setup_provider *v, size_t n);
void setup_stop(struct setup *s);

struct outcome {
    bool done;
    unsigned order; /* 1 for the first that ended */
    struct err err;
    char handle[600];
    struct provider_call *call;
    struct setup *setup;
    unsigned *left;
};
/* Not waited for. */
void setup_op(struct setup *s, struct outcome *o, bool add, const char *provider, const char *fqdn,
              const char *value, int64_t deadline_ms);
/* Until all n have ended. */
void setup_wait(struct setup *s, struct outcome *v, size_t n);
/* One add to example.org, waited for. */
struct outcome setup_add(struct setup *s, const char *provider, const char *value);
struct outcome setup_check(struct setup *s, const char *provider, const char *value); /* likewise */

#endif
