/* SPDX-License-Identifier: ISC */
#include "renew/ahead.h"
#include "base/mem.h"
#include "base/str.h"
#include "renew/flow.h"
#include "renew/persist_watch.h"
#include "renew/preflight.h"

#include <stdlib.h>

#define AHEAD_MAX_MS (7 * POLICY_DAY)
#define AT_ONCE 10u

struct ahead {
    struct cert *cert;
    struct list node; /* renew.aheads: waits for its turn */
    struct preflight *run;
    bool queued;
    int64_t done_ms;          /* 0: none has ended */
    struct findings findings; /* of the last, without what is as it should be */
};

static int64_t window_ms(const struct cert *c)
{
    int64_t tenth = cert_lifetime(c) / 10;
    return tenth < AHEAD_MAX_MS ? tenth : AHEAD_MAX_MS;
}

int64_t ahead_at(const struct cert *c, int64_t due_ms)
{
    const struct ahead *a = c->ahead;
    bool daily = persist_watch_wanted(c->conf); /* records that outlive orders are watched */
    int64_t at = daily ? c->in.not_before_ms : due_ms - window_ms(c);
    if (!c->conf->enabled || !c->in.present || c->st.blocked || c->st.error || c->job ||
        c->item.lane || (a && (a->run || a->queued)))
        return 0;
    if (a && a->done_ms >= at) {
        if (findings_level(&a->findings) == FINDING_OK && !daily)
            return 0;
        at = a->done_ms + POLICY_DAY;
    }
    return at > 0 && at < due_ms ? at : 0;
}

static void next_runs(struct renew *r);

static void keep(struct ahead *a, struct findings *f)
{
    findings_done(&a->findings);
    for (size_t i = 0; i < f->n; i++)
        if (f->v[i].level != FINDING_OK)
            findings_add(&a->findings, f->v[i].level, f->v[i].check, f->v[i].name, "%s",
                         f->v[i].text);
}

static void log_faults(const struct cert *c, const struct ahead *a)
{
    struct log_ctx log = renew_log(c);
    struct flow_next next;
    char at[32];
    flow_next(c, &next);
    for (size_t i = 0; i < a->findings.n; i++) {
        const struct finding *f = &a->findings.v[i];
        log_warn(&log, "the renewal on %s %s: %s%s%s", str_from_time(next.at_ms, at, sizeof(at)),
                 f->level == FINDING_FAIL ? "would fail" : "is in doubt", f->name,
                 f->name[0] ? ": " : "", f->text);
    }
    if (!a->findings.n)
        log_debug(&log, "preflight: nothing stands against the renewal");
}

static void on_done(void *arg, struct findings *f)
{
    struct ahead *a = arg;
    struct cert *c = a->cert;
    struct renew *r = c->renew;
    bool failed_before = findings_level(&a->findings) == FINDING_FAIL;
    struct log_ctx log = renew_log(c);
    a->run = NULL;
    a->done_ms = renew_now(r);
    keep(a, f);
    log_faults(c, a);
    if (failed_before && !a->findings.n)
        log_info(&log, "what stood against the renewal has been mended");
    r->aheads_running--;
    next_runs(r);
    flow_plan(c);
    renew_something_ended(r);
}

static void run(struct ahead *a)
{
    static const struct preflight_handler handler = {NULL, on_done};
    struct cert *c = a->cert;
    struct renew *r = c->renew;
    const struct preflight_spec spec = {
        .conf = r->conf,
        .cert = c->conf,
        .ca = flow_ca(c)->name,
        .depth = PREFLIGHT_FULL,
        .not_before_ms = c->in.not_before_ms,
    };
    r->aheads_running++;
    a->run = preflight_start(&r->preflights, &spec, &handler, a);
}

static void next_runs(struct renew *r)
{
    while (r->phase == RENEW_RUNNING && r->aheads_running < AT_ONCE && !list_empty(&r->aheads)) {
        struct ahead *a = list_item(r->aheads.next, struct ahead, node);
        list_remove(&a->node);
        a->queued = false;
        run(a);
    }
}

void ahead_start(struct cert *c)
{
    struct ahead *a = c->ahead;
    if (!a) {
        a = c->ahead = xnew(struct ahead);
        a->cert = c;
        list_init(&a->node);
    }
    if (a->run || a->queued)
        return;
    a->queued = true;
    list_append(&c->renew->aheads, &a->node);
    next_runs(c->renew);
}

bool ahead_running(const struct cert *c)
{
    return c->ahead && (c->ahead->run || c->ahead->queued);
}

void ahead_drop(struct cert *c)
{
    struct ahead *a = c->ahead;
    if (!a)
        return;
    c->ahead = NULL;
    list_remove(&a->node);
    if (a->run)
        c->renew->aheads_running--;
    preflight_cancel(a->run);
    findings_done(&a->findings);
    free(a);
    next_runs(c->renew);
}

/* What was found before the present certificate was issued is over. */
static const struct ahead *current(const struct cert *c)
{
    const struct ahead *a = c->ahead;
    return a && a->done_ms && a->done_ms >= c->st.issued_ms ? a : NULL;
}

const char *ahead_fault(const struct cert *c)
{
    const struct ahead *a = current(c);
    const struct finding *worst = a ? findings_worst(&a->findings) : NULL;
    return worst ? worst->text : "";
}

void ahead_explain(const struct cert *c, struct json *to)
{
    const struct ahead *a = current(c);
    char at[32];
    if (!a)
        return;
    struct json *j = json_add_object(to, "preflight");
    json_add_text(j, "at", str_from_time(a->done_ms, at, sizeof(at)));
    struct json *list = json_add_array(j, "findings");
    for (size_t i = 0; i < a->findings.n; i++)
        finding_json(&a->findings.v[i], list);
}

/* ---- asked for ---- */

static const struct cert *find_cert(const struct renew *r, const char *name)
{
    const struct cert *c = map_get(r->by_name, name);
    for (size_t i = 0; i < r->n && !c; i++)
        for (size_t k = 0; k < r->certs[i]->conf->n_names && !c; k++)
            if (str_case_eq(r->certs[i]->conf->names[k].name, name) ||
                str_case_eq(r->certs[i]->conf->names[k].unicode, name))
                c = r->certs[i];
    return c;
}

const char *renew_cert_of(const struct renew *r, const char *name)
{
    const struct cert *c = find_cert(r, name);
    return c ? c->conf->name : NULL;
}

/* As the configuration has it; "": the whole certificate is meant. */
static const char *only_name(const struct cert *c, const char *name)
{
    if (str_eq(c->conf->name, name))
        return "";
    for (size_t i = 0; i < c->conf->n_names; i++)
        if (str_case_eq(c->conf->names[i].name, name) ||
            str_case_eq(c->conf->names[i].unicode, name))
            return c->conf->names[i].name;
    return name;
}

struct preflight *renew_preflight(struct renew *r, const char *name,
                                  const struct preflight_handler *h, void *arg, struct err *e)
{
    const struct cert *c = find_cert(r, name);
    if (!c) {
        err_set(e, ERR_CONFIG, "there is no certificate named %s, and none for that host", name);
        return NULL;
    }
    const struct preflight_spec spec = {
        .conf = r->conf,
        .cert = c->conf,
        .only = only_name(c, name),
        .ca = flow_ca(c)->name,
        .depth = PREFLIGHT_FULL,
        .not_before_ms = c->in.not_before_ms,
    };
    return preflight_start(&r->preflights, &spec, h, arg);
}
