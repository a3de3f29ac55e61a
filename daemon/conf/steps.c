/* SPDX-License-Identifier: ISC */
/* `deployments` and the steps of a certificate's `deploy`. */
#include "conf/host.h"
#include "conf/value.h"

#include "base/name.h"
#include "base/str.h"

#include <string.h>

#define STEPS_MAX 1000
#define CONTENTS "privkey|cert|chain|fullchain|pkcs12|pkcs12-legacy|privkey-der|cert-der"

/* %n, %d and %% are what a step may say. */
static int check_percents(struct reader *r, const struct opt *o, const struct node *v,
                          const char *text)
{
    for (const char *p = strchr(text, '%'); p; p = strchr(p + 2, '%'))
        if (!p[1] || !strchr("nd%", p[1]))
            return READ_ERROR(r, v,
                              "%s: %%%.1s has no meaning: %%n is the certificate's name, %%d its "
                              "folder, %%%% a percent sign",
                              o->name, p + 1);
    return 0;
}

static int read_step_argv(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    struct conf_strs *s = dst;

    if (value_argv(r, o->name, v, s))
        return -1;
    for (size_t i = 0; i < s->n; i++)
        if (check_percents(r, o, v->items[i], s->v[i]))
            return -1;
    return 0;
}

static int read_step_path(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    if (type_path.read(r, o, v, dst))
        return -1;
    return check_percents(r, o, v, v->text);
}

static int read_unit(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    const char *text = value_text(r, o->name, v);

    if (!text)
        return -1;
    if (text[0] == '-' || text[0] == '.' || strlen(text) > 255 || strpbrk(text, "/ \t*?[]'\"$;|&"))
        return READ_ERROR(r, v, "%s: %s is no name of a systemd unit", o->name, text);
    *(char **)dst = arena_strdup(r->arena, text);
    return 0;
}

static int read_one_content(struct reader *r, const struct opt *o, const struct node *v,
                            struct conf_step *s)
{
    const char *text = value_text(r, o->name, v);
    int at = text ? choice_find(CONTENTS, text) : -1;

    if (!text)
        return -1;
    if (at < 0)
        return READ_ERROR(r, v, "%s: %s: write %s", o->name, text, choice_hint(r, CONTENTS, text));
    if (s->n_content == ARRAY_LEN(s->content))
        return READ_ERROR(r, v, "%s: more than %zu parts", o->name, ARRAY_LEN(s->content));
    s->content[s->n_content++] = (enum conf_content)(at + 1);
    return 0;
}

static int read_content(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    int rc = 0;

    if (value_list(r, o->name, v))
        return -1;
    for (uint32_t i = 0; i < v->n; i++)
        if (read_one_content(r, o, v->items[i], dst))
            rc = -1;
    return rc;
}

static int read_step_user(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    if (type_user.read(r, o, v, dst))
        return -1;
    if (user_find(r, *(char **)dst))
        READ_WARN(r, v, "%s: there is no user %s here", o->name, *(char **)dst);
    return 0;
}

static int read_step_group(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    if (type_user.read(r, o, v, dst))
        return -1;
    if (group_find(r, *(char **)dst))
        READ_WARN(r, v, "%s: there is no group %s here", o->name, *(char **)dst);
    return 0;
}

static int read_one_connect(struct reader *r, const struct opt *o, const struct node *v, char **ret)
{
    const char *text = value_text(r, o->name, v);

    if (!text)
        return -1;
    *ret = host_port_normal(r->arena, text, true);
    if (!*ret)
        return READ_ERROR(r, v, "%s: %s: write HOST:PORT, as \"localhost:443\" or \"[::1]:443\"",
                          o->name, text);
    return 0;
}

static int read_connect(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    const struct node *one;
    size_t n;
    const struct node *const *items = value_items(v, &one, &n);
    struct conf_strs s = {.v = arena_alloc(r->arena, n, sizeof *s.v)};

    if (!n)
        return READ_ERROR(r, v, "%s: the list is empty: write HOST:PORT", o->name);
    for (size_t i = 0; i < n; i++)
        if (!read_one_connect(r, o, items[i], &s.v[s.n]))
            s.n++;
    *(struct conf_strs *)dst = s;
    return s.n == n ? 0 : -1;
}

static int read_sni(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    const char *text = value_text(r, o->name, v), *why;
    struct host h;

    if (!text)
        return -1;
    if (host_read(r->arena, text, &h, &why))
        return READ_ERROR(r, v, "%s: %s is no host name: %s", o->name, text, why);
    if (name_is_wildcard(h.ascii))
        return READ_ERROR(r, v, "%s: %s is no host name: %s", o->name, text,
                          name_problem_text(NAME_WILDCARD));
    *(char **)dst = h.ascii;
    return 0;
}

#define STARTTLS "smtp|imap|pop3|ldap|postgres"

static int read_starttls(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    const char *text = value_text(r, o->name, v);

    if (!text)
        return -1;
    if (choice_find(STARTTLS, text) < 0)
        return READ_ERROR(r, v, "%s: %s: write %s", o->name, text, choice_hint(r, STARTTLS, text));
    *(char **)dst = arena_strdup(r->arena, text);
    return 0;
}

static int read_verify(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    (void)o;
    return table_read(r, &verify_to_table, v, dst, NULL);
}

#define STRING "{\"type\":\"string\",\"minLength\":1}"

static const struct opt_type type_step_argv = {"{\"$ref\":\"#/$defs/argv\"}", read_step_argv};
static const struct opt_type type_step_path = {STRING, read_step_path};
static const struct opt_type type_unit = {STRING, read_unit};
static const struct opt_type type_content = {"{\"type\":\"array\",\"items\":{\"enum\":[\"privkey\","
                                             "\"cert\",\"chain\",\"fullchain\",\"pkcs12\","
                                             "\"pkcs12-legacy\",\"privkey-der\",\"cert-der\"]}}",
                                             read_content};
static const struct opt_type type_step_user = {"{\"type\":[\"string\",\"integer\"]}",
                                               read_step_user};
static const struct opt_type type_step_group = {"{\"type\":[\"string\",\"integer\"]}",
                                                read_step_group};
static const struct opt_type type_connect = {
    "{\"anyOf\":[" STRING ",{\"type\":\"array\",\"minItems\":1,\"items\":" STRING "}]}",
    read_connect};
static const struct opt_type type_sni = {STRING, read_sni};
static const struct opt_type type_starttls = {
    "{\"enum\":[\"smtp\",\"imap\",\"pop3\",\"ldap\",\"postgres\"]}", read_starttls};
static const struct opt_type type_verify = {"{\"$ref\":\"#/$defs/verify\"}", read_verify};

#define AT(field) .offset = offsetof(struct conf_step, field)

static const struct opt step_opts[] = {
    {"timeout", &type_duration, AT(timeout_ms), .dflt = "60s", .min = 1000, .max = 86400000,
     .help = "then the step is ended and has failed"},
};
static const struct opt_table step_table = {
    .what = "step", .opts = step_opts, .n = ARRAY_LEN(step_opts)};

static const struct opt run_opts[] = {
    {"run", &type_step_argv, AT(argv), .required = true,
     .help = "a program and its arguments, without a shell; %n is the certificate's name, %d its "
             "folder"},
    {"user", &type_step_user, AT(user), .dflt = "root", .help = "user that it runs as"},
    {"once", &type_bool, AT(once), .dflt = "false",
     .help = "one run for all certificates that are ready, their list on stdin"},
};
static const struct opt reload_opts[] = {
    {"reload", &type_unit, AT(unit), .required = true,
     .help = "systemctl try-reload-or-restart UNIT, once for all certificates that are ready"},
};
static const struct opt file_opts[] = {
    {"file", &type_step_path, AT(path), .required = true, .help = "a file to write"},
    {"content", &type_content, .offset = 0, .help = "its parts, in order; [fullchain]"},
    {"owner", &type_step_user, AT(owner), .help = "its owner; the daemon's user"},
    {"group", &type_step_group, AT(group), .help = "its group; the daemon's"},
    {"mode", &type_mode, AT(mode), .help = "its mode; \"0600\" with a key in it, else \"0644\""},
    {"password", &type_secret, AT(password), .help = "of a PKCS #12 file"},
};
static const struct opt verify_opts[] = {
    {"verify", &type_verify, .offset = 0, .required = true,
     .help = "connect by TLS, and see that the new certificate is served"},
};
static const struct opt verify_to_opts[] = {
    {"connect", &type_connect, AT(connect), .required = true,
     .help = "HOST:PORT or a list; every address is tried"},
    {"sni", &type_sni, AT(sni), .help = "name asked for; the first name that is no wildcard"},
    {"starttls", &type_starttls, AT(starttls),
     .help = "protocol that TLS is started in: smtp, imap, pop3, ldap or postgres"},
};

#define TABLE(id, next)                                                                            \
    const struct opt_table id##_table = {                                                          \
        .what = #id, .opts = id##_opts, .n = ARRAY_LEN(id##_opts), .more = next}

TABLE(run, &step_table);
TABLE(reload, &step_table);
TABLE(file, &step_table);
TABLE(verify, &step_table);
const struct opt_table verify_to_table = {
    .what = "verify", .opts = verify_to_opts, .n = ARRAY_LEN(verify_to_opts)};

static const struct opt_table *const kinds[] = {
    [CONF_STEP_RUN] = &run_table,
    [CONF_STEP_RELOAD] = &reload_table,
    [CONF_STEP_FILE] = &file_table,
    [CONF_STEP_VERIFY] = &verify_table,
};

/* The first key that makes a step of some kind. A second one is an error of that kind's table. */
static int kind_of(const struct node *map)
{
    for (uint32_t i = 0; i < map->n; i++)
        for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
            if (!strcmp(map->pairs[i].key->text, kinds[k]->opts[0].name))
                return (int)k;
    return -1;
}

static int no_kind(struct reader *r, const struct node *v)
{
    const char *hint = "";

    for (uint32_t i = 0; v->kind == NODE_MAP && i < v->n && !*hint; i++) {
        static const char *const names[] = {"run", "reload", "file", "verify"};

        hint = suggest(r, v->pairs[i].key->text, names, ARRAY_LEN(names));
    }
    if (v->kind == NODE_MAP && v->n)
        return READ_ERROR(r, v->pairs[0].key,
                          "%s: no step: a step has one of run, reload, file or "
                          "verify%s",
                          v->pairs[0].key->text, hint);
    return READ_ERROR(r, v,
                      "deploy: a step is a mapping with one of run, reload, file or verify, this "
                      "is %s",
                      node_kind_name(v));
}

bool content_has_key(enum conf_content content)
{
    return content == CONF_PRIVKEY || content == CONF_PKCS12 || content == CONF_PKCS12_LEGACY ||
           content == CONF_PRIVKEY_DER;
}

static bool is_pkcs12(enum conf_content content)
{
    return content == CONF_PKCS12 || content == CONF_PKCS12_LEGACY;
}

/* Of what has no beginning and end in the text of a file. */
static bool stands_alone(enum conf_content content)
{
    return is_pkcs12(content) || content == CONF_PRIVKEY_DER || content == CONF_CERT_DER;
}

static int finish_file(struct reader *r, const struct node *v, struct conf_step *s)
{
    const struct node *content = node_get(v, "content"), *password = node_get(v, "password");
    bool key = false, pkcs12 = false;

    if (!s->n_content)
        s->content[s->n_content++] = CONF_FULLCHAIN;
    for (size_t i = 0; i < s->n_content; i++) {
        key |= content_has_key(s->content[i]);
        pkcs12 |= is_pkcs12(s->content[i]);
        if (stands_alone(s->content[i]) && s->n_content > 1)
            return READ_ERROR(r, content->items[i],
                              "content: %s stands alone: write a file step of its own for it",
                              content->items[i]->text);
    }
    if (!s->mode)
        s->mode = key ? 0600 : 0644;
    if (pkcs12 && s->password.kind == CONF_SECRET_NONE)
        return READ_ERROR(r, content,
                          "password: missing: a PKCS #12 file has one: write password: {file: "
                          "PATH}");
    if (!pkcs12 && s->password.kind != CONF_SECRET_NONE)
        return READ_ERROR(r, password,
                          "password: only a PKCS #12 file has one: write content: [pkcs12], or "
                          "leave it out");
    return 0;
}

static int read_step(struct reader *r, const struct node *v, struct conf_step *ret)
{
    int kind = v->kind == NODE_MAP ? kind_of(v) : -1;
    char *empty = arena_strdup(r->arena, "");

    if (kind < 0)
        return no_kind(r, v);
    *ret = (struct conf_step){
        .kind = (enum conf_step_kind)kind,
        .user = empty,
        .unit = empty,
        .path = empty,
        .owner = empty,
        .group = empty,
        .sni = empty,
        .starttls = empty,
        .password.source = empty,
        .where = node_where(v),
    };
    table_defaults(r, kinds[kind], ret);
    if (table_read(r, kinds[kind], v, ret, NULL))
        return -1;
    return kind == CONF_STEP_FILE ? finish_file(r, v, ret) : 0;
}

int steps_read(struct reader *r, const struct node **items, size_t n, struct conf_deployment *ret)
{
    int rc = 0;

    if (n > STEPS_MAX)
        return READ_ERROR(r, items[0], "deploy: more than %d steps", STEPS_MAX);
    ret->n_steps = 0;
    ret->steps = n ? arena_alloc(r->arena, n, sizeof *ret->steps) : NULL;
    for (size_t i = 0; i < n; i++)
        if (read_step(r, items[i], &ret->steps[ret->n_steps]))
            rc = -1;
        else
            ret->n_steps++;
    return rc;
}

static void read_deployment(struct reader *r, const struct pair *kv)
{
    struct conf_deployment d = {.where = node_where(kv->key)};
    size_t at;

    if (name_check(r, "deployments", kv->key))
        return;
    if (place_get(r->deployment_names, kv->key->text, &at)) {
        const struct conf_deployment *twin = vec_at(&r->deployments, at);

        READ_ERROR(r, kv->key, "deployments: %s is written twice: also at %s:%u:%u", kv->key->text,
                   twin->where.file, twin->where.line, twin->where.column);
        return;
    }
    d.name = arena_strdup(r->arena, kv->key->text);
    if (kv->value->kind == NODE_MAP)
        READ_ERROR(r, kv->value, "deployments: %s must be a list of steps: put - before it",
                   d.name);
    else if (kv->value->kind == NODE_TEXT)
        READ_ERROR(r, kv->value, "deployments: %s must be a list of steps", d.name);
    else
        steps_read(r, kv->value->items, kv->value->n, &d);
    place_put(r->deployment_names, d.name, r->deployments.n);
    *(struct conf_deployment *)vec_add(&r->deployments) = d;
}

void deployments_read(struct reader *r, const struct node *v)
{
    if (v && v->kind != NODE_MAP) {
        READ_ERROR(r, v, "deployments: must be a mapping (NAME: [STEP, ...]), this is %s",
                   node_kind_name(v));
        return;
    }
    for (uint32_t i = 0; v && i < v->n; i++)
        read_deployment(r, &v->pairs[i]);
}
