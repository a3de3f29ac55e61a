/* SPDX-License-Identifier: ISC */
/*
 * Does what the TXT value says: a host's tests drive every service and every misbehaviour through
 * it. "ok", "slow", "crash", "exit", "hang", "spin", "code", "garbage", "secret", "handle TEXT",
 * "sleep MS", "http URL", "post URL", "badheader URL", "exchange SERVER", "cache KEY VALUE",
 * "cached KEY", "services", "flood", "options", "memory", "class N", "thread".
 */
#include <renewd/helpers.h>

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const hosts[] = {"api.example.com", NULL};
static const uint32_t ttls[] = {60, 300, 3600, 0};
static const char *const env_token[] = {"PROBE_TOKEN", NULL};
static const struct renewd_option options[] = {
    {.name = "token",
     .type = RENEWD_OPT_SECRET,
     .required = 1,
     .help = "a token",
     .env = env_token},
    {.name = "url", .type = RENEWD_OPT_URL, .help = "where the API is"},
    {.name = "server", .type = RENEWD_OPT_HOST, .help = "a name server"},
    {.name = "wait", .type = RENEWD_OPT_DURATION, .dflt = "90s", .help = "how long"},
    {.name = "mode", .type = RENEWD_OPT_ENUM, .dflt = "a", .choices = "a|b", .help = "which"},
};

static int32_t do_http(struct renewd_ctx *ctx, const char *method, const char *url,
                       const char *header)
{
    struct renewd_header h[] = {{"Authorization", "Bearer x"}, {"X-Test", header}};
    struct renewd_http_request q = {.size = sizeof(q), .method = method, .url = url, .headers = h};
    struct renewd_http_reply r = {.size = sizeof(r)};
    q.n_headers = header ? 2 : 1;
    if (*method == 'P') {
        q.body = "{}";
        q.body_len = 2;
    }
    int32_t rc = ctx->host->http(ctx, &q, &r);
    if (rc != RENEWD_OK)
        return rc;
    ctx->host->set_handle(ctx, renewd_textf(ctx, "%d %.*s", r.status, (int)r.body_len, r.body));
    return RENEWD_OK;
}

static int32_t do_exchange(struct renewd_ctx *ctx, const struct renewd_txt *t, const char *server)
{
    const void *reply;
    uint32_t n;
    int32_t rc =
        ctx->host->dns_exchange(ctx, server, t->zone, "\x12\x34questions!", 12, &reply, &n);
    if (rc == RENEWD_OK)
        ctx->host->set_handle(ctx, renewd_textf(ctx, "%.*s", (int)n, (const char *)reply));
    return rc;
}

#define EXPECT(x)                                                                                  \
    do {                                                                                           \
        if (!(x))                                                                                  \
            return renewd_fail(ctx, RENEWD_E_REJECTED, "line %d: %s", __LINE__, #x);               \
    } while (0)

static int32_t check_json(struct renewd_ctx *ctx)
{
    const struct renewd_host *h = ctx->host;
    static const char text[] =
        "{\"result\":[{\"id\":\"a\",\"n\":7},{\"id\":\"b\"}],\"success\":true}";
    struct renewd_json *j = h->json_parse(ctx, text, sizeof(text) - 1);
    EXPECT(j && h->json_true(j, "success") == 1 && h->json_len(j, "result") == 2);
    EXPECT(strcmp(h->json_text(j, "result.1.id"), "b") == 0);
    EXPECT(h->json_int(j, "result.0.n", 0) == 7 && h->json_int(j, "result.9.n", 3) == 3);
    EXPECT(h->json_text(j, "result.0.n") == NULL && h->json_at(j, "nothing.at.all") == NULL);
    EXPECT(h->json_text(NULL, "x") == NULL && h->json_first(NULL) == NULL);
    int n = 0;
    for (struct renewd_json *it = h->json_first(h->json_at(j, "result")); it; it = h->json_next(it))
        n++;
    EXPECT(n == 2 && strcmp(h->json_key(h->json_first(j)), "result") == 0);
    struct renewd_json *o = h->json_object(ctx, NULL, NULL);
    h->json_add_text(o, "a", "q\"");
    h->json_add_int(h->json_object(ctx, o, "in"), "n", 1);
    h->json_add_bool(h->json_array(ctx, o, "v"), NULL, 1);
    EXPECT(strcmp(h->json_print(ctx, o), "{\"a\":\"q\\\"\",\"in\":{\"n\":1},\"v\":[true]}") == 0);
    EXPECT(h->json_parse(ctx, "{", 1) == NULL);
    return RENEWD_OK;
}

static int32_t check_codecs(struct renewd_ctx *ctx)
{
    const struct renewd_host *h = ctx->host;
    uint8_t out[RENEWD_HASH_MAX];
    uint64_t n;
    EXPECT(h->hmac(RENEWD_SHA256, "Jefe", 4, "what do ya want for nothing?", 28, out) == 32);
    EXPECT(strcmp(h->encode(ctx, RENEWD_HEX, out, 4), "5bdcc146") == 0); /* RFC 4231 case 2 */
    EXPECT(h->hmac(RENEWD_SHA1, "Jefe", 4, "what do ya want for nothing?", 28, out) == 20);
    EXPECT(strcmp(h->encode(ctx, RENEWD_HEX, out, 4), "effcdf6a") == 0);
    EXPECT(h->hash(RENEWD_SHA512, "abc", 3, out) == 64 && out[0] == 0xdd &&
           h->hash(99, "", 0, out) == 0);
    EXPECT(strcmp(h->encode(ctx, RENEWD_BASE64, "\xfb\xff", 2), "+/8=") == 0);
    EXPECT(strcmp(h->encode(ctx, RENEWD_BASE64URL, "\xfb\xff", 2), "-_8") == 0);
    EXPECT(memcmp(h->decode(ctx, RENEWD_BASE64, "aGkh", &n), "hi!", 4) == 0 && n == 3);
    EXPECT(memcmp(h->decode(ctx, RENEWD_HEX, "68 69", &n), "hi", 3) == 0 && n == 2);
    EXPECT(h->decode(ctx, RENEWD_HEX, "6", &n) == NULL &&
           h->decode(ctx, RENEWD_BASE64, "!!", &n) == NULL);
    EXPECT(strcmp(h->url_escape(ctx, "a b/\xc3\xa9~"), "a%20b%2F%C3%A9~") == 0);
    EXPECT(h->same("ab", "ab", 2) == 1 && h->same("ab", "ac", 2) == 0);
    uint8_t a[16] = {0}, b[16] = {0};
    h->random(ctx, a, sizeof(a));
    h->random(ctx, b, sizeof(b));
    EXPECT(memcmp(a, b, sizeof(a)) != 0);
    EXPECT(h->now_ms(ctx) > 1700000000000 && h->left_ms(ctx) > 0);
    EXPECT(RENEWD_HAS(h, same));
    return RENEWD_OK;
}

static int32_t check_options(struct renewd_ctx *ctx, const struct renewd_txt *t)
{
    const struct renewd_host *h = ctx->host;
    EXPECT(strcmp(h->option(ctx, "mode"), "a") == 0 && h->option(ctx, "nothing") == NULL);
    EXPECT(h->option_int(ctx, "wait", 0) == 90 && h->option_int(ctx, "nothing", 5) == 5);
    EXPECT(strcmp(h->instance(ctx), "instance") == 0);
    EXPECT(t->ttl == 300 && strcmp(t->zone, "example.org") == 0 && t->size >= sizeof(*t));
    return RENEWD_OK;
}

static int32_t do_cache(struct renewd_ctx *ctx, char *rest)
{
    char *value = strchr(rest, ' ');
    if (value)
        *value++ = '\0';
    return ctx->host->cache_put(ctx, rest, value, 3600);
}

static struct renewd_ctx *shared;
static int32_t thread_rc;

static void *wrong_thread(void *arg)
{
    thread_rc = shared->host->sleep_ms(shared, 1);
    return arg;
}

static int32_t do_thread(struct renewd_ctx *ctx)
{
    pthread_t t;
    shared = ctx;
    EXPECT(pthread_create(&t, NULL, wrong_thread, NULL) == 0);
    pthread_join(t, NULL);
    EXPECT(thread_rc == RENEWD_E_UNSUPPORTED);
    return RENEWD_OK;
}

static void spin(void)
{
    for (volatile int i = 0;; i++)
        ;
}

static int32_t misbehave(struct renewd_ctx *ctx, const char *what)
{
    if (strcmp(what, "crash") == 0)
        abort();
    if (strcmp(what, "exit") == 0)
        _exit(3);
    if (strcmp(what, "hang") == 0)
        for (;;)
            pause();
    if (strcmp(what, "spin") == 0)
        spin();
    if (strcmp(what, "code") == 0)
        return 4711;
    if (strcmp(what, "garbage") == 0)
        return (int32_t)write(3, "this is no frame at all, is it?", 31) > 0 ? RENEWD_OK : 1;
    if (strcmp(what, "memory") == 0)
        return ctx->host->alloc(ctx, 1ull << 40) ? RENEWD_OK : RENEWD_E_QUOTA;
    if (strcmp(what, "flood") == 0)
        for (int i = 0; i < 10000; i++)
            renewd_logf(ctx, RENEWD_LOG_INFO, "line %d", i);
    return RENEWD_OK;
}

static int32_t run(struct renewd_ctx *ctx, const struct renewd_txt *t, char *word, char *rest)
{
    const struct renewd_host *h = ctx->host;
    if (strcmp(word, "secret") == 0) {
        renewd_logf(ctx, RENEWD_LOG_WARN, "the token is %s", h->option(ctx, "token"));
        return renewd_fail(ctx, RENEWD_E_AUTH, "token %s is refused", h->option(ctx, "token"));
    }
    if (strcmp(word, "handle") == 0)
        return h->set_handle(ctx, strcmp(rest, "token") == 0 ? h->option(ctx, "token") : rest);
    if (strcmp(word, "sleep") == 0)
        return h->sleep_ms(ctx, (uint32_t)strtoul(rest, NULL, 10));
    if (strcmp(word, "http") == 0)
        return do_http(ctx, "GET", rest, NULL);
    if (strcmp(word, "post") == 0)
        return do_http(ctx, "POST", rest, NULL);
    if (strcmp(word, "badheader") == 0)
        return do_http(ctx, "GET", rest, "a\r\nHost: evil");
    if (strcmp(word, "exchange") == 0)
        return do_exchange(ctx, t, rest);
    if (strcmp(word, "cache") == 0)
        return do_cache(ctx, rest);
    if (strcmp(word, "cached") == 0)
        return h->set_handle(ctx, h->cache_get(ctx, rest) ? h->cache_get(ctx, rest) : "(none)");
    if (strcmp(word, "options") == 0)
        return check_options(ctx, t);
    if (strcmp(word, "thread") == 0)
        return do_thread(ctx);
    if (strcmp(word, "class") == 0) {
        h->retry_after(ctx, 42);
        return renewd_fail(ctx, (int32_t)strtol(rest, NULL, 10), "as asked");
    }
    if (strcmp(word, "services") == 0) {
        int32_t rc = check_json(ctx);
        return rc ? rc : check_codecs(ctx);
    }
    return misbehave(ctx, word);
}

static int32_t add(void *self, struct renewd_ctx *ctx, const struct renewd_txt *t)
{
    (void)self;
    char *word = renewd_textf(ctx, "%s", t->value), *rest = strchr(word, ' ');
    if (rest)
        *rest++ = '\0';
    return run(ctx, t, word, rest ? rest : word + strlen(word));
}

static int32_t create(struct renewd_ctx *ctx, void **ret_self)
{
    *ret_self = NULL;
    if (strcmp(ctx->host->option(ctx, "token"), "network") == 0)
        return ctx->host->sleep_ms(ctx, 1); /* not allowed here */
    if (strcmp(ctx->host->option(ctx, "token"), "refused") == 0)
        return renewd_fail(ctx, RENEWD_E_CONFIG, "this token is refused");
    return RENEWD_OK;
}

#ifndef PROBE_MODEL
static int32_t apply(void *self, struct renewd_ctx *ctx, const struct renewd_change *const *changes,
                     uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (strncmp(changes[i]->txt.value, "sleep ", 6) == 0) {
            int32_t rc = add(self, ctx, &changes[i]->txt);
            if (rc != RENEWD_OK)
                return rc;
        } else if (strcmp(changes[i]->txt.value, "ok") != 0)
            return renewd_fail(ctx, RENEWD_E_REJECTED, "not in a batch");
    return RENEWD_OK;
}
#endif

static struct renewd_plugin plugin = {
    .id = "probe",
    .name = "Probe",
    .version = "1.2",
    .license = "ISC",
    .author = "nobody",
    .homepage = "https://example.com/",
    .model =
#ifdef PROBE_MODEL
        PROBE_MODEL,
#else
        RENEWD_MODEL_RECORD,
#endif
    .slots = 2,
    .ttl_min = 60,
    .ttl_default = 120,
    .ttls = ttls,
    .propagation_typical = 7,
    .propagation_max = 70,
    .hosts = hosts,
    .options = options,
    .n_options = sizeof(options) / sizeof(options[0]),
    .create = create,
    .add = add,
    .remove = add,
    .check = add,
#ifndef PROBE_MODEL
    .apply = apply,
    .apply_max = 16,
#endif
};
RENEWD_PLUGIN(plugin)
