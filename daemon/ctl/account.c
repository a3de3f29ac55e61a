/* SPDX-License-Identifier: ISC */
/* account: the daemon's accounts at CAs. */
#include "base/mem.h"
#include "base/str.h"
#include "ctl/admin.h"
#include "ctl/term.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct account {
    struct json *request;
    const char *words[3]; /* ACTION, CA, FILE */
    unsigned n;
    bool force, too_many;
};

static const char *or_dash(const char *text)
{
    return text && *text ? text : "-";
}

static void join(const struct json *array, const char *prefix, char *buf, size_t size)
{
    size_t at = 0;
    buf[0] = '\0';
    for (const struct json *it = json_first(array); it && at < size; it = json_after(it)) {
        const char *text = json_as_text(it);
        if (text && str_starts(text, prefix))
            text += strlen(prefix);
        at += (size_t)snprintf(buf + at, size - at, "%s%s", at ? ", " : "", text ? text : "");
    }
}

static void print_one(const struct json *a)
{
    static const struct {
        const char *key, *label;
    } rows[] = {
        {"url", "account"},     {"directory", "directory"},
        {"name", "name"},       {"eab_kid", "EAB kid"},
        {"key", "key"},         {"thumbprint", "thumbprint"},
        {"created", "created"}, {"deactivated", "deactivated"},
        {"orders", "orders"},   {"status", "at the CA"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *text = json_text(a, rows[i].key);
        if (text && *text)
            printf("  %-11s %s\n", rows[i].label, text);
    }
}

static void show_list(const struct json *accounts)
{
    char names[500];
    if (json_len(accounts) == 0)
        printf("There is no account yet: the first order at a CA makes it.\n");
    for (const struct json *a = json_first(accounts); a; a = json_after(a)) {
        join(json_get(a, "cas"), "", names, sizeof(names));
        printf("%s%s%s: %s\n", term_on(TERM_BOLD), *names ? names : "(no CA of the configuration)",
               term_off(), or_dash(json_text(a, "state")));
        print_one(a);
    }
}

static void show_account(const struct json *a)
{
    char contact[1000];
    join(json_get(a, "contact"), "mailto:", contact, sizeof(contact));
    printf("%s%s%s: %s\n", term_on(TERM_BOLD), or_dash(json_text(a, "ca")), term_off(),
           or_dash(json_text(a, "state")));
    print_one(a);
    printf("  %-11s %s\n", "contact", or_dash(contact));
}

static void set(void *arg, const char *option, const char *value)
{
    struct account *a = arg;
    if (value)
        json_add_text(a->request, option, value);
    else
        a->force = true;
}

static void operand(void *arg, const char *text)
{
    struct account *a = arg;
    if (a->n < ARRAY_LEN(a->words))
        a->words[a->n++] = text;
    else
        a->too_many = true;
}

/* Which words an action has after its name, least and most. */
static const struct {
    const char *name;
    unsigned least, most;
} actions[] = {
    {"list", 0, 0},       {"show", 0, 1},    {"rollover", 1, 1}, {"update", 1, 1},
    {"deactivate", 1, 1}, {"recover", 1, 1}, {"import", 2, 2},
};

static int check_words(const struct ctl *ctl, const struct account *a)
{
    for (size_t i = 0; a->n && i < ARRAY_LEN(actions); i++) {
        if (!str_eq(actions[i].name, a->words[0]))
            continue;
        if (a->n - 1 < actions[i].least)
            return ctl_usage_error(ctl, "%s",
                                   actions[i].most == 2 ? "name a CA and a key file" : "name a CA");
        if (a->n - 1 > actions[i].most || a->too_many)
            return ctl_usage_error(ctl, "one word too many");
        return -1;
    }
    return ctl_usage_error(ctl, "%s", a->n ? "no such action" : "say what to do");
}

static int add_file(struct account *a)
{
    CLEANUP_FREE char *path = realpath(a->words[2], NULL);
    if (!path) {
        perror(a->words[2]);
        return EXIT_USAGE;
    }
    json_add_text(a->request, "file", path);
    return -1;
}

/* What it would do, told before the question. */
static int check_deactivation(struct ctl *ctl, const struct account *a)
{
    CLEANUP_JSON struct json *request = json_object();
    json_add_text(request, "verb", "account");
    json_add_text(request, "action", "deactivate");
    json_add_text(request, "ca", a->words[1]);
    json_add_bool(request, "check", true);
    return admin_ask(ctl, request, NULL);
}

static int fill(struct ctl *ctl, struct account *a)
{
    json_add_text(a->request, "action", a->words[0]);
    if (a->n > 1)
        json_add_text(a->request, "ca", a->words[1]);
    if (str_eq(a->words[0], "deactivate") && !a->force) {
        CLEANUP_FREE char *question = xasprintf(
            "Deactivate the account at %s? It never comes back, and its certificates can be "
            "revoked only with their own keys.",
            a->words[1]);
        bool asks = admin_interactive(ctl);
        int exit = asks ? check_deactivation(ctl, a) : EXIT_DONE;
        if (exit != EXIT_DONE)
            return exit;
        a->force = admin_confirm(ctl, question);
        if (asks && !a->force)
            return EXIT_REFUSED;
    }
    json_add_bool(a->request, "force", a->force);
    return a->n > 2 ? add_file(a) : -1;
}

int verb_account(struct ctl *ctl, int argc, char **argv)
{
    static const struct ctl_option options[] = {
        {"key", "TYPE",
         "rollover: ecdsa-p256 ecdsa-p384 rsa-2048 rsa-3072 rsa-4096 ed25519 (the "
         "configuration's)"},
        {"force", NULL,
         "deactivate without asking; import in the place of another account; rollover although "
         "records of dns-persist-01 for the new key are not there"},
    };
    static const struct ctl_usage usage = {
        "account list | show [CA] | rollover CA [--key TYPE] | update CA | deactivate CA | "
        "recover CA | import CA FILE",
        "Accounts at CAs: list those on the disk; show one as the CA sees it; give it a new key; "
        "send the configuration's contact address; end it for good; find it again by its key; "
        "take over the key of another client.",
        options, ARRAY_LEN(options), NULL};
    CLEANUP_JSON struct json *request = json_object();
    struct account a = {.request = request};
    struct json *reply = NULL;
    json_add_text(request, "verb", "account");
    int exit = ctl_parse(ctl, &usage, argc, argv, &(struct ctl_args){set, operand, &a});
    if (exit < 0)
        exit = check_words(ctl, &a);
    if (exit < 0)
        exit = fill(ctl, &a);
    if (exit >= 0)
        return exit;
    exit = admin_ask(ctl, request, &reply);
    if (!ctl->json && json_get(reply, "accounts"))
        show_list(json_get(reply, "accounts"));
    if (!ctl->json && json_get(reply, "account"))
        show_account(json_get(reply, "account"));
    json_free(reply);
    return exit;
}
