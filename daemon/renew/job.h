/* SPDX-License-Identifier: ISC */
/*
 * One attempt at one certificate, from the key to the installed chain. The order at the CA may
 * outlive it: an attempt that is cut short is taken up by the next one at the order's URL, with the
 * same key.
 */
#ifndef RENEWD_RENEW_JOB_H
#define RENEWD_RENEW_JOB_H

#include "acme/acme.h"
#include "base/list.h"
#include "base/log.h"
#include "conf/conf.h"
#include "link/keeper.h"
#include "loop/loop.h"

struct job;
struct preflight_env;
struct prover;

struct job_env { /* shared by all; outlives them */
    struct loop *loop;
    const struct log *log;
    struct keeper *keeper;
    struct acme *acme;
    struct prover *prover;
    const struct preflight_env *preflights;
    struct list cleanings; /* removals of records that go on after their job */
    void (*cleaned)(void *arg);
    void *arg;
};
void job_env_done(
    struct job_env *env); /* after the last job, before or after the publisher's end */

struct job_spec {
    struct conf *conf; /* a reference is taken */
    const struct conf_cert *cert;
    const char *ca;
    bool find;         /* a new order was asked for before, and nobody knows what came of it */
    const char *order; /* URL of the order to take up; "" for a new one */
    const char *replaces_by; /* account URL that may name the installed one as replaced; "": none */
    bool fresh;              /* the preflight takes nothing from memory */
    const struct acme_avoid *avoid; /* copied */
    size_t n_avoid;
    bool dry; /* a rehearsal at a staging CA: with a key of its own, and nothing is installed */
    int64_t longest_wait_ms; /* --once: of any state; 0: the state's own */
};

struct job_result {
    const struct err *err; /* class ERR_NONE: installed */
    bool drop_order;       /* the order is used up or worthless */
    bool at_ca;            /* the CA failed or refused, not something of ours */
};
struct job_handler {
    /* Went from one state to another, or learnt something worth keeping. */
    void (*step)(void *arg, const char *state, const char *text);
    /* What it waits for. */
    void (*note)(void *arg, const char *state, const char *text);
    /* There is an order: make it durable, then job_stored(). */
    void (*created)(void *arg, const char *url);
    /* The order that should have been taken up is gone at the CA; a new one is made: make that
     * durable, then job_intended(). */
    void (*gone)(void *arg);
    /* The CA found a challenge to be wrong: for job_spec.avoid of the next attempt. */
    void (*refused)(void *arg, const char *name, enum conf_challenge type);
    /* Is in live/ now, or would be if the job was not a rehearsal; valid for the call. Before
     * ended(). */
    void (*installed)(void *arg, const struct keeper_installed *i);
    /* Last; job_free() is due. */
    void (*ended)(void *arg, const struct job_result *r);
};
struct job *job_start(struct job_env *env, const struct job_spec *s, const struct job_handler *h,
                      void *arg);
/* That an order will be asked for is durable; due once for each job that neither takes up nor finds
 * one, and after gone(). */
void job_intended(struct job *j, const struct err *err);
void job_stored(struct job *j, const struct err *err);
/* Its records stay in the ledger under the order's mark, for who takes up the order. NULL is fine.
 */
void job_free(struct job *j);
/* As job_free(), but its records are removed: nobody will take up the order. */
void job_abandon(struct job *j);
bool job_resumable(const struct job *j);    /* nothing is lost if it is freed now */
const char *job_ca(const struct job *j);    /* the configuration may name others by now */
const char *job_state(const struct job *j); /* "PUBLISH" */

#endif
