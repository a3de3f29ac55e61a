/* SPDX-License-Identifier: ISC */
/*
 * Waits until every address of every name server has all TXT values of one name (DESIGN 8): asked
 * directly without recursion, AA required; addresses that do not answer are unknown, not lacking;
 * two rounds must agree.
 */
#ifndef RENEWD_DNS_PROPAGATION_H
#define RENEWD_DNS_PROPAGATION_H

#include "base/list.h"
#include "dns/servers.h"

struct propagation;

struct propagation_env {
    struct loop *loop;
    struct dns *dns;
    struct reach *reach;
    struct list *waiting; /* shared by all: who sees a server catch up has the others look, too;
                             NULL: each is alone */
};

#define PROPAGATION_ABSENT "absent"

struct propagation_spec {
    const char *name; /* final owner name; copied, as are the values */
    const char *const *values;
    size_t n;
    struct server_set *servers;  /* a reference is taken, as of the next */
    struct server_set *fallback; /* resolvers, for when no server answers with authority; or NULL */
    /* Instead of values: any TXT that fits (asked with the handler's arg) will do. Then the end
     * comes at once, with ERR_BLOCKED of type PROPAGATION_ABSENT, when no server has one. */
    bool (*fits)(void *arg, const char *text, size_t n);
    int64_t timeout_ms;
    int64_t typical_ms; /* how long it usually takes; 0: not known */
    bool require;       /* after timeout_ms: an error; else done with a warning */
};

struct propagation_handler {
    /* Told when it changes: "ns2.example.org (192.0.2.2) lacks 1 of 2 values for 12 s; ...
     * unreachable" */
    void (*changed)(void *arg, const char *text);
    /* Once; frees the propagation. warning: servers left out, resolvers asked instead; or "". */
    void (*done)(void *arg, const struct err *err, const char *warning);
};

struct propagation *propagation_start(const struct propagation_env *env,
                                      const struct propagation_spec *spec,
                                      const struct propagation_handler *h, void *arg);
void propagation_free(struct propagation *p); /* cancels */

#endif
