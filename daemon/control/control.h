/* SPDX-License-Identifier: ISC */
/*
 * control.sock, served by the engine: what renewctl asks. One JSON object a line:
 *
 *     -> {"verb": "renew", "names": ["example.org"], "wait": true}
 *     <- {"event": "progress", "name": "example.org", "at": "2026-...", "text": "..."}     any
 * number
 *     <- {"done": true, "ok": true, "exit": 0, ...}                                          the
 * last one
 *
 * "exit" is what renewctl ends with; "error" says why when "ok" is false. Whoever can connect may
 * look (the socket's mode and group decide); only root and the daemon's user may act.
 */
#ifndef RENEWD_CONTROL_CONTROL_H
#define RENEWD_CONTROL_CONTROL_H

#include "acme/acme.h"
#include "base/log.h"
#include "conf/conf.h"
#include "dns/provider.h"
#include "dns/publish.h"
#include "renew/renew.h"

struct control;
struct control_env {
    struct loop *loop;
    const struct log *log;
    struct renew *renew;
    struct acme *acme;
    struct publisher *publisher;
    struct providers *providers;
    uid_t owner;         /* may act, beside root: the daemon's user */
    const char *version; /* static text */
};
/* Takes listen_fd. */
struct control *control_new(const struct control_env *env, int listen_fd);
void control_free(struct control *c);
void control_configure(struct control *c, struct conf *conf); /* takes a reference */
/* A sentence that `renewctl status` shows until the daemon ends: what the machine lacks. Copied. */
void control_warn(struct control *c, const char *text);

#endif
