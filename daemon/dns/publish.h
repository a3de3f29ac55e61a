/* SPDX-License-Identifier: ISC */
/*
 * From challenges to visible records: all TXT values of one order are published and waited for
 * together.
 *
 *   ALIAS -> CUT -> [BLOCKED] -> LEDGER -> ADD -> PROPAGATE -> READY ... CLEAN -> DONE
 *
 * For every value: the alias chain of `_acme-challenge.NAME` is followed to the final owner name,
 * the zone cut above it found, the provider chosen (conf_provider_for on the final name), the
 * intent to create the record written to the ledger (durable) before the provider is called, the
 * provider's handle stored, and the servers asked until all have all values (DESIGN 8).
 */
#ifndef RENEWD_DNS_PUBLISH_H
#define RENEWD_DNS_PUBLISH_H

#include "base/err.h"
#include "conf/conf.h"
#include "dns/provider.h"

struct publisher; /* per engine: caches, the ledger */
struct publication;
struct store;

struct publisher_env {
    struct loop *loop;
    struct dns *dns;
    struct store *store;
    struct providers *providers;
    const struct rng *rng;
};
struct publisher *publisher_new(const struct publisher_env *env);
void publisher_free(struct publisher *p);
void publisher_configure(struct publisher *p, struct conf *c); /* takes a reference */

struct publish_value {
    const struct conf_name *name; /* of the certificate */
    const char *owner;            /* "_acme-challenge.example.org" */
    const char *value;            /* 43 characters */
};
/* What is being waited for, as people read it; told on every change. */
struct publish_progress {
    const char *phase; /* "following aliases", "adding records", "waiting for name servers" */
    const char *text;  /* "ns2.example.org (192.0.2.2) lacks 1 of 2 values for 12 s; [2001:db8::1]
                          unreachable" */
};
struct publish_handler {
    void (*progress)(void *arg, const struct publish_progress *p);
    /* err class ERR_NONE: all visible (or check none/warn after its time: warning != "" says so).
     * Else the records that were made are still in the ledger: publication_clean() removes them. */
    void (*ready)(void *arg, const struct err *err, const char *warning);
};
/* order: a text that marks the ledger's entries as belonging to a running order (the order's URL).
 */
struct publication *publish_start(struct publisher *p, const struct conf_cert *cert,
                                  const char *order, const struct publish_value *values, size_t n,
                                  const struct publish_handler *h, void *arg);
/* Removes every record of the publication, in the background if need be: done() once all are gone
 * from the provider and from the ledger, or once trying has been handed to the ledger (err set:
 * "will be retried"). Frees the publication in any case; no callback but done() comes after this.
 */
void publication_clean(struct publication *p, void (*done)(void *arg, const struct err *err),
                       void *arg);
/* Once it has failed: what of value i; NULL: nothing. */
const struct err *publication_error(const struct publication *p, size_t i);
/* Once it is ready: its records stay for good, as in ledger_keep(). Frees it; no callback comes. */
void publication_keep(struct publication *p);
/* Forget it without removing anything: its records stay in the ledger under the order's mark. */
void publication_free(struct publication *p);

/*
 * After a start: removes what crashed runs left, except records whose order is in `keep` (to be
 * published again by the resumed orders). Retries with back-off in the background, for ever (at
 * most daily).
 */
void publisher_recover(struct publisher *p, const char *const *keep_orders, size_t n);
/* The order has come to its end, whether it published anew or not: what it left behind is removed
 * in the background (a resumed order may have found its authorizations valid, so that nobody
 * cleans). */
void publisher_order_ended(struct publisher *p, const char *order);
/* Removes now all records not of running orders; done() with how many. */
void publisher_clean_now(struct publisher *p,
                         void (*done)(void *arg, unsigned removed, unsigned failed,
                                      const struct err *first),
                         void *arg);

struct publish_record { /* a line of `renewctl records` */
    const char *fqdn, *value, *provider, *cert, *order;
    int64_t since_ms;  /* wall */
    const char *state; /* "intended", "present", "removing"; "kept": for good */
    const char *last_error;
};
void publisher_records(const struct publisher *p,
                       void (*fn)(void *arg, const struct publish_record *), void *arg);

/* Whether a TXT record is there that fits: the alias chain of owner is followed, all servers are
 * asked as for a publication. No provider is needed. */
struct publish_find;
struct publish_find_spec {
    const char *owner; /* copied */
    bool (*fits)(void *arg, const char *text, size_t n);
    /* Once. err class ERR_NONE: every server has one; ERR_BLOCKED of type "absent": none has;
     * else those that have none did not get it in time, or nobody knows. warning as in `ready`. */
    void (*done)(void *arg, const struct err *err, const char *warning);
    void (*progress)(void *arg, const struct publish_progress *p);
    int64_t timeout_ms; /* 0: of the zone */
};
struct publish_find *publish_find_start(struct publisher *p, const struct publish_find_spec *s,
                                        void *arg);
void publish_find_cancel(struct publish_find *f); /* NULL is fine */

/* For `explain`, `preflight` and blocked certificates: where would the record go? Alias chain, cut,
 * servers, provider; text lines for people; err class ERR_BLOCKED when only the user can mend it
 * (dangling alias, no provider for the final name). Exactly one callback. */
struct publish_look;
struct publish_look *
publish_look_start(struct publisher *p, const struct conf_cert *cert, const struct conf_name *name,
                   void (*done)(void *arg, const char *text, const struct err *err), void *arg);
void publish_look_cancel(struct publish_look *l);

#endif
