/* SPDX-License-Identifier: ISC */
/*
 * The alias chain of a record's name (CNAME, also synthesised from DNAME): to which final name must
 * the record go, in which zone is that, who serves it. At most 16 aliases; loops are found.
 */
#ifndef RENEWD_DNS_ALIAS_H
#define RENEWD_DNS_ALIAS_H

#include "dns/zone_cut.h"

#define ALIAS_MAX 16u

struct alias_call;

struct alias_chain {
    char *names[ALIAS_MAX + 1]; /* the name asked for, its target, ... */
    char *zones[ALIAS_MAX + 1]; /* where each lies */
    size_t n;                   /* names[n - 1] is the final one */
    struct server_set *servers; /* of the final name's zone; or resolvers */
    bool resolved;              /* found through resolvers: see cut.note */
    char note[256];
};
/* chain NULL: *err (ERR_BLOCKED where only the user can mend it). Lives for the call. */
typedef void alias_done_fn(void *arg, const struct alias_chain *chain, const struct err *err);

/* Takes a reference to conf. */
struct alias_call *alias_follow(struct cuts *c, struct conf *conf, const char *name,
                                alias_done_fn *done, void *arg);
void alias_cancel(struct alias_call *c);
/* How far it has come; also inside the callback. */
const char *alias_at(const struct alias_call *c);
/* "a -> b -> c" */
const char *alias_text(const struct alias_chain *c, char *buf, size_t size);

#endif
