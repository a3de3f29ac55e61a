/* SPDX-License-Identifier: ISC */
/* Readers of the keys that say how names are proved: challenge, http01, tlsalpn01, dns_persist01.
 */
#ifndef RENEWD_CONF_PROOF_H
#define RENEWD_CONF_PROOF_H

#include "conf/value.h"

#define CHALLENGES "dns-01|http-01|tls-alpn-01|dns-account-01|dns-persist-01"

extern const struct opt_type type_provider;    /* char *: a provider that there is (certs.c) */
extern const struct opt_type type_challenge;   /* struct conf_challenges */
extern const struct opt_type type_http01;      /* struct conf_http01 */
extern const struct opt_type type_alpn_listen; /* struct conf_strs */
extern const struct opt_type type_persist;     /* struct conf_persist; write and until */

/* What these are when nobody writes them. */
void proof_defaults(struct reader *r, struct conf_cert *c);
/* Whether the challenge can prove such a name at all. */
bool proof_fits(enum conf_challenge c, bool ip, bool wildcard);
/* Those of `all` that fit, in their order. */
struct conf_challenges proof_fitting(const struct conf_challenges *all, bool ip, bool wildcard);
bool proof_has(const struct conf_challenges *all, enum conf_challenge c);
/* Whether one of the certificate's names may be proved so. */
bool proof_uses(const struct conf_cert *c, enum conf_challenge type);
/* Whether a name with these needs records to be written. */
bool proof_needs_provider(const struct conf_cert *c, const struct conf_challenges *all);

/* names.c: the names of a certificate, of its list or of the one text that it is. c has its CAs,
 * profile and challenges. */
int names_read(struct reader *r, const struct node *list, struct conf_cert *c);
int names_read_one(struct reader *r, const struct node *v, struct conf_cert *c);

#endif
