/* SPDX-License-Identifier: ISC */
/* A plugin in C++11: the header must be clean there too. */
#include <renewd/helpers.h>

static int32_t add(void *, struct renewd_ctx *ctx, const struct renewd_txt *txt)
{
    return ctx->host->set_handle(ctx, renewd_textf(ctx, "c++ %s", txt->fqdn));
}

static int32_t del(void *, struct renewd_ctx *, const struct renewd_txt *)
{
    return RENEWD_OK;
}

static struct renewd_plugin make()
{
    struct renewd_plugin p = renewd_plugin();
    p.id = "cxx-plugin";
    p.name = "C++";
    p.model = RENEWD_MODEL_SLOT;
    p.slots = 1;
    p.add = add;
    p.remove = del;
    return p;
}

static struct renewd_plugin plugin = make();
RENEWD_PLUGIN(plugin)
