/* SPDX-License-Identifier: ISC */
/* Certification authorities: presets (reference: the CAs' own pages), written entries, those used.
 */
#include "conf/accounts.h"
#include "conf/value.h"

#include "base/file.h"
#include "base/str.h"

#include <fcntl.h>
#include <string.h>

#define MINUTE ((int64_t)60000)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

/*
 * Let's Encrypt's door counts the requests of an address, for each kind of URL: newNonce 20/s, all
 * below acme/ 250/s, at staging 20/s, directory 40/s; what is beyond gets 503. The lowest is taken
 * for all together: 300 orders in 3 hours, which is what the account may, need a fifth of it. (Its
 * 5/s for newAccount is for one request in the life of an account.)
 */
#define LETSENCRYPT_DOOR                                                                           \
    {                                                                                              \
        18, 1000                                                                                   \
    }

static const struct preset presets[] = {
    {"letsencrypt",
     "https://acme-v02.api.letsencrypt.org/directory",
     "letsencrypt-staging",
     EAB_NONE,
     true,
     {{300, 3 * HOUR}, {5, 7 * DAY}, {50, 7 * DAY}, {5, HOUR}, LETSENCRYPT_DOOR}},
    {"letsencrypt-staging",
     "https://acme-staging-v02.api.letsencrypt.org/directory",
     "",
     EAB_NONE,
     true,
     {{1500, 3 * HOUR}, {30000, 7 * DAY}, {30000, 1000}, {200, HOUR}, LETSENCRYPT_DOOR}},
    {"zerossl", "https://acme.zerossl.com/v2/DV90", "", EAB_BY_EMAIL, false, {{0}}},
    {"google",
     "https://dv.acme-v02.api.pki.goog/directory",
     "google-staging",
     EAB_NEEDED,
     true,
     {{0}}},
    {"google-staging",
     "https://dv.acme-v02.test-api.pki.goog/directory",
     "",
     EAB_NEEDED,
     true,
     {{0}}},
    {"sslcom", "https://acme.ssl.com/sslcom-dv-rsa", "", EAB_NEEDED, false, {{0}}},
    {"sslcom-ecc", "https://acme.ssl.com/sslcom-dv-ecc", "", EAB_NEEDED, false, {{0}}},
    {"sectigo", "https://acme.sectigo.com/v2/DV", "", EAB_NEEDED, false, {{0}}},
    {"sectigo-ov", "https://acme.sectigo.com/v2/OV", "", EAB_NEEDED, false, {{0}}},
    {"sectigo-ev", "https://acme.sectigo.com/v2/EV", "", EAB_NEEDED, false, {{0}}},
    {"actalis", "https://acme-api.actalis.com/acme/directory", "", EAB_NEEDED, false, {{0}}},
};

static const struct preset *preset_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(presets); i++)
        if (!strcmp(presets[i].name, name))
            return &presets[i];
    return NULL;
}

const char *ca_suggest(struct reader *r, const char *word)
{
    const char *names[ARRAY_LEN(presets)];
    const char *own = suggest_in(r, r->ca_names, word);

    if (*own)
        return own;
    for (size_t i = 0; i < ARRAY_LEN(presets); i++)
        names[i] = presets[i].name;
    return suggest(r, word, names, ARRAY_LEN(presets));
}

static int read_preset(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    const char *text = value_text(r, o->name, v);
    const struct preset *p = text ? preset_find(text) : NULL;

    if (text && !p)
        return READ_ERROR(r, v, "preset: there is no preset %s%s", text, ca_suggest(r, text));
    if (p)
        ((struct ca_build *)dst)->preset = p;
    return p ? 0 : -1;
}

static int read_ca_file(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    struct conf_ca *ca = dst;
    CLEANUP_BUF struct buf b = {0};
    struct err e = ERR_INIT;
    struct stat st;

    if (type_path.read(r, o, v, &ca->ca_file))
        return -1;
    if (r->text)
        return 0;
    buf_init(&b, 1 << 20);
    if (file_read_at(AT_FDCWD, ca->ca_file, true, &b, &st, &e))
        return READ_ERROR(r, v, "ca_file: %s", e.detail);
    if (!strstr(buf_str(&b), "-----BEGIN ") || strlen(buf_str(&b)) != b.len)
        return READ_ERROR(r, v, "ca_file: %s holds no certificate in PEM form", ca->ca_file);
    ca->ca_pem = arena_strndup(r->arena, buf_str(&b), b.len);
    return 0;
}

/* ---- eab, limits ---- */

struct eab {
    char *kid;
    struct conf_secret hmac_key;
};

/* CAs write it in base64 or base64url, padded or not; people copy quotes and spaces along. */
static bool is_base64(const char *text)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=";

    text += strspn(text, " \t'\"");
    text += strspn(text, letters);
    text += strspn(text, " \t'\"");
    return !*text;
}

static int read_hmac_key(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    struct conf_secret s = {0};

    if (secret_read(r, o->name, v, &s))
        return -1;
    if (s.value && strcmp(secret_bytes(s.value), "***") && /* as renewd -T prints it */
        !is_base64(secret_bytes(s.value)))
        return READ_ERROR(r, v, "%s: is no base64 text: write it as the CA shows it, on one line",
                          o->name);
    *(struct conf_secret *)dst = s;
    return 0;
}

static const struct opt_type type_hmac_key = {"{\"$ref\":\"#/$defs/secret\"}", read_hmac_key};

static const struct opt eab_opts[] = {
    {"kid", &type_text, .offset = offsetof(struct eab, kid), .required = true,
     .help = "the key's id, as the CA gives it"},
    {"hmac_key", &type_hmac_key, .offset = offsetof(struct eab, hmac_key), .required = true,
     .help = "the key, as the CA gives it: base64"},
};
const struct opt_table eab_table = {.what = "eab", .opts = eab_opts, .n = ARRAY_LEN(eab_opts)};

static int read_eab(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    struct conf_ca *ca = dst;
    struct eab e = {0};

    (void)o;
    if (table_read(r, &eab_table, v, &e, NULL))
        return -1;
    ca->eab_kid = e.kid;
    ca->eab_hmac_key = e.hmac_key;
    return 0;
}

/* N/DUR */
static int read_limit(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    const char *text = value_text(r, o->name, v), *slash = text ? strchr(text, '/') : NULL;
    int64_t n, per_ms;

    if (!text)
        return -1;
    if (!slash ||
        !str_to_i64(arena_strndup(r->trees, text, (size_t)(slash - text)), 1, 1000000000, &n) ||
        !str_to_duration(slash + 1, &per_ms) || per_ms < 1000 || per_ms > 366 * DAY)
        return READ_ERROR(r, v, "%s: %s: write a number and a time, as 300/3h", o->name, text);
    *(struct conf_limit *)dst = (struct conf_limit){(uint32_t)n, per_ms};
    return 0;
}

static const struct opt_type type_limit = {
    "{\"type\":\"string\",\"pattern\":\"^[0-9]+/[0-9]+[smhdw]$\"}", read_limit};

#define LIMIT(field) .offset = offsetof(struct conf_ca, field)

static const struct opt limits_opts[] = {
    [CA_LIMIT_ORDERS] = {"orders", &type_limit, LIMIT(orders_limit),
                         .help = "new orders of the account, as 300/3h"},
    [CA_LIMIT_SAME_NAMES] = {"same_names", &type_limit, LIMIT(same_names_limit),
                             .help = "certificates of exactly the same names"},
    [CA_LIMIT_DOMAIN] = {"domain", &type_limit, LIMIT(domain_limit),
                         .help = "certificates of one registered domain"},
    [CA_LIMIT_FAILURES] = {"failures", &type_limit, LIMIT(failures_limit),
                           .help = "failed authorizations of one name"},
    [CA_LIMIT_REQUESTS] = {"requests", &type_limit, LIMIT(requests_limit),
                           .help = "requests of every kind to the CA's server, as 20/1s"},
};
const struct opt_table limits_table = {
    .what = "limits", .opts = limits_opts, .n = ARRAY_LEN(limits_opts)};

struct conf_limit *ca_limit(struct conf_ca *ca, size_t i)
{
    return (struct conf_limit *)(void *)((char *)ca + limits_opts[i].offset);
}

const char *ca_limit_name(size_t i)
{
    return limits_opts[i].name;
}

static int read_limits(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    struct ca_build *b = dst;
    uint64_t seen = 0;
    int rc = table_read(r, &limits_table, v, &b->ca, &seen);

    (void)o;
    b->limits_set = (unsigned)seen;
    return rc;
}

/* ---- an entry ---- */

static const struct opt_type type_preset = {"{\"type\":\"string\"}", read_preset};
static const struct opt_type type_ca_file = {"{\"type\":\"string\",\"minLength\":1}", read_ca_file};
static const struct opt_type type_eab = {"{\"$ref\":\"#/$defs/eab\"}", read_eab};
static const struct opt_type type_limits = {"{\"$ref\":\"#/$defs/limits\"}", read_limits};

#define AT(field) .offset = offsetof(struct ca_build, field)

enum { OPT_DIRECTORY, OPT_PRESET, OPT_EMAIL, OPT_AGREE, OPT_ACCOUNT_KEY };

static const struct opt ca_opts[] = {
    [OPT_DIRECTORY] = {"directory", &type_https, AT(ca.directory),
                       .help = "URL of the CA's ACME directory"},
    [OPT_PRESET] = {"preset", &type_preset, .offset = 0,
                    .help = "a CA that renewd knows, instead of directory"},
    [OPT_EMAIL] = {"email", &type_email, AT(ca.email), .help = "contact address of the account"},
    [OPT_AGREE] = {"agree_tos", &type_bool, AT(ca.agree_tos),
                   .help = "you agree to the CA's terms of service"},
    [OPT_ACCOUNT_KEY] = {"account_key", &type_choice, AT(ca.account_key), .dflt = "ecdsa-p256",
                         .choices = "ecdsa-p256|ecdsa-p384|rsa-2048|rsa-3072|rsa-4096|ed25519",
                         .help = "kind of the account's key, when it is made"},
    {"ca_file", &type_ca_file, AT(ca),
     .help = "roots that the CA's server is checked against; the system's when absent"},
    {"account", &type_id, AT(ca.account), .dflt = "main",
     .help = "entries with the same directory, eab and account share the account and its budgets"},
    {"eab", &type_eab, AT(ca), .help = "external account binding: kid, hmac_key"},
    {"limits", &type_limits, .offset = 0,
     .help = "rate limits of the account, N/DUR each; the CA's published ones when absent"},
    {"profile", &type_text, AT(ca.profile), .help = "certificate profile; the CA's when absent"},
    {"preferred_chain", &type_text, AT(ca.preferred_chain),
     .help = "name of the root or intermediate, or key id of the root, whose chain is taken when "
             "the CA offers several"},
    {"timeout", &type_duration, AT(ca.timeout_ms), .dflt = "30s", .min = 1000, .max = 3600000,
     .help = "for one request"},
    {"max_orders", &type_u32, AT(ca.max_orders), .dflt = "100", .min = 1, .max = 10000,
     .help = "orders at once"},
    {"staging", &type_id, AT(ca.staging), .help = "the CA that --dry-run uses"},
};
const struct opt_table ca_table = {.what = "cas", .opts = ca_opts, .n = ARRAY_LEN(ca_opts)};

static bool seen_opt(uint64_t seen, unsigned i)
{
    return seen >> i & 1;
}

/* What no key said and no preset either. */
static void fill_empty(struct reader *r, struct conf_ca *ca)
{
    char **const texts[] = {&ca->preset,          &ca->directory, &ca->ca_file,
                            &ca->ca_pem,          &ca->email,     &ca->profile,
                            &ca->preferred_chain, &ca->eab_kid,   &ca->eab_hmac_key.source,
                            &ca->staging};
    char *empty = arena_strdup(r->arena, "");

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (!*texts[i])
            *texts[i] = empty;
}

/* What is a preset's at its own address only: a test's CA has none of it. */
static void take_preset(struct reader *r, struct ca_build *b)
{
    const struct preset *p = b->preset;
    struct conf_ca *ca = &b->ca;

    if (!ca->directory)
        ca->directory = arena_strdup(r->arena, p->directory);
    if (!str_eq(ca->directory, p->directory))
        return;
    ca->preset = arena_strdup(r->arena, p->name);
    ca->no_ocsp = p->no_ocsp;
    if (!ca->staging)
        ca->staging = arena_strdup(r->arena, p->staging);
    for (size_t i = 0; i < CA_LIMITS; i++)
        if (!(b->limits_set >> i & 1))
            *ca_limit(ca, i) = p->limits[i];
}

static void merge_preset(struct reader *r, struct ca_build *b, const struct node *key,
                         uint64_t seen)
{
    if (b->preset && seen_opt(seen, OPT_DIRECTORY))
        READ_ERROR(r, key, "preset: write either preset or directory");
    if (!b->preset)
        b->preset = preset_find(b->ca.name);
    if (b->preset)
        take_preset(r, b);
    else if (!seen_opt(seen, OPT_DIRECTORY) && !seen_opt(seen, OPT_PRESET))
        READ_ERROR(r, key,
                   "directory: missing: %s is no CA that renewd knows; write its directory "
                   "(an https URL), or preset: NAME%s",
                   b->ca.name, ca_suggest(r, b->ca.name));
}

/* Boulder's key policy for accounts: RSA and the NIST curves. */
static void check_account_key(struct reader *r, const struct pair *p, const struct conf_ca *ca)
{
    const struct node *at = p->value->kind == NODE_MAP ? node_get(p->value, "account_key") : NULL;

    if (at && ca->account_key == CONF_ACCOUNT_ED25519 && str_starts(ca->preset, "letsencrypt"))
        READ_ERROR(r, at,
                   "account_key: Let's Encrypt takes no ed25519: write ecdsa-p256, ecdsa-p384 or "
                   "rsa-2048 to rsa-4096");
}

static void read_entry(struct reader *r, const struct pair *p, const struct source *src)
{
    struct ca_build b = {.src = src};
    uint64_t seen = 0;
    size_t at;

    if (name_check(r, "cas", p->key))
        return;
    if (place_get(r->ca_names, p->key->text, &at)) {
        const struct ca_build *twin = vec_at(&r->cas, at);

        READ_ERROR(r, p->key, "cas: %s is written twice: also at %s:%u:%u", p->key->text,
                   twin->ca.where.file, twin->ca.where.line, twin->ca.where.column);
        return;
    }
    b.ca.name = arena_strdup(r->arena, p->key->text);
    b.ca.where = node_where(p->key);
    table_defaults(r, &ca_table, &b);
    if (node_is_null(p->value) || !table_read(r, &ca_table, p->value, &b, &seen))
        merge_preset(r, &b, p->key, seen);
    fill_empty(r, &b.ca);
    b.email_set = seen_opt(seen, OPT_EMAIL);
    b.agree_set = seen_opt(seen, OPT_AGREE);
    check_account_key(r, p, &b.ca);
    b.account_key_set = seen_opt(seen, OPT_ACCOUNT_KEY);
    place_put(r->ca_names, b.ca.name, r->cas.n);
    *(struct ca_build *)vec_add(&r->cas) = b;
}

void cas_read(struct reader *r, const struct source *src)
{
    const struct node *v = src->cas;

    if (v && v->kind != NODE_MAP) {
        READ_ERROR(r, v, "cas: must be a mapping (NAME: {...}), this is %s", node_kind_name(v));
        return;
    }
    for (uint32_t i = 0; v && i < v->n; i++)
        read_entry(r, &v->pairs[i], src);
}

int ca_use(struct reader *r, const char *name)
{
    struct ca_build b = {
        .src = r->sources[0],
        .ca.where.file = r->sources[0]->file,
        .preset = preset_find(name),
    };
    size_t at;

    if (place_get(r->ca_names, name, &at))
        return 0;
    if (!b.preset)
        return -1;
    table_defaults(r, &ca_table, &b);
    b.ca.name = arena_strdup(r->arena, name);
    take_preset(r, &b);
    fill_empty(r, &b.ca);
    place_put(r->ca_names, name, r->cas.n);
    *(struct ca_build *)vec_add(&r->cas) = b;
    return 0;
}

void ca_was_written(struct ca_build *b)
{
    const struct preset *p = preset_find(b->ca.preset);

    for (size_t i = 0; i < CA_LIMITS; i++) {
        const struct conf_limit none = {0}, *usual = p ? &p->limits[i] : &none,
                                *l = ca_limit(&b->ca, i);

        if (l->n != usual->n || l->per_ms != usual->per_ms)
            b->limits_set |= 1u << i;
    }
    b->account_key_set = b->ca.account_key != CONF_ACCOUNT_ES256;
}

struct ca_build *ca_find(const struct reader *r, const char *name)
{
    size_t at;

    return place_get(r->ca_names, name, &at) ? vec_at(&r->cas, at) : NULL;
}

const struct conf_ca *ca_public(const struct reader *r, const char *name)
{
    const struct ca_build *b = ca_find(r, name);

    return b && b->ca.preset[0] ? &b->ca : NULL;
}

void cas_finish(struct reader *r)
{
    for (size_t i = 0; i < r->cas.n; i++) { /* ca_use() may add to the end */
        struct conf_ca ca = ((struct ca_build *)vec_at(&r->cas, i))->ca;

        if (ca.staging[0] && ca_use(r, ca.staging))
            diag_error(&r->diag, ca.where, "staging: there is no CA %s%s", ca.staging,
                       ca_suggest(r, ca.staging));
        account_finish(r, vec_at(&r->cas, i));
    }
    accounts_share(r);
}
