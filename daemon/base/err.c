/* SPDX-License-Identifier: ISC */
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const class_names[ERR_CLASSES] = {
    [ERR_NONE] = "none",
    [ERR_TRANSIENT] = "transient",
    [ERR_RATE_LIMITED] = "rate-limited",
    [ERR_DENIED] = "denied",
    [ERR_CONFIG] = "config",
    [ERR_BLOCKED] = "blocked",
    [ERR_PEER] = "peer",
    [ERR_LOCAL] = "local",
    [ERR_BUG] = "bug",
    [ERR_CANCELLED] = "cancelled",
};

void err_keep(struct err **kept, const struct err *e)
{
    struct err *copy = err_is(e) ? xmemdup(e, sizeof(*e)) : NULL;
    free(*kept);
    *kept = copy;
}

unsigned err_gravity(const struct err *e)
{
    static const enum err_class order[] = {ERR_BLOCKED, ERR_CONFIG,       ERR_DENIED,   ERR_LOCAL,
                                           ERR_PEER,    ERR_RATE_LIMITED, ERR_TRANSIENT};
    for (unsigned i = 0; i < sizeof(order) / sizeof(order[0]); i++)
        if (e->cls == order[i])
            return i + 1;
    return sizeof(order) / sizeof(order[0]) + 1;
}

const char *err_class_name(enum err_class cls)
{
    return (unsigned)cls < ERR_CLASSES ? class_names[cls] : "unknown";
}

/* One line, and no half of a UTF-8 sequence where it was cut. */
static void make_line(char *s)
{
    size_t n = 0;
    for (; s[n]; n++) {
        if ((unsigned char)s[n] < 0x20 || s[n] == 0x7f)
            s[n] = ' ';
    }
    size_t back = 0;
    while (back < 3 && back < n && ((unsigned char)s[n - 1 - back] & 0xc0) == 0x80)
        back++;
    if (back == n)
        return;
    unsigned char lead = (unsigned char)s[n - 1 - back];
    size_t want = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;
    if (want > back)
        s[n - 1 - back] = '\0';
}

__attribute__((format(printf, 4, 0))) static int set(struct err *e, enum err_class cls, int sys,
                                                     const char *fmt, va_list ap)
{
    if (!e)
        return -1;
    char detail[sizeof(e->detail)]; /* the arguments may point into *e */
    vsnprintf(detail, sizeof(detail), fmt, ap);
    if (sys) {
        size_t n = strlen(detail);
        char text[128];
        snprintf(detail + n, sizeof(detail) - n, ": %s", strerror_r(sys, text, sizeof(text)));
    }
    make_line(detail);
    e->cls = cls;
    e->sys = sys;
    e->http = 0;
    e->retry_at = 0;
    e->type[0] = '\0';
    memcpy(e->detail, detail, sizeof(detail));
    return -1;
}

int err_set(struct err *e, enum err_class cls, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    set(e, cls, 0, fmt, ap);
    va_end(ap);
    return -1;
}

int err_sys(struct err *e, int sys, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    set(e, ERR_LOCAL, sys, fmt, ap);
    va_end(ap);
    return -1;
}

int err_prefix(struct err *e, const char *fmt, ...)
{
    if (!e)
        return -1;
    char text[sizeof(e->detail)];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    size_t n = strlen(text);
    str_copy(text + n, sizeof(text) - n, ": ");
    n = strlen(text);
    str_copy(text + n, sizeof(text) - n, e->detail);
    make_line(text);
    memcpy(e->detail, text, sizeof(text));
    return -1;
}

int err_activity(struct err *e, const char *fmt, ...)
{
    if (!e || e->activity[0])
        return -1;
    char text[sizeof(e->activity)];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    make_line(text);
    memcpy(e->activity, text, sizeof(text));
    return -1;
}

void err_clear(struct err *e)
{
    if (e)
        *e = (struct err)ERR_INIT;
}

const char *err_text(const struct err *e, char *buf, unsigned size)
{
    snprintf(buf, size, "%s%s%s", e->activity, e->activity[0] ? ": " : "", e->detail);
    return buf;
}
