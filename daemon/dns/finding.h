/* SPDX-License-Identifier: ISC */
/* What a preflight found out: about one name, or about the daemon ("" as name). */
#ifndef RENEWD_DNS_FINDING_H
#define RENEWD_DNS_FINDING_H

#include "base/name.h"

#include <stddef.h>

enum finding_level {
    FINDING_OK,
    FINDING_WARN, /* not certain, or not yet a harm: an order goes on */
    FINDING_FAIL, /* certain: an order would be spent for nothing */
};

struct finding {
    enum finding_level level;
    const char *check; /* "caa", "dnssec", "delegation", "alias", "provider", "store", "clock",
                          "account", ...; static */
    char *name;        /* of the certificate, or "" */
    char *text;        /* for people: what is so, and what to do */
};

struct findings { /* zeroed is valid */
    struct finding *v;
    size_t n;
};
void findings_done(struct findings *f);
void findings_add(struct findings *f, enum finding_level level, const char *check, const char *name,
                  const char *fmt, ...) __attribute__((format(printf, 5, 6)));
void findings_take(struct findings *to, struct findings *from); /* from is empty then */
const struct finding *findings_worst(const struct findings *f); /* the first of them; NULL: none */
enum finding_level findings_level(const struct findings *f);
/* Appends {check, level, name, text} to an array. */
struct json;
void finding_json(const struct finding *f, struct json *list);
const char *finding_level_name(enum finding_level l); /* "ok", "warning", "failure" */

#endif
