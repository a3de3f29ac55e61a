/* SPDX-License-Identifier: ISC */
/*
 * Log lines to stderr: "<level> scope: text" with a syslog priority prefix "<N>" when stderr is the
 * journal (JOURNAL_STREAM), with a time stamp when it is neither the journal nor said otherwise.
 * Only renew/, keeper/, control/ and the programs' main files log above debug; lower layers return
 * struct err. Text of peers must have gone through str_escape; the whole line is made printable and
 * cut at 1,000 bytes all the same. There is no conversion for secrets.
 */
#ifndef RENEWD_BASE_LOG_H
#define RENEWD_BASE_LOG_H

#include "base/clock.h"

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR = 0, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

struct log {
    enum log_level level;
    int fd;                    /* 2; -1 is silent */
    bool journal;              /* "<6>" prefixes, no time */
    const struct clock *clock; /* for time stamps */
    const char *program;       /* "renewd", "engine": static text */
};

/* What a line is about; lives in the object that logs. Any member may be NULL. */
struct log_ctx {
    const struct log *log;
    const char *scope; /* certificate's or provider's name */
};

void log_init(struct log *l, const char *program);
bool log_level_parse(const char *text, enum log_level *ret);
void log_write(const struct log_ctx *c, enum log_level level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#define log_error(c, ...) log_write((c), LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(c, ...) log_write((c), LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(c, ...) log_write((c), LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(c, ...)                                                                          \
    do {                                                                                           \
        if ((c)->log && (c)->log->level >= LOG_LEVEL_DEBUG)                                        \
            log_write((c), LOG_LEVEL_DEBUG, __VA_ARGS__);                                          \
    } while (0)

#endif
