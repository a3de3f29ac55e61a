/* SPDX-License-Identifier: ISC */
/* The services of renewd/plugin.h, by subject. service_table() joins them. */
#ifndef RENEWD_WORKER_SERVICE_H
#define RENEWD_WORKER_SERVICE_H

#include "renewd/plugin.h"
#include "worker/host.h"

extern const struct renewd_host service_table;

void service_log(struct renewd_ctx *ctx, int32_t level, const char *text);
int32_t service_error(struct renewd_ctx *ctx, int32_t cls, const char *text);
void service_retry_after(struct renewd_ctx *ctx, uint32_t seconds);
int32_t service_set_handle(struct renewd_ctx *ctx, const char *handle);
const char *service_option(struct renewd_ctx *ctx, const char *name);
int64_t service_option_int(struct renewd_ctx *ctx, const char *name, int64_t dflt);
const char *service_instance(struct renewd_ctx *ctx);
void *service_alloc(struct renewd_ctx *ctx, uint64_t n);
int64_t service_now_ms(struct renewd_ctx *ctx);
int64_t service_left_ms(struct renewd_ctx *ctx);
const char *service_url_escape(struct renewd_ctx *ctx, const char *text);

int32_t service_sleep_ms(struct renewd_ctx *ctx, uint32_t ms);
int32_t service_http(struct renewd_ctx *ctx, const struct renewd_http_request *request,
                     struct renewd_http_reply *ret);
const char *service_header(const struct renewd_http_reply *reply, const char *name);
int32_t service_dns_exchange(struct renewd_ctx *ctx, const char *server, const char *zone,
                             const void *message, uint32_t n, const void **ret_reply,
                             uint32_t *ret_n);
const char *service_cache_get(struct renewd_ctx *ctx, const char *key);
int32_t service_cache_put(struct renewd_ctx *ctx, const char *key, const char *value, uint32_t ttl);

struct renewd_json *service_json_parse(struct renewd_ctx *ctx, const char *text, uint64_t n);
struct renewd_json *service_json_at(const struct renewd_json *j, const char *path);
const char *service_json_text(const struct renewd_json *j, const char *path);
int64_t service_json_int(const struct renewd_json *j, const char *path, int64_t dflt);
int32_t service_json_true(const struct renewd_json *j, const char *path);
uint32_t service_json_len(const struct renewd_json *j, const char *path);
struct renewd_json *service_json_first(const struct renewd_json *j);
struct renewd_json *service_json_next(const struct renewd_json *it);
const char *service_json_key(const struct renewd_json *it);
struct renewd_json *service_json_object(struct renewd_ctx *ctx, struct renewd_json *parent,
                                        const char *key);
struct renewd_json *service_json_array(struct renewd_ctx *ctx, struct renewd_json *parent,
                                       const char *key);
void service_json_add_text(struct renewd_json *parent, const char *key, const char *value);
void service_json_add_int(struct renewd_json *parent, const char *key, int64_t value);
void service_json_add_bool(struct renewd_json *parent, const char *key, int32_t value);
const char *service_json_print(struct renewd_ctx *ctx, const struct renewd_json *root);

void service_random(struct renewd_ctx *ctx, void *p, uint64_t n);
uint32_t service_hash(uint32_t alg, const void *p, uint64_t n, void *ret);
uint32_t service_hmac(uint32_t alg, const void *key, uint64_t key_len, const void *p, uint64_t n,
                      void *ret);
const char *service_encode(struct renewd_ctx *ctx, uint32_t codec, const void *p, uint64_t n);
const void *service_decode(struct renewd_ctx *ctx, uint32_t codec, const char *text,
                           uint64_t *ret_n);
int32_t service_same(const void *a, const void *b, uint64_t n);
/* AES-256-GCM under h->cache_key; texts of base64url in the arena. NULL: not ours, or broken. */
void service_cache_init(struct host *h);
const char *service_seal(struct host *h, const char *key, const char *value);
const char *service_unseal(struct host *h, const char *key, const char *sealed, size_t n);

#endif
