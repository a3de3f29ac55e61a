/* SPDX-License-Identifier: ISC */
#include "renew/pause.h"
#include "base/mem.h"
#include "base/str.h"
#include "renew/flow.h"
#include "renew/outcome.h"
#include "renew/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "pause/"

void pauses_init(struct pauses *p)
{
    p->since = map_new();
}

static void set(struct pauses *p, const char *key, int64_t ms)
{
    int64_t *at = NULL;
    if (ms) {
        at = xnew(int64_t);
        *at = ms;
    }
    free(at ? map_put(p->since, key, at) : map_remove(p->since, key));
}

void pauses_done(struct pauses *p)
{
    void *at;
    for (size_t i = 0; map_next(p->since, &i, NULL, &at);)
        free(at);
    map_free(p->since);
}

void pauses_read(struct pauses *p, const struct store_item *item)
{
    CLEANUP_JSON struct json *j = json_parse(item->value, item->len, NULL);
    set(p, item->key + strlen(PREFIX), json_int(j, "since", 1));
}

static int64_t get(const struct pauses *p, const char *kind, const char *name)
{
    CLEANUP_FREE char *key = xasprintf("%s/%s", kind, name);
    const int64_t *at = map_get(p->since, key);
    return at ? *at : 0;
}

/* The provider that a name's record would be given to, as far as is known without asking DNS. */
static int64_t provider_since(const struct cert *c, const struct conf_provider **ret)
{
    const struct renew *r = c->renew;
    for (size_t i = 0; i < c->conf->n_names; i++) {
        const struct conf_name *n = &c->conf->names[i];
        CLEANUP_FREE char *owner =
            xasprintf("_acme-challenge.%s", str_starts(n->name, "*.") ? n->name + 2 : n->name);
        *ret = conf_provider_for(r->conf, c->conf, n, owner, NULL);
        int64_t at = *ret ? get(&r->pauses, "provider", (*ret)->name) : 0;
        if (at)
            return at;
    }
    return 0;
}

static int64_t tell(int64_t at, char *why, size_t size, const char *what, const char *name)
{
    char since[32];
    if (why)
        snprintf(why, size, "%s%s%spaused since %s (renewctl resume)", what, name,
                 name[0] ? " is " : "", str_from_time(at, since, sizeof(since)));
    return at;
}

int64_t pause_since(const struct cert *c, char *why, size_t size)
{
    const struct renew *r = c->renew;
    const struct conf_provider *provider = NULL;
    char since[32];
    int64_t at;
    if (c->st.revoked_ms) {
        if (why)
            snprintf(why, size, "revoked on %s by the operator: renewctl renew %s orders another",
                     str_from_time(c->st.revoked_ms, since, sizeof(since)), c->conf->name);
        return c->st.revoked_ms;
    }
    if (map_len(r->pauses.since) == 0)
        return 0;
    if ((at = get(&r->pauses, "cert", c->conf->name)))
        return tell(at, why, size, "", "");
    if ((at = get(&r->pauses, "ca", flow_ca(c)->name)))
        return tell(at, why, size, "CA ", flow_ca(c)->name);
    if ((at = provider_since(c, &provider)))
        return tell(at, why, size, "provider ", provider->name);
    return 0;
}

/* ---- what is asked ---- */

static bool is_known(const struct renew *r, const char *kind, const char *name)
{
    if (str_eq(kind, "cert"))
        return map_get(r->by_name, name) != NULL;
    if (str_eq(kind, "ca"))
        return conf_find_ca(r->conf, name) != NULL;
    return conf_find_provider(r->conf, name) != NULL;
}

static const char *split(const char *what, const char **ret_kind)
{
    static const struct {
        const char *prefix, *kind;
    } kinds[] = {{"ca:", "ca"}, {"provider:", "provider"}};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        *ret_kind = kinds[i].kind;
        if (str_starts(what, kinds[i].prefix))
            return what + strlen(kinds[i].prefix);
    }
    *ret_kind = "cert";
    return what;
}

static void plan_all(struct renew *r)
{
    for (size_t i = 0; i < r->n; i++)
        flow_plan(r->certs[i]);
}

int renew_pause(struct renew *r, const char *what, bool pause, bool *ret_was, store_write_fn *done,
                void *arg, struct err *e)
{
    const char *kind, *name = split(what, &kind);
    CLEANUP_FREE char *key = xasprintf(PREFIX "%s/%s", kind, name);
    if (r->phase != RENEW_RUNNING)
        return err_set(e, ERR_TRANSIENT, "the daemon is starting or stopping: try again");
    bool was = get(&r->pauses, kind, name) != 0;
    if (!was && !is_known(r, kind, name))
        return err_set(e, ERR_CONFIG, "the configuration has no %s named %s",
                       str_eq(kind, "cert") ? "certificate" : kind, name);
    *ret_was = was;
    int64_t since = was ? get(&r->pauses, kind, name) : renew_now(r);
    CLEANUP_FREE char *value = xasprintf("{\"since\":%lld}", (long long)since);
    set(&r->pauses, key + strlen(PREFIX), pause ? since : 0);
    plan_all(r);
    if (pause)
        store_put(r->env.store, key, value, done, arg);
    else
        store_delete(r->env.store, key, done, arg);
    return 0;
}

void renew_revoked(struct renew *r, const char *name)
{
    struct cert *c = map_get(r->by_name, name);
    if (!c || !c->in.present)
        return;
    c->st.revoked_ms = renew_now(r);
    outcome_record(c, RECORD_STATE, NULL);
    flow_plan(c);
}
