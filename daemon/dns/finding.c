/* SPDX-License-Identifier: ISC */
#include "dns/finding.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdlib.h>

#define TEXT_MAX 2048u
#define FINDINGS_MAX 4096u /* eight for each of some hundred names at most */

static void finding_done(struct finding *f)
{
    free(f->name);
    free(f->text);
}

void findings_done(struct findings *f)
{
    for (size_t i = 0; i < f->n; i++)
        finding_done(&f->v[i]);
    free(f->v);
    *f = (struct findings){NULL, 0};
}

static struct finding *add_slot(struct findings *f)
{
    f->v = xrealloc_array(f->v, f->n + 1, sizeof(*f->v));
    return &f->v[f->n++];
}

void findings_add(struct findings *f, enum finding_level level, const char *check, const char *name,
                  const char *fmt, ...)
{
    struct buf text;
    va_list ap;
    if (f->n >= FINDINGS_MAX)
        return;
    buf_init(&text, TEXT_MAX);
    va_start(ap, fmt);
    buf_vputf(&text, fmt, ap);
    va_end(ap);
    *add_slot(f) = (struct finding){level, check, xstrdup(name), buf_steal(&text)};
}

void findings_take(struct findings *to, struct findings *from)
{
    for (size_t i = 0; i < from->n; i++) {
        if (to->n < FINDINGS_MAX)
            *add_slot(to) = from->v[i];
        else
            finding_done(&from->v[i]);
    }
    free(from->v);
    *from = (struct findings){NULL, 0};
}

const struct finding *findings_worst(const struct findings *f)
{
    const struct finding *worst = NULL;
    for (size_t i = 0; i < f->n; i++)
        if (!worst || f->v[i].level > worst->level)
            worst = &f->v[i];
    return worst;
}

enum finding_level findings_level(const struct findings *f)
{
    const struct finding *worst = findings_worst(f);
    return worst ? worst->level : FINDING_OK;
}

const char *finding_level_name(enum finding_level l)
{
    static const char *const names[] = {"ok", "warning", "failure"};
    return names[l];
}

void finding_json(const struct finding *f, struct json *list)
{
    struct json *j = json_add_object(list, NULL);
    json_add_text(j, "check", f->check);
    json_add_text(j, "level", finding_level_name(f->level));
    json_add_text(j, "name", f->name[0] ? f->name : NULL);
    json_add_text(j, "text", f->text);
}
