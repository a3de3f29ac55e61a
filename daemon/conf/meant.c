/* SPDX-License-Identifier: ISC */
#include "conf/meant.h"

#include "base/mem.h"
#include "base/name.h"
#include "base/str.h"

#include <string.h>

static const char *plain(const char *host)
{
    return name_is_wildcard(host) ? host + 2 : host;
}

static bool is_host(const struct conf_cert *k, const char *text)
{
    const struct conf_name *n = k->names;

    return k->n_names && str_eq(k->name, plain(n->name)) &&
           (str_case_eq(text, n->name) || str_case_eq(text, plain(n->name)) ||
            str_case_eq(text, n->unicode) || str_case_eq(text, plain(n->unicode)));
}

static const struct conf_cert *find_entry(const struct conf *c, const char *text)
{
    const struct conf_cert *k = conf_find_cert(c, text);
    CLEANUP_FREE char *host = xstrdup(text);
    size_t n = strlen(host);

    if (k)
        return k->variant[0] ? NULL : k;
    if (n > 0 && host[n - 1] == '.')
        host[n - 1] = '\0';
    for (size_t i = 0; i < c->n_certs; i++)
        if (!c->certs[i].variant[0] && is_host(&c->certs[i], host))
            return &c->certs[i];
    return NULL;
}

static const struct conf_cert *find_key(const struct conf *c, const char *text, const char *plus)
{
    CLEANUP_FREE char *entry = xstrndup(text, (size_t)(plus - text));

    for (const struct conf_cert *k = find_entry(c, entry); k; k = conf_next_variant(c, k))
        if (!k->csr[0] && str_eq(conf_key_name(k->key), plus + 1))
            return k;
    return NULL;
}

const struct conf_cert *conf_meant(const struct conf *c, const char *text, size_t *ret_n)
{
    const char *plus = strrchr(text, '+'); /* no name has one */
    const struct conf_cert *k = plus ? find_key(c, text, plus) : find_entry(c, text);

    *ret_n = k ? 1 : 0;
    for (const struct conf_cert *next = k; !plus && next && (next = conf_next_variant(c, next));)
        ++*ret_n;
    return k;
}
