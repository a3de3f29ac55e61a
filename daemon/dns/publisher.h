/* SPDX-License-Identifier: ISC */
/* What publications and looks share. Private to dns/. */
#ifndef RENEWD_DNS_PUBLISHER_H
#define RENEWD_DNS_PUBLISHER_H

#include "dns/alias.h"
#include "dns/ledger.h"
#include "dns/publish.h"

struct publisher {
    struct publisher_env env;
    struct conf *conf; /* NULL until configured */
    struct reach *reach;
    struct cuts *cuts;
    struct ledger *ledger;
    struct list waiting; /* propagations */
};

/* The provider for the end of the chain, or NULL and what the user can do about it (ERR_BLOCKED
 * where a CNAME would help, ERR_CONFIG otherwise). */
const struct conf_provider *publisher_choose(const struct conf *conf, const struct conf_cert *cert,
                                             const struct conf_name *name,
                                             const struct alias_chain *chain, struct err *e);

#endif
