/* SPDX-License-Identifier: ISC */
/*
 * The error value. Fixed size, copied by value, never allocates.
 *
 * A function that can fail takes `struct err *` last, returns 0 or -1 and fills it on -1 only. The
 * class decides what is retried and when; the user sees activity, detail and the next try.
 */
#ifndef RENEWD_BASE_ERR_H
#define RENEWD_BASE_ERR_H

#include <stdbool.h>
#include <stdint.h>

enum err_class {
    ERR_NONE = 0,
    ERR_TRANSIENT,    /* network, 5xx, time-out: retry with back-off */
    ERR_RATE_LIMITED, /* 429 and its kin: not before retry_at */
    ERR_DENIED,       /* the peer refuses us: looked at daily until the configuration changes */
    ERR_CONFIG,       /* the configuration is wrong: likewise */
    ERR_BLOCKED,      /* only the user can mend it outside of the configuration (a missing CNAME) */
    ERR_PEER,         /* the peer speaks nonsense */
    ERR_LOCAL,        /* disk, memory, permissions, child processes */
    ERR_BUG,          /* "cannot happen" */
    ERR_CANCELLED,    /* the owner gave up; never shown */
    ERR_CLASSES
};

struct err {
    enum err_class cls;
    int sys;            /* errno or 0 */
    int http;           /* HTTP status or 0 */
    int64_t retry_at;   /* wall clock, ms; 0: not said */
    char type[64];      /* ACME problem type without its URN prefix, or a name of our own; "" */
    char activity[160]; /* "polling the authorization of www.example.org" */
    char detail[512];   /* what went wrong and what to do; escaped, cut */
};

#define ERR_INIT                                                                                   \
    {                                                                                              \
        .cls = ERR_NONE                                                                            \
    }

/* Completions tell success by NULL or by class ERR_NONE: this is the question to ask. */
static inline bool err_is(const struct err *e)
{
    return e && e->cls != ERR_NONE;
}

/* Fill *e (if not NULL) and return -1. Overwrites what was there but keeps e->activity. */
int err_set(struct err *e, enum err_class cls, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* As err_set with class ERR_LOCAL, errno value `sys` kept, ": strerror" appended. */
int err_sys(struct err *e, int sys, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Put "prefix: " before the detail. Returns -1. */
int err_prefix(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Say what was being done; kept if already set. Returns -1. */
int err_activity(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void err_clear(struct err *e);
/* For what lives long and seldom fails: *kept becomes a copy of e, for the owner to free, or NULL
 * where there is none (e NULL or of class ERR_NONE). What it was is freed. */
void err_keep(struct err **kept, const struct err *e);

/* Which of several errors decides: the one that no retry will mend has the lowest. */
unsigned err_gravity(const struct err *e);
const char *err_class_name(enum err_class cls); /* "transient", "rate-limited", ...; never NULL */
/* "ACTIVITY: DETAIL" into buf, always terminated; returns buf. */
const char *err_text(const struct err *e, char *buf, unsigned size);

#endif
