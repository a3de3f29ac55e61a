/* SPDX-License-Identifier: ISC */
/* What a file of another program is filled with: the parts of a certificate that a `file` step
 * names, one after the other. */
#ifndef RENEWD_KEEPER_STEP_CONTENT_H
#define RENEWD_KEEPER_STEP_CONTENT_H

#include "base/buf.h"
#include "conf/conf.h"

#define STEP_CONTENT_MAX (4u << 20)

/* set: a folder of archive/NAME (live_open_set()). out must have been made by buf_init_secret(). */
int step_content(int set, const struct conf_step *step, const struct conf_cert *cert,
                 struct buf *out, struct err *e);

#endif
