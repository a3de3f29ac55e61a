/* SPDX-License-Identifier: ISC */
/* The names of a certificate: host names and addresses, each with the challenges that can prove it.
 */
#include "conf/host.h"
#include "conf/proof.h"

#include "base/name.h"
#include "base/str.h"

#include <string.h>

#define NAMES_MAX 1000

struct name_dst {
    char *name, *provider;
    struct conf_challenges challenges;
    const struct node *challenge; /* where it is written */
};

static int read_own_challenge(struct reader *r, const struct opt *o, const struct node *v,
                              void *dst)
{
    struct name_dst *d = dst;

    d->challenge = v;
    return type_challenge.read(r, o, v, &d->challenges);
}

static struct opt_type const type_own_challenge = {"{\"$ref\":\"#/$defs/challenge\"}",
                                                   read_own_challenge};

static const struct opt name_opts[] = {
    {"name", &type_text, .offset = offsetof(struct name_dst, name), .required = true,
     .help = "the host name or address"},
    {"provider", &type_provider, .offset = offsetof(struct name_dst, provider),
     .help = "the provider of this name"},
    {"challenge", &type_own_challenge, .offset = 0,
     .help = "how this name is proved; the certificate's when absent"},
};
const struct opt_table cert_name_table = {
    .what = "names", .opts = name_opts, .n = ARRAY_LEN(name_opts)};

/* ---- what it is ---- */

static int check_address(struct reader *r, const struct node *v, const struct conf_cert *c,
                         const struct conf_name *n)
{
    for (size_t i = 0; i < c->cas.n; i++) {
        const struct conf_ca *ca = ca_public(r, c->cas.v[i]);

        if (ca && host_ip_is_private(n->name))
            return READ_ERROR(r, v,
                              "names: %s is a private address, which %s cannot reach and does not "
                              "certify: write a public one, or a ca of your own",
                              n->name, ca->name);
        if (ca && str_starts(ca->preset, "letsencrypt") && !c->profile[0] && !ca->profile[0])
            READ_WARN(r, v,
                      "names: %s: Let's Encrypt certifies addresses with the profile shortlived "
                      "only: write profile: shortlived",
                      n->name);
    }
    return 0;
}

static int read_host(struct reader *r, const struct node *v, const char *text,
                     const struct conf_cert *c, struct conf_name *ret)
{
    const char *why;
    struct host h;

    if (host_read(r->arena, text, &h, &why))
        return READ_ERROR(r, v, "names: %s is no host name: %s", text, why);
    ret->name = h.ascii;
    ret->unicode = h.unicode;
    ret->domain = host_domain(ret->name);
    if (h.doubtful)
        READ_WARN(r, v,
                  "names: %s stands for %s, which has a character that IDNA2008 does not allow: "
                  "some CAs refuse it",
                  h.ascii, h.unicode);
    for (size_t i = 0; i < c->cas.n && !strchr(h.ascii, '.'); i++)
        if (ca_public(r, c->cas.v[i]))
            return READ_ERROR(r, v,
                              "names: %s has one label, and %s certifies no such names: write the "
                              "full name, or a ca of your own",
                              h.ascii, c->cas.v[i]);
    return 0;
}

/* ---- how it is proved ---- */

static int bad_challenge(struct reader *r, const struct node *v, const struct conf_name *n)
{
    if (n->ip)
        return READ_ERROR(r, v,
                          "names: %s is an IP address, and dns-01 proves names only: write "
                          "challenge: http-01 (or tls-alpn-01), or a name that points to it",
                          n->name);
    return READ_ERROR(r, v,
                      "names: %s: a wildcard is proved by DNS only: write challenge: dns-01 (or "
                      "dns-account-01, dns-persist-01)",
                      n->name);
}

/* What a name says of itself must fit; of what the certificate says, something must. */
static int choose_challenges(struct reader *r, const struct node *v, const struct name_dst *d,
                             const struct conf_cert *c, struct conf_name *ret)
{
    bool wildcard = name_is_wildcard(ret->name);

    ret->challenges =
        proof_fitting(d->challenge ? &d->challenges : &c->challenges, ret->ip, wildcard);
    if (d->challenge && ret->challenges.n < d->challenges.n)
        return bad_challenge(r, d->challenge, ret);
    return ret->challenges.n ? 0 : bad_challenge(r, v, ret);
}

static int read_name(struct reader *r, const struct node *v, const struct conf_cert *c,
                     struct conf_name *ret)
{
    struct name_dst d = {0};
    const char *text;

    *ret = (struct conf_name){0};
    if (v->kind == NODE_MAP) {
        if (table_read(r, &cert_name_table, v, &d, NULL))
            return -1;
        text = d.name;
    } else {
        text = value_text(r, "names", v);
    }
    if (!text)
        return -1;
    ret->provider = d.provider ? d.provider : arena_strdup(r->arena, "");
    ret->name = host_ip(r->arena, text);
    ret->unicode = ret->name;
    ret->ip = ret->name != NULL;
    ret->domain = ret->name;
    if (!ret->ip && read_host(r, v, text, c, ret))
        return -1;
    if (choose_challenges(r, v, &d, c, ret))
        return -1;
    return ret->ip ? check_address(r, v, c, ret) : 0;
}

/* ---- the list ---- */

static bool covers(const char *wildcard, const char *name)
{
    return name_is_wildcard(wildcard) && !strcmp(name_parent(wildcard), name_parent(name));
}

static int check_twins(struct reader *r, const struct conf_name *names, size_t n,
                       const struct node *const *nodes)
{
    const struct conf_name *last = &names[n];
    int rc = 0;

    for (size_t i = 0; i < n; i++) {
        bool a = covers(names[i].name, last->name), b = covers(last->name, names[i].name);

        if (!strcmp(names[i].name, last->name))
            return READ_ERROR(r, nodes[n], "names: %s is written twice in this certificate",
                              last->name);
        if (a || b)
            rc = READ_ERROR(r, a ? nodes[n] : nodes[i],
                            "names: %s is already covered by %s: leave it out (CAs refuse such "
                            "orders)",
                            a ? last->name : names[i].name, a ? names[i].name : last->name);
    }
    return rc;
}

static int read_list(struct reader *r, const struct node *const *items, size_t n,
                     struct conf_cert *c)
{
    const struct node **nodes = arena_alloc(r->trees, n, sizeof *nodes);
    int rc = 0;

    c->names = arena_alloc(r->arena, n, sizeof *c->names);
    c->n_names = 0;
    for (size_t i = 0; i < n; i++) {
        nodes[c->n_names] = items[i];
        if (read_name(r, items[i], c, &c->names[c->n_names]) ||
            check_twins(r, c->names, c->n_names, nodes))
            rc = -1;
        else
            c->n_names++;
    }
    return rc;
}

int names_read(struct reader *r, const struct node *v, struct conf_cert *c)
{
    if (value_list(r, "names", v))
        return -1;
    if (!v->n)
        return READ_ERROR(r, v, "names: the list is empty");
    if (v->n > NAMES_MAX)
        return READ_ERROR(r, v, "names: %u names: no CA takes more than %d", v->n, NAMES_MAX);
    return read_list(r, v->items, v->n, c);
}

int names_read_one(struct reader *r, const struct node *v, struct conf_cert *c)
{
    return read_list(r, &v, 1, c);
}
