/* SPDX-License-Identifier: ISC */
/* The inventory: no text may crash the reader; what it accepts survives the engine's copy, and its
 * dump is accepted again. An input that begins with 0xff is a snapshot's encoding instead. */
#include "base/buf.h"
#include "base/mem.h"
#include "conf/codec.h"
#include "conf/load.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct conf_plugin_option options[] = {
    {"server", CONF_OPT_HOST, false, "", "", ""},
    {"api_token", CONF_OPT_SECRET, false, "", "", ""},
    {"url", CONF_OPT_URL, false, "", "", ""},
    {"retries", CONF_OPT_INT, false, "", "", ""},
    {"tcp", CONF_OPT_BOOL, false, "", "", ""},
    {"wait", CONF_OPT_DURATION, false, "", "", ""},
    {"algorithm", CONF_OPT_ENUM, false, "", "a|b", ""},
};
static const struct conf_plugin_info info = {options, ARRAY_LEN(options), false, 0};

static const struct conf_plugin_info *describe(void *ctx, const char *path, struct err *e)
{
    (void)ctx;
    (void)path;
    (void)e;
    return &info;
}

static const struct conf_plugins plugins = {.describe = describe, .dir = "/plugins"};

static void try_snapshot(const void *p, size_t n)
{
    struct err e;
    struct conf *c = conf_decode(p, n, &e);

    if (c)
        free(conf_dump(c));
    conf_unref(c);
}

static struct conf *copy_of(const struct conf *c)
{
    struct buf b;
    struct err e;
    struct conf *copy;

    buf_init(&b, 256 << 20);
    if (conf_encode(c, &b))
        abort();
    copy = conf_decode(b.data, b.len, &e);
    if (!copy)
        abort();
    buf_free(&b);
    return copy;
}

static void check_good(const struct conf *c)
{
    struct conf *copy = copy_of(c), *again;
    char *text = conf_dump(c), *other = conf_dump(copy);
    struct conf_messages m;

    if (strcmp(text, other))
        abort();
    m = conf_diff(c, c);
    if (m.n)
        abort();
    conf_messages_free(&m);
    again = conf_load_text("dump", text, strlen(text), &plugins, &m);
    if (!again) {
        for (size_t i = 0; i < m.n; i++)
            fprintf(stderr, "%u:%u: %s\n", m.v[i].line, m.v[i].column, m.v[i].text);
        fprintf(stderr, "%s", text);
        abort();
    }
    conf_messages_free(&m);
    conf_unref(again);
    conf_unref(copy);
    free(text);
    free(other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct conf_messages m;
    struct conf *c;

    if (size && data[0] == 0xff) {
        try_snapshot(data + 1, size - 1);
        return 0;
    }
    c = conf_load_text("fuzz", (const char *)data, size, &plugins, &m);
    if (c)
        check_good(c);
    else if (!m.n)
        abort(); /* refused without a word */
    conf_messages_free(&m);
    conf_unref(c);
    return 0;
}
