/* SPDX-License-Identifier: ISC */
/*
 * renewd/plugin.h: how a DNS provider is taught to renewd. Version 0: it may still change; once
 * frozen as version 1, a plugin built against 1.x loads in every later 1.y, and members are only
 * appended. See renewd-plugin(3).
 *
 * A plugin is a shared object with one exported function, made by RENEWD_PLUGIN(table). It links
 * nothing of renewd: the host's services come to it as a table of function pointers, ctx->host.
 *
 *     static int32_t add(void *self, struct renewd_ctx *ctx, const struct renewd_txt *txt) { ... }
 *     static int32_t del(void *self, struct renewd_ctx *ctx, const struct renewd_txt *txt) { ... }
 *     static struct renewd_plugin plugin = {.id = "example", .name = "Example DNS", .add = add,
 *                                           .remove = del, .model = RENEWD_MODEL_RECORD};
 *     RENEWD_PLUGIN(plugin)
 *
 * WHERE IT RUNS. Alone in a process of its own, one for each instance that the user configures,
 * without network, files, children or the secrets of others. Code is straight-line and blocking:
 * http() and dns_exchange() return when the reply is there; the daemon performs them. printf goes
 * nowhere: use log(). Files can be read by constructors only (the shared libraries that it links);
 * libraries that open sockets of their own do not work. `renewd-worker --no-sandbox` is for
 * debuggers.
 *
 * LIFE. load -> [constructors] -> create -> {add | remove | check | apply}* -> destroy. Callbacks
 * are called one at a time, on one thread. There may be many processes of one plugin; nothing is
 * shared between them. A process ends when it has been idle, when the configuration changes, and by
 * SIGKILL: destroy is not guaranteed.
 *
 * THREADS may be made, but call host services only on the thread on which the callback runs, and
 * only before the callback returns.
 *
 * MEMORY. Whatever the host hands out (texts, replies, JSON, alloc()) is valid until the callback
 * returns, and is then freed by the host; options are valid as long as the process. What a plugin
 * hands to the host is copied before the service returns. Nothing is freed across the border.
 *
 * ERRORS. Callbacks and services return RENEWD_OK or a class RENEWD_E_*. Before it returns a class,
 * a callback says what is wrong and what to do with error(); the class decides what the host does
 * (see below). Secret option values are masked in everything that leaves the process as text, but
 * do not count on it.
 *
 * TIME. Every operation has a deadline. After it, and after the user or the daemon gave up, every
 * service that can fail returns RENEWD_E_CANCELLED at once, the callback should return it, and
 * SIGKILL follows 2 s later. Operations are idempotent, so a kill does no harm. Do not wait for the
 * record to be visible: the host looks itself. Do not retry: GET, HEAD, PUT and DELETE (and
 * requests marked RENEWD_HTTP_IDEMPOTENT) are repeated by the host on connection errors and 5xx, at
 * most 3 times in all, and 429 and 503 with Retry-After are waited for and repeated for every
 * method within the deadline.
 *
 * C99 and C++11. Integers have fixed widths, texts are UTF-8; no varargs, bool, enum, time_t, stdio
 * or errno cross the border.
 */
#ifndef RENEWD_PLUGIN_H
#define RENEWD_PLUGIN_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RENEWD_PLUGIN_ABI 0u

/*
 * Classes, and what the host does.
 */
#define RENEWD_OK 0
#define RENEWD_E_CONFIG 1     /* an option is missing or wrong: looked at daily until it changes */
#define RENEWD_E_AUTH 2       /* 401, bad key, expired token: likewise, and the user is told */
#define RENEWD_E_PERMISSION 3 /* 403, the token lacks a right (name it): likewise */
#define RENEWD_E_NO_ZONE 4    /* the zone is not in this account: that name fails */
#define RENEWD_E_RATE_LIMIT 5 /* not before retry_after(); the order waits, others go on */
#define RENEWD_E_QUOTA 6      /* a limit of the plan: as AUTH */
#define RENEWD_E_CONFLICT 7   /* lost a race (409, 412): repeated soon */
#define RENEWD_E_TEMPORARY 8  /* 5xx, connection, DNS: repeated with growing pauses */
#define RENEWD_E_REJECTED 9   /* the provider refuses this record: shown, looked at daily */
#define RENEWD_E_USER_ACTION 10 /* only the user can mend it, outside of the configuration */
#define RENEWD_E_UNSUPPORTED 11 /* not offered; the host falls back where it can */
#define RENEWD_E_PROTOCOL 12    /* a reply that is not understood */
#define RENEWD_E_CANCELLED 13   /* from the host: return it */
#define RENEWD_E_DEADLINE 14    /* from the host: return it */

/* Update models: which operations the host keeps apart, over all certificates. */
#define RENEWD_MODEL_RECORD 1u /* values are separate records; nothing is kept apart */
#define RENEWD_MODEL_RRSET 2u  /* read-modify-write of all values of a name */
#define RENEWD_MODEL_ZONE 3u   /* read-modify-write of a whole zone */
#define RENEWD_MODEL_SLOT 4u   /* a name holds only `slots` values */

#define RENEWD_OPT_TEXT 1u
#define RENEWD_OPT_SECRET 2u
#define RENEWD_OPT_INT 3u
#define RENEWD_OPT_BOOL 4u     /* "true" or "false" */
#define RENEWD_OPT_DURATION 5u /* read it with option_int(): seconds */
#define RENEWD_OPT_URL 6u      /* its host may be reached; http:// only if the user wrote it */
#define RENEWD_OPT_HOST 7u     /* HOST or HOST:PORT; may be reached */
#define RENEWD_OPT_ENUM 8u     /* one of `choices` */

#define RENEWD_LOG_ERROR 0
#define RENEWD_LOG_WARN 1
#define RENEWD_LOG_INFO 2
#define RENEWD_LOG_DEBUG 3

/* An option of an instance. The host checks type, presence and choices before create is called. */
struct renewd_option {
    const char *name; /* [a-z][a-z0-9_]* */
    uint32_t type;    /* RENEWD_OPT_* */
    uint32_t required;
    const char *dflt;       /* as the user would write it; NULL: none */
    const char *choices;    /* ENUM: "a|b|c" */
    const char *help;       /* one line */
    const char *const *env; /* names that other tools use for it, NULL-terminated; NULL: none */
};

/* One value to be made present or absent. Valid until the callback returns. */
struct renewd_txt {
    uint32_t size; /* of this struct, as the host knows it */
    uint32_t ttl;  /* seconds: the user's, else the plugin's default; within the plugin's limits */
    const char
        *fqdn; /* owner name: absolute, lower case, A-labels, aliases followed, no dot at the end */
    const char *value;  /* the text, without quotes */
    const char *zone;   /* hint: the zone's name as the host found it in DNS; never empty */
    const char *handle; /* remove: what set_handle() was given by add; "" if that was lost */
};

#define RENEWD_CHANGE_ADD 1u
#define RENEWD_CHANGE_REMOVE 2u
struct renewd_change {
    uint32_t size;
    uint32_t what; /* RENEWD_CHANGE_* */
    struct renewd_txt txt;
};

#define RENEWD_HTTP_IDEMPOTENT 1u /* may be repeated although it is a POST or PATCH */

struct renewd_header {
    const char *name, *value;
};
/*
 * https only, unless the user's own option of type URL with that host says http; only to hosts that
 * the plugin declares or that an option of type URL or HOST names. Redirects are not followed.
 * Host, Content-Length, Transfer-Encoding, Connection and User-Agent are the host's; CR and LF are
 * refused.
 */
struct renewd_http_request {
    uint32_t size; /* sizeof(struct renewd_http_request) */
    uint32_t flags;
    const char *method;
    const char *url;
    const struct renewd_header *headers;
    uint32_t n_headers;
    uint32_t timeout_ms; /* 0: what the operation has left, at most 60 s */
    const void *body;
    uint64_t body_len;
};
struct renewd_http_reply {
    uint32_t size; /* set by the plugin before the call */
    int32_t status;
    const char *body; /* NUL-terminated, at most 2 MiB */
    uint64_t body_len;
    const struct renewd_header *headers; /* names in lower case */
    uint32_t n_headers;
    uint32_t reserved;
};

struct renewd_json; /* a value: object, array, text, number, true, false, null */

#define RENEWD_SHA1 1u /* for protocols that still want it */
#define RENEWD_SHA256 2u
#define RENEWD_SHA384 3u
#define RENEWD_SHA512 4u
#define RENEWD_HASH_MAX 64u

#define RENEWD_BASE64 1u    /* with padding */
#define RENEWD_BASE64URL 2u /* RFC 4648 5, no padding */
#define RENEWD_HEX 3u

struct renewd_ctx;

/*
 * The host's services. All take the callback's ctx. Services marked (wait) talk to the daemon: they
 * block, can be cancelled, and answer RENEWD_E_UNSUPPORTED inside create and destroy. On anything
 * but RENEWD_OK they have already called error() with what happened, so `return rc;` is enough.
 */
struct renewd_host {
    uint32_t abi;
    uint32_t size; /* members after it may be absent: see RENEWD_HAS */

    void (*log)(struct renewd_ctx *ctx, int32_t level, const char *text);
    /* What went wrong and what to do, one line of text; the last call counts. Returns cls. */
    int32_t (*error)(struct renewd_ctx *ctx, int32_t cls, const char *text);
    void (*retry_after)(struct renewd_ctx *ctx, uint32_t seconds); /* goes with RATE_LIMIT */
    /* add: text, at most 512 bytes, that remove will get; stored durably before anything goes on.
     */
    int32_t (*set_handle)(struct renewd_ctx *ctx, const char *handle);

    const char *(*option)(struct renewd_ctx *ctx,
                          const char *name); /* set or default; NULL: neither */
    int64_t (*option_int)(struct renewd_ctx *ctx, const char *name, int64_t dflt);
    const char *(*instance)(struct renewd_ctx *ctx); /* the name that the user gave it */

    void *(*alloc)(struct renewd_ctx *ctx, uint64_t n);       /* zeroed; never NULL */
    int64_t (*now_ms)(struct renewd_ctx *ctx);                /* wall clock, since 1970 */
    int64_t (*left_ms)(struct renewd_ctx *ctx);               /* until the deadline */
    int32_t (*sleep_ms)(struct renewd_ctx *ctx, uint32_t ms); /* (wait) */
    void (*random)(struct renewd_ctx *ctx, void *p, uint64_t n);

    int32_t (*http)(struct renewd_ctx *ctx, const struct renewd_http_request *request,
                    struct renewd_http_reply *ret); /* (wait) */
    /* First header of that name, or NULL. */
    const char *(*header)(const struct renewd_http_reply *reply, const char *name);
    /* One DNS message and its reply over TCP. server: HOST or HOST:PORT as an option of type HOST
     * has it, or "": the primary server (SOA MNAME) of zone. */
    int32_t (*dns_exchange)(struct renewd_ctx *ctx, const char *server, const char *zone,
                            const void *message, uint32_t n, const void **ret_reply,
                            uint32_t *ret_n); /* (wait) */
    /* Kept by the daemon for this instance, sealed with a key made from its secrets; lost when a
     * secret changes. key: at most 127 printable ASCII characters. get: NULL if there is none. */
    const char *(*cache_get)(struct renewd_ctx *ctx, const char *key); /* (wait) */
    int32_t (*cache_put)(struct renewd_ctx *ctx, const char *key, const char *value,
                         uint32_t ttl_seconds); /* value NULL: forget */

    /* JSON. Getters take NULL values and wrong types: NULL, 0 or the default comes back. path goes
     * down members and array indexes: "result.0.id"; "" is the value itself. */
    struct renewd_json *(*json_parse)(struct renewd_ctx *ctx, const char *text,
                                      uint64_t n); /* NULL: no JSON, error() PROTOCOL was called */
    struct renewd_json *(*json_at)(const struct renewd_json *j, const char *path);
    const char *(*json_text)(const struct renewd_json *j, const char *path);
    int64_t (*json_int)(const struct renewd_json *j, const char *path, int64_t dflt);
    int32_t (*json_true)(const struct renewd_json *j, const char *path); /* 1 if it is `true` */
    uint32_t (*json_len)(const struct renewd_json *j, const char *path); /* members or elements */
    struct renewd_json *(*json_first)(const struct renewd_json *j);      /* element or member */
    struct renewd_json *(*json_next)(const struct renewd_json *it);
    const char *(*json_key)(const struct renewd_json *it); /* of a member */
    /* Building. key NULL: parent is an array. Children live with their parent. */
    struct renewd_json *(*json_object)(struct renewd_ctx *ctx, struct renewd_json *parent,
                                       const char *key); /* parent NULL: a root */
    struct renewd_json *(*json_array)(struct renewd_ctx *ctx, struct renewd_json *parent,
                                      const char *key);
    void (*json_add_text)(struct renewd_json *parent, const char *key, const char *value);
    void (*json_add_int)(struct renewd_json *parent, const char *key, int64_t value);
    void (*json_add_bool)(struct renewd_json *parent, const char *key, int32_t value);
    const char *(*json_print)(struct renewd_ctx *ctx, const struct renewd_json *root);

    /* alg: RENEWD_SHA*. ret holds RENEWD_HASH_MAX bytes; returns the length, 0: unknown alg. */
    uint32_t (*hash)(uint32_t alg, const void *p, uint64_t n, void *ret);
    uint32_t (*hmac)(uint32_t alg, const void *key, uint64_t key_len, const void *p, uint64_t n,
                     void *ret);
    const char *(*encode)(struct renewd_ctx *ctx, uint32_t codec, const void *p, uint64_t n);
    /* NULL: not in that code. White space is skipped. */
    const void *(*decode)(struct renewd_ctx *ctx, uint32_t codec, const char *text,
                          uint64_t *ret_n);
    /* For a path or query part of a URL (RFC 3986 unreserved characters are kept). */
    const char *(*url_escape)(struct renewd_ctx *ctx, const char *text);
    /* Constant time: 1 if equal. */
    int32_t (*same)(const void *a, const void *b, uint64_t n);
};
#define RENEWD_HAS(host, member)                                                                   \
    ((host)->size >= (uint32_t)((const char *)(&(host)->member + 1) - (const char *)(host)) &&     \
     (host)->member)

/* Belongs to the host; lives as long as the callback it was given to. */
struct renewd_ctx {
    const struct renewd_host *host;
};

/* What a plugin is. Texts, lists and options must stay valid as long as the process. */
struct renewd_plugin {
    uint32_t abi;  /* by RENEWD_PLUGIN */
    uint32_t size; /* by RENEWD_PLUGIN */

    const char *id;      /* [a-z][a-z0-9-]*; the file is ID.so */
    const char *name;    /* "Example DNS" */
    const char *version; /* the plugin's own; "" is fine for the following */
    const char *license; /* SPDX expression */
    const char *author;
    const char *homepage; /* where its documentation is */

    uint32_t model;                /* RENEWD_MODEL_* */
    uint32_t slots;                /* SLOT: how many values fit */
    uint32_t caps;                 /* RENEWD_CAP_* */
    uint32_t ttl_min, ttl_default; /* seconds; 0: no limit; 120 */
    const uint32_t *ttls;          /* the only ones allowed, ascending, ended by 0; NULL: any */
    uint32_t propagation_typical, propagation_max; /* seconds until published; 0: not known */
    const char *const *hosts; /* that it may reach by https, "api.example.com", NULL-terminated */

    const struct renewd_option *options;
    uint32_t n_options;
    uint32_t option_size; /* by RENEWD_PLUGIN */

    /* Looks at the options; no (wait) services. Optional. */
    int32_t (*create)(struct renewd_ctx *ctx, void **ret_self);
    void (*destroy)(struct renewd_ctx *ctx, void *self);
    /* Makes the value present among the TXT values of fqdn and keeps all others. Present already:
     * OK. */
    int32_t (*add)(void *self, struct renewd_ctx *ctx, const struct renewd_txt *txt);
    /* Makes exactly that value absent. Absent already: OK. Must work without the handle. */
    int32_t (*remove)(void *self, struct renewd_ctx *ctx, const struct renewd_txt *txt);
    /* Credentials and zone of txt->fqdn, without writing; value is "". Optional. */
    int32_t (*check)(void *self, struct renewd_ctx *ctx, const struct renewd_txt *txt);
    /* All of these changes at once, all or nothing, all in one zone: for providers that take many
     * in one request. After an error that one of them alone may have caused (any class but CONFIG,
     * RATE_LIMIT, TEMPORARY, CANCELLED, DEADLINE) the host does them again one by one with add and
     * remove. At most apply_max come. No handles. Optional. */
    int32_t (*apply)(void *self, struct renewd_ctx *ctx, const struct renewd_change *const *changes,
                     uint32_t n);
    uint32_t apply_max;
    uint32_t reserved;
};

/* Needs to start programs: no sandboxed worker can do that, and the user must allow it. */
#define RENEWD_CAP_EXEC 1u

#if defined(__GNUC__) || defined(__clang__)
#define RENEWD_EXPORT __attribute__((visibility("default")))
#else
#define RENEWD_EXPORT
#endif

/* The only symbol that is looked up. */
#define RENEWD_PLUGIN_ENTRY "renewd_plugin_v0"
RENEWD_EXPORT const struct renewd_plugin *renewd_plugin_v0(void);

/* Defines it; table is a `static struct renewd_plugin`, not const. Once per shared object. */
#ifdef __cplusplus
#define RENEWD_EXTERN_C extern "C"
#else
#define RENEWD_EXTERN_C
#endif
#define RENEWD_PLUGIN(table)                                                                       \
    RENEWD_EXTERN_C RENEWD_EXPORT const struct renewd_plugin *renewd_plugin_v0(void)               \
    {                                                                                              \
        (table).abi = RENEWD_PLUGIN_ABI;                                                           \
        (table).size = (uint32_t)sizeof(struct renewd_plugin);                                     \
        (table).option_size = (uint32_t)sizeof(struct renewd_option);                              \
        return &(table);                                                                           \
    }

#ifdef __cplusplus
}
#endif

#endif
