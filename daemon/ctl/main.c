/* SPDX-License-Identifier: ISC */
/* renewctl: the command line to renewd. Asks the daemon over its sockets; what needs no daemon is
 * done by running renewd -t and renewd-worker. */
#include "base/mem.h"
#include "base/str.h"
#include "ctl/ctl.h"

#include <limits.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_SOCKET "/run/renewd/control.sock"

static const struct verb {
    const char *name;
    ctl_verb_fn *run; /* NULL: belongs to a later version */
    const char *help;
} verbs[] = {
    {"status", verb_status, "show the certificates, worst first"},
    {"certificates", verb_status, NULL},
    {"explain", verb_explain, "the last orders of a certificate, each step with its reason"},
    {"plan", verb_plan, "what renews when and why"},
    {"renew", verb_renew, "renew now"},
    {"deploy", verb_deploy, "run the deployments again"},
    {"preflight", verb_preflight, "check all that can be checked without an order"},
    {"check", verb_check, "check the configuration (renewd -t)"},
    {"reload", verb_reload, "read the configuration again, print what changes"},
    {"records", verb_records, "TXT records that are not yet removed"},
    {"plugin", verb_plugin, "list provider plugins, show their options"},
    {"issue", verb_issue, "add a certificate and wait for it"},
    {"import", NULL, NULL},
    {"pause", verb_pause, "order nothing for a certificate, a CA or a provider"},
    {"resume", verb_pause, "go on with what was paused"},
    {"revoke", verb_revoke, "revoke a certificate, and replace it"},
    {"delete", verb_delete, "archive the files of a certificate that is no longer configured"},
    {"backup", verb_backup, "write all that a new machine needs to a file"},
    {"account", verb_account, "the accounts at CAs: list, show, rollover, import..."},
};

static void print_help(void)
{
    printf("usage: renewctl [-s SOCKET] VERB [--json] [--help] ...\n\n");
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (verbs[i].help)
            printf("  %-10s %s\n", verbs[i].name, verbs[i].help);
    printf(
        "\n  -s SOCKET  the daemon's control socket (%s)\n"
        "  --json     print JSON\n"
        "\nExit: 0 done; 1 failed; 2 usage, configuration, unknown name; 3 daemon not reachable; "
        "4 refused\nrenewctl VERB --help tells more; the manual is renewctl(1).\n",
        DEFAULT_SOCKET);
}

static void print_verb_help(const struct ctl_usage *u)
{
    printf("usage: renewctl %s [--json]\n\n%s\n", u->synopsis, u->about);
    for (unsigned i = 0; i < u->n_options; i++) {
        char left[64];
        const struct ctl_option *o = &u->options[i];
        snprintf(left, sizeof(left), "--%s%s%s", o->name, o->value ? " " : "",
                 o->value ? o->value : "");
        printf("%s  %-12s %s\n", i ? "" : "\n", left, o->help);
    }
}

int ctl_usage_error(const struct ctl *ctl, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "renewctl%s%s: ", ctl->verb ? " " : "", ctl->verb ? ctl->verb : "");
    vfprintf(stderr, fmt, ap);
    fprintf(stderr, " (see renewctl%s%s --help)\n", ctl->verb ? " " : "",
            ctl->verb ? ctl->verb : "");
    va_end(ap);
    return EXIT_USAGE;
}

static bool is_later(const struct ctl_usage *u, const char *word)
{
    return u->later && str_eq(u->later, word);
}

static const struct ctl_option *find_option(const struct ctl_usage *u, const char *word, size_t n)
{
    for (unsigned i = 0; i < u->n_options; i++)
        if (strlen(u->options[i].name) == n && strncmp(u->options[i].name, word, n) == 0)
            return &u->options[i];
    return NULL;
}

/* One "--word" at argv[*i]; -1 to go on. */
static int parse_option(struct ctl *ctl, const struct ctl_usage *u, int argc, char **argv, int *i,
                        const struct ctl_args *to)
{
    const char *word = argv[*i] + 2;
    const char *equals = strchr(word, '=');
    size_t n = equals ? (size_t)(equals - word) : strlen(word);
    if (str_eq(word, "help")) {
        print_verb_help(u);
        return EXIT_DONE;
    }
    if (str_eq(word, "json")) {
        ctl->json = true;
        return -1;
    }
    const struct ctl_option *o = find_option(u, word, n);
    if (!o && is_later(u, word)) {
        fprintf(stderr, "renewctl %s --%s: not yet available\n", ctl->verb, word);
        return EXIT_USAGE;
    }
    if (!o)
        return ctl_usage_error(ctl, "unknown option --%.*s", (int)n, word);
    const char *value = equals ? equals + 1 : NULL;
    if (o->value && !value && *i + 1 < argc)
        value = argv[++*i];
    if (o->value && !value)
        return ctl_usage_error(ctl, "--%s needs a value", o->name);
    if (!o->value && value)
        return ctl_usage_error(ctl, "--%s takes no value", o->name);
    to->set(to->arg, o->name, value);
    return -1;
}

int ctl_parse(struct ctl *ctl, const struct ctl_usage *u, int argc, char **argv,
              const struct ctl_args *to)
{
    bool options = true;
    for (int i = 1; i < argc; i++) {
        if (options && str_eq(argv[i], "--")) {
            options = false;
            continue;
        }
        if (options && str_eq(argv[i], "-h")) {
            print_verb_help(u);
            return EXIT_DONE;
        }
        if (options && str_starts(argv[i], "--")) {
            int exit = parse_option(ctl, u, argc, argv, &i, to);
            if (exit >= 0)
                return exit;
            continue;
        }
        if (options && argv[i][0] == '-')
            return ctl_usage_error(ctl, "unknown option %s", argv[i]);
        if (!to->operand)
            return ctl_usage_error(ctl, "%s is one word too many", argv[i]);
        to->operand(to->arg, argv[i]);
    }
    return -1;
}

char *ctl_program(const char *name, const char *folder)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (n > 0) {
        self[n] = '\0';
        char *slash = strrchr(self, '/');
        if (slash) {
            char *beside = xasprintf("%.*s/%s", (int)(slash - self), self, name);
            if (access(beside, X_OK) == 0)
                return beside;
            free(beside);
        }
    }
    return xasprintf("%s/%s", folder, name);
}

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (str_eq(verbs[i].name, name))
            return &verbs[i];
    return NULL;
}

static int unknown_verb(const char *name)
{
    const char *names[ARRAY_LEN(verbs)];
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        names[i] = verbs[i].name;
    const char *near = str_nearest(name, names, ARRAY_LEN(verbs));
    fprintf(stderr, "renewctl: unknown verb %s%s%s%s (see renewctl --help)\n", name,
            near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
    return EXIT_USAGE;
}

/* Options before the verb. Returns its place in argv, or 0 with *ret_exit set. */
static int parse_head(struct ctl *ctl, int argc, char **argv, int *ret_exit)
{
    for (int i = 1; i < argc; i++) {
        if (str_eq(argv[i], "-s") && i + 1 < argc) {
            ctl->socket = argv[++i];
        } else if (str_eq(argv[i], "--json")) {
            ctl->json = true;
        } else if (str_eq(argv[i], "--help") || str_eq(argv[i], "-h")) {
            print_help();
            *ret_exit = EXIT_DONE;
            return 0;
        } else if (str_eq(argv[i], "--version")) {
            printf("renewctl %s\n", RENEWD_VERSION);
            *ret_exit = EXIT_DONE;
            return 0;
        } else if (argv[i][0] == '-') {
            *ret_exit = ctl_usage_error(ctl, "unknown option %s", argv[i]);
            return 0;
        } else {
            return i;
        }
    }
    print_help();
    *ret_exit = EXIT_USAGE;
    return 0;
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, "");
    struct ctl ctl = {.socket = DEFAULT_SOCKET};
    int exit = EXIT_USAGE;
    int at = parse_head(&ctl, argc, argv, &exit);
    if (at == 0)
        return exit;
    const struct verb *v = find_verb(argv[at]);
    if (!v)
        return unknown_verb(argv[at]);
    ctl.verb = argv[at];
    if (!v->run) {
        fprintf(stderr, "renewctl %s: not yet available\n", v->name);
        return EXIT_USAGE;
    }
    exit = v->run(&ctl, argc - at, argv + at);
    if (fflush(stdout) != 0 && exit == EXIT_DONE)
        exit = EXIT_FAILED;
    return exit;
}
