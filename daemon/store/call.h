/* SPDX-License-Identifier: ISC */
/* A request to a store and its result, shared by the implementations: copies of what was asked, the
 * callback, the rows found. Private to store/. */
#ifndef RENEWD_STORE_CALL_H
#define RENEWD_STORE_CALL_H

#include "store/store.h"

#define STORE_KEY_MAX 2048u        /* bytes of a key */
#define STORE_VALUE_MAX (1u << 20) /* bytes of a value */

enum store_call_kind { STORE_CALL_GET, STORE_CALL_LIST, STORE_CALL_BATCH, STORE_CALL_COPY };

struct store_call {
    struct list node; /* the implementation's queue */
    enum store_call_kind kind;
    char *key; /* GET, LIST: key or prefix; COPY: path */
    struct store_op *ops;
    size_t n_ops;
    store_read_fn *on_read;
    store_write_fn *on_write;
    void *arg;
    bool cancelled; /* touched by the loop's thread only */
    bool refused;   /* malformed: err is set, nothing is run */
    struct err err;
    struct store_item *items;
    size_t n_items, cap_items;
};

struct store_call *store_call_read(enum store_call_kind kind, const char *key, store_read_fn *done,
                                   void *arg);
struct store_call *store_call_batch(const struct store_op *ops, size_t n, store_write_fn *done,
                                    void *arg);
struct store_call *store_call_copy(const char *path, store_write_fn *done, void *arg);
void store_call_add_item(struct store_call *c, const char *key, const void *value, size_t len,
                         uint64_t revision);
void store_call_clear(struct store_call *c);   /* result and error, to run it again */
void store_call_deliver(struct store_call *c); /* tells the caller unless cancelled; frees */
void store_call_free(struct store_call *c);
int store_conflict(struct err *e, const char *key);

#endif
