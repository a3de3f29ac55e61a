/* SPDX-License-Identifier: ISC */
#include "renew/deploy.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "renew/policy.h"
#include "renew/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A bounded number of steps of one kind at once; the others wait in order. */
struct pool {
    unsigned running;
    struct list waiting; /* part.node */
};

struct deployer {
    struct deployer_env env;
    struct pool steps, verifications;
    struct list merges;
};

enum part_state { PART_IDLE, PART_WAITING, PART_RUNNING, PART_MERGED };

struct part { /* one named deployment of one certificate */
    struct deploy *deploy;
    const struct conf_deployment *conf;
    enum part_state state;
    unsigned step, failures;
    int64_t retry_ms;
    bool again; /* another certificate came meanwhile: from the first step */
    struct err *err;
    struct list node;    /* in pool.waiting or merge.parts */
    struct merge *merge; /* of PART_MERGED */
    struct keeper_call *call;
    struct verify *verify;
};

struct deploy {
    struct deployer *owner;
    struct conf *conf;
    const struct conf_cert *cert;
    char *fingerprint;
    int64_t lifetime_ms;
    struct deploy_handler handler;
    void *arg;
    struct part *parts;
    size_t n;
    struct defer idle;
    bool stopped;
    struct conf *next_conf; /* taken over when nothing runs; NULL: none */
    const struct conf_cert *next_cert;
};

/* One run of a step for several certificates. */
struct merge {
    struct list node;
    struct deployer *owner;
    struct conf *conf;
    const struct conf_deployment *deployment; /* of the first */
    const struct conf_step *step;
    unsigned index;
    struct list parts;
    struct keeper_call *call;
    struct timer timer;
    bool ripe, running;
};

static void part_run(struct part *p);
static void part_ended(struct part *p, const char *text, const struct err *err);

struct deployer *deployer_new(const struct deployer_env *env)
{
    struct deployer *r = xnew(struct deployer);
    r->env = *env;
    list_init(&r->steps.waiting);
    list_init(&r->verifications.waiting);
    list_init(&r->merges);
    return r;
}

static void merge_free(struct merge *m)
{
    list_remove(&m->node);
    timer_cancel(&m->timer);
    keeper_cancel(m->owner->env.keeper, m->call);
    conf_unref(m->conf);
    free(m);
}

void deployer_free(struct deployer *r)
{
    if (!r)
        return;
    list_each(it, &r->merges) merge_free(list_item(it, struct merge, node));
    free(r);
}

static const struct conf_step *step_of(const struct part *p)
{
    return &p->conf->steps[p->step];
}

static bool part_done(const struct part *p)
{
    return p->step >= p->conf->n_steps;
}

/* ---- steps of one certificate ---- */

static struct pool *pool_of(struct deployer *r, const struct part *p)
{
    return step_of(p)->kind == CONF_STEP_VERIFY ? &r->verifications : &r->steps;
}

static void on_step(void *arg, const char *text, const struct err *err)
{
    struct part *p = arg;
    p->call = NULL;
    part_ended(p, text, err);
}

static void on_verified(void *arg, const char *text, const struct err *err)
{
    struct part *p = arg;
    p->verify = NULL;
    part_ended(p, text, err);
}

static const char *default_sni(const struct conf_cert *c)
{
    for (size_t i = 0; i < c->n_names; i++) {
        if (!str_starts(c->names[i].name, "*."))
            return c->names[i].name;
    }
    return c->names[0].name + 2;
}

/* A server that has several certificates for the names shows one that suits the client. */
static enum probe_key key_to_see(const struct conf *conf, const struct conf_cert *c)
{
    bool first = !c->variant || !c->variant[0];
    if (first && !(c->base && conf_next_variant(conf, c)))
        return PROBE_ANY_KEY;
    return c->key >= CONF_KEY_RSA_2048 ? PROBE_RSA : PROBE_ECDSA;
}

static void start_single(struct part *p)
{
    struct deploy *d = p->deploy;
    const struct deployer_env *env = &d->owner->env;
    const struct conf_step *s = step_of(p);
    p->state = PART_RUNNING;
    if (s->kind == CONF_STEP_VERIFY) {
        struct verify_spec spec = {
            .loop = env->loop,
            .http = env->http,
            .step = s,
            .sni = s->sni[0] ? s->sni : default_sni(d->cert),
            .fingerprint = d->fingerprint,
            .key = key_to_see(d->conf, d->cert),
        };
        p->verify = verify_start(&spec, on_verified, p);
        return;
    }
    const char *cert = d->cert->name;
    p->call = env->keeper->ops->step(env->keeper, p->conf->name, p->step, &cert, 1, on_step, p);
}

static void pool_start(struct pool *pool, struct part *p)
{
    if (pool->running >= DEPLOY_STEPS_AT_ONCE) {
        p->state = PART_WAITING;
        list_append(&pool->waiting, &p->node);
        return;
    }
    pool->running++;
    start_single(p);
}

static void pool_left(struct pool *pool)
{
    pool->running--;
    if (list_empty(&pool->waiting))
        return;
    struct part *p = list_item(pool->waiting.next, struct part, node);
    list_remove(&p->node);
    pool->running++;
    start_single(p);
}

/* ---- steps of many certificates ---- */

static bool mergeable(const struct conf_step *s)
{
    return s->kind == CONF_STEP_RELOAD || (s->kind == CONF_STEP_RUN && s->once);
}

static bool same_argv(const struct conf_strs *a, const struct conf_strs *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        if (!str_eq(a->v[i], b->v[i]))
            return false;
    }
    return true;
}

/* A reload is the same whoever asks; a command gets the list of certificates of its deployment. */
static bool same_run(const struct merge *m, const struct conf_deployment *d, unsigned index,
                     const struct conf_step *s)
{
    if (m->step->kind != s->kind)
        return false;
    if (s->kind == CONF_STEP_RELOAD)
        return str_eq(m->step->unit, s->unit);
    return m->index == index && str_eq(m->deployment->name, d->name) &&
           str_eq(m->step->user, s->user) && same_argv(&m->step->argv, &s->argv);
}

static bool same_as_running(const struct merge *m)
{
    list_each(it, &m->owner->merges)
    {
        struct merge *other = list_item(it, struct merge, node);
        if (other != m && other->running && same_run(other, m->deployment, m->index, m->step))
            return true;
    }
    return false;
}

static void merge_try(struct merge *m);

static void on_merged(void *arg, const char *text, const struct err *err)
{
    struct merge *m = arg;
    struct deployer *r = m->owner;
    struct list parts;
    m->call = NULL;
    list_init(&parts);
    list_each(it, &m->parts)
    {
        list_remove(it);
        list_append(&parts, it);
    }
    merge_free(m);
    while (!list_empty(&parts)) {
        struct part *p = list_item(parts.next, struct part, node);
        list_remove(&p->node);
        part_ended(p, text, err);
    }
    list_each(it, &r->merges) merge_try(list_item(it, struct merge, node));
}

/* The first of a merge names it to the keeper. */
static void merge_named_by(struct merge *m, const struct part *first)
{
    struct conf *conf = conf_ref(first->deploy->conf);
    conf_unref(m->conf);
    m->conf = conf;
    m->deployment = first->conf;
    m->step = step_of(first);
    m->index = first->step;
}

static void merge_start(struct merge *m)
{
    const struct deployer_env *env = &m->owner->env;
    const char **certs = NULL;
    size_t n = 0, cap = 0;
    merge_named_by(m, list_item(m->parts.next, struct part, node));
    list_each(it, &m->parts)
    {
        struct part *p = list_item(it, struct part, node);
        if (p->step != m->index || !str_eq(p->conf->name, m->deployment->name))
            continue;
        if (n == cap) {
            cap = cap ? 2 * cap : 16;
            certs = xrealloc_array(certs, cap, sizeof(*certs));
        }
        certs[n++] = p->deploy->cert->name;
    }
    m->running = true;
    m->call =
        env->keeper->ops->step(env->keeper, m->deployment->name, m->index, certs, n, on_merged, m);
    free(certs);
}

static void merge_try(struct merge *m)
{
    if (!m->ripe || m->running || same_as_running(m))
        return;
    timer_cancel(&m->timer);
    if (list_empty(&m->parts))
        merge_free(m);
    else
        merge_start(m);
}

static void on_ripe(void *arg)
{
    struct merge *m = arg;
    m->ripe = true;
    merge_try(m);
}

static struct merge *merge_for(struct part *p)
{
    struct deployer *r = p->deploy->owner;
    list_each(it, &r->merges)
    {
        struct merge *m = list_item(it, struct merge, node);
        if (!m->running && !list_empty(&m->parts) && same_run(m, p->conf, p->step, step_of(p)))
            return m;
    }
    struct merge *m = xnew(struct merge);
    m->owner = r;
    merge_named_by(m, p);
    list_init(&m->parts);
    list_append(&r->merges, &m->node);
    bool soon = r->env.more_soon(r->env.arg);
    timer_after(r->env.loop, &m->timer, soon ? DEPLOY_MERGE_MS : 0, on_ripe, m);
    return m;
}

void deployer_hurry(struct deployer *r)
{
    list_each(it, &r->merges)
    {
        struct merge *m = list_item(it, struct merge, node);
        if (!m->ripe)
            timer_after(r->env.loop, &m->timer, 0, on_ripe, m);
    }
}

/* ---- one deployment ---- */

static void take_next_conf(struct deploy *d);

static void idle(void *arg)
{
    struct deploy *d = arg;
    if (deploy_running(d))
        return;
    if (d->next_conf && !d->stopped) {
        take_next_conf(d);
        deploy_run(d, false);
        return;
    }
    d->handler.idle(d->arg);
}

static void part_rewind(struct part *p)
{
    p->step = 0;
    p->failures = 0;
    p->retry_ms = 0;
    p->again = false;
    free(p->err);
    p->err = NULL;
}

static void part_failed(struct part *p, const struct err *err)
{
    struct deploy *d = p->deploy;
    const struct deployer_env *env = &d->owner->env;
    p->failures++;
    free(p->err);
    p->err = xmemdup(err, sizeof(*err));
    err_activity(p->err, "deployment %s, step %u", p->conf->name, p->step + 1);
    p->retry_ms =
        loop_wall_ms(env->loop) + policy_deploy_after(p->failures, d->lifetime_ms, env->rng);
}

static void part_tell(struct part *p, const char *text)
{
    char line[600];
    snprintf(line, sizeof(line), "%s, step %u: %s", p->conf->name, p->step + 1,
             text && *text ? text : "done");
    p->deploy->handler.note(p->deploy->arg, line);
}

static void part_ended(struct part *p, const char *text, const struct err *err)
{
    struct deploy *d = p->deploy;
    struct pool *pool = p->state == PART_RUNNING ? pool_of(d->owner, p) : NULL;
    p->state = PART_IDLE;
    if (pool)
        pool_left(pool);
    if (p->again) {
        part_rewind(p);
    } else if (err_is(err)) {
        char line[700];
        part_failed(p, err);
        part_tell(p, err_text(err, line, sizeof(line)));
    } else {
        part_tell(p, text);
        p->step++;
        p->failures = 0;
        p->retry_ms = 0;
        free(p->err);
        p->err = NULL;
    }
    d->handler.save(d->arg);
    if (!p->retry_ms && !part_done(p) && !d->next_conf && !d->stopped)
        part_run(p);
    else
        loop_defer(d->owner->env.loop, &d->idle, idle, d);
}

static void part_run(struct part *p)
{
    struct deployer *r = p->deploy->owner;
    if (!mergeable(step_of(p))) {
        pool_start(pool_of(r, p), p);
        return;
    }
    struct merge *m = merge_for(p);
    p->state = PART_MERGED;
    p->merge = m;
    list_append(&m->parts, &p->node);
}

static void part_stop(struct part *p)
{
    struct deployer *r = p->deploy->owner;
    keeper_cancel(r->env.keeper, p->call);
    verify_cancel(p->verify);
    p->call = NULL;
    p->verify = NULL;
    if (p->state == PART_MERGED || p->state == PART_WAITING)
        list_remove(&p->node);
    else if (p->state == PART_RUNNING)
        pool_left(pool_of(r, p));
    p->state = PART_IDLE;
}

/* ---- one certificate ---- */

static void set_parts(struct deploy *d, struct conf *conf, const struct conf_cert *cert)
{
    d->conf = conf_ref(conf);
    d->cert = cert;
    d->n = cert->n_deployments;
    d->parts = xcalloc(d->n + 1, sizeof(*d->parts));
    for (size_t i = 0; i < d->n; i++) {
        d->parts[i].deploy = d;
        d->parts[i].conf = &cert->deployments[i];
        list_init(&d->parts[i].node);
    }
}

struct deploy *deploy_new(struct deployer *r, const struct deploy_spec *s,
                          const struct deploy_handler *h, void *arg)
{
    struct deploy *d = xnew(struct deploy);
    d->owner = r;
    d->fingerprint = xstrdup(s->fingerprint);
    d->lifetime_ms = s->lifetime_ms;
    d->handler = *h;
    d->arg = arg;
    set_parts(d, s->conf, s->cert);
    return d;
}

static void drop_parts(struct deploy *d)
{
    for (size_t i = 0; i < d->n; i++) {
        part_stop(&d->parts[i]);
        free(d->parts[i].err);
    }
    free(d->parts);
    d->parts = NULL;
    d->n = 0;
    conf_unref(d->conf);
}

void deploy_free(struct deploy *d)
{
    if (!d)
        return;
    defer_cancel(&d->idle);
    drop_parts(d);
    conf_unref(d->next_conf);
    free(d->fingerprint);
    free(d);
}

static void read_part(struct part *p, const struct json *j)
{
    int64_t step = json_int(j, "step", 0), failures = json_int(j, "failures", 0);
    p->step = step > 0 && (uint64_t)step <= p->conf->n_steps ? (unsigned)step : 0;
    p->failures = failures > 0 && failures < UINT32_MAX ? (unsigned)failures : 0;
    p->retry_ms = json_int(j, "retry", 0);
    const char *error = json_text(j, "error");
    if (error) {
        free(p->err);
        p->err = xnew(struct err);
        err_set(p->err, ERR_LOCAL, "%s", error);
    }
}

void deploy_read(struct deploy *d, const struct json *j)
{
    const char *fingerprint = json_text(j, "fingerprint");
    const struct json *parts = json_get(j, "parts");
    if (!str_eq(fingerprint, d->fingerprint))
        return;
    for (size_t i = 0; i < d->n; i++) {
        const struct json *part = json_get(parts, d->parts[i].conf->name);
        if (part)
            read_part(&d->parts[i], part);
        else if (parts) /* added to the configuration after the certificate was deployed */
            d->parts[i].step = (unsigned)d->parts[i].conf->n_steps;
    }
}

char *deploy_text(const struct deploy *d)
{
    struct json *j = json_object();
    json_add_text(j, "fingerprint", d->fingerprint);
    struct json *parts = json_add_object(j, "parts");
    for (size_t i = 0; i < d->n; i++) {
        const struct part *p = &d->parts[i];
        char text[700];
        struct json *part = json_add_object(parts, p->conf->name);
        json_add_int(part, "step", p->again ? 0 : p->step);
        if (p->failures)
            json_add_int(part, "failures", p->failures);
        if (p->retry_ms)
            json_add_int(part, "retry", p->retry_ms);
        if (p->err)
            json_add_text(part, "error", err_text(p->err, text, sizeof(text)));
    }
    char *text = json_print(j, false);
    json_free(j);
    return text;
}

void deploy_renewed(struct deploy *d, const char *fingerprint, int64_t lifetime_ms)
{
    free(d->fingerprint);
    d->fingerprint = xstrdup(fingerprint);
    d->lifetime_ms = lifetime_ms;
    for (size_t i = 0; i < d->n; i++) {
        struct part *p = &d->parts[i];
        bool busy = p->state == PART_RUNNING || p->state == PART_MERGED;
        if (busy)
            p->again = true;
        else if (p->state == PART_WAITING)
            part_stop(p);
        if (!busy)
            part_rewind(p);
    }
}

/* Where the parts are is carried over as it would be over a restart. */
static void take_next_conf(struct deploy *d)
{
    CLEANUP_FREE char *text = deploy_text(d);
    CLEANUP_JSON struct json *j = json_parse(text, strlen(text), NULL);
    struct conf *conf = d->next_conf;
    drop_parts(d);
    set_parts(d, conf, d->next_cert);
    deploy_read(d, j);
    conf_unref(conf);
    d->next_conf = NULL;
}

static void take_back(struct deploy *d)
{
    for (size_t i = 0; i < d->n; i++) {
        struct part *p = &d->parts[i];
        if (p->state == PART_WAITING || (p->state == PART_MERGED && !p->merge->running))
            part_stop(p);
    }
}

void deploy_stop(struct deploy *d)
{
    d->stopped = true;
    take_back(d);
}

/* Steps that have not begun are taken back; those that run come to their end, and nothing follows
 * them until then: the keeper knows only the steps of the new generation. */
void deploy_configure(struct deploy *d, struct conf *conf, const struct conf_cert *cert)
{
    conf_ref(conf);
    conf_unref(d->next_conf);
    d->next_conf = conf;
    d->next_cert = cert;
    take_back(d);
    if (deploy_running(d))
        return;
    take_next_conf(d);
    loop_defer(d->owner->env.loop, &d->idle, idle, d);
}

void deploy_run(struct deploy *d, bool all)
{
    int64_t now = loop_wall_ms(d->owner->env.loop);
    for (size_t i = 0; i < d->n; i++) {
        struct part *p = &d->parts[i];
        if (p->state != PART_IDLE || part_done(p) || (!all && p->retry_ms > now))
            continue;
        p->retry_ms = 0;
        part_run(p);
    }
    if (!deploy_running(d))
        loop_defer(d->owner->env.loop, &d->idle, idle, d);
}

int64_t deploy_next_ms(const struct deploy *d)
{
    int64_t next = 0;
    for (size_t i = 0; i < d->n; i++) {
        const struct part *p = &d->parts[i];
        if (p->state == PART_IDLE && !part_done(p) && (!next || p->retry_ms < next))
            next = p->retry_ms ? p->retry_ms : 1;
    }
    return next;
}

bool deploy_running(const struct deploy *d)
{
    for (size_t i = 0; i < d->n; i++) {
        if (d->parts[i].state != PART_IDLE)
            return true;
    }
    return false;
}

bool deploy_complete(const struct deploy *d)
{
    for (size_t i = 0; i < d->n; i++) {
        if (!part_done(&d->parts[i]) || d->parts[i].state != PART_IDLE)
            return false;
    }
    return true;
}

const struct err *deploy_error(const struct deploy *d)
{
    for (size_t i = 0; i < d->n; i++) {
        if (d->parts[i].err)
            return d->parts[i].err;
    }
    return NULL;
}

unsigned deploy_failures(const struct deploy *d)
{
    unsigned most = 0;
    for (size_t i = 0; i < d->n; i++)
        most = d->parts[i].failures > most ? d->parts[i].failures : most;
    return most;
}
