/* SPDX-License-Identifier: ISC */
#include "acme/choose.h"

#include "acme/authz.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "digest/base64.h"
#include "digest/dns_account.h"
#include "digest/hash.h"
#include "digest/persist.h"

#include <stdlib.h>
#include <string.h>

#define TYPES_BY_DNS (1u << CONF_DNS_01 | 1u << CONF_DNS_ACCOUNT_01 | 1u << CONF_DNS_PERSIST_01)

/* The name's own list, else the certificate's; a name of the CA's own making has none. */
static struct conf_challenges preferences(const struct authz *a, const struct choice *c)
{
    if (a->name && a->name->challenges.n)
        return a->name->challenges;
    if (c->cert->challenges.n)
        return c->cert->challenges;
    return (struct conf_challenges){.v = {CONF_DNS_01}, .n = 1};
}

static bool is_wild(const struct authz *a)
{
    return a->doc.wildcard || (a->name && name_is_wildcard(a->name->name));
}

static bool fits(const struct authz *a, enum conf_challenge type)
{
    if (1u << type & TYPES_BY_DNS)
        return !a->doc.ip; /* RFC 8738 7 */
    return !is_wild(a);    /* RFC 8555 7.1.4 */
}

static unsigned avoided(const struct authz *a, const struct choice *c)
{
    for (size_t i = 0; a->name && i < c->n_avoid; i++) {
        if (str_eq(c->avoid[i].name, a->name->name))
            return c->avoid[i].types;
    }
    return 0;
}

static struct challenge_doc *first_of(const struct authz *a, const struct conf_challenges *want,
                                      unsigned without)
{
    for (size_t i = 0; i < want->n; i++) {
        enum conf_challenge type = want->v[i];
        struct challenge_doc *d = authz_doc_challenge(&a->doc, type);
        if (d && !(without & 1u << type) && fits(a, type))
            return d;
    }
    return NULL;
}

static struct challenge_doc *pick(const struct authz *a, const struct choice *c)
{
    struct conf_challenges want = preferences(a, c);
    struct challenge_doc *d = first_of(a, &want, a->tried | avoided(a, c));

    return d ? d : first_of(a, &want, a->tried);
}

bool choose_has_another(const struct authz *a, const struct choice *c)
{
    struct conf_challenges want = preferences(a, c);

    return first_of(a, &want, a->tried | (a->chosen ? 1u << a->type : 0)) != NULL;
}

/* --- what the answer consists of --- */

void choose_reset(struct authz *a)
{
    free(a->owner);
    free(a->value);
    free(a->key_authorization);
    for (size_t i = 0; i < ARRAY_LEN(a->account_uris); i++)
        free(a->account_uris[i]);
    a->owner = a->value = a->key_authorization = NULL;
    memset(a->account_uris, 0, sizeof(a->account_uris));
    a->n_account_uris = 0;
}

static void put_key_authorization(struct authz *a, const struct challenge_doc *d,
                                  const struct choice *c)
{
    uint8_t digest[SHA256_LEN];

    a->key_authorization = xasprintf("%s.%s", d->token, c->thumbprint);
    sha256(a->key_authorization, strlen(a->key_authorization), digest);
    a->value = base64url(digest, sizeof(digest));
}

static int put_hashed_uri(struct authz *a, const char *domain, const struct choice *c,
                          struct err *e)
{
    struct buf b CLEANUP_BUF = {0};

    buf_init(&b, 4096);
    if (persist_account_uri(c->directory->account_hash_prefix, domain, c->thumbprint,
                            c->account_url, &b, e) < 0)
        return -1;
    a->account_uris[a->n_account_uris++] = buf_steal(&b);
    return 0;
}

/* dns-persist-01: any of the issuers and of the URIs will do. */
static int put_persist(struct authz *a, const struct challenge_doc *d, const struct choice *c,
                       struct err *e)
{
    bool own = d->n_issuers > 0;

    if (!d->hashed) {
        a->account_uris[a->n_account_uris++] =
            xstrdup(*d->account_uri ? d->account_uri : c->account_url);
    } else if (!c->directory || !*c->directory->account_hash_prefix) {
        return err_set(e, ERR_PEER,
                       "the CA's dns-persist-01 challenge is of a draft that needs "
                       "accountHashPrefix in the directory, which lacks it");
    } else if (put_hashed_uri(a, a->doc.identifier, c, e) < 0 || put_hashed_uri(a, "*", c, e) < 0) {
        return -1;
    }
    if (!own && !c->directory)
        return err_set(e, ERR_PEER, "the CA's dns-persist-01 challenge names no issuer");
    a->issuers = (const char *const *)(own ? d->issuers : c->directory->issuers);
    a->n_issuers = own ? d->n_issuers : c->directory->n_issuers;
    a->owner = xasprintf("_validation-persist.%s", a->doc.identifier);
    return persist_issuers_check(a->issuers, a->n_issuers, e);
}

static int compose(struct authz *a, const struct challenge_doc *d, const struct choice *c,
                   struct err *e)
{
    char label[DNS_ACCOUNT_LABEL];

    choose_reset(a);
    if (d->type == CONF_DNS_PERSIST_01)
        return put_persist(a, d, c, e);
    put_key_authorization(a, d, c);
    if (d->type == CONF_DNS_01) {
        a->owner = xasprintf("_acme-challenge.%s", a->doc.identifier);
    } else if (d->type == CONF_DNS_ACCOUNT_01) {
        dns_account_label(c->account_url, label);
        a->owner = xasprintf("%s._acme-challenge.%s", label, a->doc.identifier);
    }
    return 0;
}

/* --- when there is none --- */

static const char *shown(const struct authz *a)
{
    return *a->doc.identifier ? a->doc.identifier : "a name";
}

static void list_types(const struct conf_challenges *want, unsigned without, struct buf *out)
{
    for (size_t i = 0; i < want->n; i++) {
        if (!(without & 1u << want->v[i]))
            buf_putf(out, "%s%s", out->len ? ", " : "", conf_challenge_name(want->v[i]));
    }
}

static int none_left(const struct authz *a, const struct choice *c, struct err *e)
{
    struct conf_challenges want = preferences(a, c);
    struct buf b CLEANUP_BUF = {0}, bad CLEANUP_BUF = {0};
    unsigned wanted = 0;

    buf_init(&b, 1024);
    buf_init(&bad, 1024);
    for (size_t i = 0; i < want.n; i++)
        wanted |= 1u << want.v[i];
    if (!*a->doc.offered)
        return err_set(e, ERR_PEER, "the CA offers no challenge for %s", shown(a));
    list_types(&want, 0, &b);
    list_types(&want, ~a->doc.unusable, &bad);
    if (bad.len)
        return err_set(e, ERR_PEER, "the CA's %s challenge for %s has no usable token or URL",
                       buf_str(&bad), shown(a));
    if (a->tried & wanted)
        return err_set(e, ERR_TRANSIENT, "every challenge type for %s has failed (%s)", shown(a),
                       buf_str(&b));
    return err_set(e, ERR_CONFIG,
                   "the CA offers no %s challenge for %s, only: %s; name one of them in challenge",
                   buf_str(&b), shown(a), a->doc.offered);
}

int choose_challenge(struct authz *a, const struct choice *c, struct err *e)
{
    struct err first = ERR_INIT;

    a->chosen = false;
    for (;;) {
        const struct challenge_doc *d = pick(a, c);
        if (!d) {
            if (err_is(&first))
                *e = first;
            return err_is(&first) ? -1 : none_left(a, c, e);
        }
        if (compose(a, d, c, err_is(&first) ? NULL : &first) == 0) {
            a->chosen = true;
            a->type = d->type;
            return 0;
        }
        a->tried |= 1u << d->type;
    }
}
