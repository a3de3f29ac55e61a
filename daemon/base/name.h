/* SPDX-License-Identifier: ISC */
/* DNS names as text: absolute, lower case, A-labels, no dot at the end (RFC 1035, 1123, 5890). */
#ifndef RENEWD_BASE_NAME_H
#define RENEWD_BASE_NAME_H

#include <stdbool.h>
#include <stddef.h>

#define NAME_MAX_TEXT 254 /* 253 characters and a NUL */

enum name_problem {
    NAME_OK = 0,
    NAME_EMPTY,
    NAME_TOO_LONG,     /* over 253 */
    NAME_LABEL_LENGTH, /* empty label, or over 63 */
    NAME_CHARACTER,    /* not a letter, digit, hyphen (underscore only where allowed) */
    NAME_HYPHEN,       /* label begins or ends with one */
    NAME_WILDCARD,     /* "*" other than as the whole first label, or wildcard of nothing */
    NAME_IP,           /* an IPv4 or IPv6 address */
    NAME_NOT_ASCII,    /* U-label */
};

/* Host name of a certificate: lower-cases and drops one final dot into out. "*." allowed. */
enum name_problem name_host(const char *text, char out[NAME_MAX_TEXT]);
/* Any owner name: underscores allowed, no wildcard. */
enum name_problem name_owner(const char *text, char out[NAME_MAX_TEXT]);
const char *name_problem_text(enum name_problem p); /* "an IP address", "a label over 63 octets" */
bool name_is_wildcard(const char *name);
/* name is suffix or lies below it. Both normalised; "" is the root, above everything. */
bool name_under(const char *name, const char *suffix);
const char *name_parent(const char *name); /* after the first dot, or "" */
unsigned name_labels(const char *name);

#endif
