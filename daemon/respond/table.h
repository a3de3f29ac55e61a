/* SPDX-License-Identifier: ISC */
/*
 * What is served now, by token or by server name. Entries of the same key and the same content are
 * served together; those of another content (two CAs prove one name at the same time: tls-alpn-01
 * tells them not apart) wait for their turn, in the order in which they came.
 */
#ifndef RENEWD_RESPOND_TABLE_H
#define RENEWD_RESPOND_TABLE_H

#include "base/list.h"

#include <stdbool.h>

struct table;
struct alpn_cert;

struct entry { /* embedded in its owner, who keeps the texts */
    struct list node;
    const char *key, *content;
    struct alpn_cert *cert; /* of tls-alpn-01 */
    bool served;            /* it has its turn */
    unsigned answered;
    void (*turn)(struct entry *e); /* served has become true, later than table_put() */
};

struct table *table_new(void);
void table_free(struct table *t); /* entries are their owners' */
/* Sets e->served; e must be in no table. */
void table_put(struct table *t, struct entry *e);
void table_remove(struct table *t, struct entry *e);
struct entry *table_find(struct table *t, const char *key); /* one that is served, or NULL */
void table_answered(struct table *t, const char *key);      /* all of them that are served */
bool table_empty(const struct table *t);

#endif
