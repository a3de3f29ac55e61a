/* SPDX-License-Identifier: ISC */
/* Making a snapshot; for the reader and the decoder only. */
#ifndef RENEWD_CONF_BUILD_H
#define RENEWD_CONF_BUILD_H

#include "conf/conf.h"

struct conf *conf_new(void);    /* one reference, an empty arena */
void conf_seal(struct conf *c); /* builds the index; nothing changes after this */

#endif
