/* SPDX-License-Identifier: ISC */
/*
 *   PLAIN --NOERROR, NXDOMAIN--> sound
 *     |  ^\--no answer, REFUSED: the next resolver; none left: unknown
 *     |  SERVFAIL
 *     v
 *   UNCHECKED (CD=1) --SERVFAIL, no answer--> unknown, failing
 *     |  NOERROR, NXDOMAIN
 *     v
 *   CHECKED (CD=0) --anything but SERVFAIL--> sound
 *     |  SERVFAIL with a reason of RFC 8914 that speaks of DNSSEC -----------> bogus
 *     |  SERVFAIL without
 *     v
 *   AGAIN (CD=0, 2 s later: resolvers remember what failed for a moment) --> bogus or sound
 */
#include "dns/dnssec.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "dns/memo.h"
#include "io/dns_message.h"
#include "io/exchange.h"

#include <stdlib.h>
#include <string.h>

#define ZONES_MAX 2048u
#define KEEP_MS (10 * INT64_C(60000))
#define KEEP_UNKNOWN_MS INT64_C(60000)
#define KEEP_BOGUS_MS INT64_C(15000)
#define AGAIN_MS 2000

#define SERVFAIL 2
#define NXDOMAIN 3
#define FLAG_RD 0x0100
#define FLAG_CD 0x0010
#define MESSAGE_MAX 512u
#define MESSAGE_ID 0x5244 /* TCP, one question at a time: it need not be guessed at */
#define TYPE_OPT 41
#define UDP_SIZE 1232
#define HEADER 12u
#define OPTION_EDE 15

enum stage { PLAIN, UNCHECKED, CHECKED, AGAIN };

struct dnssec_cache {
    struct loop *loop;
    struct dns *dns;
    struct exchange_pool *pool;
    struct memo *zones;
};

struct asking {
    struct memo_entry *entry;
    struct dnssec_cache *cache;
    struct server_set *resolvers;
    size_t at;
    enum stage stage;
    struct dns_call *call;
    struct exchange *exchange;
    struct timer again;
    struct err last;
    char reason[300]; /* the resolver's */
};

struct dnssec_call {
    struct memo_wait wait;
    dnssec_done_fn *done;
    void *arg;
};

static void verdict_free(void *result)
{
    struct dnssec_verdict *v = result;
    free(v->text);
    free(v);
}

static void asking_stop(void *work)
{
    struct asking *a = work;
    if (a->call)
        dns_cancel(a->call);
    if (a->exchange)
        exchange_cancel(a->exchange);
    timer_cancel(&a->again);
    server_set_unref(a->resolvers);
    free(a);
}

static void end(struct asking *a, enum dnssec_state state, bool failing, char *text)
{
    static const int64_t keep[] = {[DNSSEC_SOUND] = KEEP_MS,
                                   [DNSSEC_BOGUS] = KEEP_BOGUS_MS,
                                   [DNSSEC_UNKNOWN] = KEEP_UNKNOWN_MS};
    struct dnssec_verdict *v = xnew(struct dnssec_verdict);
    struct memo_entry *e = a->entry;
    v->state = state;
    v->failing = failing;
    v->text = text;
    asking_stop(a);
    memo_result(e, v, keep[state]);
}

static void sound(struct asking *a)
{
    end(a, DNSSEC_SOUND, false, xstrdup(""));
}

static const char *whom(const struct asking *a)
{
    return a->resolvers->v[a->at].label;
}

static void bogus(struct asking *a)
{
    end(a, DNSSEC_BOGUS, false,
        xasprintf(
            "DNSSEC of %s is broken: the resolver %s answers for it only with checking turned "
            "off%s%s. No CA issues then: renew the zone's signatures, or correct its DS "
            "record at the registry (remove the DS if the zone is not signed any more)",
            a->entry->key, whom(a), a->reason[0] ? "; it says: " : "", a->reason));
}

static void unknown(struct asking *a, bool failing)
{
    end(a, DNSSEC_UNKNOWN, failing,
        xasprintf("whether DNSSEC of %s is sound cannot be told: %s", a->entry->key,
                  a->last.detail));
}

/* ---- messages ---- */

static void put16(struct buf *b, unsigned v)
{
    buf_putc(b, (char)(v >> 8));
    buf_putc(b, (char)(v & 0xff));
}

static void compose(struct buf *b, const char *name, unsigned flags)
{
    put16(b, MESSAGE_ID);
    put16(b, FLAG_RD | flags);
    for (unsigned i = 0; i < 4; i++) /* a question, an OPT record */
        put16(b, i == 0 || i == 3);
    for (const char *p = name; *p; p += *p == '.') {
        size_t n = strcspn(p, ".");
        buf_putc(b, (char)n);
        buf_put(b, p, n);
        p += n;
    }
    buf_putc(b, 0);
    put16(b, DNS_SOA);
    put16(b, 1);
    buf_putc(b, 0);
    put16(b, TYPE_OPT);
    put16(b, UDP_SIZE);
    for (unsigned i = 0; i < 3; i++) /* no flags, no options */
        put16(b, 0);
}

static unsigned get16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

/* Extended errors that say that validation failed (RFC 8914 4.7-4.13). */
static bool is_about_dnssec(unsigned code)
{
    return code >= 6 && code <= 12;
}

static const char *ede_name(unsigned code)
{
    static const char *const names[] = {
        "DNSSEC bogus",   "signature expired", "signature not yet valid",
        "DNSKEY missing", "RRSIGs missing",    "no zone key bit set",
        "NSEC missing"};
    return names[code - 6];
}

static void take_option(struct asking *a, const uint8_t *p, size_t n)
{
    CLEANUP_BUF struct buf shown = {0};
    unsigned code = n >= 2 ? get16(p) : 0;
    if (!is_about_dnssec(code))
        return;
    buf_init(&shown, sizeof(a->reason));
    buf_puts(&shown, ede_name(code));
    if (n > 2) {
        buf_puts(&shown, ", ");
        str_escape(&shown, (const char *)p + 2, n - 2, 200);
    }
    str_copy(a->reason, sizeof(a->reason), buf_str(&shown));
}

/* A refusal holds the question and the OPT record alone; others are not looked into. */
static void read_reason(struct asking *a, const uint8_t *msg, size_t n)
{
    size_t at = HEADER;
    if (n < HEADER || get16(msg + 4) != 1 || get16(msg + 6) || get16(msg + 8))
        return;
    while (at < n && msg[at] && msg[at] < 64)
        at += 1u + msg[at];
    at += 5; /* the root, type, class */
    if (at + 11 > n || msg[at] || get16(msg + at + 1) != TYPE_OPT)
        return;
    size_t stop = at + 11 + get16(msg + at + 9);
    for (at += 11; stop <= n && at + 4 <= stop;) {
        size_t length = get16(msg + at + 2);
        if (length > stop - at - 4)
            return;
        if (get16(msg + at) == OPTION_EDE)
            take_option(a, msg + at + 4, length);
        at += 4 + length;
    }
}

/* ---- questions ---- */

static void ask(struct asking *a, enum stage stage);

static void ask_again(void *arg)
{
    ask(arg, AGAIN);
}

static bool is_answer(int rcode)
{
    return rcode == 0 || rcode == NXDOMAIN;
}

static void judge(struct asking *a, int rcode)
{
    bool answered = is_answer(rcode);
    if (a->stage == UNCHECKED) {
        if (answered)
            ask(a, CHECKED);
        else
            unknown(a, rcode == SERVFAIL);
    } else if (rcode != SERVFAIL) {
        sound(a);
    } else if (a->stage == AGAIN || a->reason[0]) {
        bogus(a);
    } else {
        timer_after(a->cache->loop, &a->again, AGAIN_MS, ask_again, a);
    }
}

static void on_reply(void *arg, const void *reply, size_t n, const struct err *err)
{
    struct asking *a = arg;
    struct dns_reply r = {0};
    a->exchange = NULL;
    if (err_is(err)) {
        a->last = *err;
        err_prefix(&a->last, "the resolver %s answers SERVFAIL, and not over TCP", whom(a));
        unknown(a, false);
        return;
    }
    if (dns_message_read(reply, n, a->entry->key, DNS_SOA, &r, &a->last)) {
        unknown(a, false);
        return;
    }
    int rcode = r.rcode;
    dns_reply_done(&r);
    if (rcode == SERVFAIL && a->stage != UNCHECKED)
        read_reason(a, reply, n);
    judge(a, rcode);
}

static void ask_plain(struct asking *a);

static void on_plain(void *arg, const struct dns_reply *reply, const struct err *err)
{
    struct asking *a = arg;
    a->call = NULL;
    if (reply && is_answer(reply->rcode)) {
        sound(a);
        return;
    }
    if (reply)
        err_set(&a->last, ERR_TRANSIENT, "the resolver %s answers %s", whom(a),
                dns_rcode_name(reply->rcode));
    else
        a->last = *err;
    bool may = reply && reply->rcode == SERVFAIL && a->cache->pool;
    if (may && !a->resolvers->v[a->at].system) {
        ask(a, UNCHECKED);
    } else if (a->at + 1 < a->resolvers->n) {
        a->at++;
        ask_plain(a);
    } else {
        unknown(a, false);
    }
}

static void ask_plain(struct asking *a)
{
    a->call = server_ask(a->cache->dns, a->resolvers, a->at, a->entry->key, DNS_SOA, on_plain, a);
}

static void ask(struct asking *a, enum stage stage)
{
    CLEANUP_BUF struct buf message;
    buf_init(&message, MESSAGE_MAX);
    a->stage = stage;
    compose(&message, a->entry->key, stage == UNCHECKED ? FLAG_CD : 0);
    a->exchange = exchange_start(a->cache->pool, &a->resolvers->v[a->at].addr, message.data,
                                 message.len, SERVERS_RESOLVE_MS, on_reply, a);
}

static void start(void *arg, struct memo_entry *e)
{
    struct dnssec_cache *c = arg;
    const struct conf *conf = e->subject;
    struct asking *a = xnew(struct asking);
    a->entry = e;
    a->cache = c;
    a->resolvers = server_set_resolvers(conf, conf_dns_for(conf, e->key));
    e->work = a;
    ask_plain(a);
}

struct dnssec_cache *dnssec_cache_new(struct loop *l, struct dns *d, struct exchange_pool *pool)
{
    static const struct memo_kind kind = {start, asking_stop, verdict_free, ZONES_MAX};
    struct dnssec_cache *c = xnew(struct dnssec_cache);
    c->loop = l;
    c->dns = d;
    c->pool = pool;
    c->zones = memo_new(l, &kind, c);
    return c;
}

void dnssec_cache_free(struct dnssec_cache *c)
{
    if (!c)
        return;
    memo_free(c->zones);
    free(c);
}

void dnssec_cache_clear(struct dnssec_cache *c)
{
    memo_clear(c->zones);
}

static void told(void *arg, const void *result)
{
    struct dnssec_call *c = arg;
    dnssec_done_fn *done = c->done;
    void *owner = c->arg;
    free(c);
    done(owner, result);
}

struct dnssec_call *dnssec_find(struct dnssec_cache *cache, struct conf *conf, const char *zone,
                                bool fresh, dnssec_done_fn *done, void *arg)
{
    struct dnssec_call *c = xnew(struct dnssec_call);
    c->done = done;
    c->arg = arg;
    memo_get(cache->zones, zone, conf, fresh, &c->wait, told, c);
    return c;
}

void dnssec_cancel(struct dnssec_call *c)
{
    if (!c)
        return;
    memo_wait_cancel(&c->wait);
    free(c);
}
