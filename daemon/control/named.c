/* SPDX-License-Identifier: ISC */
#include "control/named.h"

#include "base/map.h"
#include "conf/meant.h"

static void add(struct json *to, struct map *seen, const char *name)
{
    if (map_get(seen, name))
        return;
    map_put(seen, name, to);
    json_add_text(to, NULL, name);
}

static void add_meant(const struct conf *conf, struct json *to, struct map *seen, const char *text)
{
    size_t n = 0;
    const struct conf_cert *k = conf ? conf_meant(conf, text, &n) : NULL;

    if (!k)
        add(to, seen, text);
    for (size_t i = 0; i < n; i++)
        add(to, seen, k[i].name);
}

struct json *named_all(const struct conf *conf, const struct json *names)
{
    struct json *out = json_array();
    struct map *seen = map_new();

    for (const struct json *it = json_first(names); it; it = json_after(it)) {
        const char *text = json_as_text(it);
        add_meant(conf, out, seen, text ? text : "(not a text)");
    }
    map_free(seen);
    return out;
}

struct json *named_one(const struct conf *conf, const char *name)
{
    struct json *out = json_array();
    struct map *seen = map_new();

    add_meant(conf, out, seen, name);
    map_free(seen);
    return out;
}
