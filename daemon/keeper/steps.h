/* SPDX-License-Identifier: ISC */
/*
 * Steps of deployments: commands, units, copies of files. Any number may be asked for; at most
 * STEPS_CHILDREN run at once, the rest wait in order. `verify` is the engine's and refused here.
 */
#ifndef RENEWD_KEEPER_STEPS_H
#define RENEWD_KEEPER_STEPS_H

#include "base/err.h"
#include "conf/conf.h"
#include "keeper/statedir.h"
#include "loop/loop.h"

#define STEPS_CHILDREN 32
#define STEPS_OUTPUT_MAX 4096

struct steps;
struct step_run;

struct steps_env {
    struct loop *loop;
    const struct statedir *dir;
    bool systemd; /* runs here, and we may ask it: commands become transient units */
};
struct steps *steps_new(const struct steps_env *env);
void steps_free(struct steps *s); /* ends all without a callback */
bool steps_systemd_runs(void);

/* text: the tail of the output, escaped. err class ERR_NONE: done. */
typedef void step_done_fn(void *arg, const char *text, const struct err *err);
/* step and its configuration: conf is kept until the end. certs: at least one. Never calls back
 * from within. */
struct step_run *step_start(struct steps *s, struct conf *conf, const struct conf_step *step,
                            const struct conf_cert *const *certs, size_t n, step_done_fn *fn,
                            void *arg);
/* The same for a command of ours that is no deployment: input, which is copied, is what it reads.
 */
struct step_run *step_start_with(struct steps *s, struct conf *conf, const struct conf_step *step,
                                 const struct conf_cert *cert, const char *input, step_done_fn *fn,
                                 void *arg);
void step_cancel(struct step_run *r); /* kills what runs; no callback */

#endif
