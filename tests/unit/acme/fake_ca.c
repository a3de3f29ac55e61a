/* SPDX-License-Identifier: ISC */
/* The CA: strict where CAs are strict, odd where rules make it odd. */
#include "fake.h"

#include "base/map.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BASE "https://ca.test/"

const char fake_chain[] = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"
                          "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";

static const char *const tags[PLACES] = {"?",     "dir", "nonce", "acct", "new", "order", "authz",
                                         "chall", "fin", "cert",  "alt",  "ari", "obj",   "list"};

struct query {
    enum place at;
    int order, index;
    char what[16], flags[16], nonce[64], url[256], kid[128], cert[64];
};

static void header(struct answer *a, const char *name, const char *value)
{
    char *n = xstrdup(name), *v = xstrdup(value);

    a->texts[a->n_texts++] = n;
    a->texts[a->n_texts++] = v;
    a->headers[a->n_headers++] = (struct http_header){n, v};
}

void answer_done(struct answer *a)
{
    for (size_t i = 0; i < a->n_texts; i++)
        free(a->texts[i]);
    buf_free(&a->body);
    a->n_texts = 0;
}

static void violation(struct fake *f, const char *what, const char *detail)
{
    fprintf(stderr, "the client broke the protocol: %s (%s)\n", what, detail);
    f->violations++;
}

static void fresh_nonce(struct fake *f, struct answer *a)
{
    char text[32];

    snprintf(text, sizeof(text), "nonce-%06d", ++f->nonces_made);
    map_put(f->nonces, text, f);
    header(a, "Replay-Nonce", text);
}

static void problem(struct answer *a, int status, const char *type, const char *detail)
{
    a->status = status;
    header(a, "Content-Type", "application/problem+json");
    buf_putf(&a->body, "{\"type\":\"%s%s\",\"detail\":\"%s\",\"status\":%d}",
             strchr(type, ':') ? "" : "urn:ietf:params:acme:error:", type, detail ? detail : "",
             status);
}

/* --- what the CA shows --- */

static void put_directory(struct fake *f, struct buf *b)
{
    buf_puts(b, "{\"GZ1i8kd\":\"https://community.example/t/adding-random-entries\","
                "\"newNonce\":\"" BASE "nonce\",\"newAccount\":\"" BASE "new-acct\","
                "\"newOrder\":\"" BASE "new-order\",\"keyChange\":\"" BASE "kc\"");
    if (!f->no_ari)
        buf_puts(b, ",\"renewalInfo\":\"" BASE "ari\"");
    if (f->meta && *f->meta == '{')
        buf_putf(b, ",\"meta\":%s", f->meta);
    buf_puts(b, "}");
}

static const char *plain(const char *name)
{
    return str_starts(name, "*.") ? name + 2 : name;
}

static void put_order(struct fake *f, struct buf *b, int n)
{
    const struct order *o = &f->orders[n];
    const char *sep = "";

    buf_putf(b, "{\"status\":\"%s\",\"expires\":\"2027-01-01T00:00:00Z\",\"identifiers\":[",
             o->status);
    for (int i = o->names - 1; i >= 0; i--, sep = ",")
        buf_putf(b, "%s{\"type\":\"%s\",\"value\":\"%s\"}", sep, f->ip ? "ip" : "dns",
                 *o->other ? o->other : f->names[i]);
    buf_puts(b, "],\"authorizations\":[");
    sep = "";
    for (int i = 0; i < o->names && !f->no_authzs; i++, sep = ",")
        buf_putf(b, "%s\"" BASE "authz/%d/%d\"", sep, n, i);
    buf_putf(b, "],\"finalize\":\"" BASE "fin/%d\"", n);
    if (o->profile)
        buf_putf(b, ",\"profile\":\"%s\"", o->profile);
    if (str_eq(o->status, "valid"))
        buf_putf(b, ",\"certificate\":\"" BASE "cert/%d\"", n);
    buf_puts(b, "}");
}

static void put_account(struct fake *f, struct buf *b)
{
    buf_puts(b, "{\"status\":\"valid\"");
    if (f->page)
        buf_puts(b, ",\"orders\":\"" BASE "list/0\"");
    buf_puts(b, "}");
}

/* Oldest first, as CAs do. */
static void put_list(struct fake *f, struct answer *a, int from)
{
    int to = from + f->page < f->n_orders ? from + f->page : f->n_orders;
    char link[64];

    buf_puts(&a->body, "{\"orders\":[");
    for (int i = from; i < to; i++)
        buf_putf(&a->body, "%s\"" BASE "order/%d\"", i > from ? "," : "", i);
    buf_puts(&a->body, "]}");
    snprintf(link, sizeof(link), "<" BASE "list/%d>;rel=\"next\"", to);
    header(a, "Link", "<" BASE "dir>;rel=\"index\"");
    if (to < f->n_orders)
        header(a, "Link", link);
}

/* Each on its own URL; all with one token, as smallstep's. */
static void put_types(struct fake *f, struct buf *b, int n, int i)
{
    const struct order *o = &f->orders[n];
    const char *sep = "";

    for (int t = 0; f->types[t]; t++, sep = ",") {
        bool bad = o->answers[i] && f->bad_type && str_eq(f->bad_type, f->types[t]);
        const char *status = o->authz[i];
        if (!bad && str_eq(status, "invalid"))
            status = "pending";
        buf_putf(b,
                 "%s{\"type\":\"%s\",\"url\":\"" BASE "chall/%d/%d/%s\",\"token\":"
                 "\"token-%d-%d_abcdefghijklmnop\",\"status\":\"%s\"%s}",
                 sep, f->types[t], n, i, f->types[t], n, i, status,
                 bad ? ",\"error\":{\"type\":\"urn:ietf:params:acme:error:connection\","
                       "\"detail\":\"refused\"}"
                     : "");
    }
}

static void put_challenge(struct fake *f, struct buf *b, int n, int i, const char *status)
{
    (void)f;
    buf_putf(b,
             "{\"type\":\"dns-01\",\"url\":\"" BASE "chall/%d/%d\",\"token\":"
             "\"token-%d-%d_abcdefghijklmnop\",\"status\":\"%s\"",
             n, i, n, i, status);
    if (str_eq(status, "invalid"))
        buf_puts(b, ",\"error\":{\"type\":\"urn:ietf:params:acme:error:unauthorized\",\"detail\":"
                    "\"No TXT record found\",\"status\":403}");
    buf_puts(b, "}");
}

static void put_authz(struct fake *f, struct buf *b, int n, int i)
{
    const struct order *o = &f->orders[n];
    const char *status = o->authz[i];
    bool wild = str_starts(f->names[i], "*.");

    buf_putf(b, "{\"status\":\"%s\",\"identifier\":{\"type\":\"%s\",\"value\":\"%s\"},", status,
             f->ip ? "ip" : "dns", plain(f->names[i]));
    if (wild && !f->no_wildcard_flag)
        buf_puts(b, "\"wildcard\":true,");
    buf_puts(b, "\"challenges\":[");
    if (f->types[0]) {
        put_types(f, b, n, i);
    } else if (f->challenges) {
        buf_puts(b, f->challenges);
    } else {
        buf_puts(b, "{\"type\":\"http-01\",\"url\":\"" BASE
                    "x\",\"token\":\"t\",\"status\":\"pending\"},");
        put_challenge(f, b, n, i,
                      str_eq(status, "pending") && o->answers[i] ? "processing" : status);
    }
    buf_puts(b, "]}");
}

/* --- what the CA does --- */

static bool all_answered(const struct order *o)
{
    for (int i = 0; i < o->names; i++) {
        if (str_eq(o->authz[i], "pending") && !o->answers[i])
            return false;
    }
    return true;
}

/* By the type of what was answered. */
static void judge(const struct fake *f, struct order *o)
{
    size_t valid = 0;

    for (int i = 0; i < o->names; i++) {
        if (str_eq(o->authz[i], "pending") && o->answers[i])
            o->authz[i] = o->well[i] ? "valid" : f->authz_end;
        valid += str_eq(o->authz[i], "valid");
        if (str_eq(o->authz[i], "invalid"))
            o->status = "invalid";
    }
    if (valid == (size_t)o->names)
        o->status = "ready";
}

static void look_at_order(struct fake *f, struct order *o)
{
    const char *end = f->authz_end ? f->authz_end : "valid";

    if (f->bad_type && str_eq(o->status, "pending")) {
        judge(f, o);
    } else if (str_eq(o->status, "pending") && all_answered(o) && o->reads++ >= f->reads_to_ready) {
        bool bad = str_eq(end, "invalid");
        for (int i = 0; i < o->names; i++) {
            if (str_eq(o->authz[i], "pending"))
                o->authz[i] = end;
        }
        if (!str_eq(end, "pending"))
            o->status = bad ? "invalid" : "ready";
    } else if (str_eq(o->status, "processing") && ++o->reads_after_fin >= f->reads_to_valid) {
        o->status = "valid";
    }
}

static void new_order(struct fake *f, struct answer *a, struct query *q)
{
    struct order *o;
    char url[64];

    q->order = f->n_orders;
    f->last_flags = (unsigned)strtoul(q->flags, NULL, 10);
    f->orders = xrealloc_array(f->orders, (size_t)f->n_orders + 1, sizeof(*f->orders));
    o = &f->orders[f->n_orders++];
    memset(o, 0, sizeof(*o));
    o->status = f->start ? f->start : "pending";
    if (f->by_cert)
        str_copy(o->other, sizeof(o->other), q->cert);
    while (o->names < NAMES && f->names[o->names])
        o->authz[o->names++] = f->authz_start ? f->authz_start : "pending";
    snprintf(url, sizeof(url), BASE "order/%d", q->order);
    header(a, "Location", url);
    a->status = 201;
    put_order(f, &a->body, q->order);
}

static void put_account_log(struct fake *f, const struct query *q)
{
    size_t n = strlen(f->account_log);
    bool eab = strtoul(q->flags, NULL, 10) & KEEPER_F_EAB;

    snprintf(f->account_log + n, sizeof(f->account_log) - n, "%s%s%s", n ? " " : "",
             str_eq(q->what, "2") ? "find" : "new", eab ? "+eab" : "");
}

static void usual_post(struct fake *f, struct answer *a, struct query *q)
{
    struct order *o = q->order >= 0 && q->order < f->n_orders ? &f->orders[q->order] : NULL;

    a->status = 200;
    if (q->at == ACCT)
        put_account_log(f, q);
    if (q->at == ACCT && str_eq(q->what, "2") && !f->accounts_made) {
        problem(a, 400, "accountDoesNotExist", "no such account");
    } else if (q->at == ACCT) {
        a->status = f->accounts_made ? 200 : 201;
        f->accounts_made += !f->accounts_made;
        header(a, "Location", BASE "acct/1");
        buf_puts(&a->body, "{\"status\":\"valid\"}");
    } else if (q->at == NEW) {
        new_order(f, a, q);
    } else if (q->at == OBJ) {
        put_account(f, &a->body);
    } else if (q->at == LIST) {
        put_list(f, a, q->order);
    } else if (!o) {
        problem(a, 404, "malformed", "no such thing");
    } else if (q->at == ORDER) {
        look_at_order(f, o);
        put_order(f, &a->body, q->order);
    } else if (q->at == AUTHZ) {
        put_authz(f, &a->body, q->order, q->index);
    } else if (q->at == CHALL) {
        if (!str_eq(o->authz[q->index], "pending"))
            violation(f, "an answer to a challenge that is not pending", q->url);
        o->answers[q->index]++;
        str_copy(f->answered, sizeof(f->answered), strrchr(q->url, '/') + 1);
        o->well[q->index] = !str_eq(f->answered, f->bad_type);
        put_challenge(f, &a->body, q->order, q->index,
                      f->chall_status ? f->chall_status : "processing");
    } else if (q->at == FIN) {
        if (!str_eq(o->status, "ready")) {
            problem(a, 403, "orderNotReady", "not ready");
            return;
        }
        o->status = f->fin_status ? f->fin_status : "processing";
        put_order(f, &a->body, q->order);
    } else {
        header(a, "Link", "<" BASE "index>;rel=\"index\"");
        header(a, "Link", "<" BASE "alt/0/1>; rel=\"alternate\"");
        buf_puts(&a->body, fake_chain);
    }
}

static void usual(struct fake *f, const struct http_request *r, struct answer *a, struct query *q)
{
    if (str_eq(r->method, "POST")) {
        usual_post(f, a, q);
        return;
    }
    a->status = 200;
    if (q->at == DIR)
        put_directory(f, &a->body);
    if (q->at == ARI) {
        header(a, "Retry-After", "21600");
        buf_puts(&a->body,
                 "{\"suggestedWindow\":{\"start\":\"2027-01-02T04:00:00.5Z\",\"end\":"
                 "\"2027-01-03T05:00:00+01:00\"},\"explanationURL\":\"https://ca.test/why\"}");
    }
}

/* --- the door --- */

static enum place place_of(const char *url, int *order, int *index)
{
    static const struct {
        const char *path;
        enum place at;
    } paths[] = {{"dir", DIR},      {"nonce", NONCE},  {"new-acct", ACCT}, {"new-order", NEW},
                 {"order/", ORDER}, {"authz/", AUTHZ}, {"chall/", CHALL},  {"fin/", FIN},
                 {"cert/", CERT},   {"alt/", ALT},     {"ari/", ARI},      {"acct/", OBJ},
                 {"list/", LIST}};

    *order = *index = 0;
    if (!str_starts(url, BASE))
        return AT_ANY;
    url += strlen(BASE);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        if (!str_starts(url, paths[i].path))
            continue;
        sscanf(url + strlen(paths[i].path), "%d/%d", order, index);
        return paths[i].at;
    }
    return AT_ANY;
}

static bool has_header(const struct http_request *r, const char *text)
{
    for (const char *const *h = r->headers; h && *h; h++) {
        if (str_eq(*h, text))
            return true;
    }
    return false;
}

static bool read_jws(struct fake *f, const struct http_request *r, struct answer *a,
                     struct query *q)
{
    CLEANUP_FREE char *body = xstrndup(r->body ? r->body : "", r->body_len);

    if (sscanf(body, "%15s %15s %63s %255s %127s %63s", q->what, q->flags, q->nonce, q->url, q->kid,
               q->cert) != 6)
        violation(f, "no JWS", body);
    if (!has_header(r, "Content-Type: application/jose+json"))
        violation(f, "content type", r->url);
    if (q->at == CERT && !has_header(r, "Accept: application/pem-certificate-chain"))
        violation(f, "accept", r->url);
    if (!str_eq(q->url, r->url))
        violation(f, "signed for another URL", q->url);
    if (!map_remove(f->nonces, q->nonce))
        problem(a, 400, "badNonce", "unknown nonce");
    else if (f->lost_account && str_eq(q->kid, f->lost_account))
        problem(a, 400, "accountDoesNotExist", "no such account");
    else
        return true;
    return false;
}

static void add_headers(struct answer *a, const char *text)
{
    while (text && *text) {
        size_t n = strcspn(text, "\n");
        CLEANUP_FREE char *line = xstrndup(text, n);
        char *colon = strchr(line, ':');
        *colon = '\0';
        header(a, line, colon + 2);
        text += n + (text[n] == '\n');
    }
}

static const struct rule *find_rule(const struct fake *f, const struct query *q)
{
    int n = f->counts[q->at];

    for (size_t i = 0; i < f->n_rules; i++) {
        const struct rule *r = &f->rules[i];
        if (r->at == q->at && (r->from == 0 || (n >= r->from && n <= (r->to ? r->to : r->from))))
            return r;
    }
    return NULL;
}

static void by_rule(struct fake *f, const struct rule *rule, const struct http_request *r,
                    struct answer *a, struct query *q)
{
    if (rule->effect || rule->usual)
        usual(f, r, a, q);
    if (!rule->usual) {
        answer_done(a);
        a->n_headers = 0;
        buf_init(&a->body, 1 << 20);
        a->status = rule->status;
        if (rule->body)
            buf_puts(&a->body, rule->body);
        else if (rule->type)
            problem(a, rule->status, rule->type, rule->detail);
    }
    add_headers(a, rule->header);
    for (int i = 0; rule->then && i < f->n_orders; i++)
        f->orders[i].status = rule->then;
}

void ca_answer(struct fake *f, const struct http_request *r, struct answer *a)
{
    struct query q = {0};
    const struct rule *rule;
    bool post = str_eq(r->method, "POST"), good = true;

    buf_init(&a->body, 1 << 20);
    q.at = place_of(r->url, &q.order, &q.index);
    f->counts[q.at]++;
    buf_putf(&f->log, "%s%s", f->log.len ? " " : "", tags[q.at]);
    rule = find_rule(f, &q);
    if (post)
        good = read_jws(f, r, a, &q);
    if (good && rule)
        by_rule(f, rule, r, a, &q);
    else if (good)
        usual(f, r, a, &q);
    if (q.at != DIR && q.at != ARI && a->status && !(rule && rule->no_nonce))
        fresh_nonce(f, a);
}
