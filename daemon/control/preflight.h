/* SPDX-License-Identifier: ISC */
/* The request "preflight": looks at certificates, tells what it does, answers with what it found.
 */
#ifndef RENEWD_CONTROL_PREFLIGHT_H
#define RENEWD_CONTROL_PREFLIGHT_H

#include "control/control.h"
#include "loop/lines.h"

struct preflights;

/* As act_start(). Names are those of certificates (conf/meant.h; the keys of an entry differ in
 * nothing that is looked at: once) or of hosts in them; an unknown one is refused before anything
 * is begun. */
struct preflights *preflights_start(const struct control_env *env, const struct conf *conf,
                                    struct lines_peer *peer, const struct json *request,
                                    void (*finished)(void *arg, struct lines_peer *), void *arg);
void preflights_cancel(struct preflights *p);

#endif
