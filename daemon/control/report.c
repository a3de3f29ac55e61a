/* SPDX-License-Identifier: ISC */
#include "control/report.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

#define DAY_MS (24 * 3600 * 1000LL)

/* A copy of what is shown, since statuses live for their callback only. */
struct row {
    enum renew_state state;
    int64_t not_after_ms, next_ms;
    struct json *json;
    char *ca;
    size_t place; /* in the configuration: ties keep its order */
};
struct rows {
    struct row *v;
    size_t n, cap;
    int64_t now_ms;
};

/* Worst first; what runs right now before what is merely planned. */
static const int severity[RENEW_STATES] = {
    [RENEW_EXPIRED] = 0, [RENEW_FAILED] = 1,   [RENEW_DEPLOY_FAILED] = 2, [RENEW_BLOCKED] = 3,
    [RENEW_MISSING] = 4, [RENEW_RENEWING] = 5, [RENEW_DEPLOYING] = 6,     [RENEW_DUE] = 7,
    [RENEW_OK] = 8,      [RENEW_DISABLED] = 9, [RENEW_PAUSED] = 8,        [RENEW_REVOKED] = 1,
};

void report_time(struct json *to, const char *key, int64_t wall_ms)
{
    char text[40];
    json_add_text(to, key, wall_ms ? str_from_time(wall_ms, text, sizeof(text)) : NULL);
}

static bool bad_state(enum renew_state s)
{
    return s == RENEW_EXPIRED || s == RENEW_FAILED || s == RENEW_DEPLOY_FAILED ||
           s == RENEW_BLOCKED || s == RENEW_REVOKED;
}

/* Its planned time passed by more than a tenth of the life and nothing runs. */
static bool overdue(const struct renew_status *s, int64_t now_ms)
{
    int64_t life = s->not_after_ms - s->not_before_ms;
    return s->state == RENEW_OK && s->next_ms && now_ms - s->next_ms > life / 10;
}

/* "unicode": names of "names" as people write them, where that differs. */
static void add_cert(struct json *j, const struct conf_cert *c)
{
    struct json *names = json_add_array(j, "names"), *unicode = NULL;
    json_add_text(j, "entry", c->base);
    json_add_text(j, "key", c->csr[0] ? "csr" : conf_key_name(c->key));
    for (size_t i = 0; i < c->n_names; i++) {
        const struct conf_name *n = &c->names[i];
        json_add_text(names, NULL, n->name);
        if (str_eq(n->name, n->unicode))
            continue;
        unicode = unicode ? unicode : json_add_object(j, "unicode");
        json_add_text(unicode, n->name, n->unicode);
    }
}

static struct json *status_json(const struct renew_status *s, int64_t now_ms)
{
    struct json *j = json_object();
    json_add_text(j, "name", s->name);
    json_add_text(j, "state", renew_state_name(s->state));
    report_time(j, "not_before", s->not_before_ms);
    report_time(j, "expires", s->not_after_ms);
    report_time(j, "next", s->next_ms);
    json_add_text(j, "why", s->why);
    json_add_text(j, "waiting", s->waiting);
    json_add_text(j, "doubt", s->preflight[0] ? s->preflight : NULL);
    report_time(j, "since", s->since_ms);
    json_add_text(j, "ca", s->ca);
    json_add_int(j, "failures", s->failures);
    json_add_bool(j, "ari", s->ari);
    json_add_bool(j, "overdue", overdue(s, now_ms));
    json_add_text(j, "serial", s->serial);
    json_add_text(j, "issuer", s->issuer);
    json_add_text(j, "fingerprint", s->fingerprint);
    if (s->cert)
        add_cert(j, s->cert);
    return j;
}

static void collect(void *arg, const struct renew_status *s)
{
    struct rows *rows = arg;
    if (rows->n == rows->cap) {
        rows->cap = rows->cap ? rows->cap * 2 : 64;
        rows->v = xrealloc_array(rows->v, rows->cap, sizeof(*rows->v));
    }
    rows->v[rows->n] = (struct row){.state = s->state,
                                    .not_after_ms = s->not_after_ms,
                                    .next_ms = s->next_ms,
                                    .json = status_json(s, rows->now_ms),
                                    .ca = xstrdup(s->ca ? s->ca : ""),
                                    .place = rows->n};
    rows->n++;
}

static void rows_free(struct rows *rows)
{
    for (size_t i = 0; i < rows->n; i++) {
        json_free(rows->v[i].json);
        free(rows->v[i].ca);
    }
    free(rows->v);
}

static int compare_i64(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int worst_first(const void *pa, const void *pb)
{
    const struct row *a = pa, *b = pb;
    int d = severity[a->state] - severity[b->state];
    if (d == 0)
        d = compare_i64(a->not_after_ms, b->not_after_ms);
    return d ? d : compare_i64((int64_t)a->place, (int64_t)b->place);
}

static int soonest_first(const void *pa, const void *pb)
{
    const struct row *a = pa, *b = pb;
    int d = compare_i64(a->next_ms, b->next_ms);
    return d ? d : compare_i64((int64_t)a->place, (int64_t)b->place);
}

static int collect_named(const struct renew *r, const struct json *names, struct rows *rows,
                         struct err *e)
{
    if (json_len(names) == 0) {
        renew_status(r, NULL, collect, rows);
        return 0;
    }
    for (const struct json *it = json_first(names); it; it = json_after(it)) {
        const char *name = json_as_text(it);
        if (!name || !renew_status(r, name, collect, rows))
            return err_set(e, ERR_CONFIG, "there is no certificate named %.200s",
                           name ? name : "(not a text)");
    }
    return 0;
}

static void add_summary(const struct rows *rows, struct json *reply)
{
    unsigned count[RENEW_STATES] = {0};
    int64_t soonest = 0;
    for (size_t i = 0; i < rows->n; i++) {
        const struct row *row = &rows->v[i];
        count[row->state]++;
        if (row->not_after_ms && (soonest == 0 || row->not_after_ms < soonest))
            soonest = row->not_after_ms;
    }
    struct json *summary = json_add_object(reply, "summary");
    json_add_int(summary, "total", (int64_t)rows->n);
    for (int s = 0; s < RENEW_STATES; s++)
        if (count[s])
            json_add_int(summary, renew_state_name((enum renew_state)s), count[s]);
    report_time(summary, "first_expiry", soonest);
}

int report_status(const struct renew *r, const struct json *names, bool failed_only, int64_t now_ms,
                  struct json *reply, struct err *e)
{
    struct rows rows = {.now_ms = now_ms};
    int ret = collect_named(r, names, &rows, e);
    if (ret == 0) {
        if (rows.n)
            qsort(rows.v, rows.n, sizeof(*rows.v), worst_first);
        struct json *list = json_add_array(reply, "certificates");
        for (size_t i = 0; i < rows.n; i++)
            if (!failed_only || bad_state(rows.v[i].state)) {
                json_add(list, NULL, rows.v[i].json);
                rows.v[i].json = NULL;
            }
        add_summary(&rows, reply);
    }
    rows_free(&rows);
    return ret;
}

static void add_error(struct json *to, const struct err *e)
{
    char text[800];
    json_add_text(to, "last_error", e->cls == ERR_NONE ? NULL : err_text(e, text, sizeof(text)));
}

static void add_provider(void *arg, const struct provider_status *s)
{
    struct json *j = json_add_object(arg, NULL);
    json_add_text(j, "name", s->name);
    json_add_text(j, "plugin", s->plugin);
    json_add_bool(j, "running", s->running);
    json_add_int(j, "pid", s->running ? s->pid : 0);
    json_add_int(j, "restarts", s->restarts);
    json_add_text(j, "sandbox", s->sandbox);
    add_error(j, &s->last_error);
}

void report_providers(const struct providers *p, struct json *reply)
{
    providers_status(p, add_provider, json_add_array(reply, "providers"));
}

static void add_ca(void *arg, const struct acme_ca_status *s)
{
    struct json *j = json_add_object(arg, NULL);
    json_add_text(j, "name", s->name);
    json_add_text(j, "directory", s->directory);
    json_add_text(j, "account", s->account_url);
    json_add_int(j, "orders", s->orders_running);
    json_add_bool(j, "ari", s->has_ari);
    add_error(j, &s->last_error);
}

void report_cas(const struct acme *a, struct json *reply)
{
    acme_status(a, add_ca, json_add_array(reply, "cas"));
}

static void add_load(struct json *loads, const struct rows *rows, size_t n)
{
    struct map *seen = map_new(); /* CA -> how many, as a pointer-sized number */
    for (size_t i = 0; i < n; i++) {
        uintptr_t had = (uintptr_t)map_get(seen, rows->v[i].ca);
        map_put(seen, rows->v[i].ca, (void *)(had + 1));
    }
    const char *ca;
    void *orders;
    for (size_t i = 0; map_next(seen, &i, &ca, &orders);) {
        struct json *j = json_add_object(loads, NULL);
        json_add_text(j, "ca", ca);
        json_add_int(j, "orders", (int64_t)(uintptr_t)orders);
    }
    map_free(seen);
}

static void add_limit(void *arg, const struct renew_limit *l)
{
    if (!l->text[0] && !l->away_until_ms)
        return;
    struct json *j = json_add_object(arg, NULL);
    json_add_text(j, "ca", l->ca);
    json_add_text(j, "limit", l->text[0] ? l->text : NULL);
    if (l->text[0])
        json_add_int(j, "left", l->left);
    report_time(j, "free", l->free_ms);
    report_time(j, "away_until", l->away_until_ms);
}

void report_limits(const struct renew *r, struct json *reply)
{
    renew_limits(r, add_limit, json_add_array(reply, "limits"));
}

void report_plan(const struct renew *r, int64_t now_ms, int64_t days, struct json *reply)
{
    struct rows rows = {.now_ms = now_ms};
    renew_status(r, NULL, collect, &rows);
    size_t n = 0;
    for (size_t i = 0; i < rows.n; i++) {
        struct row *row = &rows.v[i];
        bool wanted =
            row->next_ms && row->next_ms <= now_ms + days * DAY_MS && row->state != RENEW_DISABLED;
        if (wanted) {
            struct row swap = rows.v[n];
            rows.v[n++] = *row;
            *row = swap;
        }
    }
    if (n)
        qsort(rows.v, n, sizeof(*rows.v), soonest_first);
    json_add_int(reply, "days", days);
    struct json *list = json_add_array(reply, "plan");
    for (size_t i = 0; i < n; i++) {
        json_add(list, NULL, rows.v[i].json);
        rows.v[i].json = NULL;
    }
    add_load(json_add_array(reply, "cas"), &rows, n);
    report_limits(r, reply);
    json_add_int(reply, "later", (int64_t)(rows.n - n));
    rows_free(&rows);
}

static void add_record(void *arg, const struct publish_record *rec)
{
    struct json *j = json_add_object(arg, NULL);
    json_add_text(j, "name", rec->fqdn);
    json_add_text(j, "value", rec->value);
    json_add_text(j, "provider", rec->provider);
    json_add_text(j, "certificate", rec->cert);
    json_add_text(j, "order", rec->order);
    json_add_text(j, "state", rec->state);
    report_time(j, "since", rec->since_ms);
    json_add_text(j, "last_error", rec->last_error && *rec->last_error ? rec->last_error : NULL);
}

void report_records(const struct publisher *p, struct json *reply)
{
    publisher_records(p, add_record, json_add_array(reply, "records"));
}
