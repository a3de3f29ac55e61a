/* SPDX-License-Identifier: ISC */
/*
 * Whether a CA answers. One that fails for several certificates in a row is left alone for a while,
 * so that its outage costs neither it nor us thousands of attempts, and so that certificates with a
 * list of CAs go on to the next one at once. In memory only: after a restart it is soon known
 * again.
 *
 *     WELL -- HEALTH_FAILURES in a row --> AWAY until a time, then for one attempt: WELL or AWAY
 *                                           for twice as long, HEALTH_LONGEST at most
 */
#ifndef RENEWD_RENEW_HEALTH_H
#define RENEWD_RENEW_HEALTH_H

#include "base/err.h"
#include "base/map.h"

#include <stdint.h>

#define HEALTH_FAILURES 5u
#define HEALTH_FIRST_MS 30000
#define HEALTH_LONGEST_MS (30 * 60 * 1000)
#define HEALTH_PROBE_MS (5 * 60 * 1000)

struct healths;
struct healths *healths_new(void);
void healths_free(struct healths *h); /* NULL is fine */

/* An attempt at the server with that directory has ended; began_ms: when it began. err class
 * ERR_NONE, or a failure that is not the server's: it answers. */
void health_note(struct healths *h, const char *directory, const struct err *err, int64_t began_ms,
                 int64_t now_ms);
/* Until when it is left alone: 0 not at all, else wall time, which may have come. */
int64_t health_away_until(const struct healths *h, const char *directory);
/* The time has come: the caller finds out, and it is left alone for HEALTH_PROBE_MS more by
 * others. */
bool health_probe(struct healths *h, const char *directory, int64_t now_ms);

#endif
