/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/secret.h"

#include <string.h>

static void holds_its_bytes(void **state)
{
    (void)state;
    struct secret *s = secret_new("a\0b", 3);
    assert_int_equal(secret_len(s), 3);
    assert_memory_equal(secret_bytes(s), "a\0b", 4); /* and a NUL after */
    struct secret *copy = secret_dup(s);
    secret_free(s);
    assert_memory_equal(secret_bytes(copy), "a\0b", 4);
    secret_free(copy);
    secret_free(NULL);
}

static void sizes_around_a_page(void **state)
{
    (void)state;
    static char bytes[8200];
    memset(bytes, 'x', sizeof(bytes));
    static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 8191, 8192};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct secret *s = secret_new(bytes, sizes[i]);
        assert_int_equal(strlen(secret_bytes(s)), sizes[i]);
        assert_true(secret_eq(s, bytes, sizes[i]));
        assert_false(secret_eq(s, bytes, sizes[i] + 1));
        secret_free(s);
    }
}

static void compares(void **state)
{
    (void)state;
    struct secret *s = secret_new("password", 8);
    assert_true(secret_eq(s, "password", 8));
    assert_false(secret_eq(s, "passworD", 8));
    assert_false(secret_eq(s, "Password", 8));
    assert_false(secret_eq(s, "passwor", 7));
    assert_false(secret_eq(s, "password\0", 9));
    assert_false(secret_eq(s, "", 0));
    secret_free(s);
}

static void wipes(void **state)
{
    (void)state;
    char bytes[] = "password";
    secret_wipe(bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++)
        assert_int_equal(bytes[i], 0);
    secret_wipe(NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_its_bytes),
        cmocka_unit_test(sizes_around_a_page),
        cmocka_unit_test(compares),
        cmocka_unit_test(wipes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
