/* SPDX-License-Identifier: ISC */
/*
 * Down from the top-level domain by referrals, so that a dead zone cannot hide behind resolvers
 * that fall silent over it:
 *
 *   TOP --> DOWN (the zone's servers: a cut below it, on the way to the name?)
 *            |  ^                                      | a referral, or a zone that they have, too
 *            |  |                                      v
 *            |  +-- some serve it, the name is below --PROBE (each address of each server: the SOA)
 *            |      it: go on with one of them          |    |
 *            +--no: done, as PROBE has found            |    none: WITNESS (a resolver) --> done
 *                                                       the name is its apex: done
 */
#include "dns/delegation.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "dns/memo.h"
#include "dns/ns_find.h"
#include "dns/soa_find.h"

#include <stdlib.h>
#include <string.h>

#define ZONES_MAX 1024u
#define KEEP_MS (5 * INT64_C(60000))
#define KEEP_BAD_MS INT64_C(15000)
#define HOSTS_MAX 16u
#define ADDRS_MAX 4u /* of a host */
#define TEXT_MAX 1500u
#define DNS_PORT 53
#define SERVFAIL 2
#define WITNESS_MS 3000 /* resolvers take long over dead zones */
#define DEPTH_MAX 16u
#define NXDOMAIN 3

struct delegation_cache {
    struct loop *loop;
    struct dns *dns;
    struct reach *reach;
    struct cuts *cuts;
    struct memo *zones;
};

struct probe {
    struct asking *owner;
    size_t host;
    struct server_set *server; /* of one address */
    struct dns_call *call;
    bool v6, good, silent;
    char said[200];
};

struct host {
    struct asking *owner;
    char name[NAME_MAX_TEXT];
    struct dns_addr addrs[ADDRS_MAX];
    size_t n;
    struct dns_call *call;
    char said[200]; /* why it has no address */
};

struct asking {
    struct memo_entry *entry;
    struct delegation_cache *cache;
    struct conf *conf;
    char zone[NAME_MAX_TEXT];  /* whose delegation is looked at; "": none yet */
    char above[NAME_MAX_TEXT]; /* whose servers are asked for it */
    bool at_zone;              /* the zone's own servers are asked for its NS records */
    unsigned depth;
    enum finding_level level; /* of the zone, when its servers are asked for one below it */
    char *text;
    struct soa_wait soa;
    struct ns_wait ns;
    struct server_set *set;
    size_t at;
    struct dns_call *call;
    struct host *hosts;
    size_t n_hosts;
    struct probe *probes;
    size_t n_probes, pending;
    struct err last;
};

struct delegation_call {
    struct memo_wait wait;
    delegation_done_fn *done;
    void *arg;
};

static void verdict_free(void *result)
{
    struct delegation_verdict *v = result;
    free(v->zone);
    free(v->text);
    free(v);
}

static void drop_hosts(struct asking *a)
{
    for (size_t i = 0; i < a->n_hosts; i++)
        if (a->hosts[i].call)
            dns_cancel(a->hosts[i].call);
    for (size_t i = 0; i < a->n_probes; i++) {
        if (a->probes[i].call)
            dns_cancel(a->probes[i].call);
        server_set_unref(a->probes[i].server);
    }
    free(a->hosts);
    free(a->probes);
    a->hosts = NULL;
    a->probes = NULL;
    a->n_hosts = a->n_probes = 0;
}

static void asking_stop(void *work)
{
    struct asking *a = work;
    soa_wait_cancel(&a->soa);
    ns_wait_cancel(&a->ns);
    if (a->call)
        dns_cancel(a->call);
    drop_hosts(a);
    server_set_unref(a->set);
    conf_unref(a->conf);
    free(a->text);
    free(a);
}

/* Takes text. */
static void end(struct asking *a, enum finding_level level, char *text)
{
    struct delegation_verdict *v = xnew(struct delegation_verdict);
    struct memo_entry *e = a->entry;
    v->level = level;
    v->zone = xstrdup(a->zone);
    v->text = text;
    asking_stop(a);
    memo_result(e, v, level == FINDING_OK ? KEEP_MS : KEEP_BAD_MS);
}

static void unknown(struct asking *a)
{
    end(a, FINDING_WARN,
        xasprintf("the delegation of %s could not be looked at: %s",
                  a->zone[0] ? a->zone : a->entry->key, a->last.detail));
}

/* ---- WITNESS ---- */

static void tell_faults(const struct asking *a, struct buf *out)
{
    for (size_t i = 0; i < a->n_hosts; i++)
        if (a->hosts[i].said[0])
            buf_putf(out, "%s%s", out->len ? "; " : "", a->hosts[i].said);
    for (size_t i = 0; i < a->n_probes; i++)
        if (a->probes[i].said[0])
            buf_putf(out, "%s%s", out->len ? "; " : "", a->probes[i].said);
}

static void no_server(struct asking *a, bool resolved)
{
    CLEANUP_BUF struct buf faults;
    buf_init(&faults, 64 * TEXT_MAX);
    tell_faults(a, &faults);
    const char *said = faults.len ? buf_str(&faults) : "it has no name servers";
    if (resolved)
        end(a, FINDING_WARN,
            xasprintf("no name server of %s is of use from here (%.1400s), though the resolvers "
                      "find the zone: it may be a fault of this network, or what resolvers still "
                      "remember",
                      a->zone, said));
    else
        end(a, FINDING_FAIL,
            xasprintf(
                "the delegation of %s is dead: %.1400s. Have these servers serve the zone, or "
                "correct its NS records at the registry (in %s)",
                a->zone, said, a->above));
}

static void ask_witness(struct asking *a, const char *name, dns_done_fn *done)
{
    const struct server *s = &a->set->v[a->at];
    const struct dns_query q = {.name = name,
                                .type = DNS_SOA,
                                .server = s->system ? NULL : &s->addr,
                                .recurse = true,
                                .timeout_ms = WITNESS_MS};
    a->call = dns_ask(a->cache->dns, &q, done, a);
}

/* It answers, but not for the zone. */
static void on_sign_of_life(void *arg, const struct dns_reply *reply, const struct err *err)
{
    struct asking *a = arg;
    (void)err;
    a->call = NULL;
    no_server(a, !reply || reply->rcode);
}

static bool some_said_no(const struct asking *a)
{
    for (size_t i = 0; i < a->n_probes; i++)
        if (!a->probes[i].silent)
            return true;
    return a->n_probes == 0;
}

static void on_witness(void *arg, const struct dns_reply *reply, const struct err *err)
{
    struct asking *a = arg;
    (void)err;
    a->call = NULL;
    bool usable =
        reply && (reply->rcode == 0 || reply->rcode == SERVFAIL || reply->rcode == NXDOMAIN);
    if (usable) {
        const struct dns_record *soa = soa_in_reply(reply, a->zone);
        no_server(a, reply->rcode == 0 && soa && str_eq(soa->owner, a->zone));
    } else if (a->at + 1 < a->set->n) {
        a->at++;
        ask_witness(a, a->zone, on_witness);
    } else if (!reply && some_said_no(a)) {
        ask_witness(a, a->above, on_sign_of_life);
    } else {
        no_server(a, true); /* nobody to ask: not certain */
    }
}

static void witness(struct asking *a)
{
    server_set_unref(a->set);
    a->set = server_set_resolvers(a->conf, conf_dns_for(a->conf, a->zone));
    a->at = 0;
    ask_witness(a, a->zone, on_witness);
}

/* ---- PROBE ---- */

static void served(struct asking *a, enum finding_level level, char *text);

static void judge(struct asking *a)
{
    CLEANUP_BUF struct buf faults = {0};
    size_t good = 0;
    for (size_t i = 0; i < a->n_probes; i++)
        good += a->probes[i].good;
    if (!good) {
        witness(a);
        return;
    }
    for (size_t i = 0; i < a->n_probes; i++) /* this host may have no IPv6 */
        if (a->probes[i].v6 && a->probes[i].silent)
            a->probes[i].said[0] = '\0';
    buf_init(&faults, 64 * TEXT_MAX);
    tell_faults(a, &faults);
    if (faults.len)
        served(a, FINDING_WARN,
               xasprintf("some name servers of %s do not serve it: %.1400s. CAs ask any of them: "
                         "mend them, or take them out of the NS records",
                         a->zone, buf_str(&faults)));
    else
        served(a, FINDING_OK,
               xasprintf("%zu addresses of %zu name servers serve %s", good, a->n_hosts, a->zone));
}

static void probe_reply(struct probe *p, const struct dns_reply *reply)
{
    const struct dns_record *soa = soa_in_reply(reply, p->owner->zone);
    const char *label = p->server->v[0].label;
    CLEANUP_FREE char *said = NULL;
    if (reply->rcode)
        said = xasprintf("%s answers %s", label, dns_rcode_name(reply->rcode));
    else if (!reply->aa)
        said = xasprintf("%s answers without authority (lame)", label);
    else if (!soa || !str_eq(soa->owner, p->owner->zone))
        said = xasprintf("%s has no such zone", label);
    p->good = !said;
    str_copy(p->said, sizeof(p->said), said ? said : "");
}

static void on_probe(void *arg, const struct dns_reply *reply, const struct err *err)
{
    struct probe *p = arg;
    struct asking *a = p->owner;
    const struct server *s = &p->server->v[0];
    (void)err;
    p->call = NULL;
    if (reply) {
        reach_answered(a->cache->reach, s);
        probe_reply(p, reply);
    } else {
        reach_failed(a->cache->reach, s);
        p->silent = true;
        CLEANUP_FREE char *said = xasprintf("%s does not answer", s->label);
        str_copy(p->said, sizeof(p->said), said);
    }
    if (--a->pending == 0)
        judge(a);
}

static void probe_all(struct asking *a)
{
    a->probes = xcalloc(a->n_hosts * ADDRS_MAX + 1, sizeof(*a->probes));
    for (size_t i = 0; i < a->n_hosts; i++) {
        const struct host *h = &a->hosts[i];
        for (size_t k = 0; k < h->n; k++) {
            struct probe *p = &a->probes[a->n_probes++];
            p->owner = a;
            p->host = i;
            p->v6 = h->addrs[k].sa.ss_family == AF_INET6;
            p->server = server_set_new(a->zone);
            server_set_add(p->server, h->name, &h->addrs[k]);
        }
    }
    a->pending = a->n_probes;
    for (size_t i = 0; i < a->n_probes; i++)
        a->probes[i].call = server_ask(a->cache->dns, a->probes[i].server, 0, a->zone, DNS_SOA,
                                       on_probe, &a->probes[i]);
    if (!a->n_probes)
        witness(a);
}

/* ---- HOSTS ---- */

static void host_add(struct host *h, const struct dns_addr *addr)
{
    struct dns_addr a = *addr;
    if (a.sa.ss_family == AF_INET)
        ((struct sockaddr_in *)&a.sa)->sin_port = htons(DNS_PORT);
    else
        ((struct sockaddr_in6 *)&a.sa)->sin6_port = htons(DNS_PORT);
    if (h->n < ADDRS_MAX)
        h->addrs[h->n++] = a;
}

static void on_addresses(void *arg, const struct dns_addr *addrs, size_t n, const struct err *err)
{
    struct host *h = arg;
    struct asking *a = h->owner;
    h->call = NULL;
    for (size_t i = 0; i < n; i++)
        host_add(h, &addrs[i]);
    if (!n) {
        CLEANUP_FREE char *said =
            xasprintf("%s has no address (%.100s)", h->name, err_is(err) ? err->detail : "none");
        str_copy(h->said, sizeof(h->said), said);
    }
    if (--a->pending == 0)
        probe_all(a);
}

/* Those without glue. */
static void resolve_hosts(struct asking *a)
{
    for (size_t i = 0; i < a->n_hosts; i++)
        a->pending += a->hosts[i].n == 0;
    for (size_t i = 0; i < a->n_hosts; i++) {
        struct host *h = &a->hosts[i];
        if (!h->n)
            h->call =
                dns_resolve(a->cache->dns, h->name, DNS_PORT, SERVERS_RESOLVE_MS, on_addresses, h);
    }
    if (!a->pending)
        probe_all(a);
}

static void take_glue(struct asking *a, const struct dns_reply *reply)
{
    for (size_t i = 0; i < reply->n; i++) {
        const struct dns_record *rec = &reply->records[i];
        if ((rec->type != DNS_A && rec->type != DNS_AAAA) || !name_under(rec->owner, a->above))
            continue;
        for (size_t k = 0; k < a->n_hosts; k++)
            if (str_eq(a->hosts[k].name, rec->owner))
                host_add(&a->hosts[k], &rec->addr);
    }
}

static void take_delegation(struct asking *a, const struct dns_reply *reply)
{
    a->hosts = xcalloc(HOSTS_MAX, sizeof(*a->hosts));
    for (size_t i = 0; i < reply->n && a->n_hosts < HOSTS_MAX; i++) {
        const struct dns_record *rec = &reply->records[i];
        struct host *h = &a->hosts[a->n_hosts];
        if (rec->type != DNS_NS || rec->section == DNS_ADDITIONAL || !str_eq(rec->owner, a->zone) ||
            name_owner(rec->name, h->name) != NAME_OK)
            continue;
        h->owner = a;
        a->n_hosts++;
    }
    take_glue(a, reply);
    resolve_hosts(a);
}

/* ---- DOWN ---- */

static void ask(struct asking *a);

/* The zone that was looked at last is the name's. Takes nothing: the verdict has been kept. */
static void lies_here(struct asking *a)
{
    char *text = a->text;
    a->text = NULL;
    end(a, a->level, text ? text : xasprintf("%s is a top-level domain", a->above));
}

/* Some servers have the zone: those are asked for what lies below it. */
static void served(struct asking *a, enum finding_level level, char *text)
{
    struct server_set *good = server_set_new(a->zone);
    free(a->text);
    a->text = text;
    a->level = level;
    for (size_t i = 0; i < a->n_probes; i++)
        if (a->probes[i].good)
            server_set_add(good, a->hosts[a->probes[i].host].name, &a->probes[i].server->v[0].addr);
    server_set_unref(a->set);
    a->set = good;
    a->at = 0;
    if (str_eq(a->zone, a->entry->key) || ++a->depth > DEPTH_MAX) {
        lies_here(a);
        return;
    }
    drop_hosts(a);
    str_copy(a->above, sizeof(a->above), a->zone);
    ask(a);
}

/* NS records of a cut that lies below what was asked, on the way to the name. */
static const struct dns_record *find_cut(const struct asking *a, const struct dns_reply *r)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct dns_record *rec = &r->records[i];
        if (rec->type == DNS_NS && rec->section != DNS_ADDITIONAL &&
            name_under(a->entry->key, rec->owner) && !str_eq(rec->owner, a->above) &&
            name_under(rec->owner, a->above))
            return rec;
    }
    return NULL;
}

static void take_cut(struct asking *a, const struct dns_reply *reply, const char *owner)
{
    str_copy(a->zone, sizeof(a->zone), owner);
    a->at_zone = false;
    take_delegation(a, reply);
}

/* Servers that have parent and child do not refer: the child's SOA tells. */
static bool has_child(struct asking *a, const struct dns_reply *reply)
{
    const struct dns_record *soa = reply->aa ? soa_in_reply(reply, a->entry->key) : NULL;
    if (!soa || !soa->owner[0] || a->at_zone || str_eq(soa->owner, a->above) ||
        !name_under(soa->owner, a->above))
        return false;
    str_copy(a->zone, sizeof(a->zone), soa->owner);
    a->at_zone = true;
    ask(a);
    return true;
}

static void on_reply(void *arg, const struct dns_reply *reply, const struct err *err)
{
    struct asking *a = arg;
    a->call = NULL;
    const struct dns_record *cut = reply && !reply->rcode ? find_cut(a, reply) : NULL;
    if (cut) {
        take_cut(a, reply, cut->owner);
        return;
    }
    if (reply && has_child(a, reply))
        return;
    if (reply && reply->aa) {
        lies_here(a);
        return;
    }
    if (!reply)
        a->last = *err;
    else
        err_set(&a->last, ERR_TRANSIENT, "%s, asked for delegations below %s, answers %s%s",
                a->set->v[a->at].label, a->above, dns_rcode_name(reply->rcode),
                reply->rcode ? "" : " without one");
    if (++a->at < a->set->n)
        ask(a);
    else
        unknown(a);
}

static void ask(struct asking *a)
{
    a->call = server_ask(a->cache->dns, a->set, a->at, a->at_zone ? a->zone : a->entry->key, DNS_NS,
                         on_reply, a);
}

/* ---- TOP ---- */

static void on_servers(void *arg, struct server_set *set, const struct err *err)
{
    struct asking *a = arg;
    if (!set) {
        a->last = *err;
        unknown(a);
        return;
    }
    a->set = server_set_ref(set);
    ask(a);
}

static void on_private(void *arg, const char *zone, const struct err *err)
{
    struct asking *a = arg;
    if (zone) {
        str_copy(a->zone, sizeof(a->zone), zone);
        end(a, FINDING_OK, xasprintf("the resolvers know %s, the public DNS does not", zone));
    } else if (err->cls == ERR_BLOCKED) {
        end(a, FINDING_FAIL, xstrdup(err->detail));
    } else {
        a->last = *err;
        unknown(a);
    }
}

/* Resolvers may have a domain of their own below a top-level domain that there is not. */
static void on_top(void *arg, const char *zone, const struct err *err)
{
    struct asking *a = arg;
    (void)err;
    if (!zone) {
        soa_find(cuts_soa(a->cache->cuts), a->conf, a->entry->key, &a->soa, on_private, a);
    } else {
        str_copy(a->above, sizeof(a->above), zone);
        ns_find(cuts_ns(a->cache->cuts), a->conf, zone, NULL, &a->ns, on_servers, a);
    }
}

static void start(void *arg, struct memo_entry *e)
{
    struct delegation_cache *c = arg;
    struct asking *a = xnew(struct asking);
    a->entry = e;
    a->cache = c;
    a->conf = conf_ref((struct conf *)e->subject); /* counted */
    e->work = a;
    const char *dot = strrchr(e->key, '.');
    soa_find(cuts_soa(c->cuts), a->conf, dot ? dot + 1 : e->key, &a->soa, on_top, a);
}

struct delegation_cache *delegation_cache_new(struct loop *l, struct dns *d, struct reach *r,
                                              struct cuts *cuts)
{
    static const struct memo_kind kind = {start, asking_stop, verdict_free, ZONES_MAX};
    struct delegation_cache *c = xnew(struct delegation_cache);
    c->loop = l;
    c->dns = d;
    c->reach = r;
    c->cuts = cuts;
    c->zones = memo_new(l, &kind, c);
    return c;
}

void delegation_cache_free(struct delegation_cache *c)
{
    if (!c)
        return;
    memo_free(c->zones);
    free(c);
}

void delegation_cache_clear(struct delegation_cache *c)
{
    memo_clear(c->zones);
}

static void told(void *arg, const void *result)
{
    struct delegation_call *c = arg;
    delegation_done_fn *done = c->done;
    void *owner = c->arg;
    free(c);
    done(owner, result);
}

struct delegation_call *delegation_find(struct delegation_cache *cache, struct conf *conf,
                                        const char *name, bool fresh, delegation_done_fn *done,
                                        void *arg)
{
    struct delegation_call *c = xnew(struct delegation_call);
    c->done = done;
    c->arg = arg;
    memo_get(cache->zones, name, conf, fresh, &c->wait, told, c);
    return c;
}

void delegation_cancel(struct delegation_call *c)
{
    if (!c)
        return;
    memo_wait_cancel(&c->wait);
    free(c);
}
