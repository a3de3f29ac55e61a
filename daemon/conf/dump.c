/* SPDX-License-Identifier: ISC */
/* The configuration as understood, with every default written out: as JSON, and that JSON as YAML.
 */
#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/load.h"
#include "conf/proof.h"

#include <stdlib.h>
#include <string.h>

#define MASK "***"

static const char *const log_levels[] = {"error", "warn", "info", "debug"};
static const char *const asks[] = {"auto", "authoritative", "resolvers"};
static const char *const checks[] = {"require", "warn", "none"};
static const char *const contents[] = {
    "",       "privkey",       "cert",        "chain",    "fullchain",
    "pkcs12", "pkcs12-legacy", "privkey-der", "cert-der",
};

static void add_said(struct json *o, const char *key, const char *text)
{
    if (text[0])
        json_add_text(o, key, text);
}

static void add_strs(struct json *o, const char *key, const struct conf_strs *s)
{
    struct json *list = json_add_array(o, key);

    for (size_t i = 0; i < s->n; i++)
        json_add_text(list, NULL, s->v[i]);
}

static void add_duration(struct json *o, const char *key, int64_t ms)
{
    char text[32];

    json_add_text(o, key, duration_text(ms, text, sizeof text));
}

static void add_mode(struct json *o, const char *key, mode_t mode)
{
    CLEANUP_FREE char *text = xasprintf("%04o", (unsigned)mode);

    json_add_text(o, key, text);
}

static void add_zone(struct json *o, const struct conf_dns_zone *z)
{
    if (z->servers.n)
        add_strs(o, "servers", &z->servers);
    if (z->resolvers.n)
        add_strs(o, "resolvers", &z->resolvers);
    json_add_text(o, "ask", asks[z->ask]);
    json_add_text(o, "check", checks[z->check]);
    add_duration(o, "timeout", z->timeout_ms);
}

static void add_dns(struct json *root, const struct conf *c)
{
    struct json *dns = json_add_object(root, "dns"), *zones;

    if (c->n_dns_zones)
        add_zone(dns, &c->dns_zones[0]);
    if (c->n_dns_zones < 2)
        return;
    zones = json_add_object(dns, "zones");
    for (size_t i = 1; i < c->n_dns_zones; i++)
        add_zone(json_add_object(zones, c->dns_zones[i].suffix), &c->dns_zones[i]);
}

static void add_secret(struct json *o, const char *key, const struct conf_secret *s)
{
    static const char *const kinds[] = {[CONF_SECRET_FILE] = "file",
                                        [CONF_SECRET_ENV] = "env",
                                        [CONF_SECRET_CREDENTIAL] = "credential",
                                        [CONF_SECRET_COMMAND] = "command"};
    struct json *from;

    if (s->kind == CONF_SECRET_TEXT) {
        json_add_text(o, key, MASK);
        return;
    }
    from = json_add_object(o, key);
    if (s->kind == CONF_SECRET_COMMAND)
        add_strs(from, "command", &s->argv);
    else
        json_add_text(from, kinds[s->kind], s->source);
}

static void add_limits(struct json *ca_json, const struct conf_ca *ca)
{
    const struct {
        const char *key;
        const struct conf_limit *limit;
    } limits[] = {
        {"orders", &ca->orders_limit},     {"same_names", &ca->same_names_limit},
        {"domain", &ca->domain_limit},     {"failures", &ca->failures_limit},
        {"requests", &ca->requests_limit},
    };
    struct json *o = NULL;
    char per[32];

    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        CLEANUP_FREE char *text = xasprintf(
            "%u/%s", limits[i].limit->n, duration_text(limits[i].limit->per_ms, per, sizeof per));

        if (limits[i].limit->n && !o)
            o = json_add_object(ca_json, "limits");
        if (limits[i].limit->n)
            json_add_text(o, limits[i].key, text);
    }
}

static void add_ca(struct json *cas, const struct conf_ca *ca)
{
    struct json *o = json_add_object(cas, ca->name);

    json_add_text(o, "directory", ca->directory);
    add_said(o, "ca_file", ca->ca_file);
    add_said(o, "email", ca->email);
    json_add_bool(o, "agree_tos", ca->agree_tos);
    json_add_text(o, "account", ca->account);
    if (ca->eab_kid[0]) {
        struct json *eab = json_add_object(o, "eab");

        json_add_text(eab, "kid", ca->eab_kid);
        add_secret(eab, "hmac_key", &ca->eab_hmac_key);
    }
    json_add_text(o, "account_key", conf_account_key_name(ca->account_key));
    add_said(o, "profile", ca->profile);
    add_said(o, "preferred_chain", ca->preferred_chain);
    add_duration(o, "timeout", ca->timeout_ms);
    json_add_int(o, "max_orders", ca->max_orders);
    add_limits(o, ca);
    add_said(o, "staging", ca->staging);
}

static void add_provider(struct json *providers, const struct conf_provider *p)
{
    struct json *o = json_add_object(providers, p->name);

    json_add_text(o, "plugin", strchr(p->plugin, '/') ? p->path : p->plugin);
    if (p->zones.n)
        add_strs(o, "zones", &p->zones);
    if (p->allow_exec)
        json_add_text(json_add_array(o, "allow"), NULL, "exec");
    add_said(o, "run_as", p->run_as);
    if (p->ttl)
        add_duration(o, "ttl", (int64_t)p->ttl * 1000);
    if (p->timeout_ms)
        add_duration(o, "timeout", p->timeout_ms);
    for (size_t i = 0; i < p->n_options; i++)
        if (p->options[i].secret.kind == CONF_SECRET_NONE)
            json_add_text(o, p->options[i].name, p->options[i].text);
        else
            add_secret(o, p->options[i].name, &p->options[i].secret);
}

static void add_file_step(struct json *o, const struct conf_step *s)
{
    struct json *list;

    json_add_text(o, "file", s->path);
    list = json_add_array(o, "content");
    for (size_t i = 0; i < s->n_content; i++)
        json_add_text(list, NULL, contents[s->content[i]]);
    add_said(o, "owner", s->owner);
    add_said(o, "group", s->group);
    add_mode(o, "mode", s->mode);
    if (s->password.kind != CONF_SECRET_NONE)
        add_secret(o, "password", &s->password);
}

static void add_verify_step(struct json *o, const struct conf_step *s)
{
    struct json *to = json_add_object(o, "verify");

    add_strs(to, "connect", &s->connect);
    add_said(to, "sni", s->sni);
    add_said(to, "starttls", s->starttls);
}

static void add_step(struct json *list, const struct conf_step *s)
{
    struct json *o = json_add_object(list, NULL);

    switch (s->kind) {
    case CONF_STEP_RUN:
        add_strs(o, "run", &s->argv);
        json_add_text(o, "user", s->user);
        json_add_bool(o, "once", s->once);
        break;
    case CONF_STEP_RELOAD:
        json_add_text(o, "reload", s->unit);
        break;
    case CONF_STEP_FILE:
        add_file_step(o, s);
        break;
    case CONF_STEP_VERIFY:
        add_verify_step(o, s);
        break;
    }
    add_duration(o, "timeout", s->timeout_ms);
}

static void add_deploy(struct json *o, const struct conf_cert *c)
{
    struct json *list = json_add_array(o, "deploy");

    for (size_t i = 0; i < c->n_deployments; i++) {
        const struct conf_deployment *d = &c->deployments[i];

        if (d->name[0] != '#')
            json_add_text(list, NULL, d->name);
        for (size_t k = 0; d->name[0] == '#' && k < d->n_steps; k++)
            add_step(list, &d->steps[k]);
    }
}

static void add_challenges(struct json *o, const struct conf_challenges *all)
{
    struct json *list;

    if (all->n == 1) {
        json_add_text(o, "challenge", conf_challenge_name(all->v[0]));
        return;
    }
    list = json_add_array(o, "challenge");
    for (size_t i = 0; i < all->n; i++)
        json_add_text(list, NULL, conf_challenge_name(all->v[i]));
}

/* The name says by itself how it is proved. */
static bool has_own(const struct conf_cert *c, const struct conf_name *n)
{
    struct conf_challenges all = proof_fitting(&c->challenges, n->ip, n->name[0] == '*');

    return all.n != n->challenges.n || memcmp(all.v, n->challenges.v, all.n * sizeof all.v[0]) != 0;
}

static void add_names(struct json *o, const struct conf_cert *c)
{
    struct json *list = json_add_array(o, "names");

    for (size_t i = 0; i < c->n_names; i++) {
        const struct conf_name *n = &c->names[i];
        struct json *one;

        if (!n->provider[0] && !has_own(c, n)) {
            json_add_text(list, NULL, n->name);
            continue;
        }
        one = json_add_object(list, NULL);
        json_add_text(one, "name", n->name);
        add_said(one, "provider", n->provider);
        if (has_own(c, n))
            add_challenges(one, &n->challenges);
    }
}

static void add_proof(struct json *o, const struct conf_cert *c)
{
    struct json *part;

    add_challenges(o, &c->challenges);
    if (proof_uses(c, CONF_HTTP_01)) {
        part = json_add_object(o, "http01");
        if (c->http01.kind == CONF_HTTP01_LISTEN)
            add_strs(part, "listen", &c->http01.listen);
        else if (c->http01.kind == CONF_HTTP01_WEBROOT)
            json_add_text(part, "webroot", c->http01.webroot);
        else
            add_strs(part, "run", &c->http01.argv);
    }
    if (proof_uses(c, CONF_TLS_ALPN_01))
        add_strs(json_add_object(o, "tlsalpn01"), "listen", &c->alpn_listen);
    if (!proof_uses(c, CONF_DNS_PERSIST_01))
        return;
    part = json_add_object(o, "dns_persist01");
    json_add_bool(part, "write", c->persist.write);
    if (c->persist.days_ms)
        add_duration(part, "until", c->persist.days_ms);
}

static void add_keys(struct json *o, const struct conf *all, const struct conf_cert *c)
{
    struct json *list;

    if (c->csr[0]) {
        json_add_text(o, "csr", c->csr);
        return;
    }
    if (!conf_next_variant(all, c)) {
        json_add_text(o, "key", conf_key_name(c->key));
    } else {
        list = json_add_array(o, "key");
        for (const struct conf_cert *k = c; k; k = conf_next_variant(all, k))
            json_add_text(list, NULL, conf_key_name(k->key));
    }
    json_add_bool(o, "reuse_key", c->reuse_key);
    json_add_bool(o, "must_staple", c->must_staple);
}

static void add_policy(struct json *o, const struct conf_cert *c)
{
    if (c->renew_before_ms) {
        add_duration(o, "renew_before", c->renew_before_ms);
    } else if (c->renew_before_percent) {
        CLEANUP_FREE char *text = xasprintf("%u%%", c->renew_before_percent);

        json_add_text(o, "renew_before", text);
    }
    if (c->profile[0] && c->profile_or_default) {
        struct json *p = json_add_object(o, "profile");

        json_add_text(p, "name", c->profile);
        json_add_text(p, "on_missing", "default");
    } else {
        add_said(o, "profile", c->profile);
    }
    json_add_bool(o, "ari", c->ari);
}

static void add_cert(struct json *certs, const struct conf *all, const struct conf_cert *c)
{
    struct json *o = json_add_object(certs, NULL);

    json_add_text(o, "name", c->name);
    add_names(o, c);
    json_add_bool(o, "enabled", c->enabled);
    add_said(o, "provider", c->provider);
    add_strs(o, "ca", &c->cas);
    json_add_int(o, "fallback_after", c->fallback_after);
    add_proof(o, c);
    add_keys(o, all, c);
    add_policy(o, c);
    add_said(o, "owner", c->owner);
    add_said(o, "group", c->group);
    add_mode(o, "key_mode", c->key_mode);
    add_deploy(o, c);
}

static void add_top(struct json *root, const struct conf *c)
{
    json_add_int(root, "version", 1);
    json_add_text(root, "state_dir", c->state_dir);
    json_add_text(root, "control_socket", c->control_socket);
    add_said(root, "control_group", c->control_group);
    json_add_text(root, "user", c->user);
    json_add_text(root, "worker_user", c->worker_user);
    json_add_text(root, "log_level", log_levels[c->log_level]);
    json_add_int(root, "archive_keep", c->archive_keep);
}

struct json *conf_dump_json(const struct conf *c)
{
    struct json *root = json_object(), *part;

    add_top(root, c);
    part = json_add_object(root, "cas");
    for (size_t i = 0; i < c->n_cas; i++)
        add_ca(part, &c->cas[i]);
    add_dns(root, c);
    part = json_add_object(root, "providers");
    for (size_t i = 0; i < c->n_providers; i++)
        add_provider(part, &c->providers[i]);
    part = json_add_object(root, "deployments");
    for (size_t i = 0; i < c->n_deployments; i++) {
        struct json *steps = json_add_array(part, c->deployments[i].name);

        for (size_t k = 0; k < c->deployments[i].n_steps; k++)
            add_step(steps, &c->deployments[i].steps[k]);
    }
    part = json_add_array(root, "certificates");
    for (size_t i = 0; i < c->n_certs; i++)
        if (!c->certs[i].variant[0])
            add_cert(part, c, &c->certs[i]);
    return root;
}

/* ---- as YAML ---- */

#define YAML_MAX ((size_t)1 << 30)

/* Reads back as the same text without quotes, in YAML 1.1 and 1.2. */
static bool is_plain(const char *s)
{
    static const char *const words[] = {"true", "false", "yes",  "no",   "on",  "off",
                                        "y",    "n",     "null", "Null", "NULL"};
    size_t n = strlen(s);

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_case_eq(s, words[i]))
            return false;
    if (!n || !strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ/", s[0]))
        return false;
    return strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_.@:-") == n &&
           s[n - 1] != ':';
}

static void put_text(struct buf *b, const char *s)
{
    if (is_plain(s)) {
        buf_puts(b, s);
        return;
    }
    buf_putc(b, '"');
    for (; *s; s++)
        if (*s == '"' || *s == '\\')
            buf_putf(b, "\\%c", *s);
        else if ((unsigned char)*s < 0x20 || *s == 0x7f)
            buf_putf(b, "\\x%02x", (unsigned char)*s);
        else
            buf_putc(b, *s);
    buf_putc(b, '"');
}

static void put_scalar(struct buf *b, const struct json *v)
{
    const char *text = json_as_text(v);

    if (text)
        put_text(b, text);
    else if (json_as_bool(v, true) == json_as_bool(v, false))
        buf_puts(b, json_as_bool(v, false) ? "true" : "false");
    else
        buf_putf(b, "%lld", (long long)json_as_int(v, 0));
}

static bool is_flat(const struct json *list)
{
    for (const struct json *it = json_first(list); it; it = json_after(it))
        if (json_is_object(it) || json_is_array(it))
            return false;
    return true;
}

static void put_flat_list(struct buf *b, const struct json *list)
{
    buf_putc(b, '[');
    for (const struct json *it = json_first(list); it; it = json_after(it)) {
        if (it != json_first(list))
            buf_puts(b, ", ");
        put_scalar(b, it);
    }
    buf_putc(b, ']');
}

static void put_indent(struct buf *b, unsigned depth)
{
    for (unsigned i = 0; i < depth; i++)
        buf_puts(b, "  ");
}

/* The value of a key or list item, its first line begun already. Depth is that of conf_dump_json's
 * result, which is fixed. */
static void put_value(struct buf *b, const struct json *v, unsigned depth, bool in_list)
{
    bool first = in_list;

    if (json_is_array(v) && is_flat(v)) {
        buf_putc(b, ' ');
        put_flat_list(b, v);
        buf_putc(b, '\n');
    } else if (json_is_object(v) && !json_len(v)) {
        buf_puts(b, " {}\n");
    } else if (!json_is_object(v) && !json_is_array(v)) {
        buf_putc(b, ' ');
        put_scalar(b, v);
        buf_putc(b, '\n');
    } else {
        buf_putc(b, in_list ? ' ' : '\n');
        for (const struct json *it = json_first(v); it; it = json_after(it), first = false) {
            if (!first)
                put_indent(b, depth);
            if (json_is_array(v)) {
                buf_putc(b, '-');
                put_value(b, it, depth + 1, true);
            } else {
                put_text(b, json_key(it));
                buf_putc(b, ':');
                put_value(b, it, depth + 1, false);
            }
        }
    }
}

char *conf_dump(const struct conf *c)
{
    CLEANUP_JSON struct json *root = conf_dump_json(c);
    struct buf b;

    buf_init(&b, YAML_MAX);
    for (const struct json *it = json_first(root); it; it = json_after(it)) {
        put_text(&b, json_key(it));
        buf_putc(&b, ':');
        put_value(&b, it, 1, false);
    }
    return buf_steal(&b);
}
