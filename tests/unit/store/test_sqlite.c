/* SPDX-License-Identifier: ISC */
/* What is SQLite's own: durability, grouping, damage, a full disk. fdatasync() and fsync() are ours
 * here, so that they can be counted, slowed and made to fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/str.h"
#include "store/sqlite.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static atomic_uint syncs, sync_delay_ms, sync_fails;

static int sync_hook(const char *real, int fd)
{
    int (*fn)(int) = (int (*)(int))dlsym(RTLD_NEXT, real);
    unsigned ms = sync_delay_ms;
    syncs++;
    if (ms)
        nanosleep(&(struct timespec){.tv_nsec = (long)ms * 1000000}, NULL);
    if (sync_fails) {
        errno = EIO;
        return -1;
    }
    return fn(fd);
}

int fdatasync(int fd)
{
    return sync_hook("fdatasync", fd);
}

int fsync(int fd)
{
    return sync_hook("fsync", fd);
}

struct fixture {
    struct loop *loop;
    struct store *store;
    char dir[64], path[96];
    struct err err;
    unsigned pending;
    size_t n;
    char value[64];
    int64_t done_at, ticked_at;
    unsigned failed;
};

static void ended(struct fixture *f)
{
    f->done_at = loop_mono_ms(f->loop);
    if (--f->pending == 0)
        loop_stop(f->loop);
}

static void on_write(void *arg, const struct err *err)
{
    struct fixture *f = arg;
    f->err = *err;
    f->failed += err->cls != ERR_NONE;
    ended(f);
}

static void on_read(void *arg, const struct store_item *items, size_t n, const struct err *err)
{
    struct fixture *f = arg;
    f->err = *err;
    f->n = n;
    if (n)
        str_copy(f->value, sizeof(f->value), items[0].value);
    ended(f);
}

static void put(struct fixture *f, const char *key, const char *value)
{
    f->pending++;
    store_put(f->store, key, value, on_write, f);
    loop_run(f->loop);
}

static void get(struct fixture *f, const char *key)
{
    f->pending++;
    store_get(f->store, key, on_read, f);
    loop_run(f->loop);
}

static void reopen(struct fixture *f)
{
    store_close(f->store);
    f->store = store_sqlite_open(f->loop, f->dir, &f->err);
}

static int setup(void **state)
{
    struct fixture *f = xnew(struct fixture);
    f->loop = loop_new();
    snprintf(f->dir, sizeof(f->dir), "/tmp/test_sqlite.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof(f->path), "%s/state.db", f->dir);
    f->store = store_sqlite_open(f->loop, f->dir, &f->err);
    assert_non_null(f->store);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    sync_delay_ms = sync_fails = 0;
    store_close(f->store);
    loop_free(f->loop);
    file_remove_tree_at(AT_FDCWD, f->dir, NULL);
    free(f);
    return 0;
}

static void test_survives_and_is_private(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    put(f, "k", "v");
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(chmod(f->path, 0644), 0);
    reopen(f);
    assert_int_equal(f->err.cls, ERR_NONE);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    get(f, "k");
    assert_string_equal(f->value, "v");
}

static void test_close_keeps_what_was_queued(void **state)
{
    struct fixture *f = *state;
    char key[16];
    sync_delay_ms = 20;
    for (int i = 0; i < 50; i++) {
        snprintf(key, sizeof(key), "k%02d", i);
        store_put(f->store, key, "v", on_write, f);
    }
    reopen(f);
    f->pending = 1;
    store_list(f->store, "k", on_read, f);
    loop_run(f->loop);
    assert_int_equal(f->n, 50);
}

static void tick(void *arg)
{
    struct fixture *f = arg;
    f->ticked_at = loop_mono_ms(f->loop);
}

static void test_commits_are_grouped_and_never_block(void **state)
{
    struct fixture *f = *state;
    struct timer timer = {0};
    put(f, "warm", "up");
    sync_delay_ms = 200;
    syncs = 0;
    int64_t start = loop_mono_ms(f->loop);
    for (int i = 0; i < 200; i++) {
        f->pending++;
        store_put(f->store, i % 2 ? "a" : "b", "v", on_write, f);
    }
    assert_true(loop_mono_ms(f->loop) - start < 150);
    timer_after(f->loop, &timer, 10, tick, f);
    loop_run(f->loop);
    assert_int_equal(f->failed, 0);
    assert_true(f->done_at - start >= 200);  /* completion waits for the disk */
    assert_true(f->ticked_at - start < 200); /* the loop does not */
    assert_in_range(syncs, 1, 4);            /* 200 writes, two transactions or so */
}

static void test_sync_error_is_told(void **state)
{
    struct fixture *f = *state;
    put(f, "k", "1");
    sync_fails = 1;
    put(f, "k", "2");
    assert_int_equal(f->err.cls, ERR_LOCAL);
    sync_fails = 0;
    put(f, "k", "3");
    assert_int_equal(f->err.cls, ERR_NONE);
    reopen(f);
    get(f, "k");
    assert_string_equal(f->value, "3");
}

static void test_full_disk_fails_that_batch_only(void **state)
{
    struct fixture *f = *state;
    struct rlimit old, small;
    char *big = xcalloc(1, 400001);
    memset(big, 'x', 400000);
    put(f, "small", "1");
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    small = old;
    small.rlim_cur = 200000;
    setrlimit(RLIMIT_FSIZE, &small);
    f->pending = 3;
    f->failed = 0;
    store_put(f->store, "s1", "1", on_write, f);
    store_put(f->store, "big", big, on_write, f);
    store_put(f->store, "s2", "1", on_write, f);
    loop_run(f->loop);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(f->failed, 1);
    get(f, "big");
    assert_int_equal(f->n, 0);
    get(f, "s1");
    assert_int_equal(f->n, 1);
    get(f, "s2");
    assert_int_equal(f->n, 1);
    put(f, "big", big);
    assert_int_equal(f->err.cls, ERR_NONE);
    free(big);
}

static unsigned count_corrupt(struct fixture *f)
{
    unsigned n = 0;
    DIR *d = opendir(f->dir);
    for (struct dirent *e; (e = readdir(d));)
        n += str_starts(e->d_name, "state.db.corrupt-") && !str_ends(e->d_name, "-wal");
    closedir(d);
    return n;
}

static void overwrite(struct fixture *f, off_t at, const char *text)
{
    int fd = open(f->path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, text, strlen(text), at), strlen(text));
    close(fd);
}

static void damaged_is_moved(struct fixture *f)
{
    f->store = store_sqlite_open(f->loop, f->dir, &f->err);
    assert_non_null(f->store);
    assert_int_equal(f->err.cls, ERR_LOCAL);
    assert_non_null(strstr(f->err.detail, "state.db.corrupt-"));
    assert_int_equal(count_corrupt(f), 1);
    get(f, "k");
    assert_int_equal(f->n, 0);
    put(f, "k", "new");
    assert_int_equal(f->err.cls, ERR_NONE);
}

static void test_no_database(void **state)
{
    struct fixture *f = *state;
    store_close(f->store);
    overwrite(f, 0, "this is certainly not a database of SQLite, whatever its name says");
    damaged_is_moved(f);
}

static void test_damaged_page(void **state)
{
    struct fixture *f = *state;
    char key[32];
    for (int i = 0; i < 2000; i++) {
        snprintf(key, sizeof(key), "key/%d", i);
        store_put(f->store, key, "some value that takes a little room", NULL, NULL);
    }
    store_close(f->store);
    overwrite(f, 3 * 4096, "damage damage damage damage damage damage");
    damaged_is_moved(f);
}

static void raw(struct fixture *f, const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void test_other_schema_is_moved(void **state)
{
    struct fixture *f = *state;
    store_close(f->store);
    raw(f, "DROP TABLE kv; CREATE TABLE kv (other)");
    damaged_is_moved(f);
}

static void test_newer_schema_is_left_alone(void **state)
{
    struct fixture *f = *state;
    store_close(f->store);
    raw(f, "PRAGMA user_version = 99");
    f->store = store_sqlite_open(f->loop, f->dir, &f->err);
    assert_null(f->store);
    assert_non_null(strstr(f->err.detail, "newer renewd"));
    assert_int_equal(count_corrupt(f), 0);
}

static void refused(struct fixture *f)
{
    f->store = store_sqlite_open(f->loop, f->dir, &f->err);
    assert_null(f->store);
    assert_int_equal(f->err.cls, ERR_LOCAL);
    assert_true(f->err.detail[0]);
    assert_int_equal(count_corrupt(f), 0);
}

static void test_odd_files_are_refused(void **state)
{
    struct fixture *f = *state;
    store_close(f->store);
    unlink(f->path);
    assert_int_equal(symlink("/etc/passwd", f->path), 0);
    refused(f);
    unlink(f->path);
    assert_int_equal(mkfifo(f->path, 0600), 0);
    refused(f);
    unlink(f->path);
    assert_int_equal(mkdir(f->path, 0700), 0);
    refused(f);
    rmdir(f->path);
    file_remove_tree_at(AT_FDCWD, f->dir, NULL);
    f->store = store_sqlite_open(f->loop, f->dir, &f->err);
    assert_null(f->store);
    assert_int_equal(f->err.cls, ERR_LOCAL);
}

static long voluntary_switches(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return u.ru_nvcsw;
}

static void stop(void *arg)
{
    loop_stop(arg);
}

static void test_idle_is_asleep(void **state)
{
    struct fixture *f = *state;
    struct timer timer = {0};
    put(f, "k", "v");
    long before = voluntary_switches();
    timer_after(f->loop, &timer, 500, stop, f->loop);
    loop_run(f->loop);
    assert_in_range(voluntary_switches() - before, 0, 3);
}

/* All that was asked for before it, in a whole database of its own; into the place of whatever lies
 * there. */
static void test_a_copy_is_whole(void **state)
{
    struct fixture *f = *state;
    char folder[96], path[128];
    struct stat st;
    snprintf(folder, sizeof(folder), "%s/copy", f->dir);
    snprintf(path, sizeof(path), "%s/state.db", folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    put(f, "a", "1");
    for (int round = 0; round < 2; round++) {
        f->pending = 2;
        store_put(f->store, "b", round ? "3" : "2", on_write, f);
        store_copy(f->store, path, on_write, f);
        loop_run(f->loop);
        assert_int_equal(f->failed, 0);
    }
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    put(f, "a", "later");
    struct store *own = f->store;
    f->store = store_sqlite_open(f->loop, folder, &f->err);
    assert_non_null(f->store);
    get(f, "a");
    assert_string_equal(f->value, "1");
    get(f, "b");
    assert_string_equal(f->value, "3");
    store_close(f->store);
    f->store = own;
    f->pending++;
    store_copy(f->store, "/nonexistent/folder/x.db", on_write, f);
    loop_run(f->loop);
    assert_int_equal(f->failed, 1);
    get(f, "a");
    assert_string_equal(f->value, "later");
}

#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_survives_and_is_private),
        T(test_close_keeps_what_was_queued),
        T(test_commits_are_grouped_and_never_block),
        T(test_sync_error_is_told),
        T(test_full_disk_fails_that_batch_only),
        T(test_no_database),
        T(test_damaged_page),
        T(test_other_schema_is_moved),
        T(test_newer_schema_is_left_alone),
        T(test_odd_files_are_refused),
        T(test_idle_is_asleep),
        T(test_a_copy_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
