/* SPDX-License-Identifier: ISC */
#include "conf/certs.h"
#include "conf/proof.h"

#include "base/name.h"
#include "base/str.h"

#include <string.h>

/* Where a key of the certificate is written, else the certificate. */
static const struct node *place_of(const struct node *v, const char *key)
{
    const struct node *at = v->kind == NODE_MAP ? node_get(v, key) : NULL;

    return at && !node_is_null(at) ? at : v;
}

/* ---- the provider ---- */

/* The main file has a key that is most likely meant to be `providers`, and was told so. */
static bool providers_misspelt(struct reader *r)
{
    const struct node *root = r->sources[0]->root;

    for (uint32_t i = 0; root && root->kind == NODE_MAP && i < root->n; i++) {
        const char *key = root->pairs[i].key->text;

        if (!table_find(&top_table, key, NULL) &&
            str_ends(suggest_key(r, &top_table, key), " providers?"))
            return true;
    }
    return false;
}

/* A name that needs records to be written, and says no provider. */
static const struct conf_name *without_provider(const struct conf_cert *c)
{
    for (size_t i = 0; i < c->n_names; i++)
        if (!c->names[i].provider[0] && proof_needs_provider(c, &c->names[i].challenges))
            return &c->names[i];
    return NULL;
}

/* Only what is wrong for sure: which zone a record is in is known once aliases are followed. */
static int check_provider(struct reader *r, const struct node *v, const struct conf_cert *c)
{
    bool zones = false;

    if (c->provider[0] || r->providers.n == 1 || !without_provider(c))
        return 0;
    if (!r->providers.n) {
        if (r->no_provider_said || providers_misspelt(r))
            return 0;
        r->no_provider_said = true;
        return READ_ERROR(r, v,
                          "provider: missing provider for %s: write the DNS provider of its "
                          "zone under providers",
                          c->name);
    }
    for (size_t i = 0; i < r->providers.n; i++)
        zones |= ((struct conf_provider *)vec_at(&r->providers, i))->zones.n > 0;
    if (zones)
        return 0;
    return READ_ERROR(r, v,
                      "provider: missing provider for %s: there are %zu; write provider: NAME, "
                      "or give the providers their zones",
                      c->name, r->providers.n);
}

/* ---- keys and requests ---- */

static int refuse_staple(struct reader *r, const struct node *at, const char *key,
                         const struct conf_cert *c)
{
    for (size_t i = 0; i < c->cas.n; i++) {
        const struct conf_ca *ca = ca_public(r, c->cas.v[i]);

        if (ca && ca->no_ocsp)
            return READ_ERROR(r, at,
                              "%s: must-staple is asked for, and %s has no OCSP, so that no "
                              "server could staple an answer and clients would refuse the "
                              "certificate: leave it out, or take another ca",
                              key, ca->name);
    }
    return 0;
}

static int check_staple(struct reader *r, const struct node *v, const struct conf_cert *c)
{
    const struct node *at = place_of(v, "must_staple");

    if (!c->must_staple)
        return 0;
    if (c->csr[0])
        return READ_ERROR(r, at, "must_staple: the request that csr names says it, or does not");
    return refuse_staple(r, at, "must_staple", c);
}

static bool holds_key(const struct conf_step *s)
{
    for (size_t i = 0; i < s->n_content; i++)
        if (content_has_key(s->content[i]))
            return true;
    return false;
}

static int ask_csr(struct reader *r, const struct node *at, const struct conf_cert *c)
{
    struct err e = ERR_INIT;
    bool staple = false;

    if (r->plugins->check_csr(r->plugins->ctx, c, &staple, &e))
        return READ_ERROR(r, at, "csr: %s: %s", c->csr, e.detail);
    return staple ? refuse_staple(r, at, "csr", c) : 0;
}

/* A request of the user's own: we have no key, and make none. */
static int check_csr(struct reader *r, const struct node *v, const struct cert_dst *d)
{
    static const char *const others[] = {"key", "reuse_key"};
    const struct node *at = place_of(v, "csr");
    int rc = 0;

    if (!d->c.csr[0])
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (place_of(v, others[i]) != v)
            rc = READ_ERROR(r, place_of(v, others[i]),
                            "%s: csr excludes it: the key was made with the request", others[i]);
    for (size_t i = 0; i < d->c.n_deployments; i++)
        for (size_t k = 0; k < d->c.deployments[i].n_steps; k++)
            if (holds_key(&d->c.deployments[i].steps[k]))
                return READ_ERROR(r, at,
                                  "csr: the private key is where the request was made: its "
                                  "deployment cannot write it to %s",
                                  d->c.deployments[i].steps[k].path);
    if (!rc && r->plugins && r->plugins->check_csr && !r->text)
        rc = ask_csr(r, at, &d->c);
    return rc;
}

static bool names_variant(const struct conf_strs *argv, const char *path)
{
    for (size_t i = 0; i < argv->n; i++)
        if (strstr(argv->v[i], "%n") || strstr(argv->v[i], "%d"))
            return true;
    return strstr(path, "%n") || strstr(path, "%d");
}

/* Several keys, one file: the last one would win. */
static int check_variants(struct reader *r, const struct node *v, const struct cert_dst *d)
{
    for (size_t i = 0; d->n_keys > 1 && !d->c.csr[0] && i < d->c.n_deployments; i++)
        for (size_t k = 0; k < d->c.deployments[i].n_steps; k++) {
            const struct conf_step *s = &d->c.deployments[i].steps[k];

            if (s->kind == CONF_STEP_FILE && !names_variant(&s->argv, s->path))
                return READ_ERROR(r, place_of(v, "key"),
                                  "key: each key has a certificate of its own, and both would be "
                                  "written to %s: put %%n in that path",
                                  s->path);
        }
    return 0;
}

/* ---- the rest ---- */

/* An address answers one kind of challenge, whichever certificates name it. */
static int check_listen(struct reader *r, const struct node *at, const struct conf_strs *listen,
                        enum conf_challenge type)
{
    for (size_t i = 0; i < listen->n; i++) {
        const enum conf_challenge *other = map_get(r->listeners, listen->v[i]);
        enum conf_challenge *mine;

        if (other && *other != type)
            return READ_ERROR(r, at,
                              "listen: %s answers %s already, it cannot "
                              "answer %s too: write another port",
                              listen->v[i], conf_challenge_name(*other), conf_challenge_name(type));
        if (other)
            continue;
        mine = arena_new_of(r->trees, enum conf_challenge);
        *mine = type;
        map_put(r->listeners, listen->v[i], mine);
    }
    return 0;
}

static int check_listeners(struct reader *r, const struct node *v, const struct conf_cert *c)
{
    if (c->http01.kind == CONF_HTTP01_LISTEN && proof_uses(c, CONF_HTTP_01) &&
        check_listen(r, place_of(v, "http01"), &c->http01.listen, CONF_HTTP_01))
        return -1;
    return proof_uses(c, CONF_TLS_ALPN_01)
               ? check_listen(r, place_of(v, "tlsalpn01"), &c->alpn_listen, CONF_TLS_ALPN_01)
               : 0;
}

/* What Let's Encrypt takes in one certificate, by profile (its documentation of 2026). */
static void warn_many(struct reader *r, const struct node *v, const struct conf_cert *c)
{
    for (size_t i = 0; i < c->cas.n; i++) {
        const struct conf_ca *ca = ca_public(r, c->cas.v[i]);
        const char *profile = c->profile[0] || !ca ? c->profile : ca->profile;
        size_t most = !profile[0] || str_eq(profile, "classic") ? 100 : 25;

        if (ca && str_starts(ca->preset, "letsencrypt") && c->n_names > most) {
            READ_WARN(
                r, place_of(v, "names"),
                "names: there are %zu: Let's Encrypt takes at most %zu in one certificate%s%s",
                c->n_names, most, *profile ? " with the profile " : "", profile);
            return;
        }
    }
}

static void warn_unused(struct reader *r, const struct node *v, const struct conf_cert *c)
{
    static const struct {
        const char *key;
        enum conf_challenge type;
    } keys[] = {
        {"http01", CONF_HTTP_01},
        {"tlsalpn01", CONF_TLS_ALPN_01},
        {"dns_persist01", CONF_DNS_PERSIST_01},
    };

    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (place_of(v, keys[i].key) != v && !proof_uses(c, keys[i].type))
            READ_WARN(r, place_of(v, keys[i].key),
                      "%s: no name of this certificate is proved by %s: write challenge: %s",
                      keys[i].key, conf_challenge_name(keys[i].type),
                      conf_challenge_name(keys[i].type));
}

static int check_unique(struct reader *r, const struct node *v, const struct conf_cert *c)
{
    const struct conf_where *twin = map_get(r->cert_names, c->name);
    struct conf_where *here;

    if (twin)
        return READ_ERROR(r, v,
                          "name: %s is the name of another certificate, at %s:%u:%u: give one "
                          "of them another name",
                          c->name, twin->file, twin->line, twin->column);
    here = arena_new_of(r->trees, struct conf_where);
    *here = node_where(v);
    map_put(r->cert_names, c->name, here);
    return 0;
}

int cert_check(struct reader *r, const struct node *v, struct cert_dst *d)
{
    struct conf_cert *c = &d->c;

    for (size_t i = 0; i < c->n_names; i++)
        if (name_is_wildcard(c->names[i].name) &&
            proof_has(&c->names[i].challenges, CONF_DNS_PERSIST_01))
            c->persist.wildcard = true;
    if (check_provider(r, v, c) | check_staple(r, v, c) | check_csr(r, v, d) |
        check_variants(r, v, d) | check_listeners(r, v, c))
        return -1;
    warn_unused(r, v, c);
    warn_many(r, v, c);
    return check_unique(r, place_of(v, "name"), c);
}
