/* SPDX-License-Identifier: ISC */
#include "keeper/admin.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/lines.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PEERS_MAX 16
#define TABLES_MAX 8

struct table {
    const struct admin_verb *v;
    size_t n;
    void *arg;
};

struct admin {
    struct loop *loop;
    struct lines *lines;
    struct list calls;
    struct list later, waiting; /* for the next reload, for the end of the one that runs */
    admin_reload_fn *reload;
    void *arg;
    struct table tables[TABLES_MAX];
    size_t n_tables;
};

struct admin_call {
    struct list node; /* in calls */
    struct admin *admin;
    struct lines_peer *peer; /* NULL: it is gone */
    struct json *result, *lines;
};

struct waiter {
    struct list node;
    void (*fn)(void *arg, const struct admin_reply *r);
    void *arg;
};

/* ---- calls ---- */

static struct admin_call *call_new(struct admin *a, struct lines_peer *p)
{
    struct admin_call *c = xnew(struct admin_call);
    c->admin = a;
    c->peer = p;
    c->result = json_object();
    c->lines = json_add_array(c->result, "lines");
    list_append(&a->calls, &c->node);
    lines_set_data(p, c);
    return c;
}

static void call_free(struct admin_call *c)
{
    list_remove(&c->node);
    json_free(c->result);
    free(c);
}

struct json *admin_result(struct admin_call *c)
{
    return c->result;
}

void admin_note(struct admin_call *c, const char *name, const char *text)
{
    CLEANUP_JSON struct json *o = json_object();
    char at[32];
    if (!c->peer)
        return;
    json_add_text(o, "event", "progress");
    json_add_text(o, "name", name);
    json_add_text(o, "at", str_from_time(loop_wall_ms(c->admin->loop), at, sizeof(at)));
    json_add_text(o, "text", text);
    lines_send(c->peer, o);
}

void admin_line(struct admin_call *c, const char *fmt, ...)
{
    char text[2048];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    json_add_text(c->lines, NULL, text);
}

void admin_end(struct admin_call *c, int exit, const char *error)
{
    struct lines_peer *p = c->peer;
    json_add_bool(c->result, "done", true);
    json_add_bool(c->result, "ok", exit == ADMIN_DONE);
    json_add_int(c->result, "exit", exit);
    if (error && error[0])
        json_add_text(c->result, "error", error);
    if (p) {
        lines_set_data(p, NULL);
        lines_send(p, c->result);
        lines_finish(p);
    }
    call_free(c);
}

void admin_end_err(struct admin_call *c, int exit, const struct err *e)
{
    char text[800];
    admin_end(c, exit, err_text(e, text, sizeof(text)));
}

/* ---- reload ---- */

void admin_reload_then(struct admin *a, void (*fn)(void *arg, const struct admin_reply *r),
                       void *arg)
{
    struct waiter *w = xnew(struct waiter);
    w->fn = fn;
    w->arg = arg;
    list_append(&a->later, &w->node);
    a->reload(a->arg);
}

static void move_all(struct list *from, struct list *to)
{
    while (!list_empty(from)) {
        struct list *node = from->next;
        list_remove(node);
        list_append(to, node);
    }
}

void admin_reload_began(struct admin *a)
{
    move_all(&a->later, &a->waiting);
}

void admin_reloaded(struct admin *a, const struct admin_reply *r)
{
    struct list all;
    list_init(&all);
    move_all(&a->waiting, &all);
    while (!list_empty(&all)) {
        struct waiter *w = list_item(all.next, struct waiter, node);
        list_remove(&w->node);
        w->fn(w->arg, r);
        free(w);
    }
}

static void tell_reloaded(void *arg, const struct admin_reply *r)
{
    struct admin_call *c = arg;
    for (size_t i = 0; i < r->n_lines; i++)
        admin_line(c, "%s", r->lines[i]);
    admin_end(c, r->exit, r->error);
}

/* ---- requests ---- */

static void do_reload(struct admin_call *c)
{
    admin_reload_then(c->admin, tell_reloaded, c);
}

static void do_version(struct admin_call *c)
{
    admin_line(c, "%s", RENEWD_VERSION);
    admin_end(c, ADMIN_DONE, NULL);
}

static const struct {
    const char *verb;
    void (*run)(struct admin_call *);
} own[] = {
    {"reload", do_reload},
    {"version", do_version},
};

static bool run_served(struct admin *a, struct admin_call *c, const char *verb,
                       const struct json *request)
{
    for (size_t t = 0; t < a->n_tables; t++) {
        for (size_t i = 0; i < a->tables[t].n; i++) {
            if (!str_eq(a->tables[t].v[i].name, verb))
                continue;
            a->tables[t].v[i].run(a->tables[t].arg, c, request);
            return true;
        }
    }
    return false;
}

static void on_request(void *arg, struct lines_peer *p, const struct json *request)
{
    struct admin *a = arg;
    struct admin_call *c = call_new(a, p);
    const char *verb = json_text(request, "verb");
    uid_t uid = lines_uid(p);
    if (uid != 0 && uid != geteuid()) {
        admin_end(c, ADMIN_REFUSED,
                  "only root and the user that renewd was started by may do this");
        return;
    }
    for (size_t i = 0; verb && i < ARRAY_LEN(own); i++) {
        if (str_eq(own[i].verb, verb)) {
            own[i].run(c);
            return;
        }
    }
    if (!verb || !run_served(a, c, verb, request))
        admin_end(c, ADMIN_USAGE, "no such verb");
}

static void on_gone(void *arg, struct lines_peer *p)
{
    struct admin_call *c = lines_data(p);
    (void)arg;
    if (c)
        c->peer = NULL;
}

void admin_serve(struct admin *a, const struct admin_verb *verbs, size_t n, void *arg)
{
    if (a->n_tables < TABLES_MAX)
        a->tables[a->n_tables++] = (struct table){verbs, n, arg};
}

struct admin *admin_new(struct loop *l, int listen_fd, admin_reload_fn *reload, void *arg)
{
    static const struct lines_handler handler = {.request = on_request, .gone = on_gone};
    struct admin *a = xnew(struct admin);
    a->loop = l;
    list_init(&a->calls);
    list_init(&a->later);
    list_init(&a->waiting);
    a->reload = reload;
    a->arg = arg;
    a->lines = lines_new(l, listen_fd, PEERS_MAX, &handler, a);
    return a;
}

void admin_free(struct admin *a)
{
    if (!a)
        return;
    lines_free(a->lines);
    list_each(it, &a->calls) call_free(list_item(it, struct admin_call, node));
    move_all(&a->later, &a->waiting);
    list_each(it, &a->waiting)
    {
        struct waiter *w = list_item(it, struct waiter, node);
        list_remove(it);
        free(w);
    }
    free(a);
}
