/* SPDX-License-Identifier: ISC */
/*
 *   STEP(name) --records-------------------------------------> DONE (found there)
 *     |  ^  ^ \--alias: STEP(its target), up to 16 in a row
 *     |  |  +--no records: STEP(the parent of the name in its own tree, not the target's)
 *     |  +-----------------/
 *     +--the root is reached--> DONE (none)
 *     +--no usable answer: error (a top-level domain that says nothing has none)
 *
 * Steps are shared by all names that climb over them, see memo.h: a thousand names of a zone cost
 * a thousand steps and those of the zone itself.
 */
#include "dns/caa.h"
#include "base/mem.h"
#include "base/str.h"
#include "dns/alias.h"
#include "dns/memo.h"

#include <stdlib.h>
#include <string.h>

#define STEPS_MAX 4096u
#define KEEP_MS (2 * INT64_C(60000))
#define KEEP_FAILURE_MS INT64_C(15000)
#define TAG_AT 2 /* RDATA: flags, length of the tag, tag, value (RFC 8659 4.1) */
#define CRITICAL 0x80

struct step { /* what one name has */
    struct caa_record *v;
    size_t n;
    char *alias; /* "" */
    char *zone;
    bool resolved;
    struct err *err; /* NULL: the rest is known */
};

struct caa_cache {
    struct loop *loop;
    struct dns *dns;
    struct cuts *cuts;
    struct memo *steps;
};

struct asking { /* the work behind a step */
    struct memo_entry *entry;
    struct caa_cache *cache;
    struct conf *conf;
    struct cut_call *cut;
    struct server_set *resolvers; /* of a top-level domain */
    size_t server;
    struct dns_call *call;
};

struct caa_call {
    struct caa_cache *cache;
    struct conf *conf;
    bool fresh;
    char tree[NAME_MAX_TEXT]; /* the name or an ancestor of it */
    char at[NAME_MAX_TEXT];   /* that, or where its aliases lead */
    char zone[NAME_MAX_TEXT];
    unsigned hops, steps;
    bool resolved;
    struct memo_wait wait;
    caa_done_fn *done;
    void *arg;
};

/* ---- steps ---- */

static void step_free(void *result)
{
    struct step *s = result;
    for (size_t i = 0; i < s->n; i++)
        free(s->v[i].value);
    free(s->v);
    free(s->alias);
    free(s->zone);
    free(s->err);
    free(s);
}

static void asking_stop(void *work)
{
    struct asking *a = work;
    cut_cancel(a->cut);
    if (a->call)
        dns_cancel(a->call);
    server_set_unref(a->resolvers);
    conf_unref(a->conf);
    free(a);
}

static void asking_end(struct asking *a, struct step *s)
{
    struct memo_entry *e = a->entry;
    asking_stop(a);
    memo_result(e, s, s->err ? KEEP_FAILURE_MS : KEEP_MS);
}

/* False: no property that could be read (RFC 8659 4.1). */
static bool read_record(const struct dns_record *rec, struct caa_record *ret)
{
    const unsigned char *p = (const unsigned char *)rec->text;
    if (rec->text_len < TAG_AT || p[1] == 0 || (size_t)p[1] > rec->text_len - TAG_AT)
        return false;
    size_t tag = p[1], cut = tag < sizeof(ret->tag) ? tag : sizeof(ret->tag) - 1;
    *ret = (struct caa_record){.critical = p[0] & CRITICAL};
    memcpy(ret->tag, p + TAG_AT, cut);
    str_lower(ret->tag);
    ret->value_len = rec->text_len - TAG_AT - tag;
    ret->value = xcalloc(1, ret->value_len + 1);
    memcpy(ret->value, p + TAG_AT + tag, ret->value_len);
    return true;
}

static struct step *step_new(const char *alias, const char *zone)
{
    struct step *s = xnew(struct step);
    s->alias = xstrdup(alias);
    s->zone = xstrdup(zone);
    return s;
}

static void read_records(struct step *s, const char *name, const struct dns_reply *reply)
{
    for (size_t i = 0; i < reply->n && s->n < CAA_RECORDS_MAX; i++) {
        const struct dns_record *rec = &reply->records[i];
        struct caa_record r;
        if (rec->section != DNS_ANSWER || rec->type != DNS_CAA || !str_eq(rec->owner, name) ||
            !read_record(rec, &r))
            continue;
        s->v = xrealloc_array(s->v, s->n + 1, sizeof(*s->v));
        s->v[s->n++] = r;
    }
}

static struct step *step_failed(const struct err *err)
{
    struct step *s = step_new("", "");
    s->err = xmemdup(err, sizeof(*err));
    return s;
}

static void on_cut(void *arg, const struct cut *cut, const struct err *err)
{
    struct asking *a = arg;
    a->cut = NULL;
    if (!cut) {
        asking_end(a, step_failed(err));
        return;
    }
    struct step *s = step_new(cut->alias, cut->zone);
    s->resolved = cut->resolved;
    read_records(s, a->entry->key, cut->reply);
    asking_end(a, s);
}

static void ask_resolver(struct asking *a);

/* Top-level domains have no CAA records to speak of: what cannot be read is taken for none. */
static void on_resolver(void *arg, const struct dns_reply *reply, const struct err *err)
{
    struct asking *a = arg;
    (void)err;
    a->call = NULL;
    if ((!reply || reply->rcode) && a->server + 1 < a->resolvers->n) {
        a->server++;
        ask_resolver(a);
        return;
    }
    struct step *s = step_new("", a->entry->key);
    if (reply)
        read_records(s, a->entry->key, reply);
    asking_end(a, s);
}

static void ask_resolver(struct asking *a)
{
    a->call =
        server_ask(a->cache->dns, a->resolvers, a->server, a->entry->key, DNS_CAA, on_resolver, a);
}

static void step_start(void *arg, struct memo_entry *e)
{
    struct caa_cache *c = arg;
    struct conf *conf = (struct conf *)e->subject; /* counted */
    const struct conf_dns_zone *policy = conf_dns_for(conf, e->key);
    struct asking *a = xnew(struct asking);
    a->entry = e;
    a->cache = c;
    a->conf = conf_ref(conf);
    e->work = a;
    if (strchr(e->key, '.') || policy->servers.n) {
        a->cut = cut_ask(c->cuts, a->conf, e->key, DNS_CAA, on_cut, a);
    } else {
        a->resolvers = server_set_resolvers(conf, policy);
        ask_resolver(a);
    }
}

struct caa_cache *caa_cache_new(struct loop *l, struct dns *d, struct cuts *cuts)
{
    static const struct memo_kind kind = {step_start, asking_stop, step_free, STEPS_MAX};
    struct caa_cache *c = xnew(struct caa_cache);
    c->loop = l;
    c->dns = d;
    c->cuts = cuts;
    c->steps = memo_new(l, &kind, c);
    return c;
}

void caa_cache_free(struct caa_cache *c)
{
    if (!c)
        return;
    memo_free(c->steps);
    free(c);
}

void caa_cache_clear(struct caa_cache *c)
{
    memo_clear(c->steps);
}

/* ---- the climb ---- */

void caa_cancel(struct caa_call *c)
{
    if (!c)
        return;
    memo_wait_cancel(&c->wait);
    conf_unref(c->conf);
    free(c);
}

static void finish(struct caa_call *c, const struct step *s, const struct err *err)
{
    struct err ok = ERR_INIT;
    struct caa_set set = {.resolved = c->resolved};
    str_copy(set.zone, sizeof(set.zone), c->zone);
    if (s) {
        set.v = s->v;
        set.n = s->n;
        str_copy(set.name, sizeof(set.name), c->at);
    }
    c->done(c->arg, err ? NULL : &set, err ? err : &ok);
    caa_cancel(c);
}

static void ask_step(struct caa_call *c);

static void follow(struct caa_call *c, const char *alias)
{
    struct err e = ERR_INIT;
    if (++c->hops > ALIAS_MAX) {
        err_set(&e, ERR_TRANSIENT, "more than %u aliases (CNAME) in a row lead away from %s",
                ALIAS_MAX, c->tree);
        finish(c, NULL, &e);
        return;
    }
    str_copy(c->at, sizeof(c->at), alias);
    ask_step(c);
}

static void climb(struct caa_call *c)
{
    char up[NAME_MAX_TEXT];
    str_copy(up, sizeof(up), name_parent(c->tree));
    str_copy(c->tree, sizeof(c->tree), up);
    str_copy(c->at, sizeof(c->at), up);
    c->hops = 0;
    if (up[0])
        ask_step(c);
    else
        finish(c, NULL, NULL);
}

static void on_step(void *arg, const void *result)
{
    struct caa_call *c = arg;
    const struct step *s = result;
    if (s->err) {
        finish(c, NULL, s->err);
        return;
    }
    if (c->steps++ == 0)
        str_copy(c->zone, sizeof(c->zone), s->zone);
    c->resolved = c->resolved || s->resolved;
    if (s->n)
        finish(c, s, NULL);
    else if (s->alias[0])
        follow(c, s->alias);
    else
        climb(c);
}

static void ask_step(struct caa_call *c)
{
    memo_get(c->cache->steps, c->at, c->conf, c->fresh, &c->wait, on_step, c);
}

struct caa_call *caa_find(struct caa_cache *cache, struct conf *conf, const char *name, bool fresh,
                          caa_done_fn *done, void *arg)
{
    struct caa_call *c = xnew(struct caa_call);
    c->cache = cache;
    c->conf = conf_ref(conf);
    c->fresh = fresh;
    c->done = done;
    c->arg = arg;
    str_copy(c->tree, sizeof(c->tree), name);
    str_copy(c->at, sizeof(c->at), name);
    ask_step(c);
    return c;
}
