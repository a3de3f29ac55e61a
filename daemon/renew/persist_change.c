/* SPDX-License-Identifier: ISC */
/*
 *   FACTS (of the store) --+-- the account ends: told ------------------------> ready
 *                          `-- LOOK, some at once: there ---------------------> ready
 *                                 absent, persist.write: WRITE, held ---------> ready
 *                                 absent: told ------------------> ready, refused but for `force`
 *
 *   ready ... end: the key is in force: kept, facts renewed; it is not: removed
 *
 * After a crash in between, recovery removes what was written: if the key is in force by then, the
 * next order writes it again, and the CA takes the former key's record for a while.
 */
#include "renew/persist_change.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "dns/publish.h"
#include "renew/persist.h"
#include "renew/persist_watch.h"
#include "renew/state.h"

#include <stdlib.h>
#include <string.h>

#define AT_ONCE 50
#define LOOK_LIMIT_MS (15 * POLICY_SECOND)
#define RECORD_MAX 8192u

struct record { /* that a name needs; a twin's is another one's as well */
    struct persist_change *change;
    const struct conf_cert *cert;
    const struct conf_name *name;
    struct persist_fact fact; /* as it has to be */
    char *former;             /* URI */
    char *text;               /* without an end */
    bool twin, ours;          /* ours: the ledger has the former one under this certificate */
    bool passing;
    struct persist_find *find;
    struct publication *publication;
    int64_t until_ms;
};

struct persist_change {
    struct renew *renew;
    struct conf *conf;
    const struct conf_ca *ca;
    char *url, *thumbprint, *mark;
    bool force;
    struct store_call *reading;
    struct record *records;
    size_t n, next, open;
    unsigned missing, failed;
    struct defer more;
    struct persist_change_handler h;
    void *arg;
};

static void note(struct persist_change *c, char *text)
{
    c->h.note(c->arg, text);
    free(text);
}

/* ---- the end ---- */

static void store_fact(const struct record *k)
{
    CLEANUP_FREE char *key = persist_fact_key(k->cert->name, k->fact.name);
    CLEANUP_FREE char *text = persist_fact_text(&k->fact);
    store_put(k->change->renew->env.store, key, text, NULL, NULL);
}

static void record_end(struct record *k, bool changed)
{
    persist_find_cancel(k->find);
    if (k->publication && changed)
        publication_keep(k->publication);
    else if (k->publication)
        publication_clean(k->publication, NULL, NULL);
    if (changed)
        store_fact(k);
    persist_fact_done(&k->fact);
    free(k->former);
    free(k->text);
}

void persist_change_end(struct persist_change *c, bool changed)
{
    if (!c)
        return;
    store_cancel(c->renew->env.store, c->reading);
    defer_cancel(&c->more);
    for (size_t i = 0; i < c->n; i++)
        record_end(&c->records[i], changed);
    free(c->records);
    free(c->url);
    free(c->thumbprint);
    free(c->mark);
    conf_unref(c->conf);
    free(c);
}

static void ready(struct persist_change *c)
{
    struct err e = ERR_INIT;
    if (c->failed && !c->force)
        err_set(&e, ERR_BLOCKED,
                "%u record%s of dns-persist-01 for the new key could not be written: the key was "
                "not changed; --force changes it all the same",
                c->failed, c->failed == 1 ? "" : "s");
    else if (c->missing && !c->force)
        err_set(&e, ERR_BLOCKED,
                "%u record%s of dns-persist-01 for the new key must be there first: create %s "
                "beside the present ones and run this again, with the same key; --force changes "
                "the key without",
                c->missing, c->missing == 1 ? "" : "s", c->missing == 1 ? "it" : "them");
    if (err_is(&e))
        str_copy(e.type, sizeof(e.type), KEEPER_NEEDS_FORCE);
    c->h.ready(c->arg, &e);
}

/* ---- one record ---- */

static void go_on(void *arg);

static void ended(struct record *k)
{
    struct persist_change *c = k->change;
    c->open--;
    loop_defer(c->renew->env.loop, &c->more, go_on, c);
}

static void on_written(void *arg, const struct err *err, const char *warning)
{
    struct record *k = arg;
    char text[700];
    (void)warning;
    if (err_is(err)) {
        publication_clean(k->publication, NULL, NULL);
        k->publication = NULL;
        k->change->failed++;
        note(k->change, xasprintf("%s: the record %s for the new key was not written: %s",
                                  k->cert->name, k->fact.owner, err_text(err, text, sizeof(text))));
    } else {
        k->fact.until_ms = k->until_ms;
    }
    ended(k);
}

static void write_record(struct record *k)
{
    static const struct publish_handler handler = {.ready = on_written};
    struct persist_change *c = k->change;
    struct err ignored = ERR_INIT;
    CLEANUP_BUF struct buf b;
    buf_init(&b, RECORD_MAX);
    if (k->cert->persist.days_ms)
        k->until_ms = loop_wall_ms(c->renew->env.loop) + k->cert->persist.days_ms;
    persist_fact_record(&k->fact, k->until_ms, &b, &ignored); /* has been possible without an end */
    const struct publish_value value = {
        .name = k->name, .owner = k->fact.owner, .value = buf_str(&b)};
    note(c, xasprintf("%s: writing the record %s for the new key", k->cert->name, k->fact.owner));
    k->publication =
        publish_start(c->renew->env.publisher, k->cert, c->mark, &value, 1, &handler, k);
}

/* Being removed after a change that was refused: it is seen, and gone soon. */
static void is_passing(void *arg, const struct publish_record *r)
{
    struct record *k = arg;
    if (strstr(r->value, k->fact.uris[0]) && !str_eq(r->state, "kept"))
        k->passing = true;
}

static void on_found(void *arg, int64_t until_ms, const struct err *err, const char *warning)
{
    struct record *k = arg;
    (void)warning;
    k->find = NULL;
    k->fact.until_ms = until_ms;
    publisher_records(k->change->renew->env.publisher, is_passing, k);
    if ((err_is(err) || k->passing) && k->cert->persist.write) {
        write_record(k);
        return;
    }
    if (err_is(err)) {
        k->change->missing++;
        note(k->change, xasprintf("%s: create the record: %s. TXT \"%s\"", k->cert->name,
                                  k->fact.owner, k->text));
    }
    ended(k);
}

static void go_on(void *arg)
{
    static const struct persist_find_handler handler = {NULL, on_found};
    struct persist_change *c = arg;
    for (; c->next < c->n && c->open < AT_ONCE; c->next++) {
        struct record *k = &c->records[c->next];
        int64_t margin = k->cert->persist.write ? k->cert->persist.days_ms / 3 : 0;
        if (k->twin)
            continue;
        c->open++;
        k->find = persist_find_start(c->renew->env.publisher, c->renew->env.loop, &k->fact, margin,
                                     LOOK_LIMIT_MS, &handler, k);
    }
    if (c->open == 0)
        ready(c);
}

/* ---- which ---- */

static void is_ours(void *arg, const struct publish_record *r)
{
    struct record *k = arg;
    if (str_eq(r->cert, k->cert->name) && strstr(r->value, k->former))
        k->ours = true;
}

/* The ledger removes the former record of the certificate that the new one is of. */
static void find_twins(struct persist_change *c)
{
    for (size_t i = 0; i < c->n; i++) {
        struct record *k = &c->records[i];
        for (size_t j = 0; j < i && !k->twin; j++) {
            struct record *l = &c->records[j];
            if (l->twin || !str_eq(l->fact.owner, k->fact.owner) || !str_eq(l->text, k->text))
                continue;
            bool better = k->cert->persist.write + k->ours > l->cert->persist.write + l->ours;
            l->twin = better;
            k->twin = !better;
        }
    }
}

static bool make_record(struct record *k)
{
    struct persist_change *c = k->change;
    struct err e = ERR_INIT;
    CLEANUP_BUF struct buf b;
    buf_init(&b, RECORD_MAX);
    k->former = xstrdup(k->fact.uris[0]);
    if (persist_fact_rehash(&k->fact, c->thumbprint, c->url, &e) == 0 &&
        persist_fact_record(&k->fact, 0, &b, &e) == 0) {
        k->text = xstrdup(buf_str(&b));
        publisher_records(c->renew->env.publisher, is_ours, k);
        return true;
    }
    free(k->former);
    return false;
}

static void tell_dependent(struct persist_change *c, const struct record *k)
{
    note(c, xasprintf("%s: %s is proved by the record %s, which dies with the account: "
                      "it is renewed by it no more",
                      k->cert->name, k->fact.name, k->fact.owner));
}

static void take(struct persist_change *c, const struct store_item *item)
{
    struct record *k = &c->records[c->n];
    *k = (struct record){.change = c};
    if (!persist_watch_read(c->conf, item, &k->fact, &k->cert, &k->name))
        return;
    const struct conf_ca *ca = conf_find_ca(c->conf, k->fact.ca);
    bool concerned = ca && c->ca && conf_ca_same_account(ca, c->ca);
    if (concerned && !c->thumbprint[0])
        tell_dependent(c, k);
    else if (concerned && persist_fact_hash(&k->fact) && make_record(k)) {
        c->n++;
        return;
    }
    persist_fact_done(&k->fact);
}

static void on_facts(void *arg, const struct store_item *items, size_t n, const struct err *err)
{
    struct persist_change *c = arg;
    c->reading = NULL;
    if (err_is(err)) {
        c->h.ready(c->arg, err);
        return;
    }
    c->records = xcalloc(n + 1, sizeof(*c->records));
    for (size_t i = 0; i < n; i++)
        take(c, &items[i]);
    find_twins(c);
    go_on(c);
}

struct persist_change *persist_change_start(struct renew *r, const struct persist_change_spec *s,
                                            const struct persist_change_handler *h, void *arg)
{
    struct persist_change *c = xnew(struct persist_change);
    c->renew = r;
    c->conf = conf_ref(r->conf);
    c->ca = conf_find_ca(c->conf, s->ca);
    c->url = xstrdup(s->account_url);
    c->thumbprint = xstrdup(s->thumbprint);
    c->mark = xasprintf("rollover/%s", s->ca);
    c->force = s->force;
    c->h = *h;
    c->arg = arg;
    c->reading = store_list(r->env.store, "cert/", on_facts, c);
    return c;
}
