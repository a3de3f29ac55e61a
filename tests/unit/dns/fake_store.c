/* SPDX-License-Identifier: ISC */
#include "base/mem.h"
#include "fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct noting {
    struct store store;
    struct store *real;
    struct fake_providers *log;
    unsigned fail;
    bool hold;
    struct list notes, held;
};
/* What stands for the call: ours, so that cancelling is ours too. */
struct store_call {
    struct list node;
    struct noting *s;
    char text[512];
    store_read_fn *on_read;
    store_write_fn *on_write;
    void *arg;
    bool fail;
};

static void finish(struct store_call *n, const struct err *err)
{
    struct err e = *err;
    if (n->fail)
        err_set(&e, ERR_LOCAL, "the disk is full");
    else
        fake_log(n->s->log, "%s", n->text);
    list_remove(&n->node);
    if (n->on_write)
        n->on_write(n->arg, &e);
    free(n);
}

static void on_durable(void *arg, const struct err *err)
{
    struct store_call *n = arg;
    if (!n->s->hold) {
        finish(n, err);
        return;
    }
    list_remove(&n->node);
    list_append(&n->s->held, &n->node);
}

static void on_read(void *arg, const struct store_item *items, size_t count, const struct err *err)
{
    struct store_call *n = arg;
    list_remove(&n->node);
    if (n->on_read)
        n->on_read(n->arg, items, count, err);
    free(n);
}

static struct store_call *note_new(struct store *s, void *arg)
{
    struct store_call *n = xnew(struct store_call);
    n->s = (struct noting *)s;
    n->arg = arg;
    list_append(&n->s->notes, &n->node);
    return n;
}

static const char *state_in(const struct store_op *op)
{
    static const char *const states[] = {"intended", "present", "removing"};
    for (size_t i = 0; op->value && i < ARRAY_LEN(states); i++)
        if (strstr(op->value, states[i]))
            return states[i];
    return op->value ? "?" : "deleted";
}

static struct store_call *noting_batch(struct store *s, const struct store_op *ops, size_t n,
                                       store_write_fn *done, void *arg)
{
    struct store_call *note = note_new(s, arg);
    note->on_write = done;
    for (size_t i = 0; i < n; i++)
        snprintf(note->text + strlen(note->text), sizeof(note->text) - strlen(note->text), "%s%s",
                 i ? "+" : "durable ", state_in(&ops[i]));
    snprintf(note->text + strlen(note->text), sizeof(note->text) - strlen(note->text), "; ");
    if (note->s->fail) {
        note->s->fail--;
        note->fail = true;
        n = 0;
    }
    store_batch(note->s->real, ops, n, on_durable, note);
    return note;
}

static struct store_call *noting_get(struct store *s, const char *key, store_read_fn *done,
                                     void *arg)
{
    struct store_call *note = note_new(s, arg);
    note->on_read = done;
    store_get(note->s->real, key, on_read, note);
    return note;
}

static struct store_call *noting_list(struct store *s, const char *key, store_read_fn *done,
                                      void *arg)
{
    struct store_call *note = note_new(s, arg);
    note->on_read = done;
    store_list(note->s->real, key, on_read, note);
    return note;
}

static void noting_cancel(struct store_call *n)
{
    n->on_read = NULL;
    n->on_write = NULL;
}

/* After the real store has come to rest. */
static void noting_close(struct store *s)
{
    fake_store_hold(s, false);
    free(s);
}

struct store *fake_store_new(struct store *real, struct fake_providers *log)
{
    static const struct store_ops ops = {.get = noting_get,
                                         .list = noting_list,
                                         .batch = noting_batch,
                                         .cancel = noting_cancel,
                                         .close = noting_close};
    struct noting *s = xnew(struct noting);
    s->store.ops = &ops;
    s->real = real;
    s->log = log;
    list_init(&s->notes);
    list_init(&s->held);
    return &s->store;
}

void fake_store_fail(struct store *s, unsigned n)
{
    ((struct noting *)s)->fail = n;
}

void fake_store_hold(struct store *s, bool hold)
{
    struct noting *n = (struct noting *)s;
    struct err ok = ERR_INIT;
    n->hold = hold;
    while (!hold && !list_empty(&n->held))
        finish(list_item(n->held.next, struct store_call, node), &ok);
}
