/* SPDX-License-Identifier: ISC */
#include "conf/proof.h"

#include "base/str.h"

#include <string.h>

#define STRING "{\"type\":\"string\",\"minLength\":1}"
#define YEAR ((int64_t)366 * 86400000)

/* ---- challenge ---- */

bool proof_has(const struct conf_challenges *all, enum conf_challenge c)
{
    for (size_t i = 0; i < all->n; i++)
        if (all->v[i] == c)
            return true;
    return false;
}

bool proof_uses(const struct conf_cert *c, enum conf_challenge type)
{
    for (size_t i = 0; i < c->n_names; i++)
        if (proof_has(&c->names[i].challenges, type))
            return true;
    return false;
}

bool proof_fits(enum conf_challenge c, bool ip, bool wildcard)
{
    bool by_connection = c == CONF_HTTP_01 || c == CONF_TLS_ALPN_01;

    return ip ? by_connection : !wildcard || !by_connection;
}

struct conf_challenges proof_fitting(const struct conf_challenges *all, bool ip, bool wildcard)
{
    struct conf_challenges some = {.n = 0};

    for (size_t i = 0; i < all->n; i++)
        if (proof_fits(all->v[i], ip, wildcard))
            some.v[some.n++] = all->v[i];
    return some;
}

bool proof_needs_provider(const struct conf_cert *c, const struct conf_challenges *all)
{
    return proof_has(all, CONF_DNS_01) || proof_has(all, CONF_DNS_ACCOUNT_01) ||
           (c->persist.write && proof_has(all, CONF_DNS_PERSIST_01));
}

static int read_challenge(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    const struct node *one;
    size_t n;
    const struct node *const *items = value_items(v, &one, &n);
    struct conf_challenges all = {.n = 0};

    if (!n)
        return READ_ERROR(r, v, "%s: the list is empty", o->name);
    for (size_t i = 0; i < n; i++) {
        const char *text = value_text(r, o->name, items[i]);
        int at = text ? choice_find(CHALLENGES, text) : 0;

        if (!text)
            return -1;
        if (at < 0)
            return READ_ERROR(r, items[i], "%s: %s: write %s", o->name, text,
                              choice_hint(r, CHALLENGES, text));
        if (proof_has(&all, (enum conf_challenge)at))
            return READ_ERROR(r, items[i], "%s: %s is written twice", o->name, text);
        all.v[all.n++] = (enum conf_challenge)at;
    }
    *(struct conf_challenges *)dst = all;
    return 0;
}

/* ---- listeners ---- */

/* A list of ADDR:PORT. */
static int read_listen(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    struct conf_strs s = {0};

    if (value_list(r, o->name, v))
        return -1;
    if (!v->n)
        return READ_ERROR(r, v, "%s: the list is empty", o->name);
    s.v = arena_alloc(r->arena, v->n, sizeof *s.v);
    for (uint32_t i = 0; i < v->n; i++) {
        const char *text = value_text(r, o->name, v->items[i]);
        char *address = text ? address_normal(r->arena, text) : NULL;
        const char *host = address && address[0] == '[' ? strchr(address, ']') : address;

        if (!text)
            return -1;
        if (!address || !strchr(host, ':'))
            return READ_ERROR(r, v->items[i],
                              "%s: %s: write ADDRESS:PORT, as \"0.0.0.0:%s\" or \"[::]:%s\"",
                              o->name, text, o->choices, o->choices);
        for (size_t k = 0; k < s.n; k++)
            if (!strcmp(s.v[k], address))
                return READ_ERROR(r, v->items[i], "%s: %s is written twice", o->name, address);
        s.v[s.n++] = address;
    }
    *(struct conf_strs *)dst = s;
    return 0;
}

static const struct opt_type type_listen = {
    "{\"type\":\"array\",\"minItems\":1,\"items\":" STRING "}", read_listen};

/* ---- http01, tlsalpn01 ---- */

#define AT(field) .offset = offsetof(struct conf_http01, field)

static const struct opt http01_opts[] = {
    {"listen", &type_listen, AT(listen), .choices = "80",
     .help = "addresses that renewd answers at itself, ADDR:PORT; 0.0.0.0:80 and [::]:80"},
    {"webroot", &type_path, AT(webroot),
     .help = "folder of a web server: answers are put below it, in .well-known/acme-challenge"},
    {"run", &type_argv, AT(argv),
     .help = "a program that puts answers in place and takes them away"},
};
const struct opt_table http01_table = {
    .what = "http01", .opts = http01_opts, .n = ARRAY_LEN(http01_opts)};

static int read_http01(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    struct conf_http01 h = {.webroot = arena_strdup(r->arena, "")};
    uint64_t seen = 0;

    (void)o;
    if (table_read(r, &http01_table, v, &h, &seen))
        return -1;
    if (seen != 1 && seen != 2 && seen != 4)
        return READ_ERROR(r, v,
                          "http01: write one of {listen: [ADDR:PORT]}, {webroot: PATH} and {run: "
                          "[PROGRAM, ...]}");
    h.kind = seen == 1 ? CONF_HTTP01_LISTEN : seen == 2 ? CONF_HTTP01_WEBROOT : CONF_HTTP01_RUN;
    *(struct conf_http01 *)dst = h;
    return 0;
}

static const struct opt tlsalpn01_opts[] = {
    {"listen", &type_listen, .offset = 0, .choices = "443", .required = true,
     .help = "addresses that renewd answers at itself, ADDR:PORT; 0.0.0.0:443 and [::]:443"},
};
const struct opt_table tlsalpn01_table = {
    .what = "tlsalpn01", .opts = tlsalpn01_opts, .n = ARRAY_LEN(tlsalpn01_opts)};

static int read_tlsalpn01(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    (void)o;
    return table_read(r, &tlsalpn01_table, v, dst, NULL);
}

/* ---- dns_persist01 ---- */

static const struct opt persist_opts[] = {
    {"write", &type_bool, .offset = offsetof(struct conf_persist, write), .dflt = "false",
     .help = "true: the record is made through the provider; false: you make it, renewd says what"},
    {"until", &type_duration, .offset = offsetof(struct conf_persist, days_ms), .min = 86400000,
     .max = 10 * YEAR,
     .help = "how far ahead the record's persistUntil is; without one when absent"},
};
const struct opt_table persist_table = {
    .what = "dns_persist01", .opts = persist_opts, .n = ARRAY_LEN(persist_opts)};

static int read_persist(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    struct conf_persist p = {0};

    (void)o;
    if (table_read(r, &persist_table, v, &p, NULL))
        return -1;
    *(struct conf_persist *)dst = p;
    return 0;
}

const struct opt_type type_challenge = {"{\"$ref\":\"#/$defs/challenge\"}", read_challenge};
const struct opt_type type_http01 = {"{\"$ref\":\"#/$defs/http01\"}", read_http01};
const struct opt_type type_alpn_listen = {"{\"$ref\":\"#/$defs/tlsalpn01\"}", read_tlsalpn01};
const struct opt_type type_persist = {"{\"$ref\":\"#/$defs/dns_persist01\"}", read_persist};

static struct conf_strs everywhere(struct reader *r, const char *port)
{
    struct conf_strs s = {.v = arena_alloc(r->arena, 2, sizeof *s.v), .n = 2};

    s.v[0] = arena_printf(r->arena, "0.0.0.0:%s", port);
    s.v[1] = arena_printf(r->arena, "[::]:%s", port);
    return s;
}

void proof_defaults(struct reader *r, struct conf_cert *c)
{
    c->challenges = (struct conf_challenges){.v = {CONF_DNS_01}, .n = 1};
    c->http01 = (struct conf_http01){.kind = CONF_HTTP01_LISTEN,
                                     .listen = everywhere(r, "80"),
                                     .webroot = arena_strdup(r->arena, "")};
    c->alpn_listen = everywhere(r, "443");
}
