/* SPDX-License-Identifier: ISC */
/*
 * Are the records of dns-persist-01 still there for which the names of a certificate were proved
 * last (persist.h), for how long yet, and are they for the account as it is now?
 */
#ifndef RENEWD_RENEW_PERSIST_WATCH_H
#define RENEWD_RENEW_PERSIST_WATCH_H

#include "conf/conf.h"
#include "dns/finding.h"
#include "link/keeper.h"
#include "loop/loop.h"

struct persist_fact;
struct publisher;
struct store;
struct store_item;
struct persist_watch;

struct persist_watch_spec { /* copied, but for conf, which is referenced */
    struct loop *loop;
    struct store *store;
    struct publisher *publisher;
    struct keeper *keeper;
    struct conf *conf;
    const struct conf_cert *cert;
    const char *only; /* this name alone; "": all */
    const char *ca;   /* facts of other CAs mean nothing */
};
bool persist_watch_wanted(const struct conf_cert *cert); /* a name may be proved so */
/* Whose fact the item is; false: of nobody in the configuration, or it is none. The fact is the
 * caller's to end. */
bool persist_watch_read(const struct conf *c, const struct store_item *item,
                        struct persist_fact *ret, const struct conf_cert **ret_cert,
                        const struct conf_name **ret_name);
/* A fact of nobody in the configuration, and no order has needed it for 90 days. */
bool persist_watch_stale(const struct conf *c, const struct store_item *item, int64_t now_ms);
/* done once, later; the watch is gone. Takes what it likes out of the findings. */
struct persist_watch *persist_watch_start(const struct persist_watch_spec *s,
                                          void (*done)(void *arg, struct findings *f), void *arg);
void persist_watch_cancel(struct persist_watch *w); /* NULL is fine */

#endif
