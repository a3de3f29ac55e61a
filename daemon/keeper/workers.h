/* SPDX-License-Identifier: ISC */
/* The workers of provider instances: started, given their options and secrets, watched, killed. */
#ifndef RENEWD_KEEPER_WORKERS_H
#define RENEWD_KEEPER_WORKERS_H

#include "base/err.h"
#include "base/log.h"
#include "conf/conf.h"
#include "loop/loop.h"

struct workers;
struct worker_call;

struct workers_env {
    struct loop *loop;
    const struct log *log;
    const char *program; /* renewd-worker */
};
struct workers *workers_new(const struct workers_env *env);
void workers_free(struct workers *w); /* kills all */
/* Kills all, no callbacks: the engine that they worked for is gone. */
void workers_reset(struct workers *w);

/* fd: the engine's end of the channel, now the callee's; -1 on error. */
typedef void workers_done_fn(void *arg, int fd, const struct err *err);
/* Never calls back from within. One that runs or starts under this name is killed first (a start's
 * callback then gets ERR_CANCELLED). */
void workers_start(struct workers *w, const struct conf *c, const struct conf_provider *p,
                   workers_done_fn *fn, void *arg);
void workers_kill(struct workers *w, const char *provider);

#endif
