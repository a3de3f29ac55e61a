/* SPDX-License-Identifier: ISC */
#include "store/memory.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/call.h"

#include <stdlib.h>
#include <string.h>

struct row {
    char *value;
    size_t len;
    uint64_t revision;
};

struct memory {
    struct store store;
    struct loop *loop;
    struct map *rows;
    struct list done; /* store_call.node, in the order of the calls */
    struct defer defer;
    bool delivering, closed; /* closed inside a callback: freed when that is over */
};

static void row_free(struct row *r)
{
    if (r)
        free(r->value);
    free(r);
}

static void memory_free(struct memory *m)
{
    const char *key;
    void *row;
    defer_cancel(&m->defer);
    list_each(it, &m->done) store_call_free(list_item(it, struct store_call, node));
    for (size_t i = 0; map_next(m->rows, &i, &key, &row);)
        row_free(row);
    map_free(m->rows);
    free(m);
}

static void deliver(void *arg)
{
    struct memory *m = arg;
    struct list *last = m->done.prev; /* what the callbacks ask for comes later */
    m->delivering = true;
    for (bool more = !list_empty(&m->done); more && !m->closed;) {
        struct store_call *c = list_item(m->done.next, struct store_call, node);
        more = &c->node != last;
        list_remove(&c->node);
        store_call_deliver(c);
    }
    m->delivering = false;
    if (m->closed)
        memory_free(m);
}

static struct store_call *finish(struct memory *m, struct store_call *c)
{
    list_append(&m->done, &c->node);
    loop_defer(m->loop, &m->defer, deliver, m);
    return c;
}

static void add_row(struct store_call *c, const char *key, const struct row *r)
{
    store_call_add_item(c, key, r->value, r->len, r->revision);
}

static struct store_call *memory_get(struct store *s, const char *key, store_read_fn *done,
                                     void *arg)
{
    struct memory *m = CONTAINER_OF(s, struct memory, store);
    struct store_call *c = store_call_read(STORE_CALL_GET, key, done, arg);
    const struct row *r = map_get(m->rows, key);
    if (r && !c->refused)
        add_row(c, key, r);
    return finish(m, c);
}

static int by_key(const void *a, const void *b)
{
    const struct store_item *x = a, *y = b;
    return strcmp(x->key, y->key);
}

static struct store_call *memory_list(struct store *s, const char *prefix, store_read_fn *done,
                                      void *arg)
{
    struct memory *m = CONTAINER_OF(s, struct memory, store);
    struct store_call *c = store_call_read(STORE_CALL_LIST, prefix, done, arg);
    const char *key;
    void *row;
    for (size_t i = 0; !c->refused && map_next(m->rows, &i, &key, &row);)
        if (str_starts(key, prefix))
            add_row(c, key, row);
    if (c->n_items)
        qsort(c->items, c->n_items, sizeof(*c->items), by_key);
    return finish(m, c);
}

static void apply(struct memory *m, const struct store_op *op)
{
    struct row *old = map_get(m->rows, op->key);
    if (!op->value) {
        row_free(map_remove(m->rows, op->key));
        return;
    }
    struct row *r = xnew(struct row);
    r->value = xmemdup(op->value, op->len ? op->len : 1);
    r->len = op->len;
    r->revision = old ? old->revision + 1 : 1;
    row_free(map_put(m->rows, op->key, r));
}

/* Revisions as the operations before it in the same batch would leave them. */
static uint64_t revision_at(const struct memory *m, const struct store_call *c, size_t upto)
{
    const struct row *r = map_get(m->rows, c->ops[upto].key);
    uint64_t rev = r ? r->revision : 0;
    for (size_t i = 0; i < upto; i++)
        if (str_eq(c->ops[i].key, c->ops[upto].key))
            rev = c->ops[i].value ? rev + 1 : 0;
    return rev;
}

static struct store_call *memory_batch(struct store *s, const struct store_op *ops, size_t n,
                                       store_write_fn *done, void *arg)
{
    struct memory *m = CONTAINER_OF(s, struct memory, store);
    struct store_call *c = store_call_batch(ops, n, done, arg);
    bool ok = !c->refused;
    for (size_t i = 0; ok && i < c->n_ops; i++) {
        if (c->ops[i].expected != STORE_ANY && c->ops[i].expected != revision_at(m, c, i)) {
            store_conflict(&c->err, c->ops[i].key);
            ok = false;
        }
    }
    for (size_t i = 0; ok && i < c->n_ops; i++)
        apply(m, &c->ops[i]);
    return finish(m, c);
}

static void memory_cancel(struct store_call *c)
{
    c->cancelled = true;
}

static void memory_close(struct store *s)
{
    struct memory *m = CONTAINER_OF(s, struct memory, store);
    m->closed = true;
    if (!m->delivering)
        memory_free(m);
}

static const struct store_ops memory_ops = {.get = memory_get,
                                            .list = memory_list,
                                            .batch = memory_batch,
                                            .cancel = memory_cancel,
                                            .close = memory_close};

struct store *store_memory_new(struct loop *l)
{
    struct memory *m = xnew(struct memory);
    m->store.ops = &memory_ops;
    m->loop = l;
    m->rows = map_new();
    list_init(&m->done);
    return &m->store;
}
