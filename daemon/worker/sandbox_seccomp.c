/* SPDX-License-Identifier: ISC */
/*
 * The system calls of a worker: two allow-lists in classic BPF; everything else fails with ENOSYS,
 * as on a kernel that never had it (so that libraries fall back), a foreign architecture's calls
 * end the process. The program:
 *
 *     arch != ours -> kill;  A = nr;  for each entry of the stage:  nr? -> its check -> allow |
 * ENOSYS
 *
 * Several entries for one number are alternatives. A check sees the low half of one argument. x32
 * numbers match no entry.
 */
#include "base/mem.h"
#include "worker/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#define ARCH 0u /* no filter is known for it: sandbox_seccomp() says so */
#endif

#define CLONE_NEEDED (CLONE_VM | CLONE_THREAD)
#define AT_EMPTY 0x1000 /* AT_EMPTY_PATH */
#define OPEN_FORBIDDEN (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)

enum { BOTH = 3, FIRST = 1, SECOND = 2 };
enum check { ANY, CLEAR, SET, EQUAL, OURS };

/* Allowed if argument `arg` has these bits clear, or set, or is that value, or our process id. */
struct entry {
    uint16_t nr;
    uint8_t stages;
    uint8_t check;
    uint8_t arg;
    uint32_t value;
};

static const struct entry table[] = {
    {__NR_read, BOTH, ANY, 0, 0},
    {__NR_write, BOTH, ANY, 0, 0},
    {__NR_readv, BOTH, ANY, 0, 0},
    {__NR_writev, BOTH, ANY, 0, 0},
    {__NR_ppoll, BOTH, ANY, 0, 0},
    {__NR_pselect6, BOTH, ANY, 0, 0},
    {__NR_futex, BOTH, ANY, 0, 0},
    {__NR_mmap, FIRST, ANY, 0, 0},
    {__NR_mmap, SECOND, CLEAR, 2, PROT_EXEC},
    {__NR_mprotect, FIRST, ANY, 0, 0},
    {__NR_mprotect, SECOND, CLEAR, 2, PROT_EXEC},
    {__NR_munmap, BOTH, ANY, 0, 0},
    {__NR_mremap, BOTH, ANY, 0, 0},
    {__NR_madvise, BOTH, ANY, 0, 0},
    {__NR_brk, BOTH, ANY, 0, 0},
    {__NR_getrandom, BOTH, ANY, 0, 0},
    {__NR_clock_gettime, BOTH, ANY, 0, 0},
    {__NR_clock_getres, BOTH, ANY, 0, 0},
    {__NR_clock_nanosleep, BOTH, ANY, 0, 0},
    {__NR_nanosleep, BOTH, ANY, 0, 0},
    {__NR_gettimeofday, BOTH, ANY, 0, 0},
    {__NR_close, BOTH, ANY, 0, 0},
    {__NR_fstat, BOTH, ANY, 0, 0},
    {__NR_lseek, BOTH, ANY, 0, 0},
    {__NR_pread64, BOTH, ANY, 0, 0},
    {__NR_newfstatat, FIRST, ANY, 0, 0},
    {__NR_newfstatat, SECOND, SET, 3, AT_EMPTY},
    {__NR_statx, FIRST, ANY, 0, 0},
    {__NR_statx, SECOND, SET, 2, AT_EMPTY},
    {__NR_openat, FIRST, CLEAR, 2, OPEN_FORBIDDEN},
    {__NR_faccessat, FIRST, ANY, 0, 0},
    {__NR_readlinkat, FIRST, ANY, 0, 0},
    {__NR_getcwd, FIRST, ANY, 0, 0},
    {__NR_fcntl, BOTH, EQUAL, 1, F_GETFD},
    {__NR_fcntl, BOTH, EQUAL, 1, F_SETFD},
    {__NR_fcntl, BOTH, EQUAL, 1, F_GETFL},
    {__NR_fcntl, BOTH, EQUAL, 1, F_SETFL},
    {__NR_rt_sigaction, BOTH, ANY, 0, 0},
    {__NR_rt_sigprocmask, BOTH, ANY, 0, 0},
    {__NR_rt_sigreturn, BOTH, ANY, 0, 0},
    {__NR_sigaltstack, BOTH, ANY, 0, 0},
    {__NR_restart_syscall, BOTH, ANY, 0, 0},
    {__NR_sched_yield, BOTH, ANY, 0, 0},
    {__NR_sched_getaffinity, BOTH, ANY, 0, 0},
    {__NR_getcpu, BOTH, ANY, 0, 0},
    {__NR_membarrier, BOTH, ANY, 0, 0},
    {__NR_rseq, BOTH, ANY, 0, 0},
    {__NR_set_robust_list, BOTH, ANY, 0, 0},
    {__NR_clone, BOTH, SET, 0, CLONE_NEEDED},
    {__NR_exit, BOTH, ANY, 0, 0},
    {__NR_exit_group, BOTH, ANY, 0, 0},
    {__NR_tgkill, BOTH, OURS, 0, 0},
    {__NR_getpid, BOTH, ANY, 0, 0},
    {__NR_getppid, BOTH, ANY, 0, 0},
    {__NR_gettid, BOTH, ANY, 0, 0},
    {__NR_getuid, BOTH, ANY, 0, 0},
    {__NR_geteuid, BOTH, ANY, 0, 0},
    {__NR_getgid, BOTH, ANY, 0, 0},
    {__NR_getegid, BOTH, ANY, 0, 0},
    {__NR_uname, BOTH, ANY, 0, 0},
    {__NR_sysinfo, BOTH, ANY, 0, 0},
    {__NR_prlimit64, BOTH, EQUAL, 0, 0},
    {__NR_prctl, BOTH, EQUAL, 0, PR_SET_NAME},
    {__NR_seccomp, FIRST, ANY, 0, 0},
#ifdef __x86_64__
    {__NR_poll, BOTH, ANY, 0, 0},
    {__NR_select, BOTH, ANY, 0, 0},
    {__NR_time, BOTH, ANY, 0, 0},
    {__NR_getrlimit, BOTH, ANY, 0, 0},
    {__NR_arch_prctl, BOTH, ANY, 0, 0},
    {__NR_stat, FIRST, ANY, 0, 0},
    {__NR_lstat, FIRST, ANY, 0, 0},
    {__NR_open, FIRST, CLEAR, 1, OPEN_FORBIDDEN},
    {__NR_access, FIRST, ANY, 0, 0},
    {__NR_readlink, FIRST, ANY, 0, 0},
#endif
};

#define PROGRAM_MAX (ARRAY_LEN(table) * 6 + 8)

static struct sock_filter stmt(uint16_t code, uint32_t k)
{
    return (struct sock_filter)BPF_STMT(code, k);
}

static struct sock_filter jump_if(uint16_t test, uint32_t k, uint8_t yes, uint8_t no)
{
    return (struct sock_filter)BPF_JUMP((uint16_t)(BPF_JMP | test | BPF_K), k, yes, no);
}

#define LOAD_NR stmt(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))
#define ALLOW stmt(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

/* In: A holds the number; out: likewise, unless allowed. Returns the instructions written. */
static size_t emit(struct sock_filter *f, const struct entry *e, uint32_t pid)
{
    /* Both supported architectures are little-endian: the low half comes first. */
    uint32_t arg = (uint32_t)(offsetof(struct seccomp_data, args) + 8u * e->arg);
    size_t n = 0;
    if (e->check == ANY) {
        f[n++] = jump_if(BPF_JEQ, e->nr, 0, 1);
        f[n++] = ALLOW;
        return n;
    }
    size_t skip = n++;
    f[n++] = stmt(BPF_LD | BPF_W | BPF_ABS, arg);
    if (e->check == CLEAR || e->check == SET)
        f[n++] = stmt(BPF_ALU | BPF_AND | BPF_K, e->value);
    uint32_t want = e->check == CLEAR ? 0 : e->check == OURS ? pid : e->value;
    f[n++] = jump_if(BPF_JEQ, want, 0, 1);
    f[n++] = ALLOW;
    f[n++] = LOAD_NR;
    f[skip] = jump_if(BPF_JEQ, e->nr, 0, (uint8_t)(n - skip - 1));
    return n;
}

static size_t compose(struct sock_filter *f, int stage, uint32_t pid)
{
    size_t n = 0;
    f[n++] = stmt(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    f[n++] = jump_if(BPF_JEQ, ARCH, 1, 0);
    f[n++] = stmt(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    f[n++] = LOAD_NR;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].stages & stage)
            n += emit(f + n, &table[i], pid);
    f[n++] = stmt(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
    return n;
}

int sandbox_seccomp(int stage)
{
    struct sock_filter program[PROGRAM_MAX];
    if (ARCH == 0u)
        return -ENOSYS;
    size_t n = compose(program, stage == 1 ? FIRST : SECOND, (uint32_t)getpid());
    struct sock_fprog prog = {.len = (unsigned short)n, .filter = program};
    long rc = syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &prog);
    return rc < 0 ? -errno : (int)rc;
}
