/* SPDX-License-Identifier: ISC */
#include "renew/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "renew/state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

void limits_init(struct limits *l)
{
    l->budgets = budgets_new();
    l->healths = healths_new();
}

void limits_done(struct limits *l)
{
    budgets_free(l->budgets);
    healths_free(l->healths);
}

/* ---- which CA ---- */

static const struct conf_ca *ca_at(const struct cert *c, unsigned i)
{
    const struct conf_strs *cas = &c->conf->cas;
    const struct conf_ca *ca = conf_find_ca(c->renew->conf, cas->v[i % cas->n]);
    return ca ? ca : &c->renew->conf->cas[0];
}

/* An order that is known to exist is brought to its end where it is. */
const struct conf_ca *limits_ca(const struct cert *c)
{
    const struct renew *r = c->renew;
    bool bound = c->order && c->order->url[0];
    for (unsigned i = 0; i < c->conf->cas.n && !bound; i++) {
        const struct conf_ca *ca = ca_at(c, c->st.ca + i);
        if (health_away_until(r->limits.healths, ca->directory) <= renew_now(r))
            return ca;
    }
    return ca_at(c, c->st.ca);
}

/* ---- what counts ---- */

static bool is_renewal(const struct cert *c, const struct conf_ca *ca)
{
    return c->in.present && c->in.names_match && str_eq(c->in.directory, ca->directory);
}

static bool in_window(const struct cert *c, const struct conf_ca *ca)
{
    int64_t now = renew_now(c->renew);
    return c->conf->ari && is_renewal(c, ca) && c->in.cert_id[0] && !c->st.no_ari &&
           c->st.window.start_ms <= now && now < c->st.window.end_ms;
}

/* ---- budgets ---- */

enum { OF_ORDERS = 1, OF_CERTIFICATES = 2, OF_FAILURES = 4 };

/* false: that was enough. */
typedef bool visit_fn(void *arg, const struct budget *b);

static bool visit_domains(const struct cert *c, const struct budget *of, visit_fn *fn, void *arg)
{
    const struct conf_cert *conf = c->conf;
    struct budget b = *of;
    for (size_t i = 0; i < conf->n_names; i++) {
        bool again = false;
        b.subject = conf->names[i].domain;
        for (size_t j = 0; b.subject && j < i; j++)
            again |= conf->names[j].domain && str_eq(conf->names[j].domain, b.subject);
        if (b.subject && b.subject[0] && !again && !fn(arg, &b))
            return false;
    }
    return true;
}

static bool visit_certificates(const struct cert *c, const struct conf_ca *ca, const char *account,
                               visit_fn *fn, void *arg)
{
    char names[24];
    snprintf(names, sizeof(names), "%016" PRIx64, cert_names_hash(c->conf));
    struct budget same = {BUDGET_SAME_NAMES, &ca->same_names_limit, account, names};
    struct budget domain = {BUDGET_DOMAIN, &ca->domain_limit, account, ""};
    if (in_window(c, ca))
        return true;
    if (same.limit->n && !fn(arg, &same))
        return false;
    return is_renewal(c, ca) || !domain.limit->n || visit_domains(c, &domain, fn, arg);
}

static bool visit_names(const struct cert *c, const struct conf_ca *ca, const char *account,
                        visit_fn *fn, void *arg)
{
    struct budget b = {BUDGET_FAILURES, &ca->failures_limit, account, ""};
    for (size_t i = 0; b.limit->n && i < c->conf->n_names; i++) {
        b.subject = c->conf->names[i].name;
        if (!fn(arg, &b))
            return false;
    }
    return true;
}

/* The budgets that an order for c needs, of the kinds asked for. */
static void visit(const struct cert *c, const struct conf_ca *ca, unsigned kinds, visit_fn *fn,
                  void *arg)
{
    if (!ca->orders_limit.n && !ca->same_names_limit.n && !ca->domain_limit.n &&
        !ca->failures_limit.n)
        return;
    CLEANUP_FREE char *account = budget_account(ca);
    struct budget orders = {BUDGET_ORDERS, &ca->orders_limit, account, ""};
    if ((kinds & OF_ORDERS) && orders.limit->n && !is_renewal(c, ca) && !fn(arg, &orders))
        return;
    if ((kinds & OF_CERTIFICATES) && !visit_certificates(c, ca, account, fn, arg))
        return;
    if (kinds & OF_FAILURES)
        visit_names(c, ca, account, fn, arg);
}

/* ---- when ---- */

char *limits_lane(const struct cert *c, const struct conf_ca *ca)
{
    bool counts = !c->order && !is_renewal(c, ca);
    CLEANUP_FREE char *account = budget_account(ca);
    return xasprintf("%s%s", account, counts ? ", new orders" : "");
}

struct search {
    const struct budgets *budgets;
    int64_t now_ms, at_ms;
    char *why;
    size_t size;
};

static bool find_latest(void *arg, const struct budget *b)
{
    struct search *s = arg;
    char text[300];
    int64_t at = budget_free_at(s->budgets, b, s->now_ms);
    if (at > s->at_ms) {
        s->at_ms = at;
        snprintf(s->why, s->size, "the CA allows %s: waiting for the next",
                 budget_text(b, text, sizeof(text)));
    }
    return true;
}

int64_t limits_free_at(const struct cert *c, const struct conf_ca *ca, char *why, size_t size)
{
    const struct renew *r = c->renew;
    struct search s = {r->limits.budgets, renew_now(r), 0, why, size};
    str_copy(why, size, "");
    if (!c->order)
        visit(c, ca, OF_CERTIFICATES | OF_FAILURES, find_latest, &s);
    return s.at_ms;
}

/* Who is held when, by what the account has left and by whether the CA is there. */
static void hold_lanes(const struct cert *c, const struct conf_ca *ca)
{
    struct renew *r = c->renew;
    int64_t away_until_ms = health_away_until(r->limits.healths, ca->directory);
    CLEANUP_FREE char *account = budget_account(ca);
    CLEANUP_FREE char *counting = xasprintf("%s, new orders", account);
    struct budget orders = {BUDGET_ORDERS, &ca->orders_limit, account, ""};
    int64_t free_at = budget_free_at(r->limits.budgets, &orders, renew_now(r));
    scheduler_hold_lane(r->scheduler, account, away_until_ms);
    scheduler_hold_lane(r->scheduler, counting, free_at > away_until_ms ? free_at : away_until_ms);
}

/* ---- taking and giving back ---- */

struct taking {
    struct budgets *budgets;
    int64_t now_ms;
    bool back;
    struct budget_write *writes;
    size_t n;
};

static bool take(void *arg, const struct budget *b)
{
    struct taking *t = arg;
    bool stored = t->back ? budget_give_back(t->budgets, b, t->now_ms, &t->writes[t->n])
                          : budget_take(t->budgets, b, t->now_ms, &t->writes[t->n]);
    t->n += stored;
    return t->n < LIMITS_WRITES;
}

static struct taking taking_of(const struct cert *c, struct budget_write *writes)
{
    return (struct taking){c->renew->limits.budgets, renew_now(c->renew), false, writes, 0};
}

size_t limits_take(struct cert *c, const struct conf_ca *ca, struct budget_write *writes)
{
    struct taking t = taking_of(c, writes);
    visit(c, ca, OF_ORDERS | OF_CERTIFICATES, take, &t);
    c->counted = true;
    hold_lanes(c, ca);
    return t.n;
}

/* RFC 8555 6.7: what the CA says of a name that it could not validate. */
static bool found_invalid(const struct err *err)
{
    static const char *const types[] = {"caa", "connection",  "dns", "incorrectResponse",
                                        "tls", "unauthorized"};
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (str_eq(err->type, types[i]) && str_starts(err->activity, "validating"))
            return true;
    return false;
}

size_t limits_give_back(struct cert *c, const struct conf_ca *ca, const struct err *err,
                        struct budget_write *writes)
{
    struct taking t = taking_of(c, writes);
    t.back = true;
    if (c->counted)
        visit(c, ca, OF_CERTIFICATES, take, &t);
    c->counted = false;
    t.back = false;
    if (t.n < LIMITS_WRITES && found_invalid(err))
        visit(c, ca, OF_FAILURES, take, &t);
    return t.n;
}

/* ---- whether it is there ---- */

void limits_queue(const struct cert *c, const struct conf_ca *ca)
{
    if (ca->orders_limit.n && !c->order)
        hold_lanes(c, ca);
}

void limits_began(struct cert *c, const struct conf_ca *ca)
{
    struct renew *r = c->renew;
    c->began_ms = renew_now(r);
    if (health_probe(r->limits.healths, ca->directory, c->began_ms))
        hold_lanes(c, ca);
}

bool limits_note(struct cert *c, const struct conf_ca *ca, const struct err *err)
{
    struct healths *h = c->renew->limits.healths;
    int64_t now = renew_now(c->renew), before = health_away_until(h, ca->directory);
    struct log_ctx log = {c->renew->env.log, NULL};
    char span[32];
    health_note(h, ca->directory, err, c->began_ms, now);
    int64_t after = health_away_until(h, ca->directory);
    if (before == after)
        return false;
    if (after && !before)
        log_warn(&log, "CA %s does not answer: it is left alone for %s, then for longer", ca->name,
                 str_from_duration(after - now, span, sizeof(span)));
    else if (!after)
        log_info(&log, "CA %s answers again", ca->name);
    hold_lanes(c, ca);
    return after && !before;
}

void limits_text(const struct cert *c, const struct conf_ca *ca, char *buf, size_t size)
{
    const struct renew *r = c->renew;
    struct budget orders = {BUDGET_ORDERS, &ca->orders_limit, "", ""};
    char text[300];
    if (health_away_until(r->limits.healths, ca->directory) > renew_now(r))
        snprintf(buf, size, "CA %s does not answer: it is left alone for a while", ca->name);
    else
        snprintf(buf, size, "CA %s allows %s: waiting for the next", ca->name,
                 budget_text(&orders, text, sizeof(text)));
}

void renew_limits(const struct renew *r, void (*fn)(void *arg, const struct renew_limit *),
                  void *arg)
{
    int64_t now = renew_now(r);
    for (size_t i = 0; r->conf && i < r->conf->n_cas; i++) {
        const struct conf_ca *ca = &r->conf->cas[i];
        CLEANUP_FREE char *account = budget_account(ca);
        struct budget orders = {BUDGET_ORDERS, &ca->orders_limit, account, ""};
        int64_t away = health_away_until(r->limits.healths, ca->directory);
        char text[300] = "";
        if (ca->orders_limit.n)
            budget_text(&orders, text, sizeof(text));
        const struct renew_limit l = {
            .ca = ca->name,
            .text = text,
            .left = budget_left(r->limits.budgets, &orders, now),
            .free_ms = budget_free_at(r->limits.budgets, &orders, now),
            .away_until_ms = away > now ? away : 0,
        };
        fn(arg, &l);
    }
}
