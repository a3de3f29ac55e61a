/* SPDX-License-Identifier: ISC */
/* The keeper as a process, over an engine that the tests play (fake_engine.c). */
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "keeper/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define LIMIT_MS 30000

struct world {
    char top[64], file[128], fifo[128], notify[128];
    pid_t pid; /* of the keeper; 0: none */
    int log;   /* the engine's words */
    int notify_fd;
    char buffer[8192];
    size_t n;
    char line[1024];
};

static const char head[] = "state_dir: state\n"
                           "control_socket: run/control.sock\n"
                           "log_level: debug\n";
static const char one_cert[] =
    "cas:\n"
    "  test: {directory: 'https://ca.example/dir', email: a@example.org}\n"
    "providers: {}\n"
    "certificates: []\n";

static void write_conf(struct world *w, const char *rest)
{
    FILE *f = fopen(w->file, "we");
    assert_non_null(f);
    fputs(head, f);
    if (geteuid() == 0)
        fputs("user: root\nworker_user: root\n", f);
    fputs(rest, f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(w->file, 0600), 0);
}

static int setup(void **state)
{
    struct world *w = xnew(struct world);
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    snprintf(w->top, sizeof(w->top), "/tmp/renewd-test-XXXXXX");
    assert_non_null(mkdtemp(w->top));
    snprintf(w->file, sizeof(w->file), "%s/renewd.yaml", w->top);
    snprintf(w->fifo, sizeof(w->fifo), "%s/log", w->top);
    snprintf(w->notify, sizeof(w->notify), "%s/notify", w->top);
    assert_int_equal(mkfifo(w->fifo, 0600), 0);
    w->log = open(w->fifo, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    w->notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    str_copy(sa.sun_path, sizeof(sa.sun_path), w->notify);
    assert_int_equal(bind(w->notify_fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    write_conf(w, one_cert);
    *state = w;
    return 0;
}

static int wait_exit(struct world *w)
{
    int status = 0;
    alarm(LIMIT_MS / 1000);
    assert_int_equal(waitpid(w->pid, &status, 0), w->pid);
    alarm(0);
    w->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int teardown(void **state)
{
    struct world *w = *state;
    if (w->pid) {
        kill(w->pid, SIGKILL);
        wait_exit(w);
    }
    close(w->log);
    close(w->notify_fd);
    file_remove_tree_at(AT_FDCWD, w->top, NULL);
    free(w);
    return 0;
}

static struct programs programs(void)
{
    static char self[512], engine[600], worker[600];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    self[n] = '\0';
    *strrchr(self, '/') = '\0';
    snprintf(engine, sizeof(engine), "%s/fake_engine", self);
    snprintf(worker, sizeof(worker), "%s/fake_worker", self);
    char *end = strrchr(self, '/'); /* BUILD/tests/unit: BUILD/bin/renewd makes keys */
    *end = '\0';
    snprintf(strrchr(self, '/'), 32, "/bin/renewd");
    return (struct programs){.self = self, .engine = engine, .worker = worker, .plugins = self};
}

static pid_t spawn(struct world *w, const char *mode, bool once, const char *watchdog)
{
    CLEANUP_FREE char *mode_env = xasprintf("FAKE_MODE=%s", mode);
    CLEANUP_FREE char *log_env = xasprintf("FAKE_LOG=%s", w->fifo);
    pid_t pid = fork();
    if (pid)
        return pid;
    const char *const env[] = {mode_env, log_env, NULL};
    struct programs p = programs();
    struct log log;
    log_init(&log, "renewd");
    if (!getenv("VERBOSE"))
        log.fd = -1;
    struct daemon_options o = {.file = w->file,
                               .once = once,
                               .engine_env = env,
                               .notify_socket = w->notify,
                               .watchdog_usec = watchdog};
    fclose(stderr);
    _exit(daemon_run(&o, &p, &log));
}

static void begin(struct world *w, const char *mode)
{
    w->pid = spawn(w, mode, false, NULL);
}

/* The engine's next line. */
static const char *next(struct world *w)
{
    for (;;) {
        char *end = memchr(w->buffer, '\n', w->n);
        if (end) {
            *end = '\0';
            str_copy(w->line, sizeof(w->line), w->buffer);
            w->n -= (size_t)(end - w->buffer) + 1;
            memmove(w->buffer, end + 1, w->n);
            return w->line;
        }
        struct pollfd p = {.fd = w->log, .events = POLLIN};
        if (poll(&p, 1, LIMIT_MS) != 1)
            fail_msg("the engine says nothing for %d s", LIMIT_MS / 1000);
        ssize_t n = read(w->log, w->buffer + w->n, sizeof(w->buffer) - w->n);
        assert_true(n > 0);
        w->n += (size_t)n;
    }
}

static pid_t expect_start(struct world *w, int generation)
{
    int pid;
    char expected[64];
    assert_int_equal(sscanf(next(w), "pid %d", &pid), 1);
    assert_true(str_starts(next(w), "start once=0 dir=1 pdeathsig=1 listen=1"));
    snprintf(expected, sizeof(expected), "config %d 1", generation);
    assert_string_equal(next(w), expected);
    return pid;
}

static void notified(struct world *w, const char *expected)
{
    char text[512];
    for (;;) {
        struct pollfd p = {.fd = w->notify_fd, .events = POLLIN};
        if (poll(&p, 1, LIMIT_MS) != 1)
            fail_msg("%s is not said", expected);
        ssize_t n = recv(w->notify_fd, text, sizeof(text) - 1, 0);
        assert_true(n > 0);
        text[n] = '\0';
        if (str_starts(text, expected))
            return;
    }
}

static struct json *admin(struct world *w, const char *request)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    struct timeval limit = {.tv_sec = LIMIT_MS / 1000};
    struct buf b;
    struct err e = ERR_INIT;
    char c;
    buf_init(&b, 1 << 20);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/run/admin.sock", w->top);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    assert_true(write(fd, request, strlen(request)) > 0);
    while (read(fd, &c, 1) == 1 && c != '\n')
        buf_putc(&b, c);
    close(fd);
    struct json *j = json_parse(buf_str(&b), b.len, &e);
    assert_non_null(j);
    buf_free(&b);
    return j;
}

static int end_in_order(struct world *w)
{
    kill(w->pid, SIGTERM);
    int code = wait_exit(w);
    assert_string_equal(next(w), "stop");
    return code;
}

static void test_starts_and_stops(void **state)
{
    struct world *w = *state;
    struct stat st;
    char path[256];
    begin(w, "good");
    expect_start(w, 1);
    notified(w, "READY=1");
    notified(w, "STATUS=all is well");
    snprintf(path, sizeof(path), "%s/run/control.sock", w->top);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    snprintf(path, sizeof(path), "%s/run/admin.sock", w->top);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(end_in_order(w), EXIT_DONE);
    notified(w, "STOPPING=1");
    assert_int_not_equal(stat(path, &st), 0);
}

static void test_bad_file(void **state)
{
    struct world *w = *state;
    write_conf(w, "nonsense: 1\n");
    begin(w, "good");
    assert_int_equal(wait_exit(w), EXIT_USAGE);
}

static void test_second_daemon_is_refused(void **state)
{
    struct world *w = *state;
    begin(w, "good");
    expect_start(w, 1);
    notified(w, "READY=1");
    pid_t first = w->pid;
    w->pid = spawn(w, "good", false, NULL);
    assert_int_equal(wait_exit(w), EXIT_REFUSED);
    w->pid = first;
    json_free(admin(w, "{\"verb\":\"version\"}\n")); /* its sockets are still there */
    assert_int_equal(end_in_order(w), EXIT_DONE);
}

static void test_rejected_at_start(void **state)
{
    struct world *w = *state;
    begin(w, "reject");
    assert_int_equal(wait_exit(w), EXIT_USAGE);
}

static void test_reload(void **state)
{
    struct world *w = *state;
    begin(w, "good");
    expect_start(w, 1);
    notified(w, "READY=1");
    write_conf(w, "cas:\n  test: {directory: 'https://ca.example/dir2'}\n");
    struct json *r = admin(w, "{\"verb\":\"reload\"}\n");
    assert_true(json_bool(r, "done", false));
    assert_true(json_bool(r, "ok", false));
    assert_int_equal(json_int(r, "exit", -1), 0);
    assert_true(json_is_array(json_get(r, "lines")));
    json_free(r);
    assert_string_equal(next(w), "config 2 1");
    notified(w, "RELOADING=1\nMONOTONIC_USEC=");
    notified(w, "READY=1");
    kill(w->pid, SIGHUP);
    assert_string_equal(next(w), "config 3 1");
    assert_int_equal(end_in_order(w), EXIT_DONE);
}

static void test_reload_of_a_bad_file(void **state)
{
    struct world *w = *state;
    begin(w, "good");
    expect_start(w, 1);
    notified(w, "READY=1");
    write_conf(w, "nonsense: 1\n");
    struct json *r = admin(w, "{\"verb\":\"reload\"}\n");
    assert_int_equal(json_int(r, "exit", -1), 2);
    assert_non_null(json_text(r, "error"));
    bool found = false;
    for (const struct json *l = json_first(json_get(r, "lines")); l; l = json_after(l))
        found = found || (strstr(json_as_text(l), "nonsense") && strstr(json_as_text(l), "yaml:"));
    assert_true(found);
    json_free(r);
    write_conf(w, "archive_keep: 7\n");
    r = admin(w, "{\"verb\":\"reload\"}\n");
    assert_int_equal(json_int(r, "exit", -1), 0);
    json_free(r);
    assert_string_equal(next(w), "config 2 1"); /* the bad one was never shown to the engine */
    write_conf(w, "control_group: '12345'\n");
    r = admin(w, "{\"verb\":\"reload\"}\n");
    assert_int_equal(json_int(r, "exit", -1), 2);
    json_free(r);
    assert_int_equal(end_in_order(w), EXIT_DONE);
}

static void test_reload_that_the_engine_rejects(void **state)
{
    struct world *w = *state;
    begin(w, "reject-second");
    expect_start(w, 1);
    notified(w, "READY=1");
    struct json *r = admin(w, "{\"verb\":\"reload\"}\n");
    assert_int_equal(json_int(r, "exit", -1), 2);
    assert_string_equal(json_text(r, "error"), "the engine cannot do that");
    json_free(r);
    assert_string_equal(next(w), "config 2 1");
    assert_int_equal(end_in_order(w), EXIT_DONE);
}

static void test_admin_refuses_the_rest(void **state)
{
    struct world *w = *state;
    begin(w, "good");
    expect_start(w, 1);
    notified(w, "READY=1");
    struct json *r = admin(w, "{\"verb\":\"revoke\"}\n");
    assert_string_equal(json_text(r, "error"), "there is no certificate of that name");
    json_free(r);
    r = admin(w, "{\"verb\":\"fly\"}\n");
    assert_int_equal(json_int(r, "exit", -1), 2);
    json_free(r);
    r = admin(w, "[]\n");
    assert_int_equal(json_int(r, "exit", -1), 2);
    json_free(r);
    assert_int_equal(end_in_order(w), EXIT_DONE);
}

static void misbehaves(struct world *w, const char *mode)
{
    begin(w, mode);
    pid_t engine = expect_start(w, 1);
    notified(w, "READY=1");
    kill(engine, SIGUSR1);
    pid_t second = expect_start(w, 1);
    assert_int_not_equal(engine, second);
    assert_int_equal(end_in_order(w), EXIT_DONE);
}

static void test_crash_of_the_engine(void **state)
{
    misbehaves(*state, "crash");
}

static void test_nonsense_of_the_engine(void **state)
{
    misbehaves(*state, "malformed");
}

static void test_crash_before_ready(void **state)
{
    struct world *w = *state;
    begin(w, "die-first");
    expect_start(w, 1);
    expect_start(w, 1);
    notified(w, "READY=1");
    assert_int_equal(end_in_order(w), EXIT_DONE);
}

/* Nobody is left: the engine ends with the keeper. */
static void test_death_of_the_keeper(void **state)
{
    struct world *w = *state;
    begin(w, "good");
    pid_t engine = expect_start(w, 1);
    notified(w, "READY=1");
    int fd = (int)syscall(434 /* pidfd_open */, engine, 0);
    assert_true(fd >= 0);
    kill(w->pid, SIGKILL);
    wait_exit(w);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, LIMIT_MS), 1);
    close(fd);
    while (w->n) /* what it may have said of it */
        next(w);
    begin(w, "good");
    while (!str_starts(next(w), "start "))
        ;
    notified(w, "READY=1");
}

static void test_once(void **state)
{
    struct world *w = *state;
    w->pid = spawn(w, "once", true, NULL);
    assert_true(str_starts(next(w), "pid"));
    assert_true(str_starts(next(w), "start once=1"));
    assert_string_equal(next(w), "config 1 1");
    assert_string_equal(next(w), "stop");
    assert_int_equal(wait_exit(w), EXIT_FAILED);
}

/* All of these, in whatever order. */
static void expect_all(struct world *w, const char *const *expected, size_t n)
{
    unsigned seen = 0;
    while (seen != (1u << n) - 1) {
        const char *line = next(w);
        size_t i = 0;
        while (i < n && ((seen & 1u << i) || !str_starts(line, expected[i])))
            i++;
        if (i == n)
            fail_msg("unexpected: %s", line);
        seen |= 1u << i;
    }
}

static void test_serves_the_engine(void **state)
{
    static const char *const expected[] = {
        "item a.example.org 0", "item rsa.example.org 0", "list end 1",
        "account none [] []",   "account bug [] []",      "signed none 1",
        "prepared none",        "prepared none",          "prepared none",
        "prepared none",        "prepared none",          "step none: hello a.example.org",
        "step bug: ",
    };
    struct world *w = *state;
    char text[1024], path[256];
    struct stat st;
    snprintf(path, sizeof(path), "%s/good.so", w->top);
    close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755));
    snprintf(text, sizeof(text),
             "defaults: {ca: test}\n"
             "cas:\n  test: {directory: 'https://ca.example/dir', email: a@example.org}\n"
             "providers:\n  p: {plugin: %s, token: abc}\n"
             "certificates:\n"
             "  - names: [a.example.org]\n"
             "    deploy: [{run: [/bin/echo, hello, '%%n']}]\n"
             "  - names: [rsa.example.org]\n"
             "    key: rsa-2048\n",
             path);
    write_conf(w, text);
    begin(w, "ask");
    expect_start(w, 1);
    expect_all(w, expected, ARRAY_LEN(expected));
    snprintf(path, sizeof(path), "%s/state/pending/rsa.example.org.pem", w->top);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size > 1500);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(end_in_order(w), EXIT_DONE);
}

static void test_watchdog(void **state)
{
    struct world *w = *state;
    w->pid = spawn(w, "good", false, "200000");
    expect_start(w, 1);
    notified(w, "READY=1");
    notified(w, "WATCHDOG=1");
    notified(w, "WATCHDOG=1");
    kill(w->pid, SIGTERM);
    assert_int_equal(wait_exit(w), EXIT_DONE);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_starts_and_stops),
        T(test_bad_file),
        T(test_second_daemon_is_refused),
        T(test_rejected_at_start),
        T(test_reload),
        T(test_reload_of_a_bad_file),
        T(test_reload_that_the_engine_rejects),
        T(test_admin_refuses_the_rest),
        T(test_crash_of_the_engine),
        T(test_nonsense_of_the_engine),
        T(test_crash_before_ready),
        T(test_death_of_the_keeper),
        T(test_once),
        T(test_serves_the_engine),
        T(test_watchdog),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
