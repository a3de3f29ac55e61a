/* SPDX-License-Identifier: ISC */
/* A keeper that keeps its promises: keys durable, installation idempotent, wrong chains refused. */
#include "base/mem.h"
#include "base/str.h"
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct keeper_call *out(struct call *c)
{
    return (struct keeper_call *)c;
}

static struct world *of(struct keeper *k)
{
    return CONTAINER_OF(k, struct world, keeper);
}

/* ---- prepare ---- */

static void do_prepare(struct call *c)
{
    if (world_fails(c->site, FAULT_PREPARE, NULL))
        err_set(&c->err, ERR_LOCAL, "no space left on device");
    else if (c->flag || !c->site->pending)
        c->site->pending = ++c->world->keys;
}

static void prepared(struct call *c)
{
    ((keeper_done_fn *)c->fn)(c->arg, &c->err);
}

static struct keeper_call *prepare(struct keeper *k, const char *cert, bool fresh,
                                   keeper_done_fn *done, void *arg)
{
    struct call *c = world_call(of(k), 1, do_prepare, prepared, (void (*)(void))done, arg);
    c->site = world_site(c->world, cert);
    c->site->attempts++;
    c->site->last_attempt = c->world->loop->wall;
    c->flag = fresh;
    return out(c);
}

/* ---- account ---- */

static void told_account(struct call *c)
{
    struct keeper_account a = {.url = "https://ca/acct/1", .thumbprint = "t"};
    ((keeper_account_fn *)c->fn)(c->arg, &a, &c->err);
}

static struct keeper_call *account(struct keeper *k, const char *ca, keeper_account_fn *done,
                                   void *arg)
{
    (void)ca;
    return out(world_call(of(k), 1, NULL, told_account, (void (*)(void))done, arg));
}

/* ---- what is installed ---- */

static void fill(const struct site *s, struct keeper_installed *i)
{
    *i = (struct keeper_installed){.cert = s->name, .present = s->present};
    i->serial = i->fingerprint = i->cert_id = i->directory = i->account = i->issuer = "";
    i->leaf_pem = "";
    if (!s->present)
        return;
    i->not_before_ms = s->not_before;
    i->not_after_ms = s->not_after;
    i->serial = s->serial;
    i->fingerprint = i->leaf_pem = s->fingerprint;
    i->cert_id = s->name;
    i->directory = s->directory;
    i->account = s->directory[0] ? "https://ca/acct/1" : "";
    i->issuer = "Test CA";
    i->names_match = s->names_match;
    i->staging = s->staging;
}

static void told_installed(struct call *c)
{
    struct keeper_installed i;
    fill(c->site, &i);
    ((keeper_installed_fn *)c->fn)(c->arg, c->err.cls == ERR_NONE ? &i : NULL, &c->err);
}

static struct keeper_call *installed(struct keeper *k, const char *cert, keeper_installed_fn *done,
                                     void *arg)
{
    struct call *c = world_call(of(k), 1, NULL, told_installed, (void (*)(void))done, arg);
    c->site = world_site(c->world, cert);
    return out(c);
}

static void told_list(struct call *c)
{
    struct world *w = c->world;
    keeper_installed_fn *fn = (keeper_installed_fn *)c->fn;
    for (size_t i = 0; i < w->n_sites; i++) {
        struct keeper_installed in;
        fill(&w->sites[i], &in);
        fn(c->arg, &in, &c->err);
    }
    fn(c->arg, NULL, NULL);
}

static struct keeper_call *list(struct keeper *k, keeper_installed_fn *done, void *arg)
{
    return out(world_call(of(k), 1, NULL, told_list, (void (*)(void))done, arg));
}

/* ---- install ---- */

static void do_install(struct call *c)
{
    struct world *w = c->world;
    struct site *s = c->site;
    const struct ca_order *o = world_order(w, c->text);
    if (world_fails(s, FAULT_INSTALL, NULL)) {
        c->err = s->err;
        return;
    }
    if (!o || !o->valid || (o->key != s->pending && o->key != s->live_key)) {
        err_set(&c->err, ERR_PEER, "the chain is not for the pending key");
        return;
    }
    s->installs += s->live_key != o->key;
    s->live_key = o->key;
    if (s->pending == o->key)
        s->pending = 0;
    s->present = s->names_match = true;
    s->staging = false;
    s->not_before = o->not_before;
    s->not_after = o->not_after;
    snprintf(s->fingerprint, sizeof(s->fingerprint), "f%u", o->key);
    snprintf(s->serial, sizeof(s->serial), "%02x", o->key);
    snprintf(s->directory, sizeof(s->directory), "https://%.20s/directory", o->ca);
}

static struct keeper_call *install(struct keeper *k, const char *cert, const char *ca,
                                   const char *account_url, const char *chain, size_t n,
                                   keeper_installed_fn *done, void *arg)
{
    struct call *c = world_call(of(k), 2, do_install, told_installed, (void (*)(void))done, arg);
    (void)ca;
    (void)account_url;
    (void)n;
    c->site = world_site(c->world, cert);
    str_copy(c->text, sizeof(c->text), chain);
    return out(c);
}

/* ---- steps ---- */

static void do_step(struct call *c)
{
    struct world *w = c->world;
    struct step_rule *rule = NULL;
    for (size_t i = 0; i < w->n_rules; i++) {
        if (str_starts(c->text, w->rules[i].key))
            rule = &w->rules[i];
    }
    if (w->n_steps < ARRAY_LEN(w->steps))
        str_copy(w->steps[w->n_steps], sizeof(w->steps[0]), c->text);
    w->n_steps++;
    if (rule && rule->hang) {
        err_set(&c->err, ERR_TRANSIENT, "no end of it in 60 s: killed");
    } else if (rule && rule->fail) {
        rule->fail--;
        err_set(&c->err, ERR_LOCAL, "exit status 1");
    }
}

static void told_step(struct call *c)
{
    ((keeper_step_fn *)c->fn)(c->arg, c->err.cls == ERR_NONE ? "ok" : "", &c->err);
}

static struct keeper_call *step(struct keeper *k, const char *deployment, unsigned number,
                                const char *const *certs, size_t n, keeper_step_fn *done, void *arg)
{
    struct world *w = of(k);
    char text[120];
    int len = snprintf(text, sizeof(text), "%s/%u", deployment, number);
    for (size_t i = 0; i < n && len > 0 && (size_t)len < sizeof(text); i++)
        len += snprintf(text + len, sizeof(text) - (size_t)len, " %s", certs[i]);
    bool hang = false;
    for (size_t i = 0; i < w->n_rules; i++)
        hang |= w->rules[i].hang && str_starts(text, w->rules[i].key);
    struct call *c = world_call(w, hang ? 60000 : 5, do_step, told_step, (void (*)(void))done, arg);
    str_copy(c->text, sizeof(c->text), text);
    c->number = (unsigned)n;
    return out(c);
}

static void cancel(struct keeper_call *c)
{
    world_call_cancel((struct call *)c);
}

/* ---- webroots ---- */

static void do_http01(struct call *c)
{
    struct world *w = c->world;
    size_t kept = 0;
    if (w->webroot_fails) {
        err_set(&c->err, ERR_LOCAL, "no space left on device");
        return;
    }
    for (size_t i = 0; i < w->n_answers; i++)
        if (!w->answers[i].file || !str_eq(w->answers[i].token, c->text))
            w->answers[kept++] = w->answers[i];
    w->n_answers = kept;
    if (c->flag) {
        struct answer *a = &w->answers[w->n_answers++];
        str_copy(a->token, sizeof(a->token), c->text);
        snprintf(a->content, sizeof(a->content), "%.31s.thumbprint", c->text);
        a->file = true;
    }
}

static struct keeper_call *http01(struct keeper *k, const struct keeper_http01_request *r,
                                  keeper_done_fn *done, void *arg)
{
    struct call *c = world_call(of(k), 2, do_http01, prepared, (void (*)(void))done, arg);
    str_copy(c->text, sizeof(c->text), r->token);
    c->flag = r->add;
    return out(c);
}

static const struct keeper_ops ops = {
    .account = account,
    .prepare = prepare,
    .install = install,
    .installed = installed,
    .list = list,
    .step = step,
    .http01 = http01,
    .cancel = cancel,
};

void world_keeper_init(struct keeper *k)
{
    k->ops = &ops;
}
