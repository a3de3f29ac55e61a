/* SPDX-License-Identifier: ISC */
/* Link header fields (RFC 8288), one a line. */
#include "io/http.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FIELDS 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(const struct http_reply *r, const char *rel)
{
    size_t cursor = 0, before = 0;
    char *target;

    while ((target = http_link(r, rel, &cursor))) {
        if (cursor <= before || strchr(target, '>') || strlen(target) > 2048)
            abort();
        before = cursor;
        free(target);
    }
    if (http_link(r, rel, &cursor))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const rels[] = {"alternate", "up", "index", "terms-of-service", ""};
    struct http_header fields[FIELDS];
    struct http_reply r = {.headers = fields};
    char *text = malloc(size + 1), *rest = text, *line;

    memcpy(text, data, size);
    text[size] = '\0';
    while (r.n_headers < FIELDS && (line = strsep(&rest, "\n")))
        fields[r.n_headers++] = (struct http_header){.name = "Link", .value = line};
    for (size_t i = 0; i < sizeof rels / sizeof *rels; i++)
        walk(&r, rels[i]);
    free(text);
    return 0;
}
