/* SPDX-License-Identifier: ISC */
/*
 * What a worker says and is told. Codec only; every decoder is strict and bounded.
 *
 * A worker (`renewd-worker --instance NAME PATH`) has two channels:
 *
 *   fd 3, WORKER_FD_ENGINE: the engine. Its other end goes from the keeper to the engine once the
 *         worker has said CREATED; HELLO is waiting in it by then.
 *   fd 4, WORKER_FD_KEEPER: the keeper, which may close it after CREATED or FAILED.
 *
 *     worker -> keeper   READY{sandbox, descriptor}        sandboxed, plugin loaded, no secret yet
 *     keeper -> worker   CONFIG{instance, ttl, options}    frame is wiped after it is sent
 *     worker -> keeper   CREATED{}                         or FAILED{err} at any point, then exit 1
 *
 *     worker -> engine   HELLO{sandbox, descriptor}        first frame, exactly one
 *     engine -> worker   OP{...} id   ->   DONE{...} id    in order; several may be under way
 *     engine -> worker   CANCEL{} id                       of an OP
 *     worker -> engine   HTTP, EXCHANGE, CACHE_GET id'     one at a time; answered by *_REPLY id'
 *     worker -> engine   CACHE_PUT, LOG id' (no answer)
 *
 * `renewd-worker --describe PATH` writes one frame to fd 3, DESCRIPTOR{descriptor} or FAILED{err},
 * and exits with 0 or 1. FAILED's err is complete for the user: activity empty, detail says what to
 * do.
 *
 * EOF on fd 3 ends a worker. Text of plugins arrives unescaped: escape before it is logged.
 */
#ifndef RENEWD_WIRE_WORKER_MSG_H
#define RENEWD_WIRE_WORKER_MSG_H

#include "base/buf.h"
#include "base/err.h"
#include "base/frame.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WORKER_FD_ENGINE 3 /* --describe: the only channel */
#define WORKER_FD_KEEPER 4

enum worker_msg {
    WORKER_READY = 1,
    WORKER_FAILED,
    WORKER_CREATED,
    WORKER_CONFIG = 16,
    WORKER_DESCRIPTOR = 32,
    WORKER_HELLO = 48,
    WORKER_OP,
    WORKER_CANCEL,
    WORKER_DONE,
    WORKER_HTTP = 64,
    WORKER_HTTP_REPLY,
    WORKER_EXCHANGE,
    WORKER_EXCHANGE_REPLY,
    WORKER_CACHE_GET,
    WORKER_CACHE_REPLY,
    WORKER_CACHE_PUT,
    WORKER_LOG,
};

/* Payload bounds for channel_new() and frame_head_read(). */
#define WORKER_KEEPER_MAX (256u << 10) /* keeper's channel and --describe */
#define WORKER_ENGINE_MAX (4u << 20)   /* engine's channel: HTTP bodies */
#define WORKER_MAX_BODY (2u << 20)     /* of an HTTP request or reply */
#define WORKER_MAX_HANDLE 512
#define WORKER_MAX_CHANGES 256 /* in one OP */
#define WORKER_MAX_VALUE (64u << 10)

/* Update models, option types, capabilities, classes: the numbers of renewd/plugin.h. */
enum worker_model {
    WORKER_MODEL_RECORD = 1,
    WORKER_MODEL_RRSET,
    WORKER_MODEL_ZONE,
    WORKER_MODEL_SLOT,
};
enum worker_option_type {
    WORKER_OPT_TEXT = 1,
    WORKER_OPT_SECRET,
    WORKER_OPT_INT,
    WORKER_OPT_BOOL,
    WORKER_OPT_DURATION, /* value: text as written, "90s" */
    WORKER_OPT_URL,
    WORKER_OPT_HOST, /* HOST or HOST:PORT */
    WORKER_OPT_ENUM,
};
enum { WORKER_CAP_EXEC = 1 };
enum { /* which callbacks exist */
       WORKER_CB_ADD = 1,
       WORKER_CB_REMOVE = 2,
       WORKER_CB_CHECK = 4,
       WORKER_CB_APPLY = 8,
       WORKER_CB_DESTROY = 16,
};
enum worker_class {
    WORKER_E_OK = 0,
    WORKER_E_CONFIG,
    WORKER_E_AUTH,
    WORKER_E_PERMISSION,
    WORKER_E_NO_ZONE,
    WORKER_E_RATE_LIMIT,
    WORKER_E_QUOTA,
    WORKER_E_CONFLICT,
    WORKER_E_TEMPORARY,
    WORKER_E_REJECTED,
    WORKER_E_USER_ACTION,
    WORKER_E_UNSUPPORTED,
    WORKER_E_PROTOCOL,
    WORKER_E_CANCELLED,
    WORKER_E_DEADLINE,
    WORKER_E_CLASSES
};

struct worker_strs {
    char **v;
    uint32_t n;
};

struct worker_option {
    char *name;
    uint32_t type; /* enum worker_option_type */
    bool required;
    char *dflt;    /* "" = none */
    char *choices; /* ENUM: separated by "|" */
    char *help;
    struct worker_strs env; /* aliases: names of variables other tools use */
};

/* What a plugin says of itself. Strings are never NULL. */
struct worker_descriptor {
    char *id, *name, *version, *license, *author, *homepage;
    uint32_t model; /* enum worker_model */
    uint32_t slots; /* SLOT: values that fit */
    uint32_t caps;  /* WORKER_CAP_* */
    uint32_t callbacks;
    uint32_t ttl_min, ttl_default; /* seconds; 0: not said */
    uint32_t *ttls;                /* the only ones allowed; none: any */
    uint32_t n_ttls;
    uint32_t propagation_s, propagation_max_s; /* 0: not said */
    uint32_t apply_max;                        /* changes in one OP; at least 1 */
    struct worker_strs hosts;                  /* that it may reach over https */
    struct worker_option *options;
    uint32_t n_options;
};
void worker_descriptor_put(struct buf *b, const struct worker_descriptor *d);
void worker_descriptor_get(struct frame_reader *r, struct worker_descriptor *ret);
void worker_descriptor_free(struct worker_descriptor *d); /* the members; zeroed after */

/* READY and HELLO. */
struct worker_hello {
    uint32_t pid;      /* the worker's own */
    char sandbox[160]; /* "landlock 7, seccomp" or what is missing; for renewctl status */
    struct worker_descriptor descriptor;
};
int worker_ready_encode(struct buf *b, const struct worker_hello *h);
int worker_hello_encode(struct buf *b, const struct worker_hello *h);
int worker_hello_decode(const void *p, size_t n, struct worker_hello *ret); /* READY too */

int worker_descriptor_encode(struct buf *b, const struct worker_descriptor *d);
int worker_descriptor_decode(const void *p, size_t n, struct worker_descriptor *ret);

int worker_failed_encode(struct buf *b, const struct err *e);
int worker_failed_decode(const void *p, size_t n, struct err *ret);
int worker_created_encode(struct buf *b);

struct worker_setting {
    const char *name;
    const char *value; /* no NUL inside */
    bool secret;
};
struct worker_config {
    const char *instance;
    uint32_t ttl; /* 0 = the plugin's */
    const struct worker_setting *settings;
    uint32_t n_settings;
};
/* b should be one of buf_init_secret(). */
int worker_config_encode(struct buf *b, const struct worker_config *c);
/* Decoded: strings are owned and wiped by worker_config_free(). */
int worker_config_decode(const void *p, size_t n, struct worker_config **ret);
void worker_config_free(struct worker_config *c);

enum worker_op_kind { WORKER_OP_ADD = 1, WORKER_OP_REMOVE, WORKER_OP_CHECK };
struct worker_change {
    uint32_t kind; /* enum worker_op_kind; CHECK only alone */
    const char *fqdn, *value, *zone, *handle;
};
/* One change: add, remove or check; several: apply. */
struct worker_op {
    uint32_t deadline_ms; /* from now */
    const struct worker_change *changes;
    uint32_t n;
};
int worker_op_encode(struct buf *b, uint32_t id, const struct worker_op *o);
int worker_op_decode(const void *p, size_t n, struct worker_op **ret);
void worker_op_free(struct worker_op *o); /* decoded ones; NULL is fine */
int worker_cancel_encode(struct buf *b, uint32_t id);

struct worker_done {
    uint32_t cls;           /* enum worker_class */
    uint32_t retry_after_s; /* 0: not said */
    int32_t http;           /* status of the last reply, 0: none */
    char handle[WORKER_MAX_HANDLE + 1];
    char detail[512]; /* "" when OK */
};
int worker_done_encode(struct buf *b, uint32_t id, const struct worker_done *d);
int worker_done_decode(const void *p, size_t n, struct worker_done *ret);

struct worker_pair {
    const char *name, *value;
};
struct worker_http {
    const char *method, *url;
    const struct worker_pair *headers;
    uint32_t n_headers;
    const void *body;
    size_t body_len;
    uint32_t timeout_ms; /* 0: the operation's deadline */
    bool idempotent;     /* may be repeated although the method does not say so */
};
/* Carries secrets: b should be one of buf_init_secret(). */
int worker_http_encode(struct buf *b, uint32_t id, const struct worker_http *h);
int worker_http_decode(const void *p, size_t n, struct worker_http **ret);
void worker_http_free(struct worker_http *h); /* decoded ones; wipes */

struct worker_http_reply {
    uint32_t cls; /* enum worker_class; OK: there is a reply, whatever its status */
    uint32_t retry_after_s;
    const char *detail;
    uint32_t status;
    const struct worker_pair *headers;
    uint32_t n_headers;
    const void *body;
    size_t body_len;
};
int worker_http_reply_encode(struct buf *b, uint32_t id, const struct worker_http_reply *h);
int worker_http_reply_decode(const void *p, size_t n, struct worker_http_reply **ret);
void worker_http_reply_free(struct worker_http_reply *h);

struct worker_exchange {
    const char *server; /* HOST, HOST:PORT; "": the primary of `zone` by its SOA */
    const char *zone;
    const void *message; /* without the length prefix */
    size_t len;
};
int worker_exchange_encode(struct buf *b, uint32_t id, const struct worker_exchange *x);
/* Points into the payload but for the texts, which are owned. */
int worker_exchange_decode(const void *p, size_t n, struct worker_exchange *ret);
void worker_exchange_done(struct worker_exchange *x);

struct worker_exchange_reply {
    uint32_t cls;
    char detail[512];
    const void *message; /* decoded: points into the payload */
    size_t len;
};
int worker_exchange_reply_encode(struct buf *b, uint32_t id, const struct worker_exchange_reply *x);
int worker_exchange_reply_decode(const void *p, size_t n, struct worker_exchange_reply *ret);

/* Caches: keys are plain, values are sealed by the worker. */
struct worker_cache {
    char key[128];     /* printable ASCII */
    const void *value; /* decoded: into the payload; CACHE_REPLY with len 0: there is none */
    size_t len;
    uint32_t ttl_s; /* CACHE_PUT; 0: deletes */
};
int worker_cache_encode(struct buf *b, enum worker_msg type, uint32_t id,
                        const struct worker_cache *c);
int worker_cache_decode(const void *p, size_t n, struct worker_cache *ret);

struct worker_log {
    uint32_t level; /* enum log_level's numbers */
    char text[1024];
};
int worker_log_encode(struct buf *b, const struct worker_log *l);
int worker_log_decode(const void *p, size_t n, struct worker_log *ret);

#endif
