/* SPDX-License-Identifier: ISC */
#include "control/preflight.h"

#include "base/mem.h"
#include "base/str.h"
#include "conf/meant.h"
#include "control/act.h"
#include "control/report.h"

#include <stdlib.h>

#define AT_ONCE 10u

struct item { /* one NAME */
    struct preflights *owner;
    char *name, *cert;
    struct preflight *run;
    struct findings findings;
    bool begun, ended;
};

struct preflights {
    const struct control_env *env;
    struct lines_peer *peer;
    void (*finished)(void *arg, struct lines_peer *);
    void *arg;
    struct item *items;
    size_t n;
    struct defer end;
};

static void preflights_free(struct preflights *p)
{
    for (size_t i = 0; i < p->n; i++) {
        preflight_cancel(p->items[i].run);
        findings_done(&p->items[i].findings);
        free(p->items[i].name);
        free(p->items[i].cert);
    }
    defer_cancel(&p->end);
    free(p->items);
    free(p);
}

void preflights_cancel(struct preflights *p)
{
    if (p)
        preflights_free(p);
}

static void add_result(const struct item *it, struct json *results)
{
    struct json *j = json_add_object(results, NULL);
    json_add_text(j, "name", it->name);
    json_add_text(j, "certificate", it->cert);
    json_add_text(j, "level", finding_level_name(findings_level(&it->findings)));
    struct json *list = json_add_array(j, "findings");
    for (size_t i = 0; i < it->findings.n; i++)
        finding_json(&it->findings.v[i], list);
}

static void end(void *arg)
{
    struct preflights *p = arg;
    CLEANUP_JSON struct json *j = json_object();
    bool failed = false;
    for (size_t i = 0; i < p->n; i++)
        failed = failed || findings_level(&p->items[i].findings) == FINDING_FAIL;
    json_add_bool(j, "done", true);
    json_add_bool(j, "ok", !failed);
    json_add_int(j, "exit", failed ? 1 : 0);
    struct json *results = json_add_array(j, "results");
    for (size_t i = 0; i < p->n; i++)
        add_result(&p->items[i], results);
    struct lines_peer *peer = p->peer;
    void (*finished)(void *, struct lines_peer *) = p->finished;
    void *owner = p->arg;
    preflights_free(p);
    lines_send(peer, j);
    finished(owner, peer);
}

static void on_progress(void *arg, const char *text)
{
    const struct item *it = arg;
    CLEANUP_JSON struct json *j = json_object();
    json_add_text(j, "event", "progress");
    json_add_text(j, "name", it->name);
    report_time(j, "at", loop_wall_ms(it->owner->env->loop));
    json_add_text(j, "text", text);
    lines_send(it->owner->peer, j);
}

static void begin_some(struct preflights *p);

static void on_done(void *arg, struct findings *f)
{
    struct item *it = arg;
    struct preflights *p = it->owner;
    it->run = NULL;
    it->ended = true;
    findings_take(&it->findings, f);
    begin_some(p);
}

static void begin_some(struct preflights *p)
{
    static const struct preflight_handler handler = {on_progress, on_done};
    size_t running = 0, ended = 0;
    for (size_t i = 0; i < p->n; i++) {
        running += p->items[i].begun && !p->items[i].ended;
        ended += p->items[i].ended;
    }
    for (size_t i = 0; i < p->n && running < AT_ONCE; i++) {
        struct item *it = &p->items[i];
        if (it->begun)
            continue;
        struct err e = ERR_INIT;
        it->begun = true;
        it->run = renew_preflight(p->env->renew, it->name, &handler, it, &e);
        if (it->run) {
            running++;
            continue;
        }
        findings_add(&it->findings, FINDING_FAIL, "configuration", "", "%s", e.detail);
        it->ended = true; /* a new configuration knows the name no more */
        ended++;
    }
    if (ended == p->n)
        loop_defer(p->env->loop, &p->end, end, p);
}

static const char *full_name(const struct conf *conf, const char *text)
{
    size_t n;
    const struct conf_cert *k = conf ? conf_meant(conf, text, &n) : NULL;
    return k ? k->name : text;
}

static bool names_known(const struct control_env *env, const struct conf *conf,
                        const struct json *names, struct lines_peer *peer)
{
    for (const struct json *it = json_first(names); it; it = json_after(it)) {
        const char *name = json_as_text(it);
        if (name && renew_cert_of(env->renew, full_name(conf, name)))
            continue;
        CLEANUP_FREE char *text =
            xasprintf("there is no certificate named %.200s, and none for that host",
                      name ? name : "(not a text)");
        act_refuse(peer, 2, text);
        return false;
    }
    return true;
}

struct preflights *preflights_start(const struct control_env *env, const struct conf *conf,
                                    struct lines_peer *peer, const struct json *request,
                                    void (*finished)(void *arg, struct lines_peer *), void *arg)
{
    const struct json *names = json_get(request, "names");
    if (json_len(names) == 0) {
        act_refuse(peer, 2, "name at least one certificate");
        return NULL;
    }
    if (!names_known(env, conf, names, peer))
        return NULL;
    struct preflights *p = xnew(struct preflights);
    p->env = env;
    p->peer = peer;
    p->finished = finished;
    p->arg = arg;
    p->items = xcalloc(json_len(names), sizeof(*p->items));
    for (const struct json *it = json_first(names); it; it = json_after(it)) {
        const char *name = full_name(conf, json_as_text(it));
        p->items[p->n++] = (struct item){
            .owner = p, .name = xstrdup(name), .cert = xstrdup(renew_cert_of(env->renew, name))};
    }
    begin_some(p);
    return p;
}
