/* SPDX-License-Identifier: ISC */
/* The process behind an instance: starting, frames, services, ending. */
#ifndef RENEWD_DNS_PROVIDER_WORKER_H
#define RENEWD_DNS_PROVIDER_WORKER_H

#include "dns/provider_instance.h"

void provider_worker_start(struct instance *i); /* STOPPED or PAUSED -> STARTING */
/* Without work: its channel is closed, it ends by itself; after 2 s it is killed. */
void provider_worker_stop(struct instance *i);
void provider_worker_drop(struct instance *i); /* the instance goes: no more waiting */
void provider_worker_kill(struct instance *i); /* did not react; counts as a crash */
int provider_worker_send(struct instance *i, const struct buf *frames);

/* By provider_instance.c. */
void instance_up(struct instance *i);
void instance_start_failed(struct instance *i, const struct err *e);
void instance_down(struct instance *i, const struct err *why); /* died with or without work */
int instance_done(struct instance *i, uint32_t id,
                  const struct worker_done *d);      /* -1: unknown id */
int64_t instance_deadline(const struct instance *i); /* of what runs now; mono */

#endif
