/* SPDX-License-Identifier: ISC */
/* The engine's copy of the snapshot: everything but secrets, as one frame payload (in a sealed
 * memfd). */
#ifndef RENEWD_CONF_CODEC_H
#define RENEWD_CONF_CODEC_H

#include "base/buf.h"
#include "conf/conf.h"

int conf_encode(const struct conf *c,
                struct buf *out); /* out's maximum: 256 MiB is enough for 100,000 */
struct conf *conf_decode(const void *p, size_t n, struct err *e);

#endif
