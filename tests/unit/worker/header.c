/* SPDX-License-Identifier: ISC */
/* The public headers alone, in strict C99. */
#include <renewd/helpers.h>

static int32_t op(void *self, struct renewd_ctx *ctx, const struct renewd_txt *txt)
{
    (void)self;
    renewd_logf(ctx, RENEWD_LOG_INFO, "%s", txt->fqdn);
    return renewd_textf(ctx, "%d", 1) ? renewd_fail(ctx, RENEWD_E_CONFIG, "no") : RENEWD_OK;
}

static struct renewd_plugin plugin = {.id = "x", .name = "X", .add = op, .remove = op};
RENEWD_PLUGIN(plugin)
