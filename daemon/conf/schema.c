/* SPDX-License-Identifier: ISC */
/* JSON Schema (draft 2020-12) of the configuration, from the option tables. */
#include "base/json.h"
#include "base/str.h"
#include "conf/load.h"
#include "conf/reader.h"

#include <stdlib.h>
#include <string.h>

#define STRING "{\"type\":\"string\",\"minLength\":1}"
#define INCLUDE_ONE                                                                                \
    "{\"anyOf\":[" STRING ",{\"type\":\"object\",\"required\":[\"files\"],"                        \
    "\"additionalProperties\":false,\"properties\":{\"files\":" STRING ","                         \
    "\"on_error\":{\"enum\":[\"fail\",\"keep\"]}}}]}"

#define CHALLENGE                                                                                  \
    "{\"enum\":[\"dns-01\",\"http-01\",\"tls-alpn-01\",\"dns-account-01\",\"dns-persist-01\"]}"

/* What no table says. */
static const struct {
    const char *name, *schema;
} shapes[] = {
    {"duration", "{\"type\":\"string\",\"pattern\":\"^[0-9]+[smhdw]$\"}"},
    {"argv", "{\"type\":\"array\",\"minItems\":1,\"items\":{\"type\":[\"string\",\"number\"]}}"},
    {"include", "{\"anyOf\":[" INCLUDE_ONE ",{\"type\":\"array\",\"items\":" INCLUDE_ONE "}]}"},
    {"challenge",
     "{\"anyOf\":[" CHALLENGE ",{\"type\":\"array\",\"minItems\":1,\"items\":" CHALLENGE "}]}"},
    {"secret",
     "{\"anyOf\":[" STRING ",{\"type\":\"object\",\"minProperties\":1,\"maxProperties\":1,"
     "\"additionalProperties\":false,\"properties\":{\"file\":" STRING ",\"env\":" STRING
     ",\"credential\":" STRING ",\"command\":{\"$ref\":\"#/$defs/argv\"}}}]}"},
    {"step", "{\"anyOf\":[{\"$ref\":\"#/$defs/step_run\"},{\"$ref\":\"#/$defs/step_reload\"},"
             "{\"$ref\":\"#/$defs/step_file\"},{\"$ref\":\"#/$defs/step_verify\"}]}"},
};

static const struct {
    const char *name;
    const struct opt_table *table;
} tables[] = {
    {"defaults", &defaults_table},
    {"ca", &ca_table},
    {"eab", &eab_table},
    {"limits", &limits_table},
    {"http01", &http01_table},
    {"tlsalpn01", &tlsalpn01_table},
    {"dns_persist01", &persist_table},
    {"dns", &dns_table},
    {"dns_zone", &zone_table},
    {"provider", &provider_table},
    {"certificate", &cert_table},
    {"certificate_name", &cert_name_table},
    {"step_run", &run_table},
    {"step_reload", &reload_table},
    {"step_file", &file_table},
    {"step_verify", &verify_table},
    {"verify", &verify_to_table},
};

static struct json *parse(const char *text)
{
    struct err e;
    struct json *j = json_parse(text, strlen(text), &e);

    if (!j)
        abort(); /* our own constant */
    return j;
}

static struct json *of_choices(const char *choices)
{
    struct json *o = json_object(), *list = json_add_array(o, "enum");
    char name[64];

    for (int i = 0; *choice_name(choices, i, name, sizeof name); i++)
        json_add_text(list, NULL, name);
    return o;
}

static struct json *of_range(const struct opt *o)
{
    struct json *j = json_object();

    json_add_text(j, "type", "integer");
    json_add_int(j, "minimum", o->min);
    json_add_int(j, "maximum", o->max);
    return j;
}

static void add_default(struct json *j, const char *dflt)
{
    int64_t n;

    if (str_eq(dflt, "true") || str_eq(dflt, "false"))
        json_add_bool(j, "default", dflt[0] == 't');
    else if (dflt[0] != '0' && str_to_i64(dflt, 0, INT32_MAX, &n))
        json_add_int(j, "default", n);
    else
        json_add_text(j, "default", dflt);
}

/* An empty key is absent: null is as good as any value. */
static void add_option(struct json *properties, const struct opt *o)
{
    struct json *j = json_add_object(properties, o->name), *any = json_add_array(j, "anyOf");

    json_add(any, NULL,
             o->type->schema ? parse(o->type->schema)
             : o->choices    ? of_choices(o->choices)
                             : of_range(o));
    json_add_text(json_add_object(any, NULL), "type", "null");
    if (o->help)
        json_add_text(j, "description", o->help);
    if (o->dflt)
        add_default(j, o->dflt);
}

static void add_table(struct json *j, const struct opt_table *t)
{
    struct json *properties, *required = NULL;

    json_add_text(j, "type", "object");
    properties = json_add_object(j, "properties");
    for (const struct opt_table *p = t; p; p = p->more)
        for (size_t i = 0; i < p->n; i++)
            if (!p->opts[i].refuse)
                add_option(properties, &p->opts[i]);
    for (const struct opt_table *p = t; p; p = p->more)
        for (size_t i = 0; i < p->n; i++)
            if (p->opts[i].required) {
                required = required ? required : json_add_array(j, "required");
                json_add_text(required, NULL, p->opts[i].name);
            }
    if (t->x_keys)
        json_add_object(json_add_object(j, "patternProperties"), "^x-");
    json_add_bool(j, "additionalProperties", t->open);
}

struct json *conf_schema(void)
{
    struct json *root = json_object(), *defs;

    json_add_text(root, "$schema", "https://json-schema.org/draft/2020-12/schema");
    json_add_text(root, "title", "renewd.yaml");
    add_table(root, &top_table);
    defs = json_add_object(root, "$defs");
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        json_add(defs, shapes[i].name, parse(shapes[i].schema));
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        add_table(json_add_object(defs, tables[i].name), tables[i].table);
    return root;
}
