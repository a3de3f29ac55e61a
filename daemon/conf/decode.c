/* SPDX-License-Identifier: ISC */
/* The reading half of conf/codec.h: strict, nothing that conf_encode would not write. */
#include "conf/codec.h"

#include "base/frame.h"
#include "base/mem.h"
#include "conf/arena.h"
#include "conf/build.h"
#include "conf/codec_parts.h"

#include <string.h>

#define TEXT_MAX (1u << 20)
#define ITEMS_MAX (1u << 22)

struct in {
    struct frame_reader r;
    struct arena *a;
    const char *file;            /* the last file name read: neighbours share it */
    struct conf_strs http, alpn; /* the usual listeners, made when the first needs them */
    char *empty;
};

static char *get_text(struct in *in)
{
    size_t n = 0;
    const char *p = frame_get_bytes(&in->r, TEXT_MAX, &n);

    if (in->r.bad || !p || !n)
        return arena_strdup(in->a, "");
    if (memchr(p, '\0', n))
        in->r.bad = true;
    return arena_strndup(in->a, p, n);
}

/* An enumerator in [least, most]. */
static uint32_t get_enum(struct in *in, uint32_t least, uint32_t most)
{
    uint32_t v = frame_get_u32(&in->r);

    if (v < least || v > most) {
        in->r.bad = true;
        return least;
    }
    return v;
}

/* A counted array of zeroed items. */
static void *get_array(struct in *in, size_t least, size_t size, size_t *ret_n)
{
    uint32_t n = frame_get_count(&in->r, ITEMS_MAX, least);

    if (in->r.bad)
        n = 0;
    *ret_n = n;
    return n ? arena_alloc(in->a, n, size) : NULL;
}

static void get_strs(struct in *in, struct conf_strs *s)
{
    s->v = get_array(in, 4, sizeof *s->v, &s->n);
    for (size_t i = 0; i < s->n; i++)
        s->v[i] = get_text(in);
}

static void get_where(struct in *in, struct conf_where *w)
{
    size_t n = 0;
    const char *p = frame_get_bytes(&in->r, TEXT_MAX, &n);

    if (in->r.bad || !p)
        n = 0;
    if (n && memchr(p, '\0', n))
        in->r.bad = true;
    if (!in->file || strlen(in->file) != n || (n && memcmp(in->file, p, n)))
        in->file = arena_strndup(in->a, n ? p : "", n);
    w->file = in->file;
    w->line = frame_get_u32(&in->r);
    w->column = frame_get_u32(&in->r);
}

static void get_secret(struct in *in, struct conf_secret *s)
{
    s->kind = get_enum(in, CONF_SECRET_NONE, CONF_SECRET_COMMAND);
    s->source = get_text(in);
    get_strs(in, &s->argv);
}

static void get_limit(struct in *in, struct conf_limit *l)
{
    l->n = frame_get_u32(&in->r);
    l->per_ms = frame_get_i64(&in->r);
    if (l->n && l->per_ms <= 0)
        in->r.bad = true;
}

static void get_ca(struct in *in, struct conf_ca *ca)
{
    ca->name = get_text(in);
    ca->preset = get_text(in);
    ca->directory = get_text(in);
    ca->ca_file = get_text(in);
    ca->ca_pem = get_text(in);
    ca->email = get_text(in);
    ca->agree_tos = frame_get_bool(&in->r);
    ca->account = get_text(in);
    ca->profile = get_text(in);
    ca->preferred_chain = get_text(in);
    ca->eab_kid = get_text(in);
    get_secret(in, &ca->eab_hmac_key);
    ca->eab_by_email = frame_get_bool(&in->r);
    ca->account_key = get_enum(in, CONF_ACCOUNT_ES256, CONF_ACCOUNT_ED25519);
    ca->no_ocsp = frame_get_bool(&in->r);
    ca->timeout_ms = frame_get_i64(&in->r);
    ca->max_orders = frame_get_u32(&in->r);
    get_limit(in, &ca->orders_limit);
    get_limit(in, &ca->same_names_limit);
    get_limit(in, &ca->domain_limit);
    get_limit(in, &ca->failures_limit);
    get_limit(in, &ca->requests_limit);
    ca->staging = get_text(in);
    get_where(in, &ca->where);
}

static void get_zone(struct in *in, struct conf_dns_zone *z)
{
    z->suffix = get_text(in);
    get_strs(in, &z->servers);
    get_strs(in, &z->resolvers);
    z->ask = get_enum(in, CONF_ASK_AUTO, CONF_ASK_RESOLVERS);
    z->check = get_enum(in, CONF_CHECK_REQUIRE, CONF_CHECK_NONE);
    z->timeout_ms = frame_get_i64(&in->r);
}

static void get_option(struct in *in, struct conf_option *o)
{
    o->name = get_text(in);
    o->text = get_text(in);
    get_secret(in, &o->secret);
    get_where(in, &o->where);
}

static void get_provider(struct in *in, struct conf_provider *p)
{
    p->name = get_text(in);
    p->plugin = get_text(in);
    p->path = get_text(in);
    get_strs(in, &p->zones);
    p->allow_exec = frame_get_bool(&in->r);
    p->run_as = get_text(in);
    p->ttl = frame_get_u32(&in->r);
    p->timeout_ms = frame_get_i64(&in->r);
    p->propagation_s = frame_get_u32(&in->r);
    get_where(in, &p->where);
    p->options = get_array(in, 32, sizeof *p->options, &p->n_options);
    for (size_t i = 0; i < p->n_options; i++)
        get_option(in, &p->options[i]);
}

static void get_step(struct in *in, struct conf_step *s)
{
    s->kind = get_enum(in, CONF_STEP_RUN, CONF_STEP_VERIFY);
    s->timeout_ms = frame_get_i64(&in->r);
    get_strs(in, &s->argv);
    s->user = get_text(in);
    s->once = frame_get_bool(&in->r);
    s->unit = get_text(in);
    s->path = get_text(in);
    s->n_content = frame_get_count(&in->r, ARRAY_LEN(s->content), 4);
    for (size_t i = 0; i < s->n_content && i < ARRAY_LEN(s->content); i++)
        s->content[i] = get_enum(in, CONF_PRIVKEY, CONF_CERT_DER);
    s->owner = get_text(in);
    s->group = get_text(in);
    s->mode = frame_get_u32(&in->r);
    get_secret(in, &s->password);
    get_strs(in, &s->connect);
    s->sni = get_text(in);
    s->starttls = get_text(in);
    get_where(in, &s->where);
}

static void get_deployment(struct in *in, struct conf_deployment *d)
{
    d->name = get_text(in);
    get_where(in, &d->where);
    d->steps = get_array(in, 60, sizeof *d->steps, &d->n_steps);
    for (size_t i = 0; i < d->n_steps; i++)
        get_step(in, &d->steps[i]);
}

struct list {
    struct conf_deployment *v;
    size_t n;
};

static void get_list(struct in *in, const struct conf *c, struct list *l)
{
    l->v = get_array(in, 4, sizeof *l->v, &l->n);
    for (size_t i = 0; i < l->n; i++) {
        uint32_t shared = get_enum(in, 0, (uint32_t)c->n_deployments);

        if (shared)
            l->v[i] = c->deployments[shared - 1];
        else
            get_deployment(in, &l->v[i]);
    }
}

static void get_challenges(struct in *in, struct conf_challenges *c)
{
    c->n = frame_get_count(&in->r, CONF_CHALLENGE_TYPES, 4);
    for (size_t i = 0; i < c->n && i < CONF_CHALLENGE_TYPES; i++)
        c->v[i] = get_enum(in, CONF_DNS_01, CONF_DNS_PERSIST_01);
    if (!c->n)
        in->r.bad = true;
}

static void get_names(struct in *in, struct conf_cert *k)
{
    k->names = get_array(in, 17, sizeof *k->names, &k->n_names);
    for (size_t i = 0; i < k->n_names; i++) {
        struct conf_name *n = &k->names[i];

        n->name = get_text(in);
        n->unicode = get_text(in);
        if (!n->unicode[0])
            n->unicode = n->name;
        n->provider = get_text(in);
        uint32_t domain = frame_get_u32(&in->r);
        n->domain = domain < strlen(n->name) ? n->name + domain : NULL;
        n->ip = frame_get_bool(&in->r);
        get_challenges(in, &n->challenges);
    }
}

static struct conf_strs everywhere(struct in *in, const char *const listen[CODEC_LISTENERS])
{
    struct conf_strs s = {.v = arena_alloc(in->a, CODEC_LISTENERS, sizeof *s.v),
                          .n = CODEC_LISTENERS};

    for (size_t i = 0; i < CODEC_LISTENERS; i++)
        s.v[i] = arena_strdup(in->a, listen[i]);
    return s;
}

static void get_proof(struct in *in, struct conf_cert *k)
{
    get_challenges(in, &k->challenges);
    if (!in->http.n) {
        in->http = everywhere(in, codec_http_listen);
        in->alpn = everywhere(in, codec_alpn_listen);
        in->empty = arena_strdup(in->a, "");
    }
    if (frame_get_bool(&in->r)) {
        k->http01 = (struct conf_http01){CONF_HTTP01_LISTEN, in->http, in->empty, {0}};
        k->alpn_listen = in->alpn;
    } else {
        k->http01.kind = get_enum(in, CONF_HTTP01_LISTEN, CONF_HTTP01_RUN);
        get_strs(in, &k->http01.listen);
        k->http01.webroot = get_text(in);
        get_strs(in, &k->http01.argv);
        get_strs(in, &k->alpn_listen);
    }
    k->persist.write = frame_get_bool(&in->r);
    k->persist.wildcard = frame_get_bool(&in->r);
    k->persist.days_ms = frame_get_i64(&in->r);
}

static void get_cert(struct in *in, struct conf_cert *k, const struct list *lists, size_t n_lists)
{
    k->name = get_text(in);
    k->base = get_text(in);
    if (!k->base[0])
        k->base = k->name;
    k->variant = get_text(in);
    get_names(in, k);
    k->enabled = frame_get_bool(&in->r);
    k->provider = get_text(in);
    get_strs(in, &k->cas);
    k->fallback_after = frame_get_u32(&in->r);
    get_proof(in, k);
    k->key = get_enum(in, CONF_KEY_ECDSA_P256, CONF_KEY_RSA_4096);
    k->reuse_key = frame_get_bool(&in->r);
    k->csr = get_text(in);
    k->csr_pem = get_text(in);
    k->must_staple = frame_get_bool(&in->r);
    k->profile = get_text(in);
    k->profile_or_default = frame_get_bool(&in->r);
    k->renew_before_ms = frame_get_i64(&in->r);
    k->renew_before_percent = get_enum(in, 0, 99);
    k->ari = frame_get_bool(&in->r);
    k->owner = get_text(in);
    k->group = get_text(in);
    k->key_mode = frame_get_u32(&in->r);
    uint32_t at = frame_get_u32(&in->r);

    if (at < n_lists) {
        k->deployments = lists[at].v;
        k->n_deployments = lists[at].n;
    } else {
        in->r.bad = true;
    }
    get_where(in, &k->where);
    if (!k->name[0] || !k->n_names || !k->cas.n)
        in->r.bad = true;
}

static void get_certs(struct in *in, struct conf *c)
{
    size_t n_lists;
    struct list *lists = get_array(in, 4, sizeof *lists, &n_lists);

    for (size_t i = 0; i < n_lists; i++)
        get_list(in, c, &lists[i]);
    c->certs = get_array(in, 70, sizeof *c->certs, &c->n_certs);
    for (size_t i = 0; i < c->n_certs; i++)
        get_cert(in, &c->certs[i], lists, n_lists);
}

static void get_head(struct in *in, struct conf *c)
{
    if (frame_get_u32(&in->r) != CODEC_VERSION)
        in->r.bad = true;
    c->generation = frame_get_u64(&in->r);
    c->file = get_text(in);
    c->state_dir = get_text(in);
    c->control_socket = get_text(in);
    c->control_group = get_text(in);
    c->user = get_text(in);
    c->worker_user = get_text(in);
    c->user_set = frame_get_bool(&in->r);
    c->worker_user_set = frame_get_bool(&in->r);
    c->log_level = get_enum(in, LOG_LEVEL_ERROR, LOG_LEVEL_DEBUG);
    c->archive_keep = frame_get_u32(&in->r);
}

struct conf *conf_decode(const void *p, size_t n, struct err *e)
{
    struct conf *c = conf_new();
    struct in in = {.a = c->arena};

    frame_reader_init(&in.r, p, n);
    get_head(&in, c);
    c->cas = get_array(&in, 50, sizeof *c->cas, &c->n_cas);
    for (size_t i = 0; i < c->n_cas; i++)
        get_ca(&in, &c->cas[i]);
    c->dns_zones = get_array(&in, 28, sizeof *c->dns_zones, &c->n_dns_zones);
    for (size_t i = 0; i < c->n_dns_zones; i++)
        get_zone(&in, &c->dns_zones[i]);
    c->providers = get_array(&in, 50, sizeof *c->providers, &c->n_providers);
    for (size_t i = 0; i < c->n_providers; i++)
        get_provider(&in, &c->providers[i]);
    c->deployments = get_array(&in, 16, sizeof *c->deployments, &c->n_deployments);
    for (size_t i = 0; i < c->n_deployments; i++)
        get_deployment(&in, &c->deployments[i]);
    get_certs(&in, c);
    if (!frame_reader_done(&in.r) || !c->n_dns_zones) {
        conf_unref(c);
        err_set(e, ERR_BUG, "the configuration's copy is malformed");
        return NULL;
    }
    conf_seal(c);
    return c;
}
