/* SPDX-License-Identifier: ISC */
#include "acme/server.h"

#include "base/str.h"

#include <stdlib.h>

static struct gate *find_gate(const struct list *set, const struct acme_env *env, const char *url)
{
    list_each(it, set)
    {
        struct server *s = list_item(it, struct server, node);
        if (str_eq(s->url, url))
            return gate_ref(s->gate);
    }
    return gate_new(env->loop);
}

static struct server *server_new(const struct acme_env *env, const struct conf_ca *ca)
{
    struct server *s = xnew(struct server);
    struct http_site_spec spec = {.http2 = true};

    list_init(&s->node);
    s->refs = 1;
    s->env = env;
    s->url = xstrdup(ca->directory);
    s->ca_pem = xstrdup(ca->ca_pem);
    s->timeout_ms = ca->timeout_ms;
    spec.ca_pem = *s->ca_pem ? s->ca_pem : NULL;
    s->site = http_site_new(env->http, &spec);
    directory_init(&s->directory);
    nonces_init(&s->nonces, s);
    return s;
}

struct server *server_get(struct list *set, const struct acme_env *env, const struct conf_ca *ca)
{
    list_each(it, set)
    {
        struct server *s = list_item(it, struct server, node);
        if (str_eq(s->url, ca->directory) && str_eq(s->ca_pem, ca->ca_pem) &&
            s->timeout_ms == ca->timeout_ms) {
            gate_limit(s->gate, &ca->requests_limit);
            return server_ref(s);
        }
    }
    struct server *s = server_new(env, ca);
    s->gate = find_gate(set, env, ca->directory);
    gate_limit(s->gate, &ca->requests_limit);
    list_append(set, &s->node);
    return s;
}

struct server *server_ref(struct server *s)
{
    s->refs++;
    return s;
}

void server_unref(struct server *s)
{
    if (!s || --s->refs > 0)
        return;
    list_remove(&s->node);
    directory_done(&s->directory);
    nonces_done(&s->nonces);
    http_site_free(s->site);
    gate_unref(s->gate);
    free(s->url);
    free(s->ca_pem);
    free(s);
}
