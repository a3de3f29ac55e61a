/* SPDX-License-Identifier: ISC */
/* The plugin's struct renewd_json is base/json.h's struct json under another name. */
#include "base/json.h"
#include "base/str.h"
#include "worker/service.h"

#include <stdlib.h>
#include <string.h>

static const struct json *in(const struct renewd_json *j)
{
    return (const struct json *)(const void *)j;
}

static struct renewd_json *out(const struct json *j)
{
    return (struct renewd_json *)(uintptr_t)j;
}

static struct json *rw(struct renewd_json *j)
{
    return (struct json *)(void *)j;
}

static void free_root(void *p)
{
    json_free(p);
}

struct renewd_json *service_json_parse(struct renewd_ctx *ctx, const char *text, uint64_t n)
{
    struct host *h = host_of(ctx);
    struct err e = ERR_INIT;
    struct json *j = json_parse(text, n, &e);
    if (!j) {
        host_error(h, RENEWD_E_PROTOCOL, e.detail);
        return NULL;
    }
    arena_keep(&h->arena, j, free_root);
    return out(j);
}

static const struct json *step(const struct json *j, const char *part)
{
    int64_t at;
    if (json_is_array(j))
        return str_to_i64(part, 0, UINT32_MAX, &at) ? json_at(j, (size_t)at) : NULL;
    return json_is_object(j) ? json_get(j, part) : NULL;
}

static const struct json *find(const struct renewd_json *root, const char *path)
{
    const struct json *j = in(root);
    while (j && path && *path) {
        char part[128];
        size_t n = strcspn(path, ".");
        if (n >= sizeof(part))
            return NULL;
        memcpy(part, path, n);
        part[n] = '\0';
        j = step(j, part);
        path += n + (path[n] == '.');
    }
    return j;
}

struct renewd_json *service_json_at(const struct renewd_json *j, const char *path)
{
    return out(find(j, path));
}

const char *service_json_text(const struct renewd_json *j, const char *path)
{
    const struct json *v = find(j, path);
    return v ? json_as_text(v) : NULL;
}

int64_t service_json_int(const struct renewd_json *j, const char *path, int64_t dflt)
{
    const struct json *v = find(j, path);
    return v ? json_as_int(v, dflt) : dflt;
}

int32_t service_json_true(const struct renewd_json *j, const char *path)
{
    const struct json *v = find(j, path);
    return v && json_as_bool(v, false);
}

uint32_t service_json_len(const struct renewd_json *j, const char *path)
{
    const struct json *v = find(j, path);
    return v ? (uint32_t)json_len(v) : 0;
}

struct renewd_json *service_json_first(const struct renewd_json *j)
{
    return j ? out(json_first(in(j))) : NULL;
}

struct renewd_json *service_json_next(const struct renewd_json *it)
{
    return it ? out(json_after(in(it))) : NULL;
}

const char *service_json_key(const struct renewd_json *it)
{
    return it ? json_key(in(it)) : NULL;
}

struct renewd_json *service_json_object(struct renewd_ctx *ctx, struct renewd_json *parent,
                                        const char *key)
{
    if (parent)
        return out(json_add_object(rw(parent), key));
    struct json *j = json_object();
    arena_keep(&host_of(ctx)->arena, j, free_root);
    return out(j);
}

struct renewd_json *service_json_array(struct renewd_ctx *ctx, struct renewd_json *parent,
                                       const char *key)
{
    if (parent)
        return out(json_add_array(rw(parent), key));
    struct json *j = json_array();
    arena_keep(&host_of(ctx)->arena, j, free_root);
    return out(j);
}

void service_json_add_text(struct renewd_json *parent, const char *key, const char *value)
{
    json_add_text(rw(parent), key, value);
}

void service_json_add_int(struct renewd_json *parent, const char *key, int64_t value)
{
    json_add_int(rw(parent), key, value);
}

void service_json_add_bool(struct renewd_json *parent, const char *key, int32_t value)
{
    json_add_bool(rw(parent), key, value != 0);
}

const char *service_json_print(struct renewd_ctx *ctx, const struct renewd_json *root)
{
    char *text = json_print(in(root), false);
    char *copy = arena_text(&host_of(ctx)->arena, text);
    free(text);
    return copy;
}
