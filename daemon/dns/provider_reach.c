/* SPDX-License-Identifier: ISC */
#include "dns/provider_reach.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

/* HOST, HOST:PORT, [V6], [V6]:PORT up to the end n. */
static bool parse_host(const char *s, size_t n, struct reach_rule *r)
{
    size_t len = 0, rest;
    if (n && s[0] == '[') {
        const char *end = memchr(s, ']', n);
        if (!end)
            return false;
        len = (size_t)(end - s - 1);
        rest = len + 2;
        s++;
        n--;
        rest--;
    } else {
        while (len < n && s[len] != ':')
            len++;
        rest = len;
    }
    if (len == 0 || len >= sizeof(r->host))
        return false;
    memcpy(r->host, s, len);
    r->host[len] = '\0';
    str_lower(r->host);
    if (rest == n)
        return true;
    char port[8];
    int64_t v;
    if (s[rest] != ':' || n - rest - 1 >= sizeof(port))
        return false;
    memcpy(port, s + rest + 1, n - rest - 1);
    port[n - rest - 1] = '\0';
    if (!str_to_i64(port, 1, 65535, &v))
        return false;
    r->port = (uint16_t)v;
    return true;
}

static bool parse_url(const char *url, struct reach_rule *r)
{
    memset(r, 0, sizeof(*r));
    if (strncasecmp(url, "https://", 8) == 0)
        url += 8;
    else if (strncasecmp(url, "http://", 7) == 0) {
        url += 7;
        r->http = true;
    } else
        return false;
    size_t n = strcspn(url, "/?#");
    if (memchr(url, '@', n) || memchr(url, '\\', n) || !parse_host(url, n, r))
        return false;
    if (r->port == 0)
        r->port = r->http ? 80 : 443;
    return true;
}

static void push(char ***list, const char *text)
{
    size_t n = 0;
    while (*list && (*list)[n])
        n++;
    *list = xrealloc_array(*list, n + 2, sizeof(**list));
    (*list)[n] = xstrdup(text);
    (*list)[n + 1] = NULL;
}

static void allow(struct reach_list *l, const struct reach_rule *r)
{
    l->v = xrealloc_array(l->v, l->n + 1, sizeof(*l->v));
    l->v[l->n++] = *r;
    l->plain = l->plain || r->http;
}

static void allow_option(struct reach_list *l, const struct worker_option *o, const char *text,
                         bool written)
{
    struct reach_rule r = {.port = 0};
    if (!text[0])
        return;
    if (o->type == WORKER_OPT_URL ? !parse_url(text, &r) : !parse_host(text, strlen(text), &r))
        return;
    if (o->type == WORKER_OPT_HOST) {
        push(&l->servers, text);
        r.port = 0;
    }
    allow(l, &r);
    if (written)
        push(&l->written, r.host);
}

void reach_list_init(struct reach_list *l, const struct worker_descriptor *d,
                     const struct conf_option *options, size_t n)
{
    memset(l, 0, sizeof(*l));
    for (uint32_t i = 0; i < d->hosts.n; i++) {
        struct reach_rule r = {.port = 443};
        if (parse_host(d->hosts.v[i], strlen(d->hosts.v[i]), &r))
            allow(l, &r);
    }
    for (uint32_t i = 0; i < d->n_options; i++) {
        const struct worker_option *o = &d->options[i];
        const char *text = NULL;
        if (o->type != WORKER_OPT_URL && o->type != WORKER_OPT_HOST)
            continue;
        for (size_t k = 0; k < n; k++)
            if (str_eq(options[k].name, o->name))
                text = options[k].text;
        allow_option(l, o, text ? text : o->dflt, text != NULL);
    }
}

static void free_list(char **list)
{
    for (char **s = list; s && *s; s++)
        free(*s);
    free(list);
}

void reach_list_done(struct reach_list *l)
{
    free(l->v);
    free_list(l->written);
    free_list(l->servers);
    memset(l, 0, sizeof(*l));
}

int reach_list_url(const struct reach_list *l, const char *url, struct err *e)
{
    struct reach_rule want;
    bool host = false;
    if (!parse_url(url, &want))
        return err_set(e, ERR_CONFIG, "the plugin asks for a URL that is not well-formed");
    for (size_t i = 0; i < l->n; i++) {
        const struct reach_rule *r = &l->v[i];
        if (!str_eq(r->host, want.host))
            continue;
        host = true;
        if (r->http == want.http && (r->port == 0 || r->port == want.port))
            return 0;
    }
    if (host)
        return err_set(e, ERR_CONFIG,
                       "the plugin asks for %s://%s:%u, but only another scheme or port of that "
                       "host is allowed",
                       want.http ? "http" : "https", want.host, want.port);
    return err_set(e, ERR_CONFIG,
                   "the plugin asks for host %s, which it does not declare and no option names",
                   want.host);
}

bool reach_list_server(const struct reach_list *l, const char *server)
{
    for (char **s = l->servers; s && *s; s++)
        if (str_case_eq(*s, server))
            return true;
    return false;
}
