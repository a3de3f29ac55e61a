/* SPDX-License-Identifier: ISC */
#include "command.h"
#include "base/mem.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void read_all(int fd, struct buf *out)
{
    char chunk[4096];
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n <= 0)
            return;
        buf_put(out, chunk, (size_t)n);
    }
}

int command_run(const char *const *argv, struct buf *out)
{
    int ends[2], status;
    pid_t pid;
    posix_spawn_file_actions_t actions;
    if (pipe2(ends, O_CLOEXEC))
        abort();
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 2);
    int failed = posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (!failed)
        read_all(ends[0], out);
    close(ends[0]);
    if (failed || waitpid(pid, &status, 0) != pid)
        return 127;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

char *command_file(const void *p, size_t n)
{
    char *path = xstrdup("/tmp/renewd-unit-XXXXXX");
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0 || write(fd, p, n) != (ssize_t)n || close(fd))
        abort();
    return path;
}
