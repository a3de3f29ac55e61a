/* SPDX-License-Identifier: ISC */
/*
 * Tasks: what came over the admin socket and needs the network, which only the engine has. Each is
 * open for a bounded time under a random number; while it is, the engine may ask for the signatures
 * that belong to it (keeper/sign.h). One at a time for an account that it changes.
 *
 *   open --> TASK --> notes ... --> TASK_DONE, its time is over, the engine is gone --> done()
 */
#ifndef RENEWD_KEEPER_TASKS_H
#define RENEWD_KEEPER_TASKS_H

#include "keeper/sign.h"
#include "loop/loop.h"

#define TASK_LIFE_MS (5 * 60000)
#define TASK_ROLLOVER_LIFE_MS (15 * 60000) /* orders that run may come to their end */
#define TASK_REPLACE_LIFE_MS (45 * 60000)  /* an order, and its deployment */

struct tasks;
struct tasks_env {
    struct loop *loop;
    /* A message of ours to the engine; false: none is up. */
    bool (*send)(void *arg, enum keeper_msg_type type, const void *msg);
    void *arg;
};
struct tasks *tasks_new(const struct tasks_env *env);
void tasks_free(struct tasks *t); /* nobody is called any more */

struct ca_task;
struct task_spec {
    enum keeper_task_kind kind;
    const char *ca, *cert, *url; /* "" or NULL where there is none; copied */
    int64_t life_ms;             /* 0: TASK_LIFE_MS */
    bool force;
    const struct account *account;
};
struct task_handler {
    void (*note)(void *arg, const char *text); /* the engine's words, escaped here */
    /* Once, from the loop; the task is gone by then. m is never NULL; err NULL: done. */
    void (*done)(void *arg, const struct keeper_msg_task_done *m, const struct err *err);
};
/* NULL and *e: there is no engine, or another task has the account. A failure of that kind is
 * transient. */
struct ca_task *tasks_open(struct tasks *t, const struct task_spec *spec,
                           const struct task_handler *h, void *arg, struct err *e);
/* What it may sign; its certificate and key are the caller's to fill in, and freed with it. */
struct sign_task *task_sign(struct ca_task *k);
void task_close(struct ca_task *k); /* gives it up; nobody is called. NULL is fine */

const struct sign_task *tasks_find(const struct tasks *t, uint64_t id); /* NULL: not open */
/* One that changes the keys of this account, or ends it, is open. */
bool tasks_hold(const struct tasks *t, const struct account *account);
bool tasks_replace(const struct tasks *t, const char *cert); /* with a key that is none of before */

/* -1: no message of a task. Of one that is not open any more: dropped. */
int tasks_message(struct tasks *t, enum keeper_msg_type type, const union keeper_msg *m);
void tasks_lost(struct tasks *t); /* the engine is gone */

#endif
