/* SPDX-License-Identifier: ISC */
#include "control/act.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "control/report.h"

#include <stdlib.h>

struct act {
    const struct control_env *env;
    enum act_kind kind;
    bool wait;
    unsigned flags;
    bool dry;
    bool or_good; /* one that is not due is in order */
    struct lines_peer *peer;
    void (*finished)(void *arg, struct lines_peer *);
    void *arg;
    struct map *open; /* names that have not ended yet; the value is the act itself */
    struct renew_watch *watch;
    struct json *results;
    unsigned failed;
    int exit;
    struct defer end;
};

static void act_free(struct act *a)
{
    defer_cancel(&a->end);
    renew_watch_stop(a->watch);
    map_free(a->open);
    json_free(a->results);
    free(a);
}

void act_cancel(struct act *a)
{
    if (a)
        act_free(a);
}

void act_refuse(struct lines_peer *peer, int exit, const char *text)
{
    CLEANUP_JSON struct json *j = json_object();
    json_add_bool(j, "done", true);
    json_add_bool(j, "ok", false);
    json_add_int(j, "exit", exit);
    json_add_text(j, "error", text);
    lines_send(peer, j);
}

static void add_result(struct act *a, const char *name, const struct err *err, const char *state)
{
    struct json *j = json_add_object(a->results, NULL);
    json_add_text(j, "name", name);
    json_add_bool(j, "ok", err->cls == ERR_NONE);
    if (err->cls == ERR_NONE) {
        json_add_text(j, "state", state);
        return;
    }
    char text[800];
    json_add_text(j, "error", err_text(err, text, sizeof(text)));
    json_add_text(j, "class", err_class_name(err->cls));
    report_time(j, "retry_at", err->retry_at);
    a->failed++;
    if (a->exit == 0)
        a->exit = 1;
}

static void act_end(void *arg)
{
    struct act *a = arg;
    CLEANUP_JSON struct json *j = json_object();
    json_add_bool(j, "done", true);
    json_add_bool(j, "ok", a->failed == 0);
    json_add_int(j, "exit", a->exit);
    json_add(j, "results", a->results);
    a->results = NULL;
    struct lines_peer *peer = a->peer;
    void (*finished)(void *, struct lines_peer *) = a->finished;
    void *owner = a->arg;
    act_free(a);
    lines_send(peer, j);
    finished(owner, peer);
}

static void on_event(void *arg, const struct renew_event *ev)
{
    struct act *a = arg;
    if (ev->dry != a->dry || !map_get(a->open, ev->name))
        return;
    CLEANUP_JSON struct json *j = json_object();
    json_add_text(j, "event", ev->finished ? "finished" : "progress");
    json_add_text(j, "name", ev->name);
    report_time(j, "at", ev->at_ms);
    json_add_text(j, "text", ev->text);
    if (ev->finished)
        json_add_bool(j, "ok", ev->err->cls == ERR_NONE);
    lines_send(a->peer, j);
    if (!ev->finished)
        return;
    add_result(a, ev->name, ev->err, "done");
    map_remove(a->open, ev->name);
    if (map_len(a->open) == 0)
        loop_defer(a->env->loop, &a->end, act_end, a);
}

static int begin_one(struct act *a, const char *name, struct err *e)
{
    if (a->kind == ACT_DEPLOY)
        return renew_deploy(a->env->renew, name, e);
    if (a->dry)
        return renew_rehearse(a->env->renew, name, e);
    return renew_start(a->env->renew, name, a->flags, e);
}

static void begin(struct act *a, const char *name)
{
    struct err e = ERR_INIT;
    if (map_get(a->open, name))
        return;
    map_put(a->open, name, a);
    if (begin_one(a, name, &e) < 0) {
        bool not_due = str_eq(e.type, "not-due");
        map_remove(a->open, name);
        if (not_due && a->or_good)
            err_clear(&e);
        else if (not_due)
            a->exit = 4;
        else if (a->dry && e.cls == ERR_CONFIG)
            a->exit = 2;
        add_result(a, name, &e, "done");
    } else if (!a->wait) {
        map_remove(a->open, name);
        add_result(a, name, &e, "started");
    }
}

struct due {
    char **names;
    size_t n;
    int64_t now_ms;
};

static void collect_due(void *arg, const struct renew_status *s)
{
    struct due *due = arg;
    bool waits = s->state == RENEW_DUE || s->state == RENEW_FAILED || s->state == RENEW_BLOCKED ||
                 s->state == RENEW_MISSING || s->state == RENEW_EXPIRED;
    bool passed = s->state == RENEW_OK && s->next_ms && s->next_ms <= due->now_ms;
    if (!waits && !passed)
        return;
    due->names = xrealloc_array(due->names, due->n + 1, sizeof(*due->names));
    due->names[due->n++] = xstrdup(s->name);
}

static void begin_due(struct act *a)
{
    struct due due = {.now_ms = loop_wall_ms(a->env->loop)};
    renew_status(a->env->renew, NULL, collect_due, &due);
    for (size_t i = 0; i < due.n; i++) {
        begin(a, due.names[i]);
        free(due.names[i]);
    }
    free(due.names);
}

static void ignore_status(void *arg, const struct renew_status *s)
{
    (void)arg;
    (void)s;
}

/* Unknown names are found before anything is started. */
static bool names_known(const struct control_env *env, const struct json *names,
                        struct lines_peer *peer)
{
    for (const struct json *it = json_first(names); it; it = json_after(it)) {
        const char *name = json_as_text(it);
        if (name && renew_status(env->renew, name, ignore_status, NULL))
            continue;
        CLEANUP_FREE char *text =
            xasprintf("there is no certificate named %.200s", name ? name : "(not a text)");
        act_refuse(peer, 2, text);
        return false;
    }
    return true;
}

struct act *act_start(const struct control_env *env, enum act_kind kind, struct lines_peer *peer,
                      const struct json *request, const struct json *names,
                      void (*finished)(void *, struct lines_peer *), void *arg)
{
    bool due = kind == ACT_RENEW && json_bool(request, "due", false);
    if (!due && json_len(names) == 0) {
        act_refuse(peer, 2, "name at least one certificate");
        return NULL;
    }
    if (!names_known(env, names, peer))
        return NULL;
    struct act *a = xnew(struct act);
    a->env = env;
    a->kind = kind;
    a->wait = json_bool(request, "wait", false);
    a->flags = json_bool(request, "force", false) ? RENEW_FORCE : 0;
    a->dry = kind == ACT_RENEW && json_bool(request, "dry", false);
    a->or_good = json_bool(request, "or_good", false);
    a->peer = peer;
    a->finished = finished;
    a->arg = arg;
    a->open = map_new();
    a->results = json_array();
    if (a->wait)
        a->watch = renew_watch_start(env->renew, on_event, a);
    if (due)
        begin_due(a);
    for (const struct json *it = json_first(names); it; it = json_after(it))
        begin(a, json_as_text(it));
    if (map_len(a->open) == 0)
        loop_defer(env->loop, &a->end, act_end, a);
    return a;
}
