/* SPDX-License-Identifier: ISC */
/*
 * From challenges to answers that the CA can see: whatever the types, all of one order are put up
 * side by side and waited for together. What cannot be put up is replaced by another type where the
 * owner has one.
 *
 *   dns-01, dns-account-01   dns/publish.h
 *   http-01                  the built-in responder, or a webroot or command through the keeper;
 *                            then asked for at each address of the name, as the CA will
 *   tls-alpn-01              the built-in responder
 *   dns-persist-01           looked for in DNS; written when the configuration says so, and then
 *                            left there
 */
#ifndef RENEWD_RENEW_PROVE_H
#define RENEWD_RENEW_PROVE_H

#include "acme/acme.h"
#include "base/log.h"
#include "conf/conf.h"
#include "dns/publish.h"
#include "io/dns.h"
#include "io/http.h"
#include "link/keeper.h"
#include "respond/respond.h"
#include "store/store.h"

struct prover; /* per engine */
struct proof;  /* of one order */

struct prove_env {
    struct loop *loop;
    const struct log *log;
    const struct rng *rng;
    struct store *store;
    struct keeper *keeper;
    struct publisher *publisher;
    struct responders *responders;
    struct dns *dns;
    struct http *http;
};
struct prover *prover_new(const struct prove_env *env); /* copied */
void prover_free(struct prover *p);                     /* after all proofs */

struct proof_spec {
    struct conf *conf; /* a reference is taken */
    const struct conf_cert *cert;
    const char *ca;    /* entry whose account it is */
    const char *order; /* marks what is left behind by a crash as the running order's */
};
struct proof_handler {
    void (*progress)(void *arg, const char *phase, const char *text);
    /* Worth keeping: a type was given up for another one, a warning. */
    void (*note)(void *arg, const char *text);
    /* Challenge `at` cannot be met, for this reason: what takes its place, or NULL. Lives for the
     * call. */
    const struct acme_challenge *(*instead)(void *arg, size_t at, const struct err *why);
    /* err class ERR_NONE: all is up, the CA may look. Else what was put up waits for
     * proof_clean(). Once after proof_start(), and once after each proof_more(). */
    void (*ready)(void *arg, const struct err *err, const char *warning);
};
/* Texts of challenges are copied; `at` counts from 0 in this array. */
struct proof *proof_start(struct prover *p, const struct proof_spec *s,
                          const struct acme_challenge *c, size_t n, const struct proof_handler *h,
                          void *arg);
/* After ready: others besides; `at` counts anew. What is up stays. */
void proof_more(struct proof *p, const struct acme_challenge *c, size_t n);
/* Removes all of it but what is meant to stay, in the background if need be; done once: all gone,
 * or the first failure, which will be tried again. Frees p; no other callback comes. */
void proof_clean(struct proof *p, void (*done)(void *arg, const struct err *err), void *arg);
/* Forgets it: what outlives the process stays, under the order's mark. NULL is fine. */
void proof_free(struct proof *p);

/* As publisher_recover() and publisher_order_ended(), which they call. */
void prover_recover(struct prover *p, const char *const *keep_orders, size_t n);
void prover_order_ended(struct prover *p, const char *order);

#endif
