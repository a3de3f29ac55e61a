/* SPDX-License-Identifier: ISC */
/*
 * A server's door: every request to it passes here just before it is sent. Two things hold it:
 * the rate (conf_ca.requests_limit), and the server's own word, a Retry-After that concerns whoever
 * asks. Who may not pass stands in line, by rank, then by arrival; nobody polls.
 *
 * At most n pass in any per_ms, an eighth of them at once, the others evenly (GCRA, ITU-T I.371):
 * doors such as Let's Encrypt's allow small bursts only.
 *
 * Shared by all servers of a directory's URL, counted.
 */
#ifndef RENEWD_ACME_GATE_H
#define RENEWD_ACME_GATE_H

#include "base/err.h"
#include "base/list.h"
#include "conf/basic.h"
#include "loop/loop.h"

#include <stdbool.h>

#define GATE_CLOSED_MAX_MS (5 * 60 * 1000LL)

enum gate_rank {
    GATE_NONCE_IN_HAND, /* it gets old */
    GATE_DOOR,          /* what all others need: directory, nonces */
    GATE_REQUEST,
    GATE_QUESTION, /* renewal information can wait */
    GATE_RANKS
};

struct http_reply;

struct gate {
    unsigned refs;
    struct loop *loop;
    struct conf_limit limit; /* n 0: none */
    int64_t step_ns, ahead_ns;
    int64_t full_ns;      /* mono: when all that has passed is made good */
    int64_t closed_until; /* mono ms */
    struct err why;       /* the server's word */
    struct list lines[GATE_RANKS];
    struct timer timer;
};
struct gate *gate_new(struct loop *loop);
struct gate *gate_ref(struct gate *g);
void gate_unref(struct gate *g); /* NULL is fine; nobody may stand in line at the end */
void gate_limit(struct gate *g, const struct conf_limit *limit);
/* Nobody passes until e->retry_at (wall; at most five minutes); without it nothing happens. */
void gate_close(struct gate *g, const struct err *e);
/* That, if the reply, which e tells of, is one to whoever asks too much: 429 or 503. */
void gate_heard(struct gate *g, const struct http_reply *r, const struct err *e);
/* How long it is closed yet, by the server's word; 0: it is not. */
int64_t gate_closed_ms(const struct gate *g);

struct gate_pass { /* embedded; zeroed is idle */
    struct list node;
    struct gate *gate; /* NULL while idle */
    void (*fn)(void *arg);
    void *arg;
};
/* true: passed, fn is not called. false: fn is called later, from the loop, when it has. */
bool gate_enter(struct gate *g, struct gate_pass *p, enum gate_rank rank, void (*fn)(void *arg),
                void *arg);
void gate_leave(struct gate_pass *p); /* out of the line */
/* One that has passed sends nothing after all. */
void gate_back(struct gate *g);

#endif
