/* SPDX-License-Identifier: ISC */
/*
 * A store whose writes take time, as SQLite's do: they are done together when the commit comes, in
 * the order they were made, and a crash before that loses them. Reads see what is committed.
 */
#include "base/mem.h"
#include "base/str.h"
#include "store/call.h"
#include "store/memory.h"
#include "world.h"

#include <stdlib.h>

struct slow {
    struct store store; /* first: what users have */
    struct loop *loop;
    struct store *memory;
    struct list writes; /* of struct store_call */
    struct timer commit;
    int64_t commit_ms;
};

static struct slow *of(struct store *s)
{
    return CONTAINER_OF(s, struct slow, store);
}

static struct store_call *get(struct store *s, const char *key, store_read_fn *done, void *arg)
{
    return store_get(of(s)->memory, key, done, arg);
}

static struct store_call *list(struct store *s, const char *prefix, store_read_fn *done, void *arg)
{
    return store_list(of(s)->memory, prefix, done, arg);
}

static void commit(void *arg)
{
    struct slow *s = arg;
    struct list all;
    list_init(&all);
    while (!list_empty(&s->writes)) { /* callbacks may write again */
        struct list *node = s->writes.next;
        list_remove(node);
        list_append(&all, node);
    }
    while (!list_empty(&all)) {
        struct store_call *c = list_item(all.next, struct store_call, node);
        list_remove(&c->node);
        store_batch(s->memory, c->ops, c->n_ops, NULL, NULL);
        store_call_deliver(c);
    }
}

static struct store_call *batch(struct store *store, const struct store_op *ops, size_t n,
                                store_write_fn *done, void *arg)
{
    struct slow *s = of(store);
    struct store_call *c = store_call_batch(ops, n, done, arg);
    if (list_empty(&s->writes))
        timer_after(s->loop, &s->commit, s->commit_ms, commit, s);
    list_append(&s->writes, &c->node);
    return c;
}

/* Reads of the memory's are calls of the same kind. */
static void cancel(struct store_call *c)
{
    c->cancelled = true;
}

void world_store_crash(struct store *store, bool lost)
{
    struct slow *s = of(store);
    timer_cancel(&s->commit);
    if (!lost)
        commit(s);
    list_each(it, &s->writes)
    {
        struct store_call *c = list_item(it, struct store_call, node);
        list_remove(it);
        store_call_free(c);
    }
}

static void close(struct store *store)
{
    struct slow *s = of(store);
    world_store_crash(store, true);
    store_close(s->memory);
    free(s);
}

struct store *world_store_new(struct loop *l, int64_t commit_ms)
{
    static const struct store_ops ops = {
        .get = get, .list = list, .batch = batch, .cancel = cancel, .close = close};
    struct slow *s = xnew(struct slow);
    s->store.ops = &ops;
    s->loop = l;
    s->memory = store_memory_new(l);
    s->commit_ms = commit_ms;
    list_init(&s->writes);
    return &s->store;
}
