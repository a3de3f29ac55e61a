/* SPDX-License-Identifier: ISC */
#include "acme/orders.h"

#include "acme/ca.h"
#include "acme/request.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

#define BODY_MAX (256u << 10)

static void go_on(struct orders *o);

void orders_init(struct orders *o, struct ca *ca)
{
    o->ca = ca;
    list_init(&o->lookers);
}

static void forget(struct orders *o)
{
    request_cancel(o->request);
    o->request = NULL;
    for (unsigned i = 0; i < o->n_pages; i++)
        free(o->pages[i]);
    for (size_t i = 0; i < o->n_urls; i++)
        free(o->urls[i]);
    for (size_t i = 0; i < o->n_seen; i++) {
        free(o->seen[i].url);
        free(o->seen[i].profile);
        free(o->seen[i].names);
    }
    free(o->urls);
    free(o->seen);
    o->urls = NULL;
    o->seen = NULL;
    o->n_pages = o->reads = 0;
    o->n_urls = o->n_seen = 0;
    o->state = ORDERS_IDLE;
}

void orders_done(struct orders *o)
{
    defer_cancel(&o->kick);
    forget(o);
}

char *orders_names(char *const *names, size_t n)
{
    size_t len = 1;
    char *text, *to;

    for (size_t i = 0; i < n; i++)
        len += strlen(names[i]) + 1;
    to = text = xcalloc(len, 1);
    for (size_t i = 0; i < n; i++) {
        size_t k = strlen(names[i]);
        if (i)
            *to++ = ',';
        memcpy(to, names[i], k);
        to += k;
    }
    return text;
}

/* --- who looks --- */

void orders_look_cancel(struct orders_look *w)
{
    if (!w->waiting)
        return;
    w->waiting = false;
    list_remove(&w->node);
    free(w->names);
    w->names = NULL;
}

static struct orders_seen *match(const struct orders *o, const struct orders_look *w)
{
    for (size_t i = 0; i < o->n_seen; i++) {
        struct orders_seen *s = &o->seen[i];
        bool other = *w->profile && *s->profile && !str_eq(w->profile, s->profile);
        if (!other && str_eq(s->names, w->names))
            return s;
    }
    return NULL;
}

/* The caller frees. */
static char *take(struct orders *o, struct orders_seen *s)
{
    size_t rest = o->n_seen - (size_t)(s - o->seen) - 1;
    char *url = s->url;

    free(s->profile);
    free(s->names);
    memmove(s, s + 1, rest * sizeof(*s));
    o->n_seen--;
    return url;
}

static bool serve_one(struct orders *o)
{
    list_each(it, &o->lookers)
    {
        struct orders_look *w = list_item(it, struct orders_look, node);
        struct orders_seen *s = match(o, w);
        if (!s)
            continue;
        CLEANUP_FREE char *url = take(o, s);
        orders_look_cancel(w);
        w->fn(w->arg, url, NULL);
        return true;
    }
    return false;
}

/* The end for all who look now. */
static void answer_all(struct orders *o, const struct err *err)
{
    struct list all;

    list_init(&all);
    while (!list_empty(&o->lookers)) {
        struct list *node = o->lookers.next;
        list_remove(node);
        list_append(&all, node);
    }
    while (!list_empty(&all)) {
        struct orders_look *w = list_item(all.next, struct orders_look, node);
        orders_look_cancel(w);
        w->fn(w->arg, NULL, err);
    }
}

/* --- the walk --- */

/* The CA refuses to say: then there is nothing to be found. What passes is another matter. */
static bool refused(const struct err *err)
{
    return err->cls == ERR_PEER ||
           (err->http >= 400 && err->http < 500 && err->http != 408 && err->http != 429);
}

static void fail(struct orders *o, const struct err *err)
{
    struct err e = *err;

    forget(o);
    answer_all(o, &e);
}

static void fetch(struct orders *o, enum acme_where where, const char *url, request_done_fn *done)
{
    struct request_spec spec = {.where = where,
                                .what = KEEPER_READ,
                                .url = url,
                                .max_body = BODY_MAX,
                                .doing = "looking for orders at",
                                .about = o->ca->cf->name};

    o->request = request_start(o->ca, &spec, done, o);
}

static void saw(struct orders *o, const char *url, const struct order_doc *d)
{
    if (d->status > ORDER_READY)
        return;
    o->seen = xrealloc_array(o->seen, o->n_seen + 1, sizeof(*o->seen));
    o->seen[o->n_seen++] = (struct orders_seen){.url = xstrdup(url),
                                                .profile = xstrdup(d->profile),
                                                .names = orders_names(d->names, d->n_names)};
}

static void have_order(void *arg, const struct http_reply *reply, const struct err *err)
{
    struct orders *o = arg;
    struct order_doc d;
    struct err ignored = ERR_INIT;
    CLEANUP_FREE char *url = o->urls[--o->n_urls];

    o->request = NULL;
    if (err_is(err) && !refused(err)) {
        fail(o, err);
        return;
    }
    if (!err_is(err) && order_doc_read(&d, reply->body, reply->body_len, &ignored) == 0) {
        saw(o, url, &d);
        order_doc_done(&d);
    }
    go_on(o);
}

static void have_page(void *arg, const struct http_reply *reply, const struct err *err);

static void read_page(struct orders *o, const char *url)
{
    bool known = o->n_pages == ORDERS_PAGES_MAX || o->n_urls >= ORDERS_MAX || !acme_url_ok(url);

    for (unsigned i = 0; i < o->n_pages && !known; i++)
        known = str_eq(o->pages[i], url);
    if (known) {
        o->state = ORDERS_LISTED;
        go_on(o);
        return;
    }
    o->state = ORDERS_LIST;
    o->pages[o->n_pages++] = xstrdup(url);
    fetch(o, ACME_AT_ORDER, url, have_page);
}

static void have_page(void *arg, const struct http_reply *reply, const struct err *err)
{
    struct orders *o = arg;
    struct err ignored = ERR_INIT;
    size_t cursor = 0;
    CLEANUP_FREE char *next = NULL;

    o->request = NULL;
    if (err_is(err) && !refused(err)) {
        fail(o, err);
        return;
    }
    if (!err_is(err) && orders_doc_read(&o->urls, &o->n_urls, ORDERS_MAX, reply->body,
                                        reply->body_len, &ignored) == 0)
        next = http_link(reply, "next", &cursor);
    read_page(o, next);
}

static void have_account(void *arg, const struct http_reply *reply, const struct err *err)
{
    struct orders *o = arg;
    struct err ignored = ERR_INIT;
    CLEANUP_FREE char *url = NULL;

    o->request = NULL;
    if (err_is(err) && !refused(err)) {
        fail(o, err);
        return;
    }
    if (!err_is(err))
        url = account_doc_orders(reply->body, reply->body_len, &ignored);
    read_page(o, url);
}

static void go_on(struct orders *o)
{
    struct ca *ca = ca_ref(o->ca);

    while (serve_one(o))
        ;
    if (o->request || list_empty(&o->lookers)) {
        ; /* goes on by itself, or need not */
    } else if (o->state == ORDERS_IDLE && acme_url_ok(ca->account.url)) {
        o->state = ORDERS_ACCOUNT;
        o->lost_then = o->lost;
        o->account_then = ca->account.changes;
        fetch(o, ACME_AT_ACCOUNT, ca->account.url, have_account);
    } else if (o->n_urls > 0 && o->reads < ORDERS_READS_MAX) {
        o->reads++;
        fetch(o, ACME_AT_ORDER, o->urls[o->n_urls - 1], have_order);
    } else {
        answer_all(o, NULL);
    }
    ca_unref(ca);
}

static void kicked(void *arg)
{
    struct orders *o = arg;

    if (o->lost_then != o->lost || o->account_then != o->ca->account.changes)
        forget(o);
    go_on(o);
}

void orders_find(struct orders *o, struct orders_look *w, char *names, const char *profile,
                 orders_fn *fn, void *arg)
{
    orders_look_cancel(w);
    w->names = names;
    w->profile = profile;
    w->fn = fn;
    w->arg = arg;
    w->waiting = true;
    list_append(&o->lookers, &w->node);
    loop_defer(o->ca->env->loop, &o->kick, kicked, o);
}

void orders_lost(struct orders *o)
{
    o->lost++;
}
