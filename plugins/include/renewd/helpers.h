/* SPDX-License-Identifier: ISC */
/* Conveniences for plugins written in C or C++: compiled into the plugin, no part of the border. */
#ifndef RENEWD_HELPERS_H
#define RENEWD_HELPERS_H

#include "renewd/plugin.h"

#include <stdarg.h>
#include <stdio.h>

#if defined(__GNUC__) || defined(__clang__)
#define RENEWD_PRINTF(f, a) __attribute__((format(printf, f, a), unused))
#else
#define RENEWD_PRINTF(f, a)
#endif

/* printf into memory that the host frees when the callback returns. */
static char *renewd_textf(struct renewd_ctx *ctx, const char *fmt, ...) RENEWD_PRINTF(2, 3);
static char *renewd_textf(struct renewd_ctx *ctx, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        n = 0;
    char *text = (char *)ctx->host->alloc(ctx, (uint64_t)n + 1);
    va_start(ap, fmt);
    vsnprintf(text, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return text;
}

/* error() with a format; returns cls. */
static int32_t renewd_fail(struct renewd_ctx *ctx, int32_t cls, const char *fmt, ...)
    RENEWD_PRINTF(3, 4);
static int32_t renewd_fail(struct renewd_ctx *ctx, int32_t cls, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return ctx->host->error(ctx, cls, text);
}

static void renewd_logf(struct renewd_ctx *ctx, int32_t level, const char *fmt, ...)
    RENEWD_PRINTF(3, 4);
static void renewd_logf(struct renewd_ctx *ctx, int32_t level, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    ctx->host->log(ctx, level, text);
}

#endif
