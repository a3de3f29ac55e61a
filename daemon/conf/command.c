/* SPDX-License-Identifier: ISC */
#include "conf/command.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* In a process group of its own, with default signals and no descriptor of ours but the pipe. */
static int start(char *const argv[], int out_fd, pid_t *ret_pid)
{
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t at;
    sigset_t none, all;
    int rc;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&fa);
    posix_spawnattr_init(&at);
    posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&fa, out_fd, 1);
    posix_spawn_file_actions_addclosefrom_np(&fa, 3);
    posix_spawnattr_setflags(&at, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                      POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&at, &none);
    posix_spawnattr_setsigdefault(&at, &all);
    rc = posix_spawnp(ret_pid, argv[0], &fa, &at, argv, environ);
    posix_spawnattr_destroy(&at);
    posix_spawn_file_actions_destroy(&fa);
    return rc;
}

/* 1: fd is ready, 0: too late. */
static int wait_ready(int fd, int64_t deadline)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    for (;;) {
        int64_t left = deadline - clock_mono_ms(&clock_system);
        int n = left > 0 ? poll(&p, 1, (int)left) : 0;

        if (n > 0 || (n < 0 && errno != EINTR))
            return 1;
        if (n == 0)
            return 0;
    }
}

static int read_all(int fd, int64_t deadline, struct buf *out, struct err *e)
{
    char piece[4096];
    ssize_t n = 0;
    int rc = 0;

    while (!rc) {
        if (!wait_ready(fd, deadline)) {
            rc = err_set(e, ERR_LOCAL, "it did not end in time");
            break;
        }
        n = read(fd, piece, sizeof piece);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        if (buf_put(out, piece, (size_t)n))
            rc = err_set(e, ERR_LOCAL, "its output is longer than %zu bytes", out->max);
    }
    explicit_bzero(piece, sizeof piece);
    if (!rc && n < 0)
        rc = err_sys(e, errno, "reading its output");
    return rc;
}

static int reap(pid_t pid, int64_t deadline, struct err *e)
{
    CLEANUP_CLOSE int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    bool late = pidfd >= 0 && !wait_ready(pidfd, deadline);
    int status;

    if (late)
        kill(-pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return err_sys(e, errno, "waiting for it");
    if (late)
        return err_set(e, ERR_LOCAL, "it did not end in time");
    if (WIFSIGNALED(status))
        return err_set(e, ERR_LOCAL, "it was ended by signal %d", WTERMSIG(status));
    if (WEXITSTATUS(status))
        return err_set(e, ERR_LOCAL, "it exited with status %d", WEXITSTATUS(status));
    return 0;
}

int command_run(char *const argv[], int64_t timeout_ms, struct buf *out, struct err *e)
{
    int64_t deadline = clock_mono_ms(&clock_system) + timeout_ms;
    struct err ignored = ERR_INIT;
    int fds[2], rc;
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC))
        return err_sys(e, errno, "pipe");
    CLEANUP_CLOSE int in = fds[0];

    rc = start(argv, fds[1], &pid);
    close(fds[1]);
    if (rc)
        return err_set(e, ERR_LOCAL, "%s", strerror(rc));
    if (read_all(in, deadline, out, e)) {
        kill(-pid, SIGKILL);
        reap(pid, deadline + 1000, &ignored);
        return -1;
    }
    return reap(pid, deadline, e);
}
