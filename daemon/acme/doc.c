/* SPDX-License-Identifier: ISC */
#include "acme/doc.h"

#include "acme/problem.h"
#include "base/buf.h"
#include "base/ip.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "digest/persist.h"

#include <stdlib.h>
#include <string.h>

#define PROFILES_MAX 64
#define CAA_IDENTITIES_MAX 32
#define NAMES_MAX 1024
#define ISSUERS_READ (PERSIST_ISSUERS_MAX + 1) /* one too many is enough to know */
#define TOKEN_MIN 16 /* RFC 8555 8.1 asks for 128 bits, 22 characters; some CAs give fewer */

static bool printable(const char *s, size_t max)
{
    size_t n = 0;

    for (; s[n]; n++) {
        if (n == max || s[n] <= 0x20 || s[n] > 0x7e || s[n] == '"' || s[n] == '\\')
            return false;
    }
    return n > 0;
}

bool acme_url_ok(const char *url)
{
    return url && str_starts(url, "https://") && url[8] && printable(url, ACME_URL_MAX);
}

static const struct json *read_object(struct json **root, const char *text, size_t n,
                                      const char *what, struct err *e)
{
    *root = json_parse(text, n, e);
    if (!*root) {
        err_prefix(e, "the CA's %s is no JSON", what);
        return NULL;
    }
    if (!json_is_object(*root)) {
        err_set(e, ERR_PEER, "the CA's %s is no JSON object", what);
        return NULL;
    }
    return *root;
}

/* Something between us and the CA may have answered in its place: that does not end an order. */
static int passing(struct err *e)
{
    if (e)
        e->cls = ERR_TRANSIENT;
    return -1;
}

/* A required (what is its name) or optional URL; "" when an optional one is absent. NULL on error.
 */
static char *read_url(const struct json *obj, const char *key, bool required, struct err *e)
{
    const char *url = json_text(obj, key);

    if (!url && !required)
        return xstrdup("");
    if (!url) {
        err_set(e, ERR_PEER, "the CA's answer lacks %s", key);
        return NULL;
    }
    if (!acme_url_ok(url)) {
        err_set(e, ERR_PEER, "the CA's %s is no https URL of at most %d characters", key,
                ACME_URL_MAX);
        return NULL;
    }
    return xstrdup(url);
}

static void strings_free(char **v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(v[i]);
    free(v);
}

static int find_word(const char *word, const char *const *words, size_t n)
{
    for (size_t i = 0; word && i < n; i++) {
        if (str_eq(word, words[i]))
            return (int)i;
    }
    return -1;
}

static int read_status(const struct json *obj, const char *const *words, size_t n, const char *what,
                       struct err *e)
{
    const char *text = json_text(obj, "status");
    int status = find_word(text, words, n);
    struct buf b CLEANUP_BUF = {0};

    if (status >= 0)
        return status;
    buf_init(&b, 256);
    if (text)
        str_escape(&b, text, strlen(text), 40);
    return err_set(e, ERR_PEER,
                   text ? "the CA's %s has the unknown status \"%s\""
                        : "the CA's %s has no status%s",
                   what, buf_str(&b));
}

/* --- directory --- */

static void read_profiles(struct directory_doc *d, const struct json *profiles)
{
    if (!json_is_object(profiles))
        return;
    for (const struct json *p = json_first(profiles); p && d->n_profiles < PROFILES_MAX;
         p = json_after(p)) {
        const char *name = json_key(p);
        if (!name || strlen(name) > 64 || !printable(name, 64))
            continue;
        d->profiles = xrealloc_array(d->profiles, d->n_profiles + 1, sizeof(*d->profiles));
        d->profiles[d->n_profiles++] = xstrdup(name);
    }
}

static void read_strings(char ***ret, size_t *ret_n, const struct json *list, size_t max)
{
    if (!json_is_array(list))
        return;
    for (const struct json *it = json_first(list); it && *ret_n < max; it = json_after(it)) {
        const char *text = json_as_text(it);
        if (!text)
            continue;
        *ret = xrealloc_array(*ret, *ret_n + 1, sizeof(**ret));
        (*ret)[(*ret_n)++] = xstrdup(text);
    }
}

static void read_meta(struct directory_doc *d, const struct json *meta)
{
    const char *terms = json_text(meta, "termsOfService");
    const char *prefix = json_text(meta, "accountHashPrefix");

    d->terms = xstrdup(terms && printable(terms, ACME_URL_MAX) ? terms : "");
    d->eab_required = json_bool(meta, "externalAccountRequired", false);
    d->account_hash_prefix = xstrdup(prefix && printable(prefix, ACME_URL_MAX) ? prefix : "");
    read_strings(&d->issuers, &d->n_issuers, json_get(meta, "issuerDomainNames"), ISSUERS_READ);
    read_strings(&d->caa_identities, &d->n_caa_identities, json_get(meta, "caaIdentities"),
                 CAA_IDENTITIES_MAX);
    read_profiles(d, json_get(meta, "profiles"));
}

static char *read_optional_url(const struct json *obj, const char *key)
{
    char *url = read_url(obj, key, false, NULL);

    return url ? url : xstrdup("");
}

/* A directory of a CA that has renewal information written wrongly is still a directory. */
static char *read_renewal_info(const struct json *obj)
{
    char *url = read_url(obj, "renewalInfo", false, NULL);
    size_t n;

    if (!url)
        return xstrdup("");
    n = strlen(url);
    while (n > 0 && url[n - 1] == '/')
        url[--n] = '\0';
    return url;
}

int directory_doc_read(struct directory_doc *d, const char *text, size_t n, struct err *e)
{
    struct json *root CLEANUP_JSON = NULL;
    const struct json *obj = read_object(&root, text, n, "directory", e);

    memset(d, 0, sizeof(*d));
    if (!obj)
        return -1;
    d->new_nonce = read_url(obj, "newNonce", true, e);
    d->new_account = d->new_nonce ? read_url(obj, "newAccount", true, e) : NULL;
    d->new_order = d->new_account ? read_url(obj, "newOrder", true, e) : NULL;
    if (!d->new_order) {
        directory_doc_done(d);
        return -1;
    }
    d->revoke_cert = read_optional_url(obj, "revokeCert");
    d->key_change = read_optional_url(obj, "keyChange");
    d->renewal_info = read_renewal_info(obj);
    read_meta(d, json_get(obj, "meta"));
    return 0;
}

void directory_doc_done(struct directory_doc *d)
{
    free(d->new_nonce);
    free(d->new_account);
    free(d->new_order);
    free(d->revoke_cert);
    free(d->key_change);
    free(d->renewal_info);
    free(d->terms);
    free(d->account_hash_prefix);
    strings_free(d->issuers, d->n_issuers);
    strings_free(d->caa_identities, d->n_caa_identities);
    strings_free(d->profiles, d->n_profiles);
    memset(d, 0, sizeof(*d));
}

bool directory_doc_has_profile(const struct directory_doc *d, const char *name)
{
    for (size_t i = 0; i < d->n_profiles; i++) {
        if (str_eq(d->profiles[i], name))
            return true;
    }
    return false;
}

/* --- order --- */

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Into the form that the configuration has, too; an authorization's may begin with "*.". */
static int read_identifier_value(const struct json *id, char out[NAME_MAX_TEXT], bool *ret_ip)
{
    const char *type = json_text(id, "type"), *value = json_text(id, "value");
    bool ip = str_eq(type, "ip");

    if (!value || (!ip && !str_eq(type, "dns")))
        return -1;
    if (ip ? !ip_normalise(value, out) : name_host(value, out) != NAME_OK)
        return -1;
    *ret_ip = ip;
    return 0;
}

static int read_names(struct order_doc *d, const struct json *ids, struct err *e)
{
    size_t n = json_len(ids);
    bool ip;

    if (!json_is_array(ids) || n == 0 || n > NAMES_MAX)
        return err_set(e, ERR_PEER, "the CA's order has no or too many identifiers");
    d->names = xcalloc(n, sizeof(*d->names));
    for (const struct json *it = json_first(ids); it; it = json_after(it)) {
        char name[NAME_MAX_TEXT];
        if (read_identifier_value(it, name, &ip) < 0)
            return err_set(e, ERR_PEER,
                           "the CA's order has an identifier that is no DNS name or address");
        d->names[d->n_names++] = xstrdup(name);
    }
    qsort(d->names, d->n_names, sizeof(*d->names), compare);
    return 0;
}

static int read_authzs(struct order_doc *d, const struct json *urls, struct err *e)
{
    size_t n = json_len(urls);

    if (!urls)
        return 0;
    if (!json_is_array(urls) || n > NAMES_MAX)
        return err_set(e, ERR_PEER, "the CA's order has too many authorizations");
    d->authzs = xcalloc(n ? n : 1, sizeof(*d->authzs));
    for (const struct json *it = json_first(urls); it; it = json_after(it)) {
        const char *url = json_as_text(it);
        if (!acme_url_ok(url))
            return err_set(e, ERR_PEER, "an authorization of the CA's order is no https URL");
        d->authzs[d->n_authzs++] = xstrdup(url);
    }
    return 0;
}

static int order_doc_fill(struct order_doc *d, const struct json *obj, struct err *e)
{
    static const char *const words[] = {"pending", "ready", "processing", "valid", "invalid"};
    const struct json *error = json_get(obj, "error");
    const char *profile = json_text(obj, "profile");
    int status = read_status(obj, words, ARRAY_LEN(words), "order", e);

    if (status < 0 || read_names(d, json_get(obj, "identifiers"), e) < 0 ||
        read_authzs(d, json_get(obj, "authorizations"), e) < 0)
        return -1;
    d->status = (enum order_status)status;
    d->finalize = read_url(obj, "finalize", status < ORDER_PROCESSING, e);
    if (!d->finalize)
        return -1;
    d->certificate = read_url(obj, "certificate", false, e);
    if (!d->certificate)
        return -1;
    if (json_is_object(error) || json_as_text(error)) {
        d->error = xnew(struct err);
        problem_from_json(d->error, ACME_AT_VALIDATION, error);
    }
    d->profile = xstrdup(profile && printable(profile, 64) ? profile : "");
    return 0;
}

int order_doc_read(struct order_doc *d, const char *text, size_t n, struct err *e)
{
    struct json *root CLEANUP_JSON = NULL;
    const struct json *obj = read_object(&root, text, n, "order", e);

    memset(d, 0, sizeof(*d));
    if (!obj)
        return passing(e);
    if (order_doc_fill(d, obj, e) < 0) {
        order_doc_done(d);
        return -1;
    }
    return 0;
}

void order_doc_done(struct order_doc *d)
{
    strings_free(d->names, d->n_names);
    strings_free(d->authzs, d->n_authzs);
    free(d->finalize);
    free(d->certificate);
    free(d->profile);
    free(d->error);
    memset(d, 0, sizeof(*d));
}

/* --- the account and its orders --- */

char *account_doc_orders(const char *text, size_t n, struct err *e)
{
    struct json *root CLEANUP_JSON = NULL;
    const struct json *obj = read_object(&root, text, n, "account", e);
    const char *url = json_text(obj, "orders");

    return acme_url_ok(url) ? xstrdup(url) : NULL;
}

int orders_doc_read(char ***urls, size_t *n_urls, size_t max, const char *text, size_t n,
                    struct err *e)
{
    struct json *root CLEANUP_JSON = json_parse(text, n, e);
    const struct json *list = json_is_array(root) ? root : json_get(root, "orders");
    size_t more = json_is_array(list) ? json_len(list) : 0;

    if (!json_is_array(list))
        return err_set(e, ERR_PEER, "the CA's list of orders is none");
    if (more > max - *n_urls)
        more = max - *n_urls;
    if (more == 0)
        return 0;
    *urls = xrealloc_array(*urls, *n_urls + more, sizeof(**urls));
    for (const struct json *it = json_first(list); it && more > 0; it = json_after(it), more--) {
        if (acme_url_ok(json_as_text(it)))
            (*urls)[(*n_urls)++] = xstrdup(json_as_text(it));
    }
    return 0;
}

/* --- authorization --- */

static const char *const authz_words[] = {"pending",     "valid",   "invalid",
                                          "deactivated", "expired", "revoked"};
static const char *const challenge_words[] = {"pending", "processing", "valid", "invalid"};

const char *authz_status_name(enum authz_status s)
{
    return (unsigned)s < ARRAY_LEN(authz_words) ? authz_words[s] : "unknown";
}

const char *challenge_status_name(enum challenge_status s)
{
    return (unsigned)s < ARRAY_LEN(challenge_words) ? challenge_words[s] : "unknown";
}

static bool token_ok(const char *token)
{
    static const char chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t n = token ? strlen(token) : 0;

    return n >= TOKEN_MIN && n <= ACME_TOKEN_MAX && strspn(token, chars) == n;
}

static void note_type(struct authz_doc *d, const char *type)
{
    size_t n = strlen(d->offered);
    struct buf b CLEANUP_BUF = {0};

    buf_init(&b, 512);
    buf_puts(&b, d->offered);
    buf_puts(&b, n ? ", " : "");
    str_escape(&b, type, strlen(type), 40);
    if (b.len < sizeof(d->offered))
        str_copy(d->offered, sizeof(d->offered), buf_str(&b));
}

static void challenge_doc_done(struct challenge_doc *c)
{
    free(c->url);
    free(c->token);
    free(c->error);
    free(c->account_uri);
    strings_free(c->issuers, c->n_issuers);
}

/* dns-persist-01: up to draft -01 the list has hyphens in its name and the URI is plain. */
static bool read_persist(struct challenge_doc *c, const struct json *j)
{
    const struct json *list = json_get(j, "issuer-domain-names");
    const char *uri = json_text(j, "accounturi");
    struct err ignored = ERR_INIT;

    c->hashed = !list;
    list = list ? list : json_get(j, "issuerDomainNames");
    read_strings(&c->issuers, &c->n_issuers, list, ISSUERS_READ);
    c->account_uri = xstrdup(uri ? uri : "");
    if (uri && !printable(uri, ACME_URL_MAX))
        return false;
    return (c->hashed && !list) ||
           persist_issuers_check((const char *const *)c->issuers, c->n_issuers, &ignored) == 0;
}

static int type_of(const char *name)
{
    for (int t = 0; t < CONF_CHALLENGE_TYPES; t++) {
        if (str_eq(name, conf_challenge_name((enum conf_challenge)t)))
            return t;
    }
    return -1;
}

static struct err *read_error(const struct json *j)
{
    struct err e = ERR_INIT;

    if (!json_is_object(j))
        return NULL;
    problem_from_json(&e, ACME_AT_VALIDATION, j);
    return xmemdup(&e, sizeof(e));
}

static bool fill_challenge(struct challenge_doc *c, const struct json *j)
{
    const char *url = json_text(j, "url"), *token = json_text(j, "token");
    int status = find_word(json_text(j, "status"), challenge_words, ARRAY_LEN(challenge_words));
    bool persist = c->type == CONF_DNS_PERSIST_01;

    if (!acme_url_ok(url) || (persist ? !read_persist(c, j) : !token_ok(token)))
        return false;
    c->url = xstrdup(url);
    c->token = xstrdup(persist ? "" : token);
    c->status = status < 0 ? CHALLENGE_PENDING : (enum challenge_status)status;
    c->error = read_error(json_get(j, "error"));
    return true;
}

/* Unknown challenges and those without a usable token are normal (RFC 8555 7.5.1); so is a status
 * that is not one of ours on a challenge that we do not want. */
static void read_challenge(struct authz_doc *d, const struct json *j)
{
    const char *name = json_text(j, "type");
    int type = type_of(name);
    struct challenge_doc c = {.type = (enum conf_challenge)type};

    if (!name)
        return;
    note_type(d, name);
    if (!d->error)
        d->error = read_error(json_get(j, "error"));
    if (type < 0 || authz_doc_challenge(d, c.type))
        return;
    if (!fill_challenge(&c, j)) {
        challenge_doc_done(&c);
        d->unusable |= 1u << type;
        return;
    }
    d->unusable &= ~(1u << type);
    d->challenges = xrealloc_array(d->challenges, d->n_challenges + 1, sizeof(*d->challenges));
    d->challenges[d->n_challenges++] = c;
}

struct challenge_doc *authz_doc_challenge(const struct authz_doc *d, enum conf_challenge type)
{
    for (size_t i = 0; i < d->n_challenges; i++) {
        if (d->challenges[i].type == type)
            return &d->challenges[i];
    }
    return NULL;
}

static int read_identifier(struct authz_doc *d, const struct json *obj, struct err *e)
{
    const struct json *id = json_get(obj, "identifier");
    char name[NAME_MAX_TEXT];

    if (read_identifier_value(id, name, &d->ip) < 0) {
        const char *type = json_text(id, "type");
        bool known = str_eq(type, "dns") || str_eq(type, "ip");
        if (d->status == AUTHZ_VALID && (!json_text(id, "value") || (type && !known)))
            return 0;
        return err_set(e, ERR_PEER, "the CA's authorization is not for a DNS name or address");
    }
    d->wildcard = json_bool(obj, "wildcard", false) || name_is_wildcard(name);
    str_copy(d->identifier, sizeof(d->identifier), name_is_wildcard(name) ? name + 2 : name);
    return 0;
}

int authz_doc_read(struct authz_doc *d, const char *text, size_t n, struct err *e)
{
    struct json *root CLEANUP_JSON = NULL;
    const struct json *obj = read_object(&root, text, n, "authorization", e);
    const struct json *list;
    int status;

    memset(d, 0, sizeof(*d));
    if (!obj)
        return passing(e);
    status = read_status(obj, authz_words, ARRAY_LEN(authz_words), "authorization", e);
    if (status < 0)
        return -1;
    d->status = (enum authz_status)status;
    if (read_identifier(d, obj, e) < 0) {
        memset(d, 0, sizeof(*d));
        return -1;
    }
    list = json_get(obj, "challenges");
    for (const struct json *c = json_is_array(list) ? json_first(list) : NULL; c; c = json_after(c))
        read_challenge(d, c);
    return 0;
}

void authz_doc_done(struct authz_doc *d)
{
    for (size_t i = 0; i < d->n_challenges; i++)
        challenge_doc_done(&d->challenges[i]);
    free(d->challenges);
    free(d->error);
    memset(d, 0, sizeof(*d));
}

int challenge_doc_read(enum challenge_status *ret, bool *ret_error, const char *text, size_t n,
                       struct err *e)
{
    struct json *root CLEANUP_JSON = NULL;
    const struct json *obj = read_object(&root, text, n, "challenge", e);
    int status;

    if (!obj)
        return -1;
    status = read_status(obj, challenge_words, ARRAY_LEN(challenge_words), "challenge", e);
    if (status < 0)
        return -1;
    *ret = (enum challenge_status)status;
    *ret_error = json_is_object(json_get(obj, "error"));
    return 0;
}

/* --- renewal information --- */

int window_doc_read(struct window_doc *d, const char *text, size_t n, struct err *e)
{
    struct json *root CLEANUP_JSON = NULL;
    const struct json *obj = read_object(&root, text, n, "renewal information", e);
    const struct json *window = json_get(obj, "suggestedWindow");
    const char *start = json_text(window, "start"), *end = json_text(window, "end");
    const char *why = json_text(obj, "explanationURL");

    memset(d, 0, sizeof(*d));
    if (!obj)
        return -1;
    if (!start || !end || !str_to_time(start, &d->start_ms) || !str_to_time(end, &d->end_ms)) {
        memset(d, 0, sizeof(*d));
        return err_set(e, ERR_PEER, "the CA's renewal information has no readable window");
    }
    if (d->end_ms <= d->start_ms) {
        memset(d, 0, sizeof(*d));
        return err_set(e, ERR_PEER, "the CA's renewal window ends before it begins");
    }
    if (why && (str_starts(why, "https://") || str_starts(why, "http://")) &&
        printable(why, ACME_EXPLANATION_MAX))
        str_copy(d->explanation, sizeof(d->explanation), why);
    return 0;
}
