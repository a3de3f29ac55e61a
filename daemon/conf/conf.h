/* SPDX-License-Identifier: ISC */
/*
 * The configuration as everyone but the parser sees it: an immutable, counted snapshot. The keeper
 * parses the YAML (conf/load.h) and keeps the whole; the engine gets a copy without secrets through
 * conf/codec.h. Strings are never NULL unless said; lists may be empty.
 *
 * Resolved here, once: defaults applied, names normalised (base/name.h), references checked,
 * relative paths made absolute, presets merged. What each key means is in renewd.yaml(5).
 */
#ifndef RENEWD_CONF_CONF_H
#define RENEWD_CONF_CONF_H

#include "base/err.h"
#include "base/log.h"
#include "conf/basic.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

enum conf_account_key {
    CONF_ACCOUNT_ES256,
    CONF_ACCOUNT_ES384,
    CONF_ACCOUNT_RS256_2048,
    CONF_ACCOUNT_RS256_3072,
    CONF_ACCOUNT_RS256_4096,
    CONF_ACCOUNT_ED25519
};

struct conf_ca {
    char *name;
    char *preset;    /* "letsencrypt"; "" = none */
    char *directory; /* https URL */
    char *ca_file;   /* "" = the system's roots */
    char *ca_pem;    /* contents of ca_file, for the engine; "" if none */
    char *email;     /* "" = none */
    bool agree_tos;
    char *account;         /* "main" */
    char *profile;         /* "" = the CA's default */
    char *preferred_chain; /* "" */
    char *eab_kid;         /* "" = none */
    struct conf_secret eab_hmac_key;
    bool eab_by_email; /* the CA gives credentials out for an address (ZeroSSL), and none are
                          written */
    enum conf_account_key account_key;
    bool no_ocsp; /* a preset that is known to have none: must-staple is refused */
    int64_t timeout_ms;
    uint32_t max_orders;
    struct conf_limit orders_limit;     /* new orders of the account */
    struct conf_limit same_names_limit; /* certificates of exactly the same names */
    struct conf_limit domain_limit;     /* certificates of one registered domain */
    struct conf_limit failures_limit;   /* failed authorizations of one name */
    struct conf_limit requests_limit;   /* to the directory's server, of all its entries */
    char *staging;                      /* "" or a CA's name */
    struct conf_where where;            /* line 0: a preset that no file writes */
};

enum conf_check { CONF_CHECK_REQUIRE, CONF_CHECK_WARN, CONF_CHECK_NONE };
enum conf_ask { CONF_ASK_AUTO, CONF_ASK_AUTHORITATIVE, CONF_ASK_RESOLVERS };

struct conf_dns_zone {
    char *suffix;               /* "" for the global settings */
    struct conf_strs servers;   /* ADDR or ADDR:PORT; empty: the NS set's */
    struct conf_strs resolvers; /* ADDR[:PORT]; empty: the system's (the keeper fills them in) */
    enum conf_ask ask;
    enum conf_check check;
    int64_t timeout_ms;
};

struct conf_option { /* a plugin's own option, in the order written */
    char *name;
    char *text;                /* "" when secret */
    struct conf_secret secret; /* kind NONE unless the plugin says the option is a secret */
    struct conf_where where;
};

struct conf_provider {
    char *name;
    char *plugin; /* as written: NAME or PATH */
    char *path;   /* the shared object, absolute */
    struct conf_strs zones;
    bool allow_exec;
    char *run_as;           /* "" = worker_user */
    uint32_t ttl;           /* 0 = the plugin's */
    int64_t timeout_ms;     /* 0 = not said */
    uint32_t propagation_s; /* what the plugin calls typical; 0 = not said */
    struct conf_option *options;
    size_t n_options;
    struct conf_where where;
};

enum conf_step_kind { CONF_STEP_RUN, CONF_STEP_RELOAD, CONF_STEP_FILE, CONF_STEP_VERIFY };
enum conf_content {
    CONF_PRIVKEY = 1,
    CONF_CERT,
    CONF_CHAIN,
    CONF_FULLCHAIN,
    CONF_PKCS12,
    CONF_PKCS12_LEGACY, /* for readers from before 2015 or so */
    CONF_PRIVKEY_DER,
    CONF_CERT_DER
};

struct conf_step {
    enum conf_step_kind kind;
    int64_t timeout_ms;
    /* run */
    struct conf_strs argv;
    char *user; /* "root" */
    bool once;
    /* reload */
    char *unit;
    /* file */
    char *path;
    enum conf_content content[8];
    size_t n_content;
    char *owner, *group; /* "" = the daemon's */
    mode_t mode;
    struct conf_secret password; /* of PKCS12 */
    /* verify */
    struct conf_strs connect; /* HOST:PORT */
    char *sni;                /* "" = the certificate's first name that is no wildcard */
    char *starttls;           /* "" smtp imap pop3 ldap postgres */
    struct conf_where where;
};

struct conf_deployment {
    char *name; /* named ones; "#1", "#2"... for steps written in the certificate, which form one
                   list */
    struct conf_step *steps;
    size_t n_steps;
    struct conf_where where;
};

/* How control of a name is proved; each a bit of a conf_challenges' possible answers. */
enum conf_challenge {
    CONF_DNS_01,
    CONF_HTTP_01,
    CONF_TLS_ALPN_01,
    CONF_DNS_ACCOUNT_01,
    CONF_DNS_PERSIST_01,
    CONF_CHALLENGE_TYPES
};
/* In order of preference; at least one. */
struct conf_challenges {
    enum conf_challenge v[CONF_CHALLENGE_TYPES];
    size_t n;
};

struct conf_name {
    char *name;     /* normalised, A-labels; may begin with "*."; or an IP address (RFC 5952) */
    char *unicode;  /* as people write it, U-labels; the same as name when that is ASCII */
    char *provider; /* "" = the certificate's, else by zones */
    char *domain;   /* the end of name that is its registered domain (publicsuffix.org); NULL = it
                       has none */
    bool ip;
    struct conf_challenges challenges; /* those of the certificate that fit, or the name's own */
};

/* How http-01's answers reach port 80. */
struct conf_http01 {
    enum { CONF_HTTP01_LISTEN, CONF_HTTP01_WEBROOT, CONF_HTTP01_RUN } kind;
    struct conf_strs listen; /* ADDR:PORT; default "0.0.0.0:80", "[::]:80" */
    char *webroot;           /* absolute; files go to its .well-known/acme-challenge/ */
    struct conf_strs argv;
};

/* dns-persist-01: the record outlives orders; see renewd.yaml(5). */
struct conf_persist {
    bool write;      /* through the provider; false: the operator does, we tell what */
    bool wildcard;   /* policy=wildcard; set where the names need it */
    int64_t days_ms; /* persistUntil this far ahead; 0: without */
};

enum conf_key {
    CONF_KEY_ECDSA_P256,
    CONF_KEY_ECDSA_P384,
    CONF_KEY_RSA_2048,
    CONF_KEY_RSA_3072,
    CONF_KEY_RSA_4096
};

/*
 * One key, one certificate: an entry with a list of keys becomes one of these for each, the first
 * under the written name, the others as "NAME+KEY" with the same `base`. Their files are in
 * live/NAME/ and live/NAME/KEY/.
 */
struct conf_cert {
    char *name;
    char *base;    /* the written name */
    char *variant; /* "" or "rsa-2048" */
    struct conf_name *names;
    size_t n_names;
    bool enabled;
    char *provider;       /* "" */
    struct conf_strs cas; /* names of conf_ca, in order of fallback; at least one */
    uint32_t fallback_after;
    struct conf_challenges challenges; /* of the certificate; names have their own copies */
    struct conf_http01 http01;
    struct conf_strs alpn_listen; /* tls-alpn-01; default "0.0.0.0:443", "[::]:443" */
    struct conf_persist persist;
    enum conf_key key; /* meaningless with csr */
    bool reuse_key;
    char *csr;     /* path; "" = none: we make the key */
    char *csr_pem; /* its contents, for the keeper and the engine; "" */
    bool must_staple;
    char *profile;           /* "" = the CA entry's */
    bool profile_or_default; /* on_missing: default */
    int64_t renew_before_ms; /* 0 = not an absolute time */
    uint32_t
        renew_before_percent; /* of the lifetime; 0 = the default rule (33, or 50 under 10 d) */
    bool ari;
    char *owner, *group; /* "" = leave */
    mode_t key_mode;
    struct conf_deployment *deployments; /* resolved copies: named ones and the written steps */
    size_t n_deployments;
    struct conf_where where;
};

struct conf {
    uint64_t generation; /* counts up with every accepted load */
    char *file;
    /* The keeper's only: the files that were read, and the patterns of include; absolute. */
    struct conf_strs files, includes;
    char *state_dir, *control_socket, *control_group; /* control_group "" = none */
    char *user, *worker_user;
    bool user_set, worker_user_set; /* written, not the default */
    enum log_level log_level;
    uint32_t archive_keep;
    struct conf_ca *cas; /* only those that certificates use, their stagings, and those written */
    size_t n_cas;
    struct conf_dns_zone
        *dns_zones; /* [0] is the global one (suffix ""); the rest longest suffix first */
    size_t n_dns_zones;
    struct conf_provider *providers;
    size_t n_providers;
    struct conf_deployment *deployments;
    size_t n_deployments;
    struct conf_cert *certs; /* in the order written */
    size_t n_certs;
    uint32_t refs;
    struct arena *arena;     /* holds everything above but the secrets' bytes */
    struct map *index;       /* certificates by name */
    struct secret **secrets; /* every conf_secret's value, once */
    size_t n_secrets;
};

struct conf *conf_ref(struct conf *c);
void conf_unref(struct conf *c); /* NULL is fine; frees everything with the last reference */

const struct conf_cert *conf_find_cert(const struct conf *c, const char *name);
/* The next certificate of the same entry (its keys differ), or NULL. The first has variant "". */
const struct conf_cert *conf_next_variant(const struct conf *c, const struct conf_cert *k);
const struct conf_ca *conf_find_ca(const struct conf *c, const char *name);
static inline bool conf_ca_same_account(const struct conf_ca *a, const struct conf_ca *b)
{
    return strcmp(a->directory, b->directory) == 0 && strcmp(a->account, b->account) == 0 &&
           strcmp(a->eab_kid, b->eab_kid) == 0;
}
const struct conf_provider *conf_find_provider(const struct conf *c, const char *name);
const struct conf_dns_zone *conf_dns_for(const struct conf *c,
                                         const char *name); /* longest suffix */
const char *conf_key_name(enum conf_key k);
const char *conf_challenge_name(enum conf_challenge c);     /* "dns-01" */
const char *conf_account_key_name(enum conf_account_key k); /* "ecdsa-p256" */

/*
 * The provider for a record: the name's own, else the certificate's, else the one whose zones hold
 * final_name (alias already followed; longest suffix), else the only provider there is. NULL and *e
 * (class ERR_CONFIG) when none.
 */
const struct conf_provider *conf_provider_for(const struct conf *c, const struct conf_cert *cert,
                                              const struct conf_name *name, const char *final_name,
                                              struct err *e);

#endif
