/* SPDX-License-Identifier: ISC */
/*
 * What the files of prove.h share.
 *
 *   item (one challenge):   IDLE -> RUNNING -> READY
 *                             ^        `-----> BROKEN -- instead() --> IDLE | the proof fails
 *                             `--- WAITING: what it was part of is being removed
 *   solving (what puts one item up, or several): start -> item_ready(), item_broken() for each
 *                             -> clean | drop
 */
#ifndef RENEWD_RENEW_PROVE_PARTS_H
#define RENEWD_RENEW_PROVE_PARTS_H

#include "base/list.h"
#include "renew/prove.h"

struct solving;
struct item;
struct retiring;
typedef void prove_done_fn(void *arg, const struct err *err);

struct solver {
    struct solving *(*start)(struct item **items, size_t n); /* of one proof; nothing is told yet */
    void (*drop)(struct solving *s);                         /* frees */
    /* Removes what it put up, and frees. done once, later. */
    void (*clean)(struct solving *s, prove_done_fn *done, void *arg);
    bool all; /* takes all items of its types at once */
};
struct solving { /* first member of each solver's own */
    struct list node;
    const struct solver *solver;
    bool broken; /* one of its items */
};

enum item_state { ITEM_IDLE, ITEM_RUNNING, ITEM_READY, ITEM_BROKEN, ITEM_WAITING };
struct item {
    struct proof *proof;
    size_t at;
    enum item_state state;
    const struct conf_name *name; /* of the certificate, never NULL */
    enum conf_challenge type;
    bool wildcard;
    char *identifier, *owner, *value, *token, *key_authorization; /* "" where there is none */
    char **issuers, **account_uris;
    size_t n_issuers, n_account_uris;
    struct solving *solving; /* NULL: none */
    struct retiring *retiring;
    struct err *err; /* why it broke; NULL */
    char *text;      /* what it waits for; NULL */
};

struct proof {
    struct prover *prover;
    struct conf *conf;
    const struct conf_cert *cert;
    char *ca, *order;
    struct proof_handler handler;
    void *arg;
    struct item **items;  /* of all rounds */
    size_t n_items, from; /* from: the first of this round */
    bool settled;         /* ready() was called for this round */
    struct list solvings;
    struct defer judge, progress;
    const char *phase;
    char *text;
    struct buf warnings;
};

struct mark;
struct marks;
struct prover {
    struct prove_env env;
    struct marks *marks;
    struct http_site *site;                /* of own checks */
    struct list sweeps, retirings, laters; /* that go on without their proofs */
};
/* Calls done, without an error, from the loop. */
void prover_done_later(struct prover *p, prove_done_fn *done, void *arg);

/* For solvers. Each item ends in one of both, once, at any time after start(). */
void item_ready(struct item *i, const char *warning);
void item_broken(struct item *i, const struct err *err);
void item_says(struct item *i, const char *phase, const char *text); /* what it waits for */

extern const struct solver solver_dns, solver_http, solver_alpn, solver_persist;

#endif
