/* SPDX-License-Identifier: ISC */
/* Presets of CAs, and the accounts that entries share. */
#ifndef RENEWD_CONF_ACCOUNTS_H
#define RENEWD_CONF_ACCOUNTS_H

#include "conf/reader.h"

enum eab_need { EAB_NONE, EAB_NEEDED, EAB_BY_EMAIL };
enum ca_limit {
    CA_LIMIT_ORDERS,
    CA_LIMIT_SAME_NAMES,
    CA_LIMIT_DOMAIN,
    CA_LIMIT_FAILURES,
    CA_LIMIT_REQUESTS, /* of the directory, not of the account */
    CA_LIMITS
};

/* What the CAs publish; limits of 2026-08. */
struct preset {
    const char *name, *directory, *staging;
    enum eab_need eab;
    bool no_ocsp;
    struct conf_limit limits[CA_LIMITS];
};

/* cas.c */
struct ca_build *ca_find(const struct reader *r, const char *name); /* until the next ca_use */
struct conf_limit *ca_limit(struct conf_ca *ca, size_t i);
const char *ca_limit_name(size_t i);

/* accounts.c: the defaults of one entry's account, then what entries of one account share. */
void account_finish(struct reader *r, struct ca_build *b);
void accounts_share(struct reader *r);

#endif
