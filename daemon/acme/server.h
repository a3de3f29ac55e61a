/* SPDX-License-Identifier: ISC */
/*
 * One ACME server: its connections, directory, nonces and door; shared by all CA entries with the
 * same directory URL, roots and time limit (the door by all with the same URL). Counted: each CA
 * entry and whoever is inside a callback has a reference. The last one gone cancels everything.
 */
#ifndef RENEWD_ACME_SERVER_H
#define RENEWD_ACME_SERVER_H

#include "acme/acme.h"
#include "acme/directory.h"
#include "acme/gate.h"
#include "acme/nonce.h"
#include "base/list.h"

struct server {
    struct list node; /* of the set of all; unlinked when freed */
    unsigned refs;
    const struct acme_env *env;
    struct http_site *site;
    struct gate *gate; /* of all servers with this url */
    char *url;         /* of the directory */
    char *ca_pem;      /* "" */
    int64_t timeout_ms;
    struct directory directory;
    struct nonces nonces;
};

/* Finds or makes one, and takes ca's requests_limit for the door. env outlives it. */
struct server *server_get(struct list *set, const struct acme_env *env, const struct conf_ca *ca);
struct server *server_ref(struct server *s);
void server_unref(struct server *s); /* NULL is fine */

#endif
