/* SPDX-License-Identifier: ISC */
#include "loop/child.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct loop *loop;
static struct child *child;
static int calls;
static struct child_end last;
static char output[65536], text[64];
static const char *const env[] = {"PATH=/usr/bin:/bin", "A=b", NULL};

static int setup(void **state)
{
    (void)state;
    loop = loop_new();
    child = NULL;
    calls = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    child_free(child);
    loop_free(loop);
    return 0;
}

static void done(void *arg, const struct child_end *end)
{
    assert_ptr_equal(arg, &child);
    calls++;
    child_free(child); /* first: what end points to must outlive it */
    child = NULL;
    last = *end;
    assert_true(end->output_len < sizeof output);
    memcpy(output, end->output, end->output_len);
    output[end->output_len] = '\0';
    child_end_text(end, text, sizeof text);
    loop_stop(loop);
}

static void start(const struct child_spec *s)
{
    struct err e = ERR_INIT;

    calls = 0;
    child = child_start(loop, s, done, &child, &e);
    if (!child)
        fail_msg("%s", e.detail);
    assert_int_equal(calls, 0);
}

static void run_shell(struct child_spec s, const char *script)
{
    const char *argv[] = {"sh", "-c", script, NULL};

    s.argv = argv;
    s.env = env;
    if (!s.output_max)
        s.output_max = 4096;
    start(&s);
    loop_run(loop);
    assert_int_equal(calls, 1);
}

static void output_and_status(void **state)
{
    (void)state;
    run_shell((struct child_spec){.uid = (uid_t)-1},
              "echo out; echo err >&2; echo $A; pwd; exit 3");
    assert_string_equal(output, "out\nerr\nb\n/\n");
    assert_string_equal(text, "exited with 3");
    run_shell((struct child_spec){.uid = (uid_t)-1}, "kill -9 $$");
    assert_string_equal(text, "killed by SIGKILL");
}

static void input_is_given(void **state)
{
    char *big = xcalloc(1, 300001);

    (void)state;
    memset(big, 'x', 300000);
    run_shell((struct child_spec){.uid = (uid_t)-1, .input = big, .input_len = 300000}, "wc -c");
    assert_string_equal(output, "300000\n");
    run_shell((struct child_spec){.uid = (uid_t)-1}, "wc -c");
    assert_string_equal(output, "0\n");
    free(big);
}

static void the_tail_of_the_output_is_kept(void **state)
{
    (void)state;
    run_shell((struct child_spec){.uid = (uid_t)-1, .output_max = 100},
              "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; echo end");
    assert_int_equal(last.output_len, 100);
    assert_string_equal(output + 96, "end\n");
    assert_non_null(strstr(output, "line 19999\n"));
}

static void discarded_output_does_not_block(void **state)
{
    const char *argv[] = {"sh", "-c", "head -c 300000 /dev/zero", NULL};
    struct child_spec s = {.argv = argv, .env = env, .uid = (uid_t)-1};

    (void)state;
    start(&s);
    loop_run(loop);
    assert_string_equal(text, "exited with 0");
    assert_int_equal(last.output_len, 0);
}

static bool alive(pid_t pid)
{
    char path[64], state = 'X';
    int n = 0;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "re");
    if (f) {
        n = fscanf(f, "%*d (%*[^)]) %c", &state);
        fclose(f);
    }
    return n == 1 && state != 'Z' && state != 'X';
}

static void await_death(pid_t pid)
{
    struct pollfd p = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};

    if (p.fd >= 0) { /* else it is gone already */
        assert_int_equal(poll(&p, 1, 5000), 1);
        close(p.fd);
    }
}

static void timeout_kills_the_group(void **state)
{
    int64_t begun = loop_mono_ms(loop);

    (void)state;
    /* The child ends on SIGTERM, its grandchild ignores it and holds the pipe open. */
    run_shell((struct child_spec){.uid = (uid_t)-1, .own_group = true, .timeout_ms = 200},
              "sh -c 'trap \"\" TERM; echo $$; while :; do sleep 60; done' & wait");
    assert_true(last.timed_out);
    assert_string_equal(text, "timed out after 200 ms");
    assert_true(loop_mono_ms(loop) - begun < 1900);
    await_death(atoi(output));
}

static void deaf_child_gets_sigkill(void **state)
{
    int64_t begun = loop_mono_ms(loop);

    (void)state;
    run_shell((struct child_spec){.uid = (uid_t)-1, .own_group = true, .timeout_ms = 100},
              "trap '' TERM; echo deaf; while :; do sleep 0.05; done");
    assert_true(last.timed_out);
    assert_true(WIFSIGNALED(last.status) && WTERMSIG(last.status) == SIGKILL);
    assert_string_equal(output, "deaf\n");
    assert_true(loop_mono_ms(loop) - begun >= 2000);
}

static void a_grandchild_that_keeps_the_pipe_is_not_awaited(void **state)
{
    int64_t begun = loop_mono_ms(loop);

    (void)state;
    run_shell((struct child_spec){.uid = (uid_t)-1, .own_group = true},
              "sleep 30 & echo $!; exit 0");
    assert_true(loop_mono_ms(loop) - begun < 5000);
    pid_t pid = atoi(output);
    assert_true(alive(pid)); /* not timed out: left alone */
    kill(pid, SIGKILL);
}

static void failing_to_execute_is_an_error_of_start(void **state)
{
    const char *none[] = {"no-such-program-of-ours", NULL};
    const char *dir[] = {"/etc", NULL};
    struct child_spec s = {.argv = none, .env = env, .uid = (uid_t)-1};
    struct err e = ERR_INIT;

    (void)state;
    assert_null(child_start(loop, &s, done, &child, &e));
    assert_int_equal(e.sys, ENOENT);
    assert_int_equal(e.cls, ERR_LOCAL);
    s.argv = dir;
    assert_null(child_start(loop, &s, done, &child, &e));
    assert_int_equal(e.sys, EACCES);
    s.dir = "/no/such/folder";
    assert_null(child_start(loop, &s, done, &child, &e));
    assert_non_null(strstr(e.detail, "folder"));
    assert_int_equal(calls, 0);
}

static void freeing_kills_and_reaps(void **state)
{
    const char *argv[] = {"/bin/sh", "-c", "sleep 60 & sleep 60", NULL};
    struct child_spec s = {
        .argv = argv, .env = env, .uid = (uid_t)-1, .own_group = true, .output_max = 10};

    (void)state;
    start(&s);
    pid_t pid = child_pid(child);
    child_free(child);
    child = NULL;
    assert_int_equal(waitpid(pid, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    assert_int_equal(calls, 0);
}

static void descriptors_are_placed_and_others_closed(void **state)
{
    int leak = fcntl(1, F_DUPFD, 50); /* not close-on-exec */
    int fds[3];
    int a[2], b[2];

    (void)state;
    assert_int_equal(pipe2(a, O_CLOEXEC), 0);
    assert_int_equal(pipe2(b, O_CLOEXEC), 0);
    fds[0] = b[1]; /* crossed on purpose: sources among the targets */
    fds[1] = a[1];
    fds[2] = a[1];
    run_shell((struct child_spec){.uid = (uid_t)-1, .fds = fds, .n_fds = 3},
              "echo three >&3; echo four >&4; echo five >&5; echo /proc/self/fd/*");
    char got[16] = "";
    assert_int_equal(read(b[0], got, 15), 6);
    assert_string_equal(got, "three\n");
    memset(got, 0, sizeof got);
    assert_int_equal(read(a[0], got, 15), 10);
    assert_string_equal(got, "four\nfive\n");
    assert_null(strstr(output, "/proc/self/fd/50"));
    close(leak);
    for (int i = 0; i < 2; i++) {
        close(a[i]);
        close(b[i]);
    }
}

static void signals_are_reset(void **state)
{
    sigset_t block, old;

    (void)state;
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&block);
    sigaddset(&block, SIGUSR2);
    sigprocmask(SIG_BLOCK, &block, &old);
    run_shell((struct child_spec){.uid = (uid_t)-1}, "grep -E 'SigBlk|SigIgn' /proc/self/status");
    sigprocmask(SIG_SETMASK, &old, NULL);
    signal(SIGPIPE, SIG_DFL);
    assert_non_null(strstr(output, "SigBlk:\t0000000000000000"));
    assert_non_null(strstr(output, "SigIgn:\t0000000000000000"));
}

static void the_user_is_dropped(void **state)
{
    (void)state;
    if (getuid() != 0)
        skip();
    run_shell((struct child_spec){.uid = 65534, .gid = 65534, .die_with_parent = true},
              "id -u; id -g; id -G");
    assert_string_equal(output, "65534\n65534\n65534\n");
    run_shell((struct child_spec){.uid = 2, .gid = 2, .user = "bin"}, "id -u; id -G");
    assert_string_equal(output, "2\n2\n");
}

static void it_dies_with_its_parent(void **state)
{
    int p[2];
    char got[16] = "";

    (void)state;
    assert_int_equal(pipe(p), 0);
    pid_t middle = fork();
    if (middle == 0) {
        const char *argv[] = {"/bin/sleep", "60", NULL};
        struct child_spec s = {.argv = argv, .uid = (uid_t)-1, .die_with_parent = true};
        struct loop *l = loop_new();
        struct child *c = child_start(l, &s, done, NULL, NULL);

        dprintf(p[1], "%d", c ? (int)child_pid(c) : -1);
        _exit(0);
    }
    waitpid(middle, NULL, 0);
    assert_true(read(p[0], got, 15) > 0);
    await_death(atoi(got));
    close(p[0]);
    close(p[1]);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(output_and_status),
        TEST(input_is_given),
        TEST(the_tail_of_the_output_is_kept),
        TEST(discarded_output_does_not_block),
        TEST(timeout_kills_the_group),
        TEST(deaf_child_gets_sigkill),
        TEST(a_grandchild_that_keeps_the_pipe_is_not_awaited),
        TEST(failing_to_execute_is_an_error_of_start),
        TEST(freeing_kills_and_reaps),
        TEST(descriptors_are_placed_and_others_closed),
        TEST(signals_are_reset),
        TEST(the_user_is_dropped),
        TEST(it_dies_with_its_parent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
