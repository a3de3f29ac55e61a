/* SPDX-License-Identifier: ISC */
/* `providers`: the host's keys by table, the plugin's own by what the plugin says of itself. */
#include "conf/host.h"
#include "conf/value.h"

#include "base/str.h"
#include "conf/plugin_path.h"

#include <string.h>
#include <unistd.h>

static int read_plugin(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    struct conf_provider *p = dst;
    const char *text = value_text(r, o->name, v), *dir = r->plugins ? r->plugins->dir : NULL;

    if (!text)
        return -1;
    p->plugin = arena_strdup(r->arena, text);
    if (strchr(text, '/'))
        p->path = value_path(r, v, text);
    else if (name_check(r, "plugin", v))
        return -1;
    else
        p->path = arena_printf(r->arena, "%s/%s.so", dir ? dir : "", text);
    return 0;
}

static int read_zones(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    struct conf_strs s = {0};
    const char *why;
    struct host h;
    int rc = 0;

    if (value_list(r, o->name, v))
        return -1;
    s.v = v->n ? arena_alloc(r->arena, v->n, sizeof *s.v) : NULL;
    for (uint32_t i = 0; i < v->n; i++) {
        const char *text = value_text(r, o->name, v->items[i]);

        if (!text)
            rc = -1;
        else if (host_read_owner(r->arena, text, &h, &why))
            rc = READ_ERROR(r, v->items[i], "zones: %s is no domain: %s", text, why);
        else
            s.v[s.n++] = h.ascii;
    }
    *(struct conf_strs *)dst = s;
    return rc;
}

static int read_allow(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    if (value_list(r, o->name, v))
        return -1;
    for (uint32_t i = 0; i < v->n; i++) {
        const char *text = value_text(r, o->name, v->items[i]);

        if (!text)
            return -1;
        if (!str_eq(text, "exec"))
            return READ_ERROR(r, v->items[i], "allow: %s: only exec can be allowed", text);
        *(bool *)dst = true;
    }
    return 0;
}

static const struct opt_type type_plugin = {"{\"type\":\"string\",\"minLength\":1}", read_plugin};
static const struct opt_type type_zones = {"{\"type\":\"array\",\"items\":{\"type\":\"string\"}}",
                                           read_zones};
static const struct opt_type type_allow = {"{\"type\":\"array\",\"items\":{\"const\":\"exec\"}}",
                                           read_allow};

#define AT(field) .offset = offsetof(struct conf_provider, field)

static const struct opt provider_opts[] = {
    {"plugin", &type_plugin, .offset = 0, .required = true,
     .help = "the plugin's name (PLUGINDIR/NAME.so) or the path of a shared object"},
    {"zones", &type_zones, AT(zones),
     .help =
         "suffixes of the record names that it serves, matched after aliases; the longest wins"},
    {"allow", &type_allow, AT(allow_exec),
     .help = "[exec]: the plugin may run programs; it then runs outside of the sandbox"},
    {"run_as", &type_user, AT(run_as), .help = "user of a plugin that needs exec; worker_user"},
    {"ttl", &type_seconds, AT(ttl), .min = 1000, .max = 604800000,
     .help = "time to live of the records; the plugin's when absent"},
    {"timeout", &type_duration, AT(timeout_ms), .min = 1000, .max = 604800000,
     .help =
         "as dns.timeout, for this provider; at least the plugin's typical time x 4 when absent"},
    {"proxy", &type_never, .refuse = NOT_YET, .help = "proxy for this provider"},
    {"limits", &type_never, .refuse = NOT_YET, .help = "rate limits for this provider"},
};
const struct opt_table provider_table = {.what = "providers",
                                         .opts = provider_opts,
                                         .n = ARRAY_LEN(provider_opts),
                                         .x_keys = true,
                                         .open = true};

/* ---- the plugin's own options ---- */

static int check_url(struct reader *r, const char *key, const struct node *v)
{
    const char *text = v->text, *rest;

    rest = str_starts(text, "https://") ? text + 8 : str_starts(text, "http://") ? text + 7 : NULL;
    if (!rest || !*rest || *rest == '/' || strpbrk(text, " \t\"<>\\"))
        return READ_ERROR(r, v, "%s: %s is no URL: write https://...", key, text);
    return 0;
}

static int check_option(struct reader *r, const struct conf_plugin_option *o, const struct node *v)
{
    char choices[1000];
    int64_t n;
    bool b;

    switch (o->type) {
    case CONF_OPT_INT:
        if (str_to_i64(v->text, INT64_MIN / 2, INT64_MAX / 2, &n))
            return 0;
        return READ_ERROR(r, v, "%s: %s: write a whole number", o->name, v->text);
    case CONF_OPT_BOOL:
        return value_bool(r, o->name, v, &b);
    case CONF_OPT_DURATION:
        return value_duration(r, o->name, v, 0, 366 * (int64_t)86400000, &n);
    case CONF_OPT_URL:
        return check_url(r, o->name, v);
    case CONF_OPT_HOST:
        if (host_port_normal(r->trees, v->text, false))
            return 0;
        return READ_ERROR(r, v, "%s: %s: write a host or an address, with :PORT if need be",
                          o->name, v->text);
    case CONF_OPT_ENUM:
        str_copy(choices, sizeof choices, o->choices ? o->choices : "");
        if (choice_find(choices, v->text) >= 0)
            return 0;
        return READ_ERROR(r, v, "%s: %s: write %s", o->name, v->text,
                          choice_hint(r, choices, v->text));
    default:
        return 0;
    }
}

static int read_option(struct reader *r, const struct conf_plugin_option *o, const struct pair *p,
                       struct conf_option *ret)
{
    const char *key = p->key->text, *text;

    *ret = (struct conf_option){
        .name = arena_strdup(r->arena, key),
        .text = arena_strdup(r->arena, ""),
        .secret.source = arena_strdup(r->arena, ""),
        .where = node_where(p->value),
    };
    if (o && o->type == CONF_OPT_SECRET)
        return secret_read(r, key, p->value, &ret->secret);
    text = value_text(r, key, p->value);
    if (!text || (o && check_option(r, o, p->value)))
        return -1;
    ret->text = o && o->type == CONF_OPT_HOST ? host_port_normal(r->arena, text, false)
                                              : arena_strdup(r->arena, text);
    return 0;
}

static const struct conf_plugin_option *option_find(const struct conf_plugin_info *info,
                                                    const char *name)
{
    for (size_t i = 0; i < info->n_options; i++)
        if (!strcmp(info->options[i].name, name))
            return &info->options[i];
    return NULL;
}

static int unknown_option(struct reader *r, const struct conf_plugin_info *info,
                          const struct conf_provider *p, const struct node *key)
{
    const char *names[64];
    size_t n = 0;
    const char *hint = suggest_key(r, &provider_table, key->text);

    for (; n < info->n_options && n < ARRAY_LEN(names); n++)
        names[n] = info->options[n].name;
    if (*suggest(r, key->text, names, n))
        hint = suggest(r, key->text, names, n);
    return READ_ERROR(r, key, "%s: the plugin %s has no such option%s", key->text, p->plugin, hint);
}

/* info NULL: the plugin could not be asked; nothing is said twice. */
static void read_options(struct reader *r, const struct conf_plugin_info *info,
                         const struct node *map, struct conf_provider *p)
{
    p->options = arena_alloc(r->arena, map->n, sizeof *p->options);
    for (uint32_t i = 0; i < map->n; i++) {
        const struct pair *kv = &map->pairs[i];
        const struct conf_plugin_option *o = info ? option_find(info, kv->key->text) : NULL;

        if (table_find(&provider_table, kv->key->text, NULL) || str_starts(kv->key->text, "x-") ||
            node_is_null(kv->value))
            continue;
        if (info && !o)
            unknown_option(r, info, p, kv->key);
        else if (!read_option(r, o, kv, &p->options[p->n_options]))
            p->n_options++;
    }
}

static void check_missing(struct reader *r, const struct conf_plugin_info *info,
                          const struct node *map, const struct node *key)
{
    for (size_t i = 0; i < info->n_options; i++) {
        const struct conf_plugin_option *o = &info->options[i];
        const struct node *v = node_get(map, o->name);

        if (o->required && (!v || node_is_null(v)))
            READ_ERROR(r, key, "%s: missing in provider %s: %s", o->name, key->text,
                       o->help ? o->help : "the plugin needs it");
    }
}

/* May it be loaded, and what does it say of itself? NULL: reported, or nobody to ask. */
static const struct conf_plugin_info *describe(struct reader *r, const struct node *at,
                                               const struct conf_provider *p)
{
    const struct conf_plugin_info *info;
    struct err e = ERR_INIT;

    if (!r->text && conf_plugin_check(p->path, geteuid(), &e)) {
        READ_ERROR(r, at, "plugin: %s", e.detail);
        return NULL;
    }
    info = r->plugins->describe(r->plugins->ctx, p->path, &e);
    if (!info)
        READ_ERROR(r, at, "plugin: %s: %s", p->plugin, e.detail);
    return info;
}

static void read_body(struct reader *r, const struct pair *kv, struct conf_provider *p)
{
    const struct node *at = node_get(kv->value, "plugin");
    const struct conf_plugin_info *info = NULL;
    bool ask = r->plugins && r->plugins->describe;

    if (ask && !p->path)
        return; /* said already */
    if (ask) {
        info = describe(r, at, p);
        if (!info)
            return;
    }
    read_options(r, info, kv->value, p);
    if (!info)
        return;
    check_missing(r, info, kv->value, kv->key);
    p->propagation_s = info->propagation_s;
    if (info->needs_exec && !p->allow_exec)
        READ_ERROR(r, at, "plugin: %s runs programs: write allow: [exec] if it may", p->plugin);
}

static void read_provider(struct reader *r, const struct pair *kv)
{
    struct conf_provider p = {.where = node_where(kv->key)};
    char *empty = arena_strdup(r->arena, "");
    size_t at;

    if (name_check(r, "providers", kv->key))
        return;
    if (place_get(r->provider_names, kv->key->text, &at)) {
        const struct conf_provider *twin = vec_at(&r->providers, at);

        READ_ERROR(r, kv->key, "providers: %s is written twice: also at %s:%u:%u", kv->key->text,
                   twin->where.file, twin->where.line, twin->where.column);
        return;
    }
    p.name = arena_strdup(r->arena, kv->key->text);
    p.run_as = p.plugin = empty;
    if (node_is_null(kv->value))
        READ_ERROR(r, kv->key, "plugin: missing in provider %s: %s", p.name, provider_opts[0].help);
    else {
        table_read(r, &provider_table, kv->value, &p, NULL);
        if (kv->value->kind == NODE_MAP)
            read_body(r, kv, &p);
    }
    if (!p.path)
        p.path = empty;
    place_put(r->provider_names, p.name, r->providers.n);
    *(struct conf_provider *)vec_add(&r->providers) = p;
}

void providers_read(struct reader *r, const struct node *v)
{
    if (v && v->kind != NODE_MAP) {
        r->no_provider_said = true;
        READ_ERROR(r, v, "providers: must be a mapping (NAME: {plugin: ...}), this is %s",
                   node_kind_name(v));
        return;
    }
    for (uint32_t i = 0; v && i < v->n; i++)
        read_provider(r, &v->pairs[i]);
}
