/* SPDX-License-Identifier: ISC */
/*
 * The engine as a whole: makes one of each layer, joins them, and passes on what the keeper says.
 *
 *   START -> store, clients, renew -> CONFIG -> accept or reject -> configure all -> ready -> ...
 * -> STOP
 */
#ifndef RENEWD_ENGINE_WIRING_H
#define RENEWD_ENGINE_WIRING_H

#include "base/log.h"
#include "loop/loop.h"

#define ENGINE_FD_KEEPER 3
#define ENGINE_FD_CONTROL 4 /* listening; may be absent */

struct wiring;
/* Takes both descriptors; control_fd may be -1. Ends by loop_stop(). */
struct wiring *wiring_new(struct loop *l, struct log *log, int keeper_fd, int control_fd);
void wiring_free(struct wiring *w);
int wiring_exit_code(const struct wiring *w); /* 0: asked to stop */

#endif
