/* SPDX-License-Identifier: ISC */
/*
 * The state store: an asynchronous key-value interface. Keys are paths of text ("cert/NAME/state",
 * "record/FQDN/VALUE", "ca/URL/..."), values JSON text, revisions count up with each change of a
 * key. Completion means durable. Calls complete in the order they were made. Implementations:
 * SQLite (store/sqlite.h, in a thread of its own, commits grouped), memory (store/memory.h, for
 * tests).
 */
#ifndef RENEWD_STORE_STORE_H
#define RENEWD_STORE_STORE_H

#include "base/err.h"
#include "base/list.h"

#include <stddef.h>
#include <stdint.h>

struct store_item {
    const char *key;
    const char *value;
    size_t len;
    uint64_t revision;
};
/* items live for the call. get: n is 0 or 1; list: all below the prefix, sorted by key. */
typedef void store_read_fn(void *arg, const struct store_item *items, size_t n,
                           const struct err *err);
typedef void store_write_fn(void *arg, const struct err *err);

#define STORE_ANY UINT64_MAX /* expected revision: whatever */
struct store_op {
    const char *key;
    const char *value; /* NULL: delete */
    size_t len;
    uint64_t expected; /* 0: must not exist; STORE_ANY; else this revision */
};

struct store;
struct store_call;
struct store_ops {
    struct store_call *(*get)(struct store *s, const char *key, store_read_fn *done, void *arg);
    struct store_call *(*list)(struct store *s, const char *prefix, store_read_fn *done, void *arg);
    /* All or nothing; a revision that does not match fails with class ERR_LOCAL, type "conflict".
     */
    struct store_call *(*batch)(struct store *s, const struct store_op *ops, size_t n,
                                store_write_fn *done, void *arg); /* done may be NULL */
    /* A copy of all that was written before, as a file of its own, 0600; what is there is replaced.
     * Of the embedded store only: NULL elsewhere. */
    struct store_call *(*copy)(struct store *s, const char *path, store_write_fn *done, void *arg);
    void (*cancel)(struct store_call *c); /* the callback is not called; a write still happens */
    void (*close)(struct store *s); /* finishes writes, then frees; blocks for the last commit */
};
struct store {
    const struct store_ops *ops;
};

static inline struct store_call *store_get(struct store *s, const char *key, store_read_fn *done,
                                           void *arg)
{
    return s->ops->get(s, key, done, arg);
}
static inline struct store_call *store_list(struct store *s, const char *prefix,
                                            store_read_fn *done, void *arg)
{
    return s->ops->list(s, prefix, done, arg);
}
static inline struct store_call *store_batch(struct store *s, const struct store_op *ops, size_t n,
                                             store_write_fn *done, void *arg)
{
    return s->ops->batch(s, ops, n, done, arg);
}
static inline struct store_call *store_copy(struct store *s, const char *path, store_write_fn *done,
                                            void *arg)
{
    return s->ops->copy(s, path, done, arg);
}
struct store_call *store_put(struct store *s, const char *key, const char *value,
                             store_write_fn *done, void *arg);
struct store_call *store_delete(struct store *s, const char *key, store_write_fn *done, void *arg);
static inline void store_cancel(struct store *s, struct store_call *c)
{
    if (c)
        s->ops->cancel(c);
}
static inline void store_close(struct store *s)
{
    if (s)
        s->ops->close(s);
}

#endif
