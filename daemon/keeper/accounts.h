/* SPDX-License-Identifier: ISC */
/*
 * Accounts at CAs, in accounts/ID/, ID from (directory, eab kid, account name), so that entries of
 * `cas` that name the same account share it. Keys stay in memory once read.
 *
 *     key.pem       the key in force
 *     pending.pem   one that is to take its place: durable before the CA hears of it, so that after
 *                   a crash the CA can be asked which of the two it knows
 *     next.pem      one for a change that was refused until records for it are there; tried again
 *                   with the same key, it is pending.pem as well
 *     previous.pem  the one before, until the next change
 *     account.json  URL, and what it belongs to
 *     eab.json      external account that the CA gave out for an address
 */
#ifndef RENEWD_KEEPER_ACCOUNTS_H
#define RENEWD_KEEPER_ACCOUNTS_H

#include "base/err.h"
#include "conf/conf.h"
#include "keeper/statedir.h"
#include "keys/pkey.h"

#include <stdint.h>

struct account {
    char id[33];
    char *url;              /* "" while none is known */
    struct pkey *key;       /* NULL while there is none */
    struct pkey *pending;   /* NULL: no change of keys is under way or was cut short */
    int64_t created_ms;     /* when its URL was stored first; 0: not known */
    char *eab_kid;          /* external account that the CA gave out for an address; NULL: none */
    struct secret *eab_key; /* as it came */
    int64_t deactivated_ms; /* by the operator, for good; 0: it is not */
};

struct accounts;
struct accounts *accounts_new(const struct statedir *s); /* s must live as long */
void accounts_free(struct accounts *a);

/* NULL only when its files cannot be read. Valid as long as a. */
struct account *accounts_get(struct accounts *a, const struct conf_ca *ca, struct err *e);
/* Makes the key when there is none: durable before it is used. */
int accounts_need_key(struct accounts *a, struct account *acc, const struct conf_ca *ca,
                      struct err *e);
int accounts_set_url(struct accounts *a, struct account *acc, const struct conf_ca *ca,
                     const char *url, struct err *e);

/* Durable in eab.json. */
int accounts_set_eab(struct accounts *a, struct account *acc, const char *kid, const char *hmac_key,
                     struct err *e);

/* Takes key, also when it fails: durable as pending.pem. */
int accounts_put_pending(struct accounts *a, struct account *acc, struct pkey *key, struct err *e);
/* The pending key is the one in force from now on. */
int accounts_adopt_pending(struct accounts *a, struct account *acc, struct err *e);
int accounts_drop_pending(struct accounts *a, struct account *acc, struct err *e);
/* The pending key is dropped, but kept for the next change; and taken up by it, if it is of that
 * type and not over 30 days old: *ret_taken. */
int accounts_shelve_pending(struct accounts *a, struct account *acc, struct err *e);
int accounts_unshelve(struct accounts *a, struct account *acc, enum key_type type, int64_t now_ms,
                      bool *ret_taken, struct err *e);
int accounts_deactivate(struct accounts *a, struct account *acc, const struct conf_ca *ca,
                        int64_t now_ms, struct err *e);
/* -1: the account was deactivated, and what to do about it. */
int accounts_check_active(const struct account *acc, const struct conf_ca *ca, struct err *e);

/* What lies on the disk, whether configured or not; texts live for the call. */
struct account_found {
    const char *id, *directory, *name, *kid, *url; /* "" where account.json does not say */
    const struct account *account;                 /* NULL: its files cannot be read */
};
int accounts_each(struct accounts *a, void (*fn)(void *arg, const struct account_found *),
                  void *arg, struct err *e);

#endif
