/* SPDX-License-Identifier: ISC */
/* renew, deploy, reload: what changes something, with live progress. */
#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "ctl/client.h"
#include "ctl/term.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One certificate that is waited for. */
struct progress {
    struct list node;
    char *name, *text;
    int64_t since_ms;
    bool finished, ok;
};

struct act {
    struct ctl *ctl;
    struct json *request;
    bool due, wait, dry, usage;
    struct list lines;
    unsigned drawn; /* live lines on the screen */
};

static struct progress *progress_of(struct act *a, const char *name)
{
    list_each(it, &a->lines)
    {
        struct progress *p = list_item(it, struct progress, node);
        if (str_eq(p->name, name))
            return p;
    }
    struct progress *p = xnew(struct progress);
    p->name = xstrdup(name);
    list_append(&a->lines, &p->node);
    return p;
}

static void draw_line(const struct progress *p)
{
    char since[40], head[512];
    int64_t waited = term_now_ms() - p->since_ms;
    enum term_colour c = !p->finished ? TERM_CYAN : p->ok ? TERM_GREEN : TERM_RED;
    const char *mark = !p->finished ? "..." : p->ok ? "ok" : "failed";
    str_from_duration(waited, since, sizeof(since));
    snprintf(head, sizeof(head), "%-6s %s: ", mark, p->name);
    unsigned width = term_width(), used = (unsigned)strlen(head);
    char tail[64] = "";
    if (!p->finished && waited >= 1000)
        snprintf(tail, sizeof(tail), " (%s)", since);
    used += (unsigned)strlen(tail);
    int room = width > used + 1 ? (int)(width - used - 1) : 0;
    printf("\033[2K%s%s%s%.*s%s\n", term_on(c), head, term_off(), room, p->text ? p->text : "",
           tail);
}

/* Redraws the lines that still move; as many as the screen holds. */
static void draw(struct act *a)
{
    unsigned height = term_height() > 3 ? term_height() - 2 : 1, n = 0;
    if (a->drawn)
        printf("\033[%uA", a->drawn);
    list_each(it, &a->lines)
    {
        if (n >= height)
            break;
        draw_line(list_item(it, struct progress, node));
        n++;
    }
    a->drawn = n;
    fflush(stdout);
}

static void show_plain(const struct json *line)
{
    const char *at = json_text(line, "at");
    printf("%s %s: %s\n", at ? at : "", json_text(line, "name"), json_text(line, "text"));
    fflush(stdout);
}

static void on_event(void *arg, const struct json *line)
{
    struct act *a = arg;
    const char *name = json_text(line, "name"), *text = json_text(line, "text");
    if (a->ctl->json) {
        CLEANUP_FREE char *copy = json_print(line, false);
        puts(copy);
        fflush(stdout);
        return;
    }
    if (!name)
        return;
    if (!term_live()) {
        show_plain(line);
        return;
    }
    struct progress *p = progress_of(a, name);
    if (!str_eq(p->text, text)) {
        free(p->text);
        p->text = xstrdup(text ? text : "");
        p->since_ms = term_now_ms();
    }
    p->finished = str_eq(json_text(line, "event"), "finished");
    p->ok = json_bool(line, "ok", false);
    draw(a);
}

static void on_tick(void *arg)
{
    struct act *a = arg;
    if (!a->ctl->json && term_live() && a->drawn)
        draw(a);
}

static void show_results(const struct act *a, const struct json *results)
{
    unsigned failed = 0, total = 0;
    for (const struct json *r = json_first(results); r; r = json_after(r)) {
        total++;
        const char *name = json_text(r, "name");
        if (json_bool(r, "ok", false)) {
            if (!a->wait)
                printf("%s: %s\n", name, json_text(r, "state"));
            continue;
        }
        failed++;
        char when[64];
        fprintf(stderr, "%s: %s\n", name, json_text(r, "error"));
        if (json_text(r, "retry_at"))
            fprintf(stderr, "    next try %s\n",
                    term_when(json_text(r, "retry_at"), when, sizeof(when)));
    }
    if (total == 0)
        printf("Nothing is due.\n");
    else if (a->wait)
        printf("%u of %u done\n", total - failed, total);
}

static void act_set(void *arg, const char *option, const char *value)
{
    struct act *a = arg;
    (void)value;
    if (str_eq(option, "due"))
        a->due = true;
    if (str_eq(option, "wait"))
        a->wait = true;
    if (str_eq(option, "dry-run"))
        a->dry = true;
    else
        json_add_bool(a->request, option, true);
}

static void act_operand(void *arg, const char *text)
{
    struct act *a = arg;
    json_add_text((struct json *)json_get(a->request, "names"), NULL, text);
}

static int act_run(struct act *a)
{
    struct json *reply = NULL;
    const struct client_handler h = {on_event, on_tick, a};
    int exit = client_ask(a->ctl->socket, a->request, &h, &reply);
    if (exit)
        return exit;
    exit = (int)json_int(reply, "exit", EXIT_FAILED);
    const char *error = json_text(reply, "error");
    if (a->ctl->json) {
        CLEANUP_FREE char *text = json_print(reply, false);
        puts(text);
    } else if (error) {
        fprintf(stderr, "renewctl: %s\n", error);
    } else {
        show_results(a, json_get(reply, "results"));
        if (exit == EXIT_REFUSED)
            fprintf(stderr, "renewctl: --force renews although it is not due\n");
    }
    json_free(reply);
    return exit;
}

static void act_free(struct act *a)
{
    list_each(it, &a->lines)
    {
        struct progress *p = list_item(it, struct progress, node);
        free(p->name);
        free(p->text);
        free(p);
    }
}

static int act(struct ctl *ctl, const struct ctl_usage *usage, int argc, char **argv)
{
    CLEANUP_JSON struct json *request = json_object();
    json_add_text(request, "verb", argv[0]);
    json_add_array(request, "names");
    struct act a = {.ctl = ctl, .request = request};
    list_init(&a.lines);
    int exit = ctl_parse(ctl, usage, argc, argv, &(struct ctl_args){act_set, act_operand, &a});
    if (exit >= 0)
        return exit;
    bool named = json_len(json_get(request, "names")) > 0;
    if (named == a.due)
        return ctl_usage_error(ctl, a.due ? "either NAMEs or --due" : "name a certificate");
    if (a.dry) {
        json_add_bool(request, "dry", true);
        if (!a.wait)
            json_add_bool(request, "wait", a.wait = true);
    }
    exit = act_run(&a);
    act_free(&a);
    return exit;
}

int act_wait(struct ctl *ctl, const char *name)
{
    CLEANUP_JSON struct json *request = json_object();
    struct act a = {.ctl = ctl, .request = request, .wait = true};
    json_add_text(request, "verb", "renew");
    json_add_text(json_add_array(request, "names"), NULL, name);
    json_add_bool(request, "wait", true);
    json_add_bool(request, "or_good", true);
    list_init(&a.lines);
    int exit = act_run(&a);
    act_free(&a);
    return exit;
}

int verb_renew(struct ctl *ctl, int argc, char **argv)
{
    static const struct ctl_option options[] = {
        {"due", NULL, "all that are due or failed, instead of NAMEs"},
        {"wait", NULL, "show what is waited for, end when all have ended"},
        {"dry-run", NULL, "order at the staging CA, install nothing; waits"},
        {"force", NULL, "renew although it is not due"},
    };
    static const struct ctl_usage usage = {
        "renew NAME...|--due [--wait] [--dry-run] [--force]",
        "Renew now. With --dry-run a real order is made at the staging CA instead, with a key of "
        "its own; its certificate is checked and thrown away.",
        options, ARRAY_LEN(options), NULL};
    return act(ctl, &usage, argc, argv);
}

int verb_deploy(struct ctl *ctl, int argc, char **argv)
{
    static const struct ctl_option options[] = {
        {"wait", NULL, "show what is waited for, end when all have ended"},
    };
    static const struct ctl_usage usage = {"deploy NAME... [--wait]",
                                           "Run the deployments of certificates again.", options,
                                           ARRAY_LEN(options), NULL};
    return act(ctl, &usage, argc, argv);
}

int verb_reload(struct ctl *ctl, int argc, char **argv)
{
    static const struct ctl_usage usage = {
        "reload",
        "Read the configuration again, wait until it is in force, print what changes. A bad file "
        "changes nothing.",
        NULL, 0, NULL};
    int exit = ctl_parse(ctl, &usage, argc, argv, &(struct ctl_args){NULL, NULL, NULL});
    if (exit >= 0)
        return exit;
    CLEANUP_JSON struct json *request = json_object();
    json_add_text(request, "verb", "reload");
    CLEANUP_FREE char *admin = client_admin_socket(ctl);
    struct json *reply = NULL;
    exit = client_ask(admin, request, NULL, &reply);
    if (exit)
        return exit;
    exit = (int)json_int(reply, "exit", EXIT_FAILED);
    if (ctl->json) {
        CLEANUP_FREE char *text = json_print(reply, true);
        puts(text);
    } else {
        FILE *to = exit ? stderr : stdout;
        for (const struct json *l = json_first(json_get(reply, "lines")); l; l = json_after(l))
            fprintf(to, "%s\n", json_as_text(l));
        if (json_text(reply, "error"))
            fprintf(stderr, "renewctl: %s\n", json_text(reply, "error"));
        else if (exit == 0 && json_len(json_get(reply, "lines")) == 0)
            printf("Nothing has changed.\n");
    }
    json_free(reply);
    return exit;
}
