/* SPDX-License-Identifier: ISC */
/*
 *   ZONE (which, as the resolvers see it: a dead one is not seen)
 *     |  the name is its apex       | the name lies below
 *     |                             v
 *     |                           BELOW (the zone's servers: a deeper cut?)
 *     |  <--no---------------------+   |
 *     v                                | a referral
 *   PARENT (the parent's servers) -----+--> HOSTS (addresses) --> PROBE (each, for the SOA)
 *     |                                                             |            |
 *     +--not to be asked: unknown                       one serves: done    none: WITNESS
 *                                                                     (a resolver) --> done
 */
#include "dns/delegation.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "dns/memo.h"
#include "dns/ns_find.h"
#include "dns/soa_find.h"

#include <stdlib.h>

#define ZONES_MAX 1024u
#define KEEP_MS (5 * INT64_C(60000))
#define KEEP_BAD_MS INT64_C(15000)
#define HOSTS_MAX 16u
#define ADDRS_MAX 4u /* of a host */
#define TEXT_MAX 1500u
#define DNS_PORT 53
#define SERVFAIL 2
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
    bool below; /* BELOW, else PARENT */
    char zone[NAME_MAX_TEXT];
    char above[NAME_MAX_TEXT]; /* whose servers are asked for the delegation */
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

static void asking_stop(void *work)
{
    struct asking *a = work;
    soa_wait_cancel(&a->soa);
    ns_wait_cancel(&a->ns);
    if (a->call)
        dns_cancel(a->call);
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
    server_set_unref(a->set);
    conf_unref(a->conf);
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

static void on_witness(void *arg, const struct dns_reply *reply, const struct err *err)
{
    struct asking *a = arg;
    (void)err;
    a->call = NULL;
    bool usable =
        reply && (reply->rcode == 0 || reply->rcode == SERVFAIL || reply->rcode == NXDOMAIN);
    if (!usable && a->at + 1 < a->set->n) {
        a->at++;
        a->call = server_ask(a->cache->dns, a->set, a->at, a->zone, DNS_SOA, on_witness, a);
        return;
    }
    if (!usable) {
        no_server(a, true); /* nobody else to ask: not certain */
        return;
    }
    const struct dns_record *soa = soa_in_reply(reply, a->zone);
    no_server(a, reply->rcode == 0 && soa && str_eq(soa->owner, a->zone));
}

static void witness(struct asking *a)
{
    server_set_unref(a->set);
    a->set = server_set_resolvers(a->conf, conf_dns_for(a->conf, a->zone));
    a->at = 0;
    a->call = server_ask(a->cache->dns, a->set, 0, a->zone, DNS_SOA, on_witness, a);
}

/* ---- PROBE ---- */

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
        end(a, FINDING_WARN,
            xasprintf("some name servers of %s do not serve it: %.1400s. CAs ask any of them: "
                      "mend them, or take them out of the NS records",
                      a->zone, buf_str(&faults)));
    else
        end(a, FINDING_OK,
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

/* ---- BELOW, PARENT ---- */

static void enter_parent(struct asking *a);

/* The cut above or at the name that the reply tells of, and below (or at) what was known. */
static const struct dns_record *find_cut(const struct asking *a, const struct dns_reply *r)
{
    const char *name = a->below ? a->entry->key : a->zone;
    for (size_t i = 0; i < r->n; i++) {
        const struct dns_record *rec = &r->records[i];
        if (rec->type == DNS_NS && rec->section != DNS_ADDITIONAL && rec->owner[0] &&
            name_under(name, rec->owner) && !str_eq(rec->owner, a->above) &&
            name_under(rec->owner, a->above))
            return rec;
    }
    return NULL;
}

static void ask(struct asking *a);

static void on_reply(void *arg, const struct dns_reply *reply, const struct err *err)
{
    struct asking *a = arg;
    const char *label = a->set->v[a->at].label;
    const struct dns_record *cut = reply && !reply->rcode ? find_cut(a, reply) : NULL;
    a->call = NULL;
    if (cut) {
        str_copy(a->zone, sizeof(a->zone), cut->owner);
        take_delegation(a, reply);
        return;
    }
    if (!reply)
        a->last = *err;
    else
        err_set(&a->last, ERR_TRANSIENT, "%s, asked for the delegation, answers %s%s", label,
                dns_rcode_name(reply->rcode), reply->rcode ? "" : " without one");
    bool denied = reply && reply->aa && a->below;
    if (!denied && a->at + 1 < a->set->n) {
        a->at++;
        ask(a);
    } else if (a->below) {
        enter_parent(a);
    } else {
        unknown(a);
    }
}

static void ask(struct asking *a)
{
    a->call = server_ask(a->cache->dns, a->set, a->at, a->below ? a->entry->key : a->zone, DNS_NS,
                         on_reply, a);
}

static void on_servers(void *arg, struct server_set *set, const struct err *err)
{
    struct asking *a = arg;
    if (!set) {
        a->last = *err;
        if (a->below)
            enter_parent(a);
        else
            unknown(a);
        return;
    }
    server_set_unref(a->set);
    a->set = server_set_ref(set);
    a->at = 0;
    ask(a);
}

static void on_parent(void *arg, const char *zone, const struct err *err)
{
    struct asking *a = arg;
    if (!zone) {
        a->last = *err;
        unknown(a);
        return;
    }
    str_copy(a->above, sizeof(a->above), zone);
    ns_find(cuts_ns(a->cache->cuts), a->conf, zone, NULL, &a->ns, on_servers, a);
}

static void enter_parent(struct asking *a)
{
    const char *parent = name_parent(a->zone);
    a->below = false;
    if (parent[0])
        soa_find(cuts_soa(a->cache->cuts), a->conf, parent, &a->soa, on_parent, a);
    else
        end(a, FINDING_OK, xasprintf("%s is a top-level domain", a->zone));
}

/* ---- ZONE ---- */

static void on_zone(void *arg, const char *zone, const struct err *err)
{
    struct asking *a = arg;
    if (!zone && err->cls == ERR_BLOCKED) {
        end(a, FINDING_FAIL, xstrdup(err->detail));
        return;
    }
    if (!zone) {
        a->last = *err;
        unknown(a);
        return;
    }
    str_copy(a->zone, sizeof(a->zone), zone);
    if (str_eq(zone, a->entry->key)) {
        enter_parent(a);
        return;
    }
    a->below = true;
    str_copy(a->above, sizeof(a->above), zone);
    ns_find(cuts_ns(a->cache->cuts), a->conf, zone, NULL, &a->ns, on_servers, a);
}

static void start(void *arg, struct memo_entry *e)
{
    struct delegation_cache *c = arg;
    struct asking *a = xnew(struct asking);
    a->entry = e;
    a->cache = c;
    a->conf = conf_ref((struct conf *)e->subject); /* counted */
    e->work = a;
    soa_find(cuts_soa(c->cuts), a->conf, e->key, &a->soa, on_zone, a);
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
