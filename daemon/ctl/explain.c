/* SPDX-License-Identifier: ISC */
/* explain: the reasoning behind one certificate, in the daemon's own words. */
#include "base/mem.h"
#include "base/str.h"
#include "ctl/client.h"
#include "ctl/term.h"

#include <stdio.h>

static void explain_operand(void *arg, const char *text)
{
    json_add_text(arg, "name", text);
}

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

static enum term_colour outcome_colour(const char *outcome)
{
    if (str_eq(outcome, "running"))
        return TERM_CYAN;
    return str_eq(outcome, "failed") || str_eq(outcome, "blocked") ? TERM_RED : TERM_GREEN;
}

static void print_run(const struct json *run)
{
    const char *outcome = or_empty(json_text(run, "outcome"));
    printf("\n%s%s  %s%s%s%s at %s\n", term_on(TERM_BOLD), or_empty(json_text(run, "began")),
           term_off(), term_on(outcome_colour(outcome)), outcome, term_off(),
           or_empty(json_text(run, "ca")));
    printf("  why now: %s\n", or_empty(json_text(run, "reason")));
    if (json_text(run, "order"))
        printf("  order:   %s\n", json_text(run, "order"));
    for (const struct json *s = json_first(json_get(run, "steps")); s; s = json_after(s))
        printf("  %s  %-10s %s\n", or_empty(json_text(s, "at")), or_empty(json_text(s, "state")),
               or_empty(json_text(s, "text")));
    if (json_int(run, "steps_left_out", 0))
        printf("  (%lld steps left out)\n", (long long)json_int(run, "steps_left_out", 0));
    if (json_text(run, "error"))
        printf("  %serror%s:   %s\n", term_on(TERM_RED), term_off(), json_text(run, "error"));
    char when[64];
    if (json_text(run, "next"))
        printf("  next:    %s (%s)\n", json_text(run, "next"),
               term_when(json_text(run, "next"), when, sizeof(when)));
}

/* What stands now: every member that is a text, a number or a truth, in the daemon's order. */
static void print_now(const struct json *explanation)
{
    for (const struct json *it = json_first(explanation); it; it = json_after(it)) {
        const char *text = json_as_text(it);
        int64_t number = json_as_int(it, INT64_MIN);
        if (text && *text)
            printf("%-12s %s\n", json_key(it), text);
        else if (!text && number != INT64_MIN)
            printf("%-12s %lld\n", json_key(it), (long long)number);
    }
}

static void print_explanation(const struct json *explanation)
{
    print_now(explanation);
    for (const struct json *r = json_first(json_get(explanation, "runs")); r; r = json_after(r))
        print_run(r);
}

int verb_explain(struct ctl *ctl, int argc, char **argv)
{
    static const struct ctl_usage usage = {"explain NAME",
                                           "Show the last orders of a certificate, each step with "
                                           "its reason; of an entry with several "
                                           "keys, of each.",
                                           NULL, 0, NULL};
    CLEANUP_JSON struct json *request = json_object();
    json_add_text(request, "verb", "explain");
    int exit =
        ctl_parse(ctl, &usage, argc, argv, &(struct ctl_args){NULL, explain_operand, request});
    if (exit >= 0)
        return exit;
    if (!json_text(request, "name"))
        return ctl_usage_error(ctl, "name a certificate");
    struct json *reply = NULL;
    exit = client_simple(ctl, request, &reply);
    if (reply) {
        print_explanation(json_get(reply, "explanation"));
        for (const struct json *x = json_first(json_get(reply, "others")); x; x = json_after(x)) {
            putchar('\n');
            print_explanation(x);
        }
    }
    json_free(reply);
    return exit;
}
