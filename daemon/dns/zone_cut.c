/* SPDX-License-Identifier: ISC */
/*
 *            configured servers
 *   START ------------------------------------+
 *     |                                       v        referral, or a deeper SOA
 *     +-> SOA --zone--> SERVERS --set--> ASK(server i) -----> SERVERS (below) -+
 *     |    |               |              |  ^  |                             |
 *     |    |               |              |  +--+ no answer, no authority:    |
 *     |    |               |              |       the next server             |
 *     |    |               |   answer     |          all were tried           |
 *     |    |               |              v                 v                 v
 *     |    |               +----------> DONE <---------- RESOLVE          (ASK or DONE)
 *     +----+-- ask: resolvers -----------------------------^
 *
 * A referral strictly lengthens the zone, so the machine ends. What fails outright ends in DONE
 * with an error; with `ask: auto` RESOLVE is tried first.
 */
#include "dns/zone_cut.h"
#include "base/mem.h"
#include "base/str.h"
#include "dns/ns_find.h"
#include "dns/soa_find.h"

#include <stdlib.h>

#define RCODE_NXDOMAIN 3
#define SILENT_MAX 4u /* time-outs, then the zone is held to be out of reach */

struct cuts {
    struct loop *loop;
    struct dns *dns;
    struct reach *reach;
    struct soa_cache *soa;
    struct ns_cache *ns;
};

struct cut_call {
    struct cuts *cuts;
    const struct conf *conf;
    const struct conf_dns_zone *policy;
    char name[NAME_MAX_TEXT];
    char zone[NAME_MAX_TEXT];
    char alias[NAME_MAX_TEXT];
    enum dns_type type;            /* that is asked for */
    const struct dns_reply *reply; /* while it is told */
    struct server_set *set;
    size_t server;
    unsigned silent;
    bool no_authority; /* a server answered without AA, which c->last says and other vices leave */
    bool final;        /* the set being loaded is the answer, the name need not be asked there */
    bool resolved;     /* RESOLVE was entered */
    char note[256];
    struct err last; /* of the server asked last */
    struct soa_wait soa_wait;
    struct ns_wait ns_wait;
    struct dns_call *call;
    struct defer defer;
    cut_done_fn *done;
    void *arg;
};

struct cuts *cuts_new(struct loop *l, struct dns *d, struct reach *r)
{
    struct cuts *c = xnew(struct cuts);
    c->loop = l;
    c->dns = d;
    c->reach = r;
    c->soa = soa_cache_new(l, d);
    c->ns = ns_cache_new(l, d, r);
    return c;
}

void cuts_free(struct cuts *c)
{
    if (!c)
        return;
    soa_cache_free(c->soa);
    ns_cache_free(c->ns);
    free(c);
}

void cuts_clear(struct cuts *c)
{
    soa_cache_clear(c->soa);
    ns_cache_clear(c->ns);
}

void cuts_drop(struct cuts *c, const char *zone)
{
    ns_cache_drop(c->ns, zone);
}

struct soa_cache *cuts_soa(struct cuts *c)
{
    return c->soa;
}

struct ns_cache *cuts_ns(struct cuts *c)
{
    return c->ns;
}

void cut_cancel(struct cut_call *c)
{
    if (!c)
        return;
    soa_wait_cancel(&c->soa_wait);
    ns_wait_cancel(&c->ns_wait);
    defer_cancel(&c->defer);
    if (c->call)
        dns_cancel(c->call);
    server_set_unref(c->set);
    free(c);
}

static void finish(struct cut_call *c, const struct err *err)
{
    struct err e = *err;
    struct cut cut = {.servers = c->set,
                      .zone = c->zone,
                      .alias = c->alias,
                      .resolved = c->resolved,
                      .note = c->note,
                      .reply = c->reply};
    cut_done_fn *done = c->done;
    void *arg = c->arg;
    if (e.cls != ERR_NONE)
        err_activity(&e, "finding the zone of %s", c->name);
    /* The callback may start the next call, but cannot cancel this one any more. */
    done(arg, e.cls == ERR_NONE ? &cut : NULL, &e);
    cut_cancel(c);
}

static void succeed(struct cut_call *c)
{
    struct err ok = ERR_INIT;
    finish(c, &ok);
}

static void use_set(struct cut_call *c, struct server_set *set)
{
    server_set_unref(c->set);
    c->set = set;
    c->server = 0;
    c->silent = 0;
}

static const struct dns_record *find_alias(const struct cut_call *c, const struct dns_reply *r)
{
    for (size_t i = 0; i < r->n; i++)
        if (r->records[i].section == DNS_ANSWER && r->records[i].type == DNS_CNAME &&
            str_eq(r->records[i].owner, c->name))
            return &r->records[i];
    return NULL;
}

static void ask_resolvers(struct cut_call *c);

static void on_resolved(void *arg, const struct dns_reply *reply, const struct err *err)
{
    struct cut_call *c = arg;
    struct err e = ERR_INIT;
    c->call = NULL;
    if (reply && (reply->rcode == 0 || reply->rcode == RCODE_NXDOMAIN)) {
        const struct dns_record *cname = find_alias(c, reply);
        if (cname)
            str_copy(c->alias, sizeof(c->alias), cname->name);
        c->reply = reply;
        succeed(c);
    } else if (c->server + 1 < c->set->n) {
        c->server++;
        ask_resolvers(c);
    } else if (reply) {
        err_set(&e, ERR_TRANSIENT, "%s answers %s for %s%s%.200s", c->set->v[c->server].label,
                dns_rcode_name(reply->rcode), c->name, c->note[0] ? "; " : "", c->note);
        finish(c, &e);
    } else {
        e = *err;
        if (e.cls == ERR_NONE)
            e.cls = ERR_TRANSIENT;
        err_prefix(&e, "asking %s for %s", c->set->v[c->server].label, c->name);
        finish(c, &e);
    }
}

static void ask_resolvers(struct cut_call *c)
{
    c->call = server_ask(c->cuts->dns, c->set, c->server, c->name, c->type, on_resolved, c);
}

static void enter_resolve(struct cut_call *c)
{
    c->resolved = true;
    use_set(c, server_set_resolvers(c->conf, c->policy));
    ask_resolvers(c);
}

/* No authoritative server was of use; c->last says what the last one did. */
static void no_authority(struct cut_call *c)
{
    struct err e = c->last;
    cuts_drop(c->cuts, c->zone);
    if (c->policy->ask == CONF_ASK_AUTO) {
        str_copy(c->note, sizeof(c->note), c->last.detail);
        enter_resolve(c);
        return;
    }
    if (e.cls == ERR_NONE)
        err_set(&e, ERR_TRANSIENT, "no name server of %s can be reached", c->zone);
    finish(c, &e);
}

static void ask_server(struct cut_call *c);
static void on_servers(void *arg, struct server_set *set, const struct err *err);

static void load(struct cut_call *c, const char *zone, const struct ns_hint *hint)
{
    str_copy(c->zone, sizeof(c->zone), zone);
    ns_find(c->cuts->ns, c->conf, zone, hint, &c->ns_wait, on_servers, c);
}

/* A delegation below the present zone, and not away from the name. */
static const struct dns_record *find_referral(const struct cut_call *c, const struct dns_reply *r)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct dns_record *rec = &r->records[i];
        if (rec->section == DNS_ANSWER)
            return NULL;
        if (rec->section == DNS_AUTHORITY && rec->type == DNS_NS &&
            name_under(c->name, rec->owner) && name_under(rec->owner, c->zone) &&
            !str_eq(rec->owner, c->zone))
            return rec;
    }
    return NULL;
}

static void negative(struct cut_call *c, const struct dns_reply *reply)
{
    const struct dns_record *soa = soa_in_reply(reply, c->name);
    if (c->type != DNS_CNAME) { /* the records matter, not who else has them */
        if (soa && soa->owner[0])
            str_copy(c->zone, sizeof(c->zone), soa->owner);
        succeed(c);
    } else if (!soa || !soa->owner[0] || str_eq(soa->owner, c->zone)) {
        succeed(c);
    } else if (c->set->configured || !name_under(soa->owner, c->zone)) {
        /* The user's servers serve whatever lies there; or the zone begins higher than was said. */
        use_set(c, server_set_for_zone(c->set, soa->owner));
        str_copy(c->zone, sizeof(c->zone), soa->owner);
        succeed(c);
    } else {
        struct ns_hint hint = {.servers = c->set};
        c->final = true;
        load(c, soa->owner, &hint);
    }
}

static void next_server(struct cut_call *c)
{
    c->server++;
    ask_server(c);
}

static void judge(struct cut_call *c, const struct dns_reply *reply)
{
    const char *label = c->set->v[c->server].label;
    bool usual = reply->rcode == 0 || reply->rcode == RCODE_NXDOMAIN;
    const struct dns_record *rec = find_alias(c, reply);
    c->reply = c->type == DNS_CNAME ? NULL : reply;
    if (usual && reply->aa && rec) {
        str_copy(c->alias, sizeof(c->alias), rec->name);
        succeed(c);
    } else if (usual && reply->aa) {
        negative(c, reply);
    } else if (reply->rcode == 0 && (rec = find_referral(c, reply))) {
        struct ns_hint hint = {.referral = reply, .referrer = c->zone};
        load(c, rec->owner, &hint);
    } else if (usual) {
        c->no_authority = true;
        err_set(&c->last, ERR_TRANSIENT,
                "%s answers for %s without authority (no AA flag): it is no name server of that "
                "zone, or something on the way intercepts DNS",
                label, c->zone);
        next_server(c);
    } else {
        if (!c->no_authority)
            err_set(&c->last, ERR_TRANSIENT, "%s answers %s for %s", label,
                    dns_rcode_name(reply->rcode), c->name);
        next_server(c);
    }
}

static void on_answer(void *arg, const struct dns_reply *reply, const struct err *err)
{
    struct cut_call *c = arg;
    const struct server *s = &c->set->v[c->server];
    c->call = NULL;
    if (reply) {
        reach_answered(c->cuts->reach, s);
        judge(c, reply);
        return;
    }
    reach_failed(c->cuts->reach, s);
    if (!c->no_authority)
        err_set(&c->last, ERR_TRANSIENT, "no name server of %s can be reached (%s: %.200s)",
                c->zone, s->label, err->detail);
    if (++c->silent == SILENT_MAX)
        no_authority(c);
    else
        next_server(c);
}

static void ask_server(struct cut_call *c)
{
    while (c->server < c->set->n && reach_is_down(c->cuts->reach, &c->set->v[c->server])) {
        if (c->last.cls == ERR_NONE)
            err_set(&c->last, ERR_TRANSIENT,
                    "no name server of %s can be reached (%s did not answer within the last "
                    "minute)",
                    c->zone, c->set->v[c->server].label);
        c->server++;
    }
    if (c->server >= c->set->n)
        no_authority(c);
    else
        c->call = server_ask(c->cuts->dns, c->set, c->server, c->name, c->type, on_answer, c);
}

static void on_servers(void *arg, struct server_set *set, const struct err *err)
{
    struct cut_call *c = arg;
    if (!set) {
        c->last = *err;
        no_authority(c);
        return;
    }
    use_set(c, server_set_ref(set));
    c->last = (struct err)ERR_INIT;
    c->no_authority = false;
    if (c->final)
        succeed(c);
    else
        ask_server(c);
}

static void on_zone(void *arg, const char *zone, const struct err *err)
{
    struct cut_call *c = arg;
    if (c->policy->ask == CONF_ASK_RESOLVERS) {
        str_copy(c->zone, sizeof(c->zone), zone ? zone : "");
        enter_resolve(c);
    } else if (zone) {
        load(c, zone, NULL);
    } else if (c->policy->ask == CONF_ASK_AUTO && err->cls == ERR_TRANSIENT) {
        /* Some resolvers know no SOA or NS, yet answer what CAs will ask. */
        str_copy(c->note, sizeof(c->note), err->detail);
        enter_resolve(c);
    } else {
        finish(c, err);
    }
}

static void start(void *arg)
{
    struct cut_call *c = arg;
    struct server_set *set = NULL;
    if (c->policy->ask != CONF_ASK_RESOLVERS)
        set = server_set_configured(c->policy);
    if (set) {
        str_copy(c->zone, sizeof(c->zone), c->policy->suffix);
        use_set(c, set);
        ask_server(c);
        return;
    }
    const char *parent = name_parent(c->name);
    bool itself = c->type != DNS_CNAME || !parent[0];
    soa_find(c->cuts->soa, c->conf, itself ? c->name : parent, &c->soa_wait, on_zone, c);
}

struct cut_call *cut_ask(struct cuts *cuts, const struct conf *conf, const char *name,
                         enum dns_type type, cut_done_fn *done, void *arg)
{
    struct cut_call *c = xnew(struct cut_call);
    c->cuts = cuts;
    c->conf = conf;
    c->policy = conf_dns_for(conf, name);
    c->done = done;
    c->arg = arg;
    c->type = type;
    str_copy(c->name, sizeof(c->name), name);
    loop_defer(cuts->loop, &c->defer, start, c);
    return c;
}

struct cut_call *cut_find(struct cuts *cuts, const struct conf *conf, const char *name,
                          cut_done_fn *done, void *arg)
{
    return cut_ask(cuts, conf, name, DNS_CNAME, done, arg);
}
