/* SPDX-License-Identifier: ISC */
/*
 * Accounts at CAs: accounts/ID/{key.pem, account.json}, ID from (directory, eab kid, account name),
 * so that entries of `cas` that name the same account share it. Keys stay in memory once read.
 */
#ifndef RENEWD_KEEPER_ACCOUNTS_H
#define RENEWD_KEEPER_ACCOUNTS_H

#include "base/err.h"
#include "conf/conf.h"
#include "keeper/statedir.h"
#include "keys/pkey.h"

struct account {
    char id[33];
    char *url;        /* "" while none is known */
    struct pkey *key; /* NULL while there is none */
};

struct accounts;
struct accounts *accounts_new(const struct statedir *s); /* s must live as long */
void accounts_free(struct accounts *a);

/* NULL only when its files cannot be read. Valid as long as a. */
struct account *accounts_get(struct accounts *a, const struct conf_ca *ca, struct err *e);
/* Makes the key when there is none: durable before it is used. */
int accounts_need_key(struct accounts *a, struct account *acc, struct err *e);
int accounts_set_url(struct accounts *a, struct account *acc, const struct conf_ca *ca,
                     const char *url, struct err *e);

#endif
