/* SPDX-License-Identifier: ISC */
/* Steps of deployments, with real processes. */
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "keeper/fixture.h"
#include "keeper/step_file.h"
#include "keeper/steps.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char empty[] = "", root[] = "root";

struct world {
    struct fixture f;
    struct loop *loop;
    struct steps *steps;
    struct timer limit;
    unsigned ended, expected;
    struct err err;
    char text[8192];
};

static void too_long(void *arg)
{
    (void)arg;
    fail_msg("nothing happened for 30 s");
}

static int setup(void **state)
{
    struct world *w = xnew(struct world);
    struct err e = ERR_INIT;
    fixture_open(&w->f);
    if (fixture_install(&w->f, -1, 24, &e))
        fail_msg("%s", e.detail);
    w->loop = loop_new();
    w->steps = steps_new(&(struct steps_env){.loop = w->loop, .dir = &w->f.dir});
    w->expected = 1;
    w->f.conf.refs = 1000000; /* never freed */
    timer_after(w->loop, &w->limit, 30000, too_long, w);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    timer_cancel(&w->limit);
    steps_free(w->steps);
    loop_free(w->loop);
    fixture_close(&w->f);
    free(w);
    return 0;
}

static void on_done(void *arg, const char *text, const struct err *err)
{
    struct world *w = arg;
    w->err = *err;
    str_copy(w->text, sizeof(w->text), text);
    if (++w->ended == w->expected)
        loop_stop(w->loop);
}

static struct conf_step run_step(char **argv, size_t n)
{
    return (struct conf_step){.kind = CONF_STEP_RUN,
                              .timeout_ms = 20000,
                              .argv = {argv, n},
                              .user = root,
                              .path = empty,
                              .owner = empty,
                              .group = empty};
}

#define SHELL(script)                                                                              \
    {                                                                                              \
        (char[]){"/bin/sh"}, (char[]){"-c"}, (char[])                                              \
        {                                                                                          \
            script                                                                                 \
        }                                                                                          \
    }

static struct step_run *begin(struct world *w, const struct conf_step *step, size_t n)
{
    const struct conf_cert *certs[] = {&w->f.cert, &w->f.cert, &w->f.cert};
    return step_start(w->steps, &w->f.conf, step, certs, n, on_done, w);
}

static void run(struct world *w, const struct conf_step *step, size_t n)
{
    begin(w, step, n);
    assert_int_equal(w->ended, 0);
    loop_run(w->loop);
    assert_int_equal(w->ended, 1);
}

static const char *out(struct world *w)
{
    static char text[8192];
    struct buf b;
    char path[256];
    snprintf(path, sizeof(path), "%s/out", w->f.top);
    read_file(path, &b);
    str_copy(text, sizeof(text), buf_str(&b));
    buf_free(&b);
    return text;
}

/* ---- run ---- */

static void test_run_gets_its_input(void **state)
{
    struct world *w = *state;
    char script[512], expected[512];
    snprintf(script, sizeof(script),
             "{ cat; echo; echo \"$1 $2 $3\"; echo \"$RENEWD_NAME|$RENEWD_DIR|$RENEWED_LINEAGE\"; "
             "echo \"$HOME|$(pwd)|$(umask)|$PATH\"; } > %s/out",
             w->f.top);
    char *argv[] = {(char[]){"/bin/sh"}, (char[]){"-c"},   script,           (char[]){"hook"},
                    (char[]){"%n"},      (char[]){"%d/x"}, (char[]){"100%%"}};
    struct conf_step step = run_step(argv, 7);
    run(w, &step, 1);
    assert_int_equal(w->err.cls, ERR_NONE);
    const char *text = out(w);
    const char *line = strchr(text, '\n');
    struct err e = ERR_INIT;
    struct json *j = json_parse(text, (size_t)(line - text), &e);
    assert_string_equal(json_text(j, "name"), "www");
    assert_string_equal(json_as_text(json_at(json_get(j, "names"), 1)), "*.example.org");
    assert_true(str_ends(json_text(j, "dir"), "/state/live/www"));
    assert_true(str_ends(json_text(json_get(j, "files"), "privkey"), "/live/www/privkey.pem"));
    assert_int_equal(strlen(json_text(j, "fingerprint")), 64);
    assert_true(str_starts(json_text(j, "not_after"), "2027-01-1"));
    json_free(j);
    snprintf(expected, sizeof(expected), "\nwww %s/live/www/x 100%%\nwww|%s/live/www|%s/live/www\n",
             w->f.path, w->f.path, w->f.path);
    assert_true(str_starts(line, expected));
    assert_non_null(strstr(text, "|/|0022|/usr/local/sbin:"));
}

static void test_run_once_gets_the_list(void **state)
{
    struct world *w = *state;
    char script[256];
    snprintf(script, sizeof(script), "cat > %s/out; echo \"[$RENEWD_NAME]\"", w->f.top);
    char *argv[] = {(char[]){"/bin/sh"}, (char[]){"-c"}, script};
    struct conf_step step = run_step(argv, 3);
    step.once = true;
    run(w, &step, 3);
    assert_string_equal(w->text, "[]");
    struct err e = ERR_INIT;
    struct json *j = json_parse(out(w), strlen(out(w)), &e);
    assert_int_equal(json_len(json_get(j, "certificates")), 3);
    json_free(j);
}

static void test_run_once_cannot_name_one(void **state)
{
    struct world *w = *state;
    char *argv[] = {(char[]){"/bin/true"}, (char[]){"100%%"}, (char[]){"%n"}};
    struct conf_step step = run_step(argv, 3);
    step.once = true;
    run(w, &step, 2);
    assert_int_equal(w->err.cls, ERR_CONFIG);
}

static void test_run_fails(void **state)
{
    struct world *w = *state;
    char *argv[] = SHELL("echo 'first'; printf 'la\\033st\\n' >&2; exit 3");
    struct conf_step step = run_step(argv, 3);
    run(w, &step, 1);
    assert_int_equal(w->err.cls, ERR_LOCAL);
    assert_non_null(strstr(w->err.detail, "exited with 3"));
    assert_non_null(strstr(w->err.detail, "first"));
    assert_null(strchr(w->text, 033));
    assert_non_null(strstr(w->text, "la\\x1bst"));
}

static void test_run_tail_is_bounded(void **state)
{
    struct world *w = *state;
    char *argv[] = SHELL("i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done");
    struct conf_step step = run_step(argv, 3);
    run(w, &step, 1);
    assert_int_equal(w->err.cls, ERR_NONE);
    assert_true(strlen(w->text) <= STEPS_OUTPUT_MAX);
    assert_true(strlen(w->text) > 3000);
    assert_non_null(strstr(w->text, "line 2"));
}

static void test_run_of_nothing(void **state)
{
    struct world *w = *state;
    char *argv[] = {(char[]){"/no/such/program"}};
    struct conf_step step = run_step(argv, 1);
    run(w, &step, 1);
    assert_int_equal(w->err.cls, ERR_LOCAL);
    assert_non_null(strstr(w->err.detail, "/no/such/program"));
}

static void test_run_as_a_user(void **state)
{
    struct world *w = *state;
    char other[] = "daemon";
    char *argv[] = SHELL("id -un; id -Gn");
    struct conf_step step = run_step(argv, 3);
    step.user = other;
    run(w, &step, 1);
    if (geteuid() != 0) {
        assert_int_equal(w->err.cls, ERR_CONFIG);
        return;
    }
    assert_int_equal(w->err.cls, ERR_NONE);
    assert_true(str_starts(w->text, "daemon"));
    assert_null(strstr(w->text, "root"));
}

/* A hook that hangs with a grandchild: both are gone after the time limit. A file lock tells. */
static void test_hanging_hook_and_grandchild_are_killed(void **state)
{
    struct world *w = *state;
    char script[512], lock[128];
    snprintf(lock, sizeof(lock), "%s/lock", w->f.top);
    snprintf(script, sizeof(script),
             "exec 9> %s; flock 9; trap '' TERM; (trap '' TERM; sleep 1000) & sleep 1000", lock);
    char *argv[] = {(char[]){"/bin/sh"}, (char[]){"-c"}, script};
    struct conf_step step = run_step(argv, 3);
    step.timeout_ms = 300;
    run(w, &step, 1);
    assert_int_equal(w->err.cls, ERR_LOCAL);
    assert_non_null(strstr(w->err.detail, "timed out"));
    int fd = open(lock, O_RDWR);
    assert_true(fd >= 0);
    alarm(20); /* released as soon as the last of them is gone */
    assert_int_equal(flock(fd, LOCK_EX), 0);
    alarm(0);
    close(fd);
}

static void test_cancel_kills_the_group(void **state)
{
    struct world *w = *state;
    char script[512], lock[128], fifo[128];
    snprintf(lock, sizeof(lock), "%s/lock", w->f.top);
    snprintf(fifo, sizeof(fifo), "%s/fifo", w->f.top);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    snprintf(script, sizeof(script), "exec 9> %s; flock 9; sleep 1000 & echo up > %s; sleep 1000",
             lock, fifo);
    char *argv[] = {(char[]){"/bin/sh"}, (char[]){"-c"}, script};
    struct conf_step step = run_step(argv, 3);
    struct step_run *r = begin(w, &step, 1);
    char c;
    int up = open(fifo, O_RDONLY);
    assert_int_equal(read(up, &c, 1), 1);
    close(up);
    step_cancel(r);
    int fd = open(lock, O_RDWR);
    alarm(20);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    alarm(0);
    close(fd);
    assert_int_equal(w->ended, 0);
}

static void test_more_than_the_limit_wait(void **state)
{
    struct world *w = *state;
    char script[256];
    snprintf(script, sizeof(script), "echo x >> %s/out", w->f.top);
    char *argv[] = {(char[]){"/bin/sh"}, (char[]){"-c"}, script};
    struct conf_step step = run_step(argv, 3);
    w->expected = 3 * STEPS_CHILDREN;
    for (unsigned i = 0; i < w->expected; i++)
        begin(w, &step, 1);
    struct step_run *last = begin(w, &step, 1);
    step_cancel(last); /* from the queue */
    loop_run(w->loop);
    assert_int_equal(w->err.cls, ERR_NONE);
    assert_int_equal(strlen(out(w)), 2 * w->expected);
}

/* ---- under systemd: a stand-in for systemd-run shows how it is called ---- */

static void test_commands_become_units(void **state)
{
    struct world *w = *state;
    char *argv[] = {(char[]){"/bin/hook"}, (char[]){"%n"}};
    struct conf_step step = run_step(argv, 2);
    steps_free(w->steps);
    w->steps = steps_new(&(struct steps_env){.loop = w->loop, .dir = &w->f.dir, .systemd = true});
    run(w, &step, 1);
    /* no systemd here: that it was asked for is what can be seen */
    if (access("/usr/bin/systemd-run", X_OK) && access("/bin/systemd-run", X_OK))
        assert_non_null(strstr(w->err.detail, "systemd-run"));
    else
        assert_int_equal(w->err.cls, ERR_LOCAL);
}

static void test_reload_needs_systemd(void **state)
{
    struct world *w = *state;
    char unit[] = "nginx.service";
    struct conf_step step = {.kind = CONF_STEP_RELOAD, .unit = unit, .timeout_ms = 1000};
    run(w, &step, 1);
    assert_int_equal(w->err.cls, ERR_LOCAL);
    assert_non_null(strstr(w->err.detail, "nginx.service"));
    assert_non_null(strstr(w->err.detail, "systemd"));
}

static void test_verify_is_refused(void **state)
{
    struct world *w = *state;
    struct conf_step step = {.kind = CONF_STEP_VERIFY};
    run(w, &step, 1);
    assert_int_equal(w->err.cls, ERR_BUG);
}

/* ---- file ---- */

static struct conf_step file_step(char *path)
{
    return (struct conf_step){.kind = CONF_STEP_FILE,
                              .path = path,
                              .content = {CONF_PRIVKEY, CONF_FULLCHAIN},
                              .n_content = 2,
                              .owner = empty,
                              .group = empty,
                              .mode = 0640};
}

static void test_file(void **state)
{
    struct world *w = *state;
    char path[256], real[256], group[] = "12345";
    struct buf b, key, chain;
    struct stat st;
    snprintf(path, sizeof(path), "%s/%%n-%%%%.pem", w->f.top);
    snprintf(real, sizeof(real), "%s/www-%%.pem", w->f.top);
    struct conf_step step = file_step(path);
    if (geteuid() == 0)
        step.group = group;
    mode_t old = umask(0);
    run(w, &step, 1);
    umask(old);
    assert_int_equal(w->err.cls, ERR_NONE);
    assert_non_null(strstr(w->text, real));
    assert_int_equal(stat(real, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    if (geteuid() == 0)
        assert_int_equal(st.st_gid, 12345);
    read_file(real, &b);
    read_file(fixture_path(&w->f, "live/www/privkey.pem"), &key);
    read_file(fixture_path(&w->f, "live/www/fullchain.pem"), &chain);
    assert_int_equal(b.len, key.len + chain.len);
    assert_memory_equal(b.data, key.data, key.len);
    assert_memory_equal(b.data + key.len, chain.data, chain.len);
    buf_free(&b);
    buf_free(&key);
    buf_free(&chain);
}

static void test_file_replaces(void **state)
{
    struct world *w = *state;
    char path[256];
    struct stat before, after;
    snprintf(path, sizeof(path), "%s/x.pem", w->f.top);
    struct conf_step step = file_step(path);
    run(w, &step, 1);
    int held = open(path, O_RDONLY);
    assert_int_equal(fstat(held, &before), 0);
    step.content[0] = CONF_CERT;
    step.n_content = 1;
    w->ended = 0;
    run(w, &step, 1);
    assert_int_equal(stat(path, &after), 0);
    assert_int_not_equal(before.st_ino, after.st_ino);
    assert_true(after.st_size < before.st_size);
    close(held);
}

static void test_file_errors(void **state)
{
    struct world *w = *state;
    char path[256], nobody[] = "no-such-user-here";
    snprintf(path, sizeof(path), "%s/missing/x.pem", w->f.top);
    struct conf_step step = file_step(path);
    run(w, &step, 1);
    assert_int_equal(w->err.cls, ERR_LOCAL);
    assert_non_null(strstr(w->err.detail, "there is no folder"));
    assert_non_null(strstr(w->err.detail, "missing"));
    w->ended = 0;
    step.owner = nobody;
    run(w, &step, 1);
    assert_int_equal(w->err.cls, ERR_CONFIG);
    w->ended = 0;
    step.owner = empty;
    step.content[0] = CONF_PKCS12;
    snprintf(path, sizeof(path), "%s/x.p12", w->f.top);
    run(w, &step, 1);
    assert_int_equal(w->err.cls, ERR_CONFIG);
    assert_int_not_equal(access(path, F_OK), 0);
}

/* DER, and PKCS#12 under a password; what is in them, tests/system asks openssl and keytool. */
static void test_file_of_another_form(void **state)
{
    static const enum conf_content forms[] = {CONF_PRIVKEY_DER, CONF_CERT_DER, CONF_PKCS12,
                                              CONF_PKCS12_LEGACY};
    struct world *w = *state;
    char path[256];
    struct secret *password = secret_new("s3cret", 6);
    snprintf(path, sizeof(path), "%s/x", w->f.top);
    struct conf_step step = file_step(path);
    step.n_content = 1;
    step.password.kind = CONF_SECRET_TEXT;
    step.password.value = password;
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        struct buf b;
        step.content[0] = forms[i];
        w->ended = 0;
        run(w, &step, 1);
        assert_int_equal(w->err.cls, ERR_NONE);
        read_file(path, &b);
        assert_true(b.len > 100);
        assert_int_equal((uint8_t)b.data[0], 0x30); /* a SEQUENCE */
        buf_free(&b);
    }
    secret_free(password);
}

static void test_expand(void **state)
{
    static const char *const cases[][2] = {{"", ""},         {"%n", "N"},    {"a%na%d", "aNaD"},
                                           {"%%n", "%n"},    {"%%%n", "%N"}, {"%", "%"},
                                           {"100%%", "100%"}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *text = step_expand(cases[i][0], "N", "D");
        assert_string_equal(text, cases[i][1]);
        free(text);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_run_gets_its_input),
        T(test_run_once_gets_the_list),
        T(test_run_once_cannot_name_one),
        T(test_run_fails),
        T(test_run_tail_is_bounded),
        T(test_run_of_nothing),
        T(test_run_as_a_user),
        T(test_hanging_hook_and_grandchild_are_killed),
        T(test_cancel_kills_the_group),
        T(test_more_than_the_limit_wait),
        T(test_commands_become_units),
        T(test_reload_needs_systemd),
        T(test_verify_is_refused),
        T(test_file),
        T(test_file_replaces),
        T(test_file_errors),
        T(test_file_of_another_form),
        cmocka_unit_test(test_expand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
