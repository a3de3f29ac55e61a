/* SPDX-License-Identifier: ISC */
/*
 * What happened to a certificate, for `explain`: one run is collected in memory while it goes on
 * and becomes one value of the store when it ends. The last HISTORY_RUNS are kept, in turn, under
 * "history/NAME/0" and on, so that writing one never reads another.
 *
 *   {"began", "ended", "reason", "ca", "order", "outcome", "error", "next", "steps": [{at, state,
 * text}]}
 */
#ifndef RENEWD_RENEW_HISTORY_H
#define RENEWD_RENEW_HISTORY_H

#include "base/err.h"
#include "base/json.h"

#include <stdint.h>

#define HISTORY_RUNS 5u
#define HISTORY_STEPS 40u /* later ones are counted, not kept */
#define HISTORY_NOTES 20u
#define HISTORY_TEXT 400u /* bytes of a step's text */

struct history;
struct history *history_new(int64_t at_ms, const char *reason, const char *ca);
void history_free(struct history *h);
/* A step that was taken; always a line of its own. */
void history_step(struct history *h, int64_t at_ms, const char *state, const char *text);
/* What a step waits for. Takes the place of the note before it when only numbers differ, or when
 * there are HISTORY_NOTES. */
void history_note(struct history *h, int64_t at_ms, const char *state, const char *text);
void history_order(struct history *h, const char *url);
/* err class ERR_NONE: "renewed". next_ms 0: not planned. May be called again: the last one stands.
 */
void history_end(struct history *h, int64_t at_ms, const char *outcome, const struct err *err,
                 int64_t next_ms);
char *history_text(const struct history *h);        /* for the store; the caller frees */
struct json *history_json(const struct history *h); /* a copy; the caller frees */

/* "history/NAME/SLOT" of the run-th run. The caller frees. */
char *history_key(const char *cert, unsigned run);
char *history_prefix(const char *cert);

#endif
