/* SPDX-License-Identifier: ISC */
/* Landlock by its system calls, with the numbers written out: the kernel that we run on is often
 * newer than the headers that we were built with. Documentation/userspace-api/landlock.rst. */
#include "base/mem.h"
#include "worker/sandbox.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef __NR_landlock_create_ruleset
#define __NR_landlock_create_ruleset 444
#define __NR_landlock_add_rule 445
#define __NR_landlock_restrict_self 446
#endif

#define CREATE_RULESET_VERSION 1u
#define RULE_PATH_BENEATH 1

#define FS_EXECUTE (1ull << 0)
#define FS_READ_FILE (1ull << 2)
#define FS_READ_DIR (1ull << 3)
#define FS_ALL_V1 ((1ull << 13) - 1)
#define FS_REFER (1ull << 13)
#define FS_TRUNCATE (1ull << 14)
#define FS_IOCTL_DEV (1ull << 15)
#define NET_ALL ((1ull << 2) - 1)   /* bind and connect by TCP */
#define SCOPE_ALL ((1ull << 2) - 1) /* abstract sockets, signals */

struct ruleset_attr {
    uint64_t fs, net, scoped;
};
struct path_beneath {
    uint64_t allowed;
    int32_t fd;
} __attribute__((packed));

static void allow_fd(int ruleset, int fd)
{
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0)
        return;
    uint64_t allowed = FS_READ_FILE | FS_EXECUTE;
    if (S_ISDIR(st.st_mode))
        allowed |= FS_READ_DIR;
    else if (S_ISCHR(st.st_mode))
        allowed = FS_READ_FILE;
    struct path_beneath rule = {.allowed = allowed, .fd = fd};
    syscall(__NR_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0);
}

static void allow(int ruleset, const char *path)
{
    int fd = open(path, O_PATH | O_CLOEXEC);
    allow_fd(ruleset, fd);
    if (fd >= 0)
        close(fd);
}

int sandbox_landlock(int plugin_fd, const char *folder)
{
    static const char *const readable[] = {
        "/lib",           "/lib32",           "/lib64",           "/libx32",
        "/usr/lib",       "/usr/lib32",       "/usr/lib64",       "/usr/libx32",
        "/usr/local/lib", "/usr/local/lib64", "/etc/ld.so.cache", "/etc/ld.so.preload",
        "/dev/urandom"};
    long abi = syscall(__NR_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);
    if (abi < 1)
        return 0;
    struct ruleset_attr attr = {.fs = FS_ALL_V1};
    attr.fs |=
        (abi >= 2 ? FS_REFER : 0) | (abi >= 3 ? FS_TRUNCATE : 0) | (abi >= 5 ? FS_IOCTL_DEV : 0);
    attr.net = abi >= 4 ? NET_ALL : 0;
    attr.scoped = abi >= 6 ? SCOPE_ALL : 0;
    size_t size = abi >= 6 ? sizeof(attr) : abi >= 4 ? 2 * sizeof(uint64_t) : sizeof(uint64_t);
    int ruleset = (int)syscall(__NR_landlock_create_ruleset, &attr, size, 0);
    if (ruleset < 0)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(readable); i++)
        allow(ruleset, readable[i]);
    allow(ruleset, folder);
    allow_fd(ruleset, plugin_fd);
    long rc = syscall(__NR_landlock_restrict_self, ruleset, 0);
    close(ruleset);
    return rc == 0 ? (int)abi : 0;
}
