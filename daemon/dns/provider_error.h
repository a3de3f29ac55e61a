/* SPDX-License-Identifier: ISC */
/* A plugin's classes of errors and ours (DESIGN 6). */
#ifndef RENEWD_DNS_PROVIDER_ERROR_H
#define RENEWD_DNS_PROVIDER_ERROR_H

#include "base/err.h"
#include "wire/worker_msg.h"

/* What a plugin said, for `instance`; now_wall_ms dates its retry_after. */
void provider_error(const char *instance, const struct worker_done *d, int64_t now_wall_ms,
                    struct err *ret);
/* The class that a plugin is told about a failure of ours. */
enum worker_class provider_error_class(enum err_class cls);
/* Several changes failed together: may one alone have been the reason? */
bool provider_error_divides(uint32_t cls);

#endif
