/* SPDX-License-Identifier: ISC */
/*
 * Bringing an installed certificate to its users. The named deployments of a certificate are
 * independent of each other; the steps of one run in order, a failure stops that one, and it is
 * tried again from the step that failed, 1 min, 10 min, then hourly. Hooks are at-least-once.
 *
 *   deployment:  WAITING -(its time)-> STEP 0 -> STEP 1 ... -> done
 *                   ^------ failed ------'
 *
 * Steps that may be one for many certificates (reload, run with once) wait for others up to
 * DEPLOY_MERGE_MS after the first, or until no other certificate is about to come.
 *
 * Progress is the value of "cert/NAME/deploy"; no value means that all is deployed, as for a
 * certificate that was there before us:  {"fingerprint", "parts": {NAME: {step, failures, retry,
 * error}}}
 */
#ifndef RENEWD_RENEW_DEPLOY_H
#define RENEWD_RENEW_DEPLOY_H

#include "base/clock.h"
#include "base/json.h"
#include "conf/conf.h"
#include "io/http.h"
#include "link/keeper.h"
#include "loop/loop.h"

#define DEPLOY_MERGE_MS 2000
#define DEPLOY_STEPS_AT_ONCE 50u /* of the keeper's; and as many verifications */

struct deployer; /* all certificates' */
struct deployer_env {
    struct loop *loop;
    const struct rng *rng;
    struct keeper *keeper;
    struct http *http;
    bool (*more_soon)(void *arg); /* may another certificate become ready within seconds? */
    void *arg;
};
struct deployer *deployer_new(const struct deployer_env *env);
void deployer_free(struct deployer *d);  /* after all deployments */
void deployer_hurry(struct deployer *d); /* nothing more will come soon */

struct deploy; /* one certificate's */
struct deploy_handler {
    void (*note)(void *arg, const char *text); /* for people: what runs, what it said */
    void (*save)(void *arg);                   /* progress has changed and ought to be durable */
    void (*idle)(void *arg);                   /* all is done, or waits for deploy_next_ms() */
};
struct deploy_spec {
    struct conf *conf; /* a reference is taken */
    const struct conf_cert *cert;
    const char *fingerprint; /* of what is installed */
    int64_t lifetime_ms;
};
/* Everything is still to do; nothing runs before deploy_run(). */
struct deploy *deploy_new(struct deployer *r, const struct deploy_spec *s,
                          const struct deploy_handler *h, void *arg);
void deploy_free(struct deploy *d);
/* Progress as it was stored; of another fingerprint: none. */
void deploy_read(struct deploy *d, const struct json *j);
char *deploy_text(const struct deploy *d); /* for the store; the caller frees */
/* Another certificate is installed: from the first step. What runs comes to its end before. */
void deploy_renewed(struct deploy *d, const char *fingerprint, int64_t lifetime_ms);
/* A new generation; deployments of the same name go on where they are. */
void deploy_configure(struct deploy *d, struct conf *conf, const struct conf_cert *cert);
/* Starts what is due, or all that is not done. */
void deploy_run(struct deploy *d, bool all);
int64_t deploy_next_ms(const struct deploy *d); /* wall; 0: nothing waits */
/* Nothing new begins; what runs comes to its end. */
void deploy_stop(struct deploy *d);
bool deploy_running(const struct deploy *d);
bool deploy_complete(const struct deploy *d);
const struct err *
deploy_error(const struct deploy *d);             /* of a deployment that failed; NULL: none */
unsigned deploy_failures(const struct deploy *d); /* the most of any */

#endif
