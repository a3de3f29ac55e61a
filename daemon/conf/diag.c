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
    __attribute__((format(printf, 4, 0)));

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

/* Files in the order in which they were first spoken of; within a file from top to bottom. */
struct rank {
    size_t file, at;
    struct conf_message m;
};

static int by_place(const void *a, const void *b)
{
    const struct rank *x = a, *y = b;

    if (x->file != y->file)
        return x->file < y->file ? -1 : 1;
    if (x->m.line != y->m.line)
        return x->m.line < y->m.line ? -1 : 1;
    if (x->m.column != y->m.column)
        return x->m.column < y->m.column ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

static void sort(struct diag *d)
{
    struct rank *ranks = xcalloc(d->n + 1, sizeof *ranks);

    for (size_t i = 0; i < d->n; i++) {
        ranks[i] = (struct rank){.file = i, .at = i, .m = d->v[i]};
        for (size_t k = 0; k < i; k++)
            if (str_eq(d->v[k].file, d->v[i].file)) {
                ranks[i].file = ranks[k].file;
                break;
            }
    }
    qsort(ranks, d->n, sizeof *ranks, by_place);
    for (size_t i = 0; i < d->n; i++)
        d->v[i] = ranks[i].m;
    free(ranks);
}

void diag_finish(struct diag *d, struct conf_messages *ret)
{
    size_t more = d->errors > DIAG_MAX_ERRORS ? d->errors - DIAG_MAX_ERRORS : 0;

    sort(d);
    if (more) {
        struct conf_where at = {.file = d->v[0].file, .line = 1, .column = 1};

        d->errors = 0;
        diag_error(d, at, "%zu more error%s not shown", more, more == 1 ? " is" : "s are");
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
