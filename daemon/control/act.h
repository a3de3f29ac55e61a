/* SPDX-License-Identifier: ISC */
/* The requests that change something and may wait for its end: renew, deploy. */
#ifndef RENEWD_CONTROL_ACT_H
#define RENEWD_CONTROL_ACT_H

#include "control/control.h"
#include "loop/lines.h"

struct act;
enum act_kind { ACT_RENEW, ACT_DEPLOY };

/* Starts what the request asks for, for `names` (control/named.h), and answers it on the peer;
 * finished() is called after the last line, from inside the loop. NULL: answered at once,
 * finished() is not called. */
struct act *act_start(const struct control_env *env, enum act_kind kind, struct lines_peer *peer,
                      const struct json *request, const struct json *names,
                      void (*finished)(void *arg, struct lines_peer *), void *arg);
void act_cancel(struct act *a); /* the peer is gone; what runs goes on */
/* The last line of a request that ended in an error. */
void act_refuse(struct lines_peer *peer, int exit, const char *text);

#endif
