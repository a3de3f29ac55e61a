/* SPDX-License-Identifier: ISC */
#include "conf/value.h"

#include "base/name.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- helpers ---- */

const char *value_text(struct reader *r, const char *key, const struct node *v)
{
    if (v->kind != NODE_TEXT) {
        READ_ERROR(r, v, "%s: must be one value, this is %s", key, node_kind_name(v));
        return NULL;
    }
    if (!v->n) {
        READ_ERROR(r, v, "%s: must not be empty", key);
        return NULL;
    }
    for (uint32_t i = 0; i < v->n; i++)
        if (v->text[i] == '\n' || v->text[i] == '\r') {
            READ_ERROR(r, v, "%s: must be one line", key);
            return NULL;
        }
    return v->text;
}

int value_list(struct reader *r, const char *key, const struct node *v)
{
    if (v->kind == NODE_LIST)
        return 0;
    if (v->kind == NODE_TEXT)
        return READ_ERROR(r, v, "%s: must be a list: write [%s]", key, v->text);
    return READ_ERROR(r, v, "%s: must be a list, this is a mapping", key);
}

const struct node *const *value_items(const struct node *v, const struct node **one, size_t *ret_n)
{
    if (v->kind == NODE_LIST) {
        *ret_n = v->n;
        return v->items;
    }
    *one = v;
    *ret_n = 1;
    return one;
}

char *value_path(struct reader *r, const struct node *v, const char *text)
{
    const char *slash = strrchr(v->file, '/');
    char *cwd, *path;

    if (text[0] == '/')
        return arena_strdup(r->arena, text);
    if (slash)
        text = arena_printf(r->arena, "%.*s/%s", (int)(slash - v->file), v->file, text);
    if (text[0] == '/')
        return arena_strdup(r->arena, text);
    cwd = getcwd(NULL, 0);
    path = arena_printf(r->arena, "%s/%s", cwd ? cwd : "", text);
    free(cwd);
    return path;
}

const char *duration_text(int64_t ms, char *buf, size_t size)
{
    static const struct {
        int64_t ms;
        char unit;
    } units[] = {{604800000, 'w'}, {86400000, 'd'}, {3600000, 'h'}, {60000, 'm'}};

    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (ms && ms % units[i].ms == 0) {
            snprintf(buf, size, "%lld%c", (long long)(ms / units[i].ms), units[i].unit);
            return buf;
        }
    snprintf(buf, size, "%llds", (long long)(ms / 1000));
    return buf;
}

int value_duration(struct reader *r, const char *key, const struct node *v, int64_t min,
                   int64_t max, int64_t *ret_ms)
{
    const char *text = value_text(r, key, v);
    char least[32], most[32];
    int64_t ms, number;

    if (!text)
        return -1;
    if (!str_to_duration(text, &ms)) {
        if (str_to_i64(text, 0, INT64_MAX, &number))
            return READ_ERROR(r, v, "%s: %s has no unit: write %ss, %sm, %sh, %sd or %sw", key,
                              text, text, text, text, text, text);
        return READ_ERROR(r, v, "%s: %s is no duration: write a number and s, m, h, d or w, as 10m",
                          key, text);
    }
    if (ms < min || ms > max)
        return READ_ERROR(r, v, "%s: %s is out of range: write %s to %s", key, text,
                          duration_text(min, least, sizeof least),
                          duration_text(max, most, sizeof most));
    *ret_ms = ms;
    return 0;
}

int value_bool(struct reader *r, const char *key, const struct node *v, bool *ret)
{
    static const char *const yes[] = {"yes", "on", "y", "1", "true"}, *const no[] = {"no", "off",
                                                                                     "n", "0",
                                                                                     "false"};
    const char *text = value_text(r, key, v);

    if (!text)
        return -1;
    if (str_eq(text, "true") || str_eq(text, "false")) {
        *ret = text[0] == 't';
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        if (str_case_eq(text, yes[i]))
            return READ_ERROR(r, v, "%s: %s: write true", key, text);
        if (str_case_eq(text, no[i]))
            return READ_ERROR(r, v, "%s: %s: write false", key, text);
    }
    return READ_ERROR(r, v, "%s: %s: write true or false", key, text);
}

/* "a b c" as the list that the user meant. */
static const char *as_list(struct reader *r, const char *text)
{
    const char *out = "";

    for (const char *p = text; *p;) {
        size_t n = strcspn(p, " \t");
        bool bare = n &&
                    strspn(p, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                              "0123456789/._-+") >= n &&
                    p[0] != '-';

        if (n)
            out = arena_printf(r->arena, "%s%s%s%.*s%s", out, *out ? ", " : "", bare ? "" : "\"",
                               (int)n, p, bare ? "" : "\"");
        p += n + strspn(p + n, " \t");
    }
    return out;
}

int value_argv(struct reader *r, const char *key, const struct node *v, struct conf_strs *ret)
{
    struct conf_strs s;

    if (v->kind == NODE_TEXT && v->n < 1000)
        return READ_ERROR(r, v, "%s: must be a list, there is no shell: write [%s]", key,
                          as_list(r, v->text));
    if (v->kind != NODE_LIST || !v->n)
        return READ_ERROR(r, v, "%s: must be a list: the program, then its arguments", key);
    s.v = arena_alloc(r->arena, v->n, sizeof *s.v);
    s.n = v->n;
    for (uint32_t i = 0; i < v->n; i++) {
        const struct node *item = v->items[i];

        if (item->kind != NODE_TEXT)
            return READ_ERROR(r, item, "%s: each argument must be a text, this is %s", key,
                              node_kind_name(item));
        s.v[i] = arena_strdup(r->arena, item->text);
    }
    if (!s.v[0][0])
        return READ_ERROR(r, v->items[0], "%s: the program's name is empty", key);
    *ret = s;
    return 0;
}

/* ---- addresses ---- */

static bool port_ok(const char *text)
{
    int64_t port;

    return str_to_i64(text, 1, 65535, &port);
}

char *address_normal(struct arena *a, const char *text)
{
    char host[80], out[80];
    struct in6_addr six;
    struct in_addr four;
    const char *port = "", *end;

    if (text[0] == '[') {
        end = strchr(text, ']');
        if (!end || (size_t)(end - text) >= sizeof host || (end[1] && end[1] != ':'))
            return NULL;
        snprintf(host, sizeof host, "%.*s", (int)(end - text - 1), text + 1);
        port = end[1] ? end + 2 : NULL;
    } else if (strchr(text, ':') && strchr(text, ':') == strrchr(text, ':')) {
        end = strchr(text, ':');
        if ((size_t)(end - text) >= sizeof host)
            return NULL;
        snprintf(host, sizeof host, "%.*s", (int)(end - text), text);
        port = end + 1;
    } else {
        if (!str_copy(host, sizeof host, text))
            return NULL;
        port = NULL;
    }
    if (port && !port_ok(port))
        return NULL;
    if (text[0] != '[' && inet_pton(AF_INET, host, &four) == 1) {
        inet_ntop(AF_INET, &four, out, sizeof out);
        return arena_printf(a, "%s%s%s", out, port ? ":" : "", port ? port : "");
    }
    char *scope = strchr(host, '%');
    char zone[40] = "";

    if (scope) {
        if (!scope[1] || !str_copy(zone, sizeof zone, scope))
            return NULL;
        *scope = '\0';
    }
    if ((text[0] != '[' && port) || inet_pton(AF_INET6, host, &six) != 1)
        return NULL;
    inet_ntop(AF_INET6, &six, out, sizeof out);
    return arena_printf(a, "[%s%s]%s%s", out, zone, port ? ":" : "", port ? port : "");
}

bool host_port_ok(const char *text, bool port_needed)
{
    struct arena *a = arena_new();
    char *address = address_normal(a, text);
    const char *colon = strrchr(text, ':');
    char host[300], normal[NAME_MAX_TEXT];
    bool ok;

    if (address) {
        const char *end = address[0] == '[' ? strchr(address, ']') + 1 : strchr(address, ':');

        ok = !port_needed || (end && *end == ':');
    } else if (!colon) {
        ok = !port_needed && name_owner(text, normal) == NAME_OK;
    } else {
        ok = (size_t)(colon - text) < sizeof host && port_ok(colon + 1);
        if (ok) {
            snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
            ok = name_owner(host, normal) == NAME_OK;
        }
    }
    arena_free(a);
    return ok;
}

/* ---- types ---- */

static int read_text(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    const char *text = value_text(r, o->name, v);

    if (!text)
        return -1;
    *(char **)dst = arena_strdup(r->arena, text);
    return 0;
}

static int read_id(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    if (!value_text(r, o->name, v) || name_check(r, o->name, v))
        return -1;
    *(char **)dst = arena_strdup(r->arena, v->text);
    return 0;
}

static int read_user(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    const char *text = value_text(r, o->name, v);

    if (!text)
        return -1;
    if (strlen(text) > 64 || text[0] == '-' || strpbrk(text, ":/ \t"))
        return READ_ERROR(r, v, "%s: %s is no name of a user or group", o->name, text);
    *(char **)dst = arena_strdup(r->arena, text);
    return 0;
}

static int read_email(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    const char *text = value_text(r, o->name, v), *at;

    if (!text)
        return -1;
    at = strchr(text, '@');
    if (str_starts(text, "mailto:"))
        return READ_ERROR(r, v, "%s: write the address alone, without mailto:", o->name);
    if (!at || at == text || !at[1] || strpbrk(text, " \t,;<>\"?&%") || strlen(text) > 320)
        return READ_ERROR(r, v, "%s: %s is no e-mail address", o->name, text);
    *(char **)dst = arena_strdup(r->arena, text);
    return 0;
}

static int read_https(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    const char *text = value_text(r, o->name, v);

    if (!text)
        return -1;
    if (str_starts(text, "http://"))
        return READ_ERROR(r, v, "%s: ACME works over https only: write https://%s", o->name,
                          text + 7);
    if (!str_starts(text, "https://") || !text[8] || text[8] == '/' || strlen(text) > 2000)
        return READ_ERROR(r, v, "%s: %s is no https URL", o->name, text);
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f || strchr("\"<>\\^`{|}#", *p))
            return READ_ERROR(r, v, "%s: %s has a character that no URL has", o->name, text);
    *(char **)dst = arena_strdup(r->arena, text);
    return 0;
}

static int read_path(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    const char *text = value_text(r, o->name, v);

    if (!text)
        return -1;
    if (strlen(text) > 4000)
        return READ_ERROR(r, v, "%s: the path is too long", o->name);
    *(char **)dst = v->file[0] ? value_path(r, v, text) : arena_strdup(r->arena, text);
    return 0;
}

static int read_bool(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    return value_bool(r, o->name, v, dst);
}

static int read_int(struct reader *r, const struct opt *o, const struct node *v, int64_t *ret)
{
    const char *text = value_text(r, o->name, v);

    if (!text)
        return -1;
    if (!str_to_i64(text, o->min, o->max, ret))
        return READ_ERROR(r, v, "%s: %s: write a whole number from %lld to %lld", o->name, text,
                          (long long)o->min, (long long)o->max);
    return 0;
}

static int read_i64(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    return read_int(r, o, v, dst);
}

static int read_u32(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    int64_t n;

    if (read_int(r, o, v, &n))
        return -1;
    *(uint32_t *)dst = (uint32_t)n;
    return 0;
}

static int read_duration(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    return value_duration(r, o->name, v, o->min, o->max, dst);
}

static int read_seconds(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    int64_t ms;

    if (value_duration(r, o->name, v, o->min, o->max, &ms))
        return -1;
    *(uint32_t *)dst = (uint32_t)(ms / 1000);
    return 0;
}

static int read_mode(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    const char *text = value_text(r, o->name, v);
    size_t n = text ? strlen(text) : 0;

    if (!text)
        return -1;
    if (n < 3 || n > 4 || strspn(text, "01234567") != n || (n == 4 && text[0] != '0'))
        return READ_ERROR(r, v, "%s: %s is no mode: write a quoted octal number, as \"0640\"",
                          o->name, text);
    if (v->plain)
        return READ_ERROR(r, v, "%s: quote it: \"%s\" (YAML reads unquoted %s as a number)",
                          o->name, text, text);
    *(mode_t *)dst = (mode_t)strtoul(text, NULL, 8);
    return 0;
}

static int read_choice(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    const char *text = value_text(r, o->name, v);
    int at;

    if (!text)
        return -1;
    at = choice_find(o->choices, text);
    if (at < 0)
        return READ_ERROR(r, v, "%s: %s: write %s", o->name, text,
                          choice_hint(r, o->choices, text));
    *(unsigned *)dst = (unsigned)at;
    return 0;
}

static int read_argv(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    return value_argv(r, o->name, v, dst);
}

int node_keep(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    (void)r;
    (void)o;
    *(const struct node **)dst = v;
    return 0;
}

#define TEXT_SCHEMA "{\"type\":\"string\",\"minLength\":1}"

const struct opt_type type_text = {TEXT_SCHEMA, read_text};
const struct opt_type type_id = {"{\"type\":\"string\",\"pattern\":\"^[A-Za-z0-9._-]+$\"}",
                                 read_id};
const struct opt_type type_user = {"{\"type\":[\"string\",\"integer\"]}", read_user};
const struct opt_type type_email = {"{\"type\":\"string\",\"pattern\":\"^[^@ ]+@[^@ ]+$\"}",
                                    read_email};
const struct opt_type type_https = {"{\"type\":\"string\",\"pattern\":\"^https://\"}", read_https};
const struct opt_type type_path = {TEXT_SCHEMA, read_path};
const struct opt_type type_bool = {"{\"type\":\"boolean\"}", read_bool};
const struct opt_type type_u32 = {NULL, read_u32};
const struct opt_type type_i64 = {NULL, read_i64};
const struct opt_type type_duration = {"{\"$ref\":\"#/$defs/duration\"}", read_duration};
const struct opt_type type_seconds = {"{\"$ref\":\"#/$defs/duration\"}", read_seconds};
const struct opt_type type_mode = {"{\"type\":\"string\",\"pattern\":\"^0?[0-7]{3}$\"}", read_mode};
const struct opt_type type_choice = {NULL, read_choice};
const struct opt_type type_argv = {"{\"$ref\":\"#/$defs/argv\"}", read_argv};
const struct opt_type type_node = {"{}", node_keep};
const struct opt_type type_never = {"{}", node_keep};
