/* SPDX-License-Identifier: ISC */
/*
 * Everything that can be known to be wrong before an order is spent. Three depths:
 *
 *   ORDER  before each new order, beside the making of its key: what DNS says of each name, as
 *          cheap as dns/checks.h can: a query or two for a name, a handful for a zone, all others'
 *          answers of the last minutes are taken. Names whose zone says `check: none` are left out.
 *   LOOK   the same for a certificate that is blocked, and for one that someone asked to be renewed
 *          now, with no answer from memory.
 *   FULL   all of that, the whole delegation, the provider's own check, the store, the clock, the
 *          account: for `renewctl preflight`, and days ahead of a renewal.
 *
 * Only what is certain is a failure. What cannot be told is a warning, and lets the order go on.
 */
#ifndef RENEWD_RENEW_PREFLIGHT_H
#define RENEWD_RENEW_PREFLIGHT_H

#include "conf/conf.h"
#include "dns/finding.h"
#include "loop/loop.h"

struct acme;
struct checks;
struct keeper;
struct publisher;
struct providers;
struct store;

struct preflight_env { /* as struct renew_env */
    struct loop *loop;
    struct checks *checks;
    struct acme *acme;
    struct keeper *keeper;
    struct publisher *publisher;
    struct providers *providers;
    struct store *store;
};

enum preflight_depth { PREFLIGHT_ORDER, PREFLIGHT_LOOK, PREFLIGHT_FULL };
struct preflight_spec { /* copied, but for conf, which is referenced */
    struct conf *conf;
    const struct conf_cert *cert; /* of conf */
    const char *only;             /* this name of it alone; "": all */
    const char *ca;
    enum preflight_depth depth;
    int64_t not_before_ms; /* of the installed certificate; 0: none */
};
struct preflight_handler {
    void (*progress)(void *arg, const char *text); /* may be NULL */
    /* Once; the preflight is gone. Takes what it likes out of the findings. */
    void (*done)(void *arg, struct findings *f);
};
struct preflight;
struct preflight *preflight_start(const struct preflight_env *env, const struct preflight_spec *s,
                                  const struct preflight_handler *h, void *arg); /* env is kept */
void preflight_cancel(struct preflight *p);
/* The worst failure as an error of the class BLOCKED; false: there is none. */
bool preflight_blocks(const struct findings *f, struct err *ret);

#endif
