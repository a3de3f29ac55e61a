/* SPDX-License-Identifier: ISC */
/*
 * An external account that the CA gives out for the address in `email`, as ZeroSSL does at
 * https://api.zerossl.com/acme/eab-credentials-email; an entry whose directory is another server's
 * than the preset's is asked at that server. The keeper stores what comes.
 */
#ifndef RENEWD_ACME_EAB_H
#define RENEWD_ACME_EAB_H

#include "base/err.h"

#include <stddef.h>

struct ca;
struct eab_fetch;

/* Called once, later: the keeper has it, or err. */
typedef void eab_fetch_fn(void *arg, const struct err *err);
struct eab_fetch *eab_fetch_start(struct ca *ca, eab_fetch_fn *done, void *arg);
void eab_fetch_cancel(struct eab_fetch *f); /* NULL is fine */

/* The body of the answer: kid and key point into *ret_json, which the caller frees. -1 and *e. */
struct json;
int eab_answer_read(const char *text, size_t n, struct json **ret_json, const char **ret_kid,
                    const char **ret_key, struct err *e);
char *eab_url(const char *directory); /* the caller frees */

#endif
