/* SPDX-License-Identifier: ISC */
/*
 * The snapshot as counted fields (base/frame.h), in the order of conf.h, with two kinds of sharing
 * kept: certificates name their deployment list by its number in a table of distinct lists, and a
 * list names a deployment of `deployments` by its number instead of repeating the steps.
 */
#include "conf/codec.h"

#include "base/frame.h"
#include "base/mem.h"
#include "conf/codec_parts.h"

#include <stdlib.h>
#include <string.h>

static bool is_everywhere(const struct conf_strs *s, const char *const everywhere[CODEC_LISTENERS])
{
    return s->n == CODEC_LISTENERS && !strcmp(s->v[0], everywhere[0]) &&
           !strcmp(s->v[1], everywhere[1]);
}

static void put_strs(struct buf *b, const struct conf_strs *s)
{
    frame_put_u32(b, (uint32_t)s->n);
    for (size_t i = 0; i < s->n; i++)
        frame_put_text(b, s->v[i]);
}

static void put_where(struct buf *b, const struct conf_where *w)
{
    frame_put_text(b, w->file);
    frame_put_u32(b, w->line);
    frame_put_u32(b, w->column);
}

/* Where it comes from, not what it is. */
static void put_secret(struct buf *b, const struct conf_secret *s)
{
    frame_put_u32(b, s->kind);
    frame_put_text(b, s->source);
    put_strs(b, &s->argv);
}

static void put_limit(struct buf *b, const struct conf_limit *l)
{
    frame_put_u32(b, l->n);
    frame_put_i64(b, l->per_ms);
}

static void put_ca(struct buf *b, const struct conf_ca *ca)
{
    frame_put_text(b, ca->name);
    frame_put_text(b, ca->preset);
    frame_put_text(b, ca->directory);
    frame_put_text(b, ca->ca_file);
    frame_put_text(b, ca->ca_pem);
    frame_put_text(b, ca->email);
    frame_put_bool(b, ca->agree_tos);
    frame_put_text(b, ca->account);
    frame_put_text(b, ca->profile);
    frame_put_text(b, ca->preferred_chain);
    frame_put_text(b, ca->eab_kid);
    put_secret(b, &ca->eab_hmac_key);
    frame_put_bool(b, ca->eab_by_email);
    frame_put_u32(b, ca->account_key);
    frame_put_bool(b, ca->no_ocsp);
    frame_put_i64(b, ca->timeout_ms);
    frame_put_u32(b, ca->max_orders);
    put_limit(b, &ca->orders_limit);
    put_limit(b, &ca->same_names_limit);
    put_limit(b, &ca->domain_limit);
    put_limit(b, &ca->failures_limit);
    put_limit(b, &ca->requests_limit);
    frame_put_text(b, ca->staging);
    put_where(b, &ca->where);
}

static void put_zone(struct buf *b, const struct conf_dns_zone *z)
{
    frame_put_text(b, z->suffix);
    put_strs(b, &z->servers);
    put_strs(b, &z->resolvers);
    frame_put_u32(b, z->ask);
    frame_put_u32(b, z->check);
    frame_put_i64(b, z->timeout_ms);
}

static void put_option(struct buf *b, const struct conf_option *o)
{
    frame_put_text(b, o->name);
    frame_put_text(b, o->text);
    put_secret(b, &o->secret);
    put_where(b, &o->where);
}

static void put_provider(struct buf *b, const struct conf_provider *p)
{
    frame_put_text(b, p->name);
    frame_put_text(b, p->plugin);
    frame_put_text(b, p->path);
    put_strs(b, &p->zones);
    frame_put_bool(b, p->allow_exec);
    frame_put_text(b, p->run_as);
    frame_put_u32(b, p->ttl);
    frame_put_i64(b, p->timeout_ms);
    frame_put_u32(b, p->propagation_s);
    put_where(b, &p->where);
    frame_put_u32(b, (uint32_t)p->n_options);
    for (size_t i = 0; i < p->n_options; i++)
        put_option(b, &p->options[i]);
}

static void put_step(struct buf *b, const struct conf_step *s)
{
    frame_put_u32(b, s->kind);
    frame_put_i64(b, s->timeout_ms);
    put_strs(b, &s->argv);
    frame_put_text(b, s->user);
    frame_put_bool(b, s->once);
    frame_put_text(b, s->unit);
    frame_put_text(b, s->path);
    frame_put_u32(b, (uint32_t)s->n_content);
    for (size_t i = 0; i < s->n_content; i++)
        frame_put_u32(b, s->content[i]);
    frame_put_text(b, s->owner);
    frame_put_text(b, s->group);
    frame_put_u32(b, s->mode);
    put_secret(b, &s->password);
    put_strs(b, &s->connect);
    frame_put_text(b, s->sni);
    frame_put_text(b, s->starttls);
    put_where(b, &s->where);
}

static void put_deployment(struct buf *b, const struct conf_deployment *d)
{
    frame_put_text(b, d->name);
    put_where(b, &d->where);
    frame_put_u32(b, (uint32_t)d->n_steps);
    for (size_t i = 0; i < d->n_steps; i++)
        put_step(b, &d->steps[i]);
}

/* 1 + the place of the deployment whose steps d shares, or 0. */
static uint32_t shared_deployment(const struct conf *c, const struct conf_deployment *d)
{
    for (size_t i = 0; i < c->n_deployments && d->n_steps; i++)
        if (c->deployments[i].steps == d->steps && !strcmp(c->deployments[i].name, d->name))
            return (uint32_t)i + 1;
    return 0;
}

static void put_list(struct buf *b, const struct conf *c, const struct conf_cert *cert)
{
    frame_put_u32(b, (uint32_t)cert->n_deployments);
    for (size_t i = 0; i < cert->n_deployments; i++) {
        uint32_t shared = shared_deployment(c, &cert->deployments[i]);

        frame_put_u32(b, shared);
        if (!shared)
            put_deployment(b, &cert->deployments[i]);
    }
}

static int by_list(const void *a, const void *b)
{
    const struct conf_cert *x = *(const struct conf_cert *const *)a,
                           *y = *(const struct conf_cert *const *)b;

    return x->deployments < y->deployments ? -1 : x->deployments > y->deployments;
}

/* Distinct lists, one certificate of each, sorted by address. */
static size_t distinct_lists(const struct conf *c, const struct conf_cert **ret)
{
    size_t n = 0;

    for (size_t i = 0; i < c->n_certs; i++)
        ret[i] = &c->certs[i];
    qsort(ret, c->n_certs, sizeof *ret, by_list);
    for (size_t i = 0; i < c->n_certs; i++)
        if (!n || ret[n - 1]->deployments != ret[i]->deployments)
            ret[n++] = ret[i];
    return n;
}

static void put_challenges(struct buf *b, const struct conf_challenges *c)
{
    frame_put_u32(b, (uint32_t)c->n);
    for (size_t i = 0; i < c->n; i++)
        frame_put_u32(b, c->v[i]);
}

static void put_name(struct buf *b, const struct conf_name *n)
{
    bool same = !strcmp(n->name, n->unicode);

    frame_put_text(b, n->name);
    frame_put_text(b, same ? "" : n->unicode);
    frame_put_text(b, n->provider);
    frame_put_u32(b, n->domain ? (uint32_t)(n->domain - n->name) : UINT32_MAX);
    frame_put_bool(b, n->ip);
    put_challenges(b, &n->challenges);
}

/* How names are proved; 0 stands for the listeners that most have. */
static void put_proof(struct buf *b, const struct conf_cert *k)
{
    bool plain = k->http01.kind == CONF_HTTP01_LISTEN &&
                 is_everywhere(&k->http01.listen, codec_http_listen) &&
                 is_everywhere(&k->alpn_listen, codec_alpn_listen);

    put_challenges(b, &k->challenges);
    frame_put_bool(b, plain);
    if (!plain) {
        frame_put_u32(b, k->http01.kind);
        put_strs(b, &k->http01.listen);
        frame_put_text(b, k->http01.webroot);
        put_strs(b, &k->http01.argv);
        put_strs(b, &k->alpn_listen);
    }
    frame_put_bool(b, k->persist.write);
    frame_put_bool(b, k->persist.wildcard);
    frame_put_i64(b, k->persist.days_ms);
}

static void put_cert(struct buf *b, const struct conf_cert *k, uint32_t list)
{
    frame_put_text(b, k->name);
    frame_put_text(b, k->variant[0] ? k->base : "");
    frame_put_text(b, k->variant);
    frame_put_u32(b, (uint32_t)k->n_names);
    for (size_t i = 0; i < k->n_names; i++)
        put_name(b, &k->names[i]);
    frame_put_bool(b, k->enabled);
    frame_put_text(b, k->provider);
    put_strs(b, &k->cas);
    frame_put_u32(b, k->fallback_after);
    put_proof(b, k);
    frame_put_u32(b, k->key);
    frame_put_bool(b, k->reuse_key);
    frame_put_text(b, k->csr);
    frame_put_text(b, k->csr_pem);
    frame_put_bool(b, k->must_staple);
    frame_put_text(b, k->profile);
    frame_put_bool(b, k->profile_or_default);
    frame_put_i64(b, k->renew_before_ms);
    frame_put_u32(b, k->renew_before_percent);
    frame_put_bool(b, k->ari);
    frame_put_text(b, k->owner);
    frame_put_text(b, k->group);
    frame_put_u32(b, k->key_mode);
    frame_put_u32(b, list);
    put_where(b, &k->where);
}

static void put_certs(struct buf *b, const struct conf *c)
{
    const struct conf_cert **lists = xcalloc(c->n_certs + 1, sizeof *lists);
    size_t n = distinct_lists(c, lists);

    frame_put_u32(b, (uint32_t)n);
    for (size_t i = 0; i < n; i++)
        put_list(b, c, lists[i]);
    frame_put_u32(b, (uint32_t)c->n_certs);
    for (size_t i = 0; i < c->n_certs; i++) {
        const struct conf_cert *k = &c->certs[i];
        const struct conf_cert **at = bsearch(&k, lists, n, sizeof *lists, by_list);

        put_cert(b, k, (uint32_t)(at - lists));
    }
    free(lists);
}

int conf_encode(const struct conf *c, struct buf *out)
{
    frame_put_u32(out, CODEC_VERSION);
    frame_put_u64(out, c->generation);
    frame_put_text(out, c->file);
    frame_put_text(out, c->state_dir);
    frame_put_text(out, c->control_socket);
    frame_put_text(out, c->control_group);
    frame_put_text(out, c->user);
    frame_put_text(out, c->worker_user);
    frame_put_bool(out, c->user_set);
    frame_put_bool(out, c->worker_user_set);
    frame_put_u32(out, c->log_level);
    frame_put_u32(out, c->archive_keep);
    frame_put_u32(out, (uint32_t)c->n_cas);
    for (size_t i = 0; i < c->n_cas; i++)
        put_ca(out, &c->cas[i]);
    frame_put_u32(out, (uint32_t)c->n_dns_zones);
    for (size_t i = 0; i < c->n_dns_zones; i++)
        put_zone(out, &c->dns_zones[i]);
    frame_put_u32(out, (uint32_t)c->n_providers);
    for (size_t i = 0; i < c->n_providers; i++)
        put_provider(out, &c->providers[i]);
    frame_put_u32(out, (uint32_t)c->n_deployments);
    for (size_t i = 0; i < c->n_deployments; i++)
        put_deployment(out, &c->deployments[i]);
    put_certs(out, c);
    return buf_failed(out) ? -1 : 0;
}
