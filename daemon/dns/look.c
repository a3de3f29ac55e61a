/* SPDX-License-Identifier: ISC */
/*
 *   CHAIN --alias found--> WILDCARD (does a name that nobody made lead to the same target?) -> DONE
 *     |
 *     +-- no alias, or error ----------------------------------------------------------------->
 * DONE
 */
#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "dns/publisher.h"

#include <stdlib.h>
#include <string.h>

#define CHALLENGE "_acme-challenge."
#define PROBE "_renewd-no-such-name."
#define TEXT_MAX 16384u
#define LOOK_TIMEOUT_MS (2 * INT64_C(60000))

struct publish_look {
    struct publisher *publisher;
    struct conf *conf;
    struct conf_cert cert; /* name and provider only; texts are ours */
    struct conf_name name; /* likewise */
    struct alias_call *following;
    struct cut_call *probing;
    struct timer timeout;
    char first_target[NAME_MAX_TEXT];
    struct buf text;
    struct err err;
    void (*done)(void *arg, const char *text, const struct err *err);
    void *arg;
};

void publish_look_cancel(struct publish_look *l)
{
    if (!l)
        return;
    alias_cancel(l->following);
    cut_cancel(l->probing);
    timer_cancel(&l->timeout);
    buf_free(&l->text);
    free(l->cert.name);
    free(l->cert.provider);
    free(l->name.name);
    free(l->name.provider);
    conf_unref(l->conf);
    free(l);
}

static void finish(struct publish_look *l)
{
    l->done(l->arg, buf_str(&l->text), &l->err);
    publish_look_cancel(l);
}

static void tell_chain(struct publish_look *l, const struct alias_chain *c)
{
    for (size_t i = 0; i + 1 < c->n; i++)
        buf_putf(&l->text, "%s is an alias (CNAME) of %s\n", c->names[i], c->names[i + 1]);
    buf_putf(&l->text, "the record goes to %s in the zone %s\n", c->names[c->n - 1],
             c->zones[c->n - 1][0] ? c->zones[c->n - 1] : "(not known)");
    buf_putf(&l->text, "%s: ", c->servers->resolvers ? "resolvers" : "name servers");
    for (size_t i = 0; i < c->servers->n; i++)
        buf_putf(&l->text, "%s%s", i ? ", " : "", c->servers->v[i].label);
    if (c->servers->left_out)
        buf_putf(&l->text, " and %u more, which are not asked", c->servers->left_out);
    buf_putc(&l->text, '\n');
    if (c->resolved && c->note[0])
        buf_putf(&l->text, "the resolvers were asked, because %s\n", c->note);
}

static const char *why_provider(const struct publish_look *l, const struct conf_provider *p)
{
    if (l->name.provider[0])
        return "the name says so";
    if (l->cert.provider[0])
        return "the certificate says so";
    return p->zones.n ? "by its zones" : "it is the only one";
}

static void tell_provider(struct publish_look *l, const struct alias_chain *c)
{
    const struct conf_provider *p = publisher_choose(l->conf, &l->cert, &l->name, c, &l->err);
    if (p)
        buf_putf(&l->text, "provider: %s (%s; %s)\n", p->name, p->plugin, why_provider(l, p));
}

static void on_probe(void *arg, const struct cut *cut, const struct err *err)
{
    struct publish_look *l = arg;
    (void)err;
    l->probing = NULL;
    if (cut && str_eq(cut->alias, l->first_target))
        buf_putf(&l->text,
                 "the alias comes from a wildcard CNAME: it is followed, but covers the record's "
                 "name only by chance; a CNAME of its own for " CHALLENGE "%s is safer\n",
                 l->name.name);
    finish(l);
}

static void on_chain(void *arg, const struct alias_chain *chain, const struct err *err)
{
    struct publish_look *l = arg;
    char probe[NAME_MAX_TEXT];
    l->following = NULL;
    l->err = *err;
    if (!chain) {
        finish(l);
        return;
    }
    tell_chain(l, chain);
    tell_provider(l, chain);
    const char *parent = name_parent(chain->names[0]);
    if (chain->n == 1 || chain->resolved || strlen(parent) + strlen(PROBE) >= sizeof(probe)) {
        finish(l);
        return;
    }
    str_copy(l->first_target, sizeof(l->first_target), chain->names[1]);
    str_copy(probe, sizeof(probe), PROBE);
    str_copy(probe + strlen(PROBE), sizeof(probe) - strlen(PROBE), parent);
    l->probing = cut_find(l->publisher->cuts, l->conf, probe, on_probe, l);
}

static void on_timeout(void *arg)
{
    struct publish_look *l = arg;
    if (!l->probing)
        err_set(&l->err, ERR_TRANSIENT,
                "DNS servers answer too slowly to find where the record of %s goes", l->name.name);
    finish(l);
}

struct publish_look *
publish_look_start(struct publisher *p, const struct conf_cert *cert, const struct conf_name *name,
                   void (*done)(void *arg, const char *text, const struct err *err), void *arg)
{
    struct publish_look *l = xnew(struct publish_look);
    const char *bare = name_is_wildcard(name->name) ? name_parent(name->name) : name->name;
    CLEANUP_FREE char *owner = xasprintf(CHALLENGE "%s", bare);
    l->publisher = p;
    l->conf = conf_ref(p->conf);
    l->cert.name = xstrdup(cert->name);
    l->cert.provider = xstrdup(cert->provider);
    l->name.name = xstrdup(bare);
    l->name.provider = xstrdup(name->provider);
    l->done = done;
    l->arg = arg;
    buf_init(&l->text, TEXT_MAX);
    timer_after(p->env.loop, &l->timeout, LOOK_TIMEOUT_MS, on_timeout, l);
    l->following = alias_follow(p->cuts, l->conf, owner, on_chain, l);
    return l;
}
