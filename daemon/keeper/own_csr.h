/* SPDX-License-Identifier: ISC */
/* A CSR of the user's own (`csr: PATH`), whose key we never see. */
#ifndef RENEWD_KEEPER_OWN_CSR_H
#define RENEWD_KEEPER_OWN_CSR_H

#include "conf/conf.h"
#include "digest/csr_info.h"

/* Decodes cert->csr_pem. NULL and *e, class ERR_CONFIG. */
struct csr_info *own_csr_read(const struct conf_cert *cert, struct err *e);
/* As struct conf_plugins has it: whether it is a request for exactly the names of cert. */
int own_csr_check(void *ctx, const struct conf_cert *cert, bool *ret_staple, struct err *e);

#endif
