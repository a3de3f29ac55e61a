/* SPDX-License-Identifier: ISC */
/*
 *   start --> CAA -------> zone --> DNSSEC          all branches at once; done() when none is left,
 *     |        \ error --> DELEGATION               or the time is over
 *     +-----> ALIAS -----> provider, zones --> DNSSEC of each
 *              \ error --> DELEGATION of where the chain broke off
 */
#include "dns/checks.h"
#include "base/mem.h"
#include "base/str.h"
#include "dns/delegation.h"
#include "dns/dnssec.h"
#include "dns/publisher.h"

#include <stdlib.h>
#include <string.h>

#define CHALLENGE "_acme-challenge."
#define ZONES_MAX (ALIAS_MAX + 2)
#define SLOW_MS 1500 /* a dead zone makes resolvers slow */

struct checks {
    struct loop *loop;
    struct publisher *publisher;
    struct caa_cache *caa;
    struct dnssec_cache *dnssec;
    struct delegation_cache *delegation;
};

struct zone { /* whose DNSSEC is looked at */
    struct checks_call *owner;
    char *name;
    struct dnssec_call *call;
};
struct path { /* a delegation that is looked at, and what made that needful */
    struct checks_call *owner;
    const char *check; /* "caa", "alias": of why */
    struct err why;
    struct delegation_call *call;
};

struct checks_call {
    struct checks *checks;
    struct conf *conf;
    struct conf_cert cert; /* name and provider only; texts are ours */
    struct conf_name name;
    char *shown; /* the name as the certificate has it, with "*." */
    bool full, fresh, records, only_records;
    enum conf_check policy;
    struct caa_call *caa;
    bool judging; /* waits for checks_asker() */
    struct alias_call *alias;
    struct zone *zones[ZONES_MAX];
    size_t n_zones;
    struct path *paths[3];
    size_t n_paths;
    struct timer slow; /* nothing has been heard of the zone */
    unsigned open;

    struct checks_place *place; /* NULL: none was found */
    struct findings findings;
    struct timer limit;
    struct defer end;
    struct checks_handler handler;
    void *arg;
};

struct checks *checks_new(struct loop *l, struct dns *d, struct publisher *p,
                          struct exchange_pool *pool)
{
    struct checks *c = xnew(struct checks);
    c->loop = l;
    c->publisher = p;
    c->caa = caa_cache_new(l, d, p->cuts);
    c->dnssec = dnssec_cache_new(l, d, pool);
    c->delegation = delegation_cache_new(l, d, p->reach, p->cuts);
    return c;
}

void checks_free(struct checks *c)
{
    if (!c)
        return;
    caa_cache_free(c->caa);
    dnssec_cache_free(c->dnssec);
    delegation_cache_free(c->delegation);
    free(c);
}

void checks_clear(struct checks *c)
{
    caa_cache_clear(c->caa);
    dnssec_cache_clear(c->dnssec);
    delegation_cache_clear(c->delegation);
}

static void stop(struct checks_call *c)
{
    caa_cancel(c->caa);
    c->caa = NULL;
    alias_cancel(c->alias);
    c->alias = NULL;
    for (size_t i = 0; i < c->n_zones; i++) {
        dnssec_cancel(c->zones[i]->call);
        c->zones[i]->call = NULL;
    }
    for (size_t i = 0; i < c->n_paths; i++) {
        delegation_cancel(c->paths[i]->call);
        c->paths[i]->call = NULL;
    }
    timer_cancel(&c->limit);
    timer_cancel(&c->slow);
    defer_cancel(&c->end);
}

void checks_cancel(struct checks_call *c)
{
    if (!c)
        return;
    stop(c);
    for (size_t i = 0; i < c->n_zones; i++) {
        free(c->zones[i]->name);
        free(c->zones[i]);
    }
    for (size_t i = 0; i < c->n_paths; i++)
        free(c->paths[i]);
    free(c->place);
    findings_done(&c->findings);
    free(c->cert.name);
    free(c->cert.provider);
    free(c->name.name);
    free(c->name.provider);
    free(c->shown);
    conf_unref(c->conf);
    free(c);
}

/* `check: warn` and `none` say that what is seen from here does not count. */
static void finish(void *arg)
{
    struct checks_call *c = arg;
    stop(c);
    for (size_t i = 0; i < c->findings.n && c->policy != CONF_CHECK_REQUIRE; i++)
        if (c->findings.v[i].level == FINDING_FAIL)
            c->findings.v[i].level = FINDING_WARN;
    c->handler.done(c->arg, &c->findings);
    checks_cancel(c);
}

/* One failure is enough, where not everything has to be told. */
static void ended_one(struct checks_call *c)
{
    bool decided = !c->full && findings_level(&c->findings) == FINDING_FAIL;
    if (--c->open == 0 || decided)
        loop_defer(c->checks->loop, &c->end, finish, c);
}

static void on_limit(void *arg)
{
    struct checks_call *c = arg;
    findings_add(&c->findings, FINDING_WARN, "dns", c->shown,
                 "DNS answers too slowly to check all of %s", c->name.name);
    finish(c);
}

static void add(struct checks_call *c, enum finding_level level, const char *check,
                const char *text)
{
    if (level == FINDING_OK && !c->full)
        return;
    for (size_t i = 0; i < c->findings.n; i++) /* CAA and alias may meet the same fault */
        if (str_eq(c->findings.v[i].text, text))
            return;
    findings_add(&c->findings, level, check, c->shown, "%s", text);
}

/* ---- DNSSEC ---- */

static void on_dnssec(void *arg, const struct dnssec_verdict *v)
{
    struct zone *z = arg;
    struct checks_call *c = z->owner;
    z->call = NULL;
    CLEANUP_FREE char *fine = xasprintf("the resolvers find no fault in %s", z->name);
    if (v->state == DNSSEC_SOUND)
        add(c, FINDING_OK, "dnssec", fine);
    else
        add(c, v->state == DNSSEC_BOGUS ? FINDING_FAIL : FINDING_WARN, "dnssec", v->text);
    ended_one(c);
}

static void check_dnssec(struct checks_call *c, const char *zone)
{
    for (size_t i = 0; i < c->n_zones; i++)
        if (str_eq(c->zones[i]->name, zone))
            return;
    if (!zone[0] || c->n_zones == ZONES_MAX)
        return;
    struct zone *z = c->zones[c->n_zones++] = xnew(struct zone);
    z->owner = c;
    z->name = xstrdup(zone);
    c->open++;
    z->call = dnssec_find(c->checks->dnssec, c->conf, zone, c->fresh, on_dnssec, z);
}

/* ---- delegations ---- */

static void tell_doubt(struct checks_call *c, const struct path *p)
{
    CLEANUP_FREE char *text = NULL;
    char why[700];
    err_text(&p->why, why, sizeof(why));
    if (str_eq(p->check, "caa"))
        text = xasprintf("the CAA records of %s could not be read, without which CAs do not issue: "
                         "%s",
                         c->name.name, why);
    else
        text = xstrdup(why);
    add(c, FINDING_WARN, p->check, text);
}

static void on_delegation(void *arg, const struct delegation_verdict *v)
{
    struct path *p = arg;
    struct checks_call *c = p->owner;
    p->call = NULL;
    add(c, v->level, "delegation", v->text);
    if (p->check && v->level != FINDING_FAIL)
        tell_doubt(c, p);
    ended_one(c);
}

/* check NULL: there was no fault. */
static void check_delegation(struct checks_call *c, const char *name, const char *check,
                             const struct err *why)
{
    const struct conf_dns_zone *policy = conf_dns_for(c->conf, name);
    if (c->n_paths == ARRAY_LEN(c->paths))
        return;
    struct path *p = c->paths[c->n_paths++] = xnew(struct path);
    p->owner = c;
    p->check = check;
    if (why)
        p->why = *why;
    if (policy->servers.n || policy->ask == CONF_ASK_RESOLVERS) { /* nobody looks at NS records */
        if (check)
            tell_doubt(c, p);
        return;
    }
    c->open++;
    p->call = delegation_find(c->checks->delegation, c->conf, name, c->fresh, on_delegation, p);
}

/* ---- CAA ---- */

static const struct caa_asker no_asker = {.ca = ""};

static void judge(struct checks_call *c, const struct caa_set *set)
{
    struct findings f = {NULL, 0};
    const struct caa_asker *asker = &no_asker;
    if (set->n)
        asker = c->handler.asker(c->arg, caa_names_account(set));
    if (!asker) {
        c->judging = true;
        return;
    }
    caa_judge(set, c->shown, asker, &f);
    for (size_t i = 0; i < f.n; i++)
        add(c, f.v[i].level, "caa", f.v[i].text);
    findings_done(&f);
}

static void on_slow(void *arg)
{
    struct checks_call *c = arg;
    check_delegation(c, c->name.name, NULL, NULL);
}

static void on_caa(void *arg, const struct caa_set *set, const struct err *err)
{
    struct checks_call *c = arg;
    c->caa = NULL;
    timer_cancel(&c->slow);
    if (!set && err->cls == ERR_BLOCKED) {
        add(c, FINDING_FAIL, "delegation", err->detail);
    } else if (!set) {
        check_delegation(c, c->name.name, "caa", err);
    } else {
        check_dnssec(c, set->zone);
        if (c->full)
            check_delegation(c, set->zone[0] ? set->zone : c->name.name, NULL, NULL);
        judge(c, set);
        if (c->judging)
            return; /* stays open */
    }
    ended_one(c);
}

static void on_caa_again(void *arg, const struct caa_set *set, const struct err *err)
{
    struct checks_call *c = arg;
    c->caa = NULL;
    if (set)
        judge(c, set);
    else
        check_delegation(c, c->name.name, "caa", err);
    ended_one(c);
}

void checks_asker(struct checks_call *c)
{
    if (!c->judging)
        return;
    c->judging = false;
    c->caa = caa_find(c->checks->caa, c->conf, c->name.name, false, on_caa_again, c);
}

/* ---- records ---- */

static void tell_place(struct checks_call *c, const struct alias_chain *chain,
                       const struct conf_provider *p)
{
    const char *final = chain->names[chain->n - 1], *zone = chain->zones[chain->n - 1];
    struct checks_place *place = c->place = xnew(struct checks_place);
    str_copy(place->provider, sizeof(place->provider), p->name);
    str_copy(place->fqdn, sizeof(place->fqdn), final);
    str_copy(place->zone, sizeof(place->zone), zone);
    CLEANUP_FREE char *text = xasprintf("the record %s goes to %s%s%s, through the provider %s",
                                        chain->names[0], chain->n > 1 ? final : "its own name",
                                        zone[0] ? " in the zone " : "", zone, p->name);
    add(c, FINDING_OK, "alias", text);
}

/* Another way of validation may do without the record. */
static enum finding_level level_of_records(const struct checks_call *c)
{
    return c->only_records ? FINDING_FAIL : FINDING_WARN;
}

/* No one writes into a top-level domain, unless a provider is said to. */
static bool leads_nowhere(const struct alias_chain *chain, const struct conf_provider *p)
{
    const char *zone = chain->zones[chain->n - 1];
    for (size_t i = 0; i < p->zones.n; i++)
        if (name_under(chain->names[chain->n - 1], p->zones.v[i]))
            return false;
    return chain->n > 1 && zone[0] && !strchr(zone, '.');
}

static void tell_nowhere(struct checks_call *c, const struct alias_chain *chain)
{
    const char *final = chain->names[chain->n - 1], *zone = chain->zones[chain->n - 1];
    const char *domain = final;
    while (!str_eq(name_parent(domain), zone) && name_parent(domain)[0])
        domain = name_parent(domain);
    CLEANUP_FREE char *text =
        xasprintf("the alias (CNAME) %s leads to %s, but there is no domain %s: register it, or "
                  "correct the CNAME",
                  chain->names[0], final, domain);
    add(c, level_of_records(c), "alias", text);
}

static void on_alias(void *arg, const struct alias_chain *chain, const struct err *err)
{
    struct checks_call *c = arg;
    struct err e = ERR_INIT;
    char text[700], at[NAME_MAX_TEXT];
    str_copy(at, sizeof(at), name_parent(alias_at(c->alias)));
    c->alias = NULL;
    if (chain) {
        for (size_t i = 0; i < chain->n; i++)
            check_dnssec(c, chain->zones[i]);
        const struct conf_provider *p = publisher_choose(c->conf, &c->cert, &c->name, chain, &e);
        if (p && leads_nowhere(chain, p))
            tell_nowhere(c, chain);
        else if (p)
            tell_place(c, chain, p);
        else
            add(c, level_of_records(c), "provider", err_text(&e, text, sizeof(text)));
    } else if (err->cls == ERR_BLOCKED || err->cls == ERR_CONFIG) {
        add(c, level_of_records(c), "alias", err_text(err, text, sizeof(text)));
    } else {
        check_delegation(c, at, "alias", err);
    }
    ended_one(c);
}

/* ---- the call ---- */

static void read_challenges(struct checks_call *c, const struct conf_name *name)
{
    c->records = name->challenges.n == 0;
    c->only_records = true;
    for (size_t i = 0; i < name->challenges.n; i++) {
        c->records = c->records || name->challenges.v[i] == CONF_DNS_01;
        c->only_records = c->only_records && name->challenges.v[i] == CONF_DNS_01;
    }
}

static void begin(void *arg)
{
    struct checks_call *c = arg;
    CLEANUP_FREE char *owner = xasprintf(CHALLENGE "%s", c->name.name);
    c->open = 1;
    c->caa = caa_find(c->checks->caa, c->conf, c->name.name, c->fresh, on_caa, c);
    timer_after(c->checks->loop, &c->slow, SLOW_MS, on_slow, c);
    if (c->records) {
        c->open++;
        c->alias = alias_follow(c->checks->publisher->cuts, c->conf, owner, on_alias, c);
    }
}

struct checks_call *checks_start(struct checks *checks, const struct checks_spec *s,
                                 const struct checks_handler *h, void *arg)
{
    struct checks_call *c = xnew(struct checks_call);
    bool wild = name_is_wildcard(s->name->name);
    c->checks = checks;
    c->conf = conf_ref(checks->publisher->conf);
    c->cert.name = xstrdup(s->cert->name);
    c->cert.provider = xstrdup(s->cert->provider);
    c->name.name = xstrdup(wild ? name_parent(s->name->name) : s->name->name);
    c->name.provider = xstrdup(s->name->provider);
    c->shown = xstrdup(s->name->name);
    c->full = s->full;
    c->fresh = s->fresh;
    c->policy = conf_dns_for(c->conf, c->name.name)->check;
    c->handler = *h;
    c->arg = arg;
    read_challenges(c, s->name);
    c->records = c->records && !s->no_records;
    timer_after(checks->loop, &c->limit, s->timeout_ms, on_limit, c);
    /* An IP address has no DNS to be checked. */
    loop_defer(checks->loop, &c->end, s->name->ip ? finish : begin, c);
    return c;
}

const struct checks_place *checks_place(const struct checks_call *c)
{
    static const struct checks_place none = {.provider = ""};
    return c->place ? c->place : &none;
}
