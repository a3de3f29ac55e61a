/* SPDX-License-Identifier: ISC */
/*
 * rfc2136: dynamic updates (RFC 2136) to a server of one's own (BIND, Knot, PowerDNS, Technitium,
 * ...), signed by TSIG. One message adds or deletes exactly the values asked for; several changes
 * of a zone go in one message.
 */
#include "message.h"
#include "tsig.h"

#include <renewd/helpers.h>
#include <stdlib.h>
#include <string.h>

#define APPLY_MAX 128

struct self {
    const char *server; /* "": the zone's primary */
    char *zone;         /* lower case; "": as the host found it */
    struct tsig_key key;
    int signs;
};

static const struct {
    const char *name;
    uint32_t alg;
} algorithms[] = {
    {"hmac-sha256", RENEWD_SHA256},
    {"hmac-sha384", RENEWD_SHA384},
    {"hmac-sha512", RENEWD_SHA512},
};

static const char *const env_server[] = {"RFC2136_NAMESERVER", NULL};
static const char *const env_name[] = {"RFC2136_TSIG_KEY", NULL};
static const char *const env_algorithm[] = {"RFC2136_TSIG_ALGORITHM", NULL};
static const char *const env_secret[] = {"RFC2136_TSIG_SECRET", NULL};
static const struct renewd_option options[] = {
    {.name = "server",
     .type = RENEWD_OPT_HOST,
     .help = "primary server, HOST or HOST:PORT; without it: the zone's SOA says",
     .env = env_server},
    {.name = "zone", .type = RENEWD_OPT_TEXT, .help = "zone to update; without it: found by DNS"},
    {.name = "key_name",
     .type = RENEWD_OPT_TEXT,
     .help = "name of the TSIG key, as the server has it",
     .env = env_name},
    {.name = "key_algorithm",
     .type = RENEWD_OPT_ENUM,
     .dflt = "hmac-sha256",
     .choices = "hmac-sha256|hmac-sha384|hmac-sha512",
     .help = "algorithm of the TSIG key",
     .env = env_algorithm},
    {.name = "key_secret",
     .type = RENEWD_OPT_SECRET,
     .help = "the TSIG key in base64, as tsig-keygen or keymgr prints it",
     .env = env_secret},
};

static int32_t read_key(struct renewd_ctx *ctx, struct self *s)
{
    const struct renewd_host *h = ctx->host;
    const char *secret = h->option(ctx, "key_secret");
    s->key.name = h->option(ctx, "key_name");
    s->key.algorithm_name = h->option(ctx, "key_algorithm");
    if (!secret && !s->key.name)
        return RENEWD_OK; /* updates by address only; some do that on 127.0.0.1 */
    if (!secret || !s->key.name || !*s->key.name)
        return renewd_fail(ctx, RENEWD_E_CONFIG, "key_name and key_secret go together: add %s",
                           secret ? "key_name" : "key_secret");
    for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++)
        if (strcmp(algorithms[i].name, s->key.algorithm_name) == 0)
            s->key.algorithm = algorithms[i].alg;
    if (!s->key.algorithm)
        return renewd_fail(ctx, RENEWD_E_CONFIG, "key_algorithm %s is not known",
                           s->key.algorithm_name);
    uint64_t n = 0;
    const void *raw = h->decode(ctx, RENEWD_BASE64, secret, &n);
    if (!raw || n == 0)
        return renewd_fail(ctx, RENEWD_E_CONFIG,
                           "key_secret is not base64: copy the `secret` of the server's key");
    uint8_t *copy = malloc(n);
    if (!copy)
        abort();
    memcpy(copy, raw, n);
    s->key.secret = copy;
    s->key.secret_len = n;
    s->signs = 1;
    uint8_t wire[NAME_WIRE_MAX + 1];
    struct message m = {wire, 0, sizeof(wire), 0};
    message_put_name(&m, s->key.name);
    return m.bad ? renewd_fail(ctx, RENEWD_E_CONFIG, "key_name is not a domain name") : RENEWD_OK;
}

static char *lower_copy(const char *text)
{
    char *copy = strdup(text);
    if (!copy)
        abort();
    for (char *c = copy; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    return copy;
}

static void free_self(struct self *s)
{
    free((void *)(uintptr_t)s->key.secret);
    free(s->zone);
    free(s);
}

static int32_t create(struct renewd_ctx *ctx, void **ret_self)
{
    const struct renewd_host *h = ctx->host;
    struct self *s = calloc(1, sizeof(*s));
    if (!s)
        abort();
    const char *server = h->option(ctx, "server"), *zone = h->option(ctx, "zone");
    s->server = server ? server : "";
    s->zone = zone ? lower_copy(zone) : lower_copy("");
    int32_t rc = read_key(ctx, s);
    if (rc != RENEWD_OK) {
        free_self(s);
        return rc;
    }
    *ret_self = s;
    return RENEWD_OK;
}

static void destroy(struct renewd_ctx *ctx, void *self)
{
    (void)ctx;
    free_self(self);
}

static const char *where(const struct self *s)
{
    return *s->server ? s->server : "the zone's primary server";
}

static int32_t fail_tsig(struct renewd_ctx *ctx, const struct self *s, const char *fqdn,
                         const struct reply *r)
{
    int64_t theirs = 0;
    switch (r->error) {
    case TSIG_BADKEY: /* Knot says so too when its acl does not allow the update */
        return renewd_fail(ctx, RENEWD_E_AUTH,
                           "%s does not know the TSIG key %s with %s, or does not let it change %s "
                           "(BADKEY): compare key_name and key_algorithm with the server's, and on "
                           "Knot the acl of the zone",
                           where(s), s->key.name, s->key.algorithm_name, fqdn);
    case TSIG_BADSIG:
    case TSIG_BADTRUNC:
        return renewd_fail(
            ctx, RENEWD_E_AUTH,
            "%s knows the TSIG key %s but refuses the signature (BADSIG): key_secret "
            "or key_algorithm differs from the server's",
            where(s), s->key.name);
    case TSIG_BADTIME:
        for (uint16_t i = 0; i < r->other_len && i < 6; i++)
            theirs = theirs << 8 | r->other[i];
        if (theirs)
            theirs -= ctx->host->now_ms(ctx) / 1000;
        return renewd_fail(ctx, RENEWD_E_AUTH,
                           "%s refuses the time of the signature (BADTIME): its clock is %lld s "
                           "%s ours; set the clocks (NTP)",
                           where(s), (long long)(theirs < 0 ? -theirs : theirs),
                           theirs < 0 ? "behind" : "ahead of");
    default:
        return renewd_fail(ctx, RENEWD_E_AUTH, "%s refuses the TSIG signature (error %u)", where(s),
                           r->error);
    }
}

enum { RCODE_NOTAUTH = 9 };
static const struct {
    int rcode;
    int32_t cls;
    const char *name, *advice;
} rcodes[] = {
    {1, RENEWD_E_PROTOCOL, "FORMERR", "it does not understand the update"},
    {2, RENEWD_E_TEMPORARY, "SERVFAIL", "it has a problem of its own; see its log"},
    {3, RENEWD_E_REJECTED, "NXDOMAIN", "the name does not exist"},
    {4, RENEWD_E_CONFIG, "NOTIMP",
     "it does not take dynamic updates; `server` must be the primary and allow them"},
    {5, RENEWD_E_PERMISSION, "REFUSED",
     "its policy does not allow this key (or this address) to change this name: see update-policy "
     "(BIND), acl with action update (Knot)"},
    {6, RENEWD_E_CONFLICT, "YXDOMAIN", "the name exists"},
    {7, RENEWD_E_CONFLICT, "YXRRSET", "the records exist"},
    {8, RENEWD_E_CONFLICT, "NXRRSET", "the records do not exist"},
    {RCODE_NOTAUTH, RENEWD_E_NO_ZONE, "NOTAUTH",
     /* Knot 3.4 answers so, too, when its acl refuses the key; Knot 3.2 says BADKEY then. */
     "it is not the primary of this zone (check `server`, or name the `zone`), or does not let it "
     "change this name (acl with action update)"},
    {10, RENEWD_E_NO_ZONE, "NOTZONE", "the name is not inside this zone: check `zone`"},
};

static int32_t fail_rcode(struct renewd_ctx *ctx, const struct self *s, const char *zone,
                          const char *fqdn, int rcode)
{
    if (rcode == RCODE_NOTAUTH && !s->signs)
        return renewd_fail(ctx, RENEWD_E_AUTH,
                           "%s answered NOTAUTH to an unsigned update of %s: set key_name and "
                           "key_secret, or it is not the primary of zone %s",
                           where(s), fqdn, zone);
    for (size_t i = 0; i < sizeof(rcodes) / sizeof(rcodes[0]); i++)
        if (rcodes[i].rcode == rcode)
            return renewd_fail(ctx, rcodes[i].cls,
                               "%s answered %s to the update of %s in zone %s: %s", where(s),
                               rcodes[i].name, fqdn, zone, rcodes[i].advice);
    return renewd_fail(ctx, RENEWD_E_PROTOCOL,
                       "%s answered rcode %d to the update of %s in zone %s", where(s), rcode, fqdn,
                       zone);
}

static int32_t fail_signature(struct renewd_ctx *ctx, const struct self *s, enum tsig_result r)
{
    static const char *const why[] = {
        [TSIG_OK] = "is fine",
        [TSIG_MISSING] = "is not signed: does it know the key, and is it really it that answers?",
        [TSIG_OTHER_KEY] = "is signed with another key",
        [TSIG_WRONG] = "has a wrong signature",
        [TSIG_STALE] = "is signed with another time; set the clocks (NTP)",
    };
    return renewd_fail(ctx, RENEWD_E_PROTOCOL, "the answer of %s %s", where(s), why[r]);
}

/* What was asked, for judging the answer. */
struct asked {
    const char *zone, *fqdn;
    uint16_t id;
    int opcode;
    uint8_t mac[RENEWD_HASH_MAX];
    uint32_t mac_len;
};

/* All that Knot 3.4 says, whatever is wrong with the key. */
static int32_t fail_key(struct renewd_ctx *ctx, const struct self *s, const struct asked *a)
{
    return renewd_fail(ctx, RENEWD_E_AUTH,
                       "%s answered NOTAUTH without a signature: it does not know the TSIG key %s "
                       "with %s (BADKEY), has another secret for it (BADSIG), or does not let it "
                       "change %s (Knot: acl), or it is not the primary of zone %s: compare "
                       "key_name, key_algorithm, key_secret and server with its configuration",
                       where(s), s->key.name, s->key.algorithm_name, a->fqdn, a->zone);
}

static int32_t judge(struct renewd_ctx *ctx, const struct self *s, const struct asked *a,
                     const uint8_t *p, uint32_t n)
{
    struct reply r;
    if (reply_read(p, n, &r) != 0 || !r.response || r.id != a->id || r.opcode != a->opcode)
        return renewd_fail(ctx, RENEWD_E_PROTOCOL, "the answer of %s is malformed", where(s));
    if (s->signs && r.has_tsig && r.error)
        return fail_tsig(ctx, s, a->fqdn, &r);
    if (s->signs) {
        uint32_t size = n + 2 * NAME_WIRE_MAX + 2 * RENEWD_HASH_MAX + 64;
        enum tsig_result t =
            tsig_verify(ctx->host, &s->key, p, &r, ctx->host->now_ms(ctx) / 1000, a->mac,
                        a->mac_len, (uint8_t *)ctx->host->alloc(ctx, size), size);
        /* Errors may come unsigned (RFC 8945 5.3.2), success may not. */
        if (t != TSIG_OK && (r.rcode == 0 || t != TSIG_MISSING))
            return fail_signature(ctx, s, t);
        if (t == TSIG_MISSING && r.rcode == RCODE_NOTAUTH)
            return fail_key(ctx, s, a);
    }
    return r.rcode == 0 ? RENEWD_OK : fail_rcode(ctx, s, a->zone, a->fqdn, r.rcode);
}

static int32_t finish(struct renewd_ctx *ctx, const struct self *s, struct message *m,
                      struct asked *a)
{
    const struct renewd_host *h = ctx->host;
    if (s->signs)
        tsig_sign(h, &s->key, m, h->now_ms(ctx) / 1000, a->mac, &a->mac_len);
    if (m->bad)
        return renewd_fail(ctx, RENEWD_E_UNSUPPORTED, "the update does not fit into one message");
    const void *reply;
    uint32_t n;
    int32_t rc = h->dns_exchange(ctx, s->server, a->zone, m->p, m->n, &reply, &n);
    return rc == RENEWD_OK ? judge(ctx, s, a, (const uint8_t *)reply, n) : rc;
}

static int is_under(const char *name, const char *zone)
{
    size_t n = strlen(name), z = strlen(zone);
    if (z && zone[z - 1] == '.')
        z--;
    return z == 0 ||
           (n >= z && strncmp(name + n - z, zone, z) == 0 && (n == z || name[n - z - 1] == '.'));
}

static int32_t begin(struct renewd_ctx *ctx, const struct self *s, int opcode,
                     const struct renewd_txt *t, uint32_t size, struct message *m, struct asked *a)
{
    memset(a, 0, sizeof(*a));
    a->zone = *s->zone ? s->zone : t->zone;
    a->fqdn = t->fqdn;
    a->opcode = opcode;
    if (!is_under(t->fqdn, a->zone))
        return renewd_fail(ctx, RENEWD_E_CONFIG, "%s is not inside the configured zone %s", t->fqdn,
                           a->zone);
    ctx->host->random(ctx, &a->id, sizeof(a->id));
    *m = (struct message){(uint8_t *)ctx->host->alloc(ctx, size), 0, size, 0};
    message_begin(m, a->id, opcode, a->zone);
    return RENEWD_OK;
}

#define ROOM_EACH 400u
#define ROOM_ONE 8192u /* any single change: names, text of 4,000 octets, TSIG */

static int32_t add(void *self, struct renewd_ctx *ctx, const struct renewd_txt *t)
{
    struct message m;
    struct asked a;
    int32_t rc = begin(ctx, self, OPCODE_UPDATE, t, ROOM_ONE, &m, &a);
    if (rc != RENEWD_OK)
        return rc;
    message_add_rr(&m, a.zone, t->fqdn, t->value, t->ttl);
    return finish(ctx, self, &m, &a);
}

static int32_t del(void *self, struct renewd_ctx *ctx, const struct renewd_txt *t)
{
    struct message m;
    struct asked a;
    int32_t rc = begin(ctx, self, OPCODE_UPDATE, t, ROOM_ONE, &m, &a);
    if (rc != RENEWD_OK)
        return rc;
    message_delete_rr(&m, a.zone, t->fqdn, t->value);
    return finish(ctx, self, &m, &a);
}

static int32_t apply(void *self, struct renewd_ctx *ctx, const struct renewd_change *const *changes,
                     uint32_t n)
{
    struct message m;
    struct asked a;
    uint32_t room = ROOM_ONE + n * ROOM_EACH < MESSAGE_MAX ? ROOM_ONE + n * ROOM_EACH : MESSAGE_MAX;
    int32_t rc = begin(ctx, self, OPCODE_UPDATE, &changes[0]->txt, room, &m, &a);
    for (uint32_t i = 0; rc == RENEWD_OK && i < n; i++) {
        const struct renewd_txt *t = &changes[i]->txt;
        if (!is_under(t->fqdn, a.zone))
            return RENEWD_E_UNSUPPORTED;
        if (changes[i]->what == RENEWD_CHANGE_ADD)
            message_add_rr(&m, a.zone, t->fqdn, t->value, t->ttl);
        else
            message_delete_rr(&m, a.zone, t->fqdn, t->value);
    }
    return rc == RENEWD_OK ? finish(ctx, self, &m, &a) : rc;
}

/* A signed question for the zone's SOA: proves key, clock and server, not the policy. */
static int32_t check(void *self, struct renewd_ctx *ctx, const struct renewd_txt *t)
{
    struct message m;
    struct asked a;
    int32_t rc = begin(ctx, self, OPCODE_QUERY, t, ROOM_ONE, &m, &a);
    return rc == RENEWD_OK ? finish(ctx, self, &m, &a) : rc;
}

static struct renewd_plugin plugin = {
    .id = "rfc2136",
    .name = "Dynamic updates (RFC 2136)",
    .version = "0.1.0",
    .license = "ISC",
    .author = "the renewd authors",
    .homepage = "renewd-plugin(3)",
    .model = RENEWD_MODEL_RECORD,
    .ttl_default = 120,
    .propagation_typical = 2,
    .propagation_max = 60,
    .options = options,
    .n_options = sizeof(options) / sizeof(options[0]),
    .create = create,
    .destroy = destroy,
    .add = add,
    .remove = del,
    .check = check,
    .apply = apply,
    .apply_max = APPLY_MAX,
};
RENEWD_PLUGIN(plugin)
