/* SPDX-License-Identifier: ISC */
/*
 * Misbehaves as the name of its instance says, in the daemon's tests: WHEN-DEED, where WHEN is
 * constructor, create, add or remove (or as its file is called: describe-DEED.so). What it could do
 * it tells as its error's text.
 */
#include <renewd/helpers.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FD_ENGINE 3 /* what daemon/wire/worker_msg.h says of the channels and frames */
#define FD_KEEPER 4
#define FRAME_LOG 71
#define FRAME_DONE 51
#define LOG_TEXT 500

static const char *const hosts[] = {"loopback.example.test", "private.example.test",
                                    "mapped.example.test", "169.254.169.254", NULL};
static const struct renewd_option options[] = {
    {.name = "token", .type = RENEWD_OPT_SECRET, .required = 1, .help = "a token"},
    {.name = "url", .type = RENEWD_OPT_URL, .help = "what it may reach"},
};

static void spin(void)
{
    for (volatile unsigned i = 0;; i++)
        ;
}

static int mean(int fd, const void *p, size_t n)
{
    return write(fd, p, n) == (ssize_t)n;
}

/* Lines without end, past the host's own limit. */
static void flood(void)
{
    static unsigned char frames[100][12 + 8 + LOG_TEXT];
    for (int i = 0; i < 100; i++) {
        unsigned n = sizeof(frames[i]) - 12, text = LOG_TEXT;
        unsigned char head[20] = {
            (unsigned char)n,       (unsigned char)(n >> 8),    [4] = FRAME_LOG,
            [12] = RENEWD_LOG_INFO, [16] = (unsigned char)text, [17] = (unsigned char)(text >> 8)};
        memset(frames[i], 'x', sizeof(frames[i]));
        memcpy(frames[i], head, sizeof(head));
    }
    while (mean(FD_ENGINE, frames, sizeof(frames)))
        ;
}

/* DONE of the operations 1 to 8, all well; then it is busy for ever. */
static void forge(void)
{
    for (unsigned char id = 1; id <= 8; id++) {
        unsigned char frame[12 + 20] = {20, 0, 0, 0, FRAME_DONE, 0, 0, 0, id};
        mean(FD_ENGINE, frame, sizeof(frame));
    }
    spin();
}

static void garbage(int fd)
{
    static const unsigned char huge[12] = {0xff, 0xff, 0xff, 0x7f, 1};
    mean(fd, "this is no frame at all, is it?", 31);
    mean(fd, huge, sizeof(huge));
    for (;;)
        pause();
}

static void eat_memory(void)
{
    for (;;) {
        char *p = (char *)malloc(16u << 20);
        if (!p)
            abort();
        for (size_t i = 0; i < (16u << 20); i += 4096)
            ((volatile char *)p)[i] = 1;
    }
}

static void segv(void)
{
    volatile int *volatile nowhere = NULL;
    *nowhere = 1;
}

static void print(const char *text)
{
    for (int fd = 0; fd < 3; fd++)
        if (write(fd, text, strlen(text)) < 0)
            continue;
}

/* Deeds that need no host. 0: not one of them. */
static int act(const char *deed, int fd)
{
    if (strcmp(deed, "crash") == 0)
        abort();
    if (strcmp(deed, "segv") == 0)
        segv();
    if (strcmp(deed, "exit") == 0)
        _exit(0);
    if (strcmp(deed, "hang") == 0)
        for (;;)
            pause();
    if (strcmp(deed, "spin") == 0)
        spin();
    if (strcmp(deed, "garbage") == 0)
        garbage(fd);
    if (strcmp(deed, "memory") == 0)
        eat_memory();
    if (strcmp(deed, "flood") == 0)
        flood();
    if (strcmp(deed, "forge") == 0)
        forge();
    if (strcmp(deed, "close") == 0) {
        close(fd);
        spin();
    }
    return 0;
}

static int32_t get(struct renewd_ctx *ctx, const char *method, const char *url, const char *name,
                   const char *value)
{
    struct renewd_header h[] = {{name, value}};
    struct renewd_http_request q = {.size = sizeof(q), .method = method, .url = url, .headers = h};
    struct renewd_http_reply r = {.size = sizeof(r)};
    q.n_headers = name ? 1 : 0;
    int32_t rc = ctx->host->http(ctx, &q, &r);
    if (rc != RENEWD_OK)
        return rc;
    return renewd_fail(ctx, RENEWD_E_REJECTED, "%s answered %d", url, r.status);
}

static const struct {
    const char *deed, *method, *url, *name, *value; /* url NULL: the option's */
} requests[] = {
    {"undeclared", "GET", "https://undeclared.example.test/", NULL, NULL},
    {"loopback", "GET", "https://loopback.example.test/", NULL, NULL},
    {"private", "GET", "https://private.example.test/", NULL, NULL},
    {"mapped", "GET", "https://mapped.example.test/", NULL, NULL},
    {"metadata", "GET", "https://169.254.169.254/latest", NULL, NULL},
    {"literal", "GET", "https://127.0.0.1/", NULL, NULL},
    {"plain", "GET", "http://loopback.example.test/", NULL, NULL},
    {"file", "GET", "file:///etc/passwd", NULL, NULL},
    {"redirect", "GET", NULL, NULL, NULL},
    {"newline", "GET", NULL, "X-Test", "a\r\nX-Injected: yes"},
    {"name", "GET", NULL, "X-Test: a\r\nX-Injected", "yes"},
    {"host", "GET", NULL, "Host", "injected.example.test"},
    {"chunked", "GET", NULL, "Transfer-Encoding", "chunked"},
    {"method", "GET / HTTP/1.1\r\nX-Injected: yes\r\n\r\nGET", NULL, NULL, NULL},
};

static int32_t ask(struct renewd_ctx *ctx, const struct renewd_txt *t, const char *server)
{
    const void *reply;
    uint32_t n;
    int32_t rc =
        ctx->host->dns_exchange(ctx, server, t->zone, "\x12\x34 a message", 12, &reply, &n);
    return rc == RENEWD_OK ? renewd_fail(ctx, RENEWD_E_REJECTED, "%s answered", server) : rc;
}

static int32_t tell(struct renewd_ctx *ctx, const char *token)
{
    renewd_logf(ctx, RENEWD_LOG_ERROR, "the token is %s", token);
    print(token);
    ctx->host->set_handle(ctx, token);
    return renewd_fail(ctx, RENEWD_E_AUTH, "token %s\x1b[31m is\nrefused", token);
}

static int32_t handle(struct renewd_ctx *ctx)
{
    char *text = (char *)ctx->host->alloc(ctx, 1u << 20);
    memset(text, 'h', (1u << 20) - 1);
    return ctx->host->set_handle(ctx, text);
}

static int32_t chatter(struct renewd_ctx *ctx)
{
    while (ctx->host->left_ms(ctx) > 0)
        renewd_logf(ctx, RENEWD_LOG_ERROR, "chatter chatter chatter");
    return RENEWD_E_CANCELLED;
}

static int32_t operate(struct renewd_ctx *ctx, const struct renewd_txt *t, const char *deed)
{
    const struct renewd_host *h = ctx->host;
    act(deed, FD_ENGINE);
    if (strcmp(deed, "tell") == 0)
        return tell(ctx, h->option(ctx, "token"));
    if (strcmp(deed, "code") == 0)
        return 4711;
    if (strcmp(deed, "handle") == 0)
        return handle(ctx);
    if (strcmp(deed, "chatter") == 0)
        return chatter(ctx);
    if (strcmp(deed, "server") == 0)
        return ask(ctx, t, "127.0.0.1:53");
    if (strcmp(deed, "primary") == 0)
        return ask(ctx, t, "");
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
        if (strcmp(deed, requests[i].deed) == 0)
            return get(ctx, requests[i].method,
                       requests[i].url ? requests[i].url : h->option(ctx, "url"), requests[i].name,
                       requests[i].value);
    return RENEWD_OK; /* a lie */
}

/* The deed, if it is for this moment. */
static const char *deed_at(const char *instance, const char *when)
{
    size_t n = strlen(when);
    return strncmp(instance, when, n) == 0 && instance[n] == '-' ? instance + n + 1 : NULL;
}

static int32_t add(void *self, struct renewd_ctx *ctx, const struct renewd_txt *t)
{
    const char *deed = deed_at(ctx->host->instance(ctx), "add");
    (void)self;
    return deed ? operate(ctx, t, deed) : RENEWD_OK;
}

static int32_t del(void *self, struct renewd_ctx *ctx, const struct renewd_txt *t)
{
    const char *deed = deed_at(ctx->host->instance(ctx), "remove");
    (void)self;
    return deed ? operate(ctx, t, deed) : RENEWD_OK;
}

static int32_t create(struct renewd_ctx *ctx, void **ret_self)
{
    const char *deed = deed_at(ctx->host->instance(ctx), "create");
    (void)ret_self;
    if (!deed)
        return RENEWD_OK;
    act(deed, FD_KEEPER);
    if (strcmp(deed, "tell") == 0)
        return tell(ctx, ctx->host->option(ctx, "token"));
    return strcmp(deed, "wait") == 0 ? ctx->host->sleep_ms(ctx, 1) : 4711;
}

/* Of a file describe-DEED.so. */
static void describe(const char *path)
{
    const char *slash = strrchr(path, '/');
    char name[64];
    snprintf(name, sizeof(name), "%s", slash ? slash + 1 : path);
    name[strcspn(name, ".")] = '\0';
    const char *deed = deed_at(name, "describe");
    if (deed)
        act(deed, FD_ENGINE);
}

/* The dynamic linker gives the arguments: renewd-worker ... --describe|--instance NAME ... PATH. */
__attribute__((constructor)) static void construct(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i++) {
        const char *deed = deed_at(argv[i + 1], "constructor");
        if (deed && strcmp(argv[i], "--instance") == 0)
            act(deed, FD_KEEPER);
        if (strcmp(argv[i], "--describe") == 0)
            describe(argv[argc - 1]);
    }
}

static struct renewd_plugin plugin = {
    .id = "wild",
    .name = "Wild",
    .model = RENEWD_MODEL_RECORD,
    .hosts = hosts,
    .options = options,
    .n_options = sizeof(options) / sizeof(options[0]),
    .create = create,
    .add = add,
    .remove = del,
};
RENEWD_PLUGIN(plugin)
