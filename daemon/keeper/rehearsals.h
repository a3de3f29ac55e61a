/* SPDX-License-Identifier: ISC */
/* Keys of rehearsals: in memory only, gone with the engine that asked for them. */
#ifndef RENEWD_KEEPER_REHEARSALS_H
#define RENEWD_KEEPER_REHEARSALS_H

#include "keeper/certs.h"

struct rehearsals;
struct rehearsals *rehearsals_new(void);
void rehearsals_free(struct rehearsals *r); /* NULL is fine */
void rehearsals_clear(struct rehearsals *r);
/* With this key, which stays the caller's; the former one of the certificate goes. */
int rehearsals_put(struct rehearsals *r, const struct conf_cert *cert, struct pkey *key,
                   struct err *e);
/* NULL: there is none. */
const struct pending *rehearsals_get(const struct rehearsals *r, const char *name);

#endif
