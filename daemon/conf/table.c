/* SPDX-License-Identifier: ISC */
#include "conf/table.h"

#include "base/str.h"
#include "conf/reader.h"

#include <string.h>

#define CANDIDATES 256

const struct opt *table_find(const struct opt_table *t, const char *name, size_t *ret_index)
{
    size_t base = 0;

    for (; t; base += t->n, t = t->more)
        for (size_t i = 0; i < t->n; i++)
            if (!strcmp(t->opts[i].name, name)) {
                if (ret_index)
                    *ret_index = base + i;
                return &t->opts[i];
            }
    return NULL;
}

const char *suggest(struct reader *r, const char *word, const char *const *candidates, size_t n)
{
    const char *near = strlen(word) < 64 ? str_nearest(word, candidates, n) : NULL;

    return near ? arena_printf(r->arena, "; did you mean %s?", near) : "";
}

const char *suggest_key(struct reader *r, const struct opt_table *t, const char *word)
{
    const char *names[CANDIDATES];
    size_t n = 0;

    for (; t; t = t->more)
        for (size_t i = 0; i < t->n && n < CANDIDATES; i++)
            names[n++] = t->opts[i].name;
    return suggest(r, word, names, n);
}

/* What one mapping gave so far. */
struct seen {
    uint64_t keys;
    bool unknown; /* a key was not known: it may be a misspelt one that is required */
};

static int read_pair(struct reader *r, const struct opt_table *t, const struct pair *p, void *dst,
                     struct seen *seen)
{
    size_t at = 0;
    const struct opt *o = table_find(t, p->key->text, &at);

    if (!o) {
        if (t->open || (t->x_keys && str_starts(p->key->text, "x-")))
            return 0;
        seen->unknown = true;
        return READ_ERROR(r, p->key, "%s: unknown key%s", p->key->text,
                          suggest_key(r, t, p->key->text));
    }
    if (o->refuse)
        return READ_ERROR(r, p->key, "%s: %s", o->name, o->refuse);
    if (node_is_null(p->value))
        return 0;
    seen->keys |= (uint64_t)1 << at;
    return o->type->read(r, o, p->value, (char *)dst + o->offset);
}

static int check_required(struct reader *r, const struct opt_table *t, const struct node *map,
                          uint64_t seen)
{
    int rc = 0;
    size_t at = 0;

    for (const struct opt_table *p = t; p; p = p->more)
        for (size_t i = 0; i < p->n; i++, at++)
            if (p->opts[i].required && !(seen >> at & 1))
                rc = READ_ERROR(r, map, "%s: missing: %s", p->opts[i].name, p->opts[i].help);
    return rc;
}

int table_read(struct reader *r, const struct opt_table *t, const struct node *map, void *dst,
               uint64_t *ret_seen)
{
    struct seen seen = {0};
    int rc = 0;

    if (map->kind != NODE_MAP)
        return READ_ERROR(r, map, "%s: must be a mapping (KEY: VALUE), this is %s", t->what,
                          node_kind_name(map));
    for (uint32_t i = 0; i < map->n; i++)
        if (read_pair(r, t, &map->pairs[i], dst, &seen))
            rc = -1;
    if (!seen.unknown && check_required(r, t, map, seen.keys))
        rc = -1;
    if (ret_seen)
        *ret_seen = seen.keys;
    return rc;
}

void table_defaults(struct reader *r, const struct opt_table *t, void *dst)
{
    for (; t; t = t->more)
        for (size_t i = 0; i < t->n; i++) {
            const struct opt *o = &t->opts[i];
            struct node v = {.kind = NODE_TEXT, .file = "", .text = o->dflt};

            if (!o->dflt)
                continue;
            v.n = (uint32_t)strlen(o->dflt);
            o->type->read(r, o, &v, (char *)dst + o->offset);
        }
}

/* ---- choices ---- */

int choice_find(const char *choices, const char *text)
{
    size_t len = strlen(text);
    int at = 0;

    for (const char *p = choices;; at++) {
        size_t n = strcspn(p, "|");

        if (n == len && !memcmp(p, text, n))
            return at;
        if (!p[n])
            return -1;
        p += n + 1;
    }
}

const char *choice_name(const char *choices, int i, char *buf, size_t size)
{
    const char *p = choices;

    while (i-- > 0 && *p)
        p += strcspn(p, "|") + (p[strcspn(p, "|")] == '|');
    size_t n = strcspn(p, "|");

    if (n >= size)
        n = size - 1;
    memcpy(buf, p, n);
    buf[n] = '\0';
    return buf;
}

const char *choice_hint(struct reader *r, const char *choices, const char *word)
{
    const char *names[CANDIDATES];
    const char *text = "";
    size_t n = 0;

    for (const char *p = choices; n < CANDIDATES; p++) {
        size_t k = strcspn(p, "|");

        names[n++] = arena_strndup(r->arena, p, k);
        p += k;
        if (!*p)
            break;
    }
    for (size_t i = 0; i < n; i++)
        text = arena_printf(r->arena, "%s%s%s", text,
                            i == 0      ? ""
                            : i + 1 < n ? ", "
                                        : " or ",
                            names[i]);
    return arena_printf(r->arena, "%s%s", text, word ? suggest(r, word, names, n) : "");
}
