/* SPDX-License-Identifier: ISC */
/* What conf/conf.h is made of. */
#ifndef RENEWD_CONF_BASIC_H
#define RENEWD_CONF_BASIC_H

#include "base/secret.h"

#include <stddef.h>
#include <stdint.h>

struct conf_strs {
    char **v;
    size_t n;
};

struct conf_where {
    const char *file; /* owned by the snapshot */
    unsigned line, column;
};

/* SECRET: where it comes from; resolved text only in the keeper. */
struct conf_secret {
    enum {
        CONF_SECRET_NONE,
        CONF_SECRET_TEXT,
        CONF_SECRET_FILE,
        CONF_SECRET_ENV,
        CONF_SECRET_CREDENTIAL,
        CONF_SECRET_COMMAND
    } kind;
    char *source;          /* path, variable or credential name; masked text for TEXT */
    struct conf_strs argv; /* COMMAND */
    struct secret *value;  /* NULL in the engine's copy */
};

/* Published or granted: at most n in any per_ms, refilled evenly. n 0: no limit is known. */
struct conf_limit {
    uint32_t n;
    int64_t per_ms;
};

#endif
