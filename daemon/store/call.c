/* SPDX-License-Identifier: ISC */
#include "store/call.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static struct store_call *call_new(enum store_call_kind kind, void *arg)
{
    struct store_call *c = xnew(struct store_call);
    list_init(&c->node);
    c->kind = kind;
    c->arg = arg;
    return c;
}

static bool key_fits(struct store_call *c, const char *key)
{
    if (strlen(key) <= STORE_KEY_MAX)
        return true;
    err_set(&c->err, ERR_LOCAL, "a key of the state store is over %u bytes: %.60s...",
            STORE_KEY_MAX, key);
    c->refused = true;
    return false;
}

struct store_call *store_call_read(enum store_call_kind kind, const char *key, store_read_fn *done,
                                   void *arg)
{
    struct store_call *c = call_new(kind, arg);
    c->on_read = done;
    c->key = xstrdup(key);
    key_fits(c, key);
    return c;
}

/* Key and value share one allocation, which op->key owns. */
static void copy_op(struct store_op *to, const struct store_op *op)
{
    size_t n = strlen(op->key) + 1;
    char *key = xcalloc(1, n + (op->value ? op->len + 1 : 0));
    memcpy(key, op->key, n);
    *to = (struct store_op){.key = key, .expected = op->expected};
    if (op->value) {
        to->len = op->len;
        to->value = key + n;
        memcpy(key + n, op->value, op->len);
    }
}

struct store_call *store_call_batch(const struct store_op *ops, size_t n, store_write_fn *done,
                                    void *arg)
{
    struct store_call *c = call_new(STORE_CALL_BATCH, arg);
    c->on_write = done;
    for (size_t i = 0; i < n; i++) {
        if (!key_fits(c, ops[i].key))
            return c;
        if (ops[i].value && ops[i].len > STORE_VALUE_MAX) {
            err_set(&c->err, ERR_LOCAL, "the value of %.200s is over %u bytes", ops[i].key,
                    STORE_VALUE_MAX);
            c->refused = true;
            return c;
        }
    }
    c->ops = xcalloc(n ? n : 1, sizeof(*c->ops));
    c->n_ops = n;
    for (size_t i = 0; i < n; i++)
        copy_op(&c->ops[i], &ops[i]);
    return c;
}

struct store_call *store_call_copy(const char *path, store_write_fn *done, void *arg)
{
    struct store_call *c = call_new(STORE_CALL_COPY, arg);
    c->on_write = done;
    c->key = xstrdup(path);
    return c;
}

void store_call_add_item(struct store_call *c, const char *key, const void *value, size_t len,
                         uint64_t revision)
{
    if (c->n_items == c->cap_items) {
        c->cap_items = c->cap_items ? c->cap_items * 2 : 4;
        c->items = xrealloc_array(c->items, c->cap_items, sizeof(*c->items));
    }
    size_t n = strlen(key) + 1;
    char *copy = xcalloc(1, n + len + 1);
    memcpy(copy, key, n);
    if (len)
        memcpy(copy + n, value, len);
    c->items[c->n_items++] =
        (struct store_item){.key = copy, .value = copy + n, .len = len, .revision = revision};
}

void store_call_clear(struct store_call *c)
{
    for (size_t i = 0; i < c->n_items; i++)
        free((char *)c->items[i].key);
    c->n_items = 0;
    if (!c->refused)
        c->err = (struct err)ERR_INIT;
}

void store_call_free(struct store_call *c)
{
    if (!c)
        return;
    store_call_clear(c);
    free(c->items);
    for (size_t i = 0; i < c->n_ops; i++)
        free((char *)c->ops[i].key);
    free(c->ops);
    free(c->key);
    free(c);
}

void store_call_deliver(struct store_call *c)
{
    if (!c->cancelled && c->on_read) {
        bool ok = c->err.cls == ERR_NONE;
        c->on_read(c->arg, ok ? c->items : NULL, ok ? c->n_items : 0, &c->err);
    } else if (!c->cancelled && c->on_write) {
        c->on_write(c->arg, &c->err);
    }
    store_call_free(c);
}

int store_conflict(struct err *e, const char *key)
{
    err_set(e, ERR_LOCAL, "%.200s was changed by someone else meanwhile", key);
    memcpy(e->type, "conflict", sizeof("conflict"));
    return -1;
}
