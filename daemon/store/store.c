/* SPDX-License-Identifier: ISC */
#include "store/store.h"

#include <string.h>

struct store_call *store_put(struct store *s, const char *key, const char *value,
                             store_write_fn *done, void *arg)
{
    struct store_op op = {.key = key, .value = value, .len = strlen(value), .expected = STORE_ANY};
    return s->ops->batch(s, &op, 1, done, arg);
}

struct store_call *store_delete(struct store *s, const char *key, store_write_fn *done, void *arg)
{
    struct store_op op = {.key = key, .expected = STORE_ANY};
    return s->ops->batch(s, &op, 1, done, arg);
}
