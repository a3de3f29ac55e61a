/* SPDX-License-Identifier: ISC */
/*
 * What the keeper was asked to put into webroots or to give to commands, and must be removed again:
 * durable before the keeper is asked, gone from the store once it has been removed, removed after a
 * crash. Removals that fail are tried again after 1, 10, 100 minutes, then daily.
 *
 * Kept in the store as `http01/CERT/TOKEN` = {cert, ca, name, token, order}.
 */
#ifndef RENEWD_RENEW_PROVE_MARKS_H
#define RENEWD_RENEW_PROVE_MARKS_H

#include "renew/prove.h"

struct marks;
struct mark;

struct marks *marks_new(const struct prove_env *env); /* begins to load; env outlives it */
void marks_free(struct marks *m);

struct mark_spec { /* copied */
    const char *cert, *ca, *name, *token, *order;
};
/* done once: the answer is there, or err. */
struct mark *mark_add(struct marks *m, const struct mark_spec *s, keeper_done_fn *done, void *arg);
void mark_drop(struct mark *k); /* stays under its order's mark; done is not called any more */
/* done once, later: removed, or why not yet. */
void mark_remove(struct mark *k, keeper_done_fn *done, void *arg);

void marks_recover(struct marks *m, const char *const *keep_orders, size_t n);
void marks_order_ended(struct marks *m, const char *order);

#endif
