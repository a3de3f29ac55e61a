/* SPDX-License-Identifier: ISC */
/*
 *   start --> NAMES, and the rows of `rows` --all have ended--> PROVIDERS (FULL) --> done()
 *               |   CAA records: who are we?
 *               +--> facts of the directory, account --> the names go on
 */
#include "renew/preflight.h"
#include "acme/facts.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "dns/checks.h"
#include "dns/provider.h"
#include "link/keeper.h"
#include "renew/persist_watch.h"
#include "renew/policy.h"
#include "store/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#define ORDER_LIMIT_MS (12 * POLICY_SECOND) /* an order waits no longer for DNS */
#define FULL_LIMIT_MS (40 * POLICY_SECOND)
#define PROVIDER_LIMIT_MS POLICY_MINUTE
#define FACTS_LIMIT_MS (20 * POLICY_SECOND)
#define SPACE_LOW (INT64_C(32) << 20)
#define SPACE_NONE (INT64_C(1) << 20)
#define STORE_KEY "preflight/probe"

enum known { KNOWN_NOT, KNOWN_ASKED, KNOWN };

struct name_check {
    struct preflight *owner;
    const struct conf_name *name;
    struct checks_call *call;
    struct caa_asker asker;
    const char *methods[CONF_CHALLENGE_TYPES];
    bool waits, wants_account;
    struct findings findings;
};

struct place { /* that a provider is asked about */
    struct preflight *owner;
    struct checks_place at;
    struct provider_call *call;
};

struct preflight {
    const struct preflight_env *env;
    struct conf *conf;
    const struct conf_cert *cert;
    const struct conf_ca *ca; /* of conf */
    enum preflight_depth depth;
    int64_t not_before_ms;
    struct name_check *names;
    size_t n_names;
    struct place *places;
    size_t n_places;
    unsigned open;
    bool providers_asked;
    enum known facts, account;
    struct acme_facts_call *facts_call;
    struct keeper_call *account_call;
    struct timer facts_limit;
    struct err facts_err;
    char **identities;
    size_t n_identities;
    char *account_url;
    bool has_terms, eab_required, checks_account, checks_clock;
    int64_t ahead_ms;
    struct store_call *store_call;
    struct persist_watch *persist;
    char *only;               /* name */
    struct findings findings; /* of no name */
    struct defer end;
    struct preflight_handler handler;
    void *arg;
};

static void ended_one(struct preflight *p);

static void progress(struct preflight *p, const char *fmt, const char *what)
{
    char text[400];
    if (!p->handler.progress)
        return;
    snprintf(text, sizeof(text), "%s %s", fmt, what);
    p->handler.progress(p->arg, text);
}

/* ---- the directory and the account ---- */

static void clock_told(struct preflight *p);
static void account_told(struct preflight *p);

static bool knows(const struct preflight *p, bool account)
{
    return p->facts == KNOWN && (!account || p->account == KNOWN);
}

static void wake_names(struct preflight *p)
{
    for (size_t i = 0; i < p->n_names; i++) {
        struct name_check *n = &p->names[i];
        if (!n->waits || !knows(p, n->wants_account))
            continue;
        n->waits = false;
        checks_asker(n->call);
    }
}

static void learnt(struct preflight *p)
{
    wake_names(p);
    if (p->checks_clock && p->facts == KNOWN)
        clock_told(p);
    if (p->checks_account && p->facts == KNOWN && p->account == KNOWN)
        account_told(p);
}

static void on_facts(void *arg, const struct acme_facts *f, const struct err *err)
{
    struct preflight *p = arg;
    p->facts_call = NULL;
    timer_cancel(&p->facts_limit);
    p->facts = KNOWN;
    if (!f) {
        p->facts_err = *err;
        learnt(p);
        return;
    }
    p->identities = xcalloc(f->n_caa_identities + 1, sizeof(*p->identities));
    for (size_t i = 0; i < f->n_caa_identities; i++)
        p->identities[p->n_identities++] = xstrdup(f->caa_identities[i]);
    p->has_terms = f->terms[0] != '\0';
    p->eab_required = f->eab_required;
    p->ahead_ms = f->ahead_ms;
    learnt(p);
}

static void on_facts_limit(void *arg)
{
    struct preflight *p = arg;
    struct err e = ERR_INIT;
    acme_facts_cancel(p->facts_call);
    err_set(&e, ERR_TRANSIENT, "no answer in time");
    on_facts(p, NULL, &e);
}

static void on_account(void *arg, const struct keeper_account *a, const struct err *err)
{
    struct preflight *p = arg;
    p->account_call = NULL;
    p->account = KNOWN;
    free(p->account_url);
    p->account_url = xstrdup(a && !err_is(err) ? a->url : "");
    learnt(p);
}

static void want_facts(struct preflight *p, bool account)
{
    struct keeper *k = p->env->keeper;
    if (p->facts == KNOWN_NOT) {
        p->facts = KNOWN_ASKED;
        p->facts_call = acme_facts_get(p->env->acme, p->ca->name, on_facts, p);
        timer_after(p->env->loop, &p->facts_limit, FACTS_LIMIT_MS, on_facts_limit, p);
    }
    if (account && p->account == KNOWN_NOT) {
        p->account = KNOWN_ASKED;
        p->account_call = k->ops->account(k, p->ca->name, on_account, p);
    }
}

/* ---- names ---- */

static const struct caa_asker *asker_of(void *arg, bool account)
{
    struct name_check *n = arg;
    struct preflight *p = n->owner;
    if (!knows(p, account)) {
        n->waits = true;
        n->wants_account = account;
        want_facts(p, account);
        return NULL;
    }
    n->asker = (struct caa_asker){.ca = p->ca->name,
                                  .identities = (const char *const *)p->identities,
                                  .n_identities = p->n_identities,
                                  .account = p->account_url ? p->account_url : "",
                                  .methods = n->methods};
    const struct conf_challenges *all = &n->name->challenges;
    for (size_t i = 0; i < all->n; i++)
        n->methods[n->asker.n_methods++] = conf_challenge_name(all->v[i]);
    if (!all->n)
        n->methods[n->asker.n_methods++] = conf_challenge_name(CONF_DNS_01);
    return &n->asker;
}

static bool same_place(const struct checks_place *a, const struct checks_place *b)
{
    return str_eq(a->provider, b->provider) && str_eq(a->zone, b->zone);
}

/* One name stands for all of a zone. */
static void keep_place(struct preflight *p, const struct checks_place *at)
{
    if (p->depth != PREFLIGHT_FULL || !at->provider[0])
        return;
    for (size_t i = 0; i < p->n_places; i++)
        if (same_place(&p->places[i].at, at))
            return;
    p->places = xrealloc_array(p->places, p->n_places + 1, sizeof(*p->places));
    p->places[p->n_places++] = (struct place){.owner = p, .at = *at};
}

static void on_checked(void *arg, struct findings *f)
{
    struct name_check *n = arg;
    struct preflight *p = n->owner;
    keep_place(p, checks_place(n->call));
    n->call = NULL;
    n->waits = false;
    findings_take(&n->findings, f);
    ended_one(p);
}

/* Whose record is the other's, too. */
static bool has_plain_twin(const struct preflight *p, const struct conf_name *name)
{
    if (!name_is_wildcard(name->name))
        return false;
    for (size_t i = 0; i < p->n_names; i++)
        if (str_eq(p->names[i].name->name, name_parent(name->name)))
            return true;
    return false;
}

static void check_names(struct preflight *p)
{
    static const struct checks_handler handler = {asker_of, on_checked};
    for (size_t i = 0; i < p->n_names; i++) {
        struct name_check *n = &p->names[i];
        const struct checks_spec spec = {
            .cert = p->cert,
            .name = n->name,
            .full = p->depth == PREFLIGHT_FULL,
            .fresh = p->depth != PREFLIGHT_ORDER,
            .no_records = has_plain_twin(p, n->name),
            .timeout_ms = p->depth == PREFLIGHT_ORDER ? ORDER_LIMIT_MS : FULL_LIMIT_MS,
        };
        p->open++;
        n->call = checks_start(p->env->checks, &spec, &handler, n);
    }
    if (p->n_names)
        progress(p, "checking", p->n_names == 1 ? p->names[0].name->name : "the names");
}

/* `check: none` says that what is seen from here means nothing. */
static bool is_wanted(const struct preflight_spec *s, const struct conf_name *name)
{
    if (s->only && s->only[0] && !str_eq(s->only, name->name))
        return false;
    const char *bare = name_is_wildcard(name->name) ? name_parent(name->name) : name->name;
    return s->depth == PREFLIGHT_FULL || conf_dns_for(s->conf, bare)->check != CONF_CHECK_NONE;
}

/* ---- the records of dns-persist-01 ---- */

static void on_persist(void *arg, struct findings *f)
{
    struct preflight *p = arg;
    p->persist = NULL;
    findings_take(&p->findings, f);
    ended_one(p);
}

/* An order looks for them itself. */
static void check_persist(struct preflight *p)
{
    const struct persist_watch_spec spec = {
        .loop = p->env->loop,
        .store = p->env->store,
        .publisher = p->env->publisher,
        .keeper = p->env->keeper,
        .conf = p->conf,
        .cert = p->cert,
        .only = p->only,
        .ca = p->ca->name,
    };
    if (p->depth == PREFLIGHT_ORDER || !persist_watch_wanted(p->cert))
        return;
    p->open++;
    p->persist = persist_watch_start(&spec, on_persist, p);
}

/* ---- what is looked at beside the names ---- */

static void check_store(struct preflight *p);
static void check_clock(struct preflight *p);
static void check_account(struct preflight *p);

#define ANY_CHALLENGE (~0u)

/* By what the certificate's challenges need; FULL only. */
static const struct row {
    unsigned challenges; /* bits of enum conf_challenge, one of which makes it worth while */
    void (*start)(struct preflight *p);
} rows[] = {
    {ANY_CHALLENGE, check_store},
    {ANY_CHALLENGE, check_clock},
    {ANY_CHALLENGE, check_account},
};

static unsigned challenges_of(const struct preflight *p)
{
    unsigned all = 0;
    for (size_t i = 0; i < p->n_names; i++)
        for (size_t k = 0; k < p->names[i].name->challenges.n; k++)
            all |= 1u << p->names[i].name->challenges.v[k];
    return all ? all : 1u << CONF_DNS_01;
}

static void check_rest(struct preflight *p)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].challenges & challenges_of(p))
            rows[i].start(p);
}

/* ---- the store ---- */

static void on_store(void *arg, const struct err *err)
{
    struct preflight *p = arg;
    char text[700];
    p->store_call = NULL;
    if (err_is(err))
        findings_add(&p->findings, FINDING_FAIL, "store", "",
                     "the state store cannot be written: %s", err_text(err, text, sizeof(text)));
    else
        findings_add(&p->findings, FINDING_OK, "store", "", "the state store can be written");
    ended_one(p);
}

static void check_space(struct preflight *p)
{
    const char *folder = p->conf->state_dir; /* what is in it is on one file system */
    struct statvfs fs;
    if (statvfs(folder, &fs) != 0) {
        findings_add(&p->findings, FINDING_WARN, "store", "",
                     "the space left in %s is not known: %s", folder, strerror(errno));
        return;
    }
    int64_t left = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
    bool nodes = fs.f_files == 0 || fs.f_favail > 16;
    if (left < SPACE_NONE || !nodes)
        findings_add(&p->findings, FINDING_FAIL, "store", "",
                     "the file system of %s is full: make room before keys and certificates have "
                     "to be stored",
                     folder);
    else if (left < SPACE_LOW)
        findings_add(&p->findings, FINDING_WARN, "store", "",
                     "only %lld MiB are left on the file system of %s: make room",
                     (long long)(left >> 20), folder);
}

static void check_store(struct preflight *p)
{
    const struct store_op op = {.key = STORE_KEY, .value = "1", .len = 1, .expected = STORE_ANY};
    check_space(p);
    p->open++;
    p->store_call = store_batch(p->env->store, &op, 1, on_store, p);
}

/* ---- the clock ---- */

static void clock_told(struct preflight *p)
{
    int64_t now = loop_wall_ms(p->env->loop);
    int64_t off = p->ahead_ms < 0 ? -p->ahead_ms : p->ahead_ms;
    char text[32], at[32];
    p->checks_clock = false;
    str_from_duration(off, text, sizeof(text));
    str_from_time(now, at, sizeof(at));
    if (now < POLICY_EPOCH)
        findings_add(&p->findings, FINDING_FAIL, "clock", "",
                     "the clock says %s, which cannot be: set it", at);
    else if (off > POLICY_DAY)
        findings_add(&p->findings, FINDING_FAIL, "clock", "", "the clock is %s %s the CA's: set it",
                     text, p->ahead_ms > 0 ? "behind" : "ahead of");
    else if (off > 5 * POLICY_MINUTE)
        findings_add(&p->findings, FINDING_WARN, "clock", "", "the clock is %s %s the CA's: set it",
                     text, p->ahead_ms > 0 ? "behind" : "ahead of");
    else if (p->not_before_ms > now)
        findings_add(&p->findings, FINDING_WARN, "clock", "",
                     "the clock says %s, but the installed certificate is not valid yet then", at);
    else
        findings_add(&p->findings, FINDING_OK, "clock", "", "the clock says %s%s", at,
                     p->ahead_ms ? ", as the CA's does" : "");
    ended_one(p);
}

static void check_clock(struct preflight *p)
{
    p->open++;
    p->checks_clock = true;
    want_facts(p, false);
}

/* ---- the account ---- */

static void account_told(struct preflight *p)
{
    const struct conf_ca *ca = p->ca;
    char text[700];
    p->checks_account = false;
    if (err_is(&p->facts_err))
        findings_add(&p->findings, FINDING_WARN, "account", "", "the CA %s is not reached: %s",
                     ca->name, err_text(&p->facts_err, text, sizeof(text)));
    else if (p->account_url[0])
        findings_add(&p->findings, FINDING_OK, "account", "", "the account at %s is %s", ca->name,
                     p->account_url);
    else if (p->has_terms && !ca->agree_tos)
        findings_add(&p->findings, FINDING_FAIL, "account", "",
                     "there is no account at %s yet, and it has terms of service: read them, then "
                     "write agree_tos: true",
                     ca->name);
    else if (p->eab_required && !ca->eab_kid[0] && !ca->eab_by_email)
        findings_add(&p->findings, FINDING_FAIL, "account", "",
                     "there is no account at %s yet, and it wants a binding to one that you have "
                     "there: write its eab (kid, hmac_key)",
                     ca->name);
    else
        findings_add(&p->findings, FINDING_OK, "account", "",
                     "the account at %s will be made with the first order", ca->name);
    ended_one(p);
}

static void check_account(struct preflight *p)
{
    p->open++;
    p->checks_account = true;
    want_facts(p, true);
}

/* ---- providers ---- */

static void on_provider(void *arg, const char *handle, const struct err *err)
{
    struct place *at = arg;
    struct preflight *p = at->owner;
    const char *provider = at->at.provider, *zone = at->at.zone;
    char text[700];
    at->call = NULL;
    bool certain = err->cls == ERR_DENIED || err->cls == ERR_CONFIG || err->cls == ERR_BLOCKED;
    if (err_is(err))
        findings_add(&p->findings, certain ? FINDING_FAIL : FINDING_WARN, "provider", "",
                     "%s, for %s: %s", provider, zone, err_text(err, text, sizeof(text)));
    else if (str_eq(handle, PROVIDER_UNCHECKED))
        findings_add(&p->findings, FINDING_OK, "provider", "",
                     "%s serves %s; its plugin cannot check the credentials", provider, zone);
    else
        findings_add(&p->findings, FINDING_OK, "provider", "", "%s is let change %s", provider,
                     zone);
    ended_one(p);
}

static void ask_providers(struct preflight *p)
{
    p->open += (unsigned)p->n_places;
    for (size_t i = 0; i < p->n_places; i++) {
        struct place *at = &p->places[i];
        const struct provider_txt txt = {
            .fqdn = at->at.fqdn, .value = "", .zone = at->at.zone, .handle = ""};
        progress(p, "asking the provider", at->at.provider);
        at->call = provider_check(p->env->providers, at->at.provider, &txt, PROVIDER_LIMIT_MS,
                                  on_provider, at);
    }
}

/* ---- the whole ---- */

void preflight_cancel(struct preflight *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->n_names; i++) {
        checks_cancel(p->names[i].call);
        findings_done(&p->names[i].findings);
    }
    for (size_t i = 0; i < p->n_places; i++)
        provider_cancel(p->places[i].call);
    acme_facts_cancel(p->facts_call);
    keeper_cancel(p->env->keeper, p->account_call);
    if (p->store_call)
        store_cancel(p->env->store, p->store_call);
    persist_watch_cancel(p->persist);
    free(p->only);
    timer_cancel(&p->facts_limit);
    defer_cancel(&p->end);
    for (size_t i = 0; i < p->n_identities; i++)
        free(p->identities[i]);
    free(p->identities);
    free(p->account_url);
    free(p->places);
    free(p->names);
    findings_done(&p->findings);
    conf_unref(p->conf);
    free(p);
}

static void finish(void *arg)
{
    struct preflight *p = arg;
    struct preflight_handler handler = p->handler;
    void *owner = p->arg;
    struct findings all = {NULL, 0};
    for (size_t i = 0; i < p->n_names; i++)
        findings_take(&all, &p->names[i].findings);
    findings_take(&all, &p->findings);
    preflight_cancel(p);
    handler.done(owner, &all);
    findings_done(&all);
}

static void ended_one(struct preflight *p)
{
    if (--p->open)
        return;
    if (!p->providers_asked && p->n_places) {
        p->providers_asked = true;
        ask_providers(p);
        return;
    }
    loop_defer(p->env->loop, &p->end, finish, p);
}

static void begin(void *arg)
{
    struct preflight *p = arg;
    p->open = 1;
    check_names(p);
    check_persist(p);
    if (p->depth == PREFLIGHT_FULL)
        check_rest(p);
    ended_one(p);
}

struct preflight *preflight_start(const struct preflight_env *env, const struct preflight_spec *s,
                                  const struct preflight_handler *h, void *arg)
{
    struct preflight *p = xnew(struct preflight);
    p->env = env;
    p->conf = conf_ref(s->conf);
    p->cert = s->cert;
    p->ca = conf_find_ca(s->conf, s->ca);
    p->ca = p->ca ? p->ca : &s->conf->cas[0];
    p->depth = s->depth;
    p->only = xstrdup(s->only ? s->only : "");
    p->not_before_ms = s->not_before_ms;
    p->handler = *h;
    p->arg = arg;
    p->names = xcalloc(s->cert->n_names + 1, sizeof(*p->names));
    for (size_t i = 0; i < s->cert->n_names; i++)
        if (is_wanted(s, &s->cert->names[i]))
            p->names[p->n_names++] = (struct name_check){.owner = p, .name = &s->cert->names[i]};
    loop_defer(env->loop, &p->end, begin, p);
    return p;
}

bool preflight_blocks(const struct findings *f, struct err *ret)
{
    const struct finding *worst = findings_worst(f);
    if (!worst || worst->level != FINDING_FAIL)
        return false;
    size_t more = 0;
    for (size_t i = 0; i < f->n; i++)
        more += f->v[i].level == FINDING_FAIL && &f->v[i] != worst;
    err_clear(ret);
    err_set(ret, ERR_BLOCKED, "%.400s", worst->text);
    if (more) {
        size_t n = strlen(ret->detail);
        snprintf(ret->detail + n, sizeof(ret->detail) - n, " (and %zu more)", more);
    }
    str_copy(ret->type, sizeof(ret->type), worst->check);
    err_activity(ret, "preflight%s%.100s", worst->name[0] ? " of " : "", worst->name);
    return true;
}
