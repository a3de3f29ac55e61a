/* SPDX-License-Identifier: ISC */
/*
 *   START -> ROUND --all asked servers answered or timed out--> judged:
 *              ^     someone lacks:              WAIT (0.2 s, 0.3 s, ... 5 s) -> ROUND (of those)
 *              |     nobody lacks, first time:   WAIT (0.5 s) -> ROUND (all of them)
 *              +-----------------------------------'
 *                    nobody lacks, again:        DONE
 *                    nobody has authority:       resolvers take the servers' place, WAIT
 *   any, time is up: DONE with an error, or with a warning
 *
 * Who first finds that nobody lacks any more ends the WAIT of the others at the same servers.
 */
#include "dns/propagation.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AGREE_ROUNDS 2
#define CONFIRM_MS 500
#define WORTH_TELLING_MS 2000
#define FIRST_WAIT_MS 200
#define WAIT_MAX_MS 5000
#define QUICK_WAITS 8u          /* the first seconds, in which most secondaries catch up */
#define RESOLVERS_FIRST_MS 1000 /* a resolver that looks too early remembers the absence */
#define RESOLVERS_MAX_MS 30000
#define PIECES_MAX 6u
#define TEXT_MAX 1500u
#define RCODE_NXDOMAIN 3

enum state { NOT_ASKED, HAS_ALL, LACKS, SILENT, NO_AUTHORITY, REFUSES };

struct asked {
    struct propagation *p;
    size_t at; /* in the set */
    enum state state;
    size_t found;
    int rcode;
    int64_t since;   /* boot clock: lacks all this time */
    int64_t late_ms; /* had lacked so long when it had all */
    uint32_t negative_ttl;
    struct dns_call *call;
};

struct propagation {
    struct propagation_env env;
    struct propagation_handler handler;
    void *arg;
    char name[NAME_MAX_TEXT];
    char **values;
    size_t n_values;
    bool (*fits)(void *arg, const char *text, size_t n);
    struct server_set *set, *fallback;
    struct asked *asked;
    size_t pending;
    unsigned agreed, waits;
    bool require;
    int64_t typical_ms, timeout_ms;
    struct timer deadline, next;
    struct list node; /* env.waiting, while somebody lacks something */
    bool waiting;
    int64_t looked_ms, next_ms; /* boot clock: the last round, the next */
    char *told, *note;          /* NULL: nothing */
};

static void drop_queries(struct propagation *p)
{
    for (size_t i = 0; p->asked && i < p->set->n; i++) {
        if (p->asked[i].call)
            dns_cancel(p->asked[i].call);
        p->asked[i].call = NULL;
    }
    p->pending = 0;
}

static void leave_waiting(struct propagation *p)
{
    if (p->waiting)
        list_remove(&p->node);
    p->waiting = false;
}

void propagation_free(struct propagation *p)
{
    if (!p)
        return;
    leave_waiting(p);
    drop_queries(p);
    timer_cancel(&p->deadline);
    timer_cancel(&p->next);
    for (size_t i = 0; !p->fits && i < p->n_values; i++)
        free(p->values[i]);
    free(p->values);
    free(p->asked);
    free(p->told);
    free(p->note);
    server_set_unref(p->set);
    server_set_unref(p->fallback);
    free(p);
}

/* What one server lacks or does, for people; durations only where asked for, so that texts without
 * them can be compared. False: nothing to say of it. */
static bool describe(const struct propagation *p, const struct asked *a, bool durations,
                     struct buf *out)
{
    const char *label = p->set->v[a->at].label;
    char age[32];
    int64_t since = loop_mono_ms(p->env.loop) - a->since;
    switch (a->state) {
    case LACKS:
        if (p->n_values == 1)
            buf_putf(out, "%s lacks the value", label);
        else
            buf_putf(out, "%s lacks %zu of %zu values", label, p->n_values - a->found, p->n_values);
        if (durations && since >= 1000)
            buf_putf(out, " for %s", str_from_duration(since, age, sizeof(age)));
        return true;
    case SILENT:
        buf_putf(out, "%s unreachable", label);
        return true;
    case NO_AUTHORITY:
        buf_putf(out, "%s answers without authority", label);
        return true;
    case REFUSES:
        buf_putf(out, "%s answers %s", label, dns_rcode_name(a->rcode));
        return true;
    default:
        return false;
    }
}

static size_t count(const struct propagation *p, enum state s)
{
    size_t n = 0;
    for (size_t i = 0; i < p->set->n; i++)
        n += p->asked[i].state == s;
    return n;
}

static bool intercepted(const struct propagation *p)
{
    return !p->set->resolvers && p->set->n && count(p, NO_AUTHORITY) == p->set->n;
}

static void report(const struct propagation *p, bool durations, struct buf *out)
{
    static const enum state order[] = {LACKS, NO_AUTHORITY, REFUSES, SILENT};
    unsigned told = 0, more = 0;
    if (intercepted(p))
        buf_puts(out, "every name server answers without authority (no AA flag), so something "
                      "between here and them seems to intercept DNS: ");
    for (size_t k = 0; k < ARRAY_LEN(order); k++) {
        for (size_t i = 0; i < p->set->n; i++) {
            if (p->asked[i].state != order[k])
                continue;
            if (told == PIECES_MAX) {
                more++;
                continue;
            }
            buf_puts(out, told ? "; " : "");
            describe(p, &p->asked[i], durations, out);
            told++;
        }
    }
    if (more)
        buf_putf(out, "; and %u more", more);
}

/* "; ns2.example.org (192.0.2.2) was last, after 5 s" when that is worth a word. */
static void put_last(const struct propagation *p, struct buf *out)
{
    const struct asked *last = NULL;
    char age[32];
    for (size_t i = 0; i < p->set->n; i++)
        if (p->asked[i].late_ms >= WORTH_TELLING_MS &&
            (!last || p->asked[i].late_ms > last->late_ms))
            last = &p->asked[i];
    if (last)
        buf_putf(out, "; %s was last, after %s", p->set->v[last->at].label,
                 str_from_duration(last->late_ms, age, sizeof(age)));
}

static void tell_change(struct propagation *p)
{
    CLEANUP_BUF struct buf plain, full;
    buf_init(&plain, 16 * TEXT_MAX);
    buf_init(&full, 16 * TEXT_MAX);
    report(p, false, &plain);
    report(p, true, &full);
    if (count(p, LACKS) + count(p, HAS_ALL) && !count(p, LACKS)) {
        size_t has = count(p, HAS_ALL);
        buf_reset(&full);
        buf_putf(&full, "%zu of %zu %s %s %s%s%s", has, p->set->n,
                 p->set->resolvers ? "resolvers" : "name server addresses",
                 has == 1 ? "has" : "have", p->n_values == 1 ? "the value" : "all values",
                 plain.len ? "; " : "", buf_str(&plain));
        put_last(p, &full);
        buf_putc(&plain, '+');
    }
    if (str_eq(p->told ? p->told : "", buf_str(&plain)))
        return;
    free(p->told);
    p->told = xstrdup(buf_str(&plain));
    if (full.len && p->handler.changed)
        p->handler.changed(p->arg, buf_str(&full));
}

static void finish(struct propagation *p, const struct err *err, const char *warning)
{
    struct propagation_handler h = p->handler;
    void *arg = p->arg;
    CLEANUP_FREE char *text = xstrdup(warning);
    struct err e = *err;
    propagation_free(p);
    h.done(arg, &e, text);
}

/* What the success leaves to be said: who was not waited for, who was asked instead. */
static void succeed(struct propagation *p)
{
    struct err ok = ERR_INIT;
    CLEANUP_BUF struct buf b;
    buf_init(&b, 16 * TEXT_MAX);
    buf_puts(&b, p->note ? p->note : "");
    if (count(p, HAS_ALL) < p->set->n) {
        buf_puts(&b, b.len ? "; " : "");
        report(p, false, &b);
        buf_puts(&b, " (not waited for)");
    }
    finish(p, &ok, buf_str(&b));
}

static void on_deadline(void *arg)
{
    struct propagation *p = arg;
    struct err e = ERR_INIT;
    char after[32];
    CLEANUP_BUF struct buf b;
    buf_init(&b, 16 * TEXT_MAX);
    report(p, true, &b);
    if (!b.len)
        buf_puts(&b, "the name servers have not answered yet");
    str_from_duration(p->timeout_ms, after, sizeof(after));
    if (p->require) {
        err_set(&e, ERR_TRANSIENT, "%s not visible after %s: %.350s%s%.100s", p->name, after,
                buf_str(&b), p->note ? "; " : "", p->note ? p->note : "");
        err_activity(&e, "waiting for the name servers of %s", p->name);
        finish(p, &e, "");
        return;
    }
    CLEANUP_FREE char *text =
        xasprintf("went on although %s was not visible after %s: %s", p->name, after, buf_str(&b));
    finish(p, &e, text);
}

static void round_start(void *arg);

static int64_t next_wait(struct propagation *p)
{
    int64_t wait = FIRST_WAIT_MS;
    if (p->set->resolvers) { /* no sooner than their memory of the absence ends */
        wait = p->typical_ms > RESOLVERS_FIRST_MS ? p->typical_ms : RESOLVERS_FIRST_MS;
        for (size_t i = 0; i < p->set->n; i++)
            if (p->asked[i].state == LACKS && p->asked[i].negative_ttl * INT64_C(1000) > wait)
                wait = p->asked[i].negative_ttl * INT64_C(1000);
        return wait > RESOLVERS_MAX_MS ? RESOLVERS_MAX_MS : wait;
    }
    for (unsigned i = 0; i < p->waits && wait < WAIT_MAX_MS; i++)
        if (wait < CONFIRM_MS || i >= QUICK_WAITS)
            wait += wait / 2;
    if (wait < p->typical_ms / 10)
        wait = p->typical_ms / 10;
    return wait > WAIT_MAX_MS ? WAIT_MAX_MS : wait;
}

static void wait_for_round(struct propagation *p, int64_t ms)
{
    p->next_ms = loop_mono_ms(p->env.loop) + ms;
    timer_after(p->env.loop, &p->next, ms, round_start, p);
}

static void wait_with_others(struct propagation *p)
{
    wait_for_round(p, next_wait(p));
    if (!p->env.waiting || p->set->resolvers)
        return;
    p->waiting = true;
    list_append(p->env.waiting, &p->node);
}

/* A secondary takes all changes of a zone at once: those who looked before us look again. */
static void tell_others(const struct propagation *p)
{
    int64_t now = loop_mono_ms(p->env.loop);
    list_each(it, p->env.waiting)
    {
        struct propagation *o = list_item(it, struct propagation, node);
        int64_t at = o->looked_ms + FIRST_WAIT_MS;
        if (o->set == p->set && o->looked_ms < p->looked_ms && at < o->next_ms)
            wait_for_round(o, at > now ? at - now : 0);
    }
}

static void ask_fallback(struct propagation *p)
{
    CLEANUP_BUF struct buf b;
    buf_init(&b, 16 * TEXT_MAX);
    report(p, false, &b);
    free(p->note);
    p->note =
        xasprintf("the resolvers were asked, because no name server can be (%.300s)", buf_str(&b));
    drop_queries(p);
    server_set_unref(p->set);
    p->set = p->fallback;
    p->fallback = NULL;
    free(p->asked);
    p->asked = xcalloc(p->set->n, sizeof(*p->asked));
    p->agreed = p->waits = 0;
    wait_for_round(p, next_wait(p));
}

static void absent(struct propagation *p)
{
    struct err e = ERR_INIT;
    CLEANUP_BUF struct buf b;
    buf_init(&b, 16 * TEXT_MAX);
    report(p, false, &b);
    err_set(&e, ERR_BLOCKED, "%.400s", buf_str(&b));
    str_copy(e.type, sizeof(e.type), PROPAGATION_ABSENT);
    finish(p, &e, "");
}

static void judge(struct propagation *p)
{
    size_t has = count(p, HAS_ALL), lacks = count(p, LACKS);
    if (has && !lacks && ++p->agreed >= AGREE_ROUNDS) {
        succeed(p);
        return;
    }
    if (p->fits && lacks && !has) {
        absent(p);
        return;
    }
    tell_change(p);
    if (has && !lacks) {
        if (p->waits && p->env.waiting)
            tell_others(p);
        wait_for_round(p, CONFIRM_MS);
    } else if (!has && !lacks && !count(p, REFUSES) && p->fallback) {
        ask_fallback(p);
    } else {
        p->agreed = 0;
        wait_with_others(p);
        p->waits++;
    }
}

static bool is_ours(const struct propagation *p, const struct dns_record *rec)
{
    return rec->section == DNS_ANSWER && rec->type == DNS_TXT && str_eq(rec->owner, p->name);
}

static size_t one_fits(const struct propagation *p, const struct dns_reply *r)
{
    for (size_t k = 0; k < r->n; k++) {
        const struct dns_record *rec = &r->records[k];
        if (is_ours(p, rec) && p->fits(p->arg, rec->text, rec->text_len))
            return 1;
    }
    return 0;
}

static size_t values_in(const struct propagation *p, const struct dns_reply *r)
{
    size_t found = 0;
    if (p->fits)
        return one_fits(p, r);
    for (size_t i = 0; i < p->n_values; i++) {
        size_t len = strlen(p->values[i]);
        for (size_t k = 0; k < r->n; k++) {
            const struct dns_record *rec = &r->records[k];
            if (is_ours(p, rec) && rec->text_len == len &&
                memcmp(rec->text, p->values[i], len) == 0) {
                found++;
                break;
            }
        }
    }
    return found;
}

static uint32_t negative_ttl(const struct dns_reply *r)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct dns_record *rec = &r->records[i];
        if (rec->section == DNS_AUTHORITY && rec->type == DNS_SOA)
            return rec->ttl < rec->soa_minimum ? rec->ttl : rec->soa_minimum;
    }
    return 0;
}

static void read_reply(struct asked *a, const struct dns_reply *r)
{
    struct propagation *p = a->p;
    a->rcode = r->rcode;
    if (r->rcode != 0 && r->rcode != RCODE_NXDOMAIN) {
        a->state = REFUSES;
        return;
    }
    if (!p->set->resolvers && !r->aa) {
        a->state = NO_AUTHORITY;
        return;
    }
    a->found = values_in(p, r);
    a->negative_ttl = negative_ttl(r);
    if (a->found == p->n_values) {
        if (a->state == LACKS)
            a->late_ms = loop_mono_ms(p->env.loop) - a->since;
        a->state = HAS_ALL;
    } else if (a->state != LACKS) {
        a->state = LACKS;
        a->since = loop_mono_ms(p->env.loop);
    }
}

static void on_reply(void *arg, const struct dns_reply *reply, const struct err *err)
{
    struct asked *a = arg;
    struct propagation *p = a->p;
    const struct server *s = &p->set->v[a->at];
    (void)err;
    a->call = NULL;
    if (reply) {
        reach_answered(p->env.reach, s);
        read_reply(a, reply);
    } else {
        reach_failed(p->env.reach, s);
        a->state = SILENT;
    }
    if (--p->pending == 0)
        judge(p);
}

static void ask(struct asked *a)
{
    struct propagation *p = a->p;
    p->pending++;
    a->call = server_ask(p->env.dns, p->set, a->at, p->name, DNS_TXT, on_reply, a);
}

static bool all_down(const struct propagation *p)
{
    for (size_t i = 0; i < p->set->n; i++)
        if (!reach_is_down(p->env.reach, &p->set->v[i]))
            return false;
    return true;
}

/* All servers at once. Those known to be silent are left out, unless nobody else is there to ask
 * and no resolver may stand in. */
static void round_start(void *arg)
{
    struct propagation *p = arg;
    bool insist = all_down(p) && !p->fallback;
    leave_waiting(p);
    p->looked_ms = loop_mono_ms(p->env.loop);
    for (size_t i = 0; i < p->set->n; i++) {
        struct asked *a = &p->asked[i];
        a->p = p;
        a->at = i;
        if (!insist && reach_is_down(p->env.reach, &p->set->v[i]))
            a->state = SILENT;
        else if (p->agreed || a->state != HAS_ALL)
            ask(a);
    }
    if (p->pending == 0)
        judge(p);
}

struct propagation *propagation_start(const struct propagation_env *env,
                                      const struct propagation_spec *spec,
                                      const struct propagation_handler *h, void *arg)
{
    struct propagation *p = xnew(struct propagation);
    p->env = *env;
    p->handler = *h;
    p->arg = arg;
    str_copy(p->name, sizeof(p->name), spec->name);
    p->values = xcalloc(spec->n ? spec->n : 1, sizeof(*p->values));
    p->n_values = spec->n;
    for (size_t i = 0; i < spec->n; i++)
        p->values[i] = xstrdup(spec->values[i]);
    p->fits = spec->fits;
    p->n_values += spec->fits != NULL;
    p->set = server_set_ref(spec->servers);
    p->fallback = server_set_ref(spec->fallback);
    p->asked = xcalloc(p->set->n ? p->set->n : 1, sizeof(*p->asked));
    p->require = spec->require;
    p->typical_ms = spec->typical_ms;
    p->timeout_ms = spec->timeout_ms;
    timer_after(env->loop, &p->deadline, spec->timeout_ms, on_deadline, p);
    wait_for_round(p, p->set->resolvers ? next_wait(p) : 0);
    return p;
}
