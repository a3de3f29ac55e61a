/* SPDX-License-Identifier: ISC */
/* RSA keys take up to a second, so another process makes them: this program again, with
 * --generate-key TYPE, which writes the PEM to descriptor 3. */
#ifndef RENEWD_KEEPER_KEYGEN_H
#define RENEWD_KEEPER_KEYGEN_H

#include "base/err.h"
#include "keys/pkey.h"
#include "loop/loop.h"

struct keygen;
/* key is the callee's; NULL on error. */
typedef void keygen_fn(void *arg, struct pkey *key, const struct err *err);
/* program: path of renewd. Never calls back from within. NULL: it could not be started. */
struct keygen *keygen_start(struct loop *l, const char *program, enum key_type type, keygen_fn *fn,
                            void *arg, struct err *e);
void keygen_cancel(struct keygen *g);
/* The other process: exit status. */
int keygen_main(const char *type);

#endif
