/* SPDX-License-Identifier: ISC */
/*
 *   LOOK(names[0]) --alias--> LOOK(names[1]) --alias--> ... --no alias--> DONE
 *       |                         |
 *       +-- error                 +-- seen before (loop), or the 17th: blocked
 */
#include "dns/alias.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

#define CHAIN_TEXT_MAX 1024

struct alias_call {
    struct cuts *cuts;
    struct conf *conf;
    struct alias_chain chain;
    struct cut_call *look;
    alias_done_fn *done;
    void *arg;
};

const char *alias_text(const struct alias_chain *c, char *buf, size_t size)
{
    CLEANUP_BUF struct buf b;
    buf_init(&b, CHAIN_TEXT_MAX * 8);
    for (size_t i = 0; i < c->n; i++)
        buf_putf(&b, "%s%s", i ? " -> " : "", c->names[i]);
    str_copy(buf, size, buf_str(&b));
    return buf;
}

void alias_cancel(struct alias_call *c)
{
    if (!c)
        return;
    cut_cancel(c->look);
    server_set_unref(c->chain.servers);
    for (size_t i = 0; i < c->chain.n; i++) {
        free(c->chain.names[i]);
        free(c->chain.zones[i]);
    }
    conf_unref(c->conf);
    free(c);
}

const char *alias_at(const struct alias_call *c)
{
    return c->chain.names[c->chain.n - 1];
}

static void finish(struct alias_call *c, const struct err *err)
{
    c->done(c->arg, err->cls == ERR_NONE ? &c->chain : NULL, err);
    alias_cancel(c);
}

static void look(struct alias_call *c);

/* The chain with its next name: a loop or one too many. */
static bool refuse(struct alias_call *c, const char *next)
{
    struct err e = ERR_INIT;
    char text[CHAIN_TEXT_MAX];
    bool seen = false;
    for (size_t i = 0; i < c->chain.n; i++)
        seen = seen || str_eq(c->chain.names[i], next);
    if (!seen && c->chain.n <= ALIAS_MAX)
        return false;
    alias_text(&c->chain, text, sizeof(text));
    if (seen)
        err_set(&e, ERR_BLOCKED,
                "the aliases run in a circle: %.300s -> %.100s: remove one of "
                "these CNAME records",
                text, next);
    else
        err_set(&e, ERR_BLOCKED,
                "more than %u aliases in a row, which CAs do not follow: %.300s -> ...: point the "
                "first CNAME at the last name",
                ALIAS_MAX, text);
    err_activity(&e, "following the alias %s", c->chain.names[0]);
    finish(c, &e);
    return true;
}

/* What stands in someone's CNAME goes into the ledger and to providers: host-like names only. */
static bool take_name(struct alias_call *c, const char *target)
{
    struct alias_chain *chain = &c->chain;
    struct err e = ERR_INIT;
    CLEANUP_BUF struct buf shown = {0};
    char name[NAME_MAX_TEXT];
    enum name_problem problem = name_owner(target, name);
    if (problem == NAME_OK) {
        chain->names[chain->n++] = xstrdup(name);
        return true;
    }
    buf_init(&shown, CHAIN_TEXT_MAX);
    str_escape(&shown, target, strlen(target), 300);
    err_set(&e, ERR_BLOCKED, "the CNAME of %s leads to \"%s\", which has %s: correct that record",
            chain->names[chain->n - 1], buf_str(&shown), name_problem_text(problem));
    err_activity(&e, "following the alias %s", chain->names[0]);
    finish(c, &e);
    return false;
}

static void on_cut(void *arg, const struct cut *cut, const struct err *err)
{
    struct alias_call *c = arg;
    struct alias_chain *chain = &c->chain;
    c->look = NULL;
    if (!cut) {
        struct err e = *err;
        char text[CHAIN_TEXT_MAX];
        if (chain->n > 1)
            err_prefix(&e, "following the alias %.200s", alias_text(chain, text, sizeof(text)));
        finish(c, &e);
        return;
    }
    chain->zones[chain->n - 1] = xstrdup(cut->zone);
    chain->resolved = chain->resolved || cut->resolved;
    if (cut->note[0])
        str_copy(chain->note, sizeof(chain->note), cut->note);
    if (!cut->alias[0]) {
        struct err ok = ERR_INIT;
        chain->servers = server_set_ref(cut->servers);
        finish(c, &ok);
        return;
    }
    if (refuse(c, cut->alias))
        return;
    if (take_name(c, cut->alias))
        look(c);
}

static void look(struct alias_call *c)
{
    c->look = cut_find(c->cuts, c->conf, c->chain.names[c->chain.n - 1], on_cut, c);
}

struct alias_call *alias_follow(struct cuts *cuts, struct conf *conf, const char *name,
                                alias_done_fn *done, void *arg)
{
    struct alias_call *c = xnew(struct alias_call);
    c->cuts = cuts;
    c->conf = conf_ref(conf);
    c->done = done;
    c->arg = arg;
    c->chain.names[0] = xstrdup(name);
    c->chain.n = 1;
    look(c);
    return c;
}
