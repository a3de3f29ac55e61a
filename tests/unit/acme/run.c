/* SPDX-License-Identifier: ISC */
#include "run.h"

#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add(char *to, size_t size, const char *text)
{
    size_t n = strlen(to);

    snprintf(to + n, size - n, "%s%s", n ? " " : "", text);
}

void run_free_order(struct run *r)
{
    acme_order_free(r->order);
    r->order = NULL;
    r->freed = true;
    timer_cancel(&r->publish);
}

/* Whatever comes when nothing may come any more. true: go on. */
static bool heard(struct run *r, enum moment m)
{
    if (r->freed || r->done)
        r->late++;
    if (r->free_at != m || r->free_skip-- > 0)
        return true;
    run_free_order(r);
    return false;
}

static void created(void *arg, const char *url)
{
    struct run *r = arg;

    r->created++;
    str_copy(r->url, sizeof(r->url), url);
    if (heard(r, M_CREATED) && !r->idle)
        acme_order_continue(r->order);
}

static void published(void *arg)
{
    struct run *r = arg;

    acme_order_answer(r->order);
}

static void note_persist(struct run *r, const struct acme_challenge *c)
{
    r->persist[0] = '\0';
    for (size_t i = 0; i < c->n_issuers; i++)
        add(r->persist, sizeof(r->persist), c->issuers[i]);
    if (c->n_issuers)
        add(r->persist, sizeof(r->persist), "|");
    if (c->n_account_uris)
        add(r->persist, sizeof(r->persist), c->account_uris[0]);
}

static void challenges(void *arg, const struct acme_challenge *c, size_t n)
{
    struct run *r = arg;

    r->challenges++;
    r->n_challenges = n;
    for (size_t i = 0; i < n; i++) {
        add(r->owners, sizeof(r->owners), c[i].owner ? c[i].owner : c[i].token);
        add(r->values, sizeof(r->values), c[i].value ? c[i].value : "-");
        add(r->names, sizeof(r->names), c[i].name ? c[i].name->name : "-");
    }
    for (; r->unmet > 0; r->unmet--)
        r->unmet_failed += !acme_order_instead(r->order, 0);
    note_persist(r, c);
    if (heard(r, M_CHALLENGES) && !r->idle)
        timer_after(r->f->loop, &r->publish, r->publish_ms, published, r);
}

static void answered(void *arg)
{
    struct run *r = arg;

    r->answered++;
    heard(r, M_ANSWERED);
}

static void refused(void *arg, const struct conf_name *name, enum conf_challenge type)
{
    struct run *r = arg;
    char text[300];

    snprintf(text, sizeof(text), "%s:%s", name ? name->name : "-", conf_challenge_name(type));
    add(r->refused, sizeof(r->refused), text);
}

static void progress(void *arg, enum acme_order_state s, const char *text)
{
    struct run *r = arg;
    char line[500];

    snprintf(line, sizeof(line), "[%s] %s", acme_order_state_name(s), text);
    add(r->progress, sizeof(r->progress), line);
    heard(r, M_PROGRESS);
}

static void done(void *arg, const char *pem, size_t n, const char *account, bool resumable,
                 const struct err *err)
{
    struct run *r = arg;

    heard(r, M_DONE);
    r->done++;
    r->resumable = resumable;
    if (err) {
        r->err = *err;
        return;
    }
    r->pem = xstrndup(pem, n);
    str_copy(r->account, sizeof(r->account), account);
}

void run_init(struct run *r, struct fake *f, const char *const *names, size_t n)
{
    struct acme_env env = {.loop = f->loop, .http = f->http, .keeper = &f->keeper, .rng = &f->rng};

    memset(r, 0, sizeof(*r));
    r->f = f;
    r->conf = fake_conf(names, n);
    r->acme = acme_new(&env);
    acme_configure(r->acme, r->conf);
}

void run_start(struct run *r, const char *url, bool replaces)
{
    static const struct acme_order_handler h = {created, challenges, answered,
                                                refused, progress,   done};
    struct acme_order_spec s = {.cert = r->cert ? r->cert : r->conf->certs,
                                .ca = "test",
                                .url = url,
                                .find = r->find,
                                .replaces = replaces,
                                .avoid = r->avoid,
                                .n_avoid = r->n_avoid};

    r->order = acme_order_start(r->acme, &s, &h, r);
}

void run_done(struct run *r)
{
    if (!r->freed)
        acme_order_free(r->order);
    timer_cancel(&r->publish);
    acme_free(r->acme);
    conf_unref(r->conf);
    free(r->pem);
}
