/* SPDX-License-Identifier: ISC */
/*
 * Account keys that are made, changed, imported; and which of two is in force after a change that
 * was cut short. The order of things on the disk is that of keeper/accounts.h:
 *
 *     make the key -> pending.pem -> the CA is asked -> it has it: key.pem     it has not: removed
 *                                        `- nobody knows: it stays, and the next use of the
 *                                           account asks the CA which of the two it knows
 */
#ifndef RENEWD_KEEPER_ACCOUNT_KEYS_H
#define RENEWD_KEEPER_ACCOUNT_KEYS_H

#include "base/log.h"
#include "keeper/accounts.h"
#include "keeper/tasks.h"
#include "loop/loop.h"

struct account_keys;
struct account_keys_env {
    struct loop *loop;
    const struct log *log;
    struct accounts *accounts;
    struct tasks *tasks;
    const char *program; /* of the keeper: makes slow keys */
    /* account_keys_ready() said 1, and now it is, or cannot be */
    void (*ready)(void *arg, const struct account *account, const struct err *err);
    void *arg;
};
struct account_keys *account_keys_new(const struct account_keys_env *env);
void account_keys_free(struct account_keys *k);

/* Before an account is used: 0 when its key is there or may be made on the way; 1: env.ready() will
 * be called. -1: *e. */
int account_keys_ready(struct account_keys *k, struct conf *conf, const struct conf_ca *ca,
                       struct account *acc, struct err *e);

struct account_keys_handler {
    void (*note)(void *arg, const char *text);
    /* Once. url: of the account whose key it is; in_force: the new key is. err NULL: done. */
    void (*done)(void *arg, bool in_force, const char *url, const struct err *err);
};
/* Another key for the account. force: although records of dns-persist-01 for it are not there;
 * without, the error is of type KEEPER_NEEDS_FORCE and the key is kept for the next time. */
int account_keys_change(struct account_keys *k, struct conf *conf, const struct conf_ca *ca,
                        struct account *acc, enum key_type type, bool force,
                        const struct account_keys_handler *h, void *arg, struct err *e);
/* Which is in force, when accounts has a pending one. */
int account_keys_resolve(struct account_keys *k, struct conf *conf, const struct conf_ca *ca,
                         struct account *acc, const struct account_keys_handler *h, void *arg,
                         struct err *e);
/* This key, which is taken, if the CA has an account for it. */
int account_keys_import(struct account_keys *k, struct conf *conf, const struct conf_ca *ca,
                        struct account *acc, struct pkey *key, const struct account_keys_handler *h,
                        void *arg, struct err *e);

#endif
