/* SPDX-License-Identifier: ISC */
/* Secrets never leave a worker as text: every occurrence of a secret option's value becomes "***".
 */
#ifndef RENEWD_WORKER_MASK_H
#define RENEWD_WORKER_MASK_H

#include "wire/worker_msg.h"

#include <stddef.h>

#define MASK_MIN 4 /* shorter values are not masked: they occur in any text */

/* Copies text to dst, masked and cut, always terminated. c may be NULL. */
void mask_copy(const struct worker_config *c, const char *text, char *dst, size_t size);

#endif
