/* SPDX-License-Identifier: ISC */
/* Several certificates at once: what one's failure, the disk's, or a kill leaves of the others. */
#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "keeper/disk.h"
#include "keeper/fixture.h"
#include "keeper/killing.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#define CERTS 3

/* ---- the disk's answers ---- */

static struct {
    int syncfs_errno, fsync_errno, fsync_after;
    unsigned syncfs, fsync;
} disk;

int __real_syncfs(int fd);
int __real_fsync(int fd);
int __wrap_syncfs(int fd);
int __wrap_fsync(int fd);

int __wrap_syncfs(int fd)
{
    disk.syncfs++;
    if (!disk.syncfs_errno)
        return __real_syncfs(fd);
    errno = disk.syncfs_errno;
    return -1;
}

int __wrap_fsync(int fd)
{
    disk.fsync++;
    if (!disk.fsync_errno || disk.fsync_after-- != 0)
        return __real_fsync(fd);
    errno = disk.fsync_errno;
    return -1;
}

static int setup(void **state)
{
    struct fixture *f = xnew(struct fixture);
    fixture_open(f);
    memset(&disk, 0, sizeof(disk));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    memset(&disk, 0, sizeof(disk));
    fixture_close(*state);
    free(*state);
    return 0;
}

static const struct conf_cert *cert_of(const struct fixture *f, size_t i)
{
    return i == 0 ? &f->cert : &f->more[i - 1];
}

/* Those that are there; errors of each. */
static int run_all(struct fixture *f, struct certs_work *w[CERTS], struct err e[CERTS])
{
    struct certs_env env = fixture_certs(f);
    struct list jobs;
    int failed = 0;
    list_init(&jobs);
    for (size_t i = 0; i < CERTS; i++) {
        struct disk_job *j = w[i] ? certs_job(w[i], NULL, NULL) : NULL;
        if (j)
            list_append(&jobs, &j->node);
    }
    disk_run(&f->dir, &jobs, f->small_batch);
    for (size_t i = 0; i < CERTS; i++) {
        if (w[i] && certs_finish(&env, w[i], &e[i]))
            failed++;
        certs_work_free(w[i]);
    }
    return failed;
}

static int prepare_all(struct fixture *f, struct err e[CERTS])
{
    struct certs_env env = fixture_certs(f);
    struct certs_work *w[CERTS] = {0};
    bool generate;
    for (size_t i = 0; i < CERTS; i++) {
        e[i] = (struct err){0};
        assert_int_equal(certs_prepare(&env, cert_of(f, i), false, &generate, &w[i], &e[i]), 0);
    }
    return run_all(f, w, e);
}

static struct buf chains[CERTS];

static void make_chains(struct fixture *f, int from_h, int to_h)
{
    for (size_t i = 0; i < CERTS; i++) {
        buf_init(&chains[i], 1 << 20);
        fixture_chain_of(f, cert_of(f, i), from_h, to_h, &chains[i]);
    }
}

static void free_chains(void)
{
    for (size_t i = 0; i < CERTS; i++)
        buf_free(&chains[i]);
}

static struct certs_work *begin_install(struct fixture *f, size_t i, struct err *e)
{
    struct certs_env env = fixture_certs(f);
    struct certs_work *w = NULL;
    struct keeper_msg_install m = {.cert = cert_of(f, i)->name,
                                   .ca = "le",
                                   .account_url = "https://le.example/acct/1",
                                   .chain = {chains[i].data, chains[i].len}};
    if (certs_install(&env, &m, &w, e))
        fail_msg("%s: %s", m.cert, e->detail);
    return w;
}

static int install_all(struct fixture *f, struct err e[CERTS])
{
    struct certs_work *w[CERTS];
    for (size_t i = 0; i < CERTS; i++) {
        e[i] = (struct err){0};
        w[i] = begin_install(f, i, &e[i]);
    }
    return run_all(f, w, e);
}

static size_t count_in(const char *path, bool hidden)
{
    size_t n = 0;
    DIR *d = opendir(path);
    for (struct dirent *it; d && (it = readdir(d));)
        n += (it->d_name[0] == '.') == hidden && !str_eq(it->d_name, ".") &&
             !str_eq(it->d_name, "..");
    if (d)
        closedir(d);
    return n;
}

static void assert_clean(struct fixture *f)
{
    static const char *const folders[] = {"live", "archive", "pending"};
    for (size_t i = 0; i < ARRAY_LEN(folders); i++)
        assert_int_equal(count_in(fixture_path(f, "%s", folders[i]), true), 0);
}

static void assert_installed(struct fixture *f)
{
    for (size_t i = 0; i < CERTS; i++)
        assert_true(fixture_live_matches_of(f, cert_of(f, i)->name));
    assert_int_equal(count_in(fixture_path(f, "pending"), false), 0);
    assert_clean(f);
}

/* ---- how it is waited for ---- */

static void test_small_batches_wait_for_their_files(void **state)
{
    struct fixture *f = *state;
    struct err e[CERTS];
    assert_int_equal(prepare_all(f, e), 0);
    assert_int_equal(disk.fsync, CERTS + 1); /* the keys, their folder */
    make_chains(f, -1, 24);
    disk.fsync = 0;
    assert_int_equal(install_all(f, e), 0);
    /* 5 files, set, archive/NAME, README, .new-NAME of each; then live/NAME of each; archive, live
     */
    assert_int_equal(disk.fsync, CERTS * 10 + 2);
    assert_int_equal(disk.syncfs, 0);
    assert_installed(f);
    free_chains();
}

static void test_large_batches_wait_for_the_file_system(void **state)
{
    struct fixture *f = *state;
    struct err e[CERTS];
    f->small_batch = 0;
    assert_int_equal(prepare_all(f, e), 0);
    assert_int_equal(disk.syncfs, 1);
    make_chains(f, -1, 24);
    assert_int_equal(install_all(f, e), 0);
    assert_int_equal(disk.syncfs, 3);
    assert_int_equal(disk.fsync, 0);
    assert_installed(f);
    free_chains();
}

static void test_without_syncfs(void **state)
{
    struct fixture *f = *state;
    struct err e[CERTS];
    f->small_batch = 0;
    disk.syncfs_errno = ENOSYS;
    assert_int_equal(prepare_all(f, e), 0);
    assert_int_equal(disk.fsync, CERTS + 1);
    make_chains(f, -1, 24);
    assert_int_equal(install_all(f, e), 0);
    assert_installed(f);
    free_chains();
}

/* ---- failures ---- */

static void test_error_of_the_file_system(void **state)
{
    struct fixture *f = *state;
    struct err e[CERTS];
    f->small_batch = 0;
    disk.syncfs_errno = EIO;
    assert_int_equal(prepare_all(f, e), CERTS);
    assert_int_equal(e[2].cls, ERR_LOCAL);
    assert_non_null(strstr(e[2].detail, "durable"));
    assert_int_equal(count_in(fixture_path(f, "pending"), false), 0);
    for (size_t i = 0; i < CERTS; i++)
        assert_null(pending_get(f->pendings, cert_of(f, i)->name, &e[i]));
    disk.syncfs_errno = 0;
    assert_int_equal(prepare_all(f, e), 0);
    make_chains(f, -1, 24);
    disk.syncfs_errno = EIO;
    assert_int_equal(install_all(f, e), CERTS);
    for (size_t i = 0; i < CERTS; i++) {
        assert_int_equal(e[i].cls, ERR_LOCAL);
        assert_int_not_equal(access(fixture_path(f, "live/%s", cert_of(f, i)->name), F_OK), 0);
        assert_int_equal(count_in(fixture_path(f, "archive/%s", cert_of(f, i)->name), false), 0);
    }
    assert_clean(f);
    disk.syncfs_errno = 0;
    assert_int_equal(install_all(f, e), 0);
    assert_installed(f);
    free_chains();
}

/* At every fsync in turn: who fails has nothing, or all of it again later. */
static void test_error_of_a_file(void **state)
{
    struct fixture *f = *state;
    bool hit = true;
    for (int n = 0; hit; n++) {
        struct err e[CERTS];
        fixture_close(f);
        fixture_open(f);
        assert_int_equal(prepare_all(f, e), 0);
        make_chains(f, -1, 24);
        disk.fsync_errno = EIO;
        disk.fsync_after = n;
        int failed = install_all(f, e);
        hit = disk.fsync_after < 0;
        disk.fsync_errno = 0;
        assert_true(hit ? failed == 1 || failed == CERTS : failed == 0);
        for (size_t i = 0; i < CERTS; i++)
            assert_true(err_is(&e[i]) || fixture_live_matches_of(f, cert_of(f, i)->name));
        disk.fsync = 0;
        assert_int_equal(install_all(f, e), 0);
        assert_true(!hit || disk.fsync >= 8); /* nothing was believed to be durable */
        assert_installed(f);
        free_chains();
    }
}

/* No room for one's files, in the midst of its set. */
static void fails_alone(struct fixture *f)
{
    char longest[240];
    struct conf_name names[] = {{.name = longest}};
    struct err e[CERTS];
    struct rlimit old, small;
    for (size_t i = 0; i < sizeof(longest) - 1; i++)
        longest[i] = i % 30 == 29 ? '.' : 'a';
    longest[sizeof(longest) - 1] = '\0';
    f->more[0].names = names;
    f->more[0].n_names = 1;
    assert_int_equal(prepare_all(f, e), 0);
    make_chains(f, -1, 24);
    assert_true(chains[1].len > chains[0].len + 100);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = (struct rlimit){.rlim_cur = chains[0].len + 50, .rlim_max = old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int failed = install_all(f, e);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(failed, 1);
    assert_int_equal(e[1].sys, EFBIG);
    assert_true(fixture_live_matches_of(f, "www"));
    assert_true(fixture_live_matches_of(f, "b2"));
    assert_int_equal(count_in(fixture_path(f, "archive/b1"), false), 0);
    assert_clean(f);
    assert_int_equal(install_all(f, e), 0);
    assert_installed(f);
    free_chains();
}

static void test_no_room_for_one_of_few(void **state)
{
    fails_alone(*state);
}

static void test_no_room_for_one_of_many(void **state)
{
    struct fixture *f = *state;
    f->small_batch = 0;
    fails_alone(f);
}

/* ---- killed at every instant ---- */

static void act_install(struct fixture *f)
{
    struct err e[CERTS];
    _exit(install_all(f, e) ? 1 : 0);
}

static void act_prepare(struct fixture *f)
{
    struct err e[CERTS];
    _exit(prepare_all(f, e) ? 1 : 0);
}

static void sweep(struct fixture *f, unsigned small, bool renewal)
{
    int n = 0;
    for (bool killed = true; killed; n++) {
        struct err e[CERTS];
        fixture_close(f);
        fixture_open(f);
        f->small_batch = small;
        if (renewal) {
            assert_int_equal(prepare_all(f, e), 0);
            make_chains(f, -1, 24);
            assert_int_equal(install_all(f, e), 0);
            free_chains();
        }
        assert_int_equal(prepare_all(f, e), 0);
        make_chains(f, 0, 48);
        killed = kill_before(f, act_install, n);
        fixture_reopen(f);
        for (size_t i = 0; i < CERTS; i++)
            assert_true(fixture_live_matches_of(f, cert_of(f, i)->name) || !renewal);
        if (install_all(f, e))
            fail_msg("killed before call %d: %s %s %s", n, e[0].detail, e[1].detail, e[2].detail);
        assert_installed(f);
        free_chains();
    }
    print_message("%d instants\n", n);
    assert_true(n >= CERTS * 15);
}

static void test_killed_at_the_first_of_few(void **state)
{
    sweep(*state, DISK_SMALL, false);
}

static void test_killed_at_the_first_of_many(void **state)
{
    sweep(*state, 0, false);
}

static void test_killed_at_renewals_of_few(void **state)
{
    sweep(*state, DISK_SMALL, true);
}

static void test_killed_at_renewals_of_many(void **state)
{
    sweep(*state, 0, true);
}

static void test_killed_while_preparing(void **state)
{
    struct fixture *f = *state;
    int n = 0;
    for (bool killed = true; killed; n++) {
        struct err e[CERTS];
        fixture_close(f);
        fixture_open(f);
        killed = kill_before(f, act_prepare, n);
        fixture_reopen(f);
        assert_int_equal(prepare_all(f, e), 0);
        make_chains(f, 0, 48);
        assert_int_equal(install_all(f, e), 0);
        assert_installed(f);
        free_chains();
    }
    assert_true(n >= CERTS * 3);
}

/* ---- beside the loop ---- */

struct beside {
    struct loop *loop;
    int left;
};

static void one_ended(void *arg)
{
    struct beside *b = arg;
    if (--b->left == 0)
        loop_stop(b->loop);
}

static void test_in_its_thread(void **state)
{
    struct fixture *f = *state;
    struct certs_env env = fixture_certs(f);
    struct beside b = {.loop = loop_new(), .left = CERTS};
    struct disk *d = disk_new(b.loop, &f->dir);
    struct certs_work *w[CERTS];
    struct err e[CERTS];
    assert_int_equal(prepare_all(f, e), 0);
    make_chains(f, -1, 24);
    for (size_t i = 0; i < CERTS; i++) {
        w[i] = begin_install(f, i, &e[i]);
        disk_start(d, certs_job(w[i], one_ended, &b));
    }
    loop_run(b.loop);
    for (size_t i = 0; i < CERTS; i++) {
        assert_int_equal(certs_finish(&env, w[i], &e[i]), 0);
        certs_work_free(w[i]);
    }
    assert_installed(f);
    disk_free(d);
    loop_free(b.loop);
    free_chains();
}

/* An end in the midst of it. */
static void test_freed_while_it_works(void **state)
{
    struct fixture *f = *state;
    struct beside b = {.loop = loop_new(), .left = CERTS};
    struct disk *d = disk_new(b.loop, &f->dir);
    struct certs_work *w[CERTS];
    struct err e[CERTS];
    assert_int_equal(prepare_all(f, e), 0);
    make_chains(f, -1, 24);
    for (size_t i = 0; i < CERTS; i++) {
        w[i] = begin_install(f, i, &e[i]);
        disk_start(d, certs_job(w[i], one_ended, &b));
    }
    disk_free(d);
    for (size_t i = 0; i < CERTS; i++)
        certs_work_free(w[i]);
    assert_int_equal(b.left, CERTS);
    loop_free(b.loop);
    assert_int_equal(install_all(f, e), 0);
    assert_installed(f);
    free_chains();
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_small_batches_wait_for_their_files),
        T(test_large_batches_wait_for_the_file_system),
        T(test_without_syncfs),
        T(test_error_of_the_file_system),
        T(test_error_of_a_file),
        T(test_no_room_for_one_of_few),
        T(test_no_room_for_one_of_many),
        T(test_killed_at_the_first_of_few),
        T(test_killed_at_the_first_of_many),
        T(test_killed_at_renewals_of_few),
        T(test_killed_at_renewals_of_many),
        T(test_killed_while_preparing),
        T(test_in_its_thread),
        T(test_freed_while_it_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
