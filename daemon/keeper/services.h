/* SPDX-License-Identifier: ISC */
/*
 * What the keeper does for the engine: each request of wire/keeper_msg.h, checked against the
 * configuration and answered under its id. The engine is not trusted: nothing that it says may do
 * more here than end in an error.
 */
#ifndef RENEWD_KEEPER_SERVICES_H
#define RENEWD_KEEPER_SERVICES_H

#include "base/log.h"
#include "conf/conf.h"
#include "keeper/listen.h"
#include "keeper/programs.h"
#include "keeper/statedir.h"
#include "loop/loop.h"
#include "wire/keeper_msg.h"

struct services;

struct services_env {
    struct loop *loop;
    const struct log *log;
    const struct statedir *dir;
    const struct programs *programs;
    bool systemd;
    struct listen_given given;
    /* The engine has its configuration and can be asked for something. */
    bool (*up)(void *arg);
    /* An answer for the engine; takes fd. */
    void (*answer)(void *arg, enum keeper_msg_type type, uint32_t id, const void *msg, int fd);
    void *arg;
};

struct services *services_new(const struct services_env *env); /* env is copied */
void services_free(struct services *s);
/* The generation that requests mean from now on; takes a reference. */
void services_configure(struct services *s, struct conf *c);
/* Ends all that runs for an engine that is gone: no more answers. */
void services_reset(struct services *s);
/* -1: not a request, or one without an id or with one in use: the engine is to be ended. */
int services_request(struct services *s, const struct frame_head *h, const union keeper_msg *m);

/* For those who serve the admin socket; all belong to s. */
struct services_parts {
    struct conf *conf; /* in force; NULL: none yet. It changes with services_configure() */
    struct accounts *accounts;
    struct account_keys *account_keys;
    struct tasks *tasks;
    struct pendings *pendings;
};
struct services_parts services_parts(const struct services *s);
bool services_busy(const struct services *s, const char *cert); /* something of it is on its way */

#endif
