/* SPDX-License-Identifier: ISC */
/* issue, backup. */
#include "base/mem.h"
#include "base/str.h"
#include "ctl/admin.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct issue {
    struct json *request, *names;
    bool no_wait;
};

/* Also several, with commas between them. */
static void add_names(void *arg, const char *text)
{
    struct issue *i = arg;
    for (size_t n; *text; text += n + (text[n] == ',')) {
        n = strcspn(text, ",");
        CLEANUP_FREE char *name = xstrndup(text, n);
        if (n)
            json_add_text(i->names, NULL, name);
    }
}

static void set(void *arg, const char *option, const char *value)
{
    struct issue *i = arg;
    if (str_eq(option, "domain"))
        add_names(i, value);
    else if (str_eq(option, "agree-tos"))
        json_add_bool(i->request, "agree_tos", true);
    else if (str_eq(option, "no-wait"))
        i->no_wait = true;
    else
        json_add_text(i->request, option, value);
}

/* -d and -m, as certbot has them. */
static char **long_options(int argc, char **argv)
{
    char **out = xcalloc((size_t)argc + 1, sizeof(*out));
    for (int i = 0; i < argc; i++) {
        out[i] = argv[i];
        if (i && str_eq(argv[i], "-d"))
            out[i] = (char *)(uintptr_t) "--domain";
        if (i && str_eq(argv[i], "-m"))
            out[i] = (char *)(uintptr_t) "--mail";
    }
    return out;
}

/* The folder is looked for by the daemon, which has another one. */
static int check_webroot(struct ctl *ctl, const struct json *request)
{
    const char *path = json_text(request, "webroot");
    return path && path[0] != '/' ? ctl_usage_error(ctl, "--webroot takes a whole path") : -1;
}

int verb_issue(struct ctl *ctl, int argc, char **argv)
{
    static const struct ctl_option options[] = {
        {"domain", "NAME", "a name; again for more (-d)"},
        {"mail", "ADDR", "contact address of the account (-m)"},
        {"agree-tos", NULL, "you agree to the CA's terms of service"},
        {"ca", "CA", "the CA, as in cas, or one that renewd knows"},
        {"challenge", "C", "dns-01 http-01 tls-alpn-01 dns-account-01 dns-persist-01"},
        {"provider", "P", "who makes the DNS records"},
        {"webroot", "PATH", "where http-01's files go"},
        {"key", "KEY", "ecdsa-p256 ecdsa-p384 rsa-2048 rsa-3072 rsa-4096"},
        {"name", "NAME", "what it is called; the first name"},
        {"no-wait", NULL, "do not wait for the certificate"},
    };
    static const struct ctl_usage usage = {
        "issue -d NAME... [-m MAIL] [--agree-tos] ...",
        "Add a certificate to the configuration, as a file of its own in the first folder that "
        "include names, and wait until it is issued. It is kept renewed from then on.",
        options, ARRAY_LEN(options), NULL};
    CLEANUP_JSON struct json *request = json_object();
    CLEANUP_FREE char **args = long_options(argc, argv);
    struct issue i = {.request = request};
    struct json *reply = NULL;
    json_add_text(request, "verb", "issue");
    i.names = json_add_array(request, "names");
    int exit = ctl_parse(ctl, &usage, argc, args, &(struct ctl_args){set, add_names, &i});
    if (exit < 0 && json_len(i.names) == 0)
        exit = ctl_usage_error(ctl, "name what it is for: -d NAME");
    if (exit < 0)
        exit = check_webroot(ctl, request);
    if (exit >= 0)
        return exit;
    exit = admin_ask(ctl, request, &reply);
    if (exit == EXIT_DONE && !i.no_wait)
        exit = act_wait(ctl, json_text(reply, "name"));
    if (exit == EXIT_FAILED && reply)
        fprintf(stderr,
                "It stays in the configuration and is tried again. To give it up: rm %s, renewctl "
                "reload\n",
                json_text(reply, "file"));
    json_free(reply);
    return exit;
}

struct backup {
    const char *file;
    bool force, too_many;
};

static void backup_set(void *arg, const char *option, const char *value)
{
    struct backup *b = arg;
    (void)option;
    (void)value;
    b->force = true;
}

static void backup_operand(void *arg, const char *text)
{
    struct backup *b = arg;
    b->too_many = b->file != NULL;
    b->file = text;
}

/* The daemon has another folder than the one that this is typed in. */
static char *whole_path(const char *path)
{
    char cwd[PATH_MAX];
    if (path[0] == '/' || !realpath(".", cwd))
        return xstrdup(path);
    return xasprintf("%s/%s", str_eq(cwd, "/") ? "" : cwd, path);
}

int verb_backup(struct ctl *ctl, int argc, char **argv)
{
    static const struct ctl_option options[] = {{"force", NULL, "replace a file that is there"}};
    static const struct ctl_usage usage = {
        "backup FILE [--force]",
        "Write accounts, certificates with their keys, the state and the configuration to a tar "
        "archive, while the daemon runs. renewctl(1) tells how to restore it.",
        options, ARRAY_LEN(options), NULL};
    CLEANUP_JSON struct json *request = json_object();
    struct backup b = {0};
    int exit =
        ctl_parse(ctl, &usage, argc, argv, &(struct ctl_args){backup_set, backup_operand, &b});
    if (exit >= 0)
        return exit;
    if (!b.file || b.too_many)
        return ctl_usage_error(ctl, "name one file");
    CLEANUP_FREE char *path = whole_path(b.file);
    json_add_text(request, "verb", "backup");
    json_add_text(request, "file", path);
    json_add_bool(request, "force", b.force);
    return admin_ask(ctl, request, NULL);
}
