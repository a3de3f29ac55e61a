/* SPDX-License-Identifier: ISC */
#include "renew/rehearse.h"
#include "base/mem.h"
#include "base/str.h"
#include "renew/flow.h"
#include "renew/state.h"

#include <stdio.h>
#include <stdlib.h>

struct rehearsal {
    struct list node; /* in renew.rehearsals */
    struct renew *renew;
    struct conf *conf;
    const struct conf_cert *cert;
    struct job *job;
    struct defer intended, stored;
    bool once;      /* of renew --once */
    char done[300]; /* what would have been installed */
};

static struct log_ctx ctx(const struct rehearsal *h)
{
    return (struct log_ctx){h->renew->env.log, h->cert->name};
}

static void tell(struct rehearsal *h, const char *text, bool finished, const struct err *err)
{
    const struct renew_event ev = {.name = h->cert->name,
                                   .text = text,
                                   .at_ms = renew_now(h->renew),
                                   .dry = true,
                                   .finished = finished,
                                   .err = err};
    renew_tell_event(h->renew, &ev);
}

static void on_step(void *arg, const char *state, const char *text)
{
    struct rehearsal *h = arg;
    CLEANUP_FREE char *line = xasprintf("%s: %s", state, text);
    tell(h, line, false, NULL);
}

static void stored(void *arg)
{
    struct rehearsal *h = arg;
    job_stored(h->job, NULL);
}

static void intended(void *arg)
{
    struct rehearsal *h = arg;
    job_intended(h->job, NULL);
}

/* None outlives the engine: an order that is lost costs nothing at a staging CA. */
static void on_created(void *arg, const char *url)
{
    struct rehearsal *h = arg;
    (void)url;
    loop_defer(h->renew->env.loop, &h->stored, stored, h);
}

static void on_gone(void *arg)
{
    struct rehearsal *h = arg;
    loop_defer(h->renew->env.loop, &h->intended, intended, h);
}

static void on_refused(void *arg, const char *name, enum conf_challenge type)
{
    (void)arg;
    (void)name;
    (void)type;
}

static void on_installed(void *arg, const struct keeper_installed *i)
{
    struct rehearsal *h = arg;
    char until[32];
    snprintf(h->done, sizeof(h->done),
             "the rehearsal at CA %s went well: a certificate of %.120s, valid until %s; nothing "
             "was installed",
             job_ca(h->job), i->issuer[0] ? i->issuer : i->directory,
             str_from_time(i->not_after_ms, until, sizeof(until)));
}

static void rehearsal_free(struct rehearsal *h)
{
    list_remove(&h->node);
    defer_cancel(&h->intended);
    defer_cancel(&h->stored);
    job_abandon(h->job);
    conf_unref(h->conf);
    free(h);
}

static void on_ended(void *arg, const struct job_result *res)
{
    struct rehearsal *h = arg;
    struct renew *r = h->renew;
    struct log_ctx log = ctx(h);
    struct err e = *res->err;
    char text[800];
    if (err_is(&e)) {
        err_prefix(&e, "the rehearsal at CA %s failed", job_ca(h->job));
        log_error(&log, "%s", err_text(&e, text, sizeof(text)));
        r->once_failed += h->once;
        tell(h, text, true, &e);
    } else {
        log_info(&log, "%s", h->done);
        tell(h, h->done, true, &e);
    }
    rehearsal_free(h);
    renew_something_ended(r);
}

static const struct job_handler handler = {.step = on_step,
                                           .note = on_step,
                                           .created = on_created,
                                           .gone = on_gone,
                                           .refused = on_refused,
                                           .installed = on_installed,
                                           .ended = on_ended};

static bool is_running(const struct renew *r, const char *name)
{
    list_each(it, (struct list *)(uintptr_t)&r->rehearsals)
    {
        if (str_eq(list_item(it, struct rehearsal, node)->cert->name, name))
            return true;
    }
    return false;
}

static int check(const struct renew *r, const struct cert *c, struct err *e)
{
    const struct conf_ca *ca = flow_ca(c);
    if (is_running(r, c->conf->name))
        return err_set(e, ERR_TRANSIENT, "%s is being rehearsed already", c->conf->name);
    if (!ca->staging[0] || !conf_find_ca(r->conf, ca->staging))
        return err_set(e, ERR_CONFIG,
                       "no staging CA is known for CA %s: write `staging: NAME` for it under cas, "
                       "where NAME is another entry",
                       ca->name);
    return 0;
}

static void start(struct cert *c, bool once)
{
    struct renew *r = c->renew;
    struct rehearsal *h = xnew(struct rehearsal);
    h->renew = r;
    h->conf = conf_ref(r->conf);
    h->cert = c->conf;
    h->once = once;
    list_append(&r->rehearsals, &h->node);
    const struct job_spec spec = {.conf = r->conf,
                                  .cert = c->conf,
                                  .ca = flow_ca(c)->staging,
                                  .order = "",
                                  .replaces_by = "",
                                  .fresh = true,
                                  .dry = true,
                                  .longest_wait_ms = once ? RENEW_ONCE_LONGEST_WAIT : 0};
    h->job = job_start(&r->jobs, &spec, &handler, h);
    loop_defer(r->env.loop, &h->intended, intended, h);
}

int renew_rehearse(struct renew *r, const char *name, struct err *e)
{
    const struct cert *c = map_get(r->by_name, name);
    if (!c)
        return err_set(e, ERR_CONFIG, "there is no certificate named %s", name);
    if (r->phase != RENEW_RUNNING)
        return err_set(e, ERR_TRANSIENT, "the daemon is starting or stopping: try again");
    if (check(r, c, e))
        return -1;
    start((struct cert *)(uintptr_t)c, false);
    return 0;
}

void renew_once_dry(struct renew *r, void (*done)(void *arg, unsigned failed), void *arg)
{
    r->once = done;
    r->once_arg = arg;
    for (size_t i = 0; i < r->n; i++) {
        struct cert *c = r->certs[i];
        struct err e = ERR_INIT;
        scheduler_forget(r->scheduler, &c->item);
        if (!c->conf->enabled || !flow_is_due(c))
            continue;
        if (check(r, c, &e) == 0) {
            start(c, true);
            continue;
        }
        struct log_ctx log = renew_log(c);
        log_error(&log, "%s", e.detail);
        r->once_failed++;
    }
    renew_something_ended(r);
}

bool rehearse_busy(const struct renew *r)
{
    return !list_empty(&r->rehearsals);
}

void rehearse_drop(struct renew *r)
{
    while (!list_empty(&r->rehearsals))
        rehearsal_free(list_item(r->rehearsals.next, struct rehearsal, node));
}
