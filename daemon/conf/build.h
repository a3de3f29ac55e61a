/* SPDX-License-Identifier: ISC */
/* Making a snapshot; for the reader and the decoder only. */
#ifndef RENEWD_CONF_BUILD_H
#define RENEWD_CONF_BUILD_H

#include "conf/conf.h"

struct conf *conf_new(void);    /* one reference, an empty arena */
void conf_seal(struct conf *c); /* builds the index; nothing changes after this */

/* Takes a secret over: it is freed with c. Returns it. */
struct secret *conf_own_secret(struct conf *c, struct secret *s);

#endif
