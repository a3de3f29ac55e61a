/* SPDX-License-Identifier: ISC */
#include "keeper/killing.h"
#include "base/mem.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static bool changes_files(long nr)
{
    static const long calls[] = {SYS_openat,    SYS_mkdirat,  SYS_write,    SYS_fchmod,
                                 SYS_fchown,    SYS_fsync,    SYS_renameat, SYS_renameat2,
                                 SYS_symlinkat, SYS_linkat,   SYS_unlinkat, SYS_ftruncate,
#ifdef SYS_rename
                                 SYS_rename,    SYS_unlink,   SYS_mkdir,    SYS_symlink,
#endif
                                 SYS_syncfs,    SYS_fdatasync};
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        if (calls[i] == nr)
            return true;
    }
    return false;
}

static long syscall_of(pid_t pid)
{
#if defined(__x86_64__)
    struct user_regs_struct regs;
    assert_int_equal(ptrace(PTRACE_GETREGS, pid, NULL, &regs), 0);
    return (long)regs.orig_rax;
#else
    struct {
        uint8_t op;
        uint8_t pad[3];
        uint32_t arch;
        uint64_t ip, sp, nr, args[6];
    } info;
    assert_true(ptrace(0x420e /* PTRACE_GET_SYSCALL_INFO */, pid, sizeof(info), &info) > 0);
    return (long)info.nr;
#endif
}

bool kill_before(struct fixture *f, void (*act)(struct fixture *), int n)
{
    int status, left = n;
    bool entry = true;
    pid_t pid = fork();
    if (pid == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
        act(f);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    for (;;) {
        ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (WIFEXITED(status)) {
            assert_int_equal(WEXITSTATUS(status), 0);
            return false;
        }
        if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP)
            fail_msg("the child was stopped by %d", status);
        if (entry && changes_files(syscall_of(pid)) && left-- == 0)
            break;
        entry = !entry;
    }
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return true;
}
