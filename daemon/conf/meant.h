/* SPDX-License-Identifier: ISC */
/* What people mean by the name of a certificate. */
#ifndef RENEWD_CONF_MEANT_H
#define RENEWD_CONF_MEANT_H

#include "conf/conf.h"

/*
 * The certificates that `text` names: *ret_n of them, in a row from the one returned; NULL: none.
 * The written name of an entry means all its keys, NAME+KEY one of them. An entry without a name of
 * its own is also known by its first host as people write it: U-labels, a final dot, capitals.
 */
const struct conf_cert *conf_meant(const struct conf *c, const char *text, size_t *ret_n);

#endif
