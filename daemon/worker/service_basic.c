/* SPDX-License-Identifier: ISC */
#include "base/clock.h"
#include "base/str.h"
#include "worker/mask.h"
#include "worker/service.h"

#include <stdio.h>
#include <string.h>

#define LOG_BURST 50      /* lines */
#define LOG_PER_SECOND 10 /* after that */

const struct renewd_host service_table = {
    .abi = RENEWD_PLUGIN_ABI,
    .size = sizeof(struct renewd_host),
    .log = service_log,
    .error = service_error,
    .retry_after = service_retry_after,
    .set_handle = service_set_handle,
    .option = service_option,
    .option_int = service_option_int,
    .instance = service_instance,
    .alloc = service_alloc,
    .now_ms = service_now_ms,
    .left_ms = service_left_ms,
    .sleep_ms = service_sleep_ms,
    .random = service_random,
    .http = service_http,
    .header = service_header,
    .dns_exchange = service_dns_exchange,
    .cache_get = service_cache_get,
    .cache_put = service_cache_put,
    .json_parse = service_json_parse,
    .json_at = service_json_at,
    .json_text = service_json_text,
    .json_int = service_json_int,
    .json_true = service_json_true,
    .json_len = service_json_len,
    .json_first = service_json_first,
    .json_next = service_json_next,
    .json_key = service_json_key,
    .json_object = service_json_object,
    .json_array = service_json_array,
    .json_add_text = service_json_add_text,
    .json_add_int = service_json_add_int,
    .json_add_bool = service_json_add_bool,
    .json_print = service_json_print,
    .hash = service_hash,
    .hmac = service_hmac,
    .encode = service_encode,
    .decode = service_decode,
    .url_escape = service_url_escape,
    .same = service_same,
};

/* A bucket of lines, refilled with time. */
static bool log_token(struct host *h)
{
    int64_t now = host_mono_ms();
    h->log_tokens += (now - h->log_at) * LOG_PER_SECOND;
    h->log_at = now;
    if (h->log_tokens > LOG_BURST * 1000)
        h->log_tokens = LOG_BURST * 1000;
    if (h->log_tokens < 1000)
        return false;
    h->log_tokens -= 1000;
    return true;
}

static void send_log(struct host *h, int32_t level, const char *text)
{
    struct worker_log l = {.level = level < 0 || level > RENEWD_LOG_DEBUG ? RENEWD_LOG_DEBUG
                                                                          : (uint32_t)level};
    mask_copy(h->config, text, l.text, sizeof(l.text));
    worker_log_encode(&h->engine.out, &l);
}

void service_log(struct renewd_ctx *ctx, int32_t level, const char *text)
{
    struct host *h = host_of(ctx);
    if (!pthread_equal(pthread_self(), h->thread) || !text)
        return;
    if (!log_token(h)) {
        h->log_lost++;
        return;
    }
    if (h->log_lost) {
        char lost[64];
        snprintf(lost, sizeof(lost), "%u lines of this plugin were left out", h->log_lost);
        send_log(h, RENEWD_LOG_WARN, lost);
        h->log_lost = 0;
    }
    send_log(h, level, text);
}

int32_t service_error(struct renewd_ctx *ctx, int32_t cls, const char *text)
{
    return host_error(host_of(ctx), cls, text ? text : "");
}

void service_retry_after(struct renewd_ctx *ctx, uint32_t seconds)
{
    host_of(ctx)->done.retry_after_s = seconds;
}

int32_t service_set_handle(struct renewd_ctx *ctx, const char *handle)
{
    struct host *h = host_of(ctx);
    if (strlen(handle) > WORKER_MAX_HANDLE)
        return host_error(h, RENEWD_E_PROTOCOL, "the plugin's handle is over 512 bytes");
    mask_copy(h->config, handle, h->done.handle, sizeof(h->done.handle));
    return RENEWD_OK;
}

static const struct worker_option *find_option(const struct host *h, const char *name)
{
    for (uint32_t i = 0; i < h->descriptor.n_options; i++)
        if (str_eq(h->descriptor.options[i].name, name))
            return &h->descriptor.options[i];
    return NULL;
}

const char *service_option(struct renewd_ctx *ctx, const char *name)
{
    const struct host *h = host_of(ctx);
    for (uint32_t i = 0; h->config && i < h->config->n_settings; i++)
        if (str_eq(h->config->settings[i].name, name))
            return h->config->settings[i].value;
    const struct worker_option *o = find_option(h, name);
    return o && o->dflt[0] ? o->dflt : NULL;
}

int64_t service_option_int(struct renewd_ctx *ctx, const char *name, int64_t dflt)
{
    const char *text = service_option(ctx, name);
    int64_t v;
    if (!text)
        return dflt;
    if (str_to_i64(text, INT64_MIN, INT64_MAX, &v))
        return v;
    if (str_to_duration(text, &v))
        return v / 1000;
    return str_eq(text, "true") ? 1 : str_eq(text, "false") ? 0 : dflt;
}

const char *service_instance(struct renewd_ctx *ctx)
{
    const struct host *h = host_of(ctx);
    return h->config ? h->config->instance : "";
}

void *service_alloc(struct renewd_ctx *ctx, uint64_t n)
{
    return arena_alloc(&host_of(ctx)->arena, n);
}

int64_t service_now_ms(struct renewd_ctx *ctx)
{
    (void)ctx;
    return clock_wall_ms(&clock_system);
}

int64_t service_left_ms(struct renewd_ctx *ctx)
{
    return host_left_ms(host_of(ctx));
}

const char *service_url_escape(struct renewd_ctx *ctx, const char *text)
{
    static const char kept[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    static const char digits[] = "0123456789ABCDEF";
    char *out = arena_alloc(&host_of(ctx)->arena, 3 * strlen(text) + 1);
    char *to = out;
    for (; *text; text++) {
        if (strchr(kept, *text)) {
            *to++ = *text;
        } else {
            *to++ = '%';
            *to++ = digits[(unsigned char)*text >> 4];
            *to++ = digits[(unsigned char)*text & 15];
        }
    }
    return out;
}
