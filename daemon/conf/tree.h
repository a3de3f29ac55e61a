/* SPDX-License-Identifier: ISC */
/*
 * A YAML file as a tree of nodes that know where they stand. Aliases share the node that they name,
 * merge keys are resolved, so no reader sees either. Bounded: TREE_FILE_MAX bytes, TREE_SCALAR_MAX
 * a text, TREE_DEPTH_MAX levels, TREE_NODES_MAX nodes counted as if every alias were written out.
 */
#ifndef RENEWD_CONF_TREE_H
#define RENEWD_CONF_TREE_H

#include "conf/arena.h"
#include "conf/conf.h"
#include "conf/diag.h"

#include <stdbool.h>
#include <stdint.h>

#define TREE_FILE_MAX ((size_t)16 << 20)
#define TREE_SCALAR_MAX ((size_t)64 << 10)
#define TREE_DEPTH_MAX 64
#define TREE_NODES_MAX 4000000u

enum node_kind { NODE_TEXT, NODE_LIST, NODE_MAP };

struct node;
struct pair {
    const struct node *key, *value; /* key is a NODE_TEXT */
};
struct node {
    enum node_kind kind;
    bool plain; /* text without quotes */
    uint32_t line, column;
    uint32_t weight;  /* nodes in here, aliases written out; saturates */
    uint32_t n;       /* octets, items or pairs */
    const char *file; /* as it is shown */
    union {
        const char *text; /* no NULs */
        const struct node **items;
        const struct pair *pairs;
    };
};

/* The tree of n octets at text, in arena a. An empty document gives NULL. Returns 0, or -1 after
 * exactly one error in d. `file` outlives the tree. */
int tree_parse(struct arena *a, const char *file, const char *text, size_t n, struct diag *d,
               const struct node **ret);

struct conf_where node_where(const struct node *n);
bool node_is_null(const struct node *n); /* an empty value, ~ or null, unquoted */
const struct node *node_get(const struct node *map, const char *key); /* NULL when absent */
const char *node_kind_name(const struct node *n); /* "a text", "a list", "a mapping" */

#endif
