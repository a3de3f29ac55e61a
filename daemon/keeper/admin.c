/* SPDX-License-Identifier: ISC */
#include "keeper/admin.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/lines.h"

#include <stdlib.h>
#include <unistd.h>

#define PEERS_MAX 16
#define EXIT_FAILED 1
#define EXIT_USAGE 2
#define EXIT_REFUSED 4

struct admin {
    struct lines *lines;
    struct list waiting; /* for the end of a reload */
    admin_reload_fn *reload;
    void *arg;
};

struct waiter {
    struct list node;
    struct lines_peer *peer;
};

static void send_reply(struct lines_peer *p, const struct admin_reply *r)
{
    CLEANUP_JSON struct json *o = json_object();
    json_add_bool(o, "done", true);
    json_add_bool(o, "ok", r->exit == 0);
    json_add_int(o, "exit", r->exit);
    struct json *lines = json_add_array(o, "lines");
    for (size_t i = 0; i < r->n_lines; i++)
        json_add_text(lines, NULL, r->lines[i]);
    if (r->error && r->error[0])
        json_add_text(o, "error", r->error);
    lines_send(p, o);
    lines_finish(p);
}

static void refuse(struct lines_peer *p, int exit, const char *error)
{
    send_reply(p, &(struct admin_reply){.exit = exit, .error = error});
}

static void do_reload(struct admin *a, struct lines_peer *p)
{
    struct waiter *w = xnew(struct waiter);
    bool first = list_empty(&a->waiting);
    w->peer = p;
    lines_set_data(p, w);
    list_append(&a->waiting, &w->node);
    if (first)
        a->reload(a->arg);
}

static void do_version(struct admin *a, struct lines_peer *p)
{
    const char *const lines[] = {RENEWD_VERSION};
    (void)a;
    send_reply(p, &(struct admin_reply){.lines = lines, .n_lines = 1});
}

static void do_later(struct admin *a, struct lines_peer *p)
{
    (void)a;
    refuse(p, EXIT_USAGE, "not yet available");
}

static const struct {
    const char *verb;
    void (*run)(struct admin *, struct lines_peer *);
} verbs[] = {
    {"reload", do_reload}, {"version", do_version}, {"revoke", do_later}, {"account", do_later},
    {"issue", do_later},   {"delete", do_later},    {"backup", do_later}, {"import", do_later},
};

static void on_request(void *arg, struct lines_peer *p, const struct json *request)
{
    struct admin *a = arg;
    const char *verb = json_text(request, "verb");
    uid_t uid = lines_uid(p);
    if (uid != 0 && uid != geteuid()) {
        refuse(p, EXIT_REFUSED, "only root and the user that renewd was started by may do this");
        return;
    }
    for (size_t i = 0; verb && i < ARRAY_LEN(verbs); i++) {
        if (str_eq(verbs[i].verb, verb)) {
            verbs[i].run(a, p);
            return;
        }
    }
    refuse(p, EXIT_USAGE, "no such verb");
}

static void on_gone(void *arg, struct lines_peer *p)
{
    struct waiter *w = lines_data(p);
    (void)arg;
    if (!w)
        return;
    list_remove(&w->node);
    free(w);
}

void admin_reloaded(struct admin *a, const struct admin_reply *r)
{
    while (!list_empty(&a->waiting)) {
        struct waiter *w = list_item(a->waiting.next, struct waiter, node);
        struct lines_peer *p = w->peer;
        list_remove(&w->node);
        free(w);
        lines_set_data(p, NULL);
        send_reply(p, r);
    }
}

struct admin *admin_new(struct loop *l, int listen_fd, admin_reload_fn *reload, void *arg)
{
    static const struct lines_handler handler = {.request = on_request, .gone = on_gone};
    struct admin *a = xnew(struct admin);
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
    free(a);
}
