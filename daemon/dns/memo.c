/* SPDX-License-Identifier: ISC */
#include "dns/memo.h"
#include "base/map.h"
#include "base/mem.h"

#include <stdlib.h>

struct memo {
    struct loop *loop;
    const struct memo_kind *kind;
    void *arg;
    struct map *entries;
};

struct memo *memo_new(struct loop *l, const struct memo_kind *kind, void *arg)
{
    struct memo *m = xnew(struct memo);
    m->loop = l;
    m->kind = kind;
    m->arg = arg;
    m->entries = map_new();
    return m;
}

static void unref(struct memo_entry *e)
{
    if (--e->refs)
        return;
    if (e->known)
        e->memo->kind->free_result(e->result);
    free(e->text);
    free(e);
}

/* Out of the table; who waits for a known result keeps it until he is told. */
static void drop(struct memo_entry *e)
{
    map_remove(e->memo->entries, e->text);
    unref(e);
}

void memo_wait_cancel(struct memo_wait *w)
{
    struct memo_entry *e = w->entry;
    if (!e)
        return;
    w->entry = NULL;
    defer_cancel(&w->defer);
    list_remove(&w->node);
    unref(e);
}

/* Forgets results: all of them, or those whose time is over. */
static void sweep(struct memo *m, bool all)
{
    struct map *old = m->entries;
    const char *key;
    void *value;
    m->entries = map_new();
    for (size_t i = 0; map_next(old, &i, &key, &value);) {
        struct memo_entry *e = value;
        if (e->known && (all || e->until_ms <= loop_mono_ms(m->loop)))
            unref(e);
        else
            map_put(m->entries, key, e);
    }
    map_free(old);
}

void memo_clear(struct memo *m)
{
    sweep(m, true);
}

static void stop(struct memo_entry *e)
{
    if (e->work)
        e->memo->kind->stop(e->work);
    e->work = NULL;
    while (!list_empty(&e->waiters))
        memo_wait_cancel(list_item(e->waiters.next, struct memo_wait, node));
}

void memo_free(struct memo *m)
{
    const char *key;
    void *value;
    if (!m)
        return;
    for (size_t i = 0; map_next(m->entries, &i, &key, &value);) {
        stop(value);
        unref(value);
    }
    map_free(m->entries);
    free(m);
}

static struct memo_entry *entry_new(struct memo *m, const char *key)
{
    struct memo_entry *e = xnew(struct memo_entry);
    if (map_len(m->entries) >= m->kind->most)
        sweep(m, false);
    if (map_len(m->entries) >= m->kind->most)
        memo_clear(m);
    e->memo = m;
    e->key = e->text = xstrdup(key);
    e->refs = 1;
    list_init(&e->waiters);
    map_put(m->entries, key, e);
    return e;
}

static void deliver(void *arg)
{
    struct memo_wait *w = arg;
    struct memo_entry *e = w->entry;
    w->entry = NULL;
    list_remove(&w->node);
    w->fn(w->arg, e->result);
    unref(e);
}

void memo_get(struct memo *m, const char *key, const void *subject, bool fresh, struct memo_wait *w,
              memo_done_fn *fn, void *arg)
{
    struct memo_entry *e = map_get(m->entries, key);
    if (e && e->known && (fresh || e->until_ms <= loop_mono_ms(m->loop))) {
        drop(e);
        e = NULL;
    }
    bool begin = !e;
    if (begin)
        e = entry_new(m, key);
    w->entry = e;
    w->fn = fn;
    w->arg = arg;
    e->refs++;
    list_append(&e->waiters, &w->node);
    if (e->known) {
        loop_defer(m->loop, &w->defer, deliver, w);
    } else if (begin) {
        e->subject = subject;
        m->kind->start(m->arg, e);
        e->subject = NULL;
    }
}

void memo_result(struct memo_entry *e, void *result, int64_t keep_ms)
{
    struct memo *m = e->memo;
    e->work = NULL;
    e->result = result;
    e->known = true;
    e->until_ms = loop_mono_ms(m->loop) + keep_ms;
    /* A callback may ask again, cancel others, or clear the memo. */
    e->refs++;
    while (!list_empty(&e->waiters)) {
        struct memo_wait *w = list_item(e->waiters.next, struct memo_wait, node);
        defer_cancel(&w->defer);
        deliver(w);
    }
    unref(e);
}
