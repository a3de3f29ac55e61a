/* SPDX-License-Identifier: ISC */
/*
 * Option tables. Each mapping of the configuration has one: what may stand in it, its type, range,
 * default and help. Validation, "did you mean", defaults and the JSON Schema all come from here.
 */
#ifndef RENEWD_CONF_TABLE_H
#define RENEWD_CONF_TABLE_H

#include "base/mem.h"
#include "conf/tree.h"

#include <stddef.h>
#include <stdint.h>

struct reader;
struct opt;

/* Reads v into dst. Returns -1 after reporting; dst then keeps what it had. */
typedef int opt_read(struct reader *r, const struct opt *o, const struct node *v, void *dst);

struct opt_type {
    const char *schema; /* JSON Schema of a value; NULL: from choices or min and max */
    opt_read *read;
};

struct opt {
    const char *name;
    const struct opt_type *type;
    size_t offset;       /* of the value in the table's struct */
    const char *dflt;    /* as a user would write it; NULL: none, or not a constant */
    int64_t min, max;    /* INT: as is; DUR: milliseconds */
    const char *choices; /* "a|b|c" */
    const char *refuse;  /* the key is known but cannot be written: why, and what to do */
    bool required;
    const char *help;
};

#define NOT_YET "not yet available"

struct opt_table {
    const char *what; /* "certificates": begins a message about the mapping as a whole */
    const struct opt *opts;
    size_t n;
    const struct opt_table *more; /* looked at after opts; same struct */
    bool x_keys;                  /* x-anything is ignored */
    bool open;                    /* keys that are not here are the caller's */
};

/* Reads a mapping into dst, every error reported. ret_seen (may be NULL): bit i is set when key i
 * of opts, then of more's, was given. -1 when anything was wrong. */
int table_read(struct reader *r, const struct opt_table *t, const struct node *map, void *dst,
               uint64_t *ret_seen);
void table_defaults(struct reader *r, const struct opt_table *t, void *dst);
const struct opt *table_find(const struct opt_table *t, const char *name, size_t *ret_index);

/* "; did you mean X?" or "", in the reader's arena. */
const char *suggest(struct reader *r, const char *word, const char *const *candidates, size_t n);
const char *suggest_key(struct reader *r, const struct opt_table *t, const char *word);
/* Place of text among "a|b|c", or -1. */
int choice_find(const char *choices, const char *text);
const char *choice_name(const char *choices, int i, char *buf, size_t size);
/* "a, b or c", in the reader's arena; with the nearest suggested when word is not NULL. */
const char *choice_hint(struct reader *r, const char *choices, const char *word);

#endif
