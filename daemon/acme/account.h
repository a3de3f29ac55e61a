/* SPDX-License-Identifier: ISC */
/*
 * The account at a CA (RFC 8555 7.3). Known ones come from the keeper; else newAccount, which also
 * finds an account that the CA has and we forgot. One request for all who wait. Key, contact and
 * terms are the keeper's; the URL is durable there before anybody here sees it.
 *
 *   UNKNOWN, READY -> LOOKUP -> READY
 *                       | `-> FORGET -.     the CA says that it has no such account
 *                       `-> DIRECTORY <-' -> REGISTER -> SAVE -> READY
 *                                 |            ^  |  ^       ^
 *                                 `-> FIND ----'  |  |       |
 *                                       |         `-> EAB    |
 *                                       `--------------------'
 *
 * FIND comes before a key that exists is bound to an external account: bindings may be good for one
 * use, and the account may be there. EAB: the CA gives the binding out for an address (ZeroSSL).
 */
#ifndef RENEWD_ACME_ACCOUNT_H
#define RENEWD_ACME_ACCOUNT_H

#include "acme/directory.h"
#include "link/keeper.h"

struct ca;
struct request;
struct eab_fetch;

enum account_state {
    ACCOUNT_UNKNOWN = 0,
    ACCOUNT_LOOKUP,
    ACCOUNT_FORGET,
    ACCOUNT_DIRECTORY,
    ACCOUNT_FIND,
    ACCOUNT_REGISTER,
    ACCOUNT_EAB,
    ACCOUNT_SAVE,
    ACCOUNT_READY
};
struct account {
    struct ca *ca;
    enum account_state state;
    char *url, *thumbprint;
    unsigned changes; /* how often url has changed since the start */
    bool lost;        /* told by account_lost ... */
    unsigned lost_at; /* ... of the account at this count of changes */
    struct list waiters;
    struct keeper_call *call;
    struct request *request;
    struct eab_fetch *fetch;
    bool terms, bind; /* of the registration under way */
    struct directory_wait directory;
};
void account_init(struct account *a, struct ca *ca);
void account_done(struct account *a);

typedef void account_fn(void *arg, const struct err *err); /* NULL: ca->account is ready */
struct account_wait {                                      /* embedded; zeroed is idle */
    struct list node;
    account_fn *fn;
    void *arg;
    bool waiting;
};
bool account_ready(const struct account *a);
/* fn is called later, from the loop. */
void account_get(struct account *a, struct account_wait *w, account_fn *fn, void *arg);
/* The CA does not know the account that was ours when `changes` was `seen`: looks for it or makes
 * one. */
void account_lost(struct account *a, unsigned seen, struct account_wait *w, account_fn *fn,
                  void *arg);
void account_wait_cancel(struct account_wait *w);

#endif
