/* SPDX-License-Identifier: ISC */
/* `dns`: the global settings are zone [0]; the others begin as copies of it. */
#include "conf/host.h"
#include "conf/value.h"

#include "base/str.h"

#include <stdlib.h>
#include <string.h>

struct dns_build {
    struct conf_dns_zone zone;
    const struct node *zones;
};

static int read_check(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    const char *text = value_text(r, o->name, v);

    if (text && str_eq(text, "off")) {
        *(unsigned *)dst = CONF_CHECK_NONE;
        return 0;
    }
    return text ? type_choice.read(r, o, v, dst) : -1;
}

static int read_address(struct reader *r, const struct opt *o, const struct node *v, char **ret)
{
    const char *text = value_text(r, o->name, v);

    if (!text)
        return -1;
    if (str_starts(text, "https://"))
        return READ_ERROR(r, v, "%s: %s: DNS over HTTPS is " NOT_YET, o->name, text);
    *ret = address_normal(r->arena, text);
    if (!*ret)
        return READ_ERROR(r, v,
                          "%s: %s is no address: write 192.0.2.1, \"[2001:db8::1]\", or one of "
                          "these with :PORT",
                          o->name, text);
    return 0;
}

static int read_addresses(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    struct conf_strs s = {0};
    int rc = 0;

    if (value_list(r, o->name, v))
        return -1;
    s.v = v->n ? arena_alloc(r->arena, v->n, sizeof *s.v) : NULL;
    for (uint32_t i = 0; i < v->n; i++)
        if (read_address(r, o, v->items[i], &s.v[s.n]))
            rc = -1;
        else
            s.n++;
    *(struct conf_strs *)dst = s;
    return rc;
}

static const struct opt_type type_check = {
    "{\"enum\":[\"require\",\"warn\",\"none\",\"off\",false]}", read_check};
static const struct opt_type type_addresses = {
    "{\"type\":\"array\",\"items\":{\"type\":\"string\"}}", read_addresses};
static const struct opt_type type_zones = {
    "{\"type\":\"object\",\"additionalProperties\":{\"$ref\":\"#/$defs/dns_zone\"}}", node_keep};

#define AT(field) .offset = offsetof(struct dns_build, field)
#define DAY ((int64_t)86400000)

static const struct opt common_opts[] = {
    {"resolvers", &type_addresses, AT(zone.resolvers),
     .help = "recursive resolvers: ADDR or ADDR:PORT; the system's when absent"},
    {"ask", &type_choice, AT(zone.ask), .dflt = "auto", .choices = "auto|authoritative|resolvers",
     .help = "whom to ask for a record; auto: the resolvers only where no authoritative server can "
             "be reached"},
    {"check", &type_check, AT(zone.check), .dflt = "require", .choices = "require|warn|none",
     .help = "what to do when a record is not seen everywhere in time"},
    {"timeout", &type_duration, AT(zone.timeout_ms), .dflt = "10m", .min = 1000, .max = 7 * DAY,
     .help = "how long a record may take until all servers have it"},
};
static const struct opt_table common_table = {
    .what = "dns", .opts = common_opts, .n = ARRAY_LEN(common_opts)};

static const struct opt dns_opts[] = {
    {"zones", &type_zones, AT(zones), .help = "other settings below a suffix; the longest wins"},
};
const struct opt_table dns_table = {
    .what = "dns", .opts = dns_opts, .n = ARRAY_LEN(dns_opts), .more = &common_table};

static const struct opt zone_opts[] = {
    {"servers", &type_addresses, AT(zone.servers),
     .help = "authoritative servers to ask instead of the zone's NS set"},
};
const struct opt_table zone_table = {
    .what = "dns.zones", .opts = zone_opts, .n = ARRAY_LEN(zone_opts), .more = &common_table};

static void read_zone(struct reader *r, const struct pair *p, const struct conf_dns_zone *global)
{
    struct dns_build b = {.zone = *global};
    const char *why;
    struct host h;

    if (host_read_owner(r->arena, p->key->text, &h, &why)) {
        READ_ERROR(r, p->key, "zones: %s is no domain: %s", p->key->text, why);
        return;
    }
    for (size_t i = 0; i < r->zones.n; i++)
        if (!strcmp(((struct conf_dns_zone *)vec_at(&r->zones, i))->suffix, h.ascii)) {
            READ_ERROR(r, p->key, "zones: %s is written twice", h.ascii);
            return;
        }
    b.zone.suffix = h.ascii;
    if (!node_is_null(p->value))
        table_read(r, &zone_table, p->value, &b, NULL);
    *(struct conf_dns_zone *)vec_add(&r->zones) = b.zone;
}

static void fill_resolvers(struct reader *r, struct conf_dns_zone *global)
{
    const char *path = r->plugins ? r->plugins->resolv_conf : NULL;
    struct err e = ERR_INIT;

    if (r->text)
        return;
    if (!path)
        path = "/etc/resolv.conf";
    if (global->resolvers.n || !resolv_read(path, r->arena, &global->resolvers, &e))
        return;
    global->resolvers.v = arena_alloc(r->arena, 1, sizeof *global->resolvers.v);
    global->resolvers.v[0] = arena_strdup(r->arena, "127.0.0.1");
    global->resolvers.n = 1;
    diag_warn(&r->diag, (struct conf_where){r->sources[0]->file, 1, 1},
              "dns: resolvers: not written, and %s: 127.0.0.1 is asked", e.detail);
}

void dns_read(struct reader *r, const struct node *v)
{
    struct dns_build b = {0};

    table_defaults(r, &dns_table, &b);
    b.zone.suffix = arena_strdup(r->arena, "");
    if (v)
        table_read(r, &dns_table, v, &b, NULL);
    fill_resolvers(r, &b.zone);
    *(struct conf_dns_zone *)vec_add(&r->zones) = b.zone;
    if (b.zones && b.zones->kind != NODE_MAP)
        READ_ERROR(r, b.zones, "zones: must be a mapping (SUFFIX: {...}), this is %s",
                   node_kind_name(b.zones));
    for (uint32_t i = 0; b.zones && b.zones->kind == NODE_MAP && i < b.zones->n; i++)
        read_zone(r, &b.zones->pairs[i], &b.zone);
}

static int longest_first(const void *a, const void *b)
{
    size_t x = strlen(((const struct conf_dns_zone *)a)->suffix),
           y = strlen(((const struct conf_dns_zone *)b)->suffix);

    if (x == y)
        return strcmp(((const struct conf_dns_zone *)a)->suffix,
                      ((const struct conf_dns_zone *)b)->suffix);
    return x < y ? 1 : -1;
}

void dns_finish(struct reader *r)
{
    if (r->zones.n > 1)
        qsort(vec_at(&r->zones, 1), r->zones.n - 1, r->zones.size, longest_first);
}
