/* SPDX-License-Identifier: ISC */
#include "respond/table.h"
#include "base/map.h"
#include "base/str.h"

#include <stdlib.h>

struct table {
    struct map *slots;
};

struct slot {
    struct list entries; /* the first is served, and those that say the same */
};

struct table *table_new(void)
{
    struct table *t = xnew(struct table);
    t->slots = map_new();
    return t;
}

void table_free(struct table *t)
{
    const char *key;
    void *slot;
    if (!t)
        return;
    for (size_t i = 0; map_next(t->slots, &i, &key, &slot);)
        free(slot);
    map_free(t->slots);
    free(t);
}

static struct entry *first(const struct slot *s)
{
    return list_item(s->entries.next, struct entry, node);
}

void table_put(struct table *t, struct entry *e)
{
    struct slot *s = map_get(t->slots, e->key);
    if (!s) {
        s = xnew(struct slot);
        list_init(&s->entries);
        map_put(t->slots, e->key, s);
    }
    list_append(&s->entries, &e->node);
    e->served = str_eq(first(s)->content, e->content);
}

void table_remove(struct table *t, struct entry *e)
{
    struct slot *s = map_get(t->slots, e->key);
    list_remove(&e->node);
    e->served = false;
    if (list_empty(&s->entries)) {
        map_remove(t->slots, e->key);
        free(s);
        return;
    }
    list_each(it, &s->entries)
    {
        struct entry *other = list_item(it, struct entry, node);
        if (other->served || !str_eq(other->content, first(s)->content))
            continue;
        other->served = true;
        other->turn(other);
    }
}

struct entry *table_find(struct table *t, const char *key)
{
    const struct slot *s = map_get(t->slots, key);
    return s ? first(s) : NULL;
}

void table_answered(struct table *t, const char *key)
{
    const struct slot *s = map_get(t->slots, key);
    for (struct list *it = s ? s->entries.next : NULL; it && it != &s->entries; it = it->next) {
        struct entry *e = list_item(it, struct entry, node);
        e->answered += e->served;
    }
}

bool table_empty(const struct table *t)
{
    return map_len(t->slots) == 0;
}
