/* SPDX-License-Identifier: ISC */
#include "conf/fixture.h"

#include "base/clock.h"
#include "conf/command.h"

#include <string.h>

static int run(char *const argv[], int64_t timeout_ms, struct buf *out, struct err *e)
{
    *e = (struct err)ERR_INIT;
    buf_init_secret(out, 100);
    return command_run(argv, timeout_ms, out, e);
}
#define RUN(ms, ...) run((char *const[]){__VA_ARGS__, NULL}, ms, &out, &e)

static void test_output(void **state)
{
    struct buf out;
    struct err e;

    (void)state;
    assert_int_equal(RUN(10000, "printf", "%s", "a b"), 0);
    assert_string_equal(buf_str(&out), "a b");
    buf_free(&out);
    assert_int_equal(RUN(10000, "cat"), 0); /* nothing on stdin */
    assert_int_equal(out.len, 0);
    buf_free(&out);
    assert_int_equal(RUN(10000, "sh", "-c", "echo x; exit 3"), -1);
    assert_string_equal(e.detail, "it exited with status 3");
    buf_free(&out);
}

/* Also what it started is killed, and a child that closed its output is not waited for. */
static void test_limits(void **state)
{
    int64_t begin = clock_mono_ms(&clock_system);
    struct buf out;
    struct err e;

    (void)state;
    assert_int_equal(RUN(200, "sleep", "60"), -1);
    assert_string_equal(e.detail, "it did not end in time");
    buf_free(&out);
    assert_int_equal(RUN(200, "sh", "-c", "sleep 60 & sleep 60"), -1);
    buf_free(&out);
    assert_int_equal(RUN(200, "sh", "-c", "exec >&-; sleep 60"), -1);
    assert_string_equal(e.detail, "it did not end in time");
    buf_free(&out);
    assert_int_equal(RUN(10000, "yes"), -1);
    assert_string_equal(e.detail, "its output is longer than 100 bytes");
    buf_free(&out);
    assert_true(clock_mono_ms(&clock_system) - begin < 20000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_output),
                                       cmocka_unit_test(test_limits)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
