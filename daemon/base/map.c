/* SPDX-License-Identifier: ISC */
/* Entries stand in an array in order of insertion; a table of open addressing holds their places.
 * Removed entries stay as gaps (key NULL) until the next growth closes them up. */
#include "base/map.h"
#include "base/clock.h"
#include "base/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    char *key;
    void *value;
    uint32_t hash;
};

struct map {
    struct entry *entries;
    size_t used, cap, live;
    uint32_t *slots; /* 0: free; else 1 + index into entries, gaps included */
    size_t mask;
    uint64_t seed;
};

static uint32_t hash_key(const struct map *m, const char *key)
{
    uint64_t h = m->seed;
    for (; *key; key++)
        h = (h ^ (unsigned char)*key) * 0x9e3779b97f4a7c15u, h ^= h >> 29;
    return (uint32_t)(h ^ (h >> 32));
}

struct map *map_new(void)
{
    struct map *m = xnew(struct map);
    m->seed = rng_u64(&rng_system);
    return m;
}

void map_free(struct map *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->used; i++)
        free(m->entries[i].key);
    free(m->entries);
    free(m->slots);
    free(m);
}

static struct entry *find(const struct map *m, const char *key, uint32_t hash)
{
    if (!m->slots)
        return NULL;
    for (size_t s = hash & m->mask; m->slots[s]; s = (s + 1) & m->mask) {
        struct entry *e = &m->entries[m->slots[s] - 1];
        if (e->key && e->hash == hash && strcmp(e->key, key) == 0)
            return e;
    }
    return NULL;
}

static void enter_slot(struct map *m, size_t index)
{
    size_t s = m->entries[index].hash & m->mask;
    while (m->slots[s])
        s = (s + 1) & m->mask;
    m->slots[s] = (uint32_t)index + 1;
}

/* Closes the gaps and leaves room for as many again. */
static void rebuild(struct map *m)
{
    size_t cap = 8;
    while (cap < m->live * 2)
        cap *= 2;
    struct entry *entries = xcalloc(cap, sizeof(*entries));
    size_t n = 0;
    for (size_t i = 0; i < m->used; i++) {
        if (m->entries[i].key)
            entries[n++] = m->entries[i];
    }
    free(m->entries);
    free(m->slots);
    m->entries = entries;
    m->used = n;
    m->cap = cap;
    m->slots = xcalloc(cap * 2, sizeof(*m->slots));
    m->mask = cap * 2 - 1;
    for (size_t i = 0; i < n; i++)
        enter_slot(m, i);
}

void *map_get(const struct map *m, const char *key)
{
    struct entry *e = find(m, key, hash_key(m, key));
    return e ? e->value : NULL;
}

void *map_put(struct map *m, const char *key, void *value)
{
    uint32_t hash = hash_key(m, key);
    struct entry *e = find(m, key, hash);
    if (e) {
        void *old = e->value;
        e->value = value;
        return old;
    }
    if (m->used == m->cap)
        rebuild(m);
    m->entries[m->used] = (struct entry){.key = xstrdup(key), .value = value, .hash = hash};
    enter_slot(m, m->used++);
    m->live++;
    return NULL;
}

void *map_remove(struct map *m, const char *key)
{
    struct entry *e = find(m, key, hash_key(m, key));
    if (!e)
        return NULL;
    void *value = e->value;
    free(e->key);
    e->key = NULL;
    e->value = NULL;
    m->live--;
    return value;
}

size_t map_len(const struct map *m)
{
    return m->live;
}

bool map_next(const struct map *m, size_t *i, const char **ret_key, void **ret_value)
{
    while (*i < m->used && !m->entries[*i].key)
        (*i)++;
    if (*i >= m->used)
        return false;
    if (ret_key)
        *ret_key = m->entries[*i].key;
    if (ret_value)
        *ret_value = m->entries[*i].value;
    (*i)++;
    return true;
}
