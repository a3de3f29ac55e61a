/* SPDX-License-Identifier: ISC */
#include "keeper/chain_check.h"
#include "base/str.h"

#include <string.h>

/* A CA's clock may go wrong by this much before we doubt it. */
#define FUTURE_MS ((int64_t)48 * 3600 * 1000)

static int check_dates(const struct cert_info *leaf, int64_t now_ms, struct err *e)
{
    char from[32], to[32];
    str_from_time(leaf->not_before_ms, from, sizeof(from));
    str_from_time(leaf->not_after_ms, to, sizeof(to));
    if (leaf->not_after_ms <= leaf->not_before_ms)
        return err_set(e, ERR_PEER,
                       "the CA issued a certificate that ends (%s) before it begins (%s)", to,
                       from);
    if (leaf->not_after_ms <= now_ms)
        return err_set(e, ERR_PEER,
                       "the certificate expired at %s: is the clock of this machine right?", to);
    if (leaf->not_before_ms > now_ms + FUTURE_MS)
        return err_set(e, ERR_PEER,
                       "the certificate is valid only from %s: is the clock of this machine right?",
                       from);
    return 0;
}

/* Nobody would trust the leaf then; a cross-signed root further up may well have expired. */
static int check_issuer(const struct cert_info *issuer, int64_t now_ms, struct err *e)
{
    char from[32], to[32];
    str_from_time(issuer->not_before_ms, from, sizeof(from));
    str_from_time(issuer->not_after_ms, to, sizeof(to));
    if (issuer->not_after_ms <= now_ms || issuer->not_before_ms > now_ms + FUTURE_MS)
        return err_set(e, ERR_PEER,
                       "the CA's own certificate in the chain (%s) is valid from %s to %s: is the "
                       "clock of this machine right?",
                       issuer->subject_cn, from, to);
    return 0;
}

/* An old chain of the same CA must not come back, whoever brings it. */
static int check_newer(const struct cert_info *leaf, const struct chain_want *w, struct err *e)
{
    const struct live *old = w->installed;
    char mine[32], theirs[32];
    if (!old || !old->present || !str_eq(old->directory, w->directory) ||
        leaf->not_before_ms >= old->not_before_ms || !live_has_names(old, w->names, w->n_names))
        return 0;
    return err_set(
        e, ERR_PEER,
        "the certificate is older (from %s) than what is installed (from %s): not installed",
        str_from_time(leaf->not_before_ms, theirs, sizeof(theirs)),
        str_from_time(old->not_before_ms, mine, sizeof(mine)));
}

int chain_check(const struct cert_chain *c, const struct chain_want *w, struct err *e)
{
    const struct cert_info *leaf = c->certs[0];
    if (leaf->is_ca)
        return err_set(e, ERR_PEER, "the CA sent a chain that begins with a certificate of a CA");
    if (memcmp(leaf->spki, w->spki, SHA256_LEN) != 0)
        return err_set(e, ERR_PEER,
                       "the certificate is for another key than the one that was ordered for");
    if (!cert_has_names(leaf, w->names, w->n_names))
        return err_set(
            e, ERR_PEER,
            "the names in the certificate (%zu, first %s) are not exactly the configured "
            "ones (%zu, first %s)",
            leaf->dns_n + leaf->ips_n + leaf->other_names, leaf->dns_n ? leaf->dns[0] : "none",
            w->n_names, w->n_names ? w->names[0] : "none");
    if (check_dates(leaf, w->now_ms, e) || check_newer(leaf, w, e) ||
        (c->n > 1 && check_issuer(c->certs[1], w->now_ms, e)))
        return -1;
    return cert_chain_verify_links(c, e);
}
