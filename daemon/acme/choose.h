/* SPDX-License-Identifier: ISC */
/*
 * Which of the challenges that a CA offers for a name is to be met, and what its answer consists of
 * (RFC 8555 8.1, 8.3, 8.4; RFC 8737; dns-account-label-03; dns-persist). The name's own list of
 * preference decides. Types that have failed lately come after those that have not; types that have
 * failed in this order (authz.tried) do not come again.
 */
#ifndef RENEWD_ACME_CHOOSE_H
#define RENEWD_ACME_CHOOSE_H

#include "acme/acme.h"
#include "acme/doc.h"

struct authz;

struct choice { /* what goes for all authorizations of an order; outlives their set */
    const struct conf_cert *cert;
    const struct acme_avoid *avoid;
    size_t n_avoid;
    const char *thumbprint, *account_url;
    const struct directory_doc *directory; /* NULL: not known */
};

/* a->name is set. Fills a->chosen and what it needs; ERR_CONFIG or ERR_PEER when none will do. */
int choose_challenge(struct authz *a, const struct choice *c, struct err *e);
void choose_reset(struct authz *a); /* frees what was filled in */
/* There is another one to go on with: choose_challenge() after the present one is given up. */
bool choose_has_another(const struct authz *a, const struct choice *c);

#endif
