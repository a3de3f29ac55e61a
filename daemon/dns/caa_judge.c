/* SPDX-License-Identifier: ISC */
/* What CAA records mean for one who wants to issue: RFC 8659 section 4, RFC 8657. */
#include "base/buf.h"
#include "base/issue_value.h"
#include "base/str.h"
#include "dns/caa.h"

#include <string.h>

#define TEXT_MAX 600u
#define VALUES_TOLD 4u

enum verdict { DENIED, UNKNOWN, ALLOWED };

struct reasons { /* why a record that names this CA does not let it issue */
    char account[512];
    char methods[256];
    bool unknown_account;
};

static bool is_known_tag(const char *tag)
{
    static const char *const known[] = {"issue",        "issuewild",    "iodef",   "issuemail",
                                        "contactemail", "contactphone", "issuevmc"};
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (str_eq(known[i], tag))
            return true;
    return false;
}

static bool has_tag(const struct caa_set *s, const char *tag)
{
    for (size_t i = 0; i < s->n; i++)
        if (str_eq(s->v[i].tag, tag))
            return true;
    return false;
}

bool caa_names_account(const struct caa_set *s)
{
    for (size_t i = 0; i < s->n; i++) {
        struct issue_value v = {0};
        bool names =
            issue_value_parse(&v, s->v[i].value, s->v[i].value_len, ISSUE_CAA, NULL) == 0 &&
            issue_value_get(&v, "accounturi");
        issue_value_done(&v);
        if (names)
            return true;
    }
    return false;
}

static bool is_listed(const char *list, const char *word)
{
    static const char between[] = ", \t";
    for (const char *p = list; *p; p += strspn(p, between)) {
        size_t n = strcspn(p, between);
        if (n == strlen(word) && strncmp(p, word, n) == 0)
            return true;
        p += n;
    }
    return false;
}

static bool method_allowed(const char *list, const struct caa_asker *asker)
{
    for (size_t i = 0; i < asker->n_methods; i++)
        if (is_listed(list, asker->methods[i]))
            return true;
    return false;
}

/* One record whose issuer is the CA. */
static enum verdict judge_parameters(const struct issue_value *v, const struct caa_asker *asker,
                                     struct reasons *why)
{
    const char *account = issue_value_get(v, "accounturi");
    const char *methods = issue_value_get(v, "validationmethods");
    if (methods && !method_allowed(methods, asker)) {
        str_copy(why->methods, sizeof(why->methods), methods);
        return DENIED;
    }
    if (!account)
        return ALLOWED;
    if (!asker->account[0]) {
        why->unknown_account = true;
        return UNKNOWN;
    }
    if (str_eq(account, asker->account))
        return ALLOWED;
    str_copy(why->account, sizeof(why->account), account);
    return DENIED;
}

static enum verdict judge_record(const struct caa_record *r, const struct caa_asker *asker,
                                 struct reasons *why)
{
    struct issue_value v = {0};
    enum verdict verdict = DENIED; /* what is malformed lets nobody issue (RFC 8659 4.2) */
    if (issue_value_parse(&v, r->value, r->value_len, ISSUE_CAA, NULL) == 0 && v.issuer[0]) {
        if (asker->n_identities == 0)
            verdict = UNKNOWN;
        for (size_t i = 0; i < asker->n_identities; i++)
            if (str_case_eq(v.issuer, asker->identities[i])) {
                verdict = judge_parameters(&v, asker, why);
                break;
            }
    }
    issue_value_done(&v);
    return verdict;
}

/* "a; b", "";"" as they are written, some of them. */
static const char *tell_values(const struct caa_set *s, const char *tag, struct buf *out)
{
    unsigned n = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (!str_eq(s->v[i].tag, tag) || n++ >= VALUES_TOLD)
            continue;
        buf_puts(out, n > 1 ? ", \"" : "\"");
        str_escape(out, s->v[i].value, s->v[i].value_len, 100);
        buf_putc(out, '"');
    }
    if (n > VALUES_TOLD)
        buf_puts(out, ", ...");
    return buf_str(out);
}

static void deny(const struct caa_set *s, const char *name, const char *tag,
                 const struct caa_asker *asker, const struct reasons *why, struct findings *ret)
{
    CLEANUP_BUF struct buf values = {0}, detail = {0};
    const char *identity = asker->n_identities ? asker->identities[0] : "";
    buf_init(&values, TEXT_MAX);
    buf_init(&detail, 4 * TEXT_MAX);
    tell_values(s, tag, &values);
    if (why->methods[0]) {
        str_escape(&detail, why->methods, strlen(why->methods), 200);
        findings_add(ret, FINDING_FAIL, "caa", name,
                     "the CAA record at %s lets %s validate by %s only, not by %s: add that to its "
                     "validationmethods",
                     s->name, identity, buf_str(&detail), asker->methods[0]);
    } else if (why->account[0]) {
        str_escape(&detail, why->account, strlen(why->account), 400);
        findings_add(ret, FINDING_FAIL, "caa", name,
                     "the CAA record at %s lets %s issue to the account %s only, but ours is %s: "
                     "change its accounturi, or add a record for ours",
                     s->name, identity, buf_str(&detail), asker->account);
    } else {
        findings_add(
            ret, FINDING_FAIL, "caa", name,
            "the CAA records at %s forbid %s to issue (%s %s): add the record %s. CAA 0 %s "
            "\"%s\"",
            s->name, asker->ca, tag, buf_str(&values), s->name, tag, identity);
    }
}

static void doubt(const struct caa_set *s, const char *name, const char *tag,
                  const struct caa_asker *asker, const struct reasons *why, struct findings *ret)
{
    CLEANUP_BUF struct buf values = {0};
    buf_init(&values, TEXT_MAX);
    if (why->unknown_account)
        findings_add(ret, FINDING_WARN, "caa", name,
                     "the CAA record at %s names an account, and ours at %s is not known yet: "
                     "compare its accounturi after the first order",
                     s->name, asker->ca);
    else
        findings_add(ret, FINDING_WARN, "caa", name,
                     "the CAA records at %s name who may issue (%s %s); whether %s is among them "
                     "its directory does not say",
                     s->name, tag, tell_values(s, tag, &values), asker->ca);
}

static void judge_issuers(const struct caa_set *s, const char *name, const char *tag,
                          const struct caa_asker *asker, struct findings *ret)
{
    struct reasons why = {.unknown_account = false};
    enum verdict best = DENIED;
    size_t i;
    for (i = 0; i < s->n && best != ALLOWED; i++) {
        enum verdict v = str_eq(s->v[i].tag, tag) ? judge_record(&s->v[i], asker, &why) : DENIED;
        best = v > best ? v : best;
    }
    if (best == ALLOWED)
        findings_add(ret, FINDING_OK, "caa", name, "the CAA records at %s let %s issue", s->name,
                     asker->ca);
    else if (best == UNKNOWN)
        doubt(s, name, tag, asker, &why, ret);
    else if (asker->n_identities == 0)
        findings_add(ret, FINDING_FAIL, "caa", name,
                     "the CAA records at %s forbid every CA to issue (%s \";\"): name the CA there",
                     s->name, tag);
    else
        deny(s, name, tag, asker, &why, ret);
}

void caa_judge(const struct caa_set *s, const char *name, const struct caa_asker *asker,
               struct findings *ret)
{
    const char *tag = name_is_wildcard(name) && has_tag(s, "issuewild") ? "issuewild" : "issue";
    for (size_t i = 0; i < s->n; i++) {
        CLEANUP_BUF struct buf shown = {0};
        if (!s->v[i].critical || is_known_tag(s->v[i].tag))
            continue;
        buf_init(&shown, TEXT_MAX);
        str_escape(&shown, s->v[i].tag, strlen(s->v[i].tag), 64);
        findings_add(ret, FINDING_FAIL, "caa", name,
                     "the CAA record at %s with the tag \"%s\" is critical, and CAs that do not "
                     "know that tag must not issue: remove the record, or its critical flag",
                     s->name, buf_str(&shown));
        return;
    }
    if (!s->n)
        findings_add(ret, FINDING_OK, "caa", name, "no CAA records: any CA may issue");
    else if (!has_tag(s, tag))
        findings_add(ret, FINDING_OK, "caa", name,
                     "the CAA records at %s do not say who may issue: any CA may", s->name);
    else
        judge_issuers(s, name, tag, asker, ret);
}
