/* SPDX-License-Identifier: ISC */
/* The replies that look: objects in the form that `renewctl --json` prints. */
#ifndef RENEWD_CONTROL_REPORT_H
#define RENEWD_CONTROL_REPORT_H

#include "control/control.h"

/* "certificates", worst first, and "summary" into reply. -1 and *e when a name is unknown. */
int report_status(const struct renew *r, const struct json *names, bool failed_only, int64_t now_ms,
                  struct json *reply, struct err *e);
void report_providers(const struct providers *p, struct json *reply);
void report_cas(const struct acme *a, struct json *reply);
void report_limits(const struct renew *r, struct json *reply);
/* What renews in the next days and why: "plan" in order of time, "cas" with how many each gets. */
void report_plan(const struct renew *r, int64_t now_ms, int64_t days, struct json *reply);
void report_records(const struct publisher *p, struct json *reply);
void report_time(struct json *to, const char *key, int64_t wall_ms); /* RFC 3339; null for 0 */

#endif
