/* SPDX-License-Identifier: ISC */
/* What the verbs of renewctl share. */
#ifndef RENEWD_CTL_CTL_H
#define RENEWD_CTL_CTL_H

#include "base/json.h"

#include <stdbool.h>

/* Exit codes, the same for every verb. */
enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_UNREACHABLE = 3, EXIT_REFUSED = 4 };

struct ctl {
    const char *socket; /* control.sock */
    bool json;          /* print JSON, nothing else, on stdout */
    const char *verb;
};

/* A verb: argv[0] is its name; returns the exit code. */
typedef int ctl_verb_fn(struct ctl *ctl, int argc, char **argv);

ctl_verb_fn verb_status, verb_plan, verb_explain, verb_renew, verb_deploy, verb_records,
    verb_preflight, verb_reload, verb_check, verb_plugin, verb_account, verb_revoke, verb_delete,
    verb_pause, verb_issue, verb_backup;

/* As renew NAME --wait; a certificate that is in order already is as good. */
int act_wait(struct ctl *ctl, const char *name);

/* One option of a verb. */
struct ctl_option {
    const char *name;  /* "wait": --wait */
    const char *value; /* name of its value in the help, NULL: a flag */
    const char *help;
};
struct ctl_usage {
    const char *synopsis; /* after "renewctl ": "renew NAME...|--due [--wait]" */
    const char *about;    /* one sentence or two */
    const struct ctl_option *options;
    unsigned n_options;
    const char *later; /* options that belong to later versions, separated by spaces; or NULL */
};

/*
 * Goes through argv: --json and --help are known to all. set(arg, option, value) is called for each
 * option of the table, operand(arg, text) for the rest. Returns -1 to go on, else the exit code.
 */
struct ctl_args {
    void (*set)(void *arg, const char *option, const char *value);
    void (*operand)(void *arg, const char *text);
    void *arg;
};
int ctl_parse(struct ctl *ctl, const struct ctl_usage *u, int argc, char **argv,
              const struct ctl_args *to);
int ctl_usage_error(const struct ctl *ctl, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Path of one of our programs: beside this one (a build tree), else in the folder given. The caller
 * frees. */
char *ctl_program(const char *name, const char *folder);

#endif
