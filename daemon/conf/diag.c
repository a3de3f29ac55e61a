/* SPDX-License-Identifier: ISC */
#include "conf/diag.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 700

static void add(struct diag *d, struct conf_where at, bool warning, const char *fmt, va_list ap)
{
    struct buf text, clean;

    if (d->n == d->cap) {
        d->cap = d->cap ? d->cap * 2 : 16;
        d->v = xrealloc_array(d->v, d->cap, sizeof *d->v);
    }
    buf_init(&text, 1 << 20);
    buf_init(&clean, TEXT_MAX + 8);
    buf_vputf(&text, fmt, ap);
    for (size_t i = 0; i < text.len; i++) /* an inventory's control characters stay off terminals */
        if ((unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7f)
            text.data[i] = '?';
    if (text.len > TEXT_MAX) {
        buf_put(&clean, text.data, TEXT_MAX);
        buf_puts(&clean, "...");
    } else {
        buf_put(&clean, buf_str(&text), text.len);
    }
    d->v[d->n++] = (struct conf_message){
        .file = xstrdup(at.file ? at.file : ""),
        .line = at.line,
        .column = at.column,
        .warning = warning,
        .text = buf_steal(&clean),
    };
    buf_free(&text);
    buf_free(&clean);
}

int diag_error(struct diag *d, struct conf_where at, const char *fmt, ...)
{
    va_list ap;

    if (d->errors++ < DIAG_MAX_ERRORS) {
        va_start(ap, fmt);
        add(d, at, false, fmt, ap);
        va_end(ap);
    }
    return -1;
}

void diag_warn(struct diag *d, struct conf_where at, const char *fmt, ...)
{
    va_list ap;

    if (d->warnings++ < DIAG_MAX_WARNINGS) {
        va_start(ap, fmt);
        add(d, at, true, fmt, ap);
        va_end(ap);
    }
}

void diag_demote(struct diag *d, size_t from)
{
    for (size_t i = from; i < d->n; i++)
        if (!d->v[i].warning) {
            d->v[i].warning = true;
            d->warnings++;
        }
    d->errors = 0;
    for (size_t i = 0; i < from; i++)
        d->errors += !d->v[i].warning;
}

void diag_finish(struct diag *d, struct conf_messages *ret)
{
    struct conf_where at = {.file = d->n ? d->v[0].file : ""};
    char text[100];

    if (d->errors > DIAG_MAX_ERRORS) {
        size_t more = d->errors - DIAG_MAX_ERRORS;

        snprintf(text, sizeof text, "%zu more error%s not shown", more, more == 1 ? "" : "s");
        d->errors = 0;
        diag_error(d, at, "%s", text);
    }
    ret->v = d->v;
    ret->n = d->n;
    *d = (struct diag){0};
}

void diag_free(struct diag *d)
{
    struct conf_messages m = {.v = d->v, .n = d->n};

    conf_messages_free(&m);
    *d = (struct diag){0};
}

void conf_messages_free(struct conf_messages *m)
{
    for (size_t i = 0; i < m->n; i++) {
        free(m->v[i].file);
        free(m->v[i].text);
    }
    free(m->v);
    m->v = NULL;
    m->n = 0;
}
