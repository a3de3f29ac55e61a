/* SPDX-License-Identifier: ISC */
/*
 * Rehearsals (renew --dry-run, --once --dry-run): a real order of a certificate at the staging of
 * its CA, with a key of its own. The chain is checked and thrown away; neither what is installed
 * nor what is planned nor any count changes. Watchers are told (renew_event.dry).
 */
#ifndef RENEWD_RENEW_REHEARSE_H
#define RENEWD_RENEW_REHEARSE_H

#include "renew/cert.h"

void rehearse_drop(struct renew *r); /* all that run */
bool rehearse_busy(const struct renew *r);

#endif
