/* SPDX-License-Identifier: ISC */
/* The value of a Retry-After field (RFC 9110 10.2.3). */
#include "io/http.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define NOW 1795000000000
#define MIN_MS 1000
#define MAX_MS 86400000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    struct http_header field = {.name = "Retry-After", .value = text};
    struct http_reply r = {.headers = &field, .n_headers = 1};

    memcpy(text, data, size);
    text[size] = '\0';
    int64_t at = http_retry_after(&r, NOW, MIN_MS, MAX_MS);
    if (at != 0 && (at < NOW + MIN_MS || at > NOW + MAX_MS))
        abort();
    free(text);
    return 0;
}
