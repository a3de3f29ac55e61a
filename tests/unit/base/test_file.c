/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/xattr.h>
#include <unistd.h>

static const struct file_attr private_file = {.mode = 0600, .uid = (uid_t)-1, .gid = (gid_t)-1};

struct folder {
    char path[64];
    int fd;
};

static int make_folder(void **state)
{
    struct folder *f = xnew(struct folder);
    str_copy(f->path, sizeof(f->path), "/tmp/renewd-test-XXXXXX");
    if (!mkdtemp(f->path))
        return -1;
    f->fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = f;
    return f->fd < 0 ? -1 : 0;
}

static int remove_folder(void **state)
{
    struct folder *f = *state;
    int rc = file_remove_tree_at(AT_FDCWD, f->path, NULL);
    close(f->fd);
    free(f);
    return rc;
}

static size_t count_entries(const struct folder *f)
{
    size_t n = 0;
    DIR *d = opendir(f->path);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));)
        n += !str_eq(e->d_name, ".") && !str_eq(e->d_name, "..");
    closedir(d);
    return n;
}

static mode_t mode_of(const struct folder *f, const char *name)
{
    struct stat st;
    assert_int_equal(fstatat(f->fd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
    return st.st_mode & 07777;
}

static void assert_contents(const struct folder *f, const char *name, const char *expect)
{
    CLEANUP_BUF struct buf b;
    struct err e = ERR_INIT;
    buf_init(&b, 4096);
    assert_int_equal(file_read_at(f->fd, name, false, &b, NULL, &e), 0);
    assert_string_equal(buf_str(&b), expect);
}

static void modes_do_not_depend_on_the_umask(void **state)
{
    static const mode_t masks[] = {0, 022, 077, 0777};
    static const mode_t modes[] = {0600, 0640, 0644, 0400, 0755};
    struct folder *f = *state;
    struct err e = ERR_INIT;
    for (size_t m = 0; m < ARRAY_LEN(masks); m++) {
        for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
            struct file_attr a = {.mode = modes[i], .uid = (uid_t)-1, .gid = (gid_t)-1};
            mode_t old = umask(masks[m]);
            int rc = file_replace_at(f->fd, "file", "x", 1, &a, &e);
            int dir_rc = file_mkdir_at(f->fd, "dir", modes[i] | 0700, &e);
            umask(old);
            assert_int_equal(rc, 0);
            assert_int_equal(dir_rc, 0);
            assert_int_equal(mode_of(f, "file"), modes[i]);
            assert_int_equal(mode_of(f, "dir"), modes[i] | 0700);
            assert_int_equal(unlinkat(f->fd, "dir", AT_REMOVEDIR), 0);
            assert_int_equal(count_entries(f), 1);
        }
    }
}

static void replace_leaves_the_new_contents_only(void **state)
{
    struct folder *f = *state;
    struct err e = ERR_INIT;
    assert_int_equal(file_replace_at(f->fd, "a", "first", 5, &private_file, &e), 0);
    int old = openat(f->fd, "a", O_RDONLY | O_CLOEXEC);
    assert_int_equal(file_replace_at(f->fd, "a", "2nd", 3, &private_file, &e), 0);
    assert_contents(f, "a", "2nd");
    char bytes[8] = "";
    assert_int_equal(read(old, bytes, sizeof(bytes)), 5); /* never written in place */
    assert_string_equal(bytes, "first");
    close(old);
    assert_int_equal(count_entries(f), 1);
}

static void replace_does_not_follow_a_link(void **state)
{
    struct folder *f = *state;
    struct err e = ERR_INIT;
    assert_int_equal(file_create_at(f->fd, "target", "t", 1, &private_file, &e), 0);
    assert_int_equal(symlinkat("target", f->fd, "link"), 0);
    assert_int_equal(file_replace_at(f->fd, "link", "new", 3, &private_file, &e), 0);
    assert_contents(f, "target", "t");
    assert_contents(f, "link", "new");
}

static void failures_leave_nothing(void **state)
{
    struct folder *f = *state;
    struct err e = ERR_INIT;
    assert_int_equal(mkdirat(f->fd, "dir", 0700), 0);
    assert_int_equal(file_replace_at(f->fd, "dir", "x", 1, &private_file, &e), -1);
    assert_int_equal(e.cls, ERR_LOCAL);
    assert_int_equal(e.sys, EISDIR);
    assert_int_equal(file_create_at(f->fd, "dir", "x", 1, &private_file, &e), -1);
    assert_int_equal(e.sys, EEXIST);
    assert_int_equal(count_entries(f), 1);
    assert_int_equal(file_replace_at(f->fd, "none/x", "x", 1, &private_file, &e), -1);
    assert_int_equal(e.sys, ENOENT);
    static const char *const bad[] = {"", ".", "..", "dir/", "dir/.."};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(file_replace_at(f->fd, bad[i], "x", 1, &private_file, &e), -1);
    assert_int_equal(count_entries(f), 1);
}

/* A limit on the size of files stands in for the full disk: write(2) fails half-way. */
static void a_failing_write_leaves_the_old_file(void **state)
{
    struct folder *f = *state;
    struct err e = ERR_INIT;
    static char big[100000];
    struct rlimit old, small = {.rlim_cur = 5000};
    assert_int_equal(file_replace_at(f->fd, "a", "old", 3, &private_file, &e), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small.rlim_max = old.rlim_max;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int replaced = file_replace_at(f->fd, "a", big, sizeof(big), &private_file, &e);
    int created = file_create_at(f->fd, "b", big, sizeof(big), &private_file, NULL);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, handler);
    assert_int_equal(replaced, -1);
    assert_int_equal(created, -1);
    assert_int_equal(e.sys, EFBIG);
    assert_contents(f, "a", "old");
    assert_int_equal(count_entries(f), 1);
}

static void create_is_exclusive(void **state)
{
    struct folder *f = *state;
    struct err e = ERR_INIT;
    assert_int_equal(file_create_at(f->fd, "a", "1", 1, &private_file, &e), 0);
    assert_int_equal(file_create_at(f->fd, "a", "2", 1, &private_file, &e), -1);
    assert_int_equal(e.sys, EEXIST);
    assert_contents(f, "a", "1");
    assert_int_equal(symlinkat("nowhere", f->fd, "dangling"), 0);
    assert_int_equal(file_create_at(f->fd, "dangling", "2", 1, &private_file, &e), -1);
    assert_int_equal(e.sys, EEXIST);
    assert_int_equal(count_entries(f), 2);
}

static void paths_are_taken_too(void **state)
{
    struct folder *f = *state;
    struct err e = ERR_INIT;
    char path[128];
    assert_int_equal(file_mkdir_at(f->fd, "sub", 0755, &e), 0);
    assert_int_equal(file_mkdir_at(f->fd, "sub", 0755, &e), 0);
    assert_int_equal(file_create_at(f->fd, "sub/a", "1", 1, &private_file, &e), 0);
    snprintf(path, sizeof(path), "%s/sub/a", f->path);
    assert_int_equal(file_replace_at(AT_FDCWD, path, "2", 1, &private_file, &e), 0);
    assert_contents(f, "sub/a", "2");
    assert_int_equal(file_mkdir_at(f->fd, "sub/a", 0755, &e), -1);
    assert_int_equal(e.sys, ENOTDIR);
}

static void owner_is_set(void **state)
{
    struct folder *f = *state;
    struct err e = ERR_INIT;
    struct stat st;
    if (geteuid() != 0)
        skip();
    struct file_attr a = {.mode = 0640, .uid = 12345, .gid = 23456};
    assert_int_equal(file_create_at(f->fd, "a", "1", 1, &a, &e), 0);
    assert_int_equal(fstatat(f->fd, "a", &st, 0), 0);
    assert_int_equal(st.st_uid, 12345);
    assert_int_equal(st.st_gid, 23456);
    assert_int_equal(st.st_mode & 07777, 0640);
}

static void reads_are_bounded(void **state)
{
    struct folder *f = *state;
    struct err e = ERR_INIT;
    struct stat st;
    static char big[40000];
    memset(big, 'x', sizeof(big));
    assert_int_equal(file_create_at(f->fd, "big", big, sizeof(big), &private_file, &e), 0);
    CLEANUP_BUF struct buf b;
    buf_init_secret(&b, sizeof(big));
    assert_int_equal(file_read_at(f->fd, "big", false, &b, &st, &e), 0);
    assert_int_equal(b.len, sizeof(big));
    assert_int_equal(st.st_size, sizeof(big));
    buf_free(&b);
    buf_init(&b, sizeof(big) - 1);
    assert_int_equal(file_read_at(f->fd, "big", false, &b, &st, &e), -1);
    assert_non_null(strstr(e.detail, "larger than 39999"));
}

static void reads_only_regular_files(void **state)
{
    struct folder *f = *state;
    struct err e = ERR_INIT;
    CLEANUP_BUF struct buf b;
    buf_init(&b, 100);
    assert_int_equal(mkfifoat(f->fd, "fifo", 0600), 0);
    assert_int_equal(file_read_at(f->fd, "fifo", true, &b, NULL, &e), -1); /* and does not hang */
    assert_int_equal(file_read_at(f->fd, ".", true, &b, NULL, &e), -1);
    assert_int_equal(file_read_at(f->fd, "none", true, &b, NULL, &e), -1);
    assert_int_equal(e.sys, ENOENT);
    assert_int_equal(file_create_at(f->fd, "a", "1", 1, &private_file, &e), 0);
    assert_int_equal(symlinkat("a", f->fd, "link"), 0);
    assert_int_equal(file_read_at(f->fd, "link", false, &b, NULL, &e), -1);
    assert_int_equal(e.sys, ELOOP);
    assert_int_equal(file_read_at(f->fd, "link", true, &b, NULL, &e), 0);
    assert_string_equal(buf_str(&b), "1");
}

static void links_switch(void **state)
{
    struct folder *f = *state;
    struct err e = ERR_INIT;
    char target[32] = "";
    assert_int_equal(file_switch_link_at(f->fd, "one", "current", &e), 0);
    assert_int_equal(file_switch_link_at(f->fd, "two", "current", &e), 0);
    assert_int_equal(readlinkat(f->fd, "current", target, sizeof(target) - 1), 3);
    assert_string_equal(target, "two");
    assert_int_equal(count_entries(f), 1);
    assert_int_equal(mkdirat(f->fd, "dir", 0700), 0);
    assert_int_equal(file_switch_link_at(f->fd, "x", "dir", &e), -1);
    assert_int_equal(count_entries(f), 2);
}

static void trees_go_but_not_what_links_point_to(void **state)
{
    struct folder *f = *state;
    struct err e = ERR_INIT;
    assert_int_equal(file_create_at(f->fd, "outside", "1", 1, &private_file, &e), 0);
    assert_int_equal(mkdirat(f->fd, "keep", 0700), 0);
    assert_int_equal(file_create_at(f->fd, "keep/file", "1", 1, &private_file, &e), 0);
    assert_int_equal(mkdirat(f->fd, "tree", 0700), 0);
    assert_int_equal(mkdirat(f->fd, "tree/sub", 0700), 0);
    assert_int_equal(file_create_at(f->fd, "tree/sub/x", "1", 1, &private_file, &e), 0);
    assert_int_equal(symlinkat("../../outside", f->fd, "tree/sub/link"), 0);
    assert_int_equal(symlinkat("../keep", f->fd, "tree/dirlink"), 0);
    assert_int_equal(file_remove_tree_at(f->fd, "tree", &e), 0);
    assert_int_equal(file_remove_tree_at(f->fd, "tree", &e), 0); /* absent */
    assert_contents(f, "outside", "1");
    assert_contents(f, "keep/file", "1");
    assert_int_equal(count_entries(f), 2);
}

static void sweep_takes_only_left_overs(void **state)
{
    static const char *const stay[] = {
        "a",           ".b.tmp",          ".c.ABCDEF.tmp", "d.abcdef.tmp",
        ".e.abcd.tmp", ".f.abcdef.tmp.x", "..abcdef.tmp"};
    struct folder *f = *state;
    struct err e = ERR_INIT;
    for (size_t i = 0; i < ARRAY_LEN(stay); i++)
        assert_int_equal(file_create_at(f->fd, stay[i], "", 0, &private_file, &e), 0);
    assert_int_equal(file_create_at(f->fd, ".privkey.pem.abc123.tmp", "", 0, &private_file, &e), 0);
    assert_int_equal(symlinkat("x", f->fd, ".link.zzzzzz.tmp"), 0);
    assert_int_equal(file_sweep_at(f->fd, &e), 0);
    assert_int_equal(count_entries(f), ARRAY_LEN(stay));
    assert_int_equal(file_sweep_at(f->fd, &e), 0);
    assert_int_equal(count_entries(f), ARRAY_LEN(stay));
}

static void long_names_work(void **state)
{
    struct folder *f = *state;
    struct err e = ERR_INIT;
    char name[256];
    memset(name, 'n', 255);
    name[255] = '\0';
    assert_int_equal(file_replace_at(f->fd, name, "1", 1, &private_file, &e), 0);
    assert_contents(f, name, "1");
    assert_int_equal(count_entries(f), 1);
}

/* Where the file system and our rights let a context be written, SELinux or not. */
static void replace_keeps_the_selinux_context(void **state)
{
    static const char context[] = "system_u:object_r:cert_t:s0";
    struct folder *f = *state;
    struct err e = ERR_INIT;
    char now[64];
    assert_int_equal(file_replace_at(f->fd, "a", "1", 1, &private_file, &e), 0);
    int fd = openat(f->fd, "a", O_RDONLY);
    int rc = fsetxattr(fd, "security.selinux", context, sizeof(context), 0);
    close(fd);
    if (rc)
        skip();
    assert_int_equal(file_replace_at(f->fd, "a", "2", 1, &private_file, &e), 0);
    fd = openat(f->fd, "a", O_RDONLY);
    assert_int_equal(fgetxattr(fd, "security.selinux", now, sizeof(now)), sizeof(context));
    close(fd);
    assert_string_equal(now, context);
    assert_contents(f, "a", "2");
}

#define with_folder(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_folder(modes_do_not_depend_on_the_umask),
        with_folder(replace_leaves_the_new_contents_only),
        with_folder(replace_does_not_follow_a_link),
        with_folder(failures_leave_nothing),
        with_folder(a_failing_write_leaves_the_old_file),
        with_folder(create_is_exclusive),
        with_folder(paths_are_taken_too),
        with_folder(owner_is_set),
        with_folder(reads_are_bounded),
        with_folder(reads_only_regular_files),
        with_folder(links_switch),
        with_folder(trees_go_but_not_what_links_point_to),
        with_folder(sweep_takes_only_left_overs),
        with_folder(long_names_work),
        with_folder(replace_keeps_the_selinux_context),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
