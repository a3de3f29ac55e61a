/* SPDX-License-Identifier: ISC */
/* Workers and descriptions of plugins, with workers that the tests play (fake_worker.c). */
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "keeper/describe.h"
#include "keeper/workers.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char empty[] = "", instance[] = "cf", token[] = "token", worker_user[] = "root";

struct world {
    char top[64], path[128], program[600];
    struct loop *loop;
    struct log log;
    struct workers *workers;
    struct timer limit;
    struct conf conf;
    struct conf_provider provider;
    struct conf_option option;
    unsigned ended;
    int fd;
    struct err err;
};

static void too_long(void *arg)
{
    (void)arg;
    fail_msg("nothing happened for 30 s");
}

static void use(struct world *w, const char *plugin)
{
    snprintf(w->path, sizeof(w->path), "%s/%s", w->top, plugin);
    int fd = open(w->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    assert_true(fd >= 0);
    close(fd);
    chmod(w->path, 0755);
    w->provider.path = w->path;
}

static int setup(void **state)
{
    struct world *w = xnew(struct world);
    ssize_t n = readlink("/proc/self/exe", w->program, sizeof(w->program) - 1);
    w->program[n] = '\0';
    snprintf(strrchr(w->program, '/'), 32, "/fake_worker");
    snprintf(w->top, sizeof(w->top), "/tmp/renewd-test-XXXXXX");
    assert_non_null(mkdtemp(w->top));
    w->loop = loop_new();
    log_init(&w->log, "test");
    w->log.fd = -1;
    w->workers =
        workers_new(&(struct workers_env){.loop = w->loop, .log = &w->log, .program = w->program});
    w->option = (struct conf_option){
        .name = token,
        .text = empty,
        .secret = {.kind = CONF_SECRET_TEXT, .value = secret_new("s3cret", 6)}};
    w->provider = (struct conf_provider){
        .name = instance, .plugin = empty, .ttl = 60, .options = &w->option, .n_options = 1};
    w->conf.worker_user = worker_user;
    w->conf.worker_user_set = true;
    w->fd = -1;
    timer_after(w->loop, &w->limit, 30000, too_long, w);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    timer_cancel(&w->limit);
    workers_free(w->workers);
    loop_free(w->loop);
    secret_free(w->option.secret.value);
    if (w->fd >= 0)
        close(w->fd);
    file_remove_tree_at(AT_FDCWD, w->top, NULL);
    free(w);
    return 0;
}

static void on_done(void *arg, int fd, const struct err *err)
{
    struct world *w = arg;
    w->ended++;
    w->fd = fd;
    w->err = *err;
    if (w->loop)
        loop_stop(w->loop);
}

static void start(struct world *w, const char *plugin)
{
    use(w, plugin);
    workers_start(w->workers, &w->conf, &w->provider, on_done, w);
    assert_int_equal(w->ended, 0);
    loop_run(w->loop);
    assert_int_equal(w->ended, 1);
}

static void test_starts(void **state)
{
    struct world *w = *state;
    char said[256] = "";
    start(w, "good.so");
    assert_int_equal(w->err.cls, ERR_NONE);
    assert_true(read(w->fd, said, sizeof(said) - 1) > 0);
    assert_string_equal(said, "cf 60 1 token=s3cret/1");
}

static void test_is_killed(void **state)
{
    struct world *w = *state;
    char said[256];
    start(w, "good.so");
    assert_true(read(w->fd, said, sizeof(said)) > 0);
    workers_kill(w->workers, "other");
    workers_kill(w->workers, "cf");
    struct pollfd p = {.fd = w->fd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 20000), 1);
    assert_int_equal(read(w->fd, said, sizeof(said)), 0);
    assert_int_equal(w->ended, 1);
}

static void fails(struct world *w, const char *plugin, const char *why)
{
    start(w, plugin);
    assert_int_equal(w->fd, -1);
    assert_int_not_equal(w->err.cls, ERR_NONE);
    if (!strstr(w->err.detail, why))
        fail_msg("\"%s\" lacks \"%s\"", w->err.detail, why);
    w->ended = 0;
}

static void test_failures_are_told(void **state)
{
    struct world *w = *state;
    fails(w, "failed.so", "this plugin is sad");
    fails(w, "refuse.so", "this token is not one");
    fails(w, "garbage.so", "malformed");
    fails(w, "exit.so", "exited with 5");
    fails(w, "killed.so", "SIGKILL");
}

static void test_kill_while_starting(void **state)
{
    struct world *w = *state;
    use(w, "hang.so");
    workers_start(w->workers, &w->conf, &w->provider, on_done, w);
    workers_kill(w->workers, "cf");
    assert_int_equal(w->ended, 1);
    assert_int_equal(w->err.cls, ERR_CANCELLED);
}

static void test_second_start_replaces(void **state)
{
    struct world *w = *state;
    struct world other = {.fd = -1};
    use(w, "hang.so");
    workers_start(w->workers, &w->conf, &w->provider, on_done, &other);
    start(w, "good.so");
    assert_int_equal(other.ended, 1);
    assert_int_equal(other.err.cls, ERR_CANCELLED);
    assert_int_equal(w->err.cls, ERR_NONE);
}

static void test_unsafe_plugin_is_not_loaded(void **state)
{
    struct world *w = *state;
    use(w, "good.so");
    assert_int_equal(chmod(w->path, 0777), 0);
    workers_start(w->workers, &w->conf, &w->provider, on_done, w);
    loop_run(w->loop);
    assert_int_equal(w->err.cls, ERR_CONFIG);
}

static void test_secret_with_nul_is_refused(void **state)
{
    struct world *w = *state;
    secret_free(w->option.secret.value);
    w->option.secret.value = secret_new("a\0b", 3);
    fails(w, "good.so", "NUL");
}

/* ---- descriptions ---- */

static void test_describes(void **state)
{
    struct world *w = *state;
    struct err e = ERR_INIT;
    struct describer *d = describer_new(w->program);
    use(w, "good.so");
    const struct conf_plugin_info *i = describer_ask(d, w->path, &e);
    if (geteuid() == 0 && !i && strstr(e.detail, "cannot reach"))
        skip();
    if (!i)
        fail_msg("%s", e.detail);
    assert_int_equal(i->n_options, 2);
    assert_string_equal(i->options[0].name, "token");
    assert_int_equal(i->options[0].type, CONF_OPT_SECRET);
    assert_true(i->options[0].required);
    assert_int_equal(i->options[1].type, CONF_OPT_ENUM);
    assert_string_equal(i->options[1].choices, "a|b");
    assert_int_equal(i->propagation_s, 42);
    assert_false(i->needs_exec);
    assert_ptr_equal(describer_ask(d, w->path, &e), i);
    describer_free(d);
}

/* A changed file is asked again; the old answer stays good. */
static void test_description_follows_the_file(void **state)
{
    struct world *w = *state;
    struct err e = ERR_INIT;
    struct describer *d = describer_new(w->program);
    use(w, "good.so");
    const struct conf_plugin_info *first = describer_ask(d, w->path, &e);
    assert_int_equal(truncate(w->path, 10), 0);
    const struct conf_plugin_info *second = describer_ask(d, w->path, &e);
    assert_non_null(second);
    assert_ptr_not_equal(first, second);
    assert_string_equal(first->options[0].name, "token");
    describer_free(d);
}

static void test_descriptions_fail(void **state)
{
    static const struct {
        const char *plugin, *why;
    } cases[] = {{"failed.so", "this plugin is sad"},
                 {"garbage.so", "malformed"},
                 {"exit.so", "exited with 5"},
                 {"killed.so", "SIGKILL"},
                 {"hang.so", "within 5 s"}};
    struct world *w = *state;
    struct describer *d = describer_new(w->program);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = ERR_INIT;
        use(w, cases[i].plugin);
        assert_null(describer_ask(d, w->path, &e));
        if (!strstr(e.detail, cases[i].why) || !strstr(e.detail, cases[i].plugin))
            fail_msg("\"%s\" lacks \"%s\"", e.detail, cases[i].why);
    }
    struct err e = ERR_INIT;
    assert_null(describer_ask(d, "/no/such.so", &e));
    assert_int_equal(e.cls, ERR_CONFIG);
    describer_free(d);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_starts),
        T(test_is_killed),
        T(test_failures_are_told),
        T(test_kill_while_starting),
        T(test_second_start_replaces),
        T(test_unsafe_plugin_is_not_loaded),
        T(test_secret_with_nul_is_refused),
        T(test_describes),
        T(test_description_follows_the_file),
        T(test_descriptions_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
