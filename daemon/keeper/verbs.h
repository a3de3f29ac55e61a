/* SPDX-License-Identifier: ISC */
/*
 * The verbs of admin.sock but for reload. What files of this kind share: each answers its requests,
 * at once or when a task has ended, and lives as long as the keeper.
 */
#ifndef RENEWD_KEEPER_VERBS_H
#define RENEWD_KEEPER_VERBS_H

#include "base/log.h"
#include "conf/load.h"
#include "keeper/admin.h"
#include "keeper/programs.h"
#include "keeper/services.h"
#include "keeper/statedir.h"

struct verbs_env {
    struct loop *loop;
    const struct log *log;
    const struct statedir *dir;
    const struct programs *programs;
    const char *file; /* the main configuration file */
    struct services *services;
    struct admin *admin;
    /* Reads the configuration as it is on the disk, without taking it; NULL: it has errors. */
    struct conf *(*load)(void *arg, struct conf_messages *ret);
    void *arg;
};
/* env must live as long as env.admin. */
void verbs_serve(const struct verbs_env *env);

/* One table each. */
void verbs_account_serve(const struct verbs_env *env);
void verbs_cert_serve(const struct verbs_env *env);
void verbs_issue_serve(const struct verbs_env *env);
void verbs_backup_serve(const struct verbs_env *env);

/* Of a request: present, and a name that the configuration has; else the call is ended. */
struct conf *verbs_conf(const struct verbs_env *env, struct admin_call *c); /* a reference */
/* An error of a task or of a step before it: 4 for what was refused, 2 for the configuration. */
int verbs_exit(const struct err *e);

#endif
