/* SPDX-License-Identifier: ISC */
/* `defaults` and `certificates`. A certificate starts as a copy of its file's defaults, which start
 * as a copy of the main file's; what it writes replaces. Lists are shared, never changed. */
#include "conf/certs.h"
#include "conf/proof.h"

#include "base/file.h"
#include "base/name.h"
#include "base/str.h"

#include <fcntl.h>
#include <string.h>

#define KEYS "ecdsa-p256|ecdsa-p384|rsa-2048|rsa-3072|rsa-4096"

/* ---- references ---- */

static int read_provider(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    const char *text = value_text(r, o->name, v);
    size_t at;

    if (!text)
        return -1;
    if (!place_get(r->provider_names, text, &at))
        return READ_ERROR(r, v, "provider: there is no provider %s%s", text,
                          suggest_in(r, r->provider_names, text));
    *(char **)dst = ((struct conf_provider *)vec_at(&r->providers, at))->name;
    return 0;
}

static int read_one_ca(struct reader *r, const struct node *v, struct conf_strs *s)
{
    const char *text = value_text(r, "ca", v);

    if (!text)
        return -1;
    if (ca_use(r, text))
        return READ_ERROR(r, v, "ca: there is no CA %s%s; others are written under cas", text,
                          ca_suggest(r, text));
    if (ca_check_binding(r, v, text))
        return -1;
    for (size_t i = 0; i < s->n; i++)
        if (!strcmp(s->v[i], text))
            return READ_ERROR(r, v, "ca: %s is written twice", text);
    s->v[s->n++] = arena_strdup(r->arena, text);
    return 0;
}

static int read_cas(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    const struct node *one;
    size_t n;
    const struct node *const *items = value_items(v, &one, &n);
    struct conf_strs s = {.v = arena_alloc(r->arena, n, sizeof *s.v)};
    struct cert_dst *d = dst;
    int rc = 0;

    if (!n)
        return READ_ERROR(r, v, "%s: the list is empty", o->name);
    for (size_t i = 0; i < n; i++)
        if (read_one_ca(r, items[i], &s))
            rc = -1;
    if (!rc)
        d->c.cas = s;
    d->ca_bad = rc != 0;
    return rc;
}

static int named_deployment(struct reader *r, const struct node *v, struct conf_cert *c)
{
    size_t at;

    if (!place_get(r->deployment_names, v->text, &at))
        return READ_ERROR(r, v, "deploy: there is no deployment %s%s", v->text,
                          suggest_in(r, r->deployment_names, v->text));
    for (size_t i = 0; i < c->n_deployments; i++)
        if (!strcmp(c->deployments[i].name, v->text))
            return READ_ERROR(r, v, "deploy: %s is written twice", v->text);
    c->deployments[c->n_deployments++] = *(struct conf_deployment *)vec_at(&r->deployments, at);
    return 0;
}

static int read_deploy(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    struct conf_cert *c = dst;
    struct conf_deployment own = {.where = node_where(v)};
    const struct node **steps;
    size_t n = 0;
    int rc = 0;

    if (value_list(r, o->name, v))
        return -1;
    c->deployments = v->n ? arena_alloc(r->arena, v->n + 1, sizeof *c->deployments) : NULL;
    c->n_deployments = 0;
    steps = arena_alloc(r->trees, v->n + 1, sizeof *steps);
    for (uint32_t i = 0; i < v->n; i++)
        if (v->items[i]->kind != NODE_TEXT)
            steps[n++] = v->items[i];
        else if (named_deployment(r, v->items[i], c))
            rc = -1;
    if (!n)
        return rc;
    own.name = arena_strdup(r->arena, "#1");
    if (steps_read(r, steps, n, &own))
        return -1;
    c->deployments[c->n_deployments++] = own;
    return rc;
}

/* ---- values ---- */

static int read_keys(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    const struct node *one;
    size_t n;
    const struct node *const *items = value_items(v, &one, &n);
    struct cert_dst *d = dst;
    enum conf_key keys[KEYS_MAX];

    if (!n)
        return READ_ERROR(r, v, "%s: the list is empty", o->name);
    for (size_t i = 0; i < n; i++) {
        const char *text = value_text(r, o->name, items[i]);
        int at = text ? choice_find(KEYS, text) : 0;

        if (!text)
            return -1;
        if (at < 0)
            return READ_ERROR(r, items[i], "%s: %s: write %s", o->name, text,
                              choice_hint(r, KEYS, text));
        for (size_t k = 0; k < i; k++)
            if (keys[k] == (enum conf_key)at)
                return READ_ERROR(r, items[i], "%s: %s is written twice", o->name, text);
        keys[i] = (enum conf_key)at; /* i < KEYS_MAX: they differ */
    }
    memcpy(d->keys, keys, sizeof keys);
    d->n_keys = n;
    return 0;
}

#define CSR_MAX (64u << 10)

static int read_csr(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    struct conf_cert *c = dst;
    CLEANUP_BUF struct buf b = {0};
    struct err e = ERR_INIT;
    struct stat st;

    if (type_path.read(r, o, v, &c->csr))
        return -1;
    if (r->text)
        return 0;
    buf_init(&b, CSR_MAX);
    if (file_read_at(AT_FDCWD, c->csr, true, &b, &st, &e))
        return READ_ERROR(r, v, "csr: %s", e.detail);
    if (strlen(buf_str(&b)) != b.len || !strstr(buf_str(&b), "-----BEGIN ") ||
        !strstr(buf_str(&b), "CERTIFICATE REQUEST-----"))
        return READ_ERROR(r, v,
                          "csr: %s holds no certificate request in PEM form (openssl req -inform "
                          "DER -in FILE -out FILE makes one of a DER file)",
                          c->csr);
    c->csr_pem = arena_strndup(r->arena, buf_str(&b), b.len);
    return 0;
}

static int read_renew_before(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    struct conf_cert *c = dst;
    const char *text = value_text(r, o->name, v);
    size_t len = text ? strlen(text) : 0;
    int64_t n;

    if (!text)
        return -1;
    if (text[len - 1] != '%') {
        if (value_duration(r, o->name, v, 60000, 10 * 365 * (int64_t)86400000, &n))
            return -1;
        c->renew_before_ms = n;
        c->renew_before_percent = 0;
        return 0;
    }
    if (len > 3 || !str_to_i64(arena_strndup(r->trees, text, len - 1), 1, 99, &n))
        return READ_ERROR(r, v, "%s: %s: write 1%% to 99%% of the lifetime", o->name, text);
    c->renew_before_percent = (uint32_t)n;
    c->renew_before_ms = 0;
    return 0;
}

struct profile_dst {
    char *name;
    unsigned on_missing;
};

static const struct opt profile_opts[] = {
    {"name", &type_text, .offset = offsetof(struct profile_dst, name), .required = true,
     .help = "the profile's name"},
    {"on_missing", &type_choice, .offset = offsetof(struct profile_dst, on_missing), .dflt = "fail",
     .choices = "fail|default", .help = "what to do when the CA does not offer it"},
};
static const struct opt_table profile_table = {
    .what = "profile", .opts = profile_opts, .n = ARRAY_LEN(profile_opts)};

static int read_profile(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    struct conf_cert *c = dst;
    struct profile_dst p = {0};

    if (v->kind != NODE_MAP) {
        const char *text = value_text(r, o->name, v);

        if (!text)
            return -1;
        p.name = arena_strdup(r->arena, text);
    } else {
        table_defaults(r, &profile_table, &p);
        if (table_read(r, &profile_table, v, &p, NULL))
            return -1;
    }
    c->profile = p.name;
    c->profile_or_default = p.on_missing == 1;
    return 0;
}

static int read_owner(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    bool group = str_eq(o->name, "group");

    if (type_user.read(r, o, v, dst))
        return -1;
    if (group ? group_find(r, *(char **)dst) : user_find(r, *(char **)dst))
        READ_WARN(r, v, "%s: there is no %s %s here", o->name, group ? "group" : "user",
                  *(char **)dst);
    return 0;
}

static int read_key_mode(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    if (type_mode.read(r, o, v, dst))
        return -1;
    if (*(mode_t *)dst & 07)
        READ_WARN(r, v, "%s: %s lets everyone read the private key", o->name, v->text);
    return 0;
}

#define STRING "{\"type\":\"string\",\"minLength\":1}"
#define ID "{\"type\":\"string\",\"pattern\":\"^[A-Za-z0-9._-]+$\"}"
#define ONE_OR_LIST(item)                                                                          \
    "{\"anyOf\":[" item ",{\"type\":\"array\",\"minItems\":1,\"items\":" item "}]}"
#define KEY_ENUM "{\"enum\":[\"ecdsa-p256\",\"ecdsa-p384\",\"rsa-2048\",\"rsa-3072\",\"rsa-4096\"]}"

const struct opt_type type_provider = {ID, read_provider};
static const struct opt_type type_cas = {ONE_OR_LIST(STRING), read_cas};
static const struct opt_type type_deploy = {
    "{\"type\":\"array\",\"items\":{\"anyOf\":[" ID ",{\"$ref\":\"#/$defs/step\"}]}}", read_deploy};
static const struct opt_type type_keys = {ONE_OR_LIST(KEY_ENUM), read_keys};
static const struct opt_type type_csr = {STRING, read_csr};
static const struct opt_type type_renew_before = {
    "{\"type\":\"string\",\"pattern\":\"^([0-9]+[smhdw]|[1-9][0-9]?%)$\"}", read_renew_before};
static const struct opt_type type_profile = {
    "{\"anyOf\":[" STRING ",{\"type\":\"object\",\"required\":[\"name\"],"
    "\"additionalProperties\":false,\"properties\":{\"name\":" STRING ","
    "\"on_missing\":{\"enum\":[\"fail\",\"default\"]}}}]}",
    read_profile};
static const struct opt_type type_owner = {"{\"type\":[\"string\",\"integer\"]}", read_owner};
static const struct opt_type type_key_mode = {"{\"type\":\"string\",\"pattern\":\"^0?[0-7]{3}$\"}",
                                              read_key_mode};
static const struct opt_type type_names = {
    "{\"type\":\"array\",\"minItems\":1,\"items\":{\"anyOf\":[" STRING
    ",{\"$ref\":\"#/$defs/certificate_name\"}]}}",
    node_keep};

#define AT(field) .offset = offsetof(struct cert_dst, field)

/* What defaults may hold as well. */
static const struct opt common_opts[] = {
    {"enabled", &type_bool, AT(c.enabled), .dflt = "true", .help = "false: it is not renewed"},
    {"provider", &type_provider, AT(c.provider),
     .help = "the provider of its names; when absent: by zones, else the only one"},
    {"ca", &type_cas, .offset = 0, .help = "a CA, or a list in the order of fallback; letsencrypt"},
    {"fallback_after", &type_u32, AT(c.fallback_after), .dflt = "3", .min = 1, .max = 1000,
     .help = "failures until the next CA of the list is tried"},
    {"challenge", &type_challenge, AT(c.challenges),
     .help = "how names are proved, or a list in the order of preference; dns-01"},
    {"http01", &type_http01, AT(c.http01),
     .help = "how the answers of http-01 reach port 80: listen, webroot or run"},
    {"tlsalpn01", &type_alpn_listen, AT(c.alpn_listen),
     .help = "how the answers of tls-alpn-01 reach port 443: listen"},
    {"dns_persist01", &type_persist, AT(c.persist),
     .help = "the record of dns-persist-01: write, until"},
    {"key", &type_keys, .offset = 0,
     .help = "kind of the private key, or a list: a certificate for each; ecdsa-p256"},
    {"reuse_key", &type_bool, AT(c.reuse_key), .dflt = "false",
     .help = "true: renewals keep the private key"},
    {"csr", &type_csr, AT(c),
     .help = "certificate request (PEM) that was made elsewhere, with its key; excludes key"},
    {"must_staple", &type_bool, AT(c.must_staple), .dflt = "false",
     .help = "true: servers must staple OCSP answers; only where the CA has OCSP"},
    {"profile", &type_profile, AT(c), .help = "certificate profile; the CA entry's when absent"},
    {"renew_before", &type_renew_before, AT(c),
     .help = "time or percentage of the lifetime left; 33%, 50% under 10 days; ARI may be earlier"},
    {"ari", &type_bool, AT(c.ari), .dflt = "true",
     .help = "the CA is asked when to renew (ACME Renewal Information)"},
    {"owner", &type_owner, AT(c.owner), .help = "owner of privkey.pem; root"},
    {"group", &type_owner, AT(c.group), .help = "group of privkey.pem; root"},
    {"key_mode", &type_key_mode, AT(c.key_mode), .dflt = "0600", .help = "mode of privkey.pem"},
    {"deploy", &type_deploy, AT(c),
     .help = "what to do with a new certificate: names of deployments, or steps"},
};
static const struct opt_table common_table = {
    .what = "certificates", .opts = common_opts, .n = ARRAY_LEN(common_opts)};

#define ACCOUNTS "belongs to the CA's account: write it under defaults or in the CA's entry"

static const struct opt cert_opts[] = {
    {"names", &type_names, AT(names), .help = "the host names, the first one first"},
    {"name", &type_id, AT(c.name),
     .help = "what it is called; its first name without \"*.\" when absent"},
    {"email", &type_never, .refuse = ACCOUNTS},
    {"agree_tos", &type_never, .refuse = ACCOUNTS},
};
const struct opt_table cert_table = {
    .what = "certificates", .opts = cert_opts, .n = ARRAY_LEN(cert_opts), .more = &common_table};

enum { DEFAULTS_EMAIL, DEFAULTS_AGREE };
#define PER_CERT "each certificate has its own: write it there"

static const struct opt defaults_opts[] = {
    [DEFAULTS_EMAIL] = {"email", &type_email, AT(email), .help = "contact address of accounts"},
    [DEFAULTS_AGREE] = {"agree_tos", &type_bool, AT(agree_tos),
                        .help = "you agree to the CAs' terms of service"},
    {"name", &type_never, .refuse = PER_CERT},
    {"names", &type_never, .refuse = PER_CERT},
};
const struct opt_table defaults_table = {.what = "defaults",
                                         .opts = defaults_opts,
                                         .n = ARRAY_LEN(defaults_opts),
                                         .more = &common_table};

/* ---- certificates ---- */

/* `ca` when nobody says it; a preset is only made known when it is used. */
static struct conf_strs default_cas(struct reader *r)
{
    if (!r->default_cas.n) {
        ca_use(r, "letsencrypt");
        r->default_cas.v = arena_alloc(r->arena, 1, sizeof(char *));
        r->default_cas.v[0] = arena_strdup(r->arena, "letsencrypt");
        r->default_cas.n = 1;
    }
    return r->default_cas;
}

/* The certificate's folder is called so. */
static char *first_name(struct reader *r, const struct conf_cert *c)
{
    const char *first = c->names[0].name;
    char *name = arena_strdup(r->arena, name_is_wildcard(first) ? first + 2 : first);

    for (char *p = strchr(name, ':'); p; p = strchr(p, ':'))
        *p = '_';
    return name;
}

static int read_names(struct reader *r, const struct node *v, struct cert_dst *d)
{
    if (v->kind == NODE_TEXT)
        return names_read_one(r, v, &d->c);
    if (!d->names)
        return READ_ERROR(r, v, "names: missing: the list of host names");
    return names_read(r, d->names, &d->c);
}

static int read_cert(struct reader *r, const struct node *v, const struct cert_dst *base,
                     struct cert_dst *d)
{
    int rc = 0;

    *d = *base;
    d->c.where = node_where(v);
    if (node_is_null(v) || v->kind == NODE_LIST)
        return READ_ERROR(r, v, "certificates: an entry must be a name or a mapping, this is %s",
                          v->kind == NODE_LIST ? "a list" : "empty");
    if (v->kind == NODE_MAP)
        rc = table_read(r, &cert_table, v, d, NULL);
    if (d->ca_bad)
        d->c.cas.n = 0;
    else if (!d->c.cas.n)
        d->c.cas = default_cas(r);
    if (read_names(r, v, d))
        return -1;
    if (!d->c.name)
        d->c.name = first_name(r, &d->c);
    return rc ? -1 : cert_check(r, v, d);
}

static void start_values(struct reader *r, struct cert_dst *d)
{
    char *empty = arena_strdup(r->arena, "");

    table_defaults(r, &common_table, d);
    d->c.provider = d->c.profile = d->c.owner = d->c.group = d->c.csr = d->c.csr_pem = empty;
    d->keys[0] = CONF_KEY_ECDSA_P256;
    d->n_keys = 1;
    proof_defaults(r, &d->c);
}

static void read_defaults(struct reader *r, struct source *src, struct cert_dst *d)
{
    uint64_t seen = 0;

    if (!src->defaults)
        return;
    table_read(r, &defaults_table, src->defaults, d, &seen);
    if (seen >> DEFAULTS_EMAIL & 1)
        src->email = d->email;
    if (seen >> DEFAULTS_AGREE & 1) {
        src->agree_set = true;
        src->agree_tos = d->agree_tos;
    }
    if (src != r->sources[0] && !src->cas && (src->email || src->agree_set))
        READ_WARN(r, src->defaults,
                  "defaults: email and agree_tos of an included file are for the "
                  "CAs that it defines, and it defines none: write them in the main file");
}

/* The first key is the certificate's own; each other one makes a certificate beside it. */
static void add_cert(struct reader *r, const struct cert_dst *d)
{
    struct conf_cert c = d->c;

    c.base = c.name;
    c.variant = arena_strdup(r->arena, "");
    c.key = d->keys[0];
    *(struct conf_cert *)vec_add(&r->certs) = c;
    for (size_t i = 1; i < d->n_keys && !c.csr[0]; i++) {
        c.key = d->keys[i];
        c.variant = arena_strdup(r->arena, conf_key_name(c.key));
        c.name = arena_printf(r->arena, "%s+%s", c.base, c.variant);
        *(struct conf_cert *)vec_add(&r->certs) = c;
    }
}

void certs_read(struct reader *r, struct source *src)
{
    const struct node *v = src->certificates;
    struct cert_dst *base = arena_new_of(r->arena, struct cert_dst), d;

    if (r->main_defaults)
        *base = *(const struct cert_dst *)r->main_defaults;
    else
        start_values(r, base);
    base->email = NULL;
    read_defaults(r, src, base);
    if (!r->main_defaults)
        r->main_defaults = base;
    if (v && v->kind != NODE_LIST) {
        READ_ERROR(r, v, "certificates: must be a list (- names: [...]), this is %s",
                   node_kind_name(v));
        return;
    }
    for (uint32_t i = 0; v && i < v->n; i++)
        if (!read_cert(r, v->items[i], base, &d))
            add_cert(r, &d);
}
