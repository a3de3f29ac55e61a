/* SPDX-License-Identifier: ISC */
/*
 * Answers that many ask for at once and that stay true for a while: one piece of work for each key,
 * shared by all who wait, its result kept for a time. Bounded: what has run out of time is swept
 * when there are too many, and everything when that does not help.
 *
 *   memo_get() --unknown, too old--> start(entry) ... memo_result() --> waiters told, kept
 *       +--known--> told from the loop
 */
#ifndef RENEWD_DNS_MEMO_H
#define RENEWD_DNS_MEMO_H

#include "base/list.h"
#include "loop/loop.h"

struct memo;

struct memo_entry {
    struct memo *memo;
    const char *key;
    const void *subject; /* what memo_get() was given; valid within start() only */
    void *work;          /* start()'s, for stop(); NULL: nothing runs */
    /* private */
    char *text;
    void *result;
    int64_t until_ms;
    unsigned refs;
    bool known;
    struct list waiters;
};

struct memo_kind {
    /* Begins the work; memo_result() is called later, not from within. */
    void (*start)(void *arg, struct memo_entry *e);
    void (*stop)(void *work); /* cancels it */
    void (*free_result)(void *result);
    size_t most; /* entries */
};

/* Embedded in who waits; zeroed is valid (idle). result lives for the call. */
typedef void memo_done_fn(void *arg, const void *result);
struct memo_wait {
    struct list node;
    struct defer defer;
    struct memo_entry *entry; /* NULL: idle */
    memo_done_fn *fn;
    void *arg;
};

struct memo *memo_new(struct loop *l, const struct memo_kind *kind, void *arg); /* kind is kept */
void memo_free(struct memo *m);  /* nobody is told any more */
void memo_clear(struct memo *m); /* forgets results; what runs goes on */
/* fresh: nothing that was known before this call will do. */
void memo_get(struct memo *m, const char *key, const void *subject, bool fresh, struct memo_wait *w,
              memo_done_fn *fn, void *arg);
void memo_wait_cancel(struct memo_wait *w);
/* The work has ended (entry->work is the caller's no more); takes result. */
void memo_result(struct memo_entry *e, void *result, int64_t keep_ms);

#endif
