/* SPDX-License-Identifier: ISC */
/* One record of the ledger, its text in the store. Private to dns/. */
#ifndef RENEWD_DNS_LEDGER_ENTRY_H
#define RENEWD_DNS_LEDGER_ENTRY_H

#include "dns/ledger.h"

#define LEDGER_PREFIX "record/"
#define LEDGER_VALUE_MAX 16384u
#define LEDGER_FOR_GOOD "for good" /* in the place of an order */

enum ledger_state { LEDGER_INTENDED, LEDGER_PRESENT, LEDGER_REMOVING };
enum ledger_work { LEDGER_QUIET, LEDGER_ASKING, LEDGER_WAITING, LEDGER_DELETING };

struct ledger_entry {
    struct ledger *ledger;
    char *key; /* in the store */
    char *fqdn, *value, *provider, *zone, *handle, *cert, *order, *error;
    enum ledger_state state;
    int64_t since; /* wall, ms */
    /* not stored */
    unsigned holds; /* publications */
    bool touched;   /* the provider was or may have been asked to create it */
    bool kept;      /* its order will be resumed */
    enum ledger_work work;
    unsigned fails;
    struct timer timer;
    struct provider_call *asking;
    struct store_call *deleting;
    struct list waiters; /* of the end of the present removal */
};

const char *ledger_state_name(enum ledger_state s);
bool ledger_entry_for_good(const struct ledger_entry *e); /* and is there */
struct ledger_entry *ledger_entry_new(struct ledger *l, const struct ledger_intent *i);
/* From the store. What cannot be read leaves empty fields: the entry itself is never lost. */
struct ledger_entry *ledger_entry_parse(struct ledger *l, const struct store_item *item);
void ledger_entry_assign(struct ledger_entry *e, const struct ledger_intent *i);
char *ledger_entry_print(const struct ledger_entry *e); /* the caller frees */
void ledger_entry_free(struct ledger_entry *e);         /* neither timer nor calls */
char *ledger_key(const char *fqdn, const char *value);

#endif
