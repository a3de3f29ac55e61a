/* SPDX-License-Identifier: ISC */
/* check: needs no daemon, is done by renewd itself. */
#include "base/mem.h"
#include "ctl/ctl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct check {
    const char *file;
    bool too_many;
};

static void check_operand(void *arg, const char *text)
{
    struct check *c = arg;
    c->too_many = c->file != NULL;
    c->file = text;
}

int verb_check(struct ctl *ctl, int argc, char **argv)
{
    static const struct ctl_usage usage = {
        "check [FILE]", "Check a configuration without running it, as renewd -t does.", NULL, 0,
        NULL};
    struct check c = {0};
    int exit = ctl_parse(ctl, &usage, argc, argv, &(struct ctl_args){NULL, check_operand, &c});
    if (exit >= 0)
        return exit;
    if (c.too_many)
        return ctl_usage_error(ctl, "one file at a time");
    CLEANUP_FREE char *program = ctl_program("renewd", RENEWD_SBINDIR);
    const char *args[6] = {program, "-t"};
    int n = 2;
    if (ctl->json)
        args[n++] = "--json";
    if (c.file) {
        args[n++] = "-c";
        args[n++] = c.file;
    }
    args[n] = NULL;
    execv(program, (char *const *)args);
    fprintf(stderr, "renewctl: cannot run %s: %s\n", program, strerror(errno));
    return EXIT_FAILED;
}
