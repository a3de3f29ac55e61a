/* SPDX-License-Identifier: ISC */
#include "renew/persist.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

#define RECORD_MAX 8192u
#define LIST_MAX 16
#define URI_MAX 4096u
#define HASH "sha-256/"

/* ---- facts ---- */

static char **copy_list(char *const *v, size_t n)
{
    char **out = xcalloc(n ? n : 1, sizeof(*out));
    for (size_t i = 0; i < n; i++)
        out[i] = xstrdup(v[i]);
    return out;
}

static void free_list(char **v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(v[i]);
    free(v);
}

void persist_fact_set(struct persist_fact *f, const char *name, const char *ca, const char *owner,
                      bool wildcard, char *const *issuers, size_t n_issuers, char *const *uris,
                      size_t n_uris)
{
    *f = (struct persist_fact){
        .name = xstrdup(name),
        .ca = xstrdup(ca),
        .owner = xstrdup(owner),
        .wildcard = wildcard,
        .issuers = copy_list(issuers, n_issuers),
        .n_issuers = n_issuers,
        .uris = copy_list(uris, n_uris),
        .n_uris = n_uris,
    };
}

void persist_fact_done(struct persist_fact *f)
{
    free(f->name);
    free(f->ca);
    free(f->owner);
    free_list(f->issuers, f->n_issuers);
    free_list(f->uris, f->n_uris);
    memset(f, 0, sizeof(*f));
}

char *persist_fact_key(const char *cert, const char *name)
{
    return xasprintf("cert/%s/persist/%s", cert, name);
}

static void add_list(struct json *j, const char *key, char *const *v, size_t n)
{
    struct json *list = json_add_array(j, key);
    for (size_t i = 0; i < n; i++)
        json_add_text(list, NULL, v[i]);
}

char *persist_fact_text(const struct persist_fact *f)
{
    struct json *j = json_object();
    json_add_text(j, "name", f->name);
    json_add_text(j, "ca", f->ca);
    json_add_text(j, "owner", f->owner);
    json_add_bool(j, "wildcard", f->wildcard);
    add_list(j, "issuers", f->issuers, f->n_issuers);
    add_list(j, "uris", f->uris, f->n_uris);
    json_add_int(j, "until", f->until_ms);
    json_add_int(j, "used", f->used_ms);
    char *text = json_print(j, false);
    json_free(j);
    return text;
}

static int read_list(const struct json *list, char ***ret, size_t *ret_n)
{
    size_t n = json_len(list);
    if (!json_is_array(list) || n == 0 || n > LIST_MAX)
        return -1;
    *ret = xcalloc(n, sizeof(**ret));
    for (const struct json *it = json_first(list); it; it = json_after(it)) {
        const char *text = json_as_text(it);
        if (!text)
            return -1;
        (*ret)[(*ret_n)++] = xstrdup(text);
    }
    return 0;
}

int persist_fact_read(struct persist_fact *f, const struct json *j)
{
    const char *name = json_text(j, "name"), *owner = json_text(j, "owner"),
               *ca = json_text(j, "ca");
    struct persist_fact out = {.wildcard = json_bool(j, "wildcard", false),
                               .until_ms = json_int(j, "until", 0),
                               .used_ms = json_int(j, "used", 0)};
    if (!name || !ca || !owner || read_list(json_get(j, "issuers"), &out.issuers, &out.n_issuers) ||
        read_list(json_get(j, "uris"), &out.uris, &out.n_uris)) {
        persist_fact_done(&out);
        return -1;
    }
    out.name = xstrdup(name);
    out.ca = xstrdup(ca);
    out.owner = xstrdup(owner);
    *f = out;
    return 0;
}

const char *persist_fact_hash(const struct persist_fact *f)
{
    return strstr(f->uris[0], HASH);
}

int persist_fact_rehash(struct persist_fact *f, const char *thumbprint, const char *account_url,
                        struct err *e)
{
    const char *bare = name_is_wildcard(f->name) ? name_parent(f->name) : f->name;
    CLEANUP_FREE char *prefix = xstrndup(f->uris[0], (size_t)(persist_fact_hash(f) - f->uris[0]));
    CLEANUP_BUF struct buf own, any;
    buf_init(&own, URI_MAX);
    buf_init(&any, URI_MAX);
    if (persist_account_uri(prefix, bare, thumbprint, account_url, &own, e) < 0 ||
        persist_account_uri(prefix, "*", thumbprint, account_url, &any, e) < 0)
        return -1;
    free_list(f->uris, f->n_uris);
    char *both[] = {(char *)(uintptr_t)buf_str(&own), (char *)(uintptr_t)buf_str(&any)};
    f->uris = copy_list(both, 2);
    f->n_uris = 2;
    return 0;
}

int persist_fact_record(const struct persist_fact *f, int64_t until_ms, struct buf *out,
                        struct err *e)
{
    return persist_put(f->issuers[0], f->uris[0], f->wildcard, until_ms, out, e);
}

/* ---- looking for one ---- */

struct persist_find {
    struct persist_fact fact;
    struct loop *loop;
    int64_t margin_ms;
    struct persist_find_handler handler;
    void *arg;
    struct publish_find *find;
    int64_t until_ms; /* of those that fit, the first to end */
    bool seen;
    char reason[PERSIST_REASON]; /* against one that does not fit */
};

void persist_find_cancel(struct persist_find *s)
{
    if (!s)
        return;
    publish_find_cancel(s->find);
    persist_fact_done(&s->fact);
    free(s);
}

static bool fits(void *arg, const char *text, size_t n)
{
    struct persist_find *s = arg;
    const struct persist_fact *f = &s->fact;
    const struct persist_want want = {
        .issuers = (const char *const *)f->issuers,
        .n_issuers = f->n_issuers,
        .account_uris = (const char *const *)f->uris,
        .n_account_uris = f->n_uris,
        .wildcard = f->wildcard,
        .now_ms = loop_wall_ms(s->loop) + s->margin_ms,
    };
    int64_t until = 0;
    if (!persist_matches(text, n, &want, &until, s->reason))
        return false;
    if (!s->seen || (until && (!s->until_ms || until < s->until_ms)))
        s->until_ms = until;
    s->seen = true;
    return true;
}

static void say_what_to_create(const struct persist_find *s, struct err *e)
{
    CLEANUP_BUF struct buf b;
    struct err bad = ERR_INIT;
    buf_init(&b, RECORD_MAX);
    if (persist_fact_record(&s->fact, 0, &b, &bad) < 0)
        *e = bad;
    else if (s->reason[0])
        err_set(e, ERR_BLOCKED, "create the record: %.150s. TXT \"%.250s\" (one is there, but %s)",
                s->fact.owner, buf_str(&b), s->reason);
    else
        err_set(e, ERR_BLOCKED, "create the record: %.150s. TXT \"%.300s\"", s->fact.owner,
                buf_str(&b));
}

static void on_found(void *arg, const struct err *err, const char *warning)
{
    struct persist_find *s = arg;
    struct err e = *err;
    s->find = NULL;
    if (str_eq(e.type, "absent"))
        say_what_to_create(s, &e);
    struct persist_find_handler h = s->handler;
    int64_t until_ms = s->until_ms;
    void *to = s->arg;
    persist_find_cancel(s);
    h.done(to, err_is(&e) ? 0 : until_ms, &e, warning);
}

static void on_progress(void *arg, const struct publish_progress *p)
{
    struct persist_find *s = arg;
    if (s->handler.progress)
        s->handler.progress(s->arg, p);
}

struct persist_find *persist_find_start(struct publisher *p, struct loop *l,
                                        const struct persist_fact *f, int64_t margin_ms,
                                        int64_t timeout_ms, const struct persist_find_handler *h,
                                        void *arg)
{
    struct persist_find *s = xnew(struct persist_find);
    const struct publish_find_spec spec = {.owner = f->owner,
                                           .fits = fits,
                                           .done = on_found,
                                           .progress = on_progress,
                                           .timeout_ms = timeout_ms};
    persist_fact_set(&s->fact, f->name, f->ca, f->owner, f->wildcard, f->issuers, f->n_issuers,
                     f->uris, f->n_uris);
    s->loop = l;
    s->margin_ms = margin_ms;
    s->handler = *h;
    s->arg = arg;
    s->find = publish_find_start(p, &spec, s);
    return s;
}
