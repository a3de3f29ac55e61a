/* SPDX-License-Identifier: ISC */
/* struct json is never defined: it is cJSON's node under another name. */
#include "base/json.h"
#include "base/json_out.h"
#include "base/mem.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXACT_MAX 9007199254740992.0 /* 2^53 */

static const cJSON *in(const struct json *j)
{
    return (const cJSON *)j;
}

static cJSON *in_mut(struct json *j)
{
    return (cJSON *)j;
}

static struct json *out(cJSON *c)
{
    return (struct json *)c;
}

/* The end of the text whose opening quote is at p, or NULL. cJSON would decode \u0000 to a NUL and
 * so cut the text short. */
static const char *skip_text(const char *p, const char *end)
{
    for (p++; p < end && *p != '"'; p++) {
        if (*p != '\\')
            continue;
        if (end - p > 5 && memcmp(p, "\\u0000", 6) == 0)
            return NULL;
        p++;
    }
    return p < end ? p : NULL;
}

/* The bounds, checked before cJSON allocates anything. */
static int scan(const char *text, size_t n, size_t max, struct err *e)
{
    const size_t max_values = max / JSON_BYTES_A_VALUE;
    size_t depth = 0, values = 1;
    if (n > max)
        return err_set(e, ERR_PEER, "JSON of %zu bytes is over the limit of %zu", n, max);
    if (memchr(text, '\0', n))
        return err_set(e, ERR_PEER, "JSON with a NUL byte in it");
    for (const char *p = text, *end = text + n; p < end; p++) {
        if (*p == '"') {
            p = skip_text(p, end);
            if (!p)
                return err_set(e, ERR_PEER, "JSON with a text that is not closed or has a NUL");
        } else if (*p == '[' || *p == '{') {
            values++;
            if (++depth > JSON_MAX_DEPTH)
                return err_set(e, ERR_PEER, "JSON nested deeper than %d", JSON_MAX_DEPTH);
        } else if (*p == ']' || *p == '}') {
            depth -= depth > 0;
        } else if (*p == ',' && ++values > max_values) {
            return err_set(e, ERR_PEER, "JSON with more than %zu values", max_values);
        }
    }
    return 0;
}

struct json *json_parse(const char *text, size_t n, struct err *e)
{
    return json_parse_upto(text, n, JSON_MAX, e);
}

struct json *json_parse_upto(const char *text, size_t n, size_t max, struct err *e)
{
    if (n == 0) {
        err_set(e, ERR_PEER, "no JSON but an empty text");
        return NULL;
    }
    if (scan(text, n, max, e))
        return NULL;
    CLEANUP_FREE char *copy = malloc(n + 1);
    if (!copy) {
        err_set(e, ERR_LOCAL, "no memory for %zu bytes of JSON", n);
        return NULL;
    }
    memcpy(copy, text, n);
    copy[n] = '\0';
    const char *stop = NULL;
    cJSON *c = cJSON_ParseWithLengthOpts(copy, n + 1, &stop, true);
    if (!c)
        err_set(e, ERR_PEER, "not JSON: wrong at byte %zu of %zu", stop ? (size_t)(stop - copy) : 0,
                n);
    return out(c);
}

void json_free(struct json *j)
{
    cJSON_Delete(in_mut(j));
}

void json_cleanup(struct json **j)
{
    json_free(*j);
}

static void *checked(void *p)
{
    if (!p)
        abort();
    return p;
}

/* --- printing: as cJSON does, but for its detours and its numbers above 15 digits --- */

static void put_number(struct json_out *o, const cJSON *c)
{
    if (fabs(c->valuedouble) <= EXACT_MAX && c->valuedouble == (double)(int64_t)c->valuedouble) {
        char text[32];
        int n = snprintf(text, sizeof(text), "%lld", (long long)c->valuedouble);
        json_out_raw(o, text, (size_t)n);
        return;
    }
    CLEANUP_FREE char *text = checked(cJSON_PrintUnformatted(c));
    json_out_raw(o, text, strlen(text));
}

static void put_line(struct json_out *o, size_t depth)
{
    json_out_raw(o, "\n", 1);
    while (depth-- > 0)
        json_out_raw(o, "\t", 1);
}

static void put_value(struct json_out *o, const cJSON *c, bool pretty, size_t depth);

static void put_members(struct json_out *o, const cJSON *c, bool pretty, size_t depth)
{
    bool object = cJSON_IsObject(c);
    json_out_raw(o, object ? "{" : "[", 1);
    for (const cJSON *it = c->child; it; it = it->next) {
        if (object && pretty)
            put_line(o, depth + 1);
        if (object) {
            json_out_quoted(o, it->string);
            json_out_raw(o, ":\t", pretty ? 2 : 1);
        }
        put_value(o, it, pretty, depth + 1);
        if (it->next)
            json_out_raw(o, ", ", pretty && !object ? 2 : 1);
    }
    if (object && pretty)
        put_line(o, depth);
    json_out_raw(o, object ? "}" : "]", 1);
}

static void put_value(struct json_out *o, const cJSON *c, bool pretty, size_t depth)
{
    const char *word = cJSON_IsTrue(c) ? "true" : cJSON_IsFalse(c) ? "false" : "null";
    if (cJSON_IsString(c))
        json_out_quoted(o, c->valuestring);
    else if (cJSON_IsNumber(c))
        put_number(o, c);
    else if (cJSON_IsObject(c) || cJSON_IsArray(c))
        put_members(o, c, pretty, depth);
    else
        json_out_raw(o, word, strlen(word));
}

char *json_print(const struct json *j, bool pretty)
{
    struct json_out o;
    json_out_init(&o);
    put_value(&o, in(j), pretty, 0);
    return json_out_end(&o);
}

bool json_is_object(const struct json *j)
{
    return cJSON_IsObject(in(j));
}

bool json_is_array(const struct json *j)
{
    return cJSON_IsArray(in(j));
}

const struct json *json_get(const struct json *obj, const char *key)
{
    if (!json_is_object(obj))
        return NULL;
    return out(cJSON_GetObjectItemCaseSensitive(in(obj), key));
}

const char *json_text(const struct json *obj, const char *key)
{
    return json_as_text(json_get(obj, key));
}

int64_t json_int(const struct json *obj, const char *key, int64_t dflt)
{
    return json_as_int(json_get(obj, key), dflt);
}

bool json_bool(const struct json *obj, const char *key, bool dflt)
{
    return json_as_bool(json_get(obj, key), dflt);
}

const char *json_as_text(const struct json *value)
{
    return cJSON_IsString(in(value)) ? in(value)->valuestring : NULL;
}

int64_t json_as_int(const struct json *value, int64_t dflt)
{
    if (!cJSON_IsNumber(in(value)))
        return dflt;
    double d = in(value)->valuedouble;
    return fabs(d) <= EXACT_MAX && (double)(int64_t)d == d ? (int64_t)d : dflt;
}

bool json_as_bool(const struct json *value, bool dflt)
{
    return cJSON_IsBool(in(value)) ? cJSON_IsTrue(in(value)) : dflt;
}

size_t json_len(const struct json *array_or_object)
{
    size_t n = 0;
    for (const struct json *it = json_first(array_or_object); it; it = json_after(it))
        n++;
    return n;
}

const struct json *json_at(const struct json *array, size_t i)
{
    const struct json *it = json_is_array(array) ? json_first(array) : NULL;
    while (it && i-- > 0)
        it = json_after(it);
    return it;
}

const struct json *json_first(const struct json *array_or_object)
{
    if (!json_is_array(array_or_object) && !json_is_object(array_or_object))
        return NULL;
    return out(in(array_or_object)->child);
}

const struct json *json_after(const struct json *it)
{
    return it ? out(in(it)->next) : NULL;
}

const char *json_key(const struct json *member)
{
    return member ? in(member)->string : NULL;
}

struct json *json_object(void)
{
    return checked(cJSON_CreateObject());
}

struct json *json_array(void)
{
    return checked(cJSON_CreateArray());
}

void json_add(struct json *parent, const char *key, struct json *child)
{
    bool ok = key ? cJSON_AddItemToObject(in_mut(parent), key, in_mut(child))
                  : cJSON_AddItemToArray(in_mut(parent), in_mut(child));
    if (!ok)
        abort();
}

struct json *json_add_object(struct json *parent, const char *key)
{
    struct json *child = json_object();
    json_add(parent, key, child);
    return child;
}

struct json *json_add_array(struct json *parent, const char *key)
{
    struct json *child = json_array();
    json_add(parent, key, child);
    return child;
}

void json_add_text(struct json *parent, const char *key, const char *value)
{
    json_add(parent, key, checked(value ? cJSON_CreateString(value) : cJSON_CreateNull()));
}

void json_add_int(struct json *parent, const char *key, int64_t value)
{
    json_add(parent, key, checked(cJSON_CreateNumber((double)value)));
}

void json_add_bool(struct json *parent, const char *key, bool value)
{
    json_add(parent, key, checked(cJSON_CreateBool(value)));
}
