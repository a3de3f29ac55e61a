/* SPDX-License-Identifier: ISC */
#include "renew/budget.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "budget/"
#define SWEEP_EVERY 1000u /* budgets that are whole again are forgotten once so many came */

struct entry {
    int64_t whole_ms; /* when the budget will be whole again */
    int64_t each_ms;  /* what one took then; another limit has another */
};

struct budgets {
    struct map *entries; /* by subject, without the prefix */
    unsigned added;
};

static const char *const kinds[] = {
    [BUDGET_ORDERS] = "orders",
    [BUDGET_SAME_NAMES] = "same-names",
    [BUDGET_DOMAIN] = "domain",
    [BUDGET_FAILURES] = "failures",
};

struct budgets *budgets_new(void)
{
    struct budgets *b = xnew(struct budgets);
    b->entries = map_new();
    return b;
}

void budgets_free(struct budgets *b)
{
    void *entry;
    if (!b)
        return;
    for (size_t i = 0; map_next(b->entries, &i, NULL, &entry);)
        free(entry);
    map_free(b->entries);
    free(b);
}

/* What is whole needs no entry. The rest is taken along in a new map, since none may change while
 * it is walked through. */
static void sweep(struct budgets *b, int64_t now_ms)
{
    struct map *left = map_new();
    const char *key;
    void *value;
    for (size_t i = 0; map_next(b->entries, &i, &key, &value);) {
        struct entry *e = value;
        if (e->whole_ms > now_ms)
            map_put(left, key, e);
        else
            free(e);
    }
    map_free(b->entries);
    b->entries = left;
    b->added = 0;
}

static void put(struct budgets *b, const char *key, int64_t whole_ms, int64_t each_ms)
{
    struct entry *e = map_get(b->entries, key);
    if (!e) {
        e = xnew(struct entry);
        map_put(b->entries, key, e);
        b->added++;
    }
    e->whole_ms = whole_ms;
    e->each_ms = each_ms;
}

bool budgets_read(struct budgets *b, const struct store_item *item, int64_t now_ms)
{
    CLEANUP_JSON struct json *j = json_parse(item->value, item->len, NULL);
    int64_t whole = j ? json_int(j, "whole", 0) : 0, each = j ? json_int(j, "each", 0) : 0;
    if (!str_starts(item->key, PREFIX) || whole <= now_ms)
        return false;
    put(b, item->key + strlen(PREFIX), whole, each);
    return true;
}

char *budget_account(const struct conf_ca *ca)
{
    return xasprintf("%s %s %s", ca->directory, ca->eab_kid ? ca->eab_kid : "", ca->account);
}

static char *key_of(const struct budget *of)
{
    return xasprintf("%s/%s/%s", kinds[of->kind], of->account, of->subject);
}

static bool limited(const struct budget *of)
{
    return of->limit->n > 0 && of->limit->per_ms > 0;
}

static int64_t interval(const struct budget *of)
{
    int64_t ms = of->limit->per_ms / of->limit->n;
    return ms ? ms : 1;
}

/* Of a limit that is another one by now, as many are taken as were. A clock that was set back must
 * not lock anything up for longer than the period. */
static int64_t whole_at(const struct budgets *b, const struct budget *of, int64_t now_ms)
{
    CLEANUP_FREE char *key = key_of(of);
    const struct entry *e = map_get(b->entries, key);
    int64_t longest = of->limit->per_ms + interval(of);
    if (!e || e->whole_ms <= now_ms)
        return now_ms;
    int64_t left = e->whole_ms - now_ms;
    if (e->each_ms > 0 && e->each_ms != interval(of))
        left = (int64_t)((double)left / (double)e->each_ms * (double)interval(of));
    return now_ms + (left < longest ? left : longest);
}

int64_t budget_free_at(const struct budgets *b, const struct budget *of, int64_t now_ms)
{
    if (!limited(of))
        return 0;
    int64_t at = whole_at(b, of, now_ms) + interval(of) - of->limit->per_ms;
    return at <= now_ms ? 0 : at;
}

unsigned budget_left(const struct budgets *b, const struct budget *of, int64_t now_ms)
{
    if (!limited(of))
        return UINT32_MAX;
    int64_t room = now_ms + of->limit->per_ms - whole_at(b, of, now_ms);
    return room > 0 ? (unsigned)(room / interval(of)) : 0;
}

static bool move(struct budgets *b, const struct budget *of, int64_t now_ms, int64_t by_ms,
                 struct budget_write *ret)
{
    if (!limited(of))
        return false;
    if (b->added >= SWEEP_EVERY)
        sweep(b, now_ms);
    CLEANUP_FREE char *key = key_of(of);
    int64_t whole = whole_at(b, of, now_ms) + by_ms;
    put(b, key, whole, interval(of));
    ret->key = xasprintf(PREFIX "%s", key);
    ret->value =
        xasprintf("{\"whole\":%lld,\"each\":%lld}", (long long)whole, (long long)interval(of));
    return true;
}

bool budget_take(struct budgets *b, const struct budget *of, int64_t now_ms,
                 struct budget_write *ret)
{
    return move(b, of, now_ms, limited(of) ? interval(of) : 0, ret);
}

bool budget_give_back(struct budgets *b, const struct budget *of, int64_t now_ms,
                      struct budget_write *ret)
{
    return move(b, of, now_ms, limited(of) ? -interval(of) : 0, ret);
}

const char *budget_text(const struct budget *of, char *buf, size_t size)
{
    static const char *const what[] = {
        [BUDGET_ORDERS] = "new orders",
        [BUDGET_SAME_NAMES] = "certificates for the same names",
        [BUDGET_DOMAIN] = "certificates for names below",
        [BUDGET_FAILURES] = "failed validations of",
    };
    char span[32];
    bool subject = of->kind == BUDGET_DOMAIN || of->kind == BUDGET_FAILURES;
    snprintf(buf, size, "%u %s%s%.200s in %s", of->limit->n, what[of->kind], subject ? " " : "",
             subject ? of->subject : "", str_from_duration(of->limit->per_ms, span, sizeof(span)));
    return buf;
}
