/* SPDX-License-Identifier: ISC */
/*
 *   ACCOUNT -> FACTS (of the store) -> LOOKS (one for each name, side by side) -> done
 */
#include "renew/persist_watch.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "renew/persist.h"
#include "renew/policy.h"

#include <stdlib.h>
#include <string.h>

#define CLOSE_MS (30 * POLICY_DAY)
#define LOOK_LIMIT_MS (15 * POLICY_SECOND)
#define UNUSED_MS (90 * POLICY_DAY)
#define PREFIX "cert/"
#define KIND "/persist/"
#define CHECK "dns-persist-01"

struct look {
    struct persist_watch *watch;
    const struct conf_name *name;
    struct persist_fact fact;
    struct persist_find *find;
};

struct persist_watch {
    struct persist_watch_spec spec;
    char *only, *ca;
    char *account_url, *thumbprint;
    struct keeper_call *account;
    struct store_call *reading;
    struct look *looks;
    size_t n, open;
    struct findings findings;
    struct defer end;
    void (*done)(void *arg, struct findings *f);
    void *arg;
};

static const struct conf_challenges *types_of(const struct conf_cert *cert,
                                              const struct conf_name *name)
{
    return name->challenges.n ? &name->challenges : &cert->challenges;
}

static bool may_persist(const struct conf_cert *cert, const struct conf_name *name)
{
    const struct conf_challenges *all = types_of(cert, name);
    for (size_t i = 0; i < all->n; i++)
        if (all->v[i] == CONF_DNS_PERSIST_01)
            return true;
    return false;
}

bool persist_watch_wanted(const struct conf_cert *cert)
{
    for (size_t i = 0; i < cert->n_names; i++)
        if (may_persist(cert, &cert->names[i]))
            return true;
    return false;
}

static const struct conf_name *persistent_name(const struct conf_cert *cert, const char *name)
{
    for (size_t i = 0; i < cert->n_names; i++)
        if (str_eq(cert->names[i].name, name) && may_persist(cert, &cert->names[i]))
            return &cert->names[i];
    return NULL;
}

/* "cert/NAME/persist/DNSNAME" */
static const char *kind_in(const struct store_item *item)
{
    return str_starts(item->key, PREFIX) ? strstr(item->key, KIND) : NULL;
}

bool persist_watch_read(const struct conf *c, const struct store_item *item,
                        struct persist_fact *ret, const struct conf_cert **ret_cert,
                        const struct conf_name **ret_name)
{
    const char *name = item->key + strlen(PREFIX), *end = kind_in(item);
    if (!end)
        return false;
    CLEANUP_FREE char *cert = xstrndup(name, (size_t)(end - name));
    const struct conf_cert *owner = conf_find_cert(c, cert);
    const struct conf_name *n = owner ? persistent_name(owner, end + strlen(KIND)) : NULL;
    CLEANUP_JSON struct json *j = n ? json_parse(item->value, item->len, NULL) : NULL;
    if (!j || persist_fact_read(ret, j) < 0)
        return false;
    *ret_cert = owner;
    *ret_name = n;
    return true;
}

bool persist_watch_stale(const struct conf *c, const struct store_item *item, int64_t now_ms)
{
    const struct conf_cert *cert;
    const struct conf_name *name;
    struct persist_fact f;
    if (!kind_in(item))
        return false;
    if (persist_watch_read(c, item, &f, &cert, &name)) {
        persist_fact_done(&f);
        return false;
    }
    CLEANUP_JSON struct json *j = json_parse(item->value, item->len, NULL);
    return now_ms - json_int(j, "used", 0) > UNUSED_MS;
}

void persist_watch_cancel(struct persist_watch *w)
{
    if (!w)
        return;
    defer_cancel(&w->end);
    keeper_cancel(w->spec.keeper, w->account);
    store_cancel(w->spec.store, w->reading);
    for (size_t i = 0; i < w->n; i++) {
        persist_find_cancel(w->looks[i].find);
        persist_fact_done(&w->looks[i].fact);
    }
    free(w->looks);
    free(w->only);
    free(w->ca);
    free(w->account_url);
    free(w->thumbprint);
    findings_done(&w->findings);
    conf_unref(w->spec.conf);
    free(w);
}

static void end(void *arg)
{
    struct persist_watch *w = arg;
    struct findings f = w->findings;
    void (*done)(void *, struct findings *) = w->done;
    void *to = w->arg;
    w->findings = (struct findings){0};
    persist_watch_cancel(w);
    done(to, &f);
    findings_done(&f);
}

/* ---- one name ---- */

/* Drafts from -02 on: the CA takes former keys for a while only. */
static bool is_of_former_key(const struct persist_watch *w, const struct persist_fact *f)
{
    struct persist_fact now;
    if (!persist_fact_hash(f) || !w->thumbprint[0] || !w->account_url[0])
        return false;
    persist_fact_set(&now, f->name, f->ca, f->owner, f->wildcard, f->issuers, f->n_issuers, f->uris,
                     f->n_uris);
    bool other = persist_fact_rehash(&now, w->thumbprint, w->account_url, NULL) == 0 &&
                 !str_eq(now.uris[0], f->uris[0]);
    persist_fact_done(&now);
    return other;
}

static void check_account(struct persist_watch *w, const struct persist_fact *f)
{
    if (is_of_former_key(w, f))
        findings_add(&w->findings, FINDING_WARN, CHECK, f->name,
                     "the record %s is for a former key of the account: it is to be written anew "
                     "with the next order",
                     f->owner);
    else if (!persist_fact_hash(f) && w->account_url[0] && !str_eq(f->uris[0], w->account_url))
        findings_add(&w->findings, FINDING_WARN, CHECK, f->name,
                     "the record %s is for the account %s, but the account is %s now", f->owner,
                     f->uris[0], w->account_url);
}

static void absent(const struct look *l, const struct err *err)
{
    struct persist_watch *w = l->watch;
    const struct conf_cert *cert = w->spec.cert;
    bool only_way = types_of(cert, l->name)->n < 2;
    if (cert->persist.write)
        findings_add(&w->findings, FINDING_WARN, CHECK, l->name->name,
                     "the record %s is gone: it is written anew with the next order",
                     l->fact.owner);
    else
        findings_add(&w->findings, only_way ? FINDING_FAIL : FINDING_WARN, CHECK, l->name->name,
                     "%s", err->detail);
}

static void there(const struct look *l, int64_t until_ms)
{
    struct persist_watch *w = l->watch;
    const struct persist_fact *f = &l->fact;
    int64_t left = until_ms - loop_wall_ms(w->spec.loop);
    char at[32];
    if (until_ms && left < CLOSE_MS && !w->spec.cert->persist.write)
        findings_add(&w->findings, FINDING_WARN, CHECK, l->name->name,
                     "the record %s ends on %s: create it anew, with a later persistUntil or "
                     "without one",
                     f->owner, str_from_time(until_ms, at, sizeof(at)));
    else
        findings_add(&w->findings, FINDING_OK, CHECK, l->name->name, "the record %s is there%s%s",
                     f->owner, until_ms ? ", until " : "",
                     until_ms ? str_from_time(until_ms, at, sizeof(at)) : "");
    check_account(w, f);
}

static void on_found(void *arg, int64_t until_ms, const struct err *err, const char *warning)
{
    struct look *l = arg;
    struct persist_watch *w = l->watch;
    char text[700];
    (void)warning;
    l->find = NULL;
    if (!err_is(err))
        there(l, until_ms);
    else if (err->cls == ERR_BLOCKED)
        absent(l, err);
    else
        findings_add(&w->findings, FINDING_WARN, CHECK, l->name->name, "%s",
                     err_text(err, text, sizeof(text)));
    if (--w->open == 0)
        loop_defer(w->spec.loop, &w->end, end, w);
}

/* ---- all of them ---- */

static const struct conf_name *name_of(const struct persist_watch *w, const char *name)
{
    return !w->only[0] || str_eq(w->only, name) ? persistent_name(w->spec.cert, name) : NULL;
}

static void take_fact(struct persist_watch *w, const struct store_item *item)
{
    struct look *l = &w->looks[w->n];
    CLEANUP_JSON struct json *j = json_parse(item->value, item->len, NULL);
    if (!j || persist_fact_read(&l->fact, j) < 0)
        return;
    l->name = name_of(w, l->fact.name);
    if (l->name && str_eq(l->fact.ca, w->ca)) {
        l->watch = w;
        w->n++;
    } else {
        persist_fact_done(&l->fact);
    }
}

static bool has_fact(const struct persist_watch *w, const struct conf_name *name)
{
    for (size_t i = 0; i < w->n; i++)
        if (w->looks[i].name == name)
            return true;
    return false;
}

/* Who the record is for, and how the account is called in it, is the CA's to say. */
static void tell_unknown(struct persist_watch *w)
{
    const struct conf_cert *cert = w->spec.cert;
    for (size_t i = 0; i < cert->n_names && !cert->persist.write; i++) {
        const struct conf_name *n = &cert->names[i];
        const struct conf_challenges *all = types_of(cert, n);
        if (all->n && all->v[0] == CONF_DNS_PERSIST_01 && name_of(w, n->name) && !has_fact(w, n))
            findings_add(&w->findings, FINDING_WARN, CHECK, n->name,
                         "the CA tells with the first order what the record has to say; the order "
                         "then waits for it");
    }
}

static void on_facts(void *arg, const struct store_item *items, size_t n, const struct err *err)
{
    static const struct persist_find_handler handler = {NULL, on_found};
    struct persist_watch *w = arg;
    w->reading = NULL;
    w->looks = xcalloc(n ? n : 1, sizeof(*w->looks));
    for (size_t i = 0; !err_is(err) && i < n; i++)
        take_fact(w, &items[i]);
    tell_unknown(w);
    w->open = w->n + 1;
    for (size_t i = 0; i < w->n; i++)
        w->looks[i].find = persist_find_start(w->spec.publisher, w->spec.loop, &w->looks[i].fact, 0,
                                              LOOK_LIMIT_MS, &handler, &w->looks[i]);
    if (--w->open == 0)
        loop_defer(w->spec.loop, &w->end, end, w);
}

static void on_account(void *arg, const struct keeper_account *a, const struct err *err)
{
    struct persist_watch *w = arg;
    bool known = a && !err_is(err);
    CLEANUP_FREE char *prefix = persist_fact_key(w->spec.cert->name, "");
    w->account = NULL;
    w->account_url = xstrdup(known ? a->url : "");
    w->thumbprint = xstrdup(known ? a->thumbprint : "");
    w->reading = store_list(w->spec.store, prefix, on_facts, w);
}

struct persist_watch *persist_watch_start(const struct persist_watch_spec *s,
                                          void (*done)(void *arg, struct findings *f), void *arg)
{
    struct persist_watch *w = xnew(struct persist_watch);
    w->spec = *s;
    conf_ref(s->conf);
    w->only = xstrdup(s->only ? s->only : "");
    w->ca = xstrdup(s->ca);
    w->done = done;
    w->arg = arg;
    w->account = s->keeper->ops->account(s->keeper, w->ca, on_account, w);
    return w;
}
