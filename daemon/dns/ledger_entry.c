/* SPDX-License-Identifier: ISC */
#include "dns/ledger_entry.h"
#include "base/json.h"
#include "base/json_out.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

static const char *const state_names[] = {
    [LEDGER_INTENDED] = "intended", [LEDGER_PRESENT] = "present", [LEDGER_REMOVING] = "removing"};

const char *ledger_state_name(enum ledger_state s)
{
    return state_names[s];
}

char *ledger_key(const char *fqdn, const char *value)
{
    return xasprintf(LEDGER_PREFIX "%s/%s", fqdn, value);
}

static void replace(char **field, const char *text)
{
    char *copy = xstrdup(text ? text : "");
    free(*field);
    *field = copy;
}

void ledger_entry_assign(struct ledger_entry *e, const struct ledger_intent *i)
{
    replace(&e->provider, i->provider);
    replace(&e->zone, i->zone);
    replace(&e->cert, i->cert);
    replace(&e->order, i->order);
}

static struct ledger_entry *entry_new(struct ledger *l, const char *key)
{
    struct ledger_entry *e = xnew(struct ledger_entry);
    e->ledger = l;
    e->key = xstrdup(key);
    list_init(&e->waiters);
    replace(&e->handle, "");
    replace(&e->error, "");
    return e;
}

bool ledger_entry_for_good(const struct ledger_entry *e)
{
    return e->state == LEDGER_PRESENT && str_eq(e->order, LEDGER_FOR_GOOD);
}

struct ledger_entry *ledger_entry_new(struct ledger *l, const struct ledger_intent *i)
{
    CLEANUP_FREE char *key = ledger_key(i->fqdn, i->value);
    struct ledger_entry *e = entry_new(l, key);
    replace(&e->fqdn, i->fqdn);
    replace(&e->value, i->value);
    ledger_entry_assign(e, i);
    return e;
}

struct ledger_entry *ledger_entry_parse(struct ledger *l, const struct store_item *item)
{
    struct ledger_entry *e = entry_new(l, item->key);
    const char *rest = item->key + strlen(LEDGER_PREFIX);
    const char *slash = strchr(rest, '/');
    CLEANUP_JSON struct json *j = json_parse(item->value, item->len, NULL);
    e->fqdn = slash ? xstrndup(rest, (size_t)(slash - rest)) : xstrdup(rest);
    replace(&e->value, slash ? slash + 1 : "");
    if (json_text(j, "fqdn") && json_text(j, "value")) {
        replace(&e->fqdn, json_text(j, "fqdn"));
        replace(&e->value, json_text(j, "value"));
    }
    replace(&e->provider, json_text(j, "provider"));
    replace(&e->zone, json_text(j, "zone"));
    replace(&e->handle, json_text(j, "handle"));
    replace(&e->cert, json_text(j, "cert"));
    replace(&e->order, json_text(j, "order"));
    replace(&e->error, json_text(j, "error"));
    e->since = json_int(j, "since", 0);
    const char *state = json_text(j, "state");
    for (size_t i = 0; state && i < ARRAY_LEN(state_names); i++)
        if (str_eq(state, state_names[i]))
            e->state = (enum ledger_state)i;
    e->touched = true;
    return e;
}

char *ledger_entry_print(const struct ledger_entry *e)
{
    struct json_out o;
    json_out_init(&o);
    json_out_open(&o, NULL, '{');
    json_out_text(&o, "fqdn", e->fqdn);
    json_out_text(&o, "value", e->value);
    json_out_text(&o, "provider", e->provider);
    json_out_text(&o, "zone", e->zone);
    json_out_text(&o, "handle", e->handle);
    json_out_text(&o, "cert", e->cert);
    json_out_text(&o, "order", e->order);
    json_out_text(&o, "state", ledger_state_name(e->state));
    json_out_int(&o, "since", e->since);
    if (e->error[0])
        json_out_text(&o, "error", e->error);
    json_out_close(&o, '}');
    return json_out_end(&o);
}

void ledger_entry_free(struct ledger_entry *e)
{
    if (!e)
        return;
    char *const fields[] = {e->key,  e->fqdn,   e->value, e->provider, e->zone,
                            e->cert, e->handle, e->order, e->error};
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        free(fields[i]);
    free(e);
}
