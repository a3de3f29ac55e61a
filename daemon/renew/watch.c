/* SPDX-License-Identifier: ISC */
#include "base/mem.h"
#include "renew/state.h"

#include <stdlib.h>

struct renew_watch {
    struct list node;
    struct renew *renew;
    void (*fn)(void *arg, const struct renew_event *);
    void *arg;
};

struct renew_watch *renew_watch_start(struct renew *r,
                                      void (*fn)(void *arg, const struct renew_event *), void *arg)
{
    struct renew_watch *w = xnew(struct renew_watch);
    w->renew = r;
    w->fn = fn;
    w->arg = arg;
    list_append(&r->watches, &w->node);
    return w;
}

static void forget(struct renew_watch *w)
{
    list_remove(&w->node);
    free(w);
}

/* While they are told it only falls silent. */
void renew_watch_stop(struct renew_watch *w)
{
    if (!w)
        return;
    w->fn = NULL;
    if (!w->renew->telling)
        forget(w);
}

void renew_watches_drop(struct renew *r)
{
    list_each(it, &r->watches) forget(list_item(it, struct renew_watch, node));
}

static void tell(struct renew *r, const struct renew_event *ev)
{
    r->telling++;
    list_each(it, &r->watches)
    {
        struct renew_watch *w = list_item(it, struct renew_watch, node);
        if (w->fn)
            w->fn(w->arg, ev);
    }
    if (--r->telling)
        return;
    list_each(it, &r->watches)
    {
        struct renew_watch *w = list_item(it, struct renew_watch, node);
        if (!w->fn)
            forget(w);
    }
}

void renew_tell_event(struct renew *r, const struct renew_event *ev)
{
    tell(r, ev);
}

void renew_tell(struct cert *c, const char *text)
{
    const struct renew_event ev = {
        .name = c->conf->name,
        .text = text,
        .at_ms = renew_now(c->renew),
    };
    tell(c->renew, &ev);
}

void renew_tell_finished(struct cert *c, const char *text, const struct err *err)
{
    const struct renew_event ev = {
        .name = c->conf->name,
        .text = text,
        .at_ms = renew_now(c->renew),
        .finished = true,
        .err = err,
    };
    tell(c->renew, &ev);
}
