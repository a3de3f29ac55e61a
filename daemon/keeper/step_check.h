/* SPDX-License-Identifier: ISC */
/* Which step of which deployment the engine asks for. */
#ifndef RENEWD_KEEPER_STEP_CHECK_H
#define RENEWD_KEEPER_STEP_CHECK_H

#include "conf/conf.h"
#include "wire/keeper_msg.h"

/* All certificates must have the deployment; several only where the step merges. certs: room for as
 * many as m names. *ret_what: the deployment's name. NULL: *e. */
const struct conf_step *step_check(const struct conf *c, const struct keeper_msg_step *m,
                                   const struct conf_cert **certs, const char **ret_what,
                                   struct err *e);

#endif
