/* SPDX-License-Identifier: ISC */
/* Certification authorities: presets (reference: the CAs' own pages), written entries, those used.
 */
#include "conf/value.h"

#include "base/file.h"
#include "base/str.h"

#include <fcntl.h>
#include <string.h>

static const struct preset {
    const char *name, *directory, *staging;
    bool eab; /* accounts need an external account binding */
} presets[] = {
    {"letsencrypt", "https://acme-v02.api.letsencrypt.org/directory", "letsencrypt-staging", false},
    {"letsencrypt-staging", "https://acme-staging-v02.api.letsencrypt.org/directory", "", false},
    {"zerossl", "https://acme.zerossl.com/v2/DV90", "", true},
    {"google", "https://dv.acme-v02.api.pki.goog/directory", "google-staging", true},
    {"google-staging", "https://dv.acme-v02.test-api.pki.goog/directory", "", true},
    {"sslcom", "https://acme.ssl.com/sslcom-dv-rsa", "", true},
    {"sslcom-ecc", "https://acme.ssl.com/sslcom-dv-ecc", "", true},
    {"sectigo", "https://acme.sectigo.com/v2/DV", "", true},
    {"sectigo-ov", "https://acme.sectigo.com/v2/OV", "", true},
    {"sectigo-ev", "https://acme.sectigo.com/v2/EV", "", true},
    {"actalis", "https://acme-api.actalis.com/acme/directory", "", true},
};

static const struct preset *preset_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(presets); i++)
        if (!strcmp(presets[i].name, name))
            return &presets[i];
    return NULL;
}

bool ca_needs_eab(const struct reader *r, const char *name)
{
    const struct preset *p = preset_find(name);
    size_t at;

    return p && p->eab && !place_get(r->ca_names, name, &at);
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

/* What an entry starts with. */
static void take_preset(struct reader *r, struct conf_ca *ca, const struct preset *p)
{
    ca->directory = arena_strdup(r->arena, p->directory);
    ca->staging = arena_strdup(r->arena, p->staging);
}

static int read_preset(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    const char *text = value_text(r, o->name, v);
    const struct preset *p = text ? preset_find(text) : NULL;

    if (text && !p)
        return READ_ERROR(r, v, "preset: there is no preset %s%s", text, ca_suggest(r, text));
    if (p)
        *(const struct preset **)dst = p;
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

struct ca_dst {
    struct ca_build b;
    const struct preset *preset;
};

static const struct opt_type type_preset = {"{\"type\":\"string\"}", read_preset};
static const struct opt_type type_ca_file = {"{\"type\":\"string\",\"minLength\":1}", read_ca_file};

#define AT(field) .offset = offsetof(struct ca_dst, field)

enum { OPT_DIRECTORY, OPT_PRESET, OPT_EMAIL, OPT_AGREE };

static const struct opt ca_opts[] = {
    [OPT_DIRECTORY] = {"directory", &type_https, AT(b.ca.directory),
                       .help = "URL of the CA's ACME directory"},
    [OPT_PRESET] = {"preset", &type_preset, AT(preset),
                    .help = "a CA that renewd knows, instead of directory"},
    [OPT_EMAIL] = {"email", &type_email, AT(b.ca.email), .help = "contact address of the account"},
    [OPT_AGREE] = {"agree_tos", &type_bool, AT(b.ca.agree_tos),
                   .help = "you agree to the CA's terms of service"},
    {"ca_file", &type_ca_file, AT(b.ca),
     .help = "roots that the CA's server is checked against; the system's when absent"},
    {"account", &type_id, AT(b.ca.account), .dflt = "main",
     .help = "entries with the same directory and account share the account and its budgets"},
    {"profile", &type_text, AT(b.ca.profile), .help = "certificate profile; the CA's when absent"},
    {"preferred_chain", &type_text, AT(b.ca.preferred_chain),
     .help = "name of the root or intermediate whose chain is taken when the CA offers several"},
    {"timeout", &type_duration, AT(b.ca.timeout_ms), .dflt = "30s", .min = 1000, .max = 3600000,
     .help = "for one request"},
    {"max_orders", &type_u32, AT(b.ca.max_orders), .dflt = "100", .min = 1, .max = 10000,
     .help = "orders at once"},
    {"staging", &type_id, AT(b.ca.staging), .help = "the CA that --dry-run uses"},
    {"eab", &type_never, .refuse = NOT_YET, .help = "external account binding: kid, hmac_key"},
    {"limits", &type_never, .refuse = NOT_YET, .help = "rate limits that the CA granted"},
};
const struct opt_table ca_table = {.what = "cas", .opts = ca_opts, .n = ARRAY_LEN(ca_opts)};

static bool seen_opt(uint64_t seen, unsigned i)
{
    return seen >> i & 1;
}

/* What no key said and no preset either. */
static void fill_empty(struct reader *r, struct conf_ca *ca)
{
    char **const texts[] = {&ca->directory, &ca->ca_file,         &ca->ca_pem, &ca->email,
                            &ca->profile,   &ca->preferred_chain, &ca->staging};
    char *empty = arena_strdup(r->arena, "");

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (!*texts[i])
            *texts[i] = empty;
}

static void merge_preset(struct reader *r, struct ca_dst *d, const struct node *key, uint64_t seen)
{
    struct conf_ca *ca = &d->b.ca;
    const struct preset *p = d->preset ? d->preset : preset_find(ca->name);

    if (d->preset && seen_opt(seen, OPT_DIRECTORY))
        READ_ERROR(r, key, "preset: write either preset or directory");
    if (!p) {
        if (!seen_opt(seen, OPT_DIRECTORY) && !seen_opt(seen, OPT_PRESET))
            READ_ERROR(r, key,
                       "directory: missing: %s is no CA that renewd knows; write its directory "
                       "(an https URL), or preset: NAME%s",
                       ca->name, ca_suggest(r, ca->name));
        return;
    }
    if (!ca->directory)
        ca->directory = arena_strdup(r->arena, p->directory);
    if (!ca->staging && str_eq(ca->directory, p->directory))
        ca->staging = arena_strdup(r->arena, p->staging);
}

static void read_entry(struct reader *r, const struct pair *p, const struct source *src)
{
    struct ca_dst d = {.b.src = src};
    struct conf_ca *ca = &d.b.ca;
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
    ca->name = arena_strdup(r->arena, p->key->text);
    ca->where = node_where(p->key);
    table_defaults(r, &ca_table, &d);
    if (node_is_null(p->value) || !table_read(r, &ca_table, p->value, &d, &seen))
        merge_preset(r, &d, p->key, seen);
    fill_empty(r, ca);
    d.b.email_set = seen_opt(seen, OPT_EMAIL);
    d.b.agree_set = seen_opt(seen, OPT_AGREE);
    place_put(r->ca_names, ca->name, r->cas.n);
    *(struct ca_build *)vec_add(&r->cas) = d.b;
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
    const struct preset *p = preset_find(name);
    struct ca_build b = {.src = r->sources[0], .ca.where.file = r->sources[0]->file};
    struct ca_dst d;
    size_t at;

    if (place_get(r->ca_names, name, &at))
        return 0;
    if (!p)
        return -1;
    d = (struct ca_dst){.b = b};
    table_defaults(r, &ca_table, &d);
    d.b.ca.name = arena_strdup(r->arena, name);
    take_preset(r, &d.b.ca, p);
    fill_empty(r, &d.b.ca);
    place_put(r->ca_names, name, r->cas.n);
    *(struct ca_build *)vec_add(&r->cas) = d.b;
    return 0;
}

static void finish_account(struct reader *r, struct ca_build *b)
{
    const struct source *top = r->sources[0];

    if (!b->email_set && (b->src->email || top->email))
        b->ca.email = b->src->email ? b->src->email : top->email;
    if (!b->agree_set)
        b->ca.agree_tos = b->src->agree_set ? b->src->agree_tos : top->agree_tos;
}

void cas_finish(struct reader *r)
{
    for (size_t i = 0; i < r->cas.n; i++) { /* ca_use() may add to the end */
        struct conf_ca ca = ((struct ca_build *)vec_at(&r->cas, i))->ca;

        if (ca.staging[0] && ca_use(r, ca.staging))
            diag_error(&r->diag, ca.where, "staging: there is no CA %s%s", ca.staging,
                       ca_suggest(r, ca.staging));
        finish_account(r, vec_at(&r->cas, i));
    }
}
