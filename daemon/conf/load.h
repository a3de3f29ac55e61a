/* SPDX-License-Identifier: ISC */
/* YAML to a snapshot. The only users are the keeper and `renewd -t`. */
#ifndef RENEWD_CONF_LOAD_H
#define RENEWD_CONF_LOAD_H

#include "conf/conf.h"

/* One message of the reader: "FILE:LINE:COLUMN: text" is how it is printed. */
struct conf_message {
    char *file;
    unsigned line, column;
    bool warning;
    char *text;
};
struct conf_messages {
    struct conf_message *v;
    size_t n;
};
void conf_messages_free(struct conf_messages *m);

/*
 * A plugin's options, asked for while a provider entry is read (the keeper asks a throw-away
 * worker). Returns NULL and *e when the plugin cannot be described; the result stays valid as long
 * as the caller of conf_load keeps it.
 */
struct conf_plugin_option {
    const char *name;
    enum {
        CONF_OPT_TEXT,
        CONF_OPT_SECRET,
        CONF_OPT_INT,
        CONF_OPT_BOOL,
        CONF_OPT_DURATION,
        CONF_OPT_URL,
        CONF_OPT_HOST,
        CONF_OPT_ENUM
    } type;
    bool required;
    const char *dflt;    /* "" = none */
    const char *choices; /* ENUM: separated by "|" */
    const char *help;
};
struct conf_plugin_info {
    const struct conf_plugin_option *options;
    size_t n_options;
    bool needs_exec;
    uint32_t propagation_s; /* typical; 0 = not said */
};
struct conf_plugins {
    const struct conf_plugin_info *(*describe)(void *ctx, const char *path, struct err *e);
    void *ctx;
    const char *dir;         /* where NAME becomes dir/NAME.so */
    const char *resolv_conf; /* NULL: /etc/resolv.conf */
    /* NULL: not looked at. Of cert, names, csr and csr_pem are set. -1 and *e: csr_pem is no
     * request, or its names are not cert's. Else whether it asks for must-staple. */
    int (*check_csr)(void *ctx, const struct conf_cert *cert, bool *ret_staple, struct err *e);
};

/* Everything is reported that can be, errors first seen first; NULL when there was an error.
 * previous (may be NULL) serves `include: {on_error: keep}`. */
struct conf *conf_load(const char *file, const struct conf_plugins *plugins,
                       const struct conf *previous, struct conf_messages *ret);

/*
 * The same of a text in memory, by itself: no other file is opened and no program run. Includes are
 * not followed, secrets and ca_file not fetched, users and plugins' owners not looked up. For
 * fuzzers, tests and editors. `name` is what messages call it.
 */
struct conf *conf_load_text(const char *name, const char *text, size_t n,
                            const struct conf_plugins *plugins, struct conf_messages *ret);

/* YAML of the configuration as understood, secrets masked (renewd -T). The caller frees. */
char *conf_dump(const struct conf *c);
struct json;
struct json *conf_dump_json(const struct conf *c);
/* JSON Schema, generated from the option tables. */
struct json *conf_schema(void);
/* What a reload changes, a line each ("certificates: www.example.org: names changed: reissued
 * now"). */
struct conf_messages conf_diff(const struct conf *from, const struct conf *to);

#endif
