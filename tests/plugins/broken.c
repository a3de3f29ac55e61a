/* SPDX-License-Identifier: ISC */
/* Plugins that must be refused: -DBROKEN_ENTRY, _ABI, _SIZE, _ADD, _ID, _MODEL, _NULL; and one that
 * is older than the host (_OLD), which must load. */
#include <renewd/plugin.h>
#include <stddef.h>

static int32_t op(void *self, struct renewd_ctx *ctx, const struct renewd_txt *txt)
{
    (void)self;
    (void)ctx;
    (void)txt;
    return RENEWD_OK;
}

static struct renewd_plugin plugin = {
    .id = "broken", .name = "Broken", .model = RENEWD_MODEL_RECORD, .add = op, .remove = op};

#ifndef BROKEN_ENTRY
const struct renewd_plugin *renewd_plugin_v0(void)
{
    plugin.abi = RENEWD_PLUGIN_ABI;
    plugin.size = sizeof(plugin);
    plugin.option_size = sizeof(struct renewd_option);
#ifdef BROKEN_ABI
    plugin.abi = 99;
#endif
#ifdef BROKEN_SIZE
    plugin.size = 16;
#endif
#ifdef BROKEN_OLD /* built before check and apply were there; what lies behind is not ours */
    plugin.size = offsetof(struct renewd_plugin, check);
    plugin.check = (int32_t(*)(void *, struct renewd_ctx *, const struct renewd_txt *))0x1234;
#endif
#ifdef BROKEN_ADD
    plugin.add = NULL;
#endif
#ifdef BROKEN_ID
    plugin.id = "Not An Id";
#endif
#ifdef BROKEN_MODEL
    plugin.model = 77;
#endif
#ifdef BROKEN_NULL
    return NULL;
#endif
    return &plugin;
}
#else
struct renewd_plugin *exported_by_mistake(void);
struct renewd_plugin *exported_by_mistake(void)
{
    return &plugin;
}
#endif
