/* SPDX-License-Identifier: ISC */
#include "conf/load.h"

#include "base/str.h"
#include "conf/build.h"
#include "conf/reader.h"
#include "conf/value.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- growing arrays and maps of places ---- */

void *vec_add(struct vec *v)
{
    if (v->n == v->cap) {
        v->cap = v->cap ? v->cap * 2 : 16;
        v->v = xrealloc_array(v->v, v->cap, v->size);
    }
    char *item = v->v + v->n++ * v->size;

    memset(item, 0, v->size);
    return item;
}

void *vec_at(const struct vec *v, size_t i)
{
    return v->v + i * v->size;
}

void vec_free(struct vec *v)
{
    free(v->v);
    v->v = NULL;
    v->n = v->cap = 0;
}

void place_put(struct map *m, const char *name, size_t at)
{
    map_put(m, name, (void *)(uintptr_t)(at + 1));
}

bool place_get(const struct map *m, const char *name, size_t *ret_at)
{
    uintptr_t at = (uintptr_t)map_get(m, name);

    if (at)
        *ret_at = at - 1;
    return at != 0;
}

const char *suggest_in(struct reader *r, const struct map *m, const char *word)
{
    const char *names[256];
    size_t n = 0;
    const char *key;
    void *value;

    for (size_t i = 0; n < ARRAY_LEN(names) && map_next(m, &i, &key, &value);)
        names[n++] = key;
    return suggest(r, word, names, n);
}

int name_check(struct reader *r, const char *what, const struct node *key)
{
    static const char ok[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

    if (!key->n || strspn(key->text, ok) != key->n || str_eq(key->text, ".") ||
        str_eq(key->text, ".."))
        return READ_ERROR(r, key,
                          "%s: \"%s\" is no name: write letters, digits, \".\", \"_\" and \"-\"",
                          what, key->text);
    if (key->n > 253)
        return READ_ERROR(r, key, "%s: a name of more than 253 characters", what);
    return 0;
}

/* ---- passes ---- */

static void forget(struct vec *v, struct map *names, size_t n)
{
    while (v->n > n) { /* each item begins with its name */
        char **name = vec_at(v, --v->n);

        map_remove(names, *name);
    }
}

static void read_definitions(struct reader *r, struct source *src)
{
    size_t before = r->diag.n, errors = r->diag.errors;
    size_t cas = r->cas.n, providers = r->providers.n, deployments = r->deployments.n;

    r->src = src;
    if (!src->bad || !src->keep) {
        cas_read(r, src);
        providers_read(r, src->providers);
        deployments_read(r, src->deployments);
        if (r->diag.errors == errors || !src->keep)
            return;
        src->bad = true;
        diag_demote(&r->diag, before);
        forget(&r->cas, r->ca_names, cas);
        forget(&r->providers, r->provider_names, providers);
        forget(&r->deployments, r->deployment_names, deployments);
    }
    keep_definitions(r, src);
}

static void read_certificates(struct reader *r, struct source *src)
{
    size_t before = r->diag.n, errors = r->diag.errors, certs = r->certs.n;

    r->src = src;
    if (!src->bad || !src->keep) {
        certs_read(r, src);
        if (r->diag.errors == errors || !src->keep)
            return;
        src->bad = true;
        diag_demote(&r->diag, before);
        forget(&r->certs, r->cert_names, certs);
        keep_definitions(r,
                         src); /* what its old certificates need and its new text no longer has */
    }
    keep_certs(r, src);
}

char *path_absolute(struct reader *r, const char *path)
{
    char *cwd = path[0] == '/' ? NULL : getcwd(NULL, 0);
    char *text = arena_printf(r->arena, "%s%s%s", cwd ? cwd : "", cwd ? "/" : "", path);

    free(cwd);
    return text;
}

static void finish_top(struct reader *r, const char *file)
{
    const struct source *top = r->sources[0];
    struct conf *c = r->conf;

    c->file = path_absolute(r, file);
    c->files.n = r->n_sources;
    c->files.v = arena_alloc(r->arena, r->n_sources, sizeof(*c->files.v));
    for (size_t i = 0; i < r->n_sources; i++)
        c->files.v[i] = path_absolute(r, r->sources[i]->file);
    c->state_dir = top->state_dir;
    c->control_socket = top->control_socket;
    c->control_group = top->control_group;
    c->log_level = (enum log_level)top->log_level;
    c->archive_keep = top->archive_keep;
    c->generation = r->previous ? r->previous->generation + 1 : 1;
}

static void finish_lists(struct reader *r)
{
    struct conf *c = r->conf;

    c->n_cas = r->cas.n;
    c->cas = arena_alloc(r->arena, r->cas.n + 1, sizeof *c->cas);
    for (size_t i = 0; i < r->cas.n; i++)
        c->cas[i] = ((struct ca_build *)vec_at(&r->cas, i))->ca;
    c->n_dns_zones = r->zones.n;
    c->dns_zones = arena_copy(r->arena, r->zones.v, r->zones.n, r->zones.size);
    c->n_providers = r->providers.n;
    c->providers = arena_copy(r->arena, r->providers.v, r->providers.n, r->providers.size);
    c->n_deployments = r->deployments.n;
    c->deployments = arena_copy(r->arena, r->deployments.v, r->deployments.n, r->deployments.size);
    c->n_certs = r->certs.n;
    c->certs = arena_copy(r->arena, r->certs.v, r->certs.n, r->certs.size);
}

static void read_all(struct reader *r, const char *file)
{
    if (include_read(r, file))
        return;
    dns_read(r, r->sources[0]->dns);
    for (size_t i = 0; i < r->n_sources; i++)
        read_definitions(r, r->sources[i]);
    for (size_t i = 0; i < r->n_sources; i++)
        read_certificates(r, r->sources[i]);
    cas_finish(r);
    dns_finish(r);
    users_finish(r);
    finish_top(r, file);
}

static void reader_init(struct reader *r)
{
    r->conf = conf_new();
    r->arena = r->conf->arena;
    r->trees = arena_new();
    r->cas.size = sizeof(struct ca_build);
    r->zones.size = sizeof(struct conf_dns_zone);
    r->providers.size = sizeof(struct conf_provider);
    r->deployments.size = sizeof(struct conf_deployment);
    r->certs.size = sizeof(struct conf_cert);
    r->ca_names = map_new();
    r->provider_names = map_new();
    r->deployment_names = map_new();
    r->cert_names = map_new();
    r->listeners = map_new();
    r->users = map_new();
}

static void reader_done(struct reader *r)
{
    vec_free(&r->cas);
    vec_free(&r->zones);
    vec_free(&r->providers);
    vec_free(&r->deployments);
    vec_free(&r->certs);
    map_free(r->ca_names);
    map_free(r->provider_names);
    map_free(r->deployment_names);
    map_free(r->cert_names);
    map_free(r->listeners);
    map_free(r->users);
    free(r->sources);
    arena_free(r->trees);
    diag_free(&r->diag);
}

static struct conf *load(struct reader *r, const char *file, struct conf_messages *ret)
{
    struct conf *c;
    bool bad;

    reader_init(r);
    read_all(r, file);
    finish_lists(r);
    c = r->conf;
    bad = r->diag.errors > 0;
    diag_finish(&r->diag, ret);
    reader_done(r);
    if (bad) {
        conf_unref(c);
        return NULL;
    }
    conf_seal(c);
    return c;
}

struct conf *conf_load(const char *file, const struct conf_plugins *plugins,
                       const struct conf *previous, struct conf_messages *ret)
{
    struct reader r = {.plugins = plugins, .previous = previous};

    return load(&r, file, ret);
}

struct conf *conf_load_text(const char *name, const char *text, size_t n,
                            const struct conf_plugins *plugins, struct conf_messages *ret)
{
    struct buf b;
    struct reader r = {.plugins = plugins, .text = &b};
    struct conf *c;

    buf_init_secret(&b, n);
    buf_put(&b, text, n);
    c = load(&r, name, ret);
    buf_free(&b);
    return c;
}
