/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/name.h"

#include <stdio.h>
#include <string.h>

static void assert_host(const char *text, const char *expect)
{
    char out[NAME_MAX_TEXT];
    assert_int_equal(name_host(text, out), NAME_OK);
    assert_string_equal(out, expect);
}

static void assert_host_refused(const char *text, enum name_problem expect)
{
    char out[NAME_MAX_TEXT] = "untouched";
    enum name_problem p = name_host(text, out);
    if (p != expect)
        fail_msg("%s: %s", text, name_problem_text(p));
    assert_string_equal(out, "untouched");
}

static void good_hosts_are_normalised(void **state)
{
    (void)state;
    assert_host("Example.ORG", "example.org");
    assert_host("example.org.", "example.org");
    assert_host("*.Example.org.", "*.example.org");
    assert_host("xn--bcher-kva.example", "xn--bcher-kva.example");
    assert_host("1.example.0", "1.example.0");
    assert_host("localhost", "localhost");
    assert_host("a--b.c", "a--b.c");
}

static void bad_hosts_are_told_apart(void **state)
{
    (void)state;
    assert_host_refused("", NAME_EMPTY);
    assert_host_refused(".", NAME_EMPTY);
    assert_host_refused("a..b", NAME_LABEL_LENGTH);
    assert_host_refused(".a", NAME_LABEL_LENGTH);
    assert_host_refused("a.b..", NAME_LABEL_LENGTH);
    assert_host_refused("a b.c", NAME_CHARACTER);
    assert_host_refused("a_b.c", NAME_CHARACTER);
    assert_host_refused("a/b", NAME_CHARACTER);
    assert_host_refused("-a.b", NAME_HYPHEN);
    assert_host_refused("a-.b", NAME_HYPHEN);
    assert_host_refused("b.-", NAME_HYPHEN);
    assert_host_refused("*", NAME_WILDCARD);
    assert_host_refused("*.", NAME_WILDCARD);
    assert_host_refused("a.*.b", NAME_WILDCARD);
    assert_host_refused("*.*.b", NAME_WILDCARD);
    assert_host_refused("a*.b", NAME_WILDCARD);
    assert_host_refused("192.0.2.1", NAME_IP);
    assert_host_refused("192.0.2.1.", NAME_IP);
    assert_host_refused("2001:db8::1", NAME_IP);
    assert_host_refused("[2001:DB8::1]", NAME_IP);
    assert_host_refused("b\xc3\xbc"
                        "cher.example",
                        NAME_NOT_ASCII);
}

static void lengths_are_exact(void **state)
{
    (void)state;
    char name[300], label[65];
    memset(label, 'a', 64);
    label[64] = '\0';
    snprintf(name, sizeof(name), "%.63s.b", label);
    assert_host(name, name);
    snprintf(name, sizeof(name), "%.64s.b", label);
    assert_host_refused(name, NAME_LABEL_LENGTH);
    snprintf(name, sizeof(name), "%.63s.%.63s.%.63s.%.61s", label, label, label, label);
    assert_int_equal(strlen(name), 253);
    assert_host(name, name);
    name[253] = '.';
    name[254] = '\0';
    char out[NAME_MAX_TEXT];
    assert_int_equal(name_host(name, out), NAME_OK);
    assert_int_equal(strlen(out), 253);
    snprintf(name, sizeof(name), "%.63s.%.63s.%.63s.%.62s", label, label, label, label);
    assert_host_refused(name, NAME_TOO_LONG);
}

static void owners_may_have_underscores(void **state)
{
    (void)state;
    char out[NAME_MAX_TEXT];
    assert_int_equal(name_owner("_Acme-Challenge.Example.org.", out), NAME_OK);
    assert_string_equal(out, "_acme-challenge.example.org");
    assert_int_equal(name_owner("*.example.org", out), NAME_WILDCARD);
    assert_int_equal(name_owner("192.0.2.1", out), NAME_IP);
}

static void every_problem_has_a_text(void **state)
{
    (void)state;
    for (int p = NAME_OK; p <= NAME_NOT_ASCII + 1; p++)
        assert_non_null(name_problem_text((enum name_problem)p));
}

static void lies_under(void **state)
{
    (void)state;
    assert_true(name_under("a.example.org", "example.org"));
    assert_true(name_under("example.org", "example.org"));
    assert_true(name_under("example.org", ""));
    assert_true(name_under("", ""));
    assert_false(name_under("anexample.org", "example.org"));
    assert_false(name_under("org", "example.org"));
    assert_false(name_under("", "org"));
}

static void parents_and_labels(void **state)
{
    (void)state;
    assert_string_equal(name_parent("a.b.c"), "b.c");
    assert_string_equal(name_parent("c"), "");
    assert_string_equal(name_parent(""), "");
    assert_int_equal(name_labels("a.b.c"), 3);
    assert_int_equal(name_labels("c"), 1);
    assert_int_equal(name_labels(""), 0);
    assert_true(name_is_wildcard("*.a"));
    assert_false(name_is_wildcard("*"));
    assert_false(name_is_wildcard(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_hosts_are_normalised), cmocka_unit_test(bad_hosts_are_told_apart),
        cmocka_unit_test(lengths_are_exact),         cmocka_unit_test(owners_may_have_underscores),
        cmocka_unit_test(every_problem_has_a_text),  cmocka_unit_test(lies_under),
        cmocka_unit_test(parents_and_labels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
