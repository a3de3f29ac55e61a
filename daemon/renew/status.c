/* SPDX-License-Identifier: ISC */
#include "base/mem.h"
#include "base/str.h"
#include "renew/ahead.h"
#include "renew/flow.h"
#include "renew/history.h"
#include "renew/poll.h"

#include <stdlib.h>
#include <string.h>

const char *renew_state_name(enum renew_state s)
{
    static const char *const names[RENEW_STATES] = {
        [RENEW_OK] = "ok",
        [RENEW_DUE] = "due",
        [RENEW_RENEWING] = "renewing",
        [RENEW_DEPLOYING] = "deploying",
        [RENEW_DEPLOY_FAILED] = "deploy-failed",
        [RENEW_FAILED] = "failed",
        [RENEW_BLOCKED] = "blocked",
        [RENEW_EXPIRED] = "expired",
        [RENEW_MISSING] = "missing",
        [RENEW_DISABLED] = "disabled",
        [RENEW_PAUSED] = "paused",
        [RENEW_REVOKED] = "revoked",
    };
    return (unsigned)s < RENEW_STATES ? names[s] : "unknown";
}

static enum renew_state state_of(const struct cert *c)
{
    if (!c->conf->enabled)
        return RENEW_DISABLED;
    if (c->job || c->recording)
        return RENEW_RENEWING;
    if (c->item.lane)
        return RENEW_DUE;
    if (c->deploy && deploy_running(c->deploy))
        return RENEW_DEPLOYING;
    if (c->st.blocked)
        return RENEW_BLOCKED;
    if (c->in.present && c->in.not_after_ms <= renew_now(c->renew))
        return RENEW_EXPIRED;
    if (c->st.revoked_ms)
        return RENEW_REVOKED;
    if (pause_since(c, NULL, 0))
        return RENEW_PAUSED;
    if (c->st.error)
        return RENEW_FAILED;
    if (!c->in.present)
        return RENEW_MISSING;
    return c->deploy ? RENEW_DEPLOY_FAILED : RENEW_OK;
}

/* Who issued it; else who is being tried. */
static const char *ca_name(const struct cert *c)
{
    const struct conf *conf = c->renew->conf;
    for (size_t i = 0; c->in.present && !c->job && !c->st.error && i < conf->n_cas; i++) {
        if (str_eq(conf->cas[i].directory, c->in.directory))
            return conf->cas[i].name;
    }
    return c->job ? job_ca(c->job) : flow_ca(c)->name;
}

static int64_t since(const struct cert *c)
{
    int64_t paused = pause_since(c, NULL, 0);
    if (c->since_ms || (paused && !c->st.error))
        return c->since_ms ? c->since_ms : paused;
    return c->st.error ? c->st.failed_ms : c->st.issued_ms;
}

static void fill(const struct cert *c, const struct flow_next *next, struct renew_status *ret)
{
    *ret = (struct renew_status){
        .name = c->conf->name,
        .state = state_of(c),
        .not_before_ms = c->in.not_before_ms,
        .not_after_ms = c->in.not_after_ms,
        .next_ms = next->at_ms,
        .why = next->why,
        .ca = ca_name(c),
        .waiting = c->waiting ? c->waiting : "",
        .preflight = ahead_fault(c),
        .since_ms = since(c),
        .failures = c->st.failures ? c->st.failures
                    : c->deploy    ? deploy_failures(c->deploy)
                                   : 0,
        .ari = next->ari,
        .cert = c->conf,
        .serial = c->in.serial,
        .issuer = c->in.issuer,
        .fingerprint = c->in.fingerprint,
    };
    /* "Long due" is stored as the first instant there is. */
    if (ret->next_ms && ret->next_ms < POLICY_EPOCH)
        ret->next_ms = renew_now(c->renew);
}

static void tell_status(const struct cert *c, void (*fn)(void *arg, const struct renew_status *),
                        void *arg)
{
    struct flow_next next;
    struct renew_status s;
    flow_next(c, &next);
    fill(c, &next, &s);
    fn(arg, &s);
}

bool renew_status(const struct renew *r, const char *name,
                  void (*fn)(void *arg, const struct renew_status *), void *arg)
{
    if (name) {
        const struct cert *c = map_get(r->by_name, name);
        if (c)
            tell_status(c, fn, arg);
        return c != NULL;
    }
    for (size_t i = 0; i < r->n; i++)
        tell_status(r->certs[i], fn, arg);
    return true;
}

/* ---- explain ---- */

struct explain {
    struct list node; /* in renew.explains */
    struct renew *renew;
    char *name;
    struct store_call *call;
    void (*fn)(void *arg, struct json *explanation, const struct err *err);
    void *arg;
};

static void add_time(struct json *j, const char *key, int64_t ms)
{
    char text[32];
    if (ms > 0)
        json_add_text(j, key, str_from_time(ms, text, sizeof(text)));
}

static void add_installed(struct json *to, const struct cert *c)
{
    struct json *j = json_add_object(to, "installed");
    add_time(j, "not_before", c->in.not_before_ms);
    add_time(j, "not_after", c->in.not_after_ms);
    json_add_text(j, "serial", c->in.serial);
    json_add_text(j, "fingerprint", c->in.fingerprint);
    json_add_text(j, "issuer", c->in.issuer);
    json_add_text(j, "directory", c->in.directory);
    json_add_bool(j, "names_match", c->in.names_match);
    add_time(j, "issued", c->st.issued_ms);
}

static void add_plan(struct json *to, const struct cert *c)
{
    struct flow_next next;
    struct renew_status s;
    flow_next(c, &next);
    fill(c, &next, &s);
    json_add_text(to, "name", c->conf->name);
    json_add_text(to, "key", c->conf->csr[0] ? "csr" : conf_key_name(c->conf->key));
    json_add_text(to, "state", renew_state_name(s.state));
    json_add_text(to, "ca", s.ca);
    add_time(to, "next", s.next_ms);
    json_add_text(to, "why", s.why);
    if (s.waiting[0])
        json_add_text(to, "waiting", s.waiting);
    add_time(to, "since", s.since_ms);
    json_add_int(to, "failures", s.failures);
    if (c->in.present)
        add_installed(to, c);
    if (c->st.window.end_ms) {
        struct json *j = json_add_object(to, "ari");
        add_time(j, "start", c->st.window.start_ms);
        add_time(j, "end", c->st.window.end_ms);
        add_time(j, "chosen", c->st.window.at_ms);
        add_time(j, "asked_again", poll_next_ms(c));
    }
    if (c->order && c->order->url[0])
        json_add_text(to, "order", c->order->url);
    if (s.preflight[0])
        json_add_text(to, "doubt", s.preflight);
    ahead_explain(c, to);
}

static int by_began_last_first(const void *a, const void *b)
{
    const struct json *const *x = a, *const *y = b;
    const char *p = json_text(*x, "began"), *q = json_text(*y, "began");
    return strcmp(q ? q : "", p ? p : "");
}

static void add_runs(struct json *to, const struct cert *c, const struct store_item *items,
                     size_t n)
{
    struct json *runs = json_add_array(to, "runs");
    struct json *found[HISTORY_RUNS + 1];
    size_t have = 0;
    CLEANUP_FREE char *running = history_key(c->conf->name, c->st.runs);
    if (c->history)
        json_add(runs, NULL, history_json(c->history));
    for (size_t i = 0; i < n && have < HISTORY_RUNS; i++) {
        if (c->history && str_eq(items[i].key, running))
            continue;
        struct json *j = json_parse(items[i].value, items[i].len, NULL);
        if (j)
            found[have++] = j;
    }
    qsort(found, have, sizeof(*found), by_began_last_first);
    for (size_t i = 0; i < have; i++)
        json_add(runs, NULL, found[i]);
}

static void explain_free(struct explain *x)
{
    list_remove(&x->node);
    free(x->name);
    free(x);
}

static void on_history(void *arg, const struct store_item *items, size_t n, const struct err *err)
{
    struct explain *x = arg;
    const struct cert *c = map_get(x->renew->by_name, x->name);
    struct err e = ERR_INIT;
    struct json *j = NULL;
    if (err_is(err)) {
        e = *err;
    } else if (!c) {
        err_set(&e, ERR_CONFIG, "there is no certificate named %s", x->name);
    } else {
        j = json_object();
        add_plan(j, c);
        add_runs(j, c, items, n);
    }
    void (*fn)(void *, struct json *, const struct err *) = x->fn;
    void *fn_arg = x->arg;
    explain_free(x);
    fn(fn_arg, j, &e);
}

void renew_explain(struct renew *r, const char *name,
                   void (*fn)(void *arg, struct json *explanation, const struct err *err),
                   void *arg)
{
    struct explain *x = xnew(struct explain);
    CLEANUP_FREE char *prefix = history_prefix(name);
    x->renew = r;
    x->name = xstrdup(name);
    x->fn = fn;
    x->arg = arg;
    list_append(&r->explains, &x->node);
    x->call = store_list(r->env.store, prefix, on_history, x);
}

void renew_explain_drop(struct renew *r)
{
    list_each(it, &r->explains)
    {
        struct explain *x = list_item(it, struct explain, node);
        store_cancel(r->env.store, x->call);
        explain_free(x);
    }
}
