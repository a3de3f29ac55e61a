/* SPDX-License-Identifier: ISC */
/* From a configured certificate to its key, its installed files, and back. */
#ifndef RENEWD_KEEPER_CERTS_H
#define RENEWD_KEEPER_CERTS_H

#include "base/clock.h"
#include "conf/conf.h"
#include "digest/x509.h"
#include "keeper/disk.h"
#include "keeper/live.h"
#include "keeper/pending.h"
#include "keeper/statedir.h"
#include "wire/keeper_msg.h"

struct certs_env {
    const struct conf *conf;
    const struct statedir *dir;
    struct pendings *pendings;
    struct cert_cache *cache;
    const struct clock *clock;
    bool new_key; /* whatever reuse_key says: the installed one is to be done with */
};

/*
 * What is on its way to the disk: a key or an installation. Begun, its job run (keeper/disk.h),
 * then finished on the loop; no two of them at once for one certificate.
 */
struct certs_work;

/*
 * A pending key and CSR for cert. *ret NULL: there is nothing to be done. *ret_generate: nothing
 * was done yet since a key of type cert->key must be made first, which takes long (RSA); then
 * certs_prepared() goes on.
 */
int certs_prepare(const struct certs_env *env, const struct conf_cert *cert, bool fresh,
                  bool *ret_generate, struct certs_work **ret, struct err *e);
int certs_prepared(const struct conf_cert *cert, struct pkey *key, const struct statedir *dir,
                   struct certs_work **ret, struct err *e);
/* Checks a chain. */
int certs_install(const struct certs_env *env, const struct keeper_msg_install *m,
                  struct certs_work **ret, struct err *e);

/* A rehearsal: the chain is checked against k and then known, not kept. */
int certs_rehearse(const struct certs_env *env, const struct keeper_msg_install *m,
                   const struct pending *k, struct live *ret, struct err *e);

/* NULL: nothing is left to be done on the disk. done may be set before it is started. */
struct disk_job *certs_job(struct certs_work *w, void (*done)(void *arg), void *arg);
/* The job, if there is one, has ended: how? */
int certs_finish(const struct certs_env *env, struct certs_work *w, struct err *e);
/* Of an installation: what is installed now; the caller's from then on. *ret_changed: it was not
 * before. */
struct live certs_take(struct certs_work *w, bool *ret_changed);
void certs_work_free(struct certs_work *w); /* no job of it may run */

/* As the engine is told; texts are those of l. */
struct keeper_msg_installed_is certs_tell(const struct conf *c, const struct conf_cert *cert,
                                          const struct live *l, bool leaf);

#endif
