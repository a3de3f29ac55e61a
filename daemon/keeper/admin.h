/* SPDX-License-Identifier: ISC */
/*
 * admin.sock: what only root and the user of this process may ask. One JSON object a line, as on
 * control.sock:
 *
 *     -> {"verb": "reload"}
 *     <- {"done": true, "ok": true, "exit": 0, "lines": ["..."]}      or "error"
 */
#ifndef RENEWD_KEEPER_ADMIN_H
#define RENEWD_KEEPER_ADMIN_H

#include "base/buf.h"
#include "loop/loop.h"

struct admin;

/* What a request that waits ends with. lines: what to print, one a line; error: "" when exit is 0.
 */
struct admin_reply {
    int exit;
    const char *const *lines;
    size_t n_lines;
    const char *error;
};
/* A reload was asked for: admin_reloaded() answers all who wait. */
typedef void admin_reload_fn(void *arg);

/* Takes listen_fd. */
struct admin *admin_new(struct loop *l, int listen_fd, admin_reload_fn *reload, void *arg);
void admin_free(struct admin *a);
void admin_reloaded(struct admin *a, const struct admin_reply *r);

#endif
