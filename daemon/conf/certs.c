/* SPDX-License-Identifier: ISC */
/* `defaults` and `certificates`. A certificate starts as a copy of its file's defaults, which start
 * as a copy of the main file's; what it writes replaces. Lists are shared, never changed. */
#include "conf/value.h"

#include "base/name.h"
#include "base/str.h"

#include <string.h>

#define NAMES_MAX 1000
#define CHALLENGES "dns-01|http-01|tls-alpn-01|dns-account-01|dns-persist-01"
#define KEYS "ecdsa-p256|ecdsa-p384|rsa-2048|rsa-3072|rsa-4096"

struct cert_dst {
    struct conf_cert c;
    const struct node *names;
    bool other_challenge; /* one that is not yet available was asked for */
    char *email;          /* of defaults */
    bool agree_tos;
};

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
    if (ca_needs_eab(r, text))
        READ_WARN(r, v, "ca: %s wants its accounts bound (eab), which is " NOT_YET, text);
    if (ca_use(r, text))
        return READ_ERROR(r, v, "ca: there is no CA %s%s; others are written under cas", text,
                          ca_suggest(r, text));
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
    int rc = 0;

    if (!n)
        return READ_ERROR(r, v, "%s: the list is empty", o->name);
    for (size_t i = 0; i < n; i++)
        if (read_one_ca(r, items[i], &s))
            rc = -1;
    if (!rc)
        *(struct conf_strs *)dst = s;
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

static int read_key(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    const struct node *one;
    size_t n;
    const struct node *const *items = value_items(v, &one, &n);
    const char *text;
    int at;

    if (n != 1)
        return READ_ERROR(r, v,
                          n ? "%s: a list of two or more keys: " NOT_YET : "%s: the list is empty",
                          o->name);
    text = value_text(r, o->name, items[0]);
    if (!text)
        return -1;
    at = choice_find(KEYS, text);
    if (at < 0)
        return READ_ERROR(r, items[0], "%s: %s: write %s", o->name, text,
                          choice_hint(r, KEYS, text));
    *(unsigned *)dst = (unsigned)at;
    return 0;
}

static int read_challenge(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    const struct node *one;
    size_t n;
    const struct node *const *items = value_items(v, &one, &n);
    int rc = 0;

    if (!n)
        return READ_ERROR(r, v, "%s: the list is empty", o->name);
    for (size_t i = 0; i < n; i++) {
        const char *text = value_text(r, o->name, items[i]);
        int at = text ? choice_find(CHALLENGES, text) : 0;

        *(bool *)dst |= at > 0;
        if (!text)
            rc = -1;
        else if (at < 0)
            rc = READ_ERROR(r, items[i], "%s: %s: write %s", o->name, text,
                            choice_hint(r, CHALLENGES, text));
        else if (at > 0)
            rc = READ_ERROR(r, items[i], "%s: %s: " NOT_YET "; dns-01 is", o->name, text);
    }
    return rc;
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

static const struct opt_type type_provider = {ID, read_provider};
static const struct opt_type type_cas = {ONE_OR_LIST(STRING), read_cas};
static const struct opt_type type_deploy = {
    "{\"type\":\"array\",\"items\":{\"anyOf\":[" ID ",{\"$ref\":\"#/$defs/step\"}]}}", read_deploy};
static const struct opt_type type_key = {
    "{\"anyOf\":[" KEY_ENUM ",{\"type\":\"array\",\"minItems\":1,\"maxItems\":1,\"items\":" KEY_ENUM
    "}]}",
    read_key};
static const struct opt_type type_challenge = {ONE_OR_LIST("{\"const\":\"dns-01\"}"),
                                               read_challenge};
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
    {"ca", &type_cas, AT(c.cas), .help = "a CA, or a list in the order of fallback; letsencrypt"},
    {"fallback_after", &type_u32, AT(c.fallback_after), .dflt = "3", .min = 1, .max = 1000,
     .help = "failures until the next CA of the list is tried"},
    {"challenge", &type_challenge, AT(other_challenge), .help = "how names are proven; dns-01"},
    {"key", &type_key, AT(c.key), .help = "kind of the private key; ecdsa-p256"},
    {"reuse_key", &type_bool, AT(c.reuse_key), .dflt = "false",
     .help = "true: renewals keep the private key"},
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
    {"http01", &type_never, .refuse = NOT_YET, .help = "how http-01 tokens are served"},
    {"csr", &type_never, .refuse = NOT_YET, .help = "a request made elsewhere"},
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

/* ---- names ---- */

struct name_dst {
    char *name, *provider;
};

static const struct opt name_opts[] = {
    {"name", &type_text, .offset = offsetof(struct name_dst, name), .required = true,
     .help = "the host name"},
    {"provider", &type_provider, .offset = offsetof(struct name_dst, provider),
     .help = "the provider of this name"},
    {"challenge", &type_never, .refuse = NOT_YET, .help = "how this name is proven"},
};
const struct opt_table cert_name_table = {
    .what = "names", .opts = name_opts, .n = ARRAY_LEN(name_opts)};

static int bad_name(struct reader *r, const struct node *v, const char *text, enum name_problem p)
{
    if (p == NAME_IP)
        return READ_ERROR(r, v,
                          "names: %s is an IP address: dns-01 proves names only; write a name "
                          "that points to it",
                          text);
    if (p == NAME_NOT_ASCII)
        return READ_ERROR(r, v,
                          "names: %s: names outside ASCII are " NOT_YET ": write the A-label "
                          "(xn--...)",
                          text);
    return READ_ERROR(r, v, "names: %s is no host name: %s", text, name_problem_text(p));
}

static int read_name(struct reader *r, const struct node *v, struct conf_name *ret)
{
    struct name_dst d = {0};
    char normal[NAME_MAX_TEXT];
    const char *text;
    enum name_problem problem;

    if (v->kind == NODE_MAP) {
        if (table_read(r, &cert_name_table, v, &d, NULL))
            return -1;
        text = d.name;
    } else {
        text = value_text(r, "names", v);
    }
    if (!text)
        return -1;
    problem = name_host(text, normal);
    if (problem != NAME_OK)
        return bad_name(r, v, text, problem);
    ret->name = arena_strdup(r->arena, normal);
    ret->provider = d.provider ? d.provider : arena_strdup(r->arena, "");
    return 0;
}

static int check_twins(struct reader *r, const struct conf_name *names, size_t n,
                       const struct node *const *nodes)
{
    const struct conf_name *last = &names[n];
    int rc = 0;

    for (size_t i = 0; i < n; i++) {
        const char *a = names[i].name;

        if (!strcmp(a, last->name))
            return READ_ERROR(r, nodes[n], "names: %s is written twice in this certificate", a);
        if (name_is_wildcard(a) && !strcmp(name_parent(a), name_parent(last->name)))
            rc = READ_ERROR(r, nodes[n],
                            "names: %s is already covered by %s: leave it out (CAs "
                            "refuse such orders)",
                            last->name, a);
        else if (name_is_wildcard(last->name) && !strcmp(name_parent(a), name_parent(last->name)))
            rc = READ_ERROR(r, nodes[i],
                            "names: %s is already covered by %s: leave it out (CAs "
                            "refuse such orders)",
                            a, last->name);
    }
    return rc;
}

static int read_names(struct reader *r, const struct node *const *items, size_t n,
                      struct conf_cert *c)
{
    const struct node **nodes;
    int rc = 0;

    c->names = arena_alloc(r->arena, n, sizeof *c->names);
    nodes = arena_alloc(r->trees, n, sizeof *nodes);
    c->n_names = 0;
    for (size_t i = 0; i < n; i++) {
        nodes[c->n_names] = items[i];
        if (read_name(r, items[i], &c->names[c->n_names]) ||
            check_twins(r, c->names, c->n_names, nodes))
            rc = -1;
        else
            c->n_names++;
    }
    return rc;
}

static int read_cert_names(struct reader *r, const struct node *v, struct cert_dst *d)
{
    const struct node *one = v;

    if (v->kind == NODE_TEXT)
        return read_names(r, &one, 1, &d->c);
    v = d->names;
    if (!v)
        return READ_ERROR(r, one, "names: missing: the list of host names");
    if (value_list(r, "names", v))
        return -1;
    if (!v->n)
        return READ_ERROR(r, v, "names: the list is empty");
    if (v->n > NAMES_MAX)
        return READ_ERROR(r, v, "names: %u names: no CA takes more than %d", v->n, NAMES_MAX);
    return read_names(r, v->items, v->n, &d->c);
}

/* ---- certificates ---- */

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

/* Only what is wrong for sure: which zone a record is in is known once aliases are followed. */
static int check_provider(struct reader *r, const struct node *v, const struct cert_dst *d)
{
    const struct conf_cert *c = &d->c;
    bool all_said = true, zones = false;

    for (size_t i = 0; i < c->n_names; i++)
        all_said &= c->names[i].provider[0] != '\0';
    if (d->other_challenge || c->provider[0] || all_said || r->providers.n == 1)
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

static const struct node *place_of_name(const struct node *v)
{
    const struct node *name = v->kind == NODE_MAP ? node_get(v, "name") : NULL;

    return name && !node_is_null(name) ? name : v;
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
    if (read_cert_names(r, v, d))
        return -1;
    if (!d->c.name) {
        const char *first = d->c.names[0].name;

        d->c.name = arena_strdup(r->arena, name_is_wildcard(first) ? first + 2 : first);
    }
    if (rc || check_provider(r, v, d))
        return -1;
    return check_unique(r, place_of_name(v), &d->c);
}

static void start_values(struct reader *r, struct cert_dst *d)
{
    char *empty = arena_strdup(r->arena, "");

    table_defaults(r, &common_table, d);
    d->c.provider = d->c.profile = d->c.owner = d->c.group = empty;
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

/* `ca` when nobody says it; a preset is only made known when it is used. */
static void default_ca(struct reader *r, struct cert_dst *d)
{
    if (d->c.cas.n)
        return;
    ca_use(r, "letsencrypt");
    d->c.cas.v = arena_alloc(r->arena, 1, sizeof *d->c.cas.v);
    d->c.cas.v[0] = arena_strdup(r->arena, "letsencrypt");
    d->c.cas.n = 1;
}

void certs_read(struct reader *r, struct source *src)
{
    const struct node *v = src->certificates;
    struct cert_dst *base = arena_new_of(r->arena, struct cert_dst), d, fallback;

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
    fallback = *base;
    for (uint32_t i = 0; v && i < v->n; i++)
        if (!read_cert(r, v->items[i], &fallback, &d)) {
            if (!d.c.cas.n) {
                default_ca(r, &fallback);
                d.c.cas = fallback.c.cas;
            }
            *(struct conf_cert *)vec_add(&r->certs) = d.c;
        }
}
