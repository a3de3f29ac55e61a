/* SPDX-License-Identifier: ISC */
/* The keeper's tasks (link/keeper.h), each handed to the layer that can do it. */
#ifndef RENEWD_ENGINE_TASKS_H
#define RENEWD_ENGINE_TASKS_H

#include "acme/acme.h"
#include "link/keeper_client.h"
#include "renew/renew.h"
#include "store/store.h"

struct tasks;
struct tasks_env {
    struct loop *loop;
    struct keeper_client *client;
    struct acme *acme;
    struct renew *renew;
    struct store *store;
    const char *dir; /* the engine's own; outlives it */
};
struct tasks *tasks_new(const struct tasks_env *env);
void tasks_free(struct tasks *t);
void tasks_begin(struct tasks *t, const struct keeper_task *spec);
void tasks_end(struct tasks *t, uint64_t id); /* the keeper has given it up */

#endif
