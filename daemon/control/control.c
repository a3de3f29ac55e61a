/* SPDX-License-Identifier: ISC */
#include "control/control.h"

#include "base/mem.h"
#include "base/str.h"
#include "control/act.h"
#include "control/named.h"
#include "control/preflight.h"
#include "control/report.h"
#include "loop/lines.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_PEERS 64

struct control {
    struct control_env env;
    struct lines *lines;
    struct conf *conf;
    char **warnings;
    size_t n_warnings;
    int64_t started_ms;
    struct list waits; /* requests whose answer comes later */
};

/* Something that answers a peer later: an act, an explanation or a clean-up. */
struct wait {
    struct list node;
    struct control *control;
    struct lines_peer *peer; /* NULL once it is gone */
    struct act *act;
    struct preflights *preflights;
    /* explain, pause, resume: one after the other */
    struct json *names;
    const struct json *next;
    struct json *explanation, *others; /* of the first, of the rest */
    bool pause, was;                   /* was: paused */
};

static struct wait *wait_new(struct control *c, struct lines_peer *p)
{
    struct wait *w = xnew(struct wait);
    w->control = c;
    w->peer = p;
    list_append(&c->waits, &w->node);
    lines_set_data(p, w);
    return w;
}

static void wait_free(struct wait *w)
{
    list_remove(&w->node);
    json_free(w->names);
    json_free(w->explanation);
    json_free(w->others);
    free(w);
}

static void answer(struct lines_peer *p, struct json *reply, int exit)
{
    json_add_bool(reply, "done", true);
    json_add_bool(reply, "ok", exit == 0);
    json_add_int(reply, "exit", exit);
    lines_send(p, reply);
    lines_finish(p);
}

static void refuse(struct lines_peer *p, int exit, const char *text)
{
    act_refuse(p, exit, text);
    lines_finish(p);
}

static void refuse_err(struct lines_peer *p, int exit, const struct err *e)
{
    char text[800];
    refuse(p, exit, err_text(e, text, sizeof(text)));
}

static void verb_status(struct control *c, struct lines_peer *p, const struct json *request)
{
    CLEANUP_JSON struct json *reply = json_object();
    struct err e = ERR_INIT;
    int64_t now = loop_wall_ms(c->env.loop);
    json_add_text(reply, "version", c->env.version);
    report_time(reply, "started", c->started_ms);
    json_add_int(reply, "generation", c->conf ? (int64_t)c->conf->generation : 0);
    CLEANUP_JSON struct json *names = named_all(c->conf, json_get(request, "names"));
    if (report_status(c->env.renew, names, json_bool(request, "failed", false), now, reply, &e) <
        0) {
        refuse_err(p, 2, &e);
        return;
    }
    report_providers(c->env.providers, reply);
    report_cas(c->env.acme, reply);
    report_limits(c->env.renew, reply);
    struct json *warnings = json_add_array(reply, "warnings");
    for (size_t i = 0; i < c->n_warnings; i++)
        json_add_text(warnings, NULL, c->warnings[i]);
    answer(p, reply, 0);
}

static void verb_plan(struct control *c, struct lines_peer *p, const struct json *request)
{
    CLEANUP_JSON struct json *reply = json_object();
    int64_t days = json_int(request, "days", 30);
    if (days < 1 || days > 3650) {
        refuse(p, 2, "days is a number from 1 to 3650");
        return;
    }
    report_plan(c->env.renew, loop_wall_ms(c->env.loop), days, reply);
    answer(p, reply, 0);
}

static void explain_next(struct wait *w);

static void explained_all(struct wait *w)
{
    CLEANUP_JSON struct json *reply = json_object();
    struct lines_peer *p = w->peer;
    json_add(reply, "explanation", w->explanation);
    if (json_len(w->others)) { /* an entry with several keys */
        json_add(reply, "others", w->others);
        w->others = NULL;
    }
    w->explanation = NULL;
    wait_free(w);
    answer(p, reply, 0);
}

static void explained(void *arg, struct json *explanation, const struct err *err)
{
    struct wait *w = arg;
    struct lines_peer *p = w->peer;
    if (!explanation || !p) {
        json_free(explanation);
        wait_free(w);
        if (p)
            refuse_err(p, 1, err);
        return;
    }
    if (w->explanation)
        json_add(w->others, NULL, explanation);
    else
        w->explanation = explanation;
    w->next = json_after(w->next);
    if (w->next)
        explain_next(w);
    else
        explained_all(w);
}

static void explain_next(struct wait *w)
{
    renew_explain(w->control->env.renew, json_as_text(w->next), explained, w);
}

static void nothing(void *arg, const struct renew_status *s)
{
    (void)arg;
    (void)s;
}

static void verb_explain(struct control *c, struct lines_peer *p, const struct json *request)
{
    const char *name = json_text(request, "name");
    CLEANUP_JSON struct json *names = named_one(c->conf, name ? name : "(none given)");
    if (!renew_status(c->env.renew, json_as_text(json_first(names)), nothing, NULL)) {
        CLEANUP_FREE char *text =
            xasprintf("there is no certificate named %.200s", name ? name : "(none given)");
        refuse(p, 2, text);
        return;
    }
    struct wait *w = wait_new(c, p);
    w->names = names;
    w->next = json_first(names);
    w->others = json_array();
    names = NULL;
    explain_next(w);
}

static void act_finished(void *arg, struct lines_peer *p)
{
    wait_free(arg);
    lines_finish(p);
}

static void start_act(struct control *c, struct lines_peer *p, const struct json *request,
                      enum act_kind kind)
{
    struct wait *w = wait_new(c, p);
    CLEANUP_JSON struct json *names = named_all(c->conf, json_get(request, "names"));
    w->act = act_start(&c->env, kind, p, request, names, act_finished, w);
    if (!w->act) {
        wait_free(w);
        lines_finish(p);
    }
}

static void verb_renew(struct control *c, struct lines_peer *p, const struct json *request)
{
    start_act(c, p, request, ACT_RENEW);
}

static void verb_deploy(struct control *c, struct lines_peer *p, const struct json *request)
{
    start_act(c, p, request, ACT_DEPLOY);
}

static void verb_preflight(struct control *c, struct lines_peer *p, const struct json *request)
{
    struct wait *w = wait_new(c, p);
    w->preflights = preflights_start(&c->env, c->conf, p, request, act_finished, w);
    if (!w->preflights) {
        wait_free(w);
        lines_finish(p);
    }
}

static void verb_records(struct control *c, struct lines_peer *p, const struct json *request)
{
    (void)request;
    CLEANUP_JSON struct json *reply = json_object();
    report_records(c->env.publisher, reply);
    answer(p, reply, 0);
}

static void cleaned(void *arg, unsigned removed, unsigned failed, const struct err *first)
{
    struct wait *w = arg;
    struct lines_peer *p = w->peer;
    wait_free(w);
    if (!p)
        return;
    CLEANUP_JSON struct json *reply = json_object();
    json_add_int(reply, "removed", removed);
    json_add_int(reply, "failed", failed);
    if (failed) {
        char text[800];
        json_add_text(reply, "error", err_text(first, text, sizeof(text)));
    }
    answer(p, reply, failed ? 1 : 0);
}

static void verb_clean(struct control *c, struct lines_peer *p, const struct json *request)
{
    (void)request;
    publisher_clean_now(c->env.publisher, cleaned, wait_new(c, p));
}

/* ---- pause, resume ---- */

static int pause_next(struct wait *w, struct err *e);

static void paused(void *arg, const struct err *err)
{
    struct wait *w = arg;
    struct lines_peer *p = w->peer;
    struct err e = ERR_INIT;
    bool was = w->was;
    if (err_is(err))
        e = *err;
    if (!err_is(&e) && (w->next = json_after(w->next)) && pause_next(w, &e) == 0)
        return;
    wait_free(w);
    if (!p)
        return;
    if (err_is(&e)) {
        refuse_err(p, 1, &e);
        return;
    }
    CLEANUP_JSON struct json *reply = json_object();
    json_add_bool(reply, "was_paused", was);
    answer(p, reply, 0);
}

static int pause_next(struct wait *w, struct err *e)
{
    bool was = false;
    int rc =
        renew_pause(w->control->env.renew, json_as_text(w->next), w->pause, &was, paused, w, e);
    w->was = w->pause ? w->was && was : w->was || was;
    return rc;
}

static void pause_or_resume(struct control *c, struct lines_peer *p, const struct json *request,
                            bool pause)
{
    const char *what = json_text(request, "name");
    struct err e = ERR_INIT;
    if (!what) {
        refuse(p, 2, "name what to pause");
        return;
    }
    struct wait *w = wait_new(c, p);
    w->names = named_one(c->conf, what);
    w->next = json_first(w->names);
    w->pause = pause;
    w->was = pause;
    if (pause_next(w, &e) == 0)
        return;
    wait_free(w);
    lines_set_data(p, NULL);
    refuse_err(p, e.cls == ERR_CONFIG ? 2 : 1, &e);
}

static void verb_pause(struct control *c, struct lines_peer *p, const struct json *request)
{
    pause_or_resume(c, p, request, true);
}

static void verb_resume(struct control *c, struct lines_peer *p, const struct json *request)
{
    pause_or_resume(c, p, request, false);
}

static const struct verb {
    const char *name;
    bool acts; /* needs root or the daemon's user */
    void (*run)(struct control *, struct lines_peer *, const struct json *request);
} verbs[] = {
    {"status", false, verb_status},      {"explain", false, verb_explain},
    {"plan", false, verb_plan},          {"records", false, verb_records},
    {"records-clean", true, verb_clean}, {"renew", true, verb_renew},
    {"deploy", true, verb_deploy},       {"preflight", true, verb_preflight},
    {"pause", true, verb_pause},         {"resume", true, verb_resume},
};

static bool may_act(const struct control *c, const struct lines_peer *p)
{
    uid_t uid = lines_uid(p);
    return uid == 0 || uid == c->env.owner;
}

static void on_request(void *arg, struct lines_peer *p, const struct json *request)
{
    struct control *c = arg;
    const char *name = json_text(request, "verb");
    for (size_t i = 0; name && i < ARRAY_LEN(verbs); i++) {
        if (strcmp(verbs[i].name, name) != 0)
            continue;
        if (verbs[i].acts && !may_act(c, p))
            refuse(p, 4, "only root and the daemon's user may do that");
        else
            verbs[i].run(c, p, request);
        return;
    }
    refuse(p, 2, "unknown verb");
}

static void on_gone(void *arg, struct lines_peer *p)
{
    (void)arg;
    struct wait *w = lines_data(p);
    if (!w)
        return;
    w->peer = NULL;
    if (w->act || w->preflights) {
        act_cancel(w->act);
        preflights_cancel(w->preflights);
        wait_free(w);
    }
}

static const struct lines_handler handler = {.request = on_request, .gone = on_gone};

struct control *control_new(const struct control_env *env, int listen_fd)
{
    struct control *c = xnew(struct control);
    c->env = *env;
    c->started_ms = loop_wall_ms(env->loop);
    list_init(&c->waits);
    c->lines = lines_new(env->loop, listen_fd, MAX_PEERS, &handler, c);
    return c;
}

void control_free(struct control *c)
{
    if (!c)
        return;
    lines_free(c->lines);
    list_each(it, &c->waits) wait_free(list_item(it, struct wait, node));
    for (size_t i = 0; i < c->n_warnings; i++)
        free(c->warnings[i]);
    free(c->warnings);
    conf_unref(c->conf);
    free(c);
}

void control_configure(struct control *c, struct conf *conf)
{
    conf_ref(conf);
    conf_unref(c->conf);
    c->conf = conf;
}

void control_warn(struct control *c, const char *text)
{
    c->warnings = xrealloc_array(c->warnings, c->n_warnings + 1, sizeof(*c->warnings));
    c->warnings[c->n_warnings++] = xstrdup(text);
}
