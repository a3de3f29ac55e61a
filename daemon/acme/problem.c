/* SPDX-License-Identifier: ISC */
#include "acme/problem.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "io/http.h"

#include <string.h>

#define RETRY_MAX_MS (30LL * 86400 * 1000)
#define DETAIL_MAX 330    /* of the 512 of struct err: room for sub-problems and advice */
#define SUBPROBLEMS_MAX 3 /* that are shown */

#define ANYWHERE (-1)

static const struct rule {
    int where;        /* enum acme_where or ANYWHERE */
    int status;       /* 0: any */
    const char *type; /* NULL: any */
    const char *word; /* in the detail, NULL: any */
    enum err_class cls;
    const char *advice;
} rules[] = {
    /* A paused account or name (Let's Encrypt): the text has an address that only a person can
       visit. */
    {ANYWHERE, 429, "rateLimited", "unpause", ERR_DENIED, "visit that address to go on"},
    {ANYWHERE, 0, "rateLimited", NULL, ERR_RATE_LIMITED, NULL},
    {ANYWHERE, 429, NULL, NULL, ERR_RATE_LIMITED, NULL},
    {ANYWHERE, 0, "badNonce", NULL, ERR_TRANSIENT, NULL},
    {ANYWHERE, 0, "serverInternal", NULL, ERR_TRANSIENT, NULL},
    {ANYWHERE, 0, "orderNotReady", NULL, ERR_TRANSIENT, NULL},
    {ANYWHERE, 0, "userActionRequired", NULL, ERR_DENIED,
     "a person must act at the CA, mostly agree to new terms of service"},
    {ANYWHERE, 0, "externalAccountRequired", NULL, ERR_CONFIG,
     "this CA wants an external account (eab) in its entry under cas"},
    {ANYWHERE, 0, "accountDoesNotExist", NULL, ERR_DENIED, "the CA does not know the account"},
    {ANYWHERE, 0, "invalidContact", NULL, ERR_CONFIG, "check email"},
    {ANYWHERE, 0, "unsupportedContact", NULL, ERR_CONFIG, "check email"},
    {ANYWHERE, 0, "invalidProfile", NULL, ERR_CONFIG, "check profile"},
    {ANYWHERE, 0, "unsupportedIdentifier", NULL, ERR_DENIED, "the CA cannot certify such a name"},
    {ANYWHERE, 0, "badPublicKey", NULL, ERR_CONFIG, "choose another key"},
    {ANYWHERE, 0, "badSignatureAlgorithm", NULL, ERR_CONFIG, "the CA refuses the account's key"},
    {ANYWHERE, 0, "caa", NULL, ERR_DENIED, "the domain's CAA records must allow this CA"},
    {ANYWHERE, 0, "badCSR", NULL, ERR_DENIED, "check key and, where the CA wants one, email"},
    {ANYWHERE, 0, "alreadyReplaced", NULL, ERR_TRANSIENT, NULL},
    {ANYWHERE, 501, NULL, NULL, ERR_PEER, NULL},
    {ACME_AT_NEW_ORDER, 0, "rejectedIdentifier", NULL, ERR_DENIED, "the CA refuses such a name"},
    /* Deactivated accounts: no ACME server has a way back (RFC 8555 7.3.6). */
    {ACME_AT_ACCOUNT, 0, NULL, "deactivated", ERR_DENIED,
     "set another name in the CA's key account: to begin a new one"},
    {ACME_AT_ACCOUNT, 401, NULL, NULL, ERR_DENIED, NULL},
    {ACME_AT_ACCOUNT, 403, "unauthorized", NULL, ERR_DENIED, NULL},
    {ACME_AT_NEW_ORDER, 401, NULL, NULL, ERR_DENIED, NULL},
    {ACME_AT_NEW_ORDER, 403, "unauthorized", NULL, ERR_DENIED, NULL},
    {ACME_AT_FINALIZE, 403, "unauthorized", NULL, ERR_DENIED, NULL},
    {ACME_AT_DIRECTORY, 404, NULL, NULL, ERR_CONFIG, "check directory"},
    {ACME_AT_VALIDATION, 0, NULL, NULL, ERR_TRANSIENT, NULL},
    {ANYWHERE, 401, NULL, NULL, ERR_TRANSIENT, NULL},
    {ANYWHERE, 403, NULL, NULL, ERR_TRANSIENT, NULL},
    {ANYWHERE, 408, NULL, NULL, ERR_TRANSIENT, NULL},
    {ANYWHERE, 409, NULL, NULL, ERR_TRANSIENT, NULL},
    {ANYWHERE, 425, NULL, NULL, ERR_TRANSIENT, NULL},
};

static const struct rule *find_rule(enum acme_where where, int status, const char *type,
                                    const char *detail)
{
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        const struct rule *r = &rules[i];
        if ((r->where == ANYWHERE || r->where == (int)where) &&
            (r->status == 0 || r->status == status) && (!r->type || str_eq(r->type, type)) &&
            (!r->word || strstr(detail, r->word)))
            return r;
    }
    return NULL;
}

static enum err_class class_of_status(int status)
{
    return status >= 500 || status == 0 ? ERR_TRANSIENT : ERR_PEER;
}

static void copy_type(char out[64], const char *type)
{
    static const char *const prefixes[] = {"urn:ietf:params:acme:error:", "urn:acme:error:"};
    struct buf b CLEANUP_BUF = {0};

    out[0] = '\0';
    if (!type || str_eq(type, "about:blank"))
        return;
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        if (str_starts(type, prefixes[i])) {
            type += strlen(prefixes[i]);
            break;
        }
    }
    buf_init(&b, 256);
    str_escape(&b, type, strlen(type), 63);
    str_copy(out, 64, buf_str(&b));
}

static void put_escaped(struct buf *b, const char *text, size_t max)
{
    str_escape(b, text, strlen(text), max);
}

static void put_subproblems(struct buf *b, const struct json *subs)
{
    unsigned shown = 0;

    if (!json_is_array(subs))
        return;
    for (const struct json *s = json_first(subs); s && shown < SUBPROBLEMS_MAX; s = json_after(s)) {
        const char *detail = json_text(s, "detail");
        const char *name = json_text(json_get(s, "identifier"), "value");
        if (!detail && !name)
            continue;
        buf_puts(b, b->len ? "; " : "");
        put_escaped(b, name ? name : "a name", 80);
        buf_puts(b, ": ");
        put_escaped(b, detail ? detail : "refused", 120);
        shown++;
    }
}

static void put_problem(struct buf *b, const struct json *j, bool with_instance)
{
    const char *detail = json_text(j, "detail");
    const char *title = json_text(j, "title");
    const char *instance = json_text(j, "instance");

    if (detail && *detail)
        put_escaped(b, detail, DETAIL_MAX);
    else if (title && *title)
        put_escaped(b, title, DETAIL_MAX);
    put_subproblems(b, json_get(j, "subproblems"));
    if (with_instance && instance) {
        buf_puts(b, ": see ");
        put_escaped(b, instance, 200);
    }
}

/* The text of an answer that is no problem document. */
static void put_other(struct buf *b, int status, const char *body, size_t n, const char *location)
{
    while (n > 0 && (*body == ' ' || *body == '\n' || *body == '\r' || *body == '\t'))
        body++, n--;
    buf_putf(b, "HTTP %d", status);
    if (status >= 300 && status < 400) {
        buf_puts(b, " (a redirection, which ACME does not have");
        if (location) {
            buf_puts(b, ") to ");
            put_escaped(b, location, 200);
        } else {
            buf_puts(b, ")");
        }
    } else if (n == 0) {
        buf_puts(b, " without an explanation");
    } else if (body[0] == '<') {
        buf_puts(b, " with a web page instead of an ACME answer");
    } else {
        buf_puts(b, ": ");
        str_escape(b, body, n, 200);
    }
}

static void finish(struct err *e, enum acme_where where, int status, const char *type,
                   const struct buf *text)
{
    const struct rule *r = find_rule(where, status, type, buf_str(text));
    enum err_class cls = r ? r->cls : class_of_status(status);
    const char *advice = r ? r->advice : NULL;

    if (where == ACME_AT_DIRECTORY && status >= 300 && status < 400) {
        cls = ERR_CONFIG;
        advice = "write the final address as directory";
    }
    err_set(e, cls, "%s%s%s%s", buf_str(text), advice ? " (" : "", advice ? advice : "",
            advice ? ")" : "");
    e->http = status;
    str_copy(e->type, sizeof(e->type), type);
}

void problem_fill(struct err *e, enum acme_where where, int status, const char *body, size_t n,
                  const char *location)
{
    struct buf text CLEANUP_BUF = {0};
    struct json *j CLEANUP_JSON = NULL;
    struct err ignored = ERR_INIT;
    char type[64] = "";

    buf_init(&text, 4096);
    if (n > 0 && (status < 300 || status >= 400))
        j = json_parse(body, n, &ignored);
    if (json_is_object(j)) {
        copy_type(type, json_text(j, "type"));
        put_problem(&text, j, str_eq(type, "userActionRequired"));
    } else if (json_as_text(j) && *json_as_text(j)) {
        put_escaped(&text, json_as_text(j), DETAIL_MAX);
    }
    if (text.len == 0 && type[0])
        buf_puts(&text, type);
    if (text.len == 0)
        put_other(&text, status, json_is_object(j) ? "" : body, json_is_object(j) ? 0 : n,
                  location);
    finish(e, where, status, type, &text);
}

void problem_from_reply(struct err *e, enum acme_where where, const struct http_reply *r,
                        int64_t now_wall_ms)
{
    problem_fill(e, where, r->status, r->body ? r->body : "", r->body ? r->body_len : 0,
                 http_reply_header(r, "Location"));
    e->retry_at = http_retry_after(r, now_wall_ms, 0, RETRY_MAX_MS);
    if (r->status == 503 && e->retry_at && e->cls == ERR_TRANSIENT)
        e->cls = ERR_RATE_LIMITED;
}

void problem_from_json(struct err *e, enum acme_where where, const struct json *j)
{
    struct buf text CLEANUP_BUF = {0};
    char type[64] = "";

    buf_init(&text, 4096);
    if (json_is_object(j)) {
        copy_type(type, json_text(j, "type"));
        put_problem(&text, j, false);
    } else if (json_as_text(j)) {
        put_escaped(&text, json_as_text(j), DETAIL_MAX);
    }
    if (text.len == 0)
        buf_puts(&text, type[0] ? type : "the CA gives no reason");
    finish(e, where, 0, type, &text);
}
