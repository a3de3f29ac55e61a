/* SPDX-License-Identifier: ISC */
/* Verbs that the keeper answers over admin.sock. */
#ifndef RENEWD_CTL_ADMIN_H
#define RENEWD_CTL_ADMIN_H

#include "ctl/client.h"

/* Asks, shows progress and the lines of the answer, or prints JSON; returns the exit code.
 * ret_reply (may be NULL): the answer if it is good, also with --json (the caller frees), else
 * NULL.
 */
int admin_ask(struct ctl *ctl, const struct json *request, struct json **ret_reply);
bool admin_interactive(const struct ctl *ctl); /* someone sits at a terminal */
/* "Really? [y/N]" where someone sits at a terminal; elsewhere no. */
bool admin_confirm(const struct ctl *ctl, const char *question);

#endif
