/* SPDX-License-Identifier: ISC */
/* JSON over cJSON; no other file includes cJSON.h. Input is bounded in size and depth (32) before
 * it is parsed; integers are exact up to 2^53. */
#ifndef RENEWD_BASE_JSON_H
#define RENEWD_BASE_JSON_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json; /* a value: object, array, text, number, bool, null */

#define JSON_MAX (4u << 20)   /* bytes of a text to parse */
#define JSON_MAX_DEPTH 32     /* of nested arrays and objects */
#define JSON_BYTES_A_VALUE 10 /* on the average; each costs 64 bytes of memory and more */
#define JSON_MAX_VALUES (JSON_MAX / JSON_BYTES_A_VALUE)

/* text need not be terminated. Trailing garbage, a NUL (also as \u0000) and what goes over the
 * bounds are ERR_PEER. Of members with the same name json_get() finds the first. */
struct json *json_parse(const char *text, size_t n, struct err *e);
/* The same with other bounds: max bytes, a value for each JSON_BYTES_A_VALUE of them. For what
 * comes from our own daemon, whose status grows with the inventory. */
struct json *json_parse_upto(const char *text, size_t n, size_t max, struct err *e);
void json_free(struct json *j); /* only of roots: parsed, or made by json_object()/json_array() */
char *json_print(const struct json *j, bool pretty); /* the caller frees */

bool json_is_object(const struct json *j);
bool json_is_array(const struct json *j);
/* All getters take NULL objects and wrong types and give the default: callers check presence once.
 */
const struct json *json_get(const struct json *obj, const char *key);
const char *json_text(const struct json *obj, const char *key); /* NULL if absent or no text */
int64_t json_int(const struct json *obj, const char *key, int64_t dflt);
bool json_bool(const struct json *obj, const char *key, bool dflt);
const char *json_as_text(const struct json *value);          /* NULL if no text */
int64_t json_as_int(const struct json *value, int64_t dflt); /* also when no number */
bool json_as_bool(const struct json *value, bool dflt);
size_t json_len(const struct json *array_or_object);
const struct json *json_at(const struct json *array, size_t i);
/* for (it = json_first(x); it; it = json_after(it)); members of an object have json_key(). O(1)
 * each */
const struct json *json_first(const struct json *array_or_object);
const struct json *json_after(const struct json *it);
const char *json_key(const struct json *member);

/* Building. Added values belong to their parent; strings are copied. */
struct json *json_object(void);
struct json *json_array(void);
struct json *json_add_object(struct json *parent,
                             const char *key); /* key NULL: parent is an array */
struct json *json_add_array(struct json *parent, const char *key);
void json_add_text(struct json *parent, const char *key, const char *value); /* NULL: null */
void json_add_int(struct json *parent, const char *key, int64_t value);
void json_add_bool(struct json *parent, const char *key, bool value);
void json_add(struct json *parent, const char *key, struct json *child); /* takes child */

void json_cleanup(struct json **j);
#define CLEANUP_JSON __attribute__((cleanup(json_cleanup)))

#endif
