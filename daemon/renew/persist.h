/* SPDX-License-Identifier: ISC */
/*
 * What a record of dns-persist-01 must say for one name, kept after the order so that it can be
 * looked for without one: "cert/NAME/persist/DNSNAME" = {name, ca, owner, wildcard, issuers, uris,
 * until, used}.
 */
#ifndef RENEWD_RENEW_PERSIST_H
#define RENEWD_RENEW_PERSIST_H

#include "digest/persist.h"
#include "dns/publish.h"
#include "loop/loop.h"
#include "store/store.h"

struct json;

struct persist_fact { /* embedded or zeroed; texts are its own */
    char *name, *ca, *owner;
    bool wildcard;
    char **issuers, **uris;
    size_t n_issuers, n_uris;
    int64_t until_ms; /* of the record that was seen last; 0: none, or without end */
    int64_t used_ms;  /* when an order needed it last */
};
void persist_fact_set(struct persist_fact *f, const char *name, const char *ca, const char *owner,
                      bool wildcard, char *const *issuers, size_t n_issuers, char *const *uris,
                      size_t n_uris);
void persist_fact_done(struct persist_fact *f);
char *persist_fact_key(const char *cert, const char *name);          /* the caller frees */
char *persist_fact_text(const struct persist_fact *f);               /* likewise */
int persist_fact_read(struct persist_fact *f, const struct json *j); /* -1: unreadable */

/* From draft -02 on the URIs are hashes of the account's key, too: where they begin to be; NULL:
 * they are of an earlier draft. */
const char *persist_fact_hash(const struct persist_fact *f);
/* As it has to be for that key. 0; -1: *e, f is unchanged. */
int persist_fact_rehash(struct persist_fact *f, const char *thumbprint, const char *account_url,
                        struct err *e);

/* The record to be written, as a zone file has it between the quotes. until_ms 0: without. Appended
 * to out. */
int persist_fact_record(const struct persist_fact *f, int64_t until_ms, struct buf *out,
                        struct err *e);

/* Looks for it. */
struct persist_find;
struct persist_find_handler {
    void (*progress)(void *arg, const struct publish_progress *p); /* may be NULL */
    /* Once. err class ERR_NONE: every server has it; until_ms: its end, 0: none. ERR_BLOCKED: no
     * server has one that fits; the detail is the record to create, or what is wrong with the one
     * that is there. */
    void (*done)(void *arg, int64_t until_ms, const struct err *err, const char *warning);
};
/* f is copied. margin_ms: records that end sooner do not count. timeout_ms as in publish_find. */
struct persist_find *persist_find_start(struct publisher *p, struct loop *l,
                                        const struct persist_fact *f, int64_t margin_ms,
                                        int64_t timeout_ms, const struct persist_find_handler *h,
                                        void *arg);
void persist_find_cancel(struct persist_find *s); /* NULL is fine */

#endif
