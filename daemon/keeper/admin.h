/* SPDX-License-Identifier: ISC */
/*
 * admin.sock: what only root and the user of this process may ask. One JSON object a line, as on
 * control.sock:
 *
 *     -> {"verb": "reload"}
 *     <- {"event": "progress", "name": "letsencrypt", "at": "2026-...", "text": "..."}   any number
 *     <- {"done": true, "ok": true, "exit": 0, "lines": ["..."]}      or "error"; the last one
 */
#ifndef RENEWD_KEEPER_ADMIN_H
#define RENEWD_KEEPER_ADMIN_H

#include "base/buf.h"
#include "base/json.h"
#include "loop/loop.h"

enum { ADMIN_DONE = 0, ADMIN_FAILED = 1, ADMIN_USAGE = 2, ADMIN_REFUSED = 4 };

struct admin;

/* What a request that waits ends with. lines: what to print, one a line; error: "" when exit is 0.
 */
struct admin_reply {
    int exit;
    const char *const *lines;
    size_t n_lines;
    const char *error;
};
/* A reload was asked for. When it begins, which is at once or after one that runs,
 * admin_reload_began() is due, and admin_reloaded() at its end. */
typedef void admin_reload_fn(void *arg);

/* A request under way. It lives until admin_end(), whether its peer is still there or not. */
struct admin_call;
typedef void admin_verb_fn(void *arg, struct admin_call *c, const struct json *request);
struct admin_verb {
    const char *name;
    admin_verb_fn *run;
};

/* Takes listen_fd. */
struct admin *admin_new(struct loop *l, int listen_fd, admin_reload_fn *reload, void *arg);
/* Calls that have not ended fall silent: whoever has one must not use it any more. */
void admin_free(struct admin *a);
void admin_reload_began(struct admin *a);
void admin_reloaded(struct admin *a, const struct admin_reply *r); /* answers all who wait */
/* More verbs; the table must live as long. */
void admin_serve(struct admin *a, const struct admin_verb *verbs, size_t n, void *arg);
/* A reload, of files as they are now, for one who is to go on after it: fn is called once with its
 * outcome, maybe at once. */
void admin_reload_then(struct admin *a, void (*fn)(void *arg, const struct admin_reply *r),
                       void *arg);

void admin_note(struct admin_call *c, const char *name, const char *text);
struct json *admin_result(struct admin_call *c); /* the last line, to be filled; the call's */
void admin_line(struct admin_call *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3))); /* for people, in "lines" */
/* The last line: error NULL or "" when exit is 0. The call is gone then. */
void admin_end(struct admin_call *c, int exit, const char *error);
void admin_end_err(struct admin_call *c, int exit, const struct err *e);

#endif
