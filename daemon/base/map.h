/* SPDX-License-Identifier: ISC */
/* Map from text to pointer; copies its keys, never owns the values. Iteration in order of insertion
 * (removal keeps the order of the rest). */
#ifndef RENEWD_BASE_MAP_H
#define RENEWD_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>

struct map;

struct map *map_new(void);
void map_free(struct map *m); /* values are the caller's; NULL is fine */
void *map_get(const struct map *m, const char *key);
void *map_put(struct map *m, const char *key,
              void *value); /* returns the value it replaced or NULL */
void *map_remove(struct map *m, const char *key);
size_t map_len(const struct map *m);
/* for (size_t i = 0; map_next(m, &i, &key, &value);); no changes to the map inside. */
bool map_next(const struct map *m, size_t *i, const char **ret_key, void **ret_value);

#endif
