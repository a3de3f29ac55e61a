/* SPDX-License-Identifier: ISC */
/*
 * The ledger of TXT records: what was made, or may have been made, and must be removed. An entry is
 * durable before the provider is asked to create the record, and leaves the store only after the
 * provider said that the record is gone. Removals that fail are tried again in the background:
 * after 1, 10, 100 minutes, then daily, for ever.
 *
 * Kept in the store as `record/FQDN/VALUE` = {fqdn, value, provider, zone, handle, cert, order,
 * state, since, error}.
 */
#ifndef RENEWD_DNS_LEDGER_H
#define RENEWD_DNS_LEDGER_H

#include "dns/provider.h"
#include "dns/publish.h"
#include "store/store.h"

struct ledger;
struct ledger_entry;
struct ledger_call;

struct ledger_env {
    struct loop *loop;
    struct store *store;
    struct providers *providers;
    const struct rng *rng;
};
struct ledger *ledger_new(const struct ledger_env *env); /* begins to load what the store holds */
void ledger_free(struct ledger *l);

struct ledger_intent { /* copied */
    const char *fqdn, *value, *provider, *zone, *cert, *order;
};
/* entries: as many as intents, held for the caller until ledger_clean() or ledger_release(); NULL:
 * *err. Comes when all intents are durable (one batch), which waits for removals of the same
 * records that are on their way. */
typedef void ledger_intended_fn(void *arg, struct ledger_entry *const *entries,
                                const struct err *err);
struct ledger_call *ledger_intend(struct ledger *l, const struct ledger_intent *intents, size_t n,
                                  ledger_intended_fn *done, void *arg);
/* Gives a call up, before its callback; entries of records that exist are removed (clean) or stay.
 */
void ledger_abandon(struct ledger_call *c, bool clean);

/* The provider is about to be asked: from here on the record may exist. */
void ledger_touch(struct ledger_entry *e);
/* It exists; handle as the provider gave it. In memory until ledger_save(). */
void ledger_present(struct ledger_entry *e, const char *handle);
/* done (may be NULL) when the present state of the entries is durable. */
struct store_call *ledger_save(struct ledger *l, struct ledger_entry *const *entries, size_t n,
                               store_write_fn *done, void *arg);

/* Ends the hold and removes the records. done (may be NULL) comes once: all gone, or the first
 * failure after every record was tried; the rest goes on in the background. */
void ledger_clean(struct ledger *l, struct ledger_entry *const *entries, size_t n,
                  void (*done)(void *arg, const struct err *err), void *arg);
/* Ends the hold; the records stay for good (dns-persist-01): neither recovery nor
 * ledger_clean_now() removes them. Those that were kept before at the same name for the same
 * certificate are removed. done (may be NULL) when that is durable. */
struct store_call *ledger_keep(struct ledger *l, struct ledger_entry *const *entries, size_t n,
                               store_write_fn *done, void *arg);
void ledger_release(
    struct ledger_entry *e); /* ends the hold; the record stays, under its order's mark */

/* See dns/publish.h. All wait until the ledger is loaded. */
void ledger_recover(struct ledger *l, const char *const *keep_orders, size_t n);
void ledger_order_ended(struct ledger *l, const char *order);
void ledger_clean_now(struct ledger *l,
                      void (*done)(void *arg, unsigned removed, unsigned failed,
                                   const struct err *first),
                      void *arg);
void ledger_retry(struct ledger *l); /* what failed, now: the configuration has changed */
void ledger_records(const struct ledger *l,
                    void (*fn)(void *arg, const struct publish_record *record), void *arg);

#endif
