/* SPDX-License-Identifier: ISC */
/* Whether a chain that the engine brings may be installed (RFC 8555, section 11.4 and 7.4.2). */
#ifndef RENEWD_KEEPER_CHAIN_CHECK_H
#define RENEWD_KEEPER_CHAIN_CHECK_H

#include "base/err.h"
#include "digest/x509.h"
#include "keeper/live.h"

struct chain_want {
    const uint8_t *spki; /* of our key, SHA256_LEN */
    const char *const *names;
    size_t n_names;
    int64_t now_ms;
    const struct live *installed; /* what stands there now */
    const char *directory;        /* of the CA that is said to have issued the chain */
};

/* -1: ERR_PEER, with what is wrong with the chain. */
int chain_check(const struct cert_chain *c, const struct chain_want *w, struct err *e);

#endif
