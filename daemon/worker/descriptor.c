/* SPDX-License-Identifier: ISC */
#include "worker/descriptor.h"
#include "base/mem.h"

#include <string.h>

#define MAX_LIST 64
#define DEFAULT_TTL 120

#define SAME(a, b) _Static_assert((int)(a) == (int)(b), #a)
SAME(WORKER_MODEL_RECORD, RENEWD_MODEL_RECORD);
SAME(WORKER_MODEL_SLOT, RENEWD_MODEL_SLOT);
SAME(WORKER_OPT_TEXT, RENEWD_OPT_TEXT);
SAME(WORKER_OPT_SECRET, RENEWD_OPT_SECRET);
SAME(WORKER_OPT_ENUM, RENEWD_OPT_ENUM);
SAME(WORKER_CAP_EXEC, RENEWD_CAP_EXEC);
SAME(WORKER_E_CONFIG, RENEWD_E_CONFIG);
SAME(WORKER_E_DEADLINE, RENEWD_E_DEADLINE);
SAME(WORKER_OP_ADD, RENEWD_CHANGE_ADD);
SAME(WORKER_OP_REMOVE, RENEWD_CHANGE_REMOVE);

static char *text(const char *s)
{
    return xstrndup(s ? s : "", 1000);
}

static void copy_strs(const char *const *list, struct worker_strs *ret)
{
    uint32_t n = 0;
    while (list && n < MAX_LIST && list[n])
        n++;
    ret->n = n;
    ret->v = n ? xcalloc(n, sizeof(*ret->v)) : NULL;
    for (uint32_t i = 0; i < n; i++)
        ret->v[i] = text(list[i]);
}

static void copy_option(const struct renewd_plugin *p, uint32_t i, struct worker_option *ret)
{
    struct renewd_option o = {0};
    const char *at = (const char *)p->options + (size_t)i * p->option_size;
    memcpy(&o, at, p->option_size < sizeof(o) ? p->option_size : sizeof(o));
    ret->name = text(o.name);
    ret->type = o.type;
    ret->required = o.required != 0;
    ret->dflt = text(o.dflt);
    ret->choices = text(o.choices);
    ret->help = text(o.help);
    copy_strs(o.env, &ret->env);
}

static void copy_ttls(const struct renewd_plugin *p, struct worker_descriptor *ret)
{
    while (p->ttls && ret->n_ttls < MAX_LIST && p->ttls[ret->n_ttls])
        ret->n_ttls++;
    if (ret->n_ttls)
        ret->ttls = xmemdup(p->ttls, ret->n_ttls * sizeof(*ret->ttls));
}

void descriptor_of(const struct renewd_plugin *p, struct worker_descriptor *ret)
{
    *ret = (struct worker_descriptor){
        .id = text(p->id),
        .name = text(p->name),
        .version = text(p->version),
        .license = text(p->license),
        .author = text(p->author),
        .homepage = text(p->homepage),
        .model = p->model,
        .slots = p->slots,
        .caps = p->caps,
        .callbacks = WORKER_CB_ADD | WORKER_CB_REMOVE | (p->check ? WORKER_CB_CHECK : 0) |
                     (p->apply ? WORKER_CB_APPLY : 0) | (p->destroy ? WORKER_CB_DESTROY : 0),
        .ttl_min = p->ttl_min,
        .ttl_default = p->ttl_default ? p->ttl_default : DEFAULT_TTL,
        .propagation_s = p->propagation_typical,
        .propagation_max_s = p->propagation_max,
        .apply_max = 1,
    };
    if (p->apply && p->apply_max > 1)
        ret->apply_max = p->apply_max < WORKER_MAX_CHANGES ? p->apply_max : WORKER_MAX_CHANGES;
    copy_ttls(p, ret);
    copy_strs(p->hosts, &ret->hosts);
    ret->n_options = p->n_options;
    ret->options = p->n_options ? xcalloc(p->n_options, sizeof(*ret->options)) : NULL;
    for (uint32_t i = 0; i < p->n_options; i++)
        copy_option(p, i, &ret->options[i]);
}

uint32_t descriptor_ttl(const struct renewd_plugin *p, uint32_t wanted)
{
    uint32_t ttl = wanted ? wanted : p->ttl_default ? p->ttl_default : DEFAULT_TTL;
    if (ttl < p->ttl_min)
        ttl = p->ttl_min;
    uint32_t best = 0;
    for (size_t i = 0; p->ttls && p->ttls[i];
         i++) { /* the smallest that is enough, else the largest */
        best = p->ttls[i];
        if (best >= ttl)
            break;
    }
    return best ? best : ttl;
}
