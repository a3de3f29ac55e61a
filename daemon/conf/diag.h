/* SPDX-License-Identifier: ISC */
/* What the reader has to say, collected: errors up to DIAG_MAX_ERRORS, the rest counted. */
#ifndef RENEWD_CONF_DIAG_H
#define RENEWD_CONF_DIAG_H

#include "conf/conf.h"
#include "conf/load.h"

#include <stddef.h>

#define DIAG_MAX_ERRORS 50
#define DIAG_MAX_WARNINGS 500

struct diag {
    struct conf_message *v;
    size_t n, cap;
    size_t errors, warnings; /* all that were found; not all are kept */
};

/* Returns -1, so that a reader's last line can be `return diag_error(...)`. */
int diag_error(struct diag *d, struct conf_where at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void diag_warn(struct diag *d, struct conf_where at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Turns the errors from message `from` on into warnings: their file is left out, the rest is good.
 */
void diag_demote(struct diag *d, size_t from);
/* Hands the messages over; adds the line that says how many are not shown. */
void diag_finish(struct diag *d, struct conf_messages *ret);
void diag_free(struct diag *d);

#endif
