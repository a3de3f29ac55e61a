/* SPDX-License-Identifier: ISC */
/*
 * A child and how it ends:
 *
 *     RUNNING -- pidfd readable --> what is left of the output is read --> ENDED, done()
 *        | time is up: SIGTERM to the group
 *     TERMINATING -- 2 s --> SIGKILL to the group (and again to whoever is left when the child
 * ends)
 *
 * The end of the output is not waited for: a grandchild may hold the pipe open for ever.
 */
#include "loop/child.h"

#include "base/file.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif
#ifndef P_PIDFD
#define P_PIDFD 3
#endif

#define KILL_AFTER_MS 2000
#define DRAIN_READS 64 /* of 16 KiB, after the child's end: a grandchild may write for ever */
#define REAP_MS 200
#define GROUPS_MAX 1024
#define FDS_MAX 64

struct child {
    struct loop *loop;
    pid_t pid; /* 0 once reaped */
    int pidfd, output_fd;
    bool own_group, timed_out;
    struct watch *exited, *output;
    struct timer timer;
    struct buf text;
    size_t output_max;
    int64_t timeout_ms;
    int status;
    void (*done)(void *arg, const struct child_end *end);
    void *arg;
};

/* All that the new process needs, made before fork. */
struct launch {
    const struct child_spec *spec;
    char **paths; /* files to try, NULL-terminated */
    gid_t *groups;
    int n_groups;
    int io[3];   /* become 0, 1, 2 */
    int report;  /* written to when something fails before exec */
    int program; /* -1, or what open_first has opened */
    pid_t parent;
    sigset_t mask;
};

enum step { STEP_FDS, STEP_GROUP, STEP_USER, STEP_DIR, STEP_PARENT, STEP_EXEC };
static const char *const step_text[] = {
    [STEP_FDS] = "cannot arrange the descriptors of",
    [STEP_GROUP] = "cannot make a process group for",
    [STEP_USER] = "cannot change the user for",
    [STEP_DIR] = "cannot change the folder for",
    [STEP_PARENT] = "cannot tie to its parent",
    [STEP_EXEC] = "cannot execute",
};
struct failure {
    int step, sys;
};

/* --- in the new process: async-signal-safe calls only --- */

static void fail(const struct launch *a, int step) __attribute__((noreturn));
static void fail(const struct launch *a, int step)
{
    struct failure f = {.step = step, .sys = errno};
    ssize_t n = write(a->report, &f, sizeof f);

    _exit(n == (ssize_t)sizeof f ? 127 : 126);
}

/* Handlers of ours must not run here: libevent's would write to a pipe that we share with the
 * parent. */
static void reset_signals(void)
{
    struct sigaction dfl = {.sa_handler = SIG_DFL};

    sigemptyset(&dfl.sa_mask);
    for (int sig = 1; sig < NSIG; sig++)
        sigaction(sig, &dfl, NULL);
}

static void close_from(int first)
{
    if (syscall(SYS_close_range, (unsigned)first, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
        return;
    long max = sysconf(_SC_OPEN_MAX);
    for (int fd = first; fd < (max > 0 && max < 65536 ? max : 65536); fd++)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/* First everything is moved above the targets, so that no target hits a source. */
static void place_fds(struct launch *a)
{
    int n = 3 + (int)a->spec->n_fds;
    int high[3 + FDS_MAX];
    int report = fcntl(a->report, F_DUPFD_CLOEXEC, n);

    if (report < 0)
        fail(a, STEP_FDS);
    a->report = report;
    for (int i = 0; i < n; i++) {
        high[i] = fcntl(i < 3 ? a->io[i] : a->spec->fds[i - 3], F_DUPFD_CLOEXEC, n);
        if (high[i] < 0)
            fail(a, STEP_FDS);
    }
    for (int i = 0; i < n; i++)
        if (dup2(high[i], i) < 0)
            fail(a, STEP_FDS);
    close_from(n);
}

/* By system call: the C library's functions would tell the other threads, which are not here. */
static void drop_user(struct launch *a)
{
    const struct child_spec *s = a->spec;

    if (s->uid == (uid_t)-1)
        return;
    if (syscall(SYS_setgroups, (size_t)a->n_groups, a->groups) < 0 ||
        syscall(SYS_setresgid, s->gid, s->gid, s->gid) < 0 ||
        syscall(SYS_setresuid, s->uid, s->uid, s->uid) < 0)
        fail(a, STEP_USER);
}

static void run(struct launch *a) __attribute__((noreturn));
static void run(struct launch *a)
{
    const struct child_spec *s = a->spec;
    static char *const no_env[] = {NULL};
    int why = ENOENT;

    reset_signals();
    place_fds(a);
    if (s->own_group && setpgid(0, 0) < 0)
        fail(a, STEP_GROUP);
    a->program = s->open_first ? open(s->argv[0], O_PATH | O_CLOEXEC) : -1;
    drop_user(a);
    if (chdir(s->dir ? s->dir : "/") < 0)
        fail(a, STEP_DIR);
    if (s->die_with_parent) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
            fail(a, STEP_PARENT);
        errno = ESRCH;
        if (getppid() != a->parent)
            fail(a, STEP_PARENT);
    }
    sigprocmask(SIG_SETMASK, &a->mask, NULL);
    if (a->program >= 0)
        syscall(SYS_execveat, a->program, "", s->argv, s->env ? (char *const *)s->env : no_env,
                AT_EMPTY_PATH);
    for (char **p = a->paths; *p; p++) {
        execve(*p, (char *const *)s->argv, s->env ? (char *const *)s->env : no_env);
        if (errno != ENOENT && errno != ENOTDIR)
            why = errno;
        if (errno != ENOENT && errno != ENOTDIR && errno != EACCES)
            break;
    }
    errno = why;
    fail(a, STEP_EXEC);
}

/* --- preparation --- */

static const char *path_of(const char *const *env)
{
    for (; env && *env; env++)
        if (strncmp(*env, "PATH=", 5) == 0)
            return *env + 5;
    return "/usr/local/bin:/usr/bin:/bin";
}

static char **candidates(const struct child_spec *s)
{
    const char *path = path_of(s->env);
    size_t n = 1;

    for (const char *p = path; *p; p++)
        n += *p == ':';
    char **list = xcalloc(n + 1, sizeof *list);
    if (strchr(s->argv[0], '/')) {
        list[0] = xstrdup(s->argv[0]);
        return list;
    }
    for (size_t i = 0; i < n;) {
        size_t len = strcspn(path, ":");

        if (len && path[0] == '/') /* an empty or relative one means the folder at hand: never */
            list[i++] = xasprintf("%.*s/%s", (int)len, path, s->argv[0]);
        if (!path[len])
            break;
        path += len + 1;
    }
    return list;
}

static int find_groups(struct launch *a, struct err *e)
{
    const struct child_spec *s = a->spec;

    if (s->uid == (uid_t)-1 || !s->user)
        return 0;
    a->n_groups = GROUPS_MAX;
    a->groups = xcalloc(GROUPS_MAX, sizeof *a->groups);
    if (getgrouplist(s->user, s->gid, a->groups, &a->n_groups) < 0)
        return err_set(e, ERR_LOCAL, "user %s is in over %d groups", s->user, GROUPS_MAX);
    return 0;
}

static int open_input(const struct child_spec *s, struct err *e)
{
    int fd;

    if (!s->input) {
        fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        return fd < 0 ? err_sys(e, errno, "cannot open /dev/null") : fd;
    }
    fd = memfd_create("stdin", MFD_CLOEXEC);
    if (fd < 0)
        return err_sys(e, errno, "cannot make a file in memory");
    if (file_write_whole(fd, s->input, s->input_len) < 0) {
        err_sys(e, errno, "cannot write the input of %s", s->argv[0]);
        close(fd);
        return -1;
    }
    lseek(fd, 0, SEEK_SET);
    return fd;
}

/* io[1] and io[2] of the launch; our end of the pipe in *ret_read, or -1. */
static int open_output(struct launch *a, int *ret_read, struct err *e)
{
    int p[2] = {-1, -1};

    if (a->spec->inherit_output) {
        a->io[1] = fcntl(1, F_DUPFD_CLOEXEC, 3);
        a->io[2] = fcntl(2, F_DUPFD_CLOEXEC, 3);
    } else if (a->spec->output_max) {
        if (pipe2(p, O_CLOEXEC) < 0)
            return err_sys(e, errno, "cannot make a pipe");
        *ret_read = p[0];
        fcntl(p[0], F_SETFL, O_NONBLOCK);
        a->io[1] = p[1];
        a->io[2] = fcntl(p[1], F_DUPFD_CLOEXEC, 3);
    }
    for (int i = 1; i < 3; i++)
        if (a->io[i] < 0)
            a->io[i] = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (a->io[1] < 0 || a->io[2] < 0)
        return err_sys(e, errno, "cannot open /dev/null");
    return 0;
}

static int launch_init(struct launch *a, const struct child_spec *s, int *ret_read, struct err *e)
{
    *a = (struct launch){.spec = s, .io = {-1, -1, -1}, .report = -1, .parent = getpid()};
    if (s->n_fds > FDS_MAX)
        return err_set(e, ERR_BUG, "too many descriptors for %s", s->argv[0]);
    a->paths = candidates(s);
    if (find_groups(a, e))
        return -1;
    a->io[0] = open_input(s, e);
    if (a->io[0] < 0)
        return -1;
    return open_output(a, ret_read, e);
}

static void launch_done(struct launch *a)
{
    for (int i = 0; i < 3; i++)
        if (a->io[i] >= 0)
            close(a->io[i]);
    for (char **p = a->paths; p && *p; p++)
        free(*p);
    free(a->paths);
    free(a->groups);
}

/* Returns when the new process has executed its file, or failed to. */
static pid_t launch(struct launch *a, struct err *e)
{
    struct failure f;
    sigset_t all, old;
    int report[2];

    if (pipe2(report, O_CLOEXEC) < 0)
        return err_sys(e, errno, "cannot make a pipe");
    a->report = report[1];
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    if (a->spec->keep_signal_mask)
        a->mask = old;
    else
        sigemptyset(&a->mask);
    pid_t pid = fork();
    if (pid == 0)
        run(a);
    int sys = errno;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    close(report[1]);
    if (pid < 0) {
        close(report[0]);
        return err_sys(e, sys, "cannot start %s", a->spec->argv[0]);
    }
    ssize_t n;
    while ((n = read(report[0], &f, sizeof f)) < 0 && errno == EINTR)
        ;
    close(report[0]);
    if (n == (ssize_t)sizeof f) {
        waitpid(pid, NULL, 0);
        return err_sys(e, f.sys, "%s %s", step_text[f.step], a->spec->argv[0]);
    }
    return pid;
}

/* --- the running child --- */

static void child_signal(struct child *c, int sig)
{
    if (!c->pid)
        return;
    if (c->own_group)
        kill(-c->pid, sig); /* not reaped yet, so the number is still ours */
    else
        kill(c->pid, sig);
}

/* Keeps the last output_max bytes. 1: read some; 0: nothing there now; -1: the end. */
static int read_output(struct child *c)
{
    char chunk[16384];
    ssize_t n = read(c->output_fd, chunk, sizeof chunk);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    if (n == 0)
        return -1;
    size_t skip = (size_t)n > c->output_max ? (size_t)n - c->output_max : 0;
    buf_put(&c->text, chunk + skip, (size_t)n - skip);
    if (c->text.len > 2 * c->output_max)
        buf_consume(&c->text, c->text.len - c->output_max);
    return 1;
}

static void output_ready(void *arg, int what)
{
    struct child *c = arg;

    (void)what;
    if (read_output(c) < 0)
        watch_set(c->output, 0);
}

static void time_up(void *arg)
{
    struct child *c = arg;

    child_signal(c, c->timed_out ? SIGKILL : SIGTERM);
    if (!c->timed_out)
        timer_after(c->loop, &c->timer, KILL_AFTER_MS, time_up, c);
    c->timed_out = true;
}

static void reap(struct child *c)
{
    while (waitpid(c->pid, &c->status, 0) < 0 && errno == EINTR)
        ;
    c->pid = 0;
    timer_cancel(&c->timer);
    watch_free(c->exited);
    watch_free(c->output);
    c->exited = c->output = NULL;
}

static void exited(void *arg, int what)
{
    struct child *c = arg;
    struct buf text;

    (void)what;
    if (c->timed_out && c->own_group)
        child_signal(c, SIGKILL); /* whoever of the group outlived it */
    reap(c);
    for (int i = 0; i < DRAIN_READS && c->output_fd >= 0 && read_output(c) > 0; i++)
        ;
    if (c->text.len > c->output_max)
        buf_consume(&c->text, c->text.len - c->output_max);

    text = c->text; /* done() may free c */
    c->text = (struct buf){0};
    struct child_end end = {.timed_out = c->timed_out,
                            .timeout_ms = c->timeout_ms,
                            .status = c->status,
                            .output = buf_str(&text),
                            .output_len = text.len};
    c->done(c->arg, &end);
    buf_free(&text);
}

static struct child *child_new(struct loop *l, const struct child_spec *s, pid_t pid, int pidfd,
                               int output)
{
    struct child *c = xnew(struct child);

    c->loop = l;
    c->pid = pid;
    c->pidfd = pidfd;
    c->output_fd = output;
    c->own_group = s->own_group;
    c->output_max = s->output_max;
    c->timeout_ms = s->timeout_ms;
    buf_init(&c->text, 3 * s->output_max + 1);
    c->exited = watch_new(l, pidfd, LOOP_READ, exited, c);
    if (output >= 0)
        c->output = watch_new(l, output, LOOP_READ, output_ready, c);
    if (s->timeout_ms > 0)
        timer_after(l, &c->timer, s->timeout_ms, time_up, c);
    return c;
}

struct child *child_start(struct loop *l, const struct child_spec *s,
                          void (*done)(void *arg, const struct child_end *end), void *arg,
                          struct err *e)
{
    struct launch a;
    int output = -1;
    pid_t pid = -1;

    if (launch_init(&a, s, &output, e) == 0)
        pid = launch(&a, e);
    launch_done(&a);
    int pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1; /* it is close-on-exec */
    if (pid > 0 && pidfd < 0) {
        err_sys(e, errno, "cannot watch %s", s->argv[0]);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    if (pidfd < 0) {
        if (output >= 0)
            close(output);
        return NULL;
    }
    struct child *c = child_new(l, s, pid, pidfd, output);
    c->done = done;
    c->arg = arg;
    return c;
}

pid_t child_pid(const struct child *c)
{
    return c->pid;
}

void child_kill(struct child *c, int sig)
{
    child_signal(c, sig);
}

void child_free(struct child *c)
{
    if (!c)
        return;
    if (c->pid) {
        struct pollfd p = {.fd = c->pidfd, .events = POLLIN};

        child_signal(c, SIGKILL);
        /* At once, but for a process that hangs in the kernel or is not ours to kill any more. */
        if (poll(&p, 1, REAP_MS) == 1)
            reap(c);
    }
    timer_cancel(&c->timer);
    watch_free(c->exited);
    watch_free(c->output);
    close(c->pidfd);
    if (c->output_fd >= 0)
        close(c->output_fd);
    buf_free(&c->text);
    free(c);
}

const char *child_end_text(const struct child_end *end, char *buf, size_t size)
{
    char span[32];

    if (end->timed_out)
        snprintf(buf, size, "timed out after %s",
                 str_from_duration(end->timeout_ms, span, sizeof span));
    else if (WIFEXITED(end->status))
        snprintf(buf, size, "exited with %d", WEXITSTATUS(end->status));
    else if (WIFSIGNALED(end->status))
        snprintf(buf, size, "killed by SIG%s",
                 sigabbrev_np(WTERMSIG(end->status)) ? sigabbrev_np(WTERMSIG(end->status)) : "?");
    else
        snprintf(buf, size, "ended with status %d", end->status);
    return buf;
}
