/* SPDX-License-Identifier: ISC */
/* renewd-worker as a process: what it loads, what it serves, what it survives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "worker/driver.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROBE "tests/plugins/probe.so"

static const struct driver_option token[] = {{"token", "s3cret-token", true}, {NULL, NULL, false}};

static void start(struct driver *d)
{
    struct err e = ERR_INIT;
    if (driver_start(d, driver_path(PROBE), token, &e) != 0)
        fail_msg("%s", e.detail);
}

static uint32_t add(struct driver *d, const char *value, struct worker_done *done)
{
    if (driver_op(d, WORKER_OP_ADD, "_acme-challenge.example.org", value, done) != 0)
        fail_msg("the worker died of: %s", value);
    return done->cls;
}

static void ok(struct driver *d, const char *value)
{
    struct worker_done done;
    if (add(d, value, &done) != WORKER_E_OK)
        fail_msg("%s: class %u: %s", value, done.cls, done.detail);
}

static void test_describe(void **state)
{
    (void)state;
    struct worker_descriptor d;
    struct err e = ERR_INIT;
    if (driver_describe(driver_path(PROBE), &d, &e) != 0)
        fail_msg("%s", e.detail);
    assert_string_equal(d.id, "probe");
    assert_string_equal(d.version, "1.2");
    assert_int_equal(d.model, WORKER_MODEL_RECORD);
    assert_int_equal(d.n_ttls, 3);
    assert_int_equal(d.propagation_s, 7);
    assert_int_equal(d.apply_max, 16);
    assert_int_equal(d.hosts.n, 1);
    assert_string_equal(d.hosts.v[0], "api.example.com");
    assert_int_equal(d.n_options, 5);
    assert_string_equal(d.options[0].name, "token");
    assert_int_equal(d.options[0].type, WORKER_OPT_SECRET);
    assert_true(d.options[0].required);
    assert_string_equal(d.options[0].env.v[0], "PROBE_TOKEN");
    assert_string_equal(d.options[4].choices, "a|b");
    worker_descriptor_free(&d);
}

static void refuses(const char *path, const char *says)
{
    struct worker_descriptor d;
    struct err e = ERR_INIT;
    assert_int_equal(driver_describe(path, &d, &e), -1);
    assert_int_equal(e.cls, ERR_CONFIG);
    if (!strstr(e.detail, says))
        fail_msg("%s: %s", path, e.detail);
}

static void test_broken(void **state)
{
    (void)state;
    refuses(driver_path("tests/plugins/broken-entry.so"), "does not export renewd_plugin_v0");
    refuses(driver_path("tests/plugins/broken-abi.so"), "built for another renewd");
    refuses(driver_path("tests/plugins/broken-size.so"), "built for another renewd");
    refuses(driver_path("tests/plugins/broken-null.so"), "built for another renewd");
    refuses(driver_path("tests/plugins/broken-add.so"), "lacks add or remove");
    refuses(driver_path("tests/plugins/broken-id.so"), "valid id");
    refuses(driver_path("tests/plugins/broken-model.so"), "update model");
    refuses(driver_path("tests/plugins/none.so"), "No such file");
    refuses("probe.so", "must be absolute");
    refuses("/usr/lib", "not a regular file");
    refuses("/etc/passwd", "cannot be loaded");
}

/* A plugin with a shorter table loads; what it does not have is not called. */
static void test_older_table(void **state)
{
    (void)state;
    struct worker_descriptor d;
    struct err e = ERR_INIT;
    if (driver_describe(driver_path("tests/plugins/broken-old.so"), &d, &e) != 0)
        fail_msg("%s", e.detail);
    assert_int_equal(d.callbacks, WORKER_CB_ADD | WORKER_CB_REMOVE);
    assert_int_equal(d.apply_max, 1);
    worker_descriptor_free(&d);
}

static void copy_file(const char *from, const char *to, mode_t mode)
{
    char data[65536];
    int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(in >= 0 && out >= 0);
    for (ssize_t n; (n = read(in, data, sizeof(data))) > 0;)
        assert_int_equal(write(out, data, (size_t)n), n);
    close(in);
    close(out);
    assert_int_equal(chmod(to, mode), 0);
}

static void test_ownership(void **state)
{
    (void)state;
    char folder[] = "/tmp/renewd-worker-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/probe.so", folder);
    copy_file(driver_path(PROBE), path, 0664);
    refuses(path, "chmod go-w");
    chmod(path, 0644);
    struct worker_descriptor d;
    struct err e = ERR_INIT;
    assert_int_equal(driver_describe(path, &d, &e), 0);
    worker_descriptor_free(&d);
    if (getuid() == 0) {
        assert_int_equal(chown(path, 12345, 0), 0);
        refuses(path, "belongs to user 12345");
    }
    unlink(path);
    rmdir(folder);
}

static void test_services(void **state)
{
    (void)state;
    struct driver d;
    start(&d);
    ok(&d, "ok");
    ok(&d, "services");
    ok(&d, "options");
    ok(&d, "thread");
    struct worker_done done;
    assert_int_equal(add(&d, "handle some text", &done), WORKER_E_OK);
    assert_string_equal(done.handle, "some text");
    assert_int_equal(add(&d, "class 5", &done), WORKER_E_RATE_LIMIT);
    assert_int_equal(done.retry_after_s, 42);
    assert_string_equal(done.detail, "as asked");
    assert_int_equal(add(&d, "code", &done), WORKER_E_PROTOCOL);
    assert_non_null(strstr(done.detail, "4711"));
    assert_int_equal(driver_op(&d, WORKER_OP_CHECK, "example.org", "ok", &done), 0);
    assert_int_equal(done.cls, WORKER_E_OK);
    assert_int_equal(driver_stop(&d), 0);
}

static void test_apply(void **state)
{
    (void)state;
    struct driver d;
    start(&d);
    struct worker_change v[3];
    for (int i = 0; i < 3; i++)
        v[i] = (struct worker_change){WORKER_OP_ADD, "a.example.org", "ok", "example.org", ""};
    struct worker_done done;
    assert_int_equal(driver_batch(&d, v, 3, &done), 0);
    assert_int_equal(done.cls, WORKER_E_OK);
    v[1].value = "not ok";
    assert_int_equal(driver_batch(&d, v, 3, &done), 0);
    assert_int_equal(done.cls, WORKER_E_REJECTED);
    driver_stop(&d);
}

static void test_secrets_are_masked(void **state)
{
    (void)state;
    struct driver d;
    struct worker_done done;
    start(&d);
    assert_int_equal(add(&d, "secret", &done), WORKER_E_AUTH);
    assert_string_equal(done.detail, "token *** is refused");
    assert_string_equal(d.log, "the token is ***\n");
    assert_int_equal(add(&d, "handle token", &done), WORKER_E_OK);
    assert_string_equal(done.handle, "***");
    driver_stop(&d);
}

static void test_log_is_limited(void **state)
{
    (void)state;
    struct driver d;
    start(&d);
    ok(&d, "flood");
    assert_in_range(d.n_logs, 50, 200);
    assert_non_null(strstr(d.log, "line 0\n"));
    driver_stop(&d);
}

/* The cache comes back over a restart with the same secret, and not with another. */
static void test_cache_is_sealed(void **state)
{
    (void)state;
    static const struct driver_option other[] = {{"token", "another", true}, {NULL, NULL, false}};
    struct driver d, again;
    struct worker_done done;
    struct err e = ERR_INIT;
    start(&d);
    ok(&d, "cache zone id-4711");
    assert_int_equal(add(&d, "cached zone", &done), WORKER_E_OK);
    assert_string_equal(done.handle, "id-4711");
    assert_null(strstr(d.cache[0].value, "4711"));
    assert_int_equal(driver_start(&again, driver_path(PROBE), token, &e), 0);
    memcpy(again.cache, d.cache, sizeof(d.cache));
    add(&again, "cached zone", &done);
    assert_string_equal(done.handle, "id-4711");
    driver_stop(&again);
    assert_int_equal(driver_start(&again, driver_path(PROBE), other, &e), 0);
    memcpy(again.cache, d.cache, sizeof(d.cache));
    add(&again, "cached zone", &done);
    assert_string_equal(done.handle, "(none)");
    driver_stop(&again);
    driver_stop(&d);
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void test_deadline_and_cancel(void **state)
{
    (void)state;
    struct driver d;
    struct worker_done done;
    start(&d);
    ok(&d, "sleep 10");
    d.deadline_ms = 50;
    int64_t before = now_ms();
    assert_int_equal(add(&d, "sleep 60000", &done), WORKER_E_CANCELLED);
    assert_in_range(now_ms() - before, 40, 5000);
    d.deadline_ms = 20000;
    struct worker_change c = {WORKER_OP_ADD, "a.example.org", "sleep 60000", "example.org", ""};
    uint32_t first = driver_send(&d, &c, 1), second = driver_send(&d, &c, 1);
    c.value = "ok";
    uint32_t third = driver_send(&d, &c, 1);
    driver_cancel(&d, second); /* it waits in the queue */
    assert_int_equal(driver_wait(&d, second, &done), 0);
    assert_int_equal(done.cls, WORKER_E_CANCELLED);
    driver_cancel(&d, first); /* it runs */
    assert_int_equal(driver_wait(&d, first, &done), 0);
    assert_int_equal(done.cls, WORKER_E_CANCELLED);
    assert_int_equal(driver_wait(&d, third, &done), 0);
    assert_int_equal(done.cls, WORKER_E_OK);
    assert_int_equal(driver_stop(&d), 0);
}

static void answer_http(struct driver *d, const struct worker_http *q,
                        struct worker_http_reply *ret)
{
    static const struct worker_pair headers[] = {{"content-type", "text/plain"}};
    snprintf(d->scratch, sizeof(d->scratch), "%s %s %u", q->method, q->url, q->n_headers);
    *ret = (struct worker_http_reply){.status = 200, .headers = headers, .n_headers = 1};
    ret->body = d->scratch;
    ret->body_len = strlen(d->scratch);
}

static void answer_exchange(struct driver *d, const struct worker_exchange *x,
                            struct worker_exchange_reply *ret)
{
    snprintf(d->scratch, sizeof(d->scratch), "%s/%s/%zu", x->server, x->zone, x->len);
    ret->cls = WORKER_E_OK;
    ret->message = d->scratch;
    ret->len = strlen(d->scratch);
}

static void test_requests(void **state)
{
    (void)state;
    struct driver d;
    struct worker_done done;
    start(&d);
    assert_int_equal(add(&d, "http https://api.example.com/", &done), WORKER_E_UNSUPPORTED);
    assert_string_equal(done.detail, "no http here");
    d.http = answer_http;
    d.exchange = answer_exchange;
    assert_int_equal(add(&d, "post https://api.example.com/", &done), WORKER_E_OK);
    assert_string_equal(done.handle, "200 POST https://api.example.com/ 1");
    assert_int_equal(done.http, 200);
    assert_int_equal(add(&d, "exchange ns1", &done), WORKER_E_OK);
    assert_string_equal(done.handle, "ns1/example.org/12");
    driver_stop(&d);
}

static void dies(const char *value, int sig)
{
    struct driver d;
    struct worker_done done;
    start(&d);
    assert_int_equal(driver_op(&d, WORKER_OP_ADD, "a.example.org", value, &done), -1);
    int status = driver_stop(&d);
    if (sig)
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == sig);
    else
        assert_true(WIFEXITED(status));
}

static void test_misbehaviour_ends_it(void **state)
{
    (void)state;
    dies("crash", SIGABRT);
    dies("exit", 0);
    dies("garbage", 0); /* the engine sees a malformed frame and gives it up */
}

static void test_create_refuses(void **state)
{
    (void)state;
    static const struct driver_option bad[] = {{"token", "refused", true}, {NULL, NULL, false}};
    static const struct driver_option net[] = {{"token", "network", true}, {NULL, NULL, false}};
    struct driver d;
    struct err e = ERR_INIT;
    assert_int_equal(driver_start(&d, driver_path(PROBE), bad, &e), -1);
    assert_int_equal(e.cls, ERR_CONFIG);
    assert_non_null(strstr(e.detail, "provider instance: this token is"));
    assert_int_equal(driver_start(&d, driver_path(PROBE), net, &e), -1);
    assert_non_null(strstr(e.detail, "cannot wait"));
    assert_int_equal(driver_start(&d, driver_path(PROBE), NULL, &e), -1);
    assert_non_null(strstr(e.detail, "option token is required"));
}

/* Frames that no engine sends end the worker; it never answers them. */
static void test_malformed_frames(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct driver d;
        struct worker_done done;
        struct buf b;
        start(&d);
        buf_init(&b, 1000);
        size_t mark = frame_begin(&b, i == 0 ? 999 : WORKER_OP, 1);
        if (i == 1)
            frame_put_u32(&b, 7);
        if (i == 2)
            for (int k = 0; k < 50; k++)
                frame_put_u32(&b, 0xffffffff);
        frame_end(&b, mark);
        assert_int_equal(write(d.engine, b.data, b.len), (ssize_t)b.len);
        buf_free(&b);
        assert_int_equal(driver_wait(&d, 1, &done), -1);
        driver_stop(&d);
    }
}

static void test_hostile_plugin(void **state)
{
    (void)state;
    struct driver d;
    struct err e = ERR_INIT;
    struct worker_done done;
    if (driver_start(&d, driver_path("tests/plugins/hostile.so"), NULL, &e) != 0)
        fail_msg("%s", e.detail);
    print_message("sandbox: %s\n", d.hello.sandbox);
    if (strstr(d.hello.sandbox, "no seccomp")) {
        driver_stop(&d);
        skip();
    }
    assert_int_equal(driver_op(&d, WORKER_OP_ADD, "a.example.org", "x", &done), 0);
    assert_int_equal(done.cls, WORKER_E_REJECTED);
    const char *clean = "library:1 constructor: | thread: | create: | add:";
    if (strstr(d.hello.sandbox, "no landlock")) /* libraries are not told from other files */
        assert_non_null(strstr(done.detail, "| thread: | create: | add:"));
    else
        assert_string_equal(done.detail, clean);
    assert_int_equal(access("/tmp/renewd-hostile", F_OK), -1);
    driver_stop(&d);
}

/* What the sandbox stops, the plugin's probes would have found. */
static void test_hostile_plugin_unconfined(void **state)
{
    (void)state;
    struct driver d;
    struct err e = ERR_INIT;
    struct worker_done done;
    setenv("RENEWD_TEST_TAME", "1", 1);
    int rc = driver_start_open(&d, driver_path("tests/plugins/hostile.so"), NULL, &e);
    unsetenv("RENEWD_TEST_TAME");
    if (rc != 0)
        fail_msg("%s", e.detail);
    assert_string_equal(d.hello.sandbox, "no sandbox (asked for)");
    assert_int_equal(driver_op(&d, WORKER_OP_ADD, "a.example.org", "x", &done), 0);
    assert_string_equal(done.detail,
                        "library:1 constructor: open-passwd fork connect-tcp memfd | thread: "
                        "open-passwd fork connect-tcp memfd | create: open-passwd fork "
                        "connect-tcp memfd | add: open-passwd fork connect-tcp memfd");
    driver_stop(&d);
}

static void test_engine_gone(void **state)
{
    (void)state;
    struct driver d;
    start(&d);
    assert_int_equal(driver_stop(&d), 0);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_describe),           cmocka_unit_test(test_broken),
        cmocka_unit_test(test_older_table),        cmocka_unit_test(test_ownership),
        cmocka_unit_test(test_services),           cmocka_unit_test(test_apply),
        cmocka_unit_test(test_secrets_are_masked), cmocka_unit_test(test_log_is_limited),
        cmocka_unit_test(test_cache_is_sealed),    cmocka_unit_test(test_deadline_and_cancel),
        cmocka_unit_test(test_requests),           cmocka_unit_test(test_misbehaviour_ends_it),
        cmocka_unit_test(test_create_refuses),     cmocka_unit_test(test_malformed_frames),
        cmocka_unit_test(test_hostile_plugin),     cmocka_unit_test(test_hostile_plugin_unconfined),
        cmocka_unit_test(test_engine_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
