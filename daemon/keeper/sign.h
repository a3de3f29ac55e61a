/* SPDX-License-Identifier: ISC */
/*
 * Signatures with account keys. Every payload is composed here from the configuration and from what
 * is stored: bytes of the engine never become one.
 */
#ifndef RENEWD_KEEPER_SIGN_H
#define RENEWD_KEEPER_SIGN_H

#include "base/buf.h"
#include "base/err.h"
#include "conf/conf.h"
#include "keeper/accounts.h"
#include "keeper/pending.h"
#include "keeper/statedir.h"
#include "link/keeper.h"
#include "wire/keeper_msg.h"

struct rehearsals;

/* A task that is open (keeper/tasks.h): what may be signed under its number, and with what. */
struct sign_task {
    enum keeper_task_kind kind;
    const struct account *account; /* whom it is about */
    const char *cert;              /* REVOKE, REPLACE: name, "" when it is not configured */
    struct buf der;                /* the certificate to revoke */
    struct pkey *cert_key;         /* signs its revocation; NULL: the account's does */
    int reason;                    /* of RFC 5280; -1: none */
    char fingerprint[SHA256_HEX];  /* of the certificate */
    char spki[SHA256_HEX];
};

struct sign_env {
    const struct conf *conf;
    const struct statedir *dir;
    struct accounts *accounts;
    struct pendings *pendings;
    const struct rehearsals *rehearsals; /* NULL: none */
    const struct sign_task *task;        /* the request's; NULL: none */
};

/* The JWS is appended to out. */
int sign_request(const struct sign_env *env, const struct keeper_msg_sign *m, struct buf *out,
                 struct err *e);

/* https, at most KEEPER_MSG_URL_MAX, printable ASCII without a space. */
int sign_check_url(const char *url, struct err *e);
/* A certificate may be ordered from this CA: it is one of its own, or the staging of one. */
bool sign_ca_of_cert(const struct conf *c, const struct conf_cert *cert, const struct conf_ca *ca);
/* The entry is the staging of another. */
bool sign_ca_is_staging(const struct conf *c, const struct conf_ca *ca);

#endif
