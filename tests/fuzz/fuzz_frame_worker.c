/* SPDX-License-Identifier: ISC */
/* Frames between workers, keeper and engine, as a receiver takes them from a socket. */
#include "wire/worker_msg.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode_worker(uint16_t type, const void *p, size_t n)
{
    struct worker_hello hello;
    struct worker_descriptor descriptor;
    struct worker_done done;
    struct worker_http *http;
    struct worker_exchange exchange;
    struct worker_cache cache;
    struct worker_log log;
    struct err e;
    switch (type) {
    case WORKER_READY:
    case WORKER_HELLO:
        if (worker_hello_decode(p, n, &hello) == 0)
            worker_descriptor_free(&hello.descriptor);
        break;
    case WORKER_DESCRIPTOR:
        if (worker_descriptor_decode(p, n, &descriptor) == 0)
            worker_descriptor_free(&descriptor);
        break;
    case WORKER_FAILED:
        worker_failed_decode(p, n, &e);
        break;
    case WORKER_DONE:
        worker_done_decode(p, n, &done);
        break;
    case WORKER_HTTP:
        if (worker_http_decode(p, n, &http) == 0)
            worker_http_free(http);
        break;
    case WORKER_EXCHANGE:
        if (worker_exchange_decode(p, n, &exchange) == 0)
            worker_exchange_done(&exchange);
        break;
    case WORKER_CACHE_GET:
    case WORKER_CACHE_PUT:
    case WORKER_CACHE_REPLY:
        worker_cache_decode(p, n, &cache);
        break;
    case WORKER_LOG:
        worker_log_decode(p, n, &log);
        break;
    default:
        break;
    }
}

static void decode_host(uint16_t type, const void *p, size_t n)
{
    struct worker_config *config;
    struct worker_op *op;
    struct worker_http_reply *http;
    struct worker_exchange_reply exchange;
    switch (type) {
    case WORKER_CONFIG:
        if (worker_config_decode(p, n, &config) == 0)
            worker_config_free(config);
        break;
    case WORKER_OP:
        if (worker_op_decode(p, n, &op) == 0)
            worker_op_free(op);
        break;
    case WORKER_HTTP_REPLY:
        if (worker_http_reply_decode(p, n, &http) == 0)
            worker_http_reply_free(http);
        break;
    case WORKER_EXCHANGE_REPLY:
        worker_exchange_reply_decode(p, n, &exchange);
        break;
    default:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct frame_head h;
    while (frame_head_read(data, size, WORKER_ENGINE_MAX, &h) == 1 &&
           size - FRAME_HEADER >= h.len) {
        decode_worker(h.type, data + FRAME_HEADER, h.len);
        decode_host(h.type, data + FRAME_HEADER, h.len);
        data += FRAME_HEADER + h.len;
        size -= FRAME_HEADER + h.len;
    }
    return 0;
}
