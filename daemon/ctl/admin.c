/* SPDX-License-Identifier: ISC */
#include "ctl/admin.h"

#include "base/mem.h"

#include <stdio.h>
#include <unistd.h>

static void print_event(void *arg, const struct json *line)
{
    const struct ctl *ctl = arg;
    const char *name = json_text(line, "name"), *text = json_text(line, "text");
    if (ctl->json) {
        CLEANUP_FREE char *copy = json_print(line, false);
        puts(copy);
    } else if (text) {
        fprintf(stderr, "%s%s%s\n", name ? name : "", name && *name ? ": " : "", text);
    }
    fflush(stdout);
}

static void print_lines(const struct json *reply)
{
    for (const struct json *l = json_first(json_get(reply, "lines")); l; l = json_after(l))
        printf("%s\n", json_as_text(l));
}

int admin_ask(struct ctl *ctl, const struct json *request, struct json **ret_reply)
{
    CLEANUP_FREE char *socket = client_admin_socket(ctl);
    CLEANUP_JSON struct json *reply = NULL;
    const struct client_handler h = {print_event, NULL, ctl};
    if (ret_reply)
        *ret_reply = NULL;
    int exit = client_ask(socket, request, &h, &reply);
    if (exit)
        return exit;
    exit = (int)json_int(reply, "exit", EXIT_FAILED);
    if (ctl->json) {
        CLEANUP_FREE char *text = json_print(reply, false);
        puts(text);
        fflush(stdout);
    } else {
        print_lines(reply);
        if (json_text(reply, "error"))
            fprintf(stderr, "renewctl: %s\n", json_text(reply, "error"));
    }
    if (ret_reply && exit == EXIT_DONE) {
        *ret_reply = reply;
        reply = NULL;
    }
    return exit;
}

bool admin_interactive(const struct ctl *ctl)
{
    return !ctl->json && isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

bool admin_confirm(const struct ctl *ctl, const char *question)
{
    char answer[16];
    if (!admin_interactive(ctl))
        return false;
    fprintf(stderr, "%s [y/N] ", question);
    return fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}
