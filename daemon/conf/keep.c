/* SPDX-License-Identifier: ISC */
/* include: {on_error: keep}: what a bad file held when it was last good is copied from the previous
 * snapshot. */
#include "conf/build.h"
#include "conf/reader.h"

#include "base/str.h"

#include <string.h>

static char *text(struct reader *r, const char *s)
{
    return arena_strdup(r->arena, s);
}

static struct conf_strs strs(struct reader *r, const struct conf_strs *s)
{
    struct conf_strs copy = {.v = arena_copy(r->arena, s->v, s->n, sizeof *s->v), .n = s->n};

    for (size_t i = 0; i < copy.n; i++)
        copy.v[i] = text(r, s->v[i]);
    return copy;
}

static struct conf_where where(struct reader *r, const struct conf_where *w)
{
    return (struct conf_where){text(r, w->file), w->line, w->column};
}

static struct conf_secret secret(struct reader *r, const struct conf_secret *s)
{
    return (struct conf_secret){
        .kind = s->kind,
        .source = text(r, s->source),
        .argv = strs(r, &s->argv),
        .value = s->value ? conf_own_secret(r->conf, secret_dup(s->value)) : NULL,
    };
}

static struct conf_ca ca_copy(struct reader *r, const struct conf_ca *ca)
{
    struct conf_ca copy = *ca;

    copy.name = text(r, ca->name);
    copy.preset = text(r, ca->preset);
    copy.eab_kid = text(r, ca->eab_kid);
    copy.eab_hmac_key = secret(r, &ca->eab_hmac_key);
    copy.directory = text(r, ca->directory);
    copy.ca_file = text(r, ca->ca_file);
    copy.ca_pem = text(r, ca->ca_pem);
    copy.email = text(r, ca->email);
    copy.account = text(r, ca->account);
    copy.profile = text(r, ca->profile);
    copy.preferred_chain = text(r, ca->preferred_chain);
    copy.staging = text(r, ca->staging);
    copy.where = where(r, &ca->where);
    return copy;
}

static struct conf_provider provider_copy(struct reader *r, const struct conf_provider *p)
{
    struct conf_provider copy = *p;

    copy.name = text(r, p->name);
    copy.plugin = text(r, p->plugin);
    copy.path = text(r, p->path);
    copy.zones = strs(r, &p->zones);
    copy.run_as = text(r, p->run_as);
    copy.where = where(r, &p->where);
    copy.options = arena_copy(r->arena, p->options, p->n_options, sizeof *p->options);
    for (size_t i = 0; i < p->n_options; i++) {
        copy.options[i].name = text(r, p->options[i].name);
        copy.options[i].text = text(r, p->options[i].text);
        copy.options[i].secret = secret(r, &p->options[i].secret);
        copy.options[i].where = where(r, &p->options[i].where);
    }
    return copy;
}

static struct conf_deployment deployment_copy(struct reader *r, const struct conf_deployment *d)
{
    struct conf_deployment copy = *d;

    copy.name = text(r, d->name);
    copy.where = where(r, &d->where);
    copy.steps = arena_copy(r->arena, d->steps, d->n_steps, sizeof *d->steps);
    for (size_t i = 0; i < d->n_steps; i++) {
        struct conf_step *s = &copy.steps[i];

        s->argv = strs(r, &s->argv);
        s->user = text(r, s->user);
        s->unit = text(r, s->unit);
        s->path = text(r, s->path);
        s->owner = text(r, s->owner);
        s->group = text(r, s->group);
        s->password = secret(r, &s->password);
        s->connect = strs(r, &s->connect);
        s->sni = text(r, s->sni);
        s->starttls = text(r, s->starttls);
        s->where = where(r, &s->where);
    }
    return copy;
}

static struct conf_name name_copy(struct reader *r, const struct conf_name *n)
{
    struct conf_name copy = *n;

    copy.name = text(r, n->name);
    copy.unicode = text(r, n->unicode);
    copy.provider = text(r, n->provider);
    copy.domain = n->domain ? copy.name + (n->domain - n->name) : NULL;
    return copy;
}

static struct conf_cert cert_copy(struct reader *r, const struct conf_cert *c)
{
    struct conf_cert copy = *c;

    copy.name = text(r, c->name);
    copy.names = arena_copy(r->arena, c->names, c->n_names, sizeof *c->names);
    for (size_t i = 0; i < c->n_names; i++)
        copy.names[i] = name_copy(r, &c->names[i]);
    copy.base = text(r, c->base);
    copy.variant = text(r, c->variant);
    copy.http01.listen = strs(r, &c->http01.listen);
    copy.http01.webroot = text(r, c->http01.webroot);
    copy.http01.argv = strs(r, &c->http01.argv);
    copy.alpn_listen = strs(r, &c->alpn_listen);
    copy.csr = text(r, c->csr);
    copy.csr_pem = text(r, c->csr_pem);
    copy.provider = text(r, c->provider);
    copy.cas = strs(r, &c->cas);
    copy.profile = text(r, c->profile);
    copy.owner = text(r, c->owner);
    copy.group = text(r, c->group);
    copy.deployments =
        arena_copy(r->arena, c->deployments, c->n_deployments, sizeof *c->deployments);
    for (size_t i = 0; i < c->n_deployments; i++)
        copy.deployments[i] = deployment_copy(r, &c->deployments[i]);
    copy.where = where(r, &c->where);
    return copy;
}

void keep_definitions(struct reader *r, const struct source *src)
{
    const struct conf *old = r->previous;
    size_t at;

    for (size_t i = 0; old && i < old->n_cas; i++)
        if (str_eq(old->cas[i].where.file, src->file) && old->cas[i].where.line &&
            !place_get(r->ca_names, old->cas[i].name, &at)) {
            struct ca_build b = {.src = src, .email_set = true, .agree_set = true};

            b.ca = ca_copy(r, &old->cas[i]);
            ca_was_written(&b);
            place_put(r->ca_names, b.ca.name, r->cas.n);
            *(struct ca_build *)vec_add(&r->cas) = b;
        }
    for (size_t i = 0; old && i < old->n_providers; i++)
        if (str_eq(old->providers[i].where.file, src->file) &&
            !place_get(r->provider_names, old->providers[i].name, &at)) {
            struct conf_provider p = provider_copy(r, &old->providers[i]);

            place_put(r->provider_names, p.name, r->providers.n);
            *(struct conf_provider *)vec_add(&r->providers) = p;
        }
    for (size_t i = 0; old && i < old->n_deployments; i++)
        if (str_eq(old->deployments[i].where.file, src->file) &&
            !place_get(r->deployment_names, old->deployments[i].name, &at)) {
            struct conf_deployment d = deployment_copy(r, &old->deployments[i]);

            place_put(r->deployment_names, d.name, r->deployments.n);
            *(struct conf_deployment *)vec_add(&r->deployments) = d;
        }
}

/* What the certificate names is still there, and no other has taken its name. */
static bool still_stands(struct reader *r, const struct conf_cert *c)
{
    bool ok = !map_get(r->cert_names, c->name);
    size_t at;

    for (size_t i = 0; ok && i < c->cas.n; i++)
        ok = !ca_use(r, c->cas.v[i]);
    for (size_t i = 0; ok && i < c->n_names; i++)
        ok = !c->names[i].provider[0] || place_get(r->provider_names, c->names[i].provider, &at);
    return ok && (!c->provider[0] || place_get(r->provider_names, c->provider, &at));
}

void keep_certs(struct reader *r, const struct source *src)
{
    const struct conf *old = r->previous;
    struct conf_where at = {.file = src->file, .line = 1, .column = 1};
    size_t kept = 0;

    for (size_t i = 0; old && i < old->n_certs; i++) {
        const struct conf_cert *c = &old->certs[i];
        struct conf_where *here;

        if (!str_eq(c->where.file, src->file))
            continue;
        if (!still_stands(r, c)) {
            diag_warn(&r->diag, at,
                      "the certificate %s of this file's last good version cannot stay: "
                      "what it needs is gone",
                      c->name);
            continue;
        }
        here = arena_new_of(r->trees, struct conf_where);
        *here = where(r, &c->where);
        map_put(r->cert_names, c->name, here);
        *(struct conf_cert *)vec_add(&r->certs) = cert_copy(r, c);
        kept++;
    }
    if (kept)
        diag_warn(&r->diag, at,
                  "this file has errors: its last good version stays (%zu "
                  "certificate%s)",
                  kept, kept == 1 ? "" : "s");
    else
        diag_warn(&r->diag, at, "this file has errors and is left out");
}
