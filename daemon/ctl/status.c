/* SPDX-License-Identifier: ISC */
/* status, plan, records: what is. */
#include "base/mem.h"
#include "base/str.h"
#include "ctl/client.h"
#include "ctl/term.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct look {
    struct json *request;
    bool check;
    bool usage;
};

static void look_set(void *arg, const char *option, const char *value)
{
    struct look *l = arg;
    int64_t days;
    if (str_eq(option, "failed"))
        json_add_bool(l->request, "failed", true);
    else if (str_eq(option, "check"))
        l->check = true;
    else if (str_eq(option, "days") && str_to_i64(value, 1, 3650, &days))
        json_add_int(l->request, "days", days);
    else
        l->usage = true;
}

static void look_operand(void *arg, const char *text)
{
    struct look *l = arg;
    struct json *names = (struct json *)json_get(l->request, "names");
    json_add_text(names, NULL, text);
}

/* What it waits for, if something runs; else the reason of its state or of its next date. */
static const char *why_of(const struct json *cert)
{
    const char *waiting = json_text(cert, "waiting");
    if (waiting && *waiting)
        return waiting;
    const char *why = json_text(cert, "why");
    return why ? why : "";
}

/* On a terminal, an entry that is named by its first host: that as people write it. */
static char *shown_name(const struct json *cert)
{
    const char *name = json_text(cert, "name"), *entry = json_text(cert, "entry");
    const struct json *unicode = json_get(cert, "unicode");
    CLEANUP_FREE char *star = xasprintf("*.%s", entry ? entry : "");
    const char *text = entry ? json_text(unicode, entry) : NULL, *all = json_text(unicode, star);
    if (!text && all)
        text = all + 2;
    if (!text || !term_unicode() || !str_starts(name, entry))
        return xstrdup(name ? name : "-");
    return xasprintf("%s%s", text, name + strlen(entry));
}

static void print_certificates(const struct json *list)
{
    static const char *const heads[] = {"NAME", "STATE", "EXPIRES", "NEXT", "WHY"};
    struct table *t = table_new(heads, ARRAY_LEN(heads));
    for (const struct json *c = json_first(list); c; c = json_after(c)) {
        char expires[64], next[64];
        const char *state = json_text(c, "state");
        CLEANUP_FREE char *name = shown_name(c);
        const char *cells[] = {name, state,
                               term_when(json_text(c, "expires"), expires, sizeof(expires)),
                               term_when(json_text(c, "next"), next, sizeof(next)), why_of(c)};
        table_row(t, cells, term_state_colour(state), 1);
    }
    table_print(t);
}

static void print_summary(const struct json *summary)
{
    char when[64];
    long long total = json_int(summary, "total", 0);
    printf("\n%lld certificate%s", total, total == 1 ? "" : "s");
    const char *separator = ": ";
    for (const struct json *it = json_first(summary); it; it = json_after(it)) {
        const char *key = json_key(it);
        int64_t n = json_as_int(it, -1);
        if (n < 0 || str_eq(key, "total"))
            continue;
        printf("%s%s%lld %s%s", separator, term_on(term_state_colour(key)), (long long)n, key,
               term_off());
        separator = ", ";
    }
    const char *first = json_text(summary, "first_expiry");
    if (first)
        printf("; the first expires %s", term_when(first, when, sizeof(when)));
    putchar('\n');
}

/* "no landlock, seccomp": the kernel enforces less than it should. */
static void print_weak_sandboxes(const struct json *providers)
{
    for (const struct json *p = json_first(providers); p; p = json_after(p)) {
        const char *sandbox = json_text(p, "sandbox");
        if (sandbox && *sandbox && (str_starts(sandbox, "no ") || strstr(sandbox, ", no ")))
            printf("%swarning%s: provider %s is confined less than it should be: %s\n",
                   term_on(TERM_YELLOW), term_off(), json_text(p, "name"), sandbox);
    }
}

/* Its text often begins with the same words. */
static void print_trouble(const char *kind, const struct json *p)
{
    char head[200];
    const char *text = json_text(p, "last_error");
    if (!text)
        return;
    snprintf(head, sizeof(head), "%s %s: ", kind, json_text(p, "name"));
    printf("%s%.*s%s: %s\n", term_on(TERM_YELLOW), (int)strlen(head) - 2, head, term_off(),
           str_starts(text, head) ? text + strlen(head) : text);
}

/* Only what an operator should know: trouble of providers and CAs, and what the machine lacks. */
static void print_troubles(const struct json *reply)
{
    print_weak_sandboxes(json_get(reply, "providers"));
    static const char *const kinds[][2] = {{"providers", "provider"}, {"cas", "CA"}};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        for (const struct json *p = json_first(json_get(reply, kinds[i][0])); p; p = json_after(p))
            print_trouble(kinds[i][1], p);
    for (const struct json *w = json_first(json_get(reply, "warnings")); w; w = json_after(w))
        printf("%swarning%s: %s\n", term_on(TERM_YELLOW), term_off(), json_as_text(w));
}

static bool in_trouble(const struct json *list)
{
    static const char *const bad[] = {"failed", "deploy-failed", "blocked", "expired", "revoked"};
    for (const struct json *c = json_first(list); c; c = json_after(c)) {
        if (json_bool(c, "overdue", false))
            return true;
        for (size_t i = 0; i < ARRAY_LEN(bad); i++)
            if (str_eq(json_text(c, "state"), bad[i]))
                return true;
    }
    return false;
}

static struct json *request_new(const char *verb)
{
    struct json *j = json_object();
    json_add_text(j, "verb", verb);
    return j;
}

static int ask_and_show(struct ctl *ctl, const struct json *request, bool check)
{
    struct json *reply = NULL;
    int exit = client_ask(ctl->socket, request, NULL, &reply);
    if (exit)
        return exit;
    exit = (int)json_int(reply, "exit", EXIT_FAILED);
    const struct json *list = json_get(reply, "certificates");
    if (ctl->json) {
        CLEANUP_FREE char *text = json_print(reply, true);
        puts(text);
    } else if (exit) {
        fprintf(stderr, "renewctl: %s\n", json_text(reply, "error"));
    } else {
        if (json_len(list))
            print_certificates(list);
        print_summary(json_get(reply, "summary"));
        print_troubles(reply);
    }
    if (exit == 0 && check && in_trouble(list))
        exit = EXIT_FAILED;
    json_free(reply);
    return exit;
}

int verb_status(struct ctl *ctl, int argc, char **argv)
{
    static const struct ctl_option options[] = {
        {"failed", NULL, "only those that failed, are blocked or expired"},
        {"check", NULL, "exit 1 if any failed or is overdue (for monitoring)"},
    };
    static const struct ctl_usage usage = {"status [NAME...] [--failed] [--check]",
                                           "Show the certificates, worst first, and a summary.",
                                           options, ARRAY_LEN(options), NULL};
    CLEANUP_JSON struct json *request = request_new("status");
    json_add_array(request, "names");
    struct look l = {.request = request};
    int exit = ctl_parse(ctl, &usage, argc, argv, &(struct ctl_args){look_set, look_operand, &l});
    return exit >= 0 ? exit : ask_and_show(ctl, request, l.check);
}

static void print_limits(const struct json *limits)
{
    for (const struct json *l = json_first(limits); l; l = json_after(l)) {
        char when[64];
        const char *free_at = json_text(l, "free"), *away = json_text(l, "away_until");
        const char *limit = json_text(l, "limit");
        if (limit)
            printf("%s allows %s: %lld left%s%s\n", json_text(l, "ca"), limit,
                   (long long)json_int(l, "left", 0), free_at ? ", the next one " : "",
                   free_at ? term_when(free_at, when, sizeof(when)) : "");
        if (away)
            printf("%s does not answer; it is asked again %s\n", json_text(l, "ca"),
                   term_when(away, when, sizeof(when)));
    }
}

static void print_plan(const struct json *reply)
{
    static const char *const heads[] = {"WHEN", "NAME", "STATE", "CA", "WHY"};
    struct table *t = table_new(heads, ARRAY_LEN(heads));
    for (const struct json *c = json_first(json_get(reply, "plan")); c; c = json_after(c)) {
        char when[64];
        const char *cells[] = {term_when(json_text(c, "next"), when, sizeof(when)),
                               json_text(c, "name"), json_text(c, "state"), json_text(c, "ca"),
                               why_of(c)};
        table_row(t, cells, term_state_colour(cells[2]), 2);
    }
    table_print(t);
    putchar('\n');
    for (const struct json *c = json_first(json_get(reply, "cas")); c; c = json_after(c))
        printf("%s: %lld order%s in %lld days\n", json_text(c, "ca"),
               (long long)json_int(c, "orders", 0), json_int(c, "orders", 0) == 1 ? "" : "s",
               (long long)json_int(reply, "days", 0));
    printf("with nothing planned in that time: %lld\n", (long long)json_int(reply, "later", 0));
    print_limits(json_get(reply, "limits"));
}

int verb_plan(struct ctl *ctl, int argc, char **argv)
{
    static const struct ctl_option options[] = {{"days", "N", "how far to look (30)"}};
    static const struct ctl_usage usage = {
        "plan [--days N]", "What renews when and why; the CA is not asked.", options, 1, NULL};
    CLEANUP_JSON struct json *request = request_new("plan");
    struct look l = {.request = request};
    int exit = ctl_parse(ctl, &usage, argc, argv, &(struct ctl_args){look_set, NULL, &l});
    if (exit >= 0)
        return exit;
    if (l.usage)
        return ctl_usage_error(ctl, "--days takes a number from 1 to 3650");
    struct json *reply = NULL;
    exit = client_simple(ctl, request, &reply);
    if (reply)
        print_plan(reply);
    json_free(reply);
    return exit;
}

static void print_records(const struct json *list)
{
    static const char *const heads[] = {"RECORD", "STATE",       "PROVIDER",
                                        "SINCE",  "CERTIFICATE", "ERROR"};
    if (json_len(list) == 0) {
        printf("No record of ours is in any zone.\n");
        return;
    }
    struct table *t = table_new(heads, ARRAY_LEN(heads));
    for (const struct json *r = json_first(list); r; r = json_after(r)) {
        char since[64];
        const char *error = json_text(r, "last_error");
        const char *cells[] = {
            json_text(r, "name"),        json_text(r, "state"),
            json_text(r, "provider"),    term_when(json_text(r, "since"), since, sizeof(since)),
            json_text(r, "certificate"), error ? error : ""};
        table_row(t, cells, error ? TERM_RED : TERM_PLAIN, 1);
    }
    table_print(t);
}

static void records_operand(void *arg, const char *text)
{
    struct look *l = arg;
    if (str_eq(text, "clean") && !l->check)
        l->check = true;
    else
        l->usage = true;
}

int verb_records(struct ctl *ctl, int argc, char **argv)
{
    static const struct ctl_usage usage = {"records [clean]",
                                           "Show the TXT records that renewd has made and not yet "
                                           "removed; clean removes those that no "
                                           "running order needs.",
                                           NULL, 0, NULL};
    struct look l = {0};
    int exit = ctl_parse(ctl, &usage, argc, argv, &(struct ctl_args){NULL, records_operand, &l});
    if (exit >= 0)
        return exit;
    if (l.usage)
        return ctl_usage_error(ctl, "records takes nothing or clean");
    CLEANUP_JSON struct json *request = request_new(l.check ? "records-clean" : "records");
    struct json *reply = NULL;
    exit = client_simple(ctl, request, &reply);
    if (reply && l.check)
        printf("%lld records removed\n", (long long)json_int(reply, "removed", 0));
    else if (reply)
        print_records(json_get(reply, "records"));
    json_free(reply);
    return exit;
}
