/* SPDX-License-Identifier: ISC */
#include "worker/sandbox.h"

#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#define DATA_MAX (256u << 20)

static void limit(int what, rlim_t max)
{
    struct rlimit r = {.rlim_cur = max, .rlim_max = max};
    setrlimit(what, &r);
}

static void set_limits(void)
{
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_FSIZE, 0);
    limit(RLIMIT_NOFILE, 24);
#ifndef RENEWD_SANITIZE /* its shadow memory counts as data */
    limit(RLIMIT_DATA, DATA_MAX);
#endif
}

static void describe(struct sandbox *s, const char *more)
{
    char landlock[32] = "no landlock";
    if (s->landlock)
        snprintf(landlock, sizeof(landlock), "landlock %d", s->landlock);
    const char *seccomp = s->seccomp == 2   ? "seccomp"
                          : s->seccomp == 1 ? "seccomp (first stage only)"
                                            : "no seccomp";
    snprintf(s->text, sizeof(s->text), "%s, %s%s", landlock, seccomp, more);
}

#ifdef RENEWD_SANITIZE
#define NOTE ", no memory limit (sanitizer build)"
#else
#define NOTE ""
#endif

void sandbox_enter(struct sandbox *s, int plugin_fd, const char *folder)
{
    memset(s, 0, sizeof(*s));
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    set_limits();
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) {
        s->landlock = sandbox_landlock(plugin_fd, folder);
        s->seccomp = sandbox_seccomp(1) == 0 ? 1 : 0;
    }
    describe(s, NOTE);
}

int sandbox_complete(struct sandbox *s, struct err *e)
{
    if (s->seccomp == 1) {
        int rc = sandbox_seccomp(2);
        if (rc > 0)
            return err_set(e, ERR_LOCAL,
                           "a thread of the plugin changed its own system call filter; "
                           "the plugin is not trusted");
        if (rc < 0)
            return err_sys(e, -rc, "cannot complete the sandbox after the plugin was loaded");
        s->seccomp = 2;
    }
    describe(s, NOTE);
    return 0;
}
