/* SPDX-License-Identifier: ISC */
/*
 * The engine's side of what the keeper lets be done at a CA (link/keeper.h, "tasks"): the account
 * is read, updated, ended, found or gets another key; a certificate is revoked. What is asked is
 * the keeper's affair: it composes and signs every payload, under the task's number only.
 */
#ifndef RENEWD_ACME_TASK_H
#define RENEWD_ACME_TASK_H

#include "acme/acme.h"

struct acme_task;
struct acme_task_handler {
    /* What it does or waits for now, for people. */
    void (*note)(void *arg, const char *text);
    /* Once, from the loop: acme_task_free() is due. r is always there, also with err: its `key`
     * says what is known. Both live until then. */
    void (*done)(void *arg, const struct keeper_task_result *r, const struct err *err);
};
/* Kinds SHOW to REVOKE. spec and h are copied. */
struct acme_task *acme_task_start(struct acme *a, const struct keeper_task *spec,
                                  const struct acme_task_handler *h, void *arg);
void acme_task_free(struct acme_task *t); /* cancels; NULL is fine */

#endif
