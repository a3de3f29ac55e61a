/* SPDX-License-Identifier: ISC */
/*
 * cloudflare: DNS records by Cloudflare's API v4, with an API token. A token with the one right
 * DNS:Edit on one zone is enough when `zone_id` is given; without it Zone:Read is needed too.
 *
 * Handle: "ZONE-ID/RECORD-ID".
 */
#include <renewd/helpers.h>

#include <stdlib.h>
#include <string.h>

#define PAGE 100      /* records or zones asked for at once */
#define MAX_PAGES 100 /* of records of one name */
#define ID_MAX 64
#define ZONE_TTL 86400 /* seconds for which a zone's id is remembered */

struct zone {
    struct zone *next;
    char *name;
    char id[ID_MAX + 1];
};

struct self {
    const char *authorization; /* header's value */
    const char *api;           /* without a slash at the end */
    const char *zone_id;       /* NULL: looked up */
    struct zone *zones;
};

static const char *const hosts[] = {"api.cloudflare.com", NULL};
static const char *const env_token[] = {"CLOUDFLARE_DNS_API_TOKEN", "CF_DNS_API_TOKEN", "CF_Token",
                                        NULL};
static const char *const env_zone[] = {"CF_Zone_ID", NULL};
static const struct renewd_option options[] = {
    {.name = "api_token",
     .type = RENEWD_OPT_SECRET,
     .required = 1,
     .help = "API token with Zone:DNS:Edit (and Zone:Zone:Read unless zone_id is given)",
     .env = env_token},
    {.name = "zone_id",
     .type = RENEWD_OPT_TEXT,
     .help = "id of the zone, from its overview page; without it: looked up by name",
     .env = env_zone},
    {.name = "api_url",
     .type = RENEWD_OPT_URL,
     .dflt = "https://api.cloudflare.com/client/v4",
     .help = "where the API is"},
};

static char *join(const char *a, const char *b, size_t b_len)
{
    char *s = calloc(1, strlen(a) + b_len + 1);
    if (!s)
        abort();
    memcpy(s, a, strlen(a));
    memcpy(s + strlen(a), b, b_len);
    return s;
}

/* What may stand in a URL's path as an id. */
static int is_id(const char *s)
{
    size_t n = strspn(s, "0123456789abcdefABCDEF-_ghijklmnopqrstuvwxyzGHIJKLMNOPQRSTUVWXYZ");
    return n > 0 && n <= ID_MAX && s[n] == '\0';
}

static int32_t create(struct renewd_ctx *ctx, void **ret_self)
{
    const struct renewd_host *h = ctx->host;
    const char *token = h->option(ctx, "api_token"), *url = h->option(ctx, "api_url");
    const char *zone_id = h->option(ctx, "zone_id");
    if (!*token || token[strcspn(token, " \t\r\n")])
        return renewd_fail(ctx, RENEWD_E_CONFIG,
                           "api_token is empty or holds white space: it must be the token alone");
    if (zone_id && !is_id(zone_id))
        return renewd_fail(ctx, RENEWD_E_CONFIG,
                           "zone_id is not an id (32 hexadecimal digits; the zone's overview page "
                           "shows it)");
    struct self *s = calloc(1, sizeof(*s));
    if (!s)
        abort();
    size_t n = strlen(url);
    s->api = join("", url, n && url[n - 1] == '/' ? n - 1 : n);
    s->authorization = join("Bearer ", token, strlen(token));
    s->zone_id = zone_id;
    *ret_self = s;
    return RENEWD_OK;
}

static void destroy(struct renewd_ctx *ctx, void *self)
{
    struct self *s = self;
    (void)ctx;
    while (s->zones) {
        struct zone *z = s->zones;
        s->zones = z->next;
        free(z->name);
        free(z);
    }
    free((void *)(uintptr_t)s->authorization);
    free((void *)(uintptr_t)s->api);
    free(s);
}

enum { /* codes of the API's errors that mean something to us */
       CODE_EXISTS = 81057,
       CODE_IDENTICAL = 81058,
       CODE_ABSENT = 81044,
};

static const struct {
    int64_t code;
    int32_t cls;
    const char *advice;
} codes[] = {
    {1000, RENEWD_E_AUTH, "the API token is wrong: create one with Zone:DNS:Edit"},
    {6003, RENEWD_E_AUTH, "the API token is malformed: api_token must be a token, not a key"},
    {6111, RENEWD_E_AUTH, "the API token is malformed: api_token must be a token, not a key"},
    {9103, RENEWD_E_AUTH, "the API token is wrong"},
    {9106, RENEWD_E_AUTH, "the API token is missing"},
    {9109, RENEWD_E_AUTH,
     "the API token is wrong, has expired, or may not be used from this address"},
    {10000, RENEWD_E_AUTH,
     "the API token is wrong, has expired, or lacks the right Zone:DNS:Edit for this zone"},
    {971, RENEWD_E_RATE_LIMIT, "too many requests"},
    {10429, RENEWD_E_RATE_LIMIT, "too many requests"},
    {1001, RENEWD_E_CONFIG, "the zone's id is wrong: see zone_id"},
    {7003, RENEWD_E_CONFIG, "the zone's id is wrong: see zone_id"},
    {81045, RENEWD_E_QUOTA, "the zone holds as many records as its plan allows"},
};

static const struct {
    int32_t from, to;
    int32_t cls;
    const char *advice;
} statuses[] = {
    {401, 401, RENEWD_E_AUTH, "the API token is refused"},
    {403, 403, RENEWD_E_PERMISSION, "the API token lacks the right Zone:DNS:Edit for this zone"},
    {404, 404, RENEWD_E_NO_ZONE, "not found: is the zone in this account?"},
    {409, 409, RENEWD_E_CONFLICT, "changed by someone else at the same time"},
    {412, 412, RENEWD_E_CONFLICT, "changed by someone else at the same time"},
    {429, 429, RENEWD_E_RATE_LIMIT, "too many requests"},
    {408, 408, RENEWD_E_TEMPORARY, "Cloudflare did not get the request in time"},
    {500, 599, RENEWD_E_TEMPORARY, "Cloudflare has a problem"},
    {400, 499, RENEWD_E_REJECTED, "Cloudflare refuses this"},
};

static uint32_t retry_after(const char *text)
{
    unsigned long s = text ? strtoul(text, NULL, 10) : 0;
    return s > 86400 ? 86400 : (uint32_t)s;
}

struct answer {
    int32_t status;
    int64_t code; /* of the first error, 0: none */
    struct renewd_json *json;
    const char *message;
};

/* The class of an answer that is no success; error() is called. */
static int32_t refuse(struct renewd_ctx *ctx, const struct answer *a, const char *retry)
{
    const char *advice = "an answer that is not understood";
    int32_t cls = RENEWD_E_PROTOCOL;
    size_t i = 0;
    while (i < sizeof(codes) / sizeof(codes[0]) && (a->code == 0 || codes[i].code != a->code))
        i++;
    if (i < sizeof(codes) / sizeof(codes[0]) && a->status < 500) {
        cls = codes[i].cls;
        advice = codes[i].advice;
    } else {
        for (i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
            if (a->status >= statuses[i].from && a->status <= statuses[i].to) {
                cls = statuses[i].cls;
                advice = statuses[i].advice;
                break;
            }
    }
    if (cls == RENEWD_E_RATE_LIMIT)
        ctx->host->retry_after(ctx, retry_after(retry) ? retry_after(retry) : 300);
    if (!a->message)
        return renewd_fail(ctx, cls, "%s (HTTP %d)", advice, a->status);
    return renewd_fail(ctx, cls, "%s (HTTP %d, code %lld: %.200s)", advice, a->status,
                       (long long)a->code, a->message);
}

/* RENEWD_OK: the API said success. Else the class, and a->code for those who take it as success. */
static int32_t call(struct self *s, struct renewd_ctx *ctx, const char *method, const char *path,
                    const char *body, struct answer *a)
{
    const struct renewd_host *h = ctx->host;
    struct renewd_header headers[] = {{"Authorization", s->authorization},
                                      {"Accept", "application/json"},
                                      {"Content-Type", "application/json"}};
    struct renewd_http_request q = {.size = sizeof(q), .method = method};
    struct renewd_http_reply r = {.size = sizeof(r)};
    q.url = renewd_textf(ctx, "%s%s", s->api, path);
    q.headers = headers;
    q.n_headers = body ? 3 : 2;
    q.body = body;
    q.body_len = body ? strlen(body) : 0;
    q.flags = RENEWD_HTTP_IDEMPOTENT; /* a record that is there is refused with "identical" */
    memset(a, 0, sizeof(*a));
    int32_t rc = h->http(ctx, &q, &r);
    if (rc != RENEWD_OK)
        return rc;
    a->status = r.status;
    a->json = h->json_parse(ctx, r.body, r.body_len);
    a->code = h->json_int(a->json, "errors.0.code", 0);
    a->message = h->json_text(a->json, "errors.0.message");
    if (r.status >= 200 && r.status < 300) {
        if (!a->json)
            return renewd_fail(ctx, RENEWD_E_PROTOCOL, "%s did not answer with JSON", s->api);
        if (h->json_true(a->json, "success"))
            return RENEWD_OK;
    }
    return refuse(ctx, a, h->header(&r, "retry-after"));
}

static struct zone *known_zone(struct self *s, const char *name)
{
    for (struct zone *z = s->zones; z; z = z->next)
        if (strcmp(z->name, name) == 0)
            return z;
    return NULL;
}

static const char *remember_zone(struct self *s, const char *name, const char *id)
{
    struct zone *z = calloc(1, sizeof(*z));
    if (!z)
        abort();
    z->name = join("", name, strlen(name));
    memcpy(z->id, id, strlen(id));
    z->next = s->zones;
    s->zones = z;
    return z->id;
}

static void forget_zone(struct self *s, struct renewd_ctx *ctx, const char *name)
{
    for (struct zone **at = &s->zones; *at; at = &(*at)->next)
        if (strcmp((*at)->name, name) == 0) {
            struct zone *z = *at;
            *at = z->next;
            free(z->name);
            free(z);
            break;
        }
    ctx->host->cache_put(ctx, renewd_textf(ctx, "zone/%.120s", name), NULL, 0);
}

/* Zones of exactly that name that the token may see: *ret_id is the first one's. */
static int32_t ask_zone(struct self *s, struct renewd_ctx *ctx, const char *name,
                        const char **ret_id, unsigned *ret_n)
{
    const struct renewd_host *h = ctx->host;
    *ret_n = 0;
    for (int page = 1; page <= MAX_PAGES; page++) {
        struct answer a;
        int32_t rc = call(
            s, ctx, "GET",
            renewd_textf(ctx, "/zones?name=%s&per_page=50&page=%d", h->url_escape(ctx, name), page),
            NULL, &a);
        if (rc != RENEWD_OK)
            return rc;
        struct renewd_json *it = h->json_first(h->json_at(a.json, "result"));
        for (; it; it = h->json_next(it)) {
            const char *id = h->json_text(it, "id"), *zone = h->json_text(it, "name");
            if (!id || !zone || !is_id(id) || strcmp(zone, name) != 0)
                continue;
            if ((*ret_n)++ == 0)
                *ret_id = id;
        }
        if (page >= h->json_int(a.json, "result_info.total_pages", 1))
            break;
    }
    return RENEWD_OK;
}

/* From the host's zone up to the top: the first that the account has. */
static int32_t search_zone(struct self *s, struct renewd_ctx *ctx, const char *zone,
                           const char **ret_id)
{
    for (const char *name = zone; name && strchr(name, '.'); name = strchr(name, '.') + 1) {
        const char *id = NULL;
        unsigned n;
        int32_t rc = ask_zone(s, ctx, name, &id, &n);
        if (rc != RENEWD_OK)
            return rc;
        if (n > 1)
            return renewd_fail(
                ctx, RENEWD_E_CONFIG,
                "the token sees %u zones of the name %s: set zone_id to the id of the "
                "right one",
                n, name);
        if (n == 1) {
            *ret_id = id;
            return RENEWD_OK;
        }
    }
    return renewd_fail(ctx, RENEWD_E_NO_ZONE,
                       "the token sees no zone %s: set zone_id, or give the token the right "
                       "Zone:Zone:Read for it",
                       zone);
}

static int32_t find_zone(struct self *s, struct renewd_ctx *ctx, const char *zone,
                         const char **ret_id)
{
    const struct renewd_host *h = ctx->host;
    const struct zone *known = known_zone(s, zone);
    if (s->zone_id || known) {
        *ret_id = s->zone_id ? s->zone_id : known->id;
        return RENEWD_OK;
    }
    const char *key = renewd_textf(ctx, "zone/%.120s", zone);
    const char *id = h->cache_get(ctx, key);
    if (!id || !is_id(id)) {
        int32_t rc = search_zone(s, ctx, zone, &id);
        if (rc != RENEWD_OK)
            return rc;
        h->cache_put(ctx, key, id, ZONE_TTL);
    }
    *ret_id = remember_zone(s, zone, id);
    return RENEWD_OK;
}

static int32_t add_in(struct self *s, struct renewd_ctx *ctx, const struct renewd_txt *t,
                      const char *zone_id)
{
    const struct renewd_host *h = ctx->host;
    struct renewd_json *o = h->json_object(ctx, NULL, NULL);
    h->json_add_text(o, "type", "TXT");
    h->json_add_text(o, "name", t->fqdn);
    h->json_add_text(o, "content", renewd_textf(ctx, "\"%s\"", t->value));
    h->json_add_int(o, "ttl", t->ttl);
    struct answer a;
    int32_t rc = call(s, ctx, "POST", renewd_textf(ctx, "/zones/%s/dns_records", zone_id),
                      h->json_print(ctx, o), &a);
    if (a.code == CODE_EXISTS || a.code == CODE_IDENTICAL)
        return RENEWD_OK;
    if (rc != RENEWD_OK)
        return rc;
    const char *id = h->json_text(a.json, "result.id");
    if (id && is_id(id))
        h->set_handle(ctx, renewd_textf(ctx, "%s/%s", zone_id, id));
    return RENEWD_OK;
}

/* A zone that was deleted and made again has another id: the remembered one is tried, then dropped.
 */
static int stale(const struct self *s, int32_t rc)
{
    return !s->zone_id && (rc == RENEWD_E_NO_ZONE || rc == RENEWD_E_CONFIG || rc == RENEWD_E_AUTH ||
                           rc == RENEWD_E_PERMISSION);
}

static int32_t with_zone(struct self *s, struct renewd_ctx *ctx, const struct renewd_txt *t,
                         int32_t (*fn)(struct self *, struct renewd_ctx *,
                                       const struct renewd_txt *, const char *))
{
    const char *id;
    int32_t rc = find_zone(s, ctx, t->zone, &id);
    if (rc != RENEWD_OK)
        return rc;
    rc = fn(s, ctx, t, id);
    if (!stale(s, rc))
        return rc;
    const char *old = renewd_textf(ctx, "%s", id);
    forget_zone(s, ctx, t->zone);
    int32_t again = find_zone(s, ctx, t->zone, &id);
    if (again != RENEWD_OK)
        return again;
    return strcmp(old, id) == 0 ? rc : fn(s, ctx, t, id);
}

static int32_t add(void *self, struct renewd_ctx *ctx, const struct renewd_txt *t)
{
    return with_zone(self, ctx, t, add_in);
}

/* Is content this text: bare, or as character-strings in quotes, which are joined? */
static int same_text(const char *content, const char *value)
{
    if (content[0] != '"')
        return strcmp(content, value) == 0;
    int inside = 0;
    for (; *content; content++) {
        if (*content == '"') {
            inside = !inside;
        } else if (inside) {
            if (*content == '\\' && content[1])
                content++;
            if (*content != *value)
                return 0;
            value++;
        }
    }
    return *value == '\0';
}

static int32_t delete_record(struct self *s, struct renewd_ctx *ctx, const char *zone_id,
                             const char *id)
{
    struct answer a;
    int32_t rc = call(s, ctx, "DELETE", renewd_textf(ctx, "/zones/%s/dns_records/%s", zone_id, id),
                      NULL, &a);
    return a.code == CODE_ABSENT ? RENEWD_OK : rc;
}

/* All records of the name, whatever the server makes of the filter. Deleting moves the pages, so
 * the ids are collected first. */
static int32_t collect(struct self *s, struct renewd_ctx *ctx, const struct renewd_txt *t,
                       const char *zone_id, const char **ids, unsigned max, unsigned *ret_n)
{
    const struct renewd_host *h = ctx->host;
    *ret_n = 0;
    for (int page = 1; page <= MAX_PAGES; page++) {
        struct answer a;
        int32_t rc =
            call(s, ctx, "GET",
                 renewd_textf(ctx, "/zones/%s/dns_records?type=TXT&name=%s&per_page=%d&page=%d",
                              zone_id, h->url_escape(ctx, t->fqdn), PAGE, page),
                 NULL, &a);
        if (rc != RENEWD_OK)
            return rc;
        struct renewd_json *it = h->json_first(h->json_at(a.json, "result"));
        for (; it; it = h->json_next(it)) {
            const char *id = h->json_text(it, "id"), *content = h->json_text(it, "content");
            const char *name = h->json_text(it, "name"), *type = h->json_text(it, "type");
            if (id && content && name && type && is_id(id) && strcmp(name, t->fqdn) == 0 &&
                strcmp(type, "TXT") == 0 && same_text(content, t->value) && *ret_n < max)
                ids[(*ret_n)++] = id;
        }
        if (page >= h->json_int(a.json, "result_info.total_pages", 1))
            break;
    }
    return RENEWD_OK;
}

static int32_t remove_in(struct self *s, struct renewd_ctx *ctx, const struct renewd_txt *t,
                         const char *zone_id)
{
    const char *ids[8];
    unsigned n;
    int32_t rc = collect(s, ctx, t, zone_id, ids, 8, &n);
    for (unsigned i = 0; rc == RENEWD_OK && i < n; i++)
        rc = delete_record(s, ctx, zone_id, ids[i]);
    return rc;
}

static int32_t del(void *self, struct renewd_ctx *ctx, const struct renewd_txt *t)
{
    char *zone_id = renewd_textf(ctx, "%s", t->handle), *id = strchr(zone_id, '/');
    if (id) {
        *id++ = '\0';
        if (is_id(zone_id) && is_id(id))
            return delete_record(self, ctx, zone_id, id);
    }
    return with_zone(self, ctx, t, remove_in);
}

static int32_t check_in(struct self *s, struct renewd_ctx *ctx, const struct renewd_txt *t,
                        const char *zone_id)
{
    struct answer a;
    (void)t;
    return call(s, ctx, "GET",
                renewd_textf(ctx, "/zones/%s/dns_records?type=TXT&per_page=5", zone_id), NULL, &a);
}

static int32_t check(void *self, struct renewd_ctx *ctx, const struct renewd_txt *t)
{
    return with_zone(self, ctx, t, check_in);
}

static struct renewd_plugin plugin = {
    .id = "cloudflare",
    .name = "Cloudflare",
    .version = "0.1.0",
    .license = "ISC",
    .author = "the renewd authors",
    .homepage = "https://developers.cloudflare.com/api/resources/dns/",
    .model = RENEWD_MODEL_RECORD,
    .ttl_min = 60,
    .ttl_default = 120,
    .propagation_typical = 5,
    .propagation_max = 120,
    .hosts = hosts,
    .options = options,
    .n_options = sizeof(options) / sizeof(options[0]),
    .create = create,
    .destroy = destroy,
    .add = add,
    .remove = del,
    .check = check,
};
RENEWD_PLUGIN(plugin)
