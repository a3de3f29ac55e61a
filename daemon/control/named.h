/* SPDX-License-Identifier: ISC */
/* The names in a request, as the renewal logic knows them. */
#ifndef RENEWD_CONTROL_NAMED_H
#define RENEWD_CONTROL_NAMED_H

#include "base/json.h"
#include "conf/conf.h"

/* A new array with the full names of what each text means (conf/meant.h), once each; what means
 * nothing stays as it is. names may be anything. */
struct json *named_all(const struct conf *conf, const struct json *names);
/* Of one text. */
struct json *named_one(const struct conf *conf, const char *name);

#endif
