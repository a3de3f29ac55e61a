/* SPDX-License-Identifier: ISC */
/* An account is (directory, key id of eab, account): entries that share it share what belongs to
 * it. Entries of one directory share the rate of requests to it. */
#include "conf/accounts.h"

#include "base/str.h"

#include <string.h>

static bool same_account(const struct conf_ca *a, const struct conf_ca *b)
{
    return !strcmp(a->directory, b->directory) && !strcmp(a->account, b->account) &&
           !strcmp(a->eab_kid, b->eab_kid);
}

/* The binding of the account that another entry of the same CA writes. */
static void share_binding(struct reader *r, struct ca_build *b)
{
    for (size_t i = 0; !b->ca.eab_kid[0] && i < r->cas.n; i++) {
        const struct conf_ca *other = &((struct ca_build *)vec_at(&r->cas, i))->ca;

        if (!other->eab_kid[0] || strcmp(other->directory, b->ca.directory) ||
            strcmp(other->account, b->ca.account))
            continue;
        b->ca.eab_kid = other->eab_kid;
        b->ca.eab_hmac_key = other->eab_hmac_key;
    }
}

static bool email_is_written(const struct reader *r, const struct ca_build *b)
{
    const struct source *const sources[] = {b->src, r->sources[0]};

    if (b->ca.email[0])
        return true;
    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        const struct node *d = sources[i]->defaults;
        const struct node *email = d && d->kind == NODE_MAP ? node_get(d, "email") : NULL;

        if (email && !node_is_null(email))
            return true;
    }
    return false;
}

int ca_check_binding(struct reader *r, const struct node *v, const char *name)
{
    struct ca_build *b = ca_find(r, name);
    bool by_email;

    if (!b || !b->preset || b->preset->eab == EAB_NONE)
        return 0;
    share_binding(r, b);
    by_email = b->preset->eab == EAB_BY_EMAIL;
    if (b->ca.eab_kid[0] || (!b->ca.preset[0] && !by_email) || (by_email && email_is_written(r, b)))
        return 0;
    return READ_ERROR(r, v,
                      "ca: %s wants its accounts bound to one that you have there: write %scas: "
                      "{%s: {eab: {kid: ..., hmac_key: {file: PATH}}}}",
                      name, by_email ? "email, or " : "", name);
}

/* Two entries of one account say different things: b's, unless its file may be bad, is an error; of
 * such a file it is left out. */
static int differ(struct reader *r, const struct ca_build *a, const struct ca_build *b,
                  const char *key, const char *what)
{
    static const char text[] = "%s: %s has the %s of %s, at %s:%u:%u, and another %s: write "
                               "it once%s";
    const char *shared = same_account(&a->ca, &b->ca) ? "account" : "directory";
    const struct conf_where *at = &a->ca.where;

    if (!b->src->keep)
        return diag_error(&r->diag, b->ca.where, text, key, b->ca.name, shared, a->ca.name,
                          at->file, at->line, at->column, what, "");
    diag_warn(&r->diag, b->ca.where, text, key, b->ca.name, shared, a->ca.name, at->file, at->line,
              at->column, what, " (this one is left out)");
    return 0;
}

static int share_limits(struct reader *r, struct ca_build *a, struct ca_build *b)
{
    bool account = same_account(&a->ca, &b->ca);

    for (size_t i = 0; i < CA_LIMITS; i++) {
        if (!account && i != CA_LIMIT_REQUESTS)
            continue;
        struct conf_limit *x = ca_limit(&a->ca, i), *y = ca_limit(&b->ca, i);
        bool in_a = a->limits_set >> i & 1, in_b = b->limits_set >> i & 1;

        if (in_a && in_b && (x->n != y->n || x->per_ms != y->per_ms) &&
            differ(r, a, b, "limits", ca_limit_name(i)))
            return -1;
        if (in_a)
            *y = *x;
        else if (in_b)
            *x = *y;
        a->limits_set |= (unsigned)in_b << i;
        b->limits_set |= (unsigned)in_a << i;
    }
    return 0;
}

static int share_account_key(struct reader *r, struct ca_build *a, struct ca_build *b)
{
    if (a->account_key_set && b->account_key_set && a->ca.account_key != b->ca.account_key &&
        differ(r, a, b, "account_key", "kind of key"))
        return -1;
    if (a->account_key_set)
        b->ca.account_key = a->ca.account_key;
    else
        a->ca.account_key = b->ca.account_key;
    a->account_key_set = b->account_key_set = a->account_key_set || b->account_key_set;
    return 0;
}

void accounts_share(struct reader *r)
{
    for (size_t i = 0; i < r->cas.n; i++)
        for (size_t k = 0; k < i; k++) {
            struct ca_build *a = vec_at(&r->cas, k), *b = vec_at(&r->cas, i);

            if (!strcmp(a->ca.directory, b->ca.directory) &&
                (share_limits(r, a, b) ||
                 (same_account(&a->ca, &b->ca) && share_account_key(r, a, b))))
                return;
        }
}

void account_finish(struct reader *r, struct ca_build *b)
{
    const struct source *top = r->sources[0];

    if (!b->email_set && (b->src->email || top->email))
        b->ca.email = b->src->email ? b->src->email : top->email;
    if (!b->agree_set)
        b->ca.agree_tos = b->src->agree_set ? b->src->agree_tos : top->agree_tos;
    share_binding(r, b);
    if (b->preset) /* not of a file whose last good version stays */
        b->ca.eab_by_email = b->preset->eab == EAB_BY_EMAIL && !b->ca.eab_kid[0] && b->ca.email[0];
}
