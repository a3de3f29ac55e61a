/* SPDX-License-Identifier: ISC */
/* Types of single values, for the option tables. Each says what it stores. */
#ifndef RENEWD_CONF_VALUE_H
#define RENEWD_CONF_VALUE_H

#include "conf/reader.h"

extern const struct opt_type type_text;     /* char *: not empty */
extern const struct opt_type type_id;       /* char *: [A-Za-z0-9._-]+ */
extern const struct opt_type type_user;     /* char * */
extern const struct opt_type type_email;    /* char * */
extern const struct opt_type type_https;    /* char *: https URL */
extern const struct opt_type type_path;     /* char *: made absolute */
extern const struct opt_type type_bool;     /* bool */
extern const struct opt_type type_u32;      /* uint32_t in [min, max] */
extern const struct opt_type type_i64;      /* int64_t in [min, max] */
extern const struct opt_type type_duration; /* int64_t: ms in [min, max] */
extern const struct opt_type type_seconds;  /* uint32_t: DUR in [min, max] ms, as seconds */
extern const struct opt_type type_mode;     /* mode_t: quoted octal */
extern const struct opt_type type_choice;   /* unsigned: place in choices */
extern const struct opt_type type_argv;     /* struct conf_strs: at least the program */
extern const struct opt_type type_node;     /* const struct node *: read by a later pass */
extern const struct opt_type type_never;    /* keys that are refused */

opt_read node_keep; /* type_node's reader: stores the node for a later pass */

/* For readers of their own. */
const char *value_text(struct reader *r, const char *key,
                       const struct node *v);                            /* NULL: reported */
int value_list(struct reader *r, const char *key, const struct node *v); /* -1: no list */
int value_argv(struct reader *r, const char *key, const struct node *v, struct conf_strs *ret);
int value_duration(struct reader *r, const char *key, const struct node *v, int64_t min,
                   int64_t max, int64_t *ret_ms);
int value_bool(struct reader *r, const char *key, const struct node *v, bool *ret);
char *value_path(struct reader *r, const struct node *v, const char *text); /* absolute */
/* A text, or a list of texts; a single one counts as a list of one. Items in ret[0..n-1] of v. */
const struct node *const *value_items(const struct node *v, const struct node **one, size_t *ret_n);
/* ADDR or ADDR:PORT in its normal form ("1.2.3.4:53", "[::1]"), or NULL. */
char *address_normal(struct arena *a, const char *text);
/* HOST:PORT; false when it is none. */
bool host_port_ok(const char *text, bool port_needed);
const char *duration_text(int64_t ms, char *buf, size_t size); /* "90s", "2w" */

#endif
