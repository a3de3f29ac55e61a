/* SPDX-License-Identifier: ISC */
#include "conf/conf.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/str.h"
#include "conf/arena.h"
#include "conf/build.h"

#include <stdlib.h>
#include <string.h>

static const char *const key_names[] = {
    [CONF_KEY_ECDSA_P256] = "ecdsa-p256", [CONF_KEY_ECDSA_P384] = "ecdsa-p384",
    [CONF_KEY_RSA_2048] = "rsa-2048",     [CONF_KEY_RSA_3072] = "rsa-3072",
    [CONF_KEY_RSA_4096] = "rsa-4096",
};

struct conf *conf_new(void)
{
    struct conf *c = xnew(struct conf);

    c->refs = 1;
    c->arena = arena_new();
    return c;
}

struct secret *conf_own_secret(struct conf *c, struct secret *s)
{
    c->secrets = xrealloc_array(c->secrets, c->n_secrets + 1, sizeof(struct secret *));
    c->secrets[c->n_secrets++] = s;
    return s;
}

void conf_seal(struct conf *c)
{
    c->index = map_new();
    for (size_t i = 0; i < c->n_certs; i++)
        map_put(c->index, c->certs[i].name, &c->certs[i]);
}

struct conf *conf_ref(struct conf *c)
{
    c->refs++;
    return c;
}

void conf_unref(struct conf *c)
{
    if (!c || --c->refs)
        return;
    for (size_t i = 0; i < c->n_secrets; i++)
        secret_free(c->secrets[i]);
    free(c->secrets);
    map_free(c->index);
    arena_free(c->arena);
    free(c);
}

const struct conf_cert *conf_find_cert(const struct conf *c, const char *name)
{
    return c->index ? map_get(c->index, name) : NULL;
}

const struct conf_cert *conf_next_variant(const struct conf *c, const struct conf_cert *k)
{
    const struct conf_cert *next = k + 1; /* they stand together */

    return next < c->certs + c->n_certs && str_eq(next->base, k->base) ? next : NULL;
}

const struct conf_ca *conf_find_ca(const struct conf *c, const char *name)
{
    for (size_t i = 0; i < c->n_cas; i++)
        if (str_eq(c->cas[i].name, name))
            return &c->cas[i];
    return NULL;
}

const struct conf_provider *conf_find_provider(const struct conf *c, const char *name)
{
    for (size_t i = 0; i < c->n_providers; i++)
        if (str_eq(c->providers[i].name, name))
            return &c->providers[i];
    return NULL;
}

const struct conf_dns_zone *conf_dns_for(const struct conf *c, const char *name)
{
    for (size_t i = 1; i < c->n_dns_zones; i++)
        if (name_under(name, c->dns_zones[i].suffix))
            return &c->dns_zones[i];
    return &c->dns_zones[0];
}

const char *conf_challenge_name(enum conf_challenge c)
{
    static const char *const names[CONF_CHALLENGE_TYPES] = {
        [CONF_DNS_01] = "dns-01",
        [CONF_HTTP_01] = "http-01",
        [CONF_TLS_ALPN_01] = "tls-alpn-01",
        [CONF_DNS_ACCOUNT_01] = "dns-account-01",
        [CONF_DNS_PERSIST_01] = "dns-persist-01",
    };
    return (unsigned)c < CONF_CHALLENGE_TYPES ? names[c] : "?";
}

const char *conf_key_name(enum conf_key k)
{
    return (size_t)k < ARRAY_LEN(key_names) ? key_names[k] : "unknown";
}

const char *conf_account_key_name(enum conf_account_key k)
{
    static const char *const names[] = {"ecdsa-p256", "ecdsa-p384", "rsa-2048",
                                        "rsa-3072",   "rsa-4096",   "ed25519"};

    return (size_t)k < ARRAY_LEN(names) ? names[k] : "unknown";
}

static const struct conf_provider *provider_by_zone(const struct conf *c, const char *name)
{
    const struct conf_provider *best = NULL;
    size_t longest = 0;

    for (size_t i = 0; i < c->n_providers; i++)
        for (size_t k = 0; k < c->providers[i].zones.n; k++) {
            const char *zone = c->providers[i].zones.v[k];

            if (name_under(name, zone) && (!best || strlen(zone) > longest)) {
                best = &c->providers[i];
                longest = strlen(zone);
            }
        }
    return best;
}

const struct conf_provider *conf_provider_for(const struct conf *c, const struct conf_cert *cert,
                                              const struct conf_name *name, const char *final_name,
                                              struct err *e)
{
    const char *said = name && name->provider[0] ? name->provider : cert->provider;
    const struct conf_provider *p;

    if (said[0]) {
        p = conf_find_provider(c, said);
        if (!p)
            err_set(e, ERR_CONFIG, "no provider is named %s: write it under providers", said);
        return p;
    }
    p = provider_by_zone(c, final_name);
    if (!p && c->n_providers == 1)
        p = &c->providers[0];
    if (!p)
        err_set(e, ERR_CONFIG,
                "no provider serves %s: add its zone to the zones of one of the providers, or give "
                "the certificate %s a provider",
                final_name, cert->name);
    return p;
}
