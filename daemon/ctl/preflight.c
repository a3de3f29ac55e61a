/* SPDX-License-Identifier: ISC */
/* preflight: everything that can be checked without an order. */
#include "base/mem.h"
#include "base/str.h"
#include "ctl/client.h"
#include "ctl/term.h"

#include <stdio.h>

struct shown {
    const struct ctl *ctl;
    bool drawn; /* a line that is to be replaced */
};

static void on_event(void *arg, const struct json *line)
{
    struct shown *s = arg;
    const char *name = json_text(line, "name"), *text = json_text(line, "text");
    if (s->ctl->json || !name || !text)
        return;
    if (!term_live()) {
        fprintf(stderr, "%s: %s\n", name, text);
        return;
    }
    unsigned width = term_width();
    char row[512];
    snprintf(row, sizeof(row), "%s: %s ...", name, text);
    printf("\r\033[2K%s%.*s%s", term_on(TERM_DIM), width > 1 ? (int)(width - 1) : 400, row,
           term_off());
    fflush(stdout);
    s->drawn = true;
}

static enum term_colour level_colour(const char *level)
{
    if (str_eq(level, "failure"))
        return TERM_RED;
    return str_eq(level, "warning") ? TERM_YELLOW : TERM_GREEN;
}

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

/* Grouped by the name that they are about; what is about none of them comes last. */
static void show_findings(const struct json *findings)
{
    const char *last = NULL;
    for (const struct json *f = json_first(findings); f; f = json_after(f)) {
        const char *name = json_text(f, "name"), *level = or_empty(json_text(f, "level"));
        const char *head = name ? name : "in general";
        if (!str_eq(last, head))
            printf("  %s\n", head);
        last = head;
        printf("    %s%-8s%s %-10s %s\n", term_on(level_colour(level)), level, term_off(),
               or_empty(json_text(f, "check")), or_empty(json_text(f, "text")));
    }
}

static void show_results(const struct json *results)
{
    for (const struct json *r = json_first(results); r; r = json_after(r)) {
        const char *level = or_empty(json_text(r, "level"));
        printf("%s%s%s: %s%s%s\n", term_on(TERM_BOLD), or_empty(json_text(r, "name")), term_off(),
               term_on(level_colour(level)), level, term_off());
        show_findings(json_get(r, "findings"));
    }
}

static void add_name(void *arg, const char *text)
{
    json_add_text((struct json *)json_get(arg, "names"), NULL, text);
}

int verb_preflight(struct ctl *ctl, int argc, char **argv)
{
    static const struct ctl_usage usage = {
        "preflight NAME...",
        "Check everything that can be checked without an order: CAA, DNSSEC, delegations, aliases, "
        "the providers' credentials, the store, the clock, the account. NAME is that of a "
        "certificate or of a host in one. Exit status 1: an order would fail.",
        NULL, 0, NULL};
    CLEANUP_JSON struct json *request = json_object();
    json_add_text(request, "verb", "preflight");
    json_add_array(request, "names");
    int exit = ctl_parse(ctl, &usage, argc, argv, &(struct ctl_args){NULL, add_name, request});
    if (exit >= 0)
        return exit;
    if (!json_len(json_get(request, "names")))
        return ctl_usage_error(ctl, "name a certificate");
    struct shown shown = {.ctl = ctl};
    struct json *reply = NULL;
    exit =
        client_ask(ctl->socket, request, &(struct client_handler){on_event, NULL, &shown}, &reply);
    if (exit)
        return exit;
    if (shown.drawn)
        printf("\r\033[2K");
    exit = (int)json_int(reply, "exit", EXIT_FAILED);
    const char *error = json_text(reply, "error");
    if (ctl->json) {
        CLEANUP_FREE char *text = json_print(reply, true);
        puts(text);
    } else if (error) {
        fprintf(stderr, "renewctl: %s\n", error);
    } else {
        show_results(json_get(reply, "results"));
    }
    json_free(reply);
    return exit;
}
