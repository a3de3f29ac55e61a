/* SPDX-License-Identifier: ISC */
/*
 * What a CA allows within a time (its rate limits), counted here as well, so that they are not run
 * into: a refused request is at best lost, and some CAs count it. Durable, for a restart must not
 * make a new start; shared by all certificates of an account.
 *
 * Counted as the CAs do, by GCRA: of n in a period, one comes back every period / n. All that there
 * is to remember of a budget is the instant at which it will be whole again ("budget/SUBJECT" in
 * the store); one that is whole is forgotten.
 */
#ifndef RENEWD_RENEW_BUDGET_H
#define RENEWD_RENEW_BUDGET_H

#include "base/map.h"
#include "conf/conf.h"
#include "store/store.h"

enum budget_kind {
    BUDGET_ORDERS,     /* new orders of an account */
    BUDGET_SAME_NAMES, /* certificates for exactly the same names */
    BUDGET_DOMAIN,     /* certificates for names of one registered domain */
    BUDGET_FAILURES,   /* failed authorizations of a name by an account */
};

struct budgets;
struct budgets *budgets_new(void);
void budgets_free(struct budgets *b); /* NULL is fine */
/* One item of the store below "budget/". false: of no use any more, it may be deleted. */
bool budgets_read(struct budgets *b, const struct store_item *item, int64_t now_ms);

/* "DIRECTORY KID ACCOUNT": who has budgets. Entries of the configuration that name one account
 * share it. The caller frees. */
char *budget_account(const struct conf_ca *ca);

struct budget {
    enum budget_kind kind;
    const struct conf_limit *limit;
    const char *account;
    const char *subject; /* names hash, registered domain, name; "" for BUDGET_ORDERS */
};
/* When one more may be taken: 0 now, else wall time. */
int64_t budget_free_at(const struct budgets *b, const struct budget *of, int64_t now_ms);
/* How many may be taken now. */
unsigned budget_left(const struct budgets *b, const struct budget *of, int64_t now_ms);
/* Takes one, if need be from the future. *ret: what is to be stored before the request is sent; key
 * and value are the caller's to free. false: no such limit, nothing is to be stored. */
struct budget_write {
    char *key, *value;
};
bool budget_take(struct budgets *b, const struct budget *of, int64_t now_ms,
                 struct budget_write *ret);
/* One that was taken for nothing; as budget_take(). */
bool budget_give_back(struct budgets *b, const struct budget *of, int64_t now_ms,
                      struct budget_write *ret);
/* "300 new orders in 3 h" */
const char *budget_text(const struct budget *of, char *buf, size_t size);

#endif
