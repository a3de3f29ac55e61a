/* SPDX-License-Identifier: ISC */
/*
 * The value of a CAA record's issue and issuewild (RFC 8659 section 4.2), which dns-persist-01's
 * TXT records use as well:
 *
 *     [issuer-domain-name] *(";" tag "=" value)
 */
#ifndef RENEWD_BASE_ISSUE_VALUE_H
#define RENEWD_BASE_ISSUE_VALUE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

#define ISSUE_VALUE_MAX 4096 /* octets of a text that is read */
#define ISSUE_PARAMETERS_MAX 32

enum issue_strictness {
    /* A semicolon may be the last. */
    ISSUE_CAA,
    /* It may not, and there must be an issuer. */
    ISSUE_PERSIST,
};

struct issue_value {
    const char *issuer; /* lower case; "": nobody may issue */
    struct issue_parameter {
        const char *tag; /* lower case; each once */
        const char *value;
    } parameters[ISSUE_PARAMETERS_MAX];
    size_t n;
    char *text; /* holds all of these */
};

/* A text of a peer; may hold NULs, which are malformed. ERR_PEER says what is wrong. */
int issue_value_parse(struct issue_value *v, const char *text, size_t n,
                      enum issue_strictness strictness, struct err *e);
void issue_value_done(struct issue_value *v); /* also of a zeroed one */
/* NULL if absent; tag in lower case. */
const char *issue_value_get(const struct issue_value *v, const char *tag);

#endif
