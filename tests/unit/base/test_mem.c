/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void allocations_are_zeroed_and_never_null(void **state)
{
    (void)state;
    CLEANUP_FREE char *p = xcalloc(0, 0);
    CLEANUP_FREE unsigned *q = xcalloc(100, sizeof(*q));
    assert_non_null(p);
    for (int i = 0; i < 100; i++)
        assert_int_equal(q[i], 0);
    CLEANUP_FREE char *s = xasprintf("%d-%s", 5, "x");
    assert_string_equal(s, "5-x");
    CLEANUP_FREE char *part = xstrndup("hello", 2);
    assert_string_equal(part, "he");
    CLEANUP_FREE void *none = xmemdup(NULL, 0);
    assert_non_null(none);
}

static void want_of_memory_aborts(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, 2);
        free(xrealloc_array(NULL, SIZE_MAX / 2, 4)); /* overflows */
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_not_equal(status, 0); /* SIGABRT; a sanitizer exits by itself */
}

static void closes_at_the_end_of_the_scope(void **state)
{
    (void)state;
    int copy;
    {
        CLEANUP_CLOSE int fd = open("/dev/null", O_RDONLY);
        CLEANUP_CLOSE int none = -1;
        (void)none;
        copy = fd;
        assert_true(fcntl(copy, F_GETFD) >= 0);
    }
    assert_int_equal(fcntl(copy, F_GETFD), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations_are_zeroed_and_never_null),
        cmocka_unit_test(want_of_memory_aborts),
        cmocka_unit_test(closes_at_the_end_of_the_scope),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
