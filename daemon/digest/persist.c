/* SPDX-License-Identifier: ISC */
#include "digest/persist.h"
#include "base/issue_value.h"
#include "base/name.h"
#include "base/str.h"
#include "digest/base64.h"
#include "digest/hash.h"

#include <inttypes.h>
#include <string.h>

#define SHOWN 100 /* octets of a peer's text in a message */
#define HASH_INPUT_MAX 8192

static bool is_issuer(const char *text)
{
    char name[NAME_MAX_TEXT];
    return name_host(text, name) == NAME_OK && str_eq(name, text) && !name_is_wildcard(text);
}

int persist_issuers_check(const char *const *issuers, size_t n, struct err *e)
{
    if (n < 1 || n > PERSIST_ISSUERS_MAX)
        return err_set(e, ERR_PEER,
                       "the CA's dns-persist-01 challenge names %zu issuers instead of 1 to %d", n,
                       PERSIST_ISSUERS_MAX);
    for (size_t i = 0; i < n; i++) {
        if (!is_issuer(issuers[i]))
            return err_set(e, ERR_PEER,
                           "the CA's dns-persist-01 challenge names an issuer that is no domain "
                           "name in lower case");
    }
    return 0;
}

int persist_account_uri(const char *prefix, const char *domain, const char *thumbprint,
                        const char *account_url, struct buf *out, struct err *e)
{
    uint8_t sum[SHA256_LEN];
    CLEANUP_BUF struct buf input;
    size_t n = strlen(domain);
    buf_init(&input, HASH_INPUT_MAX);
    if (n == 0 || n > UINT8_MAX)
        return err_set(e, ERR_PEER, "a name of %zu octets cannot be hashed for dns-persist-01", n);
    buf_putc(&input, (char)n);
    buf_puts(&input, domain);
    buf_puts(&input, thumbprint);
    if (buf_puts(&input, account_url))
        return err_set(e, ERR_PEER, "the account's URL is too long for dns-persist-01");
    sha256(input.data, input.len, sum);
    buf_puts(out, prefix);
    buf_puts(out, "sha-256/");
    if (base64url_put(out, sum, sizeof(sum)))
        return err_set(e, ERR_PEER, "the CA's prefix of accounts' hashes is too long");
    return 0;
}

static bool is_value(const char *text)
{
    for (const char *p = text; *p; p++) {
        if (*p <= 0x20 || *p >= 0x7f || *p == ';')
            return false;
    }
    return *text != '\0';
}

int persist_put(const char *issuer, const char *account_uri, bool wildcard, int64_t until_ms,
                struct buf *out, struct err *e)
{
    if (!is_issuer(issuer))
        return err_set(e, ERR_PEER, "the CA's issuer name is no domain name in lower case");
    if (!is_value(account_uri))
        return err_set(e, ERR_PEER,
                       "the account's URI cannot stand in a TXT record of dns-persist-01");
    buf_puts(out, issuer);
    buf_puts(out, "; accounturi=");
    buf_puts(out, account_uri);
    if (wildcard)
        buf_puts(out, "; policy=wildcard");
    if (until_ms > 0)
        buf_putf(out, "; persistUntil=%" PRId64, until_ms / 1000);
    return buf_failed(out) ? err_set(e, ERR_PEER, "a record of dns-persist-01 is too long") : 0;
}

static bool is_among(const char *text, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (str_eq(text, list[i]))
            return true;
    }
    return false;
}

/* "WHAT: TEXT", TEXT escaped. Returns false. */
static bool refuse(char reason[PERSIST_REASON], const char *what, const char *text)
{
    CLEANUP_BUF struct buf shown;
    buf_init(&shown, PERSIST_REASON);
    buf_puts(&shown, what);
    if (text) {
        buf_puts(&shown, " ");
        str_escape(&shown, text, strlen(text), SHOWN);
    }
    str_copy(reason, PERSIST_REASON, buf_str(&shown));
    return false;
}

static bool is_in_time(const struct issue_value *v, int64_t now_ms, int64_t *ret_until_ms,
                       char reason[PERSIST_REASON])
{
    const char *text = issue_value_get(v, "persistuntil");
    int64_t seconds, until_ms = 0;
    char when[32];
    if (text && (text[0] == '+' || !str_to_i64(text, 0, INT64_MAX / 1000, &seconds)))
        return refuse(reason, "its persistUntil is not a time in UNIX seconds:", text);
    if (text) {
        until_ms = seconds * 1000;
        if (until_ms < now_ms)
            return refuse(reason, "it expired at", str_from_time(until_ms, when, sizeof(when)));
    }
    *ret_until_ms = until_ms;
    return true;
}

static bool fits(const struct issue_value *v, const struct persist_want *w, int64_t *ret_until_ms,
                 char reason[PERSIST_REASON])
{
    const char *uri = issue_value_get(v, "accounturi"), *policy = issue_value_get(v, "policy");
    if (!is_among(v->issuer, w->issuers, w->n_issuers))
        return refuse(reason, "it is for another issuer,", v->issuer);
    if (!uri)
        return refuse(reason, "it has no accounturi", NULL);
    if (!is_among(uri, w->account_uris, w->n_account_uris))
        return refuse(reason, "it is for another account,", uri);
    if (w->wildcard && (!policy || !str_case_eq(policy, "wildcard")))
        return refuse(reason, "it lacks policy=wildcard, which the name needs", NULL);
    return is_in_time(v, w->now_ms, ret_until_ms, reason);
}

bool persist_matches(const char *text, size_t n, const struct persist_want *w,
                     int64_t *ret_until_ms, char reason[PERSIST_REASON])
{
    struct issue_value v;
    struct err e = ERR_INIT;
    if (issue_value_parse(&v, text, n, ISSUE_PERSIST, &e))
        return refuse(reason, "it is", e.detail);
    bool good = fits(&v, w, ret_until_ms, reason);
    issue_value_done(&v);
    return good;
}
