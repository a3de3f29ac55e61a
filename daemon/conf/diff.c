/* SPDX-License-Identifier: ISC */
/* What a reload changes, in the words of the manual. */
#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/load.h"

#include <stdarg.h>
#include <string.h>

struct out {
    struct conf_messages m;
    size_t cap;
};

static void say(struct out *o, const struct conf_where *w, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void say(struct out *o, const struct conf_where *w, const char *fmt, ...)
{
    struct buf b;
    va_list ap;

    buf_init(&b, 64 << 10);
    va_start(ap, fmt);
    buf_vputf(&b, fmt, ap);
    va_end(ap);
    if (o->m.n == o->cap) {
        o->cap = o->cap ? o->cap * 2 : 16;
        o->m.v = xrealloc_array(o->m.v, o->cap, sizeof *o->m.v);
    }
    o->m.v[o->m.n++] = (struct conf_message){
        .file = xstrdup(w && w->file ? w->file : ""),
        .line = w ? w->line : 0,
        .column = w ? w->column : 0,
        .text = buf_steal(&b),
    };
}

/* ---- equality ---- */

static bool strs_eq(const struct conf_strs *a, const struct conf_strs *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(a->v[i], b->v[i]))
            return false;
    return true;
}

static bool secret_same(const struct conf_secret *a, const struct conf_secret *b)
{
    if (a->kind != b->kind || !str_eq(a->source, b->source) || !strs_eq(&a->argv, &b->argv))
        return false;
    if (!a->value || !b->value)
        return a->value == b->value;
    return secret_len(a->value) == secret_len(b->value) &&
           secret_eq(a->value, secret_bytes(b->value), secret_len(b->value));
}

static bool step_eq(const struct conf_step *a, const struct conf_step *b)
{
    return a->kind == b->kind && a->timeout_ms == b->timeout_ms && strs_eq(&a->argv, &b->argv) &&
           str_eq(a->user, b->user) && a->once == b->once && str_eq(a->unit, b->unit) &&
           str_eq(a->path, b->path) && a->n_content == b->n_content &&
           !memcmp(a->content, b->content, a->n_content * sizeof *a->content) &&
           str_eq(a->owner, b->owner) && str_eq(a->group, b->group) && a->mode == b->mode &&
           secret_same(&a->password, &b->password) && strs_eq(&a->connect, &b->connect) &&
           str_eq(a->sni, b->sni) && str_eq(a->starttls, b->starttls);
}

static bool deployment_eq(const struct conf_deployment *a, const struct conf_deployment *b)
{
    if (!str_eq(a->name, b->name) || a->n_steps != b->n_steps)
        return false;
    for (size_t i = 0; i < a->n_steps; i++)
        if (!step_eq(&a->steps[i], &b->steps[i]))
            return false;
    return true;
}

static bool deploys_eq(const struct conf_cert *a, const struct conf_cert *b)
{
    if (a->n_deployments != b->n_deployments)
        return false;
    for (size_t i = 0; i < a->n_deployments; i++)
        if (!deployment_eq(&a->deployments[i], &b->deployments[i]))
            return false;
    return true;
}

static bool provider_eq(const struct conf_provider *a, const struct conf_provider *b)
{
    if (!str_eq(a->path, b->path) || !strs_eq(&a->zones, &b->zones) ||
        a->allow_exec != b->allow_exec || !str_eq(a->run_as, b->run_as) || a->ttl != b->ttl ||
        a->timeout_ms != b->timeout_ms || a->n_options != b->n_options)
        return false;
    for (size_t i = 0; i < a->n_options; i++)
        if (!str_eq(a->options[i].name, b->options[i].name) ||
            !str_eq(a->options[i].text, b->options[i].text) ||
            !secret_same(&a->options[i].secret, &b->options[i].secret))
            return false;
    return true;
}

static bool limit_eq(const struct conf_limit *a, const struct conf_limit *b)
{
    return a->n == b->n && a->per_ms == b->per_ms;
}

static bool account_eq(const struct conf_ca *a, const struct conf_ca *b)
{
    return str_eq(a->email, b->email) && a->agree_tos == b->agree_tos &&
           str_eq(a->account, b->account) && str_eq(a->eab_kid, b->eab_kid) &&
           secret_same(&a->eab_hmac_key, &b->eab_hmac_key) && a->eab_by_email == b->eab_by_email &&
           limit_eq(&a->orders_limit, &b->orders_limit) &&
           limit_eq(&a->same_names_limit, &b->same_names_limit) &&
           limit_eq(&a->domain_limit, &b->domain_limit) &&
           limit_eq(&a->failures_limit, &b->failures_limit) &&
           limit_eq(&a->requests_limit, &b->requests_limit);
}

static bool ca_eq(const struct conf_ca *a, const struct conf_ca *b)
{
    return str_eq(a->directory, b->directory) && str_eq(a->ca_file, b->ca_file) &&
           str_eq(a->ca_pem, b->ca_pem) && account_eq(a, b) && str_eq(a->profile, b->profile) &&
           str_eq(a->preferred_chain, b->preferred_chain) && a->timeout_ms == b->timeout_ms &&
           a->max_orders == b->max_orders && str_eq(a->staging, b->staging);
}

static bool zone_eq(const struct conf_dns_zone *a, const struct conf_dns_zone *b)
{
    return str_eq(a->suffix, b->suffix) && strs_eq(&a->servers, &b->servers) &&
           strs_eq(&a->resolvers, &b->resolvers) && a->ask == b->ask && a->check == b->check &&
           a->timeout_ms == b->timeout_ms;
}

/* ---- certificates ---- */

static bool has_name(const struct conf_cert *c, const char *name)
{
    for (size_t i = 0; i < c->n_names; i++)
        if (!strcmp(c->names[i].name, name))
            return true;
    return false;
}

/* The set counts, not the order. */
static bool names_eq(const struct conf_cert *a, const struct conf_cert *b)
{
    if (a->n_names != b->n_names)
        return false;
    for (size_t i = 0; i < a->n_names; i++)
        if (!has_name(b, a->names[i].name))
            return false;
    return true;
}

static bool name_providers_eq(const struct conf_cert *a, const struct conf_cert *b)
{
    if (!str_eq(a->provider, b->provider))
        return false;
    for (size_t i = 0; i < a->n_names; i++)
        for (size_t k = 0; k < b->n_names; k++)
            if (!strcmp(a->names[i].name, b->names[k].name) &&
                strcmp(a->names[i].provider, b->names[k].provider))
                return false;
    return true;
}

static bool challenges_eq(const struct conf_challenges *a, const struct conf_challenges *b)
{
    return a->n == b->n && !memcmp(a->v, b->v, a->n * sizeof a->v[0]);
}

static bool proof_eq(const struct conf_cert *a, const struct conf_cert *b)
{
    for (size_t i = 0; i < a->n_names; i++)
        for (size_t k = 0; k < b->n_names; k++)
            if (!strcmp(a->names[i].name, b->names[k].name) &&
                !challenges_eq(&a->names[i].challenges, &b->names[k].challenges))
                return false;
    return challenges_eq(&a->challenges, &b->challenges) && a->http01.kind == b->http01.kind &&
           strs_eq(&a->http01.listen, &b->http01.listen) &&
           str_eq(a->http01.webroot, b->http01.webroot) &&
           strs_eq(&a->http01.argv, &b->http01.argv) && strs_eq(&a->alpn_listen, &b->alpn_listen) &&
           a->persist.write == b->persist.write && a->persist.days_ms == b->persist.days_ms;
}

static bool key_eq(const struct conf_cert *a, const struct conf_cert *b)
{
    if (a->csr[0] || b->csr[0])
        return str_eq(a->csr, b->csr) && str_eq(a->csr_pem, b->csr_pem);
    return a->key == b->key && a->reuse_key == b->reuse_key && a->must_staple == b->must_staple;
}

/* A CA that some other entry has as its staging one. */
static bool is_staging(const struct conf *c, const char *ca)
{
    for (size_t i = 0; i < c->n_cas; i++)
        if (str_eq(c->cas[i].staging, ca))
            return true;
    return strstr(ca, "staging") != NULL;
}

static void diff_names(struct out *o, const struct conf_cert *a, const struct conf_cert *b)
{
    struct buf what;

    buf_init(&what, 1000);
    for (size_t i = 0; i < b->n_names && what.len < 400; i++)
        if (!has_name(a, b->names[i].name))
            buf_putf(&what, " +%s", b->names[i].name);
    for (size_t i = 0; i < a->n_names && what.len < 400; i++)
        if (!has_name(b, a->names[i].name))
            buf_putf(&what, " -%s", a->names[i].name);
    say(o, &b->where, "certificates: %s: names changed (%s): reissued now", b->name,
        what.len ? buf_str(&what) + 1 : "");
    buf_free(&what);
}

static void diff_ca(struct out *o, const struct conf *from, const struct conf_cert *a,
                    const struct conf_cert *b)
{
    bool now = is_staging(from, a->cas.v[0]) && strcmp(a->cas.v[0], b->cas.v[0]);

    say(o, &b->where, "certificates: %s: ca changed: %s", b->name,
        now ? "the present certificate is from a staging CA: reissued now"
            : "at the next renewal (now, if the present certificate is from a staging CA)");
}

static void diff_cert(struct out *o, const struct conf *from, const struct conf_cert *a,
                      const struct conf_cert *b)
{
    static const char later[] = "at the next renewal";

    if (a->enabled != b->enabled)
        say(o, &b->where, "certificates: %s: %s", b->name,
            b->enabled ? "enabled: renewed again" : "disabled: renewal stops, its files stay");
    if (!names_eq(a, b))
        diff_names(o, a, b);
    if (!strs_eq(&a->cas, &b->cas))
        diff_ca(o, from, a, b);
    if (!key_eq(a, b))
        say(o, &b->where, "certificates: %s: %s changed: %s", b->name,
            a->csr[0] || b->csr[0]             ? "csr"
            : a->must_staple != b->must_staple ? "must_staple"
                                               : "key",
            later);
    if (!proof_eq(a, b))
        say(o, &b->where, "certificates: %s: challenge changed: from the next order on", b->name);
    if (strcmp(a->profile, b->profile) || a->profile_or_default != b->profile_or_default)
        say(o, &b->where, "certificates: %s: profile changed: %s", b->name, later);
    if (!name_providers_eq(a, b))
        say(o, &b->where, "certificates: %s: provider changed: from the next order on", b->name);
    if (a->renew_before_ms != b->renew_before_ms ||
        a->renew_before_percent != b->renew_before_percent || a->ari != b->ari)
        say(o, &b->where,
            "certificates: %s: renew_before or ari changed: its next renewal is "
            "planned anew",
            b->name);
    if (strcmp(a->owner, b->owner) || strcmp(a->group, b->group) || a->key_mode != b->key_mode)
        say(o, &b->where, "certificates: %s: owner, group or key_mode changed: %s", b->name, later);
    if (!deploys_eq(a, b))
        say(o, &b->where,
            "certificates: %s: deploy changed: at the next deployment (now: renewctl "
            "deploy %s)",
            b->name, b->name);
}

static void diff_certs(struct out *o, const struct conf *from, const struct conf *to)
{
    for (size_t i = 0; i < to->n_certs; i++) {
        const struct conf_cert *b = &to->certs[i], *a = conf_find_cert(from, b->name);

        if (a)
            diff_cert(o, from, a, b);
        else
            say(o, &b->where, "certificates: %s: added%s", b->name,
                b->enabled ? ": issued now" : ", disabled");
    }
    for (size_t i = 0; i < from->n_certs; i++)
        if (!conf_find_cert(to, from->certs[i].name))
            say(o, &from->certs[i].where,
                "certificates: %s: removed: renewal stops, its files stay (renewctl delete %s "
                "archives them)",
                from->certs[i].name, from->certs[i].name);
}

/* ---- the rest ---- */

static void diff_providers(struct out *o, const struct conf *from, const struct conf *to)
{
    for (size_t i = 0; i < to->n_providers; i++) {
        const struct conf_provider *b = &to->providers[i], *a = conf_find_provider(from, b->name);

        if (!a)
            say(o, &b->where, "providers: %s: added", b->name);
        else if (!provider_eq(a, b))
            say(o, &b->where, "providers: %s: changed: its worker is started anew", b->name);
    }
    for (size_t i = 0; i < from->n_providers; i++)
        if (!conf_find_provider(to, from->providers[i].name))
            say(o, &from->providers[i].where, "providers: %s: removed", from->providers[i].name);
}

static void diff_cas(struct out *o, const struct conf *from, const struct conf *to)
{
    for (size_t i = 0; i < to->n_cas; i++) {
        const struct conf_ca *b = &to->cas[i], *a = conf_find_ca(from, b->name);

        if (a && a->account_key != b->account_key)
            say(o, &b->where,
                "cas: %s: account_key changed: for an account that is yet to be made (renewctl "
                "account rollover changes the key of one that is there)",
                b->name);
        if (!a)
            say(o, &b->where, "cas: %s: added", b->name);
        else if (!ca_eq(a, b))
            say(o, &b->where, "cas: %s: changed: from the next order on", b->name);
    }
    for (size_t i = 0; i < from->n_cas; i++)
        if (!conf_find_ca(to, from->cas[i].name))
            say(o, &from->cas[i].where, "cas: %s: removed", from->cas[i].name);
}

static void diff_dns(struct out *o, const struct conf *from, const struct conf *to)
{
    bool same = from->n_dns_zones == to->n_dns_zones;

    for (size_t i = 0; same && i < to->n_dns_zones; i++)
        same = zone_eq(&from->dns_zones[i], &to->dns_zones[i]);
    if (!same)
        say(o, NULL, "dns: changed: from the next check on");
}

static void diff_top(struct out *o, const struct conf *from, const struct conf *to)
{
    const struct {
        const char *key, *a, *b;
    } restart[] = {
        {"state_dir", from->state_dir, to->state_dir},
        {"control_socket", from->control_socket, to->control_socket},
        {"control_group", from->control_group, to->control_group},
        {"user", from->user, to->user},
        {"worker_user", from->worker_user, to->worker_user},
    };

    for (size_t i = 0; i < ARRAY_LEN(restart); i++)
        if (!str_eq(restart[i].a, restart[i].b))
            say(o, NULL, "%s: changed from %s to %s: takes effect after a restart of renewd",
                restart[i].key, restart[i].a[0] ? restart[i].a : "none",
                restart[i].b[0] ? restart[i].b : "none");
    if (from->log_level != to->log_level)
        say(o, NULL, "log_level: changed");
    if (from->archive_keep != to->archive_keep)
        say(o, NULL, "archive_keep: changed from %u to %u", from->archive_keep, to->archive_keep);
}

struct conf_messages conf_diff(const struct conf *from, const struct conf *to)
{
    struct out o = {0};

    diff_top(&o, from, to);
    diff_cas(&o, from, to);
    diff_dns(&o, from, to);
    diff_providers(&o, from, to);
    diff_certs(&o, from, to);
    return o.m;
}
