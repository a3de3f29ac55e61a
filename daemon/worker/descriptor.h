/* SPDX-License-Identifier: ISC */
#ifndef RENEWD_WORKER_DESCRIPTOR_H
#define RENEWD_WORKER_DESCRIPTOR_H

#include "renewd/plugin.h"
#include "wire/worker_msg.h"

/* What a plugin's table says, as the other processes get it; *ret is freed with
 * worker_descriptor_free(). */
void descriptor_of(const struct renewd_plugin *p, struct worker_descriptor *ret);
/* The plugin's time to live nearest to what the user wants (0: nothing), seconds. */
uint32_t descriptor_ttl(const struct renewd_plugin *p, uint32_t wanted);

#endif
