/* SPDX-License-Identifier: ISC */
/*
 * Tries what a plugin must not do, in its constructor, in a thread that the constructor started, in
 * create and in add, and tells what succeeded: "constructor: | thread: | create: | add:".
 */
#include <renewd/helpers.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int opens(const char *path, int flags)
{
    int fd = open(path, flags, 0600);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static int connects(int family, int type)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(53)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(family, type, 0);
    if (fd < 0)
        return 0;
    connect(fd, (struct sockaddr *)&to, sizeof(to));
    close(fd);
    return 1;
}

static int forks(long nr, unsigned long flags)
{
    long pid = nr == SYS_clone ? syscall(SYS_clone, flags, 0, 0, 0, 0) : syscall(nr);
    if (pid == 0)
        _exit(0);
    if (pid > 0)
        waitpid((pid_t)pid, NULL, 0);
    return pid > 0;
}

static int spawns(void)
{
    char *argv[] = {(char *)"true", NULL};
    pid_t pid;
    return posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ) == 0;
}

static int executes(void)
{
    char *argv[] = {(char *)"true", NULL}; /* on success this process ends: the test sees that */
    return execve("/bin/true", argv, environ) == 0;
}

static int maps_code(void)
{
    void *p =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p != MAP_FAILED)
        munmap(p, 4096);
    return p != MAP_FAILED;
}

static int reads_memory(pid_t pid)
{
    char here[8];
    struct iovec local = {here, sizeof(here)}, remote = {here, sizeof(here)};
    return syscall(SYS_process_vm_readv, pid, &local, 1L, &remote, 1L, 0L) >= 0;
}

struct findings {
    char text[512];
};

static void note(struct findings *f, const char *what, int succeeded)
{
    size_t n = strlen(f->text);
    if (succeeded)
        snprintf(f->text + n, sizeof(f->text) - n, " %s", what);
}

static void try_all(struct findings *f, int late)
{
    struct rlimit big = {RLIM_INFINITY, RLIM_INFINITY};
    pid_t parent = getppid();
    f->text[0] = '\0';
    note(f, "open-passwd", opens("/etc/passwd", O_RDONLY));
    note(f, "fork", forks(SYS_clone, SIGCHLD));
    note(f, "connect-tcp", connects(AF_INET, SOCK_STREAM));
    note(f, "memfd", syscall(SYS_memfd_create, "x", 0L) >= 0);
    if (getenv("RENEWD_TEST_TAME")) /* without a sandbox: that these work shows that the test can
                                       fail */
        return;
    note(f, "open-memory", opens("/proc/self/mem", O_RDWR));
    note(f, "open-config", opens("/etc/renewd/renewd.yaml", O_RDONLY));
    note(f, "create-file", opens("/tmp/renewd-hostile", O_WRONLY | O_CREAT));
    note(f, "create-here", opens("renewd-hostile", O_WRONLY | O_CREAT));
    note(f, "open-tmpfile", opens("/tmp", O_TMPFILE | O_RDWR));
    note(f, "unlink", unlink("/tmp/renewd-hostile-victim") == 0 || errno == ENOENT);
    note(f, "connect-udp", connects(AF_INET, SOCK_DGRAM));
    note(f, "connect-unix", connects(AF_UNIX, SOCK_STREAM));
    note(f, "connect-netlink", connects(AF_NETLINK, SOCK_RAW));
    note(f, "clone-vm", forks(SYS_clone, CLONE_FILES | SIGCHLD));
#ifdef SYS_fork
    note(f, "fork-call", forks(SYS_fork, 0));
#endif
    note(f, "spawn", spawns());
    note(f, "exec", executes());
    note(f, "ptrace", syscall(SYS_ptrace, (long)PTRACE_TRACEME, 0L, 0L, 0L) == 0);
    note(f, "ptrace-parent", syscall(SYS_ptrace, (long)PTRACE_SEIZE, (long)parent, 0L, 0L) == 0);
    note(f, "kill-parent", kill(parent, 0) == 0);
    note(f, "kill-tgkill", syscall(SYS_tgkill, (long)parent, (long)parent, 0L) == 0);
    note(f, "read-parent", reads_memory(parent));
    note(f, "read-self", reads_memory(getpid()));
    note(f, "limits", syscall(SYS_prlimit64, (long)parent, (long)RLIMIT_CORE, &big, NULL) == 0);
    note(f, "io-uring", syscall(SYS_io_uring_setup, 4L, NULL) >= 0 || errno == EFAULT);
    note(f, "mount",
         syscall(SYS_mount, "none", "/nonexistent", "tmpfs", 0L, NULL) == 0 || errno == ENOENT);
    note(f, "unshare", syscall(SYS_unshare, (long)CLONE_NEWUSER) == 0);
    note(f, "setuid", syscall(SYS_setuid, 0L) == 0);
    note(f, "chdir", chdir("/") == 0);
    note(f, "bpf", syscall(SYS_bpf, 0L, NULL, 0L) >= 0 || errno == EFAULT || errno == E2BIG);
    if (late) { /* what the first stage still allows */
        note(f, "open-library", opens("/usr/lib", O_RDONLY | O_DIRECTORY));
        note(f, "stat", access("/usr/lib", F_OK) == 0);
        note(f, "code", maps_code());
    }
}

static struct findings in_constructor, in_thread, in_create, in_add;
static int library_readable;
static atomic_int go, done;

static void *thread(void *arg)
{
    while (!atomic_load(&go))
        sched_yield();
    try_all(&in_thread, 1);
    atomic_store(&done, 1);
    return arg;
}

__attribute__((constructor)) static void construct(void)
{
    pthread_t t;
    try_all(&in_constructor, 0);
    library_readable = opens("/usr/lib", O_RDONLY | O_DIRECTORY);
    if (pthread_create(&t, NULL, thread, NULL) != 0)
        snprintf(in_thread.text, sizeof(in_thread.text), " (no thread)");
    else
        pthread_detach(t);
}

static int32_t create(struct renewd_ctx *ctx, void **ret_self)
{
    (void)ctx;
    (void)ret_self;
    try_all(&in_create, 1);
    return RENEWD_OK;
}

static int32_t add(void *self, struct renewd_ctx *ctx, const struct renewd_txt *txt)
{
    (void)self;
    (void)txt;
    try_all(&in_add, 1);
    atomic_store(&go, 1);
    while (!atomic_load(&done))
        sched_yield();
    return renewd_fail(
        ctx, RENEWD_E_REJECTED, "library:%d constructor:%s | thread:%s | create:%s | add:%s",
        library_readable, in_constructor.text, in_thread.text, in_create.text, in_add.text);
}

static int32_t del(void *self, struct renewd_ctx *ctx, const struct renewd_txt *txt)
{
    return add(self, ctx, txt);
}

static struct renewd_plugin plugin = {
    .id = "hostile",
    .name = "Hostile",
    .model = RENEWD_MODEL_RECORD,
    .create = create,
    .add = add,
    .remove = del,
};
RENEWD_PLUGIN(plugin)
