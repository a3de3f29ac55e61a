/* SPDX-License-Identifier: ISC */
/* Transaction signatures by HMAC (RFC 8945). */
#ifndef RFC2136_TSIG_H
#define RFC2136_TSIG_H

#include "message.h"

#include <renewd/plugin.h>

#define TSIG_FUDGE 300 /* seconds */

enum { TSIG_BADSIG = 16, TSIG_BADKEY = 17, TSIG_BADTIME = 18, TSIG_BADTRUNC = 22 };

struct tsig_key {
    const char *name;           /* "acme-key" */
    const char *algorithm_name; /* "hmac-sha256" */
    uint32_t algorithm;         /* RENEWD_SHA* */
    const uint8_t *secret;
    uint64_t secret_len;
};

/* Appends the TSIG record; mac is needed for the answer. */
void tsig_sign(const struct renewd_host *host, const struct tsig_key *k, struct message *m,
               int64_t now_s, uint8_t mac[RENEWD_HASH_MAX], uint32_t *ret_mac_len);
enum tsig_result { TSIG_OK, TSIG_MISSING, TSIG_OTHER_KEY, TSIG_WRONG, TSIG_STALE };
/* Is the answer signed by the key, for that request, and now? */
enum tsig_result tsig_verify(const struct renewd_host *host, const struct tsig_key *k,
                             const uint8_t *p, const struct reply *r, int64_t now_s,
                             const uint8_t *request_mac, uint32_t request_mac_len, uint8_t *scratch,
                             uint32_t scratch_size);

#endif
