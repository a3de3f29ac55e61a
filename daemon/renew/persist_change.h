/* SPDX-License-Identifier: ISC */
/*
 * What a change of an account does to the records of dns-persist-01 that are for it. From draft -02
 * on they are for its key as well: before another one is put in force, the records for that one are
 * looked for, or written beside the present ones; and once it is, ours for the former key go. With
 * the account they all die.
 */
#ifndef RENEWD_RENEW_PERSIST_CHANGE_H
#define RENEWD_RENEW_PERSIST_CHANGE_H

#include "base/err.h"

#include <stdbool.h>

struct renew;
struct persist_change;
struct persist_change_spec { /* copied */
    const char *ca, *account_url;
    const char *thumbprint; /* of the new key; "": the account is to end, and it is only told what
                               depends on it */
    bool force;             /* records that are not there are told, and that is all */
};
struct persist_change_handler {
    void (*note)(void *arg, const char *text); /* for people */
    /* Once, later. ERR_NONE: the account may be changed. Type KEEPER_NEEDS_FORCE: records that the
     * operator makes, or that could not be written, are not there. persist_change_end() is due in
     * any case. */
    void (*ready)(void *arg, const struct err *err);
};
struct persist_change *persist_change_start(struct renew *r, const struct persist_change_spec *s,
                                            const struct persist_change_handler *h, void *arg);
/* changed: the new key is in force: the records that were written are kept, their forerunners and
 * what is known of them give way; else they are removed again. Also cancels; NULL is fine. */
void persist_change_end(struct persist_change *c, bool changed);

#endif
