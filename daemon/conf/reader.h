/* SPDX-License-Identifier: ISC */
/*
 * What one conf_load() works with. Reading goes in passes over the files (main first, then the
 * included ones in order), so that a file may name what a later one defines:
 *
 *   1. include.c: every file becomes a tree, its top level is read
 *   2. cas.c, providers.c, steps.c: definitions
 *   3. certs.c: defaults and certificates
 *   4. cas.c: accounts' defaults; load.c: users, resolvers
 */
#ifndef RENEWD_CONF_READER_H
#define RENEWD_CONF_READER_H

#include "base/buf.h"
#include "base/map.h"
#include "conf/arena.h"
#include "conf/conf.h"
#include "conf/diag.h"
#include "conf/load.h"
#include "conf/table.h"
#include "conf/tree.h"

/* A growing array; its items end up in the snapshot's arena. */
struct vec {
    char *v;
    size_t n, cap, size;
};
void *vec_add(struct vec *v); /* a zeroed item; earlier pointers die */
void *vec_at(const struct vec *v, size_t i);
void vec_free(struct vec *v);

struct source {              /* a file */
    const char *file;        /* as shown */
    bool private;            /* only its owner can read it */
    bool keep;               /* include: {on_error: keep} */
    bool bad;                /* has errors; left out, or replaced by its last good version */
    const struct node *root; /* NULL: an empty file, or a bad one */
    /* its top level */
    const struct node *include, *defaults, *cas, *dns, *providers, *deployments, *certificates;
    int64_t version;
    char *state_dir, *control_socket, *control_group, *user, *worker_user; /* the main file only */
    unsigned log_level;
    uint32_t archive_keep;
    char *email; /* defaults.email; NULL: not written */
    bool agree_tos, agree_set;
};

struct ca_build { /* a CA whose account's defaults are still open */
    struct conf_ca ca;
    const struct preset *preset; /* cas.c; NULL: none */
    bool email_set, agree_set, account_key_set;
    unsigned limits_set; /* bit i: limit i of cas.c was written */
    const struct source *src;
};

struct reader {
    struct arena *arena; /* the snapshot's */
    struct arena *trees; /* nodes; gone when conf_load returns */
    struct diag diag;
    struct conf *conf;
    const struct conf_plugins *plugins;
    const struct conf *previous;
    const struct buf *text; /* conf_load_text: nothing else is read */

    struct source **sources; /* [0] is the main file */
    size_t n_sources;
    struct source *src; /* the file that is being read */

    struct vec cas;                                           /* struct ca_build */
    struct vec zones;                                         /* struct conf_dns_zone */
    struct vec providers;                                     /* struct conf_provider */
    struct vec deployments;                                   /* struct conf_deployment */
    struct vec certs;                                         /* struct conf_cert */
    struct map *ca_names, *provider_names, *deployment_names; /* value: the place + 1 */
    struct map *cert_names;       /* value: the struct conf_where of the first */
    struct map *listeners;        /* by ADDR:PORT; value: enum conf_challenge of what it answers */
    struct map *users;            /* names that were looked up: "u:NAME", "g:NAME" */
    const void *main_defaults;    /* certs.c: what certificates start with */
    struct conf_strs default_cas; /* certs.c */
    bool no_provider_said;        /* that there is none, or why there is none */
};

#define READ_ERROR(r, node, ...) diag_error(&(r)->diag, node_where(node), __VA_ARGS__)
#define READ_WARN(r, node, ...) diag_warn(&(r)->diag, node_where(node), __VA_ARGS__)

/* A map from text to a place in a vec. */
void place_put(struct map *m, const char *name, size_t at);
bool place_get(const struct map *m, const char *name, size_t *ret_at);
/* "; did you mean X?" among the names of a map. */
const char *suggest_in(struct reader *r, const struct map *m, const char *word);
/* A key of a mapping of things: [A-Za-z0-9._-]+, not "." or "..". */
int name_check(struct reader *r, const char *what, const struct node *key);

/* ---- the passes; each reports what is wrong ---- */
char *path_absolute(struct reader *r, const char *path); /* in the snapshot's arena */
int include_read(struct reader *r, const char *file); /* all files; -1: the main file has no tree */
int tops_read(struct reader *r, struct source *src, const struct node *root);
void cas_read(struct reader *r, const struct source *src);
void cas_finish(struct reader *r);
int ca_use(struct reader *r, const char *name); /* a preset is added when first used; -1: unknown */
/* Of an entry that was kept: what differs from its preset is taken as written. */
void ca_was_written(struct ca_build *b);
/* The CA as far as it is known, if it is a public one at the address that renewd knows; else NULL.
 * It lives until the next ca_use. */
const struct conf_ca *ca_public(const struct reader *r, const char *name);
/* An account there can be made: -1 after saying what is missing. */
int ca_check_binding(struct reader *r, const struct node *v, const char *name);
const char *ca_suggest(struct reader *r, const char *word);
void dns_read(struct reader *r, const struct node *v);
void dns_finish(struct reader *r);
int resolv_read(const char *path, struct arena *a, struct conf_strs *ret, struct err *e);
void providers_read(struct reader *r, const struct node *v);
void deployments_read(struct reader *r, const struct node *v);
int steps_read(struct reader *r, const struct node **items, size_t n, struct conf_deployment *ret);
void certs_read(struct reader *r, struct source *src);
void keep_definitions(struct reader *r, const struct source *src); /* of a bad file */
void keep_certs(struct reader *r, const struct source *src);

/* users.c: -1 when there is no such user or group. Numbers always pass. */
int user_find(struct reader *r, const char *name);
int group_find(struct reader *r, const char *name);
void users_finish(struct reader *r);

bool content_has_key(enum conf_content content);

/* secrets.c: SECRET in any of its forms. The snapshot owns its value. */
extern const struct opt_type type_secret; /* struct conf_secret */
int secret_read(struct reader *r, const char *key, const struct node *v, struct conf_secret *ret);

extern const struct opt_table top_table, ca_table, dns_table, zone_table, provider_table, eab_table,
    limits_table, http01_table, tlsalpn01_table, persist_table, cert_table, cert_name_table,
    defaults_table, run_table, reload_table, file_table, verify_table, verify_to_table;

#endif
