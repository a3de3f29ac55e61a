/* SPDX-License-Identifier: ISC */
/*
 * Who may issue for a name: CAA records (RFC 8659), found by climbing from the name to the
 * top-level domain, CNAMEs followed at each step as resolvers do, and what they mean for a given
 * CA, account and way of validation (RFC 8657).
 *
 * The zones' own servers are asked, so that what was mended a moment ago is seen; only for a name
 * of one label (a top-level domain) the resolvers are.
 */
#ifndef RENEWD_DNS_CAA_H
#define RENEWD_DNS_CAA_H

#include "base/err.h"
#include "dns/finding.h"
#include "dns/zone_cut.h"

#define CAA_RECORDS_MAX 64u /* of one name */

struct caa_record {
    bool critical;
    char tag[16]; /* lower case; longer ones are cut */
    char *value;  /* value_len bytes and a NUL; may hold others */
    size_t value_len;
};
struct caa_set {
    const struct caa_record *v;
    size_t n;
    char name[NAME_MAX_TEXT]; /* where they stand; "" if there are none anywhere */
    char zone[NAME_MAX_TEXT]; /* in which the name lies that was asked for */
    bool resolved;            /* the zone's servers could not be asked, the resolvers were */
};

struct caa_cache;
struct caa_call;
struct caa_cache *caa_cache_new(struct loop *l, struct dns *d, struct cuts *cuts);
void caa_cache_free(struct caa_cache *c); /* calls must have ended */
void caa_cache_clear(struct caa_cache *c);

/* set NULL: *err: the records could not be read. Lives for the call. */
typedef void caa_done_fn(void *arg, const struct caa_set *set, const struct err *err);
/* name without "*."; takes a reference to conf. */
struct caa_call *caa_find(struct caa_cache *c, struct conf *conf, const char *name, bool fresh,
                          caa_done_fn *done, void *arg);
void caa_cancel(struct caa_call *c);

struct caa_asker {                 /* who wants to issue */
    const char *ca;                /* for people */
    const char *const *identities; /* meta.caaIdentities of its directory; none: not known */
    size_t n_identities;
    const char *account;        /* URL; "": none yet, or not known */
    const char *const *methods; /* "dns-01", in order of preference */
    size_t n_methods;
};
bool caa_names_account(const struct caa_set *s); /* an accounturi matters */
/* Adds one finding about name, which may begin with "*.". */
void caa_judge(const struct caa_set *s, const char *name, const struct caa_asker *asker,
               struct findings *ret);

#endif
