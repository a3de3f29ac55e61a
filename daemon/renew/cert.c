/* SPDX-License-Identifier: ISC */
#include "renew/cert.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void installed_clear(struct cert_installed *in)
{
    free(in->serial);
    free(in->fingerprint);
    free(in->cert_id);
    *in = (struct cert_installed){.directory = "", .account = "", .issuer = ""};
    in->serial = xstrdup("");
    in->fingerprint = xstrdup("");
    in->cert_id = xstrdup("");
}

void cert_init(struct cert *c, struct renew *r, const struct conf_cert *conf)
{
    *c = (struct cert){.renew = r, .conf = conf};
    list_init(&c->poll_node);
    installed_clear(&c->in);
}

void cert_done(struct cert *c)
{
    free(c->in.serial);
    free(c->in.fingerprint);
    free(c->in.cert_id);
    free(c->st.error);
    cert_refused_clear(c);
    free(c->waiting);
    cert_order_free(c->order);
}

static void copy(char **to, const char *from)
{
    free(*to);
    *to = xstrdup(from ? from : "");
}

void cert_set_installed(struct cert *c, const struct keeper_installed *i, struct map *texts)
{
    struct cert_installed *in = &c->in;
    bool other = !str_eq(in->fingerprint, i->present ? i->fingerprint : "");
    if (!i->present) {
        installed_clear(in);
    } else {
        copy(&in->serial, i->serial);
        copy(&in->fingerprint, i->fingerprint);
        copy(&in->cert_id, i->cert_id);
        in->present = true;
        in->names_match = i->names_match;
        in->staging = i->staging;
        in->not_before_ms = i->not_before_ms;
        in->not_after_ms = i->not_after_ms;
        in->directory = texts_share(texts, i->directory);
        in->account = texts_share(texts, i->account);
        in->issuer = texts_share(texts, i->issuer);
    }
    if (other) {
        c->st.issued_ms = 0;
        c->st.window = (struct policy_window){0, 0, 0};
        c->st.poll_ms = 0;
        c->st.no_ari = false;
        c->st.revoked_ms = 0;
    }
}

struct policy_life cert_life(const struct cert *c)
{
    return (struct policy_life){c->in.not_before_ms, c->in.not_after_ms};
}

int64_t cert_lifetime(const struct cert *c)
{
    struct policy_life l = cert_life(c);
    return c->in.present ? policy_lifetime(&l) : 0;
}

void cert_set_error(struct cert *c, const struct err *e)
{
    free(c->st.error);
    c->st.error = e && e->cls != ERR_NONE ? xmemdup(e, sizeof(*e)) : NULL;
}

static unsigned types_of(const struct cert *c, const char *name)
{
    const struct conf_challenges *all = &c->conf->challenges;
    unsigned bits = 0;
    for (size_t i = 0; i < c->conf->n_names; i++)
        if (str_eq(c->conf->names[i].name, name) && c->conf->names[i].challenges.n)
            all = &c->conf->names[i].challenges;
    for (size_t i = 0; i < all->n; i++)
        bits |= 1u << all->v[i];
    return bits;
}

void cert_refused(struct cert *c, const char *name, unsigned types)
{
    struct cert_state *s = &c->st;
    size_t i = 0;
    while (i < s->n_refused && !str_eq(s->refused[i].name, name))
        i++;
    if (i == s->n_refused) {
        s->refused = xrealloc_array(s->refused, ++s->n_refused, sizeof(*s->refused));
        s->refused[i] = (struct acme_avoid){.name = xstrdup(name)};
    }
    s->refused[i].types |= types;
    if ((types_of(c, name) & ~s->refused[i].types) == 0)
        s->refused[i].types = 0;
}

void cert_refused_clear(struct cert *c)
{
    for (size_t i = 0; i < c->st.n_refused; i++)
        free((char *)c->st.refused[i].name);
    free(c->st.refused);
    c->st.refused = NULL;
    c->st.n_refused = 0;
}

static void put_refused(const struct cert *c, struct json *j)
{
    struct json *list = NULL;
    for (size_t i = 0; i < c->st.n_refused; i++) {
        if (!c->st.refused[i].types)
            continue;
        list = list ? list : json_add_object(j, "refused");
        json_add_int(list, c->st.refused[i].name, c->st.refused[i].types);
    }
}

static void read_refused(struct cert *c, const struct json *list)
{
    cert_refused_clear(c);
    for (const struct json *it = list ? json_first(list) : NULL; it; it = json_after(it)) {
        int64_t types = json_key(it) ? json_int(list, json_key(it), 0) : 0;
        if (types > 0 && types < 1 << CONF_CHALLENGE_TYPES)
            cert_refused(c, json_key(it), (unsigned)types);
    }
}

static void add_nonzero(struct json *j, const char *key, int64_t v)
{
    if (v)
        json_add_int(j, key, v);
}

char *cert_state_text(const struct cert *c)
{
    const struct cert_state *s = &c->st;
    struct json *j = json_object();
    json_add_text(j, "fingerprint", c->in.fingerprint);
    add_nonzero(j, "issued", s->issued_ms);
    add_nonzero(j, "churn", s->churn);
    if (s->window.end_ms) {
        json_add_int(j, "ari_start", s->window.start_ms);
        json_add_int(j, "ari_end", s->window.end_ms);
        json_add_int(j, "ari_at", s->window.at_ms);
    }
    add_nonzero(j, "ari_poll", s->poll_ms);
    if (s->no_ari)
        json_add_bool(j, "no_ari", true);
    add_nonzero(j, "revoked", s->revoked_ms);
    add_nonzero(j, "failures", s->failures);
    add_nonzero(j, "ca", s->ca);
    add_nonzero(j, "ca_failures", s->ca_failures);
    add_nonzero(j, "looks", s->looks);
    if (s->blocked)
        json_add_bool(j, "blocked", true);
    add_nonzero(j, "failed", s->failed_ms);
    add_nonzero(j, "retry", s->retry_ms);
    add_nonzero(j, "runs", s->runs);
    put_refused(c, j);
    if (s->error) {
        struct json *e = json_add_object(j, "error");
        json_add_text(e, "class", err_class_name(s->error->cls));
        json_add_text(e, "type", s->error->type);
        json_add_text(e, "activity", s->error->activity);
        json_add_text(e, "detail", s->error->detail);
    }
    char *text = json_print(j, false);
    json_free(j);
    return text;
}

static unsigned get_count(const struct json *j, const char *key)
{
    int64_t v = json_int(j, key, 0);
    return v < 0 ? 0 : v > UINT32_MAX ? UINT32_MAX : (unsigned)v;
}

static void read_text(char *to, size_t size, const struct json *j, const char *key)
{
    const char *text = json_text(j, key);
    str_copy(to, size, text ? text : "");
}

static void read_error(struct cert *c, const struct json *j)
{
    struct err e = ERR_INIT;
    const char *name = json_text(j, "class");
    for (int i = ERR_NONE + 1; i < ERR_CLASSES; i++) {
        if (str_eq(name, err_class_name((enum err_class)i)))
            e.cls = (enum err_class)i;
    }
    if (e.cls == ERR_NONE)
        return;
    read_text(e.type, sizeof(e.type), j, "type");
    read_text(e.activity, sizeof(e.activity), j, "activity");
    read_text(e.detail, sizeof(e.detail), j, "detail");
    cert_set_error(c, &e);
}

/* Of a certificate that is no longer the installed one only the attempts count. */
static void read_issued(struct cert_state *s, const struct json *j)
{
    s->issued_ms = json_int(j, "issued", 0);
    s->window.start_ms = json_int(j, "ari_start", 0);
    s->window.end_ms = json_int(j, "ari_end", 0);
    s->window.at_ms = json_int(j, "ari_at", 0);
    s->poll_ms = json_int(j, "ari_poll", 0);
    s->no_ari = json_bool(j, "no_ari", false);
    s->revoked_ms = json_int(j, "revoked", 0);
}

void cert_state_read(struct cert *c, const struct json *j)
{
    struct cert_state *s = &c->st;
    const char *fingerprint = json_text(j, "fingerprint");
    if (c->in.present && str_eq(fingerprint, c->in.fingerprint))
        read_issued(s, j);
    s->churn = get_count(j, "churn");
    s->failures = get_count(j, "failures");
    s->ca = get_count(j, "ca");
    s->ca_failures = get_count(j, "ca_failures");
    s->looks = get_count(j, "looks");
    s->blocked = json_bool(j, "blocked", false);
    s->failed_ms = json_int(j, "failed", 0);
    s->retry_ms = json_int(j, "retry", 0);
    s->runs = get_count(j, "runs");
    read_refused(c, json_get(j, "refused"));
    read_error(c, json_get(j, "error"));
}

struct cert_order *cert_order_new(const char *url, const char *ca, const char *was, uint64_t names,
                                  int64_t made_ms)
{
    struct cert_order *o = xnew(struct cert_order);
    o->url = xstrdup(url);
    o->ca = xstrdup(ca);
    o->was = xstrdup(was);
    o->names = names;
    o->made_ms = made_ms;
    return o;
}

void cert_order_free(struct cert_order *o)
{
    if (!o)
        return;
    free(o->url);
    free(o->ca);
    free(o->was);
    free(o);
}

char *cert_order_text(const struct cert_order *o)
{
    char names[17];
    snprintf(names, sizeof(names), "%016llx", (unsigned long long)o->names);
    struct json *j = json_object();
    json_add_text(j, "url", o->url);
    json_add_text(j, "ca", o->ca);
    json_add_text(j, "was", o->was);
    json_add_text(j, "names", names);
    json_add_int(j, "made", o->made_ms);
    char *text = json_print(j, false);
    json_free(j);
    return text;
}

static bool read_hex(const char *text, uint64_t *ret)
{
    uint64_t v = 0;
    if (!text || strlen(text) != 16)
        return false;
    for (const char *p = text; *p; p++) {
        const char *digits = "0123456789abcdef", *at = strchr(digits, *p);
        if (!at)
            return false;
        v = v << 4 | (uint64_t)(at - digits);
    }
    *ret = v;
    return true;
}

struct cert_order *cert_order_read(const struct json *j)
{
    const char *url = json_text(j, "url"), *ca = json_text(j, "ca"), *was = json_text(j, "was");
    uint64_t names;
    if (!url || !ca || !was || !read_hex(json_text(j, "names"), &names))
        return NULL;
    return cert_order_new(url, ca, was, names, json_int(j, "made", 0));
}

uint64_t cert_names_hash(const struct conf_cert *c)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < c->n_names; i++) {
        uint64_t hash = 14695981039346656037u; /* FNV-1a */
        for (const char *p = c->names[i].name; *p; p++)
            hash = (hash ^ (unsigned char)*p) * 1099511628211u;
        sum += hash * (hash | 1);
    }
    return sum;
}

char *cert_key(const char *name, const char *what)
{
    return xasprintf("cert/%s/%s", name, what);
}

const char *texts_share(struct map *texts, const char *text)
{
    if (!text || !*text)
        return "";
    char *known = map_get(texts, text);
    if (known)
        return known;
    known = xstrdup(text);
    map_put(texts, text, known);
    return known;
}

void texts_free(struct map *texts)
{
    void *text;
    if (!texts)
        return;
    for (size_t i = 0; map_next(texts, &i, NULL, &text);)
        free(text);
    map_free(texts);
}
