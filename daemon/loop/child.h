/* SPDX-License-Identifier: ISC */
/*
 * Child processes: always fork and exec (posix semantics: nothing but async-signal-safe calls
 * between them), own process group, a time limit that ends in SIGKILL of the group, output captured
 * up to a maximum. Exit is awaited by pidfd, so SIGCHLD is not needed.
 */
#ifndef RENEWD_LOOP_CHILD_H
#define RENEWD_LOOP_CHILD_H

#include "base/buf.h"
#include "base/err.h"
#include "loop/loop.h"

#include <sys/types.h>

struct child;

struct child_spec {
    const char *const
        *argv; /* argv[0] is the file: absolute, or looked up in the PATH given in env */
    const char *const *env; /* "A=B", NULL-terminated; NULL: empty environment */
    const char *dir;        /* NULL: "/" */
    uid_t uid;              /* (uid_t)-1: unchanged */
    gid_t gid;              /* set with initgroups-like clearing of supplementary groups */
    const char *user;       /* for initgroups when uid is set; NULL: no supplementary groups */
    const void *input;      /* stdin contents, copied; NULL: /dev/null */
    size_t input_len;
    size_t output_max;   /* stdout and stderr together, the last bytes are kept; 0: discarded */
    bool inherit_output; /* stdout, stderr of ours */
    int64_t timeout_ms;  /* 0: none; then SIGTERM to the group, SIGKILL 2 s later */
    const int *fds;      /* descriptors that become 3, 4, ... in the child; closed in the parent by
                            the caller */
    size_t n_fds;
    bool own_group;       /* setpgid(0, 0) */
    bool die_with_parent; /* PR_SET_PDEATHSIG SIGKILL, after the uid drop */
    bool keep_signal_mask;
    bool open_first; /* argv[0], a path, is opened before the user changes and executed by its
                        descriptor: a program whose folder the new user may not enter runs, too */
};

struct child_end {
    bool timed_out;
    int64_t timeout_ms; /* the limit that there was, 0: none */
    int status;         /* as waitpid */
    const char *output; /* lives for the call */
    size_t output_len;
};

/* done() is called once, from the loop, when the child has ended and its output is read; then the
 * child is freed by its owner with child_free. NULL on failure to start. */
struct child *child_start(struct loop *l, const struct child_spec *s,
                          void (*done)(void *arg, const struct child_end *end), void *arg,
                          struct err *e);
pid_t child_pid(const struct child *c);
void child_kill(struct child *c, int sig); /* the group where it has its own */
void child_free(
    struct child *c); /* still running: the group is killed and reaped, done() is not called */
/* "exited with 3", "killed by SIGKILL", "timed out after 60 s" */
const char *child_end_text(const struct child_end *end, char *buf, size_t size);

#endif
