/* SPDX-License-Identifier: ISC */
/*
 * What the operator has laid hands on: certificates, CAs and providers that are paused, for which
 * nothing is ordered until they are resumed, and certificates that were revoked. Durable as
 * "pause/cert/NAME", "pause/ca/NAME", "pause/provider/NAME": {"since": ms}.
 */
#ifndef RENEWD_RENEW_PAUSE_H
#define RENEWD_RENEW_PAUSE_H

#include "renew/cert.h"
#include "store/store.h"

struct pauses {        /* embedded */
    struct map *since; /* "ca/NAME" -> int64_t */
};
void pauses_init(struct pauses *p);
void pauses_done(struct pauses *p);
void pauses_read(struct pauses *p, const struct store_item *item); /* below "pause/" */

/* Since when nothing is ordered for c by itself; 0: it is. why (may be NULL): for people. */
int64_t pause_since(const struct cert *c, char *why, size_t size);

#endif
