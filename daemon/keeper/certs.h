/* SPDX-License-Identifier: ISC */
/* From a configured certificate to its key, its installed files, and back. */
#ifndef RENEWD_KEEPER_CERTS_H
#define RENEWD_KEEPER_CERTS_H

#include "base/clock.h"
#include "conf/conf.h"
#include "digest/x509.h"
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
};

/*
 * A pending key and CSR for cert, durable. *ret_generate: nothing was done yet since a key of type
 * cert->key must be made first, which takes long (RSA); then certs_prepared() ends the matter.
 */
int certs_prepare(const struct certs_env *env, const struct conf_cert *cert, bool fresh,
                  bool *ret_generate, struct err *e);
int certs_prepared(const struct certs_env *env, const struct conf_cert *cert, struct pkey *key,
                   struct err *e);

/* Checks and installs; *ret is what is installed then. *ret_changed: it was not before. */
int certs_install(const struct certs_env *env, const struct keeper_msg_install *m, struct live *ret,
                  bool *ret_changed, struct err *e);

/* As the engine is told; texts are those of l. */
struct keeper_msg_installed_is certs_tell(const struct conf *c, const struct conf_cert *cert,
                                          const struct live *l, bool leaf);

#endif
